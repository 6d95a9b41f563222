//! `plimsoll evidence`: what other tools found, added to what readiness is judged by.
//!
//! A report is read here, where it lies; what goes over the socket are its facts.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use http::Method;
use plimsoll_base::{Clock as _, SystemClock};
use plimsoll_console::client::escaped;
use plimsoll_plan::{REPORT_BYTES_MAX, ReportKind, read_report};
use serde_json::{Value, json};

use crate::cli::{Evidence, EvidenceAdd, EvidenceList, Output};
use crate::commands::ask::{ask, data_dir, say, say_json, span};
use crate::exit::Failure;

/// Digits of an actor's hash that are shown: enough to tell one from another.
const HASH_DIGITS: usize = 8;

pub(crate) fn run(command: &Evidence) -> Result<(), Failure> {
    match command {
        Evidence::Add(arguments) => add(arguments),
        Evidence::List(arguments) => list(arguments),
    }
}

fn add(arguments: &EvidenceAdd) -> Result<(), Failure> {
    let file = &arguments.file;
    let wrong =
        |error: &dyn std::fmt::Display| Failure::Failed(format!("{}: {error}", file.display()));
    let bytes = bytes(file).map_err(|error| wrong(&error))?;
    let wanted = arguments.kind.as_deref().and_then(ReportKind::named);
    let report = read_report(&bytes, wanted).map_err(|error| wrong(&error))?;
    // The same is asked there again; here the answer can name the file.
    report.evidence(SystemClock::new().unix_ms()).map_err(|error| wrong(&error))?;
    let facts = report.facts().map_err(|error| wrong(&error))?;
    let directory = data_dir(arguments.running.data_dir.as_deref())?;
    let asked = json!({ "kind": report.kind.kind(), "facts": facts });
    let answer = ask(&directory, Method::POST, "/api/v1/evidence", Some(&asked))?;
    if arguments.running.output == Output::Json {
        return say_json(&answer);
    }
    say(text(&answer["says"]))?;
    let dated = match answer["facts"]["dated"].as_str() {
        Some(day) => format!("; its age counts from {day}, as the report says"),
        None => "; the report does not say when it was made, so its age counts from now".to_owned(),
    };
    say(format!("added as {}, entry {}{dated}", text(&answer["kind"]), text(&answer["entry"])))
}

/// One byte more than is read is enough to know that it is too long.
fn bytes(file: &Path) -> io::Result<Vec<u8>> {
    let most = u64::try_from(REPORT_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    if file == Path::new("-") {
        io::stdin().lock().take(most).read_to_end(&mut bytes)?;
    } else {
        File::open(file)?.take(most).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

fn list(arguments: &EvidenceList) -> Result<(), Failure> {
    let mut path = "/api/v1/evidence".to_owned();
    if let Some(kind) = &arguments.kind {
        path.push_str(&format!("?kind={}", escaped(kind)));
    }
    let directory = data_dir(arguments.running.data_dir.as_deref())?;
    let answer = ask(&directory, Method::GET, &path, None)?;
    if arguments.running.output == Output::Json {
        return say_json(&answer);
    }
    let rows = answer["evidence"].as_array().map(Vec::as_slice).unwrap_or_default();
    if rows.is_empty() {
        return say("no evidence yet");
    }
    let now = answer["at_unix_ms"].as_u64().unwrap_or_default();
    rows.iter().try_for_each(|row| say(line(row, now)))
}

/// What it is, how old, by whom, and what it says.
fn line(row: &Value, now_unix_ms: u64) -> String {
    let age = now_unix_ms.saturating_sub(row["at_unix_ms"].as_u64().unwrap_or_default());
    let dated = row["facts"]["dated"].as_str().map(|day| format!(", dated {day}"));
    let who = match row["actor"].as_str() {
        Some(hash) => format!(" {}", hash.get(..HASH_DIGITS).unwrap_or(hash)),
        None => String::new(),
    };
    let genuine = match row["genuine"].as_bool() {
        Some(true) => "",
        _ => "  NOT AS IT WAS WRITTEN: run `plimsoll ledger verify`",
    };
    format!(
        "{:<24} {:<9} {} ago{}  by {}{who}  {}{genuine}",
        text(&row["kind"]),
        text(&row["how"]),
        span(age),
        dated.unwrap_or_default(),
        text(&row["actor_kind"]),
        text(&row["facts"]["says"]),
    )
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
