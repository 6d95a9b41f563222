//! The ledger when something is not as it should be: a restored database, a replaced key, a full
//! spool, no database for a while.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use plimsoll_testkit::RawResponse;
use rustix::process::Signal;
use serde_json::Value;

use crate::memory::{command, entries, json, restarted, said, soon, soon_within};
use crate::scene::{Scene, problem, shop_manifest};

const END_WITHIN: Duration = Duration::from_secs(30);

fn ended(scene: &mut Scene) {
    scene.edge.signal(Signal::TERM).unwrap();
    assert!(scene.edge.wait(END_WITHIN).unwrap().is_some_and(|status| status.success()));
}

/// Waits until everything is signed; the report.
fn signed(data_dir: &Path) -> Value {
    soon(|| {
        let report = json(data_dir, &["ledger", "verify"]);
        let signed = report["after_checkpoint"] == 0 && report["unsealed"] == 0;
        (signed && report["entries"].as_u64()? > 0).then_some(report)
    })
}

/// The reason of `/readyz` with this code, as soon as it is there.
fn reason(scene: &Scene, code: &str) -> Value {
    soon(|| {
        let (status, body) = scene.edge.ops_get("/readyz").unwrap();
        assert_eq!(status, 200, "an edge serves all the same: {body}");
        let body: Value = serde_json::from_str(&body).unwrap();
        let reasons = body["reasons"].as_array()?.clone();
        reasons.into_iter().find(|reason| reason["code"] == code)
    })
}

fn acts(data_dir: &Path, act: &str) -> Vec<Value> {
    let all = entries(data_dir, "operator.act");
    all.into_iter().filter(|entry| entry["detail"]["act"] == act).collect()
}

#[test]
fn a_ledger_that_was_set_back_is_accepted_with_a_reason_and_signed_again() {
    let mut scene = Scene::shop("");
    let data_dir = tempfile::tempdir().unwrap();
    let data_dir = data_dir.path();
    scene.edge = restarted(&scene, data_dir, &[], "");
    signed(data_dir);
    let archive = data_dir.join("before.tar");
    said(data_dir, &["backup", archive.to_str().unwrap()]);
    assert_eq!(acts(data_dir, "backup").len(), 1);
    for n in 0..3 {
        said(data_dir, &["revoke", "--jti", &format!("t-{n}")]);
    }
    signed(data_dir);
    let early = command(data_dir, &["ledger", "accept", "--reason", "x"]);
    let text = String::from_utf8_lossy(&early.stderr).into_owned();
    assert!(!early.status.success() && text.contains("nothing differs"), "{text}");
    ended(&mut scene);
    // The database is set back by other means than ours: the checkpoints still know better.
    let restored = json(data_dir, &["restore", archive.to_str().unwrap(), "--replace"]);
    let newer = PathBuf::from(restored["checkpoints_before"].as_str().unwrap());
    let place = data_dir.join("ledger/checkpoints");
    fs::remove_dir_all(&place).unwrap();
    fs::rename(newer, &place).unwrap();
    scene.edge = restarted(&scene, data_dir, &[], "");
    let why = reason(&scene, "ledger_not_signed").to_string();
    assert!(why.contains("ledger accept --reason") && why.contains("ledger verify"), "{why}");
    assert_eq!(scene.edge.metric("plimsoll_ledger_sealer_up").unwrap(), Some(0.0));
    assert_eq!(command(data_dir, &["ledger", "verify"]).status.code(), Some(1));
    assert_eq!(command(data_dir, &["ledger", "accept"]).status.code(), Some(2), "no reason");
    let empty = command(data_dir, &["ledger", "accept", "--reason", " "]);
    assert!(String::from_utf8_lossy(&empty.stderr).contains("PLM-OPS-0010"));

    said(data_dir, &["ledger", "accept", "--reason", "the disk failed"]);
    let report = signed(data_dir);
    assert_eq!(report["whole"], true, "{report}");
    assert_eq!(report["accepted"][0]["why"], "the disk failed");
    soon(|| (scene.edge.metric("plimsoll_ledger_sealer_up").ok()? == Some(1.0)).then_some(()));
    let accepted = acts(data_dir, "ledger.accept");
    assert_eq!(accepted.len(), 1);
    assert_eq!(accepted[0]["has_personal"], true);
    let me = format!("local:{}", rustix::process::geteuid().as_raw());
    let mine = json(data_dir, &["ledger", "tail", "--actor", &me]);
    assert!(mine.to_string().contains("ledger.accept"), "{mine}");
    assert_eq!(acts(data_dir, "restore").len(), 1, "left on disk while nothing ran");
}

