//! Gates and evidence for the tests of judge and board.

use plimsoll_ledger::{Evidence, How, Recorded};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::date::Date;
use crate::gates::{Gate, Gates};

pub(crate) const HOUR_MS: u64 = 3_600_000;
pub(crate) const DAY_MS: u64 = 24 * HOUR_MS;

/// Noon of 2026-11-30.
pub(crate) fn noon() -> u64 {
    "2026-11-30".parse::<Date>().unwrap().unix_ms() + 12 * HOUR_MS
}

/// A gate that wants no operation open, likes a limit per address, and believes evidence for ten
/// days; with other keys where `more` has them.
pub(crate) fn gate(id: &str, kind: &str, how: How, more: &str) -> Gate {
    let how = how.as_str();
    let text = format!(
        "[[gate]]\nid = '{id}'\ntitle = 'A gate of tests'\nclause = 'c'\narea = 'architecture'\n\
         weeks = [1, 2]\nasks = 'Is it?'\nroom = 'edge'\nevidence = '{kind}'\nhow = '{how}'\n\
         fresh = '10d'\n\
         require = [{{ fact = 'open', at_most = 0, else = '{{open}} stand open.' }}]\n\
         better = [{{ fact = 'per_ip', at_least = 1, else = 'None is per IP.' }}]\n\
         next = 'Do it.'\n"
    );
    let is_other = |line: &&str| {
        let key = line.split(" =").next().unwrap_or_default();
        !more.lines().any(|other| other.split(" =").next() == Some(key))
    };
    let text: Vec<&str> = text.lines().filter(is_other).chain([more]).collect();
    Gates::parse(&text.join("\n")).unwrap().iter().next().unwrap().clone()
}

/// Genuine evidence of Plimsoll itself.
pub(crate) fn recorded(kind: &str, how: How, at_unix_ms: u64, facts: Value) -> Recorded {
    let Value::Object(facts) = facts else { panic!("facts are an object") };
    Recorded {
        id: Uuid::from_u128(u128::from(at_unix_ms)),
        at_unix_ms,
        evidence: Evidence { kind: kind.to_owned(), how, facts },
        actor_kind: "system".to_owned(),
        actor: None,
        genuine: true,
        position: None,
    }
}

/// Measured, and as good as it gets.
pub(crate) fn good(kind: &str, at_unix_ms: u64) -> Recorded {
    let facts = json!({ "open": 0, "per_ip": 1, "says": "All are shut." });
    recorded(kind, How::Measured, at_unix_ms, facts)
}
