//! `plimsoll ledger`: read it, check it, take it along.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, BufWriter, IsTerminal as _, Write as _};
use std::path::Path;

use http::Method;
use plimsoll_console::client::escaped;
use plimsoll_protection::PublicKey;
use serde_json::{Value, json};

use crate::cli::{Accept, Export, Ledger, Output, Tail, Verify};
use crate::commands::ask::{ask, ask_streaming, data_dir, say, say_json};
use crate::exit::Failure;

pub(crate) fn run(command: &Ledger) -> Result<(), Failure> {
    match command {
        Ledger::Tail(arguments) => tail(arguments),
        Ledger::Verify(arguments) => match &arguments.file {
            Some(file) => verify_file(file, arguments),
            None => verify(arguments),
        },
        Ledger::Export(arguments) => export(arguments),
        Ledger::Accept(arguments) => accept(arguments),
    }
}

fn accept(arguments: &Accept) -> Result<(), Failure> {
    let directory = data_dir(arguments.running.data_dir.as_deref())?;
    let asked = json!({ "reason": arguments.reason });
    let answer = ask(&directory, Method::POST, "/api/v1/ledger/accept", Some(&asked))?;
    if arguments.running.output == Output::Json {
        return say_json(&answer);
    }
    say(format!(
        "accepted: the chain of {} entries as it stands; checkpoints are signed again, and \
         `plimsoll ledger verify` lists what differs with your reason",
        answer["size"]
    ))
}

/// The path that asks for a verification.
fn verification(arguments: &Verify) -> Result<String, Failure> {
    let keys: Vec<String> = trusted(arguments)?.iter().map(PublicKey::to_hex).collect();
    let mut folders = Vec::new();
    for folder in &arguments.checkpoints {
        let said = |error| Failure::Failed(format!("--checkpoints {}: {error}", folder.display()));
        let whole = folder.canonicalize().map_err(said)?;
        let odd = || Failure::Failed(format!("--checkpoints {}: not UTF-8", folder.display()));
        folders.push(whole.to_str().ok_or_else(odd)?.to_owned());
    }
    let list = |list: &[String]| escaped(&json!(list).to_string());
    let (folders, keys) = (list(&folders), list(&keys));
    Ok(format!("/api/v1/ledger/verify?checkpoints={folders}&keys={keys}"))
}

fn tail(arguments: &Tail) -> Result<(), Failure> {
    let mut path = format!("/api/v1/ledger?limit={}", arguments.limit);
    let named = [
        ("action", &arguments.action),
        ("actor", &arguments.actor),
        ("subject", &arguments.subject),
        ("outcome", &arguments.outcome),
        ("before", &arguments.before),
    ];
    for (name, value) in named {
        if let Some(value) = value {
            path.push_str(&format!("&{name}={}", escaped(value)));
        }
    }
    let directory = data_dir(arguments.running.data_dir.as_deref())?;
    let answer = ask(&directory, Method::GET, &path, None)?;
    if arguments.running.output == Output::Json {
        return say_json(&answer);
    }
    let entries = answer["entries"].as_array().map(Vec::as_slice).unwrap_or_default();
    for entry in entries.iter().rev() {
        say(entry_line(entry))?;
    }
    if let Some(next) = answer["next"].as_str() {
        say(format!("older ones: --before {next}"))?;
    }
    Ok(())
}

/// `2026-11-22T10:00:00Z  #12  token.revoke  ok  operator 3f…  sub:…  {…}`.
fn entry_line(entry: &Value) -> String {
    let text = |name: &str| entry[name].as_str().unwrap_or("-");
    let at = entry["at_unix_ms"].as_i64().unwrap_or_default();
    let place = match entry["position"].as_u64() {
        Some(position) => format!("#{position}"),
        None => "not sealed yet".to_owned(),
    };
    let actor = text("actor");
    let actor = actor.get(..12).unwrap_or(actor);
    let time = rfc3339(at);
    format!(
        "{time}  {place}  {}  {}  {} {actor}  {}  {}",
        text("action"),
        text("outcome"),
        text("actor_kind"),
        text("subject"),
        entry["detail"]
    )
}

