//! `plimsoll keys`: rotation beside a running node, and after it.

use std::fs;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;

use crate::memory::{command, entries, json, restarted, said, soon};
use crate::scene::Scene;

const END_WITHIN: std::time::Duration = std::time::Duration::from_secs(20);

fn stop(scene: &mut Scene) {
    scene.edge.signal(Signal::TERM).unwrap();
    scene.edge.wait(END_WITHIN).unwrap();
}

/// Waits until the node has its database: what is told before waits for the next start.
fn ledger_is_there(data_dir: &Path) {
    soon(|| command(data_dir, &["ledger", "tail"]).status.success().then_some(()));
}

/// The entries of rotations, oldest first.
fn rotations(data_dir: &Path) -> Vec<Value> {
    let all = entries(data_dir, "operator.act");
    all.into_iter().filter(|entry| entry["detail"]["act"] == "keys.rotate").collect()
}

#[test]
fn a_rotation_is_in_the_ledger_and_changes_nobody() {
    let mut scene = Scene::shop("");
    let directory = tempfile::tempdir().unwrap();
    let data_dir = directory.path();
    scene.edge = restarted(&scene, data_dir, &[], "");
    ledger_is_there(data_dir);
    let before = json(data_dir, &["keys", "list"]);
    assert_eq!(before["key_encrypting_keys"][0]["wraps"], 1);
    let text = said(data_dir, &["keys", "rotate"]);
    assert!(text.contains("1 data key is wrapped by key-encrypting key"), "{text}");
    let after = json(data_dir, &["keys", "list"]);
    assert_eq!(after["data_keys"], before["data_keys"]);
    let (old, new) =
        (&before["key_encrypting_keys"][0]["id"], &after["key_encrypting_keys"][0]["id"]);
    assert_ne!(old, new);
    let entry = soon(|| rotations(data_dir).into_iter().next());
    assert_eq!(&entry["subject"], new, "{entry}");
    let detail = entry["detail"].to_string();
    assert!(detail.contains(old.as_str().unwrap()), "{entry}");
    let file = fs::read_to_string(data_dir.join("keys/kek")).unwrap();
    for secret in file.lines().filter_map(|line| line.strip_prefix("kek ")) {
        assert!(!entry.to_string().contains(secret));
    }
    // The next process reads the new file and knows everybody as before.
    let by = entry["actor"].clone();
    assert!(!by.is_null(), "{entry}");
    stop(&mut scene);
    scene.edge = restarted(&scene, data_dir, &[], "");
    ledger_is_there(data_dir);
    said(data_dir, &["keys", "rotate"]);
    let again = soon(|| rotations(data_dir).into_iter().nth(1));
    assert_eq!(again["actor"], by);
}

#[test]
fn an_old_directory_is_told_of_and_mended_while_nothing_runs() {
    let mut scene = Scene::shop("");
    let directory = tempfile::tempdir().unwrap();
    let data_dir = directory.path();
    scene.edge = restarted(&scene, data_dir, &[], "");
    stop(&mut scene);
    fs::write(data_dir.join("keys/kek"), format!("{}\n", "5a".repeat(32))).unwrap();
    let keys = || {
        let output = Command::new(env!("CARGO_BIN_EXE_plimsoll"))
            .args(["doctor", "--output", "json", "--data-dir"])
            .arg(data_dir)
            .output()
            .unwrap();
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        let findings = answer["findings"].as_array().unwrap().clone();
        findings.into_iter().find(|finding| finding["what"] == "keys").unwrap()
    };
    let finding = keys();
    assert_eq!(
        (&finding["state"], &finding["next_step"]),
        (&"weak".into(), &"plimsoll keys rotate".into())
    );
    said(data_dir, &["keys", "rotate"]);
    assert_eq!(keys()["state"], "ok", "{}", keys());
    // Told to the ledger by the next one that runs.
    scene.edge = restarted(&scene, data_dir, &[], "");
    soon(|| rotations(data_dir).into_iter().next());
    stop(&mut scene);
    let refused = Command::new(env!("CARGO_BIN_EXE_plimsoll"))
        .args(["keys", "list", "--data-dir"])
        .arg(data_dir)
        .env("PLIMSOLL_KEK", "11")
        .output()
        .unwrap();
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("PLIMSOLL_KEK"));
}
