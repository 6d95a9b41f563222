//! `plimsoll journey`: what a person must always be able to do, tried.

use std::path::Path;

use http::Method;
use plimsoll_base::{SharedClock, SystemClock};
use plimsoll_drills::journey::{self, junit};
use plimsoll_manifest::{Fault, Overrides};
use serde_json::json;

use crate::cli::{Journey, JourneyCheck, JourneyList, JourneyRun, Output};
use crate::commands::ask::{ask, data_dir, runtime, say, say_json};
use crate::exit::Failure;
use crate::journeys::{Outcome, Ready, Unready, runner};
use crate::setup::{Setup, Source, failure, lines};

pub(crate) fn run(command: &Journey) -> Result<(), Failure> {
    match command {
        Journey::Run(arguments) => run_all(arguments),
        Journey::List(arguments) => list(arguments),
        Journey::Check(arguments) => check(arguments),
    }
}

/// The manifest with its contracts and the files of its journeys, all without a fault.
fn setup(manifest: &Path) -> Result<Setup, Vec<Fault>> {
    Source::File(manifest.to_owned()).load(Path::new(""), &Overrides::default())
}

fn run_all(arguments: &JourneyRun) -> Result<(), Failure> {
    let Chosen { mut journeys, whole } = choose(arguments)?;
    for ready in &mut journeys {
        for (all, secret) in [(&arguments.variable, false), (&arguments.secret, true)] {
            for text in all {
                ready.give(text, secret).map_err(|error| {
                    let argument = if secret { "--secret" } else { "--variable" };
                    Failure::Failed(format!("{argument}: {error}"))
                })?;
            }
        }
    }
    let base = match &arguments.base {
        Some(base) => base.clone(),
        None => own_base(arguments)?,
    };
    let clock: SharedClock = SystemClock::shared();
    let runner = runner(&base, true, &clock).map_err(Failure::Failed)?;
    let people = arguments.running.output == Output::Text;
    let runtime = runtime()?;
    let mut outcome = Outcome::default();
    for ready in journeys {
        let ran = runtime.block_on(outcome.run(ready, &runner));
        if people {
            ran.lines().iter().try_for_each(say)?;
        }
    }
    if let Some(file) = &arguments.junit {
        std::fs::write(file, junit(outcome.all()))
            .map_err(|error| Failure::Failed(format!("{}: {error}", file.display())))?;
    }
    let told = tell(arguments, whole, &outcome);
    let failed = outcome.failed().count();
    if people {
        say(match &told {
            Ok(entry) => format!("added as report.smoke-tests, entry {entry}"),
            Err(why) => format!("not added as evidence: {why}"),
        })?;
    } else {
        say_json(&json!({
            "base": base,
            "passed": failed == 0,
            "journeys": outcome.all(),
            "entry": told.as_ref().ok(),
            "not_added": told.as_ref().err(),
        }))?;
    }
    match failed {
        0 => Ok(()),
        failed => {
            let all = outcome.all().len();
            Err(Failure::Failed(format!("{failed} of {all} journeys failed")))
        }
    }
}

/// What is to be run, and whether that is all that must not fail.
struct Chosen {
    journeys: Vec<Ready>,
    whole: bool,
}

fn choose(arguments: &JourneyRun) -> Result<Chosen, Failure> {
    if let Some(file) = &arguments.file {
        let name = file.file_stem().map_or_else(String::new, |name| name.to_string_lossy().into());
        let ready = Ready::of_file(&name, file).map_err(unready)?;
        return Ok(Chosen { journeys: vec![ready], whole: false });
    }
    let setup = setup(&arguments.manifest).map_err(|faults| failure(&faults))?;
    let declared = &setup.input.manifest.journeys;
    let shown = arguments.manifest.display();
    for name in &arguments.names {
        if declared.iter().any(|one| one.name.as_str() == name) {
            continue;
        }
        let known: Vec<&str> = declared.iter().map(|one| one.name.as_str()).collect();
        let meant = plimsoll_manifest::closest(name, known.iter().copied());
        let meant = meant.map(|meant| format!("; did you mean `{meant}`?")).unwrap_or_default();
        return Err(Failure::Failed(match known.as_slice() {
            [] => format!("{shown} has no [[journey]]; docs/journeys.md says how to write one"),
            _ => format!("{shown} has no journey `{name}`, only {}{meant}", known.join(", ")),
        }));
    }
    let asked = |name: &str| arguments.names.iter().any(|one| one == name);
    let chosen = declared.iter().filter(|one| match arguments.names.as_slice() {
        [] => one.must_not_fail,
        _ => asked(one.name.as_str()),
    });
    let ready = chosen.map(|one| Ready::declared(one, &setup.input.base).map_err(unready));
    let journeys: Vec<Ready> = ready.collect::<Result<_, _>>()?;
    if journeys.is_empty() {
        return Err(Failure::Failed(format!(
            "{shown} has no journey with `must_not_fail = true`; name those to be run"
        )));
    }
    let must = declared.iter().filter(|one| one.must_not_fail).map(|one| one.name.as_str());
    let whole = arguments.names.is_empty() || must.clone().all(asked) && must.count() > 0;
    Ok(Chosen { journeys, whole })
}

