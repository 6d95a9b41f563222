//! The list of gates, and of the kinds of evidence they are judged by, as data.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::time::Duration;

use plimsoll_base::HumanDuration;
use plimsoll_ledger::How;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::PlanError;

const SHIPPED: &str = include_str!("../gates.toml");

/// Which part of the 90 days a gate belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Area {
    /// Days 0-7: diagnostic and scope lock.
    Scope,
    /// Weeks 1-2.
    Architecture,
    /// Weeks 2-4: the delivery machine.
    Delivery,
    /// Weeks 3-6.
    Hardening,
    /// Weeks 4-7: security, privacy, compliance.
    Security,
    /// Weeks 5-8: performance, scale, cost.
    Performance,
    /// Weeks 8-10.
    Launch,
    /// Throughout.
    People,
}

impl Area {
    /// In the order of the plan.
    pub const ALL: [Self; 8] = [
        Self::Scope,
        Self::Architecture,
        Self::Delivery,
        Self::Hardening,
        Self::Security,
        Self::Performance,
        Self::Launch,
        Self::People,
    ];

    /// As people read it.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Scope => "Diagnostic and scope lock",
            Self::Architecture => "Architecture",
            Self::Delivery => "Delivery machine",
            Self::Hardening => "Hardening",
            Self::Security => "Security, privacy, compliance",
            Self::Performance => "Performance, scale, cost",
            Self::Launch => "Launch",
            Self::People => "People",
        }
    }
}

/// What a fact of the evidence has to be.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// The fact's name.
    pub fact: String,
    /// Exactly this.
    pub is: Option<Value>,
    /// A number of at least this.
    pub at_least: Option<i64>,
    /// A number of at most this.
    pub at_most: Option<i64>,
    /// What is said where it is not; `{name}` stands for a fact.
    #[serde(rename = "else")]
    pub otherwise: String,
}

impl Condition {
    /// Whether the facts are so. A fact that is missing is not.
    #[must_use]
    pub fn holds(&self, facts: &Map<String, Value>) -> bool {
        let Some(fact) = facts.get(&self.fact) else { return false };
        let number = fact.as_i64();
        self.is.as_ref().is_none_or(|is| is == fact)
            && self.at_least.is_none_or(|least| number.is_some_and(|number| number >= least))
            && self.at_most.is_none_or(|most| number.is_some_and(|number| number <= most))
    }

    /// What is said where it does not hold.
    #[must_use]
    pub fn says(&self, facts: &Map<String, Value>) -> String {
        filled(&self.otherwise, facts)
    }
}

/// `{name}` replaced by that fact, or by `?`.
fn filled(text: &str, facts: &Map<String, Value>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let Some((name, behind)) = after.split_once('}') else {
            rest = after;
            break;
        };
        match facts.get(name) {
            // A sentence of its own that ends ours.
            Some(Value::String(text)) if behind.starts_with('.') => {
                out.push_str(text.strip_suffix('.').unwrap_or(text));
            }
            Some(Value::String(text)) => out.push_str(text),
            Some(value) => {
                // Writing into a String cannot fail.
                let _written = write!(out, "{value}");
            }
            None => out.push('?'),
        }
        rest = behind;
    }
    out.push_str(rest);
    out
}

/// A kind of evidence that gates are judged by, whether or not what brings it is built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvidenceShape {
    /// Its name, such as `edge.authentication`.
    pub kind: String,
    /// The crate that brings it, or will.
    pub room: String,
    /// How it comes to be.
    pub how: How,
    /// Every fact that it may carry; gates ask for no other.
    pub facts: Vec<String>,
    /// Where its room stands and the capability does not: the name in the room's code by which that
    /// will be known. `cargo xtask check` watches for it.
    pub waits_for: Option<String>,
}

/// One readiness check.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gate {
    /// Its name, such as `auth-on-every-operation`.
    pub id: String,
    /// What it is called on the board: three to six words.
    pub title: String,
    /// The clause of the playbook it answers, in the playbook's words.
    pub clause: String,
    /// Where it belongs.
    pub area: Area,
    /// First and last week of its window, from 1; it is due at the end of the last.
    pub weeks: [u8; 2],
    /// The question it answers.
    pub asks: String,
    /// The crate that brings its evidence.
    pub room: String,
    /// The kind of evidence that answers it.
    pub evidence: String,
    /// How such evidence comes to be.
    pub how: How,
    /// How long evidence counts.
    pub fresh: HumanDuration,
    /// The step of the edge's stack that it waits for, while that is not built.
    pub step: Option<String>,
    /// What has to hold, or it is red.
    pub require: Vec<Condition>,
    /// What has to hold as well, or it is amber.
    #[serde(default)]
    pub better: Vec<Condition>,
    /// What to do to turn it green.
    pub next: String,
}

