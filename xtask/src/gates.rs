//! Gates: a capability comes with the evidence that its gates ask for, and none is said to come
//! before it does.
//!
//! Reads `crates/plan/gates.toml`, the floors of `doors.toml`, the steps that are comment lines in
//! the edge's stack, and the strings in the sources. A kind of evidence is registered where its
//! name stands as a string in its room, in the composition root or in the plan: whole, or as its
//! two halves in one file, `"document."` and `"scope"`, as `concat!` wants them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;

use crate::CheckError;
use crate::finding::{Finding, line_starting};
use crate::house::{House, read_text};
use crate::table::{self, DoorsTable};
use crate::{rust_text, unused};

const GATES: &str = "crates/plan/gates.toml";
const STACK: &str = "crates/edge/src/stack.rs";
/// The floor whose crates are rooms.
const ROOMS: &str = "rooms";
/// Crates of other floors that are capabilities as well.
const CAPABLE: [&str; 5] = ["edge", "ledger", "store", "snapshot", "telemetry"];
/// Where a kind may be registered beside its own room.
const COLLECTORS: [&str; 2] = ["plimsoll", "plan"];
/// Kinds named in one finding.
const NAMED_MAX: usize = 6;

/// What of `gates.toml` matters here; the plan checks the rest.
#[derive(Debug, Deserialize)]
struct GatesTable {
    kind: Vec<Kinds>,
    gate: Vec<Gate>,
}

#[derive(Debug, Deserialize)]
struct Kinds {
    names: Vec<String>,
    room: String,
    waits_for: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Gate {
    id: String,
    evidence: String,
    step: Option<String>,
}

/// A kind of evidence, with what is known of it.
struct Kind<'a> {
    name: &'a str,
    room: &'a str,
    waits_for: Option<&'a str>,
    registered: bool,
    /// The gates that ask for it and wait for a step.
    steps: Vec<(&'a str, &'a str)>,
}

/// Compares what gates wait for with what there is.
pub(crate) fn check(house: &House, doors: &DoorsTable) -> Result<Vec<Finding>, CheckError> {
    let table: GatesTable = table::read(&house.root.join(GATES))?;
    let text = read_text(&house.root.join(GATES))?;
    let stack = read_text(&house.root.join(STACK))?;
    let rooms = rooms(house);
    let sources = Sources::read(house, &rooms, &table)?;
    let kinds = kinds(&table, &sources);
    let mut findings = steps(&kinds, &comment_steps(&stack), &table, &text);
    let mut silent = BTreeMap::new();
    for kind in kinds.iter().filter(|kind| kind.steps.is_empty()) {
        let at = line_starting_with(&text, kind.name);
        if !doors.floors.iter().any(|floor| floor.crates.iter().any(|word| word == kind.room)) {
            let what = format!("no crate of xtask/doors.toml is called `{}`", kind.room);
            let todo = format!("name the room that brings `{}`", kind.name);
            findings.push(Finding::error(GATES, at, what, todo));
        } else if !rooms.contains(kind.room) {
            findings.extend(too_early(kind, at));
        } else if let Some(word) = kind.waits_for {
            findings.extend(waiting(kind, word, sources.code_has(kind.room, word), at));
        } else if !kind.registered {
            silent.entry(kind.room).or_insert_with(Vec::new).push(kind.name);
        }
    }
    findings.extend(silent.iter().map(|(room, kinds)| unregistered(room, kinds)));
    for room in capable(doors).filter(|room| rooms.contains(room) && !silent.contains_key(room)) {
        if !kinds.iter().any(|kind| kind.room == room && kind.registered) {
            findings.push(without_gates(room));
        }
    }
    Ok(findings)
}

/// The words of the crates that exist.
fn rooms(house: &House) -> BTreeSet<&str> {
    let crates = house.members.iter().filter(|member| member.dir.starts_with("crates/"));
    crates.map(|member| member.word.as_str()).collect()
}

