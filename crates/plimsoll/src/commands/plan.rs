//! `plimsoll plan`: writes the documents of the 90 days, and checks them.

use std::io::{self, Write as _};
use std::path::Path;

use plimsoll_base::{Clock as _, SystemClock};
use plimsoll_plan::Date;
use plimsoll_plan::documents::{self, Document, Read};
use serde_json::{Value, json};

use super::ask::{say, say_json};
use crate::cli::{Output, Plan, PlanCheck, PlanInit};
use crate::exit::Failure;

pub(crate) fn run(command: &Plan) -> Result<(), Failure> {
    match command {
        Plan::Init(arguments) => init(arguments),
        Plan::Check(arguments) => check(arguments),
    }
}

fn init(arguments: &PlanInit) -> Result<(), Failure> {
    let today = Date::of_unix_ms(SystemClock::new().unix_ms());
    let dir = arguments.dir.as_path();
    let done = documents::init(dir, arguments.start, today).map_err(Failure::failed)?;
    let shown = dir.display();
    for path in &done.written {
        say(format_args!("wrote {}", path.display()))?;
    }
    if !done.kept.is_empty() {
        say(format_args!("kept {} as they were", count(done.kept.len(), "file")))?;
    }
    let asked = if dir == Path::new("plan") { String::new() } else { format!(" --dir {shown}") };
    say(format_args!(
        "next: give each document an owner, answer the questions of the first week, then\n  \
         plimsoll plan check{asked}\nwhere to begin: {}",
        dir.join(documents::README).display()
    ))
}

fn check(arguments: &PlanCheck) -> Result<(), Failure> {
    let now = SystemClock::new().unix_ms();
    let read = documents::read(&arguments.dir, now).map_err(Failure::failed)?;
    let faults: Vec<_> = read.all_faults().collect();
    match arguments.output {
        Output::Json => say_json(&answer(&read).map_err(Failure::failed)?)?,
        Output::Text if faults.is_empty() => {
            let states = states(&read.documents);
            let documents = count(read.documents.len(), "document");
            say(format_args!("{}: no faults ({documents}: {states})", arguments.dir.display()))?;
        }
        Output::Text => {
            let mut err = io::stderr().lock();
            for fault in &faults {
                writeln!(err, "{fault}").map_err(Failure::failed)?;
            }
            writeln!(err, "plimsoll: {}", count(faults.len(), "fault")).map_err(Failure::failed)?;
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(Failure::FaultsTold) }
}

/// # Errors
/// A path that is no text.
fn answer(read: &Read) -> serde_json::Result<Value> {
    let faults: serde_json::Result<Vec<Value>> =
        read.all_faults().map(serde_json::to_value).collect();
    Ok(json!({
        "faults": faults?,
        "start": read.facts.start,
        "documents": read.documents.iter().map(Document::json).collect::<Vec<_>>(),
        "risks": read.facts.risks,
    }))
}

/// Such as `30 agreed, 14 draft, 1 booked`: the most first.
fn states(documents: &[Document]) -> String {
    let mut counted: Vec<(&str, usize)> = Vec::new();
    for state in documents.iter().filter_map(Document::state) {
        match counted.iter_mut().find(|(known, _)| *known == state) {
            Some((_, count)) => *count += 1,
            None => counted.push((state, 1)),
        }
    }
    counted.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let counted: Vec<String> =
        counted.into_iter().map(|(state, count)| format!("{count} {state}")).collect();
    counted.join(", ")
}

fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