impl Gate {
    /// How long evidence counts.
    #[must_use]
    pub fn freshness(&self) -> Duration {
        self.fresh.0
    }

    /// What it asks of the facts, what has to hold first.
    pub fn conditions(&self) -> impl Iterator<Item = &Condition> {
        self.require.iter().chain(&self.better)
    }

    /// What is wrong with it, taken alone.
    fn fault(&self) -> Option<String> {
        let [first, last] = self.weeks;
        if first == 0 || last < first || last > crate::WEEKS {
            return Some("`weeks` has to be first and last week, from 1 to 13".to_owned());
        }
        if self.require.is_empty() {
            return Some("`require` has no condition".to_owned());
        }
        let says_nothing =
            |one: &Condition| one.is.is_none() && one.at_least.is_none() && one.at_most.is_none();
        let empty = self.conditions().find(|one| says_nothing(one))?;
        Some(format!("the condition on `{}` needs `is`, `at_least` or `at_most`", empty.fact))
    }

    /// Where it and its kind of evidence disagree.
    fn unlike(&self, shape: &EvidenceShape) -> Option<String> {
        if (&self.room, self.how) != (&shape.room, shape.how) {
            let (room, how) = (&shape.room, shape.how.as_str());
            return Some(format!("`{}` comes from `{room}` and is {how}", shape.kind));
        }
        let foreign = self.conditions().find(|one| !shape.facts.contains(&one.fact))?;
        Some(format!("`{}` has no fact `{}`", shape.kind, foreign.fact))
    }
}

/// The gates.
#[derive(Clone, Debug)]
pub struct Gates {
    list: Vec<Gate>,
    shapes: Vec<EvidenceShape>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    kind: Vec<Kinds>,
    gate: Vec<Gate>,
}

/// Kinds of evidence that have everything but the name in common.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Kinds {
    names: Vec<String>,
    room: String,
    how: How,
    facts: Vec<String>,
    waits_for: Option<String>,
}

impl Kinds {
    fn shapes(self) -> impl Iterator<Item = EvidenceShape> {
        let Self { names, room, how, facts, waits_for } = self;
        names.into_iter().map(move |kind| EvidenceShape {
            kind,
            room: room.clone(),
            how,
            facts: facts.clone(),
            waits_for: waits_for.clone(),
        })
    }
}

impl Gates {
    /// Those that are shipped.
    ///
    /// # Errors
    /// [`PlanError::Gates`]: a fault of ours.
    pub fn shipped() -> Result<Self, PlanError> {
        Self::parse(SHIPPED)
    }

    /// Those of a text like `gates.toml`. Where it names kinds of evidence, each gate's has to be
    /// among them.
    ///
    /// # Errors
    /// [`PlanError::Gates`] names the gate or kind and what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, PlanError> {
        let file: File =
            toml::from_str(text).map_err(|error| PlanError::Gates(error.to_string()))?;
        let shapes: Vec<EvidenceShape> = file.kind.into_iter().flat_map(Kinds::shapes).collect();
        let mut by_kind = HashMap::new();
        for shape in &shapes {
            if by_kind.insert(shape.kind.as_str(), shape).is_some() {
                return Err(PlanError::Gates(format!("{}: stands there twice", shape.kind)));
            }
        }
        let mut ids = HashSet::new();
        for gate in &file.gate {
            let twice = (!ids.insert(gate.id.as_str())).then(|| "stands there twice".to_owned());
            let strange = || match by_kind.get(gate.evidence.as_str()) {
                Some(shape) => gate.unlike(shape),
                None if by_kind.is_empty() => None,
                None => Some(format!("no [[kind]] is called `{}`", gate.evidence)),
            };
            if let Some(says) = twice.or_else(|| gate.fault()).or_else(strange) {
                return Err(PlanError::Gates(format!("{}: {says}", gate.id)));
            }
        }
        Ok(Self { list: file.gate, shapes })
    }

    /// In the order of the plan.
    pub fn iter(&self) -> impl Iterator<Item = &Gate> {
        self.list.iter()
    }

    /// The one of that name.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Gate> {
        self.list.iter().find(|gate| gate.id == id)
    }

    /// Every kind of evidence that one of them asks for, each once.
    #[must_use]
    pub fn kinds(&self) -> Vec<String> {
        let mut kinds: Vec<String> = self.list.iter().map(|gate| gate.evidence.clone()).collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }

    /// What is known of each kind of evidence.
    pub fn shapes(&self) -> impl Iterator<Item = &EvidenceShape> {
        self.shapes.iter()
    }

    /// What is known of that kind of evidence.
    #[must_use]
    pub fn shape(&self, kind: &str) -> Option<&EvidenceShape> {
        self.shapes.iter().find(|shape| shape.kind == kind)
    }
}

#[cfg(test)]
mod tests;
