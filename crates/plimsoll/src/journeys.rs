//! Journeys where the manifest, the contracts, the plan and their own files meet: what they ask
//! for, what is wrong with them, and running them.

use std::path::{Path, PathBuf};

use plimsoll_base::{Clock as _, SharedClock, SystemClock};
use plimsoll_drills::journey::{
    self, Journey, NameFault, Ran, Runner, RunnerOptions, Secrets, Variables, is_secret_name,
};
use plimsoll_manifest::{Fault, Loaded, Manifest, env};
use plimsoll_outbound::{Outbound, OutboundOptions};
use plimsoll_plan::documents;
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

/// A journey, read, with what it is given.
pub(crate) struct Ready {
    pub(crate) name: String,
    pub(crate) journey: Journey,
    pub(crate) variables: Variables,
    pub(crate) secrets: Secrets,
}

impl Ready {
    /// Gives a journey what the environment has for it: `PLIMSOLL_JOURNEY_NAME`, or the file that
    /// `PLIMSOLL_JOURNEY_NAME_FILE` names, for each variable in it. Nothing of that is ever shown.
    ///
    /// # Errors
    /// A variable that cannot be read.
    pub(crate) fn new(name: &str, journey: Journey) -> Result<Self, String> {
        let (mut variables, mut secrets) = (Variables::default(), Secrets::default());
        for variable in &journey.names {
            let upper = variable.to_ascii_uppercase().replace('-', "_");
            let found = env::secret(&format!("{ENVIRONMENT}{upper}"));
            if let Some(found) = found.map_err(|error| error.to_string())? {
                secrets.hide(found.expose());
                let value = journey::text(found.expose());
                variables.set(variable, value).map_err(|error| error.to_string())?;
            }
        }
        Ok(Self { name: name.to_owned(), journey, variables, secrets })
    }

    /// Gives it `NAME=VALUE`; the value is hidden where it is a secret, or has the name of one.
    ///
    /// # Errors
    /// A text that gives nothing.
    pub(crate) fn give(&mut self, text: &str, secret: bool) -> Result<(), NameFault> {
        let (name, value) = journey::variable(text)?;
        if secret || is_secret_name(&name) {
            let (_, written) = text.split_once('=').unwrap_or_default();
            self.secrets.hide(written.trim_matches('"'));
        }
        self.variables.set(&name, value)
    }

    pub(crate) async fn run(self, runner: &Runner) -> Ran {
        let mut random = || uuid::Uuid::new_v4().as_u128();
        runner.run(&self.name, &self.journey, self.variables, self.secrets, &mut random).await
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

/// What is told of all journeys that must not fail.
pub(crate) fn outcome(all: &[Ran]) -> Map<String, Value> {
    let failed: Vec<&Ran> = all.iter().filter(|ran| !ran.passed()).collect();
    let mut said = Map::new();
    said.insert("journeys".into(), all.len().into());
    said.insert("failed".into(), failed.len().into());
    if let Some(first) = failed.first() {
        said.insert("first_failed".into(), first.name.as_str().into());
    }
    said
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