#[test]
fn a_replaced_key_is_said_until_its_checkpoints_are_moved_away() {
    let mut scene = Scene::shop("");
    let data_dir = tempfile::tempdir().unwrap();
    let data_dir = data_dir.path();
    scene.edge = restarted(&scene, data_dir, &[], "");
    let key = signed(data_dir)["public_key"].as_str().unwrap().to_owned();
    ended(&mut scene);
    fs::remove_file(data_dir.join("keys/signing.pem")).unwrap();
    scene.edge = restarted(&scene, data_dir, &[], "");
    let why = reason(&scene, "ledger_not_signed").to_string();
    assert!(why.contains("move the directory away"), "{why}");
    soon(|| (scene.edge.metric("plimsoll_ledger_sealer_up").ok()? == Some(0.0)).then_some(()));
    let (_, page) = scene.edge.ops_get("/").unwrap();
    assert!(page.contains("seals and signs nothing"), "the console says so");
    let former = data_dir.join("ledger/former");
    fs::rename(data_dir.join("ledger/checkpoints"), &former).unwrap();
    soon_within(Duration::from_secs(15), || {
        (scene.edge.metric("plimsoll_ledger_sealer_up").ok()? == Some(1.0)).then_some(())
    });
    signed(data_dir);
    // What the old key signed counts once its public half is named, and not by its own folder.
    let folder = former.to_str().unwrap();
    let with = ["ledger", "verify", "--checkpoints", folder];
    let alone = json(data_dir, &["ledger", "verify"])["checkpoints"].as_u64().unwrap();
    fs::write(former.join("2026.pub"), &key).unwrap();
    assert_eq!(command(data_dir, &with).status.code(), Some(1), "no folder vouches for itself");
    let more = |report: &Value| report["checkpoints"].as_u64().unwrap() > alone;
    let named = json(data_dir, &[&with[..], &["--key", &key]].concat());
    assert!(named["whole"] == true && more(&named), "{named}");
    let odd = command(data_dir, &["ledger", "verify", "--key", "0123"]);
    assert!(String::from_utf8_lossy(&odd.stderr).contains("64 hexadecimal digits"));
    let (refused, body) =
        scene.edge.ops_get("/api/v1/ledger/verify?checkpoints=%5B%22/etc%22%5D").unwrap();
    assert_eq!(refused, 400, "over the network nobody looks into folders: {body}");
    // For good, beside the keys, where it is read at the next start.
    ended(&mut scene);
    fs::create_dir(data_dir.join("keys/former")).unwrap();
    fs::write(data_dir.join("keys/former/2026.pub"), &key).unwrap();
    scene.edge = restarted(&scene, data_dir, &[], "");
    let reached = || command(data_dir, &["ledger", "verify"]).status.success().then_some(());
    soon_within(Duration::from_secs(15), reached);
    let kept = json(data_dir, &with);
    assert!(kept["whole"] == true && more(&kept), "{kept}");
    let empty = tempfile::tempdir().unwrap();
    let nothing = ["ledger", "verify", "--checkpoints", path(empty.path())];
    let said = command(data_dir, &nothing);
    let text = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(!said.status.success() && text.contains(path(empty.path())), "{text}");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let mut scene = Scene::shop("");
    let data_dir = tempfile::tempdir().unwrap();
    let data_dir = data_dir.path();
    scene.edge = restarted(&scene, data_dir, &[], "");
    signed(data_dir);
    for arguments in [&["export"][..], &["tail"]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
        command.arg("ledger").args(arguments).arg("--data-dir").arg(data_dir);
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = command.stdout(writer).stderr(Stdio::piped()).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!((&*text, output.status.code()), ("", Some(141)), "{arguments:?}");
    }
}

