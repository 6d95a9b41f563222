//! The verdict on a gate: a pure function of the gate, the evidence there is, and the time.

use plimsoll_ledger::{How, Recorded};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::date::Date;
use crate::gates::Gate;

/// Evidence that has less than this part of its life left makes a gate amber.
const SOON_PART: u64 = 5;

/// How a gate stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Light {
    /// Not answered, or answered with no.
    Red,
    /// Answered with yes, and it will not stay so.
    Amber,
    /// Answered with yes.
    Green,
}

/// The evidence that there is for a gate.
#[derive(Clone, Copy, Debug)]
pub enum Found<'a> {
    /// The capability that brings it is not built.
    NotBuilt,
    /// None yet.
    Nothing,
    /// The newest.
    Newest(&'a Recorded),
}

/// What was seen.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Seen {
    /// The entry of the ledger.
    #[serde(serialize_with = "written")]
    pub entry: Uuid,
    /// When, in milliseconds since 1970-01-01T00:00:00Z; for what is dated, on that day.
    pub at_unix_ms: u64,
    /// Until when it counts, likewise.
    pub until_unix_ms: u64,
    /// Who brought it, by kind.
    pub by: String,
    /// How it came to be.
    pub how: How,
}

impl Seen {
    /// From when on it is told that it will expire, in milliseconds since 1970-01-01T00:00:00Z.
    pub(crate) fn soon_unix_ms(&self) -> u64 {
        let life = self.until_unix_ms.saturating_sub(self.at_unix_ms);
        self.until_unix_ms.saturating_sub(life / SOON_PART)
    }
}

/// As it is written everywhere else.
fn written<S: serde::Serializer>(id: &Uuid, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}

/// The verdict.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// How it stands.
    pub light: Light,
    /// Why.
    pub reason: String,
    /// The evidence it rests on.
    pub seen: Option<Seen>,
}

impl Verdict {
    fn red(reason: impl Into<String>, seen: Option<Seen>) -> Self {
        Self { light: Light::Red, reason: reason.into(), seen }
    }
}

/// Judges one gate at an instant, in milliseconds since 1970-01-01T00:00:00Z.
#[must_use]
pub fn judge(gate: &Gate, found: Found<'_>, now_unix_ms: u64) -> Verdict {
    let recorded = match found {
        Found::NotBuilt => {
            let says =
                "No evidence yet: this Plimsoll does not have the capability that brings it.";
            return Verdict::red(says, None);
        }
        Found::Nothing => return Verdict::red("No evidence yet.", None),
        Found::Newest(recorded) => recorded,
    };
    if !recorded.genuine {
        let says = format!(
            "Entry {} of the ledger is not what this Plimsoll wrote; run `plimsoll ledger verify`.",
            recorded.id
        );
        return Verdict::red(says, None);
    }
    let evidence = &recorded.evidence;
    if evidence.how != gate.how {
        let (is, wanted) = (evidence.how.as_str(), gate.how.as_str());
        return Verdict::red(format!("The evidence is {is}; it has to be {wanted}."), None);
    }
    let seen = seen(gate, recorded);
    let facts = &evidence.facts;
    if let Some(broken) = gate.require.iter().find(|condition| !condition.holds(facts)) {
        return Verdict::red(broken.says(facts), Some(seen));
    }
    if now_unix_ms >= seen.until_unix_ms {
        let day = Date::of_unix_ms(seen.until_unix_ms);
        return Verdict::red(format!("The evidence expired on {day}."), Some(seen));
    }
    if let Some(poor) = gate.better.iter().find(|condition| !condition.holds(facts)) {
        return Verdict { light: Light::Amber, reason: poor.says(facts), seen: Some(seen) };
    }
    let left = seen.until_unix_ms - now_unix_ms;
    if now_unix_ms >= seen.soon_unix_ms() {
        let reason = format!("It holds; the evidence expires in {}.", span(left));
        return Verdict { light: Light::Amber, reason, seen: Some(seen) };
    }
    let reason = match facts.get("says") {
        Some(Value::String(says)) if !says.is_empty() => says.clone(),
        _ => "It holds.".to_owned(),
    };
    Verdict { light: Light::Green, reason, seen: Some(seen) }
}

/// What is dated counts from the end of that day, not from when Plimsoll read it: it was written at
/// some time of the day, and a report of last night is not a day old.
fn seen(gate: &Gate, recorded: &Recorded) -> Seen {
    let dated = match recorded.evidence.facts.get("dated") {
        Some(Value::String(day)) => day.parse::<Date>().ok(),
        _ => None,
    };
    let ends = |day: Date| day.plus_days(1).unix_ms().saturating_sub(1);
    let at_unix_ms = dated.map_or(recorded.at_unix_ms, |day| ends(day).min(recorded.at_unix_ms));
    let fresh = u64::try_from(gate.freshness().as_millis()).unwrap_or(u64::MAX);
    Seen {
        entry: recorded.id,
        at_unix_ms,
        until_unix_ms: at_unix_ms.saturating_add(fresh),
        by: recorded.actor_kind.clone(),
        how: recorded.evidence.how,
    }
}

/// In words, such as `3 days`.
pub(crate) fn span(ms: u64) -> String {
    let (count, unit) = match ms / 1_000 {
        seconds @ ..120 => (seconds, "second"),
        seconds @ 120..7_200 => (seconds / 60, "minute"),
        seconds @ 7_200..172_800 => (seconds / 3_600, "hour"),
        seconds => (seconds / 86_400, "day"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests;
