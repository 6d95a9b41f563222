//! Journeys where the manifest, the contracts, the plan and their own files meet: what they ask
//! for, what is wrong with them, and running them.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use plimsoll_base::{Clock as _, SharedClock, SystemClock};
use plimsoll_drills::journey::{
    self, Journey, NameFault, Ran, Runner, RunnerOptions, Secrets, Variables, is_secret_name, junit,
};
use plimsoll_manifest::{Fault, Journey as Declared, Loaded, Manifest, env};
use plimsoll_outbound::{Outbound, OutboundOptions};
use plimsoll_plan::{Imported, ReportKind, documents, read_report};
use plimsoll_snapshot::Routes;
use serde_json::{Map, Value};

/// What stands before the name of a variable in the environment.
const ENVIRONMENT: &str = "PLIMSOLL_JOURNEY_";

/// Reads each journey's file, says which operations a journey without `operations` is made of, and
/// holds the names that objectives have against what is there.
///
/// # Errors
/// Every fault, with the place in the journey's file or in the manifest.
pub(crate) fn join(loaded: &mut Loaded, routes: &Routes) -> Result<(), Vec<Fault>> {
    let mut faults = Vec::new();
    let base = loaded.base_dir.clone();
    let known = routes.services.iter().any(|service| !service.operations.is_empty());
    for (index, declared) in loaded.manifest.journeys.iter_mut().enumerate() {
        let read = match journey::read(&base.join(&declared.file)) {
            Ok(read) => read,
            Err(wrong) => {
                faults.extend(wrong);
                continue;
            }
        };
        if !declared.operations.is_empty() {
            continue;
        }
        declared.operations = journey::touched(&read, routes);
        if declared.must_not_fail && declared.operations.is_empty() && known {
            let message = format!("{} asks for no operation there is", declared.file.display());
            let expected = "`operations = [\"…\"]`, or requests such as `GET {{base}}/feed`";
            faults.push(fault(format!("journey[{index}].operations"), message, expected));
        }
    }
    faults.extend(objectives(&loaded.manifest, &base));
    if faults.is_empty() {
        return Ok(());
    }
    let file = loaded.path.clone().unwrap_or_else(|| PathBuf::from("command line"));
    let text = std::fs::read_to_string(&file).unwrap_or_default();
    for fault in faults.iter_mut().filter(|fault| fault.line.is_none() && !fault.key.is_empty()) {
        file.clone_into(&mut fault.file);
        let (line, column) = plimsoll_manifest::locate(&text, &fault.key);
        (fault.line, fault.column) = (Some(line), Some(column));
    }
    Err(faults)
}

fn fault(key: String, message: String, expected: &str) -> Fault {
    let mut fault = Fault::of_file("", message).expecting(expected);
    fault.key = key;
    fault
}

/// An objective is about a journey of the manifest, or about one that only the plan names. The
/// plan is read only where that is asked.
fn objectives(manifest: &Manifest, base: &Path) -> Vec<Fault> {
    let mut planned: Option<Vec<String>> = None;
    let mut faults = Vec::new();
    for (index, objective) in manifest.objectives.iter().enumerate() {
        let Some(name) = objective.journey.as_ref().map(plimsoll_base::Name::as_str) else {
            continue;
        };
        let declared = || manifest.journeys.iter().map(|journey| journey.name.as_str());
        if declared().any(|one| one == name) {
            continue;
        }
        let planned = planned.get_or_insert_with(|| in_the_plan(manifest, base));
        if planned.iter().any(|one| one == name) {
            continue;
        }
        let message = format!("there is no journey `{name}`");
        let expected = "the name of a [[journey]], or of one in the plan's journeys.md";
        let mut fault = fault(format!("objective[{index}].journey"), message, expected);
        let candidates = declared().chain(planned.iter().map(String::as_str));
        fault.suggestion = plimsoll_manifest::closest(name, candidates).map(str::to_owned);
        faults.push(fault);
    }
    faults
}

/// A plan that cannot be read names none; `plimsoll plan check` says why.
fn in_the_plan(manifest: &Manifest, base: &Path) -> Vec<String> {
    let folder = base.join(&manifest.plan.directory);
    let read = documents::read(&folder, SystemClock::new().unix_ms());
    let documents = read.map(|read| read.documents).unwrap_or_default();
    documents.into_iter().flat_map(|document| document.journeys).collect()
}

