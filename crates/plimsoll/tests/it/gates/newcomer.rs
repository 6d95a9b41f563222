//! From an empty folder to green: `init`, `plan init`, `up`, and then what each gate's next step
//! says, gate by gate, as `plimsoll ready` tells it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use plimsoll_testkit::{Plimsoll, PlimsollOptions};
use serde_json::Value;

use super::{LOOK, Place, SEEN_WITHIN, stop, telemetry};
use crate::cli::{plimsoll, stderr};
use crate::memory::{command, said, soon_within};
use crate::scene::{AUDIENCE, CONTRACT, ISSUER, Stopwatch};

/// What a plan asks before anything is built has as many gates as this.
const GATES_MIN: usize = 130;

/// All gates of the whole plan, once the database is reached.
fn gates(data_dir: &Path) -> Option<Vec<Value>> {
    let output = command(data_dir, &["ready", "--week", "13", "--output", "json"]);
    let ready: Value = serde_json::from_slice(&output.stdout).ok()?;
    ready["gates"].as_array().cloned()
}

/// Waits until each of the gates is judged so.
#[track_caller]
pub(super) fn light(data_dir: &Path, light: &str, wanted: &[&str]) {
    let begun = Stopwatch::start();
    loop {
        let mut judged = gates(data_dir).unwrap_or_default();
        judged.retain(|gate| wanted.iter().any(|id| gate["id"] == *id));
        let so = judged.iter().all(|gate| gate["light"] == light);
        if so && judged.len() == wanted.len() {
            return;
        }
        assert!(begun.elapsed() < SEEN_WITHIN, "{light} was wanted: {judged:#?}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// The manifest as `plimsoll init` writes it, in a folder with the contract and the plan.
fn begin(place: &Place, folder: &Path) -> String {
    fs::write(folder.join("openapi.json"), CONTRACT).unwrap();
    fs::write(folder.join("jwks.json"), place.issuer.jwks()).unwrap();
    let made =
        plimsoll(folder, &["init", "--openapi", "openapi.json", "--upstream", &place.origin.url()]);
    assert!(made.status.success(), "{}", stderr(&made));
    let made = plimsoll(folder, &["plan", "init", "--start", "2026-11-30"]);
    assert!(made.status.success(), "{}", stderr(&made));
    let written = fs::read_to_string(folder.join("plimsoll.toml")).unwrap();
    format!("{LOOK}{written}")
}

fn up(place: &Place, folder: &Path, manifest: &str) -> Plimsoll {
    let file = folder.join("plimsoll.toml");
    fs::write(&file, manifest).unwrap();
    Plimsoll::start(&PlimsollOptions {
        args: vec!["--manifest".into(), file.display().to_string()],
        data_dir: Some(place.data_dir().to_owned()),
        ..PlimsollOptions::default()
    })
    .unwrap()
}

const OBJECTIVES: &str = "
[[objective]]
name = \"available\"
kind = \"availability\"
target = 0.999
[[objective]]
name = \"fast\"
kind = \"latency\"
target = 0.95
threshold = \"300ms\"
[[objective]]
name = \"stable\"
kind = \"crash_free\"
target = 0.995
";

#[test]
fn a_newcomer_turns_each_gate_by_doing_what_it_says_next() {
    let (place, folder) = (Place::new(), tempfile::tempdir().unwrap());
    let (data_dir, folder) = (place.data_dir(), folder.path());
    let manifest = begin(&place, folder);
    let mut edge = up(&place, folder, &manifest);

    // Every gate of the list is there and says why it stands as it does and what comes next. What
    // `init` declares, and what holds by itself, is green at once.
    let by_itself = [
        "limits-refuse",
        "limits-per-token",
        "limits-per-ip",
        "problem-details",
        "contracts-published",
        "revocation-obeyed",
    ];
    light(data_dir, "green", &by_itself);
    let all = gates(data_dir).unwrap();
    assert!(all.len() > GATES_MIN, "{} gates", all.len());
    let silent =
        |gate: &&Value| gate["reason"] == "" || (gate["light"] != "green" && gate["next"] == "");
    assert_eq!(all.iter().find(silent), None);
    let to_do = [
        "auth-on-every-operation",
        "versions-from-day-one",
        "objectives-in-manifest",
        "postgres-restored",
        "stops-drain",
        "latency-measured",
        "errors-measured",
        "p95-within-objective",
        "telemetry-read",
        "audit-append-only",
        "n-plus-one-capped",
    ];
    light(data_dir, "red", &to_do);

    // "Name an issuer", "give each service a version", "add an objective for ...".
    let issuer = format!(
        "[[auth.issuer]]\nissuer = \"{ISSUER}\"\naudience = [\"{AUDIENCE}\"]\n\
         jwks_file = \"jwks.json\"\n"
    );
    let contract = "contract = \"openapi.json\"";
    let versioned = format!("{contract}\nversion = {{ prefix = \"/v1\" }}\nstrip_prefix = true");
    // And room for the traffic below, which comes all at once.
    let manifest = manifest.replace("burst = ", "burst = 5");
    let manifest = manifest.replace(contract, &versioned) + &issuer + OBJECTIVES;
    fs::write(folder.join("plimsoll.toml"), &manifest).unwrap();
    edge.reload().unwrap();
    light(data_dir, "green", &to_do[..3]);

    // "Take a backup and restore it on trial."
    let file = folder.join("backup.tar").display().to_string();
    said(data_dir, &["backup", &file]);
    said(data_dir, &["restore", &file, "--rehearse"]);
    light(data_dir, "green", &["postgres-restored"]);

    // "Stop a node with SIGTERM and start it again."
    stop(&mut edge);
    let edge = up(&place, folder, &manifest);
    light(data_dir, "green", &["stops-drain"]);

    // "Send live traffic through the edge."
    let mut client = edge.client().unwrap();
    for _ in 0..500 {
        assert_eq!(client.get("/v1/feed", &[]).unwrap().status, 200);
    }
    light(data_dir, "green", &["latency-measured", "errors-measured", "p95-within-objective"]);

    // "Let Prometheus scrape", "send spans", "run `plimsoll ledger verify`". A scrape counts while
    // it is young, so it comes last and goes on.
    said(data_dir, &["ledger", "verify"]);
    for route in ["/v1/feed", "/v1/profile", "/v1/orders", "/v1/orders/{id}", "/v1/media"] {
        telemetry::send(&edge, route, 1);
    }
    light(data_dir, "green", &["audit-append-only", "n-plus-one-capped"]);
    soon_within(SEEN_WITHIN, || {
        assert_eq!(edge.ops_get("/metrics").unwrap().0, 200);
        let gates = gates(data_dir)?;
        let read = gates.iter().find(|gate| gate["id"] == "telemetry-read")?;
        (read["light"] == "green").then_some(())
    });

    // And none of those went back that do not live by traffic.
    light(data_dir, "green", &by_itself);
    light(data_dir, "green", &[&to_do[..5], &to_do[9..]].concat());
}
