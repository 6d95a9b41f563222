//! What outlives the process: the database that nobody installed, revocations that every request
//! obeys, the ledger, and an edge that serves without its database.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use plimsoll_testkit::{Plimsoll, PlimsollOptions};
use rustix::process::Signal;
use serde_json::Value;

use crate::scene::{CONTRACT, Scene, Stopwatch, claims, problem, shop_manifest};

/// A command beside the running process.
pub(crate) fn command(data_dir: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
    command.args(arguments).arg("--data-dir").arg(data_dir).output().unwrap()
}

#[track_caller]
pub(crate) fn said(data_dir: &Path, arguments: &[&str]) -> String {
    let output = command(data_dir, arguments);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

#[track_caller]
pub(crate) fn json(data_dir: &Path, arguments: &[&str]) -> Value {
    let text = said(data_dir, &[arguments, &["--output", "json"]].concat());
    serde_json::from_str(&text).unwrap()
}

/// The newest entries of an action, oldest first; none while the database is not reached yet.
pub(crate) fn entries(data_dir: &Path, action: &str) -> Vec<Value> {
    let limit = ["--limit", "500", "--output", "json"];
    let tail = [&["ledger", "tail", "--action", action], &limit[..]].concat();
    let output = command(data_dir, &tail);
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(text.contains("PLM-OPS-0008"), "{text}");
        return Vec::new();
    }
    let page: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut entries = page["entries"].as_array().unwrap().clone();
    entries.reverse();
    entries
}

/// Waits until `done` is some, for five seconds at most.
#[track_caller]
pub(crate) fn soon<T>(done: impl FnMut() -> Option<T>) -> T {
    soon_within(Duration::from_secs(5), done)
}

