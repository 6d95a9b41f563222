//! One document: its text against its type. Pure; everything it has to know of the world is given.

use std::fmt;
use std::path::{Path, PathBuf};

use plimsoll_manifest::Fault;

use super::body::Body;
use super::finding::Finding;
use super::front::FrontMatter;
use super::kinds::{COMMON, Kind};
use super::{FAULTS_MAX, check, rules};
use crate::board::Risk;
use crate::date::Date;
use crate::gates::Gates;

/// What of a fault evidence says, bytes.
const SAID_BYTES_MAX: usize = 200;

/// What a document is held against.
pub struct Ground<'g> {
    /// The last day that has begun anywhere.
    pub today: Date,
    /// The gates there are.
    pub gates: &'g Gates,
    /// Whether a relative path of a link is there.
    pub exists: &'g dyn Fn(&str) -> bool,
}

/// Somebody's name: shown to whoever opens the document, never in a log or in evidence.
#[derive(Clone, PartialEq, Eq)]
pub struct PersonName(String);

impl PersonName {
    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PersonName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PersonName(…)")
    }
}

/// A document of the plan.
#[derive(Clone, Debug)]
pub struct Document {
    /// Its type.
    pub kind: &'static Kind,
    /// Its file.
    pub path: PathBuf,
    /// Who answers for it.
    pub owner: Option<PersonName>,
    /// The day it was last right, as it says.
    pub date: Option<Date>,
    /// Its state, as a place in [`Kind::states`].
    pub step: Option<usize>,
    /// What is wrong with it, in the order of its lines; [`FAULTS_MAX`] at most.
    pub faults: Vec<Fault>,
    /// What its tables hold: how many of what.
    pub counts: Vec<(&'static str, usize)>,
    /// The first fault in words that quote nothing.
    pub(super) first_fault: Option<String>,
    pub(super) risks: Vec<Risk>,
    /// Of the document of journeys: their names.
    pub journeys: Vec<String>,
}

impl Document {
    /// Its state in a word.
    #[must_use]
    pub fn state(&self) -> Option<&'static str> {
        self.kind.states.get(self.step?).copied()
    }

    /// One that has a single fault of the whole file.
    pub(super) fn broken(kind: &'static Kind, path: &Path, finding: &Finding) -> Self {
        let mut found = Found::default();
        found.push(finding.clone());
        found.document(kind, path)
    }
}

/// Holds the text of a document against its type.
#[must_use]
pub fn examine(kind: &'static Kind, path: &Path, text: &str, ground: &Ground<'_>) -> Document {
    let mut found = Found::default();
    let (front, findings) = FrontMatter::read(text);
    findings.into_iter().for_each(|finding| found.push(finding));
    if let Some(front) = front {
        check::front(kind, &front, ground, &mut found);
        let body = Body::of(text.get(front.body_at..).unwrap_or_default(), front.body_line);
        rules::tables(kind, &body, ground, &mut found);
        check::answers(kind, &body, &mut found);
        check::words(kind, &body, &mut found);
        check::links(&body, ground, &mut found);
    }
    found.document(kind, path)
}

/// What is found while a document is examined.
#[derive(Default)]
pub(super) struct Found {
    pub(super) owner: Option<PersonName>,
    pub(super) date: Option<Date>,
    pub(super) step: Option<usize>,
    pub(super) counts: Vec<(&'static str, usize)>,
    pub(super) risks: Vec<Risk>,
    pub(super) journeys: Vec<String>,
    findings: Vec<Finding>,
}

impl Found {
    pub(super) fn push(&mut self, finding: Finding) {
        if self.findings.len() < FAULTS_MAX {
            self.findings.push(finding);
        }
    }

    pub(super) fn owned_by(&mut self, name: &str) {
        self.owner = Some(PersonName(name.to_owned()));
    }

    /// Whether a fault of a key was told already, or one that suggests it.
    pub(super) fn told(&self, key: &str) -> bool {
        let of = |one: &Finding| one.key == key || one.suggestion.as_deref() == Some(key);
        self.findings.iter().any(of)
    }

    /// How far the document is; a state that is not known is a draft.
    pub(super) fn step(&self) -> usize {
        self.step.unwrap_or_default()
    }

    /// With their file.
    pub(super) fn faults(&self, path: &Path) -> Vec<Fault> {
        self.findings.iter().map(|finding| finding.in_file(path)).collect()
    }

    fn document(mut self, kind: &'static Kind, path: &Path) -> Document {
        self.findings.sort_by_key(|finding| finding.line);
        let first_fault = self.findings.first().map(|finding| said(kind, finding));
        let faults = self.faults(path);
        Document {
            kind,
            path: path.to_owned(),
            faults,
            owner: self.owner,
            date: self.date,
            step: self.step,
            counts: self.counts,
            first_fault,
            risks: self.risks,
            journeys: self.journeys,
        }
    }
}

/// A fault in words of ours alone: what somebody wrote may be a name.
fn said(kind: &Kind, finding: &Finding) -> String {
    let ours = |key: &str| {
        let columns = kind.tables.iter().flat_map(|table| table.columns);
        COMMON.contains(&key)
            || kind.keys.iter().any(|one| one.name == key)
            || kind.tables.iter().any(|table| table.section == key)
            || columns.into_iter().any(|column| column.name == key)
    };
    let line = finding.line.map(|line| format!(":{line}")).unwrap_or_default();
    let key = if ours(&finding.key) { format!("{}: ", finding.key) } else { String::new() };
    let mut text = format!("{}{line}: {key}{}", kind.file(), finding.says);
    while text.len() > SAID_BYTES_MAX {
        text.pop();
    }
    text
}
