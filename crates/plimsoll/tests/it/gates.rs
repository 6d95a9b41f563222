//! What readiness gates are judged by: each kind of evidence red, then green by doing what the
//! gate's next step says, then red again because what runs is broken and its configuration is not.

mod contracts;
mod edge;
mod memory;
mod newcomer;
mod restored;
mod telemetry;
mod writes;

use std::path::Path;
use std::time::Duration;

use plimsoll_testkit::{Origin, Plimsoll, PlimsollOptions, TestIssuer};
use serde_json::Value;
use tempfile::TempDir;

use crate::memory::command;
use crate::scene::{CONTRACT, Stopwatch};

/// Looking as often as it can.
const LOOK: &str = "[plan]\nlook_every = \"1s\"\n";

/// How long what has changed may take until it stands in the ledger.
const SEEN_WITHIN: Duration = Duration::from_secs(30);

/// An origin, an issuer and a data directory that outlives the processes on it.
struct Place {
    origin: Origin,
    issuer: TestIssuer,
    data_dir: TempDir,
}

impl Place {
    fn new() -> Self {
        Self {
            origin: Origin::start().unwrap(),
            issuer: TestIssuer::new("key-1").unwrap(),
            data_dir: tempfile::tempdir().unwrap(),
        }
    }

    fn data_dir(&self) -> &Path {
        self.data_dir.path()
    }

    /// The shop without an issuer: nothing is verified.
    fn open(&self, service: &str, more: &str) -> String {
        let origin = self.origin.url();
        format!(
            "{LOOK}[edge]\ncores = 1\n[[service]]\nname = \"shop\"\nurls = [\"{origin}\"]\n\
             {service}\n{more}\n"
        )
    }

    /// The shop with its contract.
    fn shop(&self, more: &str) -> String {
        self.open("contract = \"openapi.json\"", more)
    }

    fn start(&self, manifest: &str) -> Plimsoll {
        self.start_with(manifest, &[])
    }

    /// The same, with something broken on purpose.
    fn broken(&self, manifest: &str, failpoint: &str) -> Plimsoll {
        self.start_with(manifest, &[("PLIMSOLL_FAILPOINTS", failpoint)])
    }

    fn start_with(&self, manifest: &str, env: &[(&str, &str)]) -> Plimsoll {
        Plimsoll::start(&PlimsollOptions {
            manifest: Some(manifest.to_owned()),
            files: vec![
                ("openapi.json".into(), CONTRACT.into()),
                ("jwks.json".into(), self.issuer.jwks().into_bytes()),
            ],
            env: env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            data_dir: Some(self.data_dir().to_owned()),
            ..PlimsollOptions::default()
        })
        .unwrap()
    }

    /// Waits until the newest evidence of a kind has facts that are `so`.
    #[track_caller]
    fn seen(&self, kind: &str, so: impl Fn(&Value) -> bool) -> Value {
        seen(self.data_dir(), kind, so)
    }
}

#[track_caller]
fn seen(data_dir: &Path, kind: &str, so: impl Fn(&Value) -> bool) -> Value {
    let begun = Stopwatch::start();
    loop {
        let newest = newest(data_dir, kind);
        let facts = newest.as_ref().map(|entry| entry["detail"]["facts"].clone());
        if let Some(facts) = facts.filter(|facts| so(facts)) {
            return facts;
        }
        assert!(begun.elapsed() < SEEN_WITHIN, "{kind} stays {newest:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The newest evidence of a kind; none while there is none or no database.
fn newest(data_dir: &Path, kind: &str) -> Option<Value> {
    let tail = ["ledger", "tail", "--action", "evidence.add", "--subject", kind, "--limit", "1"];
    let output = command(data_dir, &[&tail[..], &["--output", "json"]].concat());
    let page: Value = serde_json::from_slice(&output.stdout).ok()?;
    page["entries"].as_array()?.first().cloned()
}

fn stop(edge: &mut Plimsoll) {
    assert!(edge.stop(Duration::from_secs(20)).unwrap().success());
}