#[track_caller]
pub(crate) fn soon_within<T>(within: Duration, mut done: impl FnMut() -> Option<T>) -> T {
    let begun = Stopwatch::start();
    loop {
        if let Some(found) = done() {
            return found;
        }
        assert!(begun.elapsed() < within, "not within {within:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub(crate) fn restarted(
    scene: &Scene,
    data_dir: &Path,
    env: &[(&str, &str)],
    more: &str,
) -> Plimsoll {
    Plimsoll::start(&PlimsollOptions {
        manifest: Some(shop_manifest(&scene.origin.url(), more)),
        files: vec![
            ("openapi.json".into(), CONTRACT.into()),
            ("jwks.json".into(), scene.issuer.jwks().into_bytes()),
        ],
        env: env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        data_dir: Some(data_dir.to_owned()),
        ..PlimsollOptions::default()
    })
    .unwrap()
}

#[test]
fn a_revoked_subject_is_refused_within_a_second_and_what_comes_after_is_good() {
    let scene = Scene::shop("");
    let data_dir = scene.edge.data_dir().to_owned();
    let alice = scene.bearer("");
    let bob = format!("Bearer {}", scene.issuer.mint(&claims().with("sub", "bob".into())).unwrap());
    let ask = |token: &str| scene.ask("GET", "/profile", &[("authorization", token)]);
    assert_eq!(ask(&alice).status, 200);
    said(&data_dir, &["revoke", "--sub", "alice", "--reason", "phone stolen"]);
    let begun = Stopwatch::start();
    let refused = soon(|| Some(ask(&alice)).filter(|answer| answer.status != 200));
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    problem(&refused, 401, "PLM-EDGE-0214");
    let challenge = refused.headers.get("www-authenticate").unwrap_or_default();
    assert!(challenge.contains("invalid_token"), "{challenge}");
    assert_eq!(ask(&bob).status, 200, "nobody else is touched");
    let feed = scene.ask("GET", "/feed", &[("authorization", &alice)]);
    assert_eq!(feed.status, 200, "a public operation asks nothing of a token");
    let entries = entries(&data_dir, "token.revoke");
    assert_eq!(entries.len(), 1);
    let text = entries[0].to_string();
    assert!(!text.contains("alice") && !text.contains("stolen"), "{text}");
    assert_eq!(entries[0]["has_personal"], true);
}

#[test]
fn ops_sock_is_its_owners_alone_and_the_ledger_says_who_came_over_it() {
    let scene = Scene::shop("");
    let data_dir = scene.edge.data_dir();
    let mode = std::fs::symlink_metadata(data_dir.join("ops.sock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    said(data_dir, &["revoke", "--sub", "alice"]);
    let uid = rustix::process::geteuid().as_raw();
    let by = |actor: &str| {
        let page = json(data_dir, &["ledger", "tail", "--actor", actor]);
        page["entries"].as_array().unwrap().clone()
    };
    let entries = by(&format!("local:{uid}"));
    assert_eq!(entries.len(), 1, "{entries:?}");
    assert_eq!(
        (&entries[0]["action"], &entries[0]["actor_kind"]),
        (&"token.revoke".into(), &"operator".into())
    );
    assert_eq!(by(&format!("local:{}", uid + 1)), [] as [Value; 0]);
}

#[test]
fn one_token_is_revoked_by_its_id() {
    let scene = Scene::shop("");
    let with = |id: &str| {
        let claims = claims().with("jti", id.into());
        format!("Bearer {}", scene.issuer.mint(&claims).unwrap())
    };
    let (first, second) = (with("t-1"), with("t-2"));
    said(scene.edge.data_dir(), &["revoke", "--jti", "t-1"]);
    let ask = |token: &str| scene.ask("GET", "/profile", &[("authorization", token)]).status;
    soon(|| (ask(&first) == 401).then_some(()));
    assert_eq!(ask(&second), 200);
}

#[test]
fn what_cannot_be_meant_is_refused_with_what_to_do() {
    let scene = Scene::shop("");
    let refused = command(scene.edge.data_dir(), &["revoke", "--sub", "a", "--keep", "1s"]);
    assert_eq!(refused.status.code(), Some(1));
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(text.contains("an hour") && text.contains("400 days"), "{text}");
    let nobody = tempfile::tempdir().unwrap();
    let refused = command(nobody.path(), &["nodes"]);
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(text.contains("plimsoll up") && text.contains("--data-dir"), "{text}");
}

#[test]
fn an_edge_that_has_run_once_serves_and_obeys_without_its_database() {
    let mut scene = Scene::shop("");
    let data_dir = tempfile::tempdir().unwrap();
    scene.edge = restarted(&scene, data_dir.path(), &[], "");
    let alice = scene.bearer("");
    let bob = format!("Bearer {}", scene.issuer.mint(&claims().with("sub", "bob".into())).unwrap());
    said(data_dir.path(), &["revoke", "--sub", "alice"]);
    let status = |scene: &Scene, token: &str, path: &str| {
        scene.ask("GET", path, &[("authorization", token)]).status
    };
    soon(|| (status(&scene, &alice, "/profile") == 401).then_some(()));
    scene.edge.signal(Signal::TERM).unwrap();
    assert!(scene.edge.wait(Duration::from_secs(20)).unwrap().is_some_and(|s| s.success()));

    // No Postgres to be found any more.
    let nothing = tempfile::tempdir().unwrap();
    let env = [("PLIMSOLL_PG_BIN", nothing.path().to_str().unwrap())];
    let strict = "[auth]\nrevocation_staleness_max = \"1s\"\n\
                  [[operation]]\nid = \"createOrder\"\nrevocation = \"strict\"\nscopes = []\n";
    let manifest = |origin: &str| {
        shop_manifest(origin, "").replace("[[auth.issuer]]", &format!("{strict}[[auth.issuer]]"))
    };
    scene.edge = Plimsoll::start(&PlimsollOptions {
        manifest: Some(manifest(&scene.origin.url())),
        files: vec![
            ("openapi.json".into(), CONTRACT.into()),
            ("jwks.json".into(), scene.issuer.jwks().into_bytes()),
        ],
        env: env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        data_dir: Some(data_dir.path().to_owned()),
        ..PlimsollOptions::default()
    })
    .unwrap();
    assert_eq!(status(&scene, &bob, "/profile"), 200);
    assert_eq!(status(&scene, &alice, "/profile"), 401, "known from the disk");
    let order = scene.ask("POST", "/orders", &[("authorization", &bob), ("content-length", "0")]);
    problem(&order, 503, "PLM-EDGE-0215");
    assert!(order.headers.get("retry-after").is_some());
    let (ready, body) = scene.edge.ops_get("/readyz").unwrap();
    assert_eq!(ready, 200, "{body}");
    assert!(body.contains("database_down") && body.contains("PLIMSOLL_PG_BIN"), "{body}");
}

#[test]
fn the_very_first_start_without_postgres_ends_and_says_why() {
    let (nothing, data_dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let output = Command::new(env!("CARGO_BIN_EXE_plimsoll"))
        .args(["up", "--upstream", "http://127.0.0.1:9", "--listen", "127.0.0.1:0"])
        .args(["--ops-listen", "127.0.0.1:0", "--data-dir"])
        .arg(data_dir.path())
        .env("PLIMSOLL_PG_BIN", nothing.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("PLIMSOLL_PG_BIN") && text.contains("initdb"), "{text}");
}

#[test]
fn starts_stops_and_changes_of_the_manifest_are_written_and_the_ledger_is_whole() {
    let mut scene = Scene::shop("");
    let data_dir = tempfile::tempdir().unwrap();
    scene.edge = restarted(&scene, data_dir.path(), &[], "");
    let more = "[[limit]]\nname = \"never-shown\"\nper = \"caller\"\nquota = 9\nwindow = \"1s\"\n";
    scene.edge.write_manifest(&shop_manifest(&scene.origin.url(), more)).unwrap();
    scene.edge.reload().unwrap();
    let change = soon(|| entries(data_dir.path(), "manifest.change").pop());
    let text = change["detail"].to_string();
    assert!(text.contains("limit") && !text.contains("never-shown"), "{text}");
    scene.edge.signal(Signal::TERM).unwrap();
    assert!(scene.edge.wait(Duration::from_secs(20)).unwrap().is_some_and(|s| s.success()));
    scene.edge = restarted(&scene, data_dir.path(), &[], "");
    let starts = soon(|| {
        let starts = entries(data_dir.path(), "plimsoll.start");
        (starts.len() == 2).then_some(starts)
    });
    assert_eq!(starts[0]["outcome"], "ok");
    assert_eq!(entries(data_dir.path(), "plimsoll.stop").len(), 1);
    let report = json(data_dir.path(), &["ledger", "verify"]);
    assert_eq!(report["whole"], true, "{report}");
}

/// The manifest of a shop whose orders are audited.
const AUDITED: &str = "[[operation]]\nid = \"createOrder\"\naudit = true\n";

#[test]
fn an_audited_call_is_written_down_with_who_what_and_how_it_ended() {
    let scene = Scene::shop(AUDITED);
    let data_dir = scene.edge.data_dir();
    let post = |token: &str, script: &str| {
        let fields = [("authorization", token), ("content-length", "0"), ("x-script", script)];
        scene.ask("POST", "/orders", &fields)
    };
    let good = scene.bearer("orders:write");
    assert_eq!(post(&good, "status=201").status, 201);
    assert_eq!(post(&good, "status=500").status, 500);
    problem(&post(&good, "reset"), 502, "PLM-EDGE-0402");
    problem(&post(&scene.bearer(""), ""), 403, "PLM-EDGE-0211");
    problem(&post("Bearer nonsense", ""), 401, "PLM-EDGE-0202");
    let entries = soon(|| {
        let entries = entries(data_dir, "audit.operation");
        (entries.len() >= 4).then_some(entries)
    });
    let told: Vec<(u64, &str)> = entries
        .iter()
        .map(|e| (e["detail"]["status"].as_u64().unwrap(), e["outcome"].as_str().unwrap()))
        .collect();
    assert_eq!(told, [(201, "ok"), (500, "failed"), (502, "unknown"), (403, "refused")]);
    assert!(entries.iter().all(|entry| entry["subject"] == "shop/createOrder"));
    let by_name = format!("{} default alice", crate::scene::ISSUER);
    let page = json(data_dir, &["ledger", "tail", "--actor", &by_name]);
    assert_eq!(page["entries"].as_array().unwrap().len(), 4, "{page}");
}

/// A call that never reached the service is not one of which nobody can say how it ended.
#[test]
fn an_audited_call_that_could_not_be_sent_has_failed() {
    let mut scene = Scene::shop("");
    let data_dir = tempfile::tempdir().unwrap();
    let closed = plimsoll_testkit::free_addr().unwrap();
    let url = scene.origin.url();
    scene.edge = restarted(&scene, data_dir.path(), &[], AUDITED);
    let elsewhere = shop_manifest(&format!("http://{closed}"), AUDITED);
    scene.edge.write_manifest(&elsewhere).unwrap();
    scene.edge.reload().unwrap();
    let bearer = scene.bearer("orders:write");
    let order =
        || scene.ask("POST", "/orders", &[("authorization", &bearer), ("content-length", "0")]);
    let refused = soon(|| Some(order()).filter(|answer| answer.status != 200));
    problem(&refused, 502, "PLM-EDGE-0401");
    scene.edge.write_manifest(&shop_manifest(&url, AUDITED)).unwrap();
    scene.edge.reload().unwrap();
    let cut = [("authorization", bearer.as_str()), ("content-length", "0"), ("x-script", "reset")];
    soon(|| (order().status == 200).then_some(()));
    assert_eq!(scene.ask("POST", "/orders", &cut).status, 502);
    let outcomes = soon(|| {
        let entries = entries(data_dir.path(), "audit.operation");
        let of = |outcome: &str| entries.iter().filter(|e| e["outcome"] == outcome).count();
        (of("unknown") > 0).then(|| (of("failed"), of("unknown")))
    });
    // It may have been tried again until the reload was in force.
    assert!(outcomes.0 > 0 && outcomes.1 == 1, "one was broken off by the service: {outcomes:?}");
}

#[test]
fn no_answered_audited_call_is_missing_after_kill_dash_nine() {
    let mut scene = Scene::shop(AUDITED);
    let data_dir = tempfile::tempdir().unwrap();
    let token = scene.bearer("orders:write");
    let mut answered = Vec::new();
    for round in 0..3 {
        scene.edge = restarted(&scene, data_dir.path(), &[], AUDITED);
        let mut client = scene.client();
        for number in 0..40 {
            let id = format!("audited-{round}-{number:03}");
            let fields =
                [("authorization", &*token), ("content-length", "0"), ("x-request-id", &*id)];
            let answer = client.request("POST", "/orders", &fields, b"").unwrap();
            assert_eq!(answer.status, 200);
            answered.push(answer.headers.get("x-request-id").unwrap().to_owned());
        }
        scene.edge.kill().unwrap();
    }
    scene.edge = restarted(&scene, data_dir.path(), &[], AUDITED);
    let written: Vec<String> = soon(|| {
        let entries = entries(data_dir.path(), "audit.operation");
        (entries.len() >= answered.len()).then(|| {
            let id = |e: &Value| e["detail"]["request_id"].as_str().unwrap().to_owned();
            entries.iter().map(id).collect()
        })
    });
    for id in &answered {
        assert_eq!(written.iter().filter(|written| *written == id).count(), 1, "{id}");
    }
    assert_eq!(json(data_dir.path(), &["ledger", "verify"])["whole"], true);
}

#[test]
fn an_export_is_checked_anywhere_and_a_changed_one_is_told() {
    let scene = Scene::shop("");
    let data_dir = scene.edge.data_dir();
    said(data_dir, &["revoke", "--sub", "alice"]);
    soon(|| {
        let sealed = entries(data_dir, "token.revoke").pop()?;
        sealed["position"].as_u64()
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ledger.ndjson");
    let path = file.to_str().unwrap();
    said(data_dir, &["ledger", "export", "--file", path]);
    let again = command(data_dir, &["ledger", "export", "--file", path]);
    assert!(!again.status.success(), "never over another");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("token.revoke") && !text.contains("alice"), "{text}");
    std::fs::write(&file, text.replace("token.revoke", "token.revoked")).unwrap();
    let verdict = command(data_dir, &["ledger", "verify", "--file", path]);
    assert_eq!(verdict.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&verdict.stdout).contains("FAULT"));
}