fn verify(arguments: &Verify) -> Result<(), Failure> {
    let directory = data_dir(arguments.running.data_dir.as_deref())?;
    let mut last = None;
    let mut pending = Vec::new();
    let shows = io::stderr().is_terminal();
    ask_streaming(&directory, &verification(arguments)?, |piece| {
        pending.extend_from_slice(piece);
        while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = pending.drain(..=end).collect();
            let said: Value = serde_json::from_slice(&line)?;
            match said.get("progress") {
                Some(progress) if shows => {
                    let mut out = io::stderr();
                    write!(out, "\r{} of {} entries", progress["done"], progress["total"])?;
                    out.flush()?;
                }
                Some(_) => {}
                None => last = Some(said),
            }
        }
        Ok(())
    })?;
    if shows {
        writeln!(io::stderr()).map_err(Failure::failed)?;
    }
    let broken = || Failure::Failed("the answer broke off before the verdict".to_owned());
    let last = last.ok_or_else(broken)?;
    if let Some(error) = last["error"].as_str() {
        return Err(Failure::Failed(format!("nothing can be said: {error}")));
    }
    verdict(&last["report"], arguments.running.output)
}

/// Tells what was found; a fault is exit code 1.
fn verdict(report: &Value, output: Output) -> Result<(), Failure> {
    let whole = report["whole"].as_bool().unwrap_or(false);
    if output == Output::Json {
        say_json(report)?;
    } else {
        say(format!(
            "{} sealed entries checked in {} ms, {} checkpoints agree, the last at {}",
            report["entries"], report["took_ms"], report["checkpoints"], report["checkpoint_size"],
        ))?;
        say(format!(
            "{} lie after the last checkpoint, {} are not sealed yet",
            report["after_checkpoint"], report["unsealed"]
        ))?;
        if let Some(key) = report["public_key"].as_str() {
            say(format!("signed with the public key {key}"))?;
        }
        for fault in report["faults"].as_array().map(Vec::as_slice).unwrap_or_default() {
            say(format!("FAULT  {}", fault.as_str().unwrap_or_default()))?;
        }
        for accepted in report["accepted"].as_array().map(Vec::as_slice).unwrap_or_default() {
            let fault = accepted["fault"].as_str().unwrap_or_default();
            say(format!("accepted by an operator: {fault} ({})", accepted["why"]))?;
        }
        if whole {
            say("the ledger is whole")?;
        }
    }
    if whole {
        return Ok(());
    }
    let more = report["faults_more"].as_u64().unwrap_or_default();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    Err(Failure::Failed(format!(
        "the ledger is not what was sealed{more}; docs/ledger.md says what each fault means and \
         what to do"
    )))
}

fn verify_file(file: &Path, arguments: &Verify) -> Result<(), Failure> {
    let opened = File::open(file)
        .map_err(|error| Failure::Failed(format!("cannot read {}: {error}", file.display())))?;
    let trusted = trusted(arguments)?;
    let report = plimsoll_ledger::verify_export(&mut BufReader::new(opened), &trusted)
        .map_err(Failure::failed)?;
    verdict(&plimsoll_console::report_json(&report), arguments.running.output)
}

/// The keys whose checkpoints are believed.
fn trusted(arguments: &Verify) -> Result<Vec<PublicKey>, Failure> {
    let key = |text: &String| {
        PublicKey::from_hex(text).map_err(|_| {
            Failure::Failed(format!("--key {text}: a public key is 64 hexadecimal digits"))
        })
    };
    arguments.key.iter().map(key).collect()
}

/// RFC 3339, to the second.
fn rfc3339(unix_ms: i64) -> String {
    let time = time::OffsetDateTime::from_unix_timestamp(unix_ms.div_euclid(1_000));
    let format =
        time::macros::format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
    time.ok().and_then(|time| time.format(format).ok()).unwrap_or_else(|| unix_ms.to_string())
}

fn export(arguments: &Export) -> Result<(), Failure> {
    let directory = data_dir(arguments.running.data_dir.as_deref())?;
    let to = arguments.to.map(|to| format!("&to={to}")).unwrap_or_default();
    let path = format!("/api/v1/ledger/export?from={}{to}", arguments.from);
    let Some(file) = &arguments.file else {
        let mut out = BufWriter::new(io::stdout().lock());
        ask_streaming(&directory, &path, |piece| out.write_all(piece))?;
        return out.flush().map_err(Failure::unwritten);
    };
    // Never over another: an export is evidence.
    let opened = OpenOptions::new().write(true).create_new(true).open(file);
    let opened = opened
        .map_err(|error| Failure::Failed(format!("cannot make {}: {error}", file.display())))?;
    let mut out = BufWriter::new(&opened);
    ask_streaming(&directory, &path, |piece| out.write_all(piece))?;
    out.flush().and_then(|()| opened.sync_all()).map_err(Failure::failed)?;
    drop(out);
    say(format!(
        "exported to {file}; `plimsoll ledger verify --file {file}` checks it anywhere",
        file = file.display()
    ))
}