fn unready(why: Unready) -> Failure {
    match why {
        Unready::File(faults) => failure(&faults),
        Unready::Given(why) => Failure::Failed(why),
    }
}

/// The running Plimsoll's own first listener.
fn own_base(arguments: &JourneyRun) -> Result<String, Failure> {
    let directory = data_dir(arguments.running.data_dir.as_deref())?;
    let elsewhere = |why: &dyn std::fmt::Display| {
        let says = format!("{why}; or say where the journeys run: --base http://127.0.0.1:8080");
        Failure::Failed(says)
    };
    let answer = match ask(&directory, Method::GET, "/api/v1/node", None) {
        Ok(answer) => answer,
        Err(Failure::Failed(why)) => return Err(elsewhere(&why)),
        Err(other) => return Err(other),
    };
    match answer["base"].as_str() {
        Some(base) => Ok(base.to_owned()),
        None => Err(elsewhere(
            &"the edge speaks TLS, with a certificate for other names than this machine's",
        )),
    }
}

/// Adds the outcome as evidence: the entry, or why it was not added.
fn tell(arguments: &JourneyRun, whole: bool, outcome: &Outcome) -> Result<String, String> {
    if arguments.file.is_some() || arguments.base.is_some() {
        let why = "it was run elsewhere, or from a file of its own; write --junit smoke.xml and \
                   run `plimsoll evidence add smoke.xml --as smoke-tests` where it counts";
        return Err(why.to_owned());
    }
    if !whole {
        return Err("not every journey that must not fail was run".to_owned());
    }
    let report = outcome.report()?;
    let facts = report.facts().map_err(|error| error.to_string())?;
    let asked = json!({ "kind": report.kind.kind(), "facts": facts });
    let directory = data_dir(arguments.running.data_dir.as_deref());
    let directory = directory.map_err(|_| "there is no data directory".to_owned())?;
    let posted = |path: &str, body| match ask(&directory, Method::POST, path, Some(body)) {
        Ok(answer) => Ok(answer),
        Err(Failure::Failed(why)) => Err(why),
        Err(_) => Err("the running Plimsoll did not take it".to_owned()),
    };
    let detail = outcome.must_not_fail();
    let ran = json!({ "act": "journey.run", "subject": "journeys", "detail": detail });
    posted("/api/v1/acts", &ran)?;
    let answer = posted("/api/v1/evidence", &asked)?;
    Ok(answer["entry"].as_str().unwrap_or_default().to_owned())
}

fn list(arguments: &JourneyList) -> Result<(), Failure> {
    let setup = setup(&arguments.manifest).map_err(|faults| failure(&faults))?;
    let declared = &setup.input.manifest.journeys;
    if arguments.output == Output::Json {
        return say_json(&json!({ "journeys": declared }));
    }
    if declared.is_empty() {
        return say(format_args!("{}: no [[journey]]", arguments.manifest.display()));
    }
    declared.iter().try_for_each(|one| {
        let must = if one.must_not_fail { "must not fail" } else { "may fail" };
        let smoke = if one.smoke { ", smoke test" } else { "" };
        let operations = match one.operations.as_slice() {
            [] => "no operation that has a name".to_owned(),
            named => named.join(", "),
        };
        say(format_args!(
            "{:<24} {must}{smoke}  {}  {operations}",
            one.name.as_str(),
            one.file.display()
        ))
    })
}

fn check(arguments: &JourneyCheck) -> Result<(), Failure> {
    let checked = if arguments.files.is_empty() {
        setup(&arguments.manifest).and_then(|setup| {
            let journeys = setup.input.manifest.journeys.iter();
            steps(journeys.map(|one| setup.input.base.join(&one.file)))
        })
    } else {
        steps(arguments.files.iter().cloned())
    };
    match (checked, arguments.output) {
        (Ok((journeys, steps)), Output::Text) => {
            say(format_args!("no faults ({journeys} journeys, {steps} steps)"))
        }
        (Ok((journeys, steps)), Output::Json) => {
            say_json(&json!({ "faults": [], "journeys": journeys, "steps": steps }))
        }
        (Err(faults), Output::Text) => {
            Err(Failure::Faults { lines: lines(&faults), count: faults.len() })
        }
        (Err(faults), Output::Json) => {
            say_json(&json!({ "faults": faults }))?;
            Err(Failure::FaultsTold)
        }
    }
}

/// How many journeys there are and how many steps they have.
fn steps(files: impl Iterator<Item = std::path::PathBuf>) -> Result<(usize, usize), Vec<Fault>> {
    let (mut journeys, mut steps, mut faults) = (0, 0, Vec::new());
    for file in files {
        match journey::read(&file) {
            Ok(read) => (journeys, steps) = (journeys + 1, steps + read.steps.len()),
            Err(wrong) => faults.extend(wrong),
        }
    }
    if faults.is_empty() { Ok((journeys, steps)) } else { Err(faults) }
}