/// Journeys that must not fail and have no operation that anything could know by name.
pub(crate) fn notices(manifest: &Manifest) -> Vec<String> {
    let nameless = manifest.journeys.iter().filter(|one| one.must_not_fail);
    nameless
        .filter(|one| one.operations.is_empty())
        .map(|one| {
            format!(
                "journey `{}`: nothing gives its operations names, so nothing is answered before \
                 all else for it; give the service a contract, or name them with [[operation]]",
                one.name
            )
        })
        .collect()
}

/// Why a journey cannot be run.
#[derive(Debug)]
pub(crate) enum Unready {
    /// What is wrong with its file.
    File(Vec<Fault>),
    /// What the environment has for it cannot be read.
    Given(String),
}

impl fmt::Display for Unready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(faults) => faults.first().map_or(Ok(()), |first| first.fmt(f)),
            Self::Given(why) => f.write_str(why),
        }
    }
}

/// A journey, read, with what it is given.
pub(crate) struct Ready {
    name: String,
    must_not_fail: bool,
    journey: Journey,
    variables: Variables,
    secrets: Secrets,
}

impl Ready {
    /// One of the manifest's, whose files are relative to `base`.
    ///
    /// # Errors
    /// As of [`Ready::of_file`].
    pub(crate) fn declared(declared: &Declared, base: &Path) -> Result<Self, Unready> {
        let ready = Self::of_file(declared.name.as_str(), &base.join(&declared.file))?;
        Ok(Self { must_not_fail: declared.must_not_fail, ..ready })
    }

    /// Gives a journey what the environment has for it: `PLIMSOLL_JOURNEY_NAME`, or the file that
    /// `PLIMSOLL_JOURNEY_NAME_FILE` names, for each variable in it. Nothing of that is ever shown.
    ///
    /// # Errors
    /// Faults of the file, or a variable that cannot be read.
    pub(crate) fn of_file(name: &str, file: &Path) -> Result<Self, Unready> {
        let journey = journey::read(file).map_err(Unready::File)?;
        let given = |error: &dyn fmt::Display| Unready::Given(error.to_string());
        let (mut variables, mut secrets) = (Variables::default(), Secrets::default());
        for variable in &journey.names {
            let upper = variable.to_ascii_uppercase().replace('-', "_");
            let found = env::secret(&format!("{ENVIRONMENT}{upper}"));
            if let Some(found) = found.map_err(|error| given(&error))? {
                secrets.hide(found.expose());
                let value = journey::text(found.expose());
                variables.set(variable, value).map_err(|error| given(&error))?;
            }
        }
        Ok(Self { name: name.to_owned(), must_not_fail: false, journey, variables, secrets })
    }

    /// Gives it `NAME=VALUE`. A secret is a text, whatever it looks like; it is hidden, and so is
    /// what has the name of one.
    ///
    /// # Errors
    /// A text that gives nothing.
    pub(crate) fn give(&mut self, text: &str, secret: bool) -> Result<(), NameFault> {
        let (name, value) = if secret { journey::secret(text)? } else { journey::variable(text)? };
        if secret || is_secret_name(&name) {
            // As it was written, and as it is sent.
            let (_, written) = text.split_once('=').unwrap_or_default();
            self.secrets.hide(written);
            self.secrets.hide_value(&value);
        }
        self.variables.set(&name, value)
    }
}

/// What came of the journeys that were run together.
#[derive(Default)]
pub(crate) struct Outcome {
    all: Vec<Ran>,
    /// The names of those that must not fail.
    must_not_fail: BTreeSet<String>,
}

impl Outcome {
    pub(crate) async fn run(&mut self, ready: Ready, runner: &Runner) -> Ran {
        let Ready { name, must_not_fail, journey, variables, secrets } = ready;
        let mut random = || uuid::Uuid::new_v4().as_u128();
        let ran = runner.run(&name, &journey, variables, secrets, &mut random).await;
        self.add(ran.clone(), must_not_fail);
        ran
    }

