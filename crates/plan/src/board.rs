//! The board: every gate judged anew from the evidence in the ledger.

use std::cmp::Reverse;
use std::collections::HashMap;

use plimsoll_ledger::{EvidenceKind, How, Ledger, Recorded};
use plimsoll_store::PgConnection;
use serde::{Deserialize, Serialize};

use crate::date::Date;
use crate::error::PlanError;
use crate::gates::{Area, Gate, Gates};
use crate::judge::{Found, Light, Verdict, judge};

/// The weeks of the plan: 90 days, begun weeks counted.
pub const WEEKS: u8 = 13;

/// What is shown as to be done next.
const NEXT_MAX: usize = 3;

/// A gate with its verdict.
#[derive(Clone, Debug, Serialize)]
pub struct Judged {
    /// See [`Gate`].
    pub id: String,
    /// What it is called.
    pub title: String,
    /// The clause of the playbook.
    pub clause: String,
    /// Where it belongs.
    pub area: Area,
    /// First and last week.
    pub weeks: [u8; 2],
    /// The question.
    pub asks: String,
    /// How its evidence comes to be.
    pub how: How,
    /// How it stands, why, and on what evidence.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// What to do; empty where it is green.
    pub next: String,
    /// Whether what brings its evidence is built.
    pub built: bool,
    /// Whether its window has ended.
    pub due: bool,
}

/// Which side of the service a risk threatens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RiskArea {
    /// It fails.
    Reliability,
    /// Somebody breaks in.
    Security,
    /// Data is lost or leaks.
    Data,
    /// It cannot be changed safely.
    Cadence,
}

/// A risk of the risk map.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Risk {
    /// Its name, unique in the map.
    pub id: String,
    /// What may happen.
    pub title: String,
    /// What it threatens.
    pub area: RiskArea,
    /// The gates that answer it.
    pub gates: Vec<String>,
}

/// What the documents of a plan say that the board shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlanFacts {
    /// The first day.
    pub start: Option<Date>,
    /// The risk map.
    pub risks: Vec<Risk>,
}

/// A risk in the colour of its gates.
#[derive(Clone, Debug, Serialize)]
pub struct JudgedRisk {
    /// The risk.
    #[serde(flatten)]
    pub risk: Risk,
    /// The worst of its gates; red where it has none.
    pub light: Light,
}

/// How many gates stand how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Red ones.
    pub red: usize,
    /// Amber ones.
    pub amber: usize,
    /// Green ones.
    pub green: usize,
    /// Of those not red: declared by people, not measured.
    pub declared: usize,
}

impl Summary {
    /// Counts some gates.
    pub fn of<'a>(gates: impl IntoIterator<Item = &'a Judged>) -> Self {
        let mut summary = Self::default();
        for gate in gates {
            match gate.verdict.light {
                Light::Red => summary.red += 1,
                Light::Amber => summary.amber += 1,
                Light::Green => summary.green += 1,
            }
            if gate.how == How::Declared && gate.verdict.light != Light::Red {
                summary.declared += 1;
            }
        }
        summary
    }

    /// All of them.
    #[must_use]
    pub fn all(self) -> usize {
        self.red + self.amber + self.green
    }
}

/// The board at an instant.
#[derive(Clone, Debug, Serialize)]
pub struct Board {
    /// When, in milliseconds since 1970-01-01T00:00:00Z.
    pub at_unix_ms: u64,
    /// The first day of the plan; none where there is no plan.
    pub start: Option<Date>,
    /// The week of the plan, from 1; more than 13 when it is over; none before it or without one.
    pub week: Option<u32>,
    /// Every gate, in the order of the plan.
    pub gates: Vec<Judged>,
    /// Which to turn next, by id: three at most.
    pub next: Vec<String>,
    /// The risk map, each in the colour of its gates.
    pub risks: Vec<JudgedRisk>,
}

impl Board {
    /// How all stand.
    #[must_use]
    pub fn summary(&self) -> Summary {
        Summary::of(&self.gates)
    }

    /// The gates whose window has ended by the end of a week.
    pub fn due_by(&self, week: u32) -> impl Iterator<Item = &Judged> {
        self.gates.iter().filter(move |gate| u32::from(gate.weeks[1]) <= week)
    }

    /// The gate of that name.
    #[must_use]
    pub fn gate(&self, id: &str) -> Option<&Judged> {
        self.gates.iter().find(|gate| gate.id == id)
    }
}

