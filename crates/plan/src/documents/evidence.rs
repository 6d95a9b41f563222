//! What gates are told of the documents: states, days and counts, never a name.

use plimsoll_ledger::{Evidence, How};
use serde_json::{Map, Value, json};

use super::examine::Document;
use super::folder::Read;
use super::kinds::Kind;

impl Read {
    /// Evidence of every type of document, in the order of the plan. One that is not there says so:
    /// else what it said before it was deleted would stand.
    #[must_use]
    pub fn evidence(&self) -> Vec<Evidence> {
        let facts = |kind: &Kind| {
            let document = self.documents.iter().find(|document| document.kind.name == kind.name);
            document.map_or_else(|| missing(kind), facts)
        };
        let declared = |kind: &Kind| Evidence {
            kind: kind.evidence.to_owned(),
            how: How::Declared,
            facts: facts(kind).into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        };
        super::KINDS.iter().map(declared).collect()
    }
}

type Facts = Vec<(&'static str, Value)>;

fn missing(kind: &Kind) -> Facts {
    vec![
        ("state", json!("missing")),
        ("owned", json!(false)),
        ("faults", json!(1)),
        ("first_fault", json!(format!("{} is not there", kind.file()))),
    ]
}

fn facts(document: &Document) -> Facts {
    let mut facts: Facts = vec![
        ("state", json!(document.state().unwrap_or("unknown"))),
        ("owned", json!(document.owner.is_some())),
        ("faults", json!(document.faults.len())),
    ];
    facts.extend(document.step.map(|step| ("step", json!(step))));
    facts.extend(document.date.map(|date| ("dated", json!(date))));
    facts.extend(document.first_fault.as_ref().map(|fault| ("first_fault", json!(fault))));
    facts.extend(document.counts.iter().map(|(name, count)| (*name, json!(count))));
    if let (Some(state), Some(date)) = (document.state(), document.date) {
        facts.push(("says", json!(says(state, date, &document.counts))));
    }
    facts
}

/// Such as `Agreed, as of 2026-11-30; risks: 9.`
fn says(state: &str, date: crate::Date, counts: &[(&'static str, usize)]) -> String {
    let (first, rest) = state.split_at_checked(1).unwrap_or((state, ""));
    let counted =
        counts.iter().map(|(name, count)| format!("; {}: {count}", name.replace('_', " ")));
    format!("{}{rest}, as of {date}{}.", first.to_uppercase(), counted.collect::<String>())
}

/// For scripts: what is in the folder. Names stand in it, as in the documents.
impl Document {
    /// As JSON: type, file, owner, day, state, counts; its faults are told beside it.
    #[must_use]
    pub fn json(&self) -> Value {
        let counts = self.counts.iter().map(|(name, count)| ((*name).to_owned(), json!(count)));
        json!({
            "name": self.kind.name,
            "title": self.kind.title,
            "path": self.path.to_string_lossy(),
            "owner": self.owner.as_ref().map(super::examine::PersonName::as_str),
            "date": self.date,
            "state": self.state(),
            "faults": self.faults.len(),
            "counts": counts.collect::<Map<_, _>>(),
        })
    }
}