    fn add(&mut self, ran: Ran, must_not_fail: bool) {
        if must_not_fail {
            self.must_not_fail.insert(ran.name.clone());
        }
        self.all.push(ran);
    }

    pub(crate) fn all(&self) -> &[Ran] {
        &self.all
    }

    /// Those that failed, whether they may or not.
    pub(crate) fn failed(&self) -> impl Iterator<Item = &Ran> {
        self.all.iter().filter(|ran| !ran.passed())
    }

    /// What `report.smoke-tests` says of them all.
    ///
    /// # Errors
    /// Never in practice: it is our own report that is read.
    pub(crate) fn report(&self) -> Result<Imported, String> {
        let report = junit(&self.all);
        let read = read_report(report.as_bytes(), Some(ReportKind::SmokeTests));
        read.map_err(|error| error.to_string())
    }

    /// What `drills.journeys` says of those that must not fail, and of no others.
    pub(crate) fn must_not_fail(&self) -> Map<String, Value> {
        let must = || self.all.iter().filter(|ran| self.must_not_fail.contains(&ran.name));
        let mut failed = must().filter(|ran| !ran.passed()).peekable();
        let first = failed.peek().map(|ran| ran.name.clone());
        let mut said = Map::new();
        said.insert("journeys".into(), must().count().into());
        said.insert("failed".into(), failed.count().into());
        if let Some(first) = first {
            said.insert("first_failed".into(), first.into());
        }
        said
    }
}

/// A runner for `base`. Whoever runs a journey by hand may send it to this machine's own networks.
///
/// # Errors
/// A base that is none, or a machine without usable TLS.
pub(crate) fn runner(base: &str, by_hand: bool, clock: &SharedClock) -> Result<Runner, String> {
    let outbound = Outbound::new(OutboundOptions::default()).map_err(|error| error.to_string())?;
    let options = RunnerOptions {
        base: base.to_owned(),
        private_elsewhere: by_hand,
        outbound,
        clock: std::sync::Arc::clone(clock),
    };
    Runner::new(options).map_err(|error| error.to_string())
}

/// Where the edge at `address` is asked from this machine.
pub(crate) fn own_base(mut address: std::net::SocketAddr) -> String {
    use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    format!("http://{address}")
}

#[cfg(test)]
mod tests {
    use plimsoll_drills::journey::Word;

    use super::*;

    fn ran(name: &str, word: Word) -> Ran {
        Ran { name: name.to_owned(), word, took_ms: 1, steps: Vec::new() }
    }

    #[test]
    fn a_journey_that_may_fail_says_nothing_of_those_that_must_not() {
        let mut outcome = Outcome::default();
        outcome.add(ran("may", Word::Failed), false);
        outcome.add(ran("must", Word::Passed), true);
        let said = |outcome: &Outcome| Value::Object(outcome.must_not_fail());
        assert_eq!(said(&outcome), serde_json::json!({ "journeys": 1, "failed": 0 }));
        outcome.add(ran("pay", Word::Broken), true);
        let failed = serde_json::json!({ "journeys": 2, "failed": 1, "first_failed": "pay" });
        assert_eq!(said(&outcome), failed);
        assert_eq!(outcome.failed().count(), 2, "the one that may is told all the same");
        assert_eq!(outcome.all.len(), 3, "as smoke tests they all count");
    }

    #[test]
    fn a_secret_is_a_text_and_hidden_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.hurl");
        std::fs::write(&file, "GET {{base}}/a\n").unwrap();
        let mut ready = Ready::of_file("a", &file).unwrap();
        ready.give("otp=012345", true).unwrap();
        ready.give("password=067890", false).unwrap();
        ready.give("token=\"7.50\"", false).unwrap();
        let shown = ready.secrets.hidden("012345 067890 67890 x7.50 12345");
        assert_eq!(shown, "*** *** *** x*** 12345");
        let set = format!("{:?}", ready.variables);
        assert!(set.contains("Text(\"012345\")") && set.contains("Integer(67890)"), "{set}");
        let refused = ready.give("hunter2", true).unwrap_err().to_string();
        assert!(!refused.contains("hunter2"), "{refused}");
    }
}