fn without_postgres(scene: &Scene, data_dir: &Path, nothing: &Path, more: &str) -> Scene {
    let mut without = Scene::shop("");
    without.edge = restarted(scene, data_dir, &[("PLIMSOLL_PG_BIN", path(nothing))], more);
    without
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn what_the_node_says_of_itself_outlives_it_while_the_database_is_away() {
    let mut scene = Scene::shop("");
    let (data_dir, nothing) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let data_dir = data_dir.path();
    scene.edge = restarted(&scene, data_dir, &[], "");
    soon(|| entries(data_dir, "plimsoll.start").pop());
    ended(&mut scene);
    let away = [("PLIMSOLL_PG_BIN", path(nothing.path()))];
    // Killed, with a change of the manifest.
    scene.edge = restarted(&scene, data_dir, &away, "");
    let more = "[[limit]]\nname = \"more\"\nper = \"caller\"\nquota = 9\nwindow = \"1s\"\n";
    scene.edge.write_manifest(&shop_manifest(&scene.origin.url(), more)).unwrap();
    scene.edge.reload().unwrap();
    soon(|| {
        let waiting = scene.edge.metric("plimsoll_audit_spooled_calls").ok()??;
        // What the first process left is not looked at yet, so it counts.
        (waiting >= 4.0).then_some(())
    });
    scene.edge.kill().unwrap();
    // Stopped in good order.
    scene.edge = restarted(&scene, data_dir, &away, "");
    ended(&mut scene);
    scene.edge = restarted(&scene, data_dir, &[], "");
    let starts = soon(|| {
        let starts = entries(data_dir, "plimsoll.start");
        (starts.len() == 4).then_some(starts)
    });
    assert!(starts.iter().all(|start| start["actor_kind"] == "system"));
    assert_eq!(entries(data_dir, "plimsoll.stop").len(), 2);
    assert_eq!(entries(data_dir, "manifest.change").len(), 1);
    let all = json(data_dir, &["ledger", "tail", "--limit", "500"]);
    let told: Vec<&str> = all["entries"]
        .as_array()
        .unwrap()
        .iter()
        .rev()
        .filter_map(|entry| entry["action"].as_str())
        .filter(|action| *action != "migration.run")
        .collect();
    let (start, stop) = ("plimsoll.start", "plimsoll.stop");
    assert_eq!(told, [start, stop, start, "manifest.change", start, stop, start], "in order");
}

#[test]
fn every_migration_has_one_entry_with_what_it_is_called() {
    let mut scene = Scene::shop("");
    let data_dir = tempfile::tempdir().unwrap();
    let data_dir = data_dir.path();
    scene.edge = restarted(&scene, data_dir, &[], "");
    let first = soon(|| Some(entries(data_dir, "migration.run")).filter(|all| !all.is_empty()));
    for room in ["snapshot", "events", "ledger"] {
        assert!(first.iter().any(|entry| entry["subject"] == room), "{room}: {first:?}");
    }
    let called = |entry: &Value| !entry["detail"]["description"].as_str().unwrap().is_empty();
    assert!(first.iter().all(called), "{first:?}");
    ended(&mut scene);
    scene.edge = restarted(&scene, data_dir, &[], "");
    soon(|| (entries(data_dir, "plimsoll.start").len() == 2).then_some(()));
    assert_eq!(entries(data_dir, "migration.run").len(), first.len());
    let log = scene.edge.stderr();
    assert!(!log.contains("already exists"), "nothing is said of what is there: {log}");
}

const FULL: &str = "[ledger]\nspool_bytes_max = \"64KiB\"\n\
    [[operation]]\nid = \"createOrder\"\naudit = true\n\
    [[operation]]\nid = \"getProfile\"\naudit = true\naudit_on_full = \"pass\"\n";

#[test]
fn a_full_spool_refuses_or_passes_as_the_operation_says_and_both_are_counted() {
    let mut scene = Scene::shop("");
    let (data_dir, nothing) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let data_dir = data_dir.path();
    scene.edge = restarted(&scene, data_dir, &[], FULL);
    ended(&mut scene);
    let bearer = scene.bearer("orders:write");
    let order = |scene: &Scene| -> RawResponse {
        scene.ask("POST", "/orders", &[("authorization", &bearer), ("content-length", "0")])
    };
    let fill = |scene: &Scene| {
        let mut taken = 0_u64;
        let refused = loop {
            let answer = order(scene);
            if answer.status != 200 {
                break answer;
            }
            taken += 1;
            assert!(taken < 1_000, "64 KiB are full");
        };
        (taken, refused)
    };
    let without = without_postgres(&scene, data_dir, nothing.path(), FULL);
    scene.edge = without.edge;
    let (taken, refused) = fill(&scene);
    assert!(taken > 100, "{taken}");
    problem(&refused, 503, "PLM-EDGE-0503");
    assert!(refused.headers.get("retry-after").is_some());
    problem(&order(&scene), 503, "PLM-EDGE-0503");
    let counted = "plimsoll_audit_refused_total{when=\"before_sending\"}";
    soon(|| (scene.edge.metric(counted).ok()? == Some(2.0)).then_some(()));
    let lost = || scene.edge.metric("plimsoll_audit_lost_calls").unwrap().unwrap_or_default();
    let before = lost();
    let mut passed = 0.0;
    // The last few may still fit: the room that is asked for is that of the longest record.
    while lost() == before {
        assert_eq!(scene.ask("GET", "/profile", &[("authorization", &bearer)]).status, 200);
        passed += 1.0;
        assert!(passed < 2_000.0, "none was counted");
    }
    // Over a restart, too.
    scene.edge.kill().unwrap();
    scene.edge = without_postgres(&scene, data_dir, nothing.path(), FULL).edge;
    problem(&order(&scene), 503, "PLM-EDGE-0503");
    scene.edge.kill().unwrap();
    // And with the database it empties.
    scene.edge = restarted(&scene, data_dir, &[], FULL);
    soon(|| (order(&scene).status == 200).then_some(()));
    let count = || entries(data_dir, "audit.operation").len() as u64;
    soon(|| (count() > taken).then_some(()));
}