/// The crates that have to bring evidence once they exist.
fn capable(doors: &DoorsTable) -> impl Iterator<Item = &str> {
    let floors = doors.floors.iter().filter(|floor| floor.name == ROOMS);
    floors.flat_map(|floor| &floor.crates).map(String::as_str).chain(CAPABLE)
}

fn kinds<'a>(table: &'a GatesTable, sources: &Sources) -> Vec<Kind<'a>> {
    let mut steps: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
    for gate in &table.gate {
        if let Some(step) = &gate.step {
            steps.entry(&gate.evidence).or_default().push((&gate.id, step));
        }
    }
    let all = table.kind.iter().flat_map(|kinds| kinds.names.iter().map(move |name| (kinds, name)));
    all.map(|(kinds, name)| Kind {
        name,
        room: &kinds.room,
        waits_for: kinds.waits_for.as_deref(),
        registered: sources.register(name, &kinds.room),
        steps: steps.get(name.as_str()).cloned().unwrap_or_default(),
    })
    .collect()
}

/// Gates that wait for a step wait exactly as long as it is a comment line.
fn steps(
    kinds: &[Kind<'_>],
    comments: &[(usize, &str)],
    table: &GatesTable,
    text: &str,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (line, step) in comments {
        if !table.gate.iter().any(|gate| gate.step.as_deref() == Some(step)) {
            findings.push(Finding::error(
                STACK,
                Some(*line),
                format!("no gate waits for the step `{step}`"),
                format!("add a gate with `step = \"{step}\"` to {GATES}, and its kind of evidence"),
            ));
        }
    }
    for kind in kinds {
        for (gate, step) in &kind.steps {
            let comment = comments.iter().any(|(_, name)| name == step);
            let (what, todo) = match (comment, kind.registered) {
                (true, false) => continue,
                (true, true) => (
                    format!("`{}` is registered, and the step `{step}` is not built", kind.name),
                    format!(
                        "remove the step's comment line from {STACK} once it is built, or do \
                             not register the kind"
                    ),
                ),
                (false, false) => (
                    format!("the step `{step}` is built without the evidence of `{gate}`"),
                    format!(
                        "register `{}` as an EvidenceKind of `{}`; if its comment line in \
                             {STACK} was only worded anew, write `step` likewise",
                        kind.name, kind.room
                    ),
                ),
                (false, true) => (
                    format!("the step `{step}` is built, and `{gate}` still waits for it"),
                    "remove `step`, and say in `next` what turns the gate green".to_owned(),
                ),
            };
            let at = line_starting(text, &format!("id = {gate:?}"));
            findings.push(Finding::error(GATES, at, what, todo));
        }
    }
    findings
}

/// A kind whose room does not exist.
fn too_early(kind: &Kind<'_>, at: Option<usize>) -> Option<Finding> {
    let (what, todo) = if kind.registered {
        (
            format!("`{}` is registered, and there is no crate `{}`", kind.name, kind.room),
            "do not register what nothing brings; or name the room that does",
        )
    } else {
        kind.waits_for?;
        (
            format!("`{}` waits for a name in the crate `{}`", kind.name, kind.room),
            "remove `waits_for`: it waits for the crate itself",
        )
    };
    Some(Finding::error(GATES, at, what, todo))
}

/// A kind whose room exists without the capability.
fn waiting(kind: &Kind<'_>, word: &str, landed: bool, at: Option<usize>) -> Option<Finding> {
    let (what, todo) = match (kind.registered, landed) {
        (false, false) => return None,
        (true, _) => (
            format!("`{}` is registered and still waits for `{word}`", kind.name),
            "remove `waits_for`, and say in `next` what turns its gates green".to_owned(),
        ),
        (false, true) => (
            format!("`{word}` has come to `{}` without the evidence of its gates", kind.room),
            format!(
                "register `{}` as an EvidenceKind, and remove `waits_for`; if the name means \
                     something else there, wait for another",
                kind.name
            ),
        ),
    };
    Some(Finding::error(GATES, at, what, todo))
}

fn unregistered(room: &str, kinds: &[&str]) -> Finding {
    let mut named = kinds[..kinds.len().min(NAMED_MAX)].join(", ");
    if kinds.len() > NAMED_MAX {
        named.push_str(&format!(" and {} more", kinds.len() - NAMED_MAX));
    }
    Finding::error(
        format!("crates/{room}"),
        None,
        format!("gates ask for evidence that nothing registers: {named}"),
        format!(
            "register each as an EvidenceKind of `{room}`, there, in crates/plimsoll or in \
                 crates/plan; or give a kind that is not built `waits_for` in {GATES}"
        ),
    )
}

fn without_gates(room: &str) -> Finding {
    Finding::error(
        format!("crates/{room}"),
        None,
        format!("no gate can be judged by what `{room}` does"),
        format!(
            "add a gate and its kind of evidence to {GATES}, and register the kind: a \
                 capability comes with its gate"
        ),
    )
}

/// Steps that are not built: `// cache: RFC 9111, safe by identity`. A line that names a file says
/// where something is.
fn comment_steps(stack: &str) -> Vec<(usize, &str)> {
    let lines = stack.lines().enumerate();
    lines
        .filter_map(|(index, line)| {
            let (name, rest) = line.trim_start().strip_prefix("// ")?.split_once(": ")?;
            let plain = |one: char| one.is_ascii_lowercase() || one == ' ';
            (name.chars().all(plain) && !rest.contains(".rs")).then_some((index + 1, name))
        })
        .collect()
}

/// The line of `gates.toml` in which a kind has its name.
fn line_starting_with(text: &str, kind: &str) -> Option<usize> {
    let quoted = format!("{kind:?}");
    text.lines().position(|line| line.contains(&quoted)).map(|index| index + 1)
}

/// What the crates say in strings, file by file, and the code of those that a kind waits in.
struct Sources {
    strings: BTreeMap<String, Vec<BTreeSet<String>>>,
    code: BTreeMap<String, String>,
}

impl Sources {
    fn read(house: &House, rooms: &BTreeSet<&str>, table: &GatesTable) -> Result<Self, CheckError> {
        let (mut strings, mut code) = (BTreeMap::new(), BTreeMap::new());
        let named = table.kind.iter().map(|kinds| kinds.room.as_str());
        let wanted: BTreeSet<&str> = named.chain(COLLECTORS).collect();
        for room in wanted.intersection(rooms) {
            let dir = house.root.join("crates").join(room).join("src");
            let mut files = Vec::new();
            strings_below(&dir, &mut files)?;
            strings.insert((*room).to_owned(), files);
            let waits = |kinds: &Kinds| kinds.room == *room && kinds.waits_for.is_some();
            if table.kind.iter().any(waits) {
                unused::collect(&dir, code.entry((*room).to_owned()).or_default())?;
            }
        }
        Ok(Self { strings, code })
    }

    fn register(&self, kind: &str, room: &str) -> bool {
        let halves = kind.find('.').map(|dot| kind.split_at(dot + 1));
        let places = COLLECTORS.iter().copied().chain([room]);
        places.filter_map(|place| self.strings.get(place)).flatten().any(|file| {
            let both = |(word, name): (&str, &str)| file.contains(word) && file.contains(name);
            file.contains(kind) || halves.is_some_and(both)
        })
    }

    fn code_has(&self, room: &str, word: &str) -> bool {
        self.code.get(room).is_some_and(|code| rust_text::has_word(code, word))
    }
}

/// The strings of each file below `dir`, those of tests left out.
fn strings_below(dir: &Path, files: &mut Vec<BTreeSet<String>>) -> Result<(), CheckError> {
    unused::each_source(dir, &mut |source| {
        files.push(rust_text::literals(source).into_iter().map(str::to_owned).collect());
    })
}

#[cfg(test)]
mod tests;