/// Reads the evidence and judges every gate.
///
/// # Errors
/// The ledger cannot be read.
pub async fn board(
    conn: &mut PgConnection,
    ledger: &Ledger,
    gates: &Gates,
    built: &[EvidenceKind],
    facts: &PlanFacts,
    now_unix_ms: u64,
) -> Result<Board, PlanError> {
    let newest = ledger.newest_evidence(conn, &gates.kinds()).await?;
    Ok(made(gates, &newest, built, facts, now_unix_ms))
}

fn made(
    gates: &Gates,
    newest: &[Recorded],
    built: &[EvidenceKind],
    facts: &PlanFacts,
    now_unix_ms: u64,
) -> Board {
    let by_kind: HashMap<&str, &Recorded> =
        newest.iter().map(|one| (one.evidence.kind.as_str(), one)).collect();
    let week = facts.start.and_then(|start| week(start, Date::of_unix_ms(now_unix_ms)));
    let judged = gates.iter().map(|gate| {
        let built = built.iter().any(|kind| kind.kind == gate.evidence);
        let found = match by_kind.get(gate.evidence.as_str()) {
            _ if !built => Found::NotBuilt,
            None => Found::Nothing,
            Some(recorded) => Found::Newest(recorded),
        };
        let verdict = judge(gate, found, now_unix_ms);
        let due = week.is_some_and(|week| u32::from(gate.weeks[1]) < week);
        let next = if verdict.light == Light::Green { String::new() } else { gate.next.clone() };
        Judged {
            id: gate.id.clone(),
            title: gate.title.clone(),
            clause: gate.clause.clone(),
            area: gate.area,
            weeks: gate.weeks,
            asks: gate.asks.clone(),
            how: gate.how,
            verdict,
            next,
            built,
            due,
        }
    });
    let gates: Vec<Judged> = judged.collect();
    let next = next(&gates);
    let risks = facts.risks.iter().map(|risk| judged_risk(risk, &gates)).collect();
    Board { at_unix_ms: now_unix_ms, start: facts.start, week, gates, next, risks }
}

fn judged_risk(risk: &Risk, gates: &[Judged]) -> JudgedRisk {
    let lights = risk.gates.iter().map(|id| {
        gates.iter().find(|gate| gate.id == *id).map_or(Light::Red, |gate| gate.verdict.light)
    });
    JudgedRisk { risk: risk.clone(), light: lights.min().unwrap_or(Light::Red) }
}

/// What can be done goes before what cannot be yet, what is due before what is not, red before
/// amber.
fn next(gates: &[Judged]) -> Vec<String> {
    let open = gates.iter().filter(|gate| gate.verdict.light != Light::Green && gate.built);
    let mut open: Vec<&Judged> = open.collect();
    open.sort_by_key(|gate| (Reverse(gate.due), gate.verdict.light, gate.weeks[1], gate.weeks[0]));
    open.into_iter().take(NEXT_MAX).map(|gate| gate.id.clone()).collect()
}

/// The week that a day is in, from 1; none before the start.
fn week(start: Date, day: Date) -> Option<u32> {
    u32::try_from(start.days_to(day)).ok().map(|days| days / 7 + 1)
}

/// A moment at which a gate changed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Turn {
    /// When, in milliseconds since 1970-01-01T00:00:00Z.
    pub at_unix_ms: u64,
    /// How it stood from then on.
    pub light: Light,
    /// Why.
    pub reason: String,
}

/// How a gate stood over time, newest first: judged anew from all evidence, newest first, and at
/// the moments at which time alone turns it. The first is how it stands now.
#[must_use]
pub fn history(gate: &Gate, newest_first: &[Recorded], now_unix_ms: u64) -> Vec<Turn> {
    let mut turns: Vec<Turn> = Vec::new();
    let mut note = |at_unix_ms, verdict: Verdict| {
        let same = |last: &Turn| last.light == verdict.light && last.reason == verdict.reason;
        if !turns.last().is_some_and(same) {
            turns.push(Turn { at_unix_ms, light: verdict.light, reason: verdict.reason });
        }
    };
    for (n, recorded) in newest_first.iter().enumerate().rev() {
        let newer = n.checked_sub(1).and_then(|newer| newest_first.get(newer));
        let until = newer.map_or(now_unix_ms.saturating_add(1), |newer| newer.at_unix_ms);
        let verdict = judge(gate, Found::Newest(recorded), recorded.at_unix_ms);
        let seen = verdict.seen.clone();
        note(recorded.at_unix_ms, verdict);
        let later = seen.map(|seen| [seen.soon_unix_ms(), seen.until_unix_ms]);
        for at in later.into_iter().flatten() {
            if (recorded.at_unix_ms..until).contains(&at) {
                note(at, judge(gate, Found::Newest(recorded), at));
            }
        }
    }
    turns.reverse();
    turns
}

#[cfg(test)]
mod tests;
