//! `plimsoll ready` beside a running node: what it says, and with which exit code.

use std::path::Path;

use serde_json::Value;

use crate::memory::{command, entries, soon};
use crate::scene::Scene;

/// What it said and its exit code, once the database is reached.
fn ready(data_dir: &Path, arguments: &[&str]) -> (String, String, Option<i32>) {
    let output = command(data_dir, &[&["ready"], arguments].concat());
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr), output.status.code())
}

#[test]
fn a_red_gate_is_exit_code_1_and_none_that_is_due_is_0() {
    let scene = Scene::shop("");
    let data_dir = scene.edge.data_dir();
    soon(|| entries(data_dir, "plimsoll.start").pop());
    let (said, why, code) = ready(data_dir, &[]);
    assert_eq!(code, Some(1), "{said}{why}");
    assert!(said.starts_with("No start date: "), "{said}");
    assert!(said.contains(" gates of the whole plan:\n"), "{said}");
    assert!(said.contains("\nArchitecture: ") && said.contains("\n  red    "), "{said}");
    assert!(why.contains(" gates of the whole plan are red"), "{why}");
    assert!(!said.contains('\u{1b}'), "no colour where nobody looks: {said:?}");

    let (said, why, code) = ready(data_dir, &["--week", "2", "--area", "architecture"]);
    assert_eq!(code, Some(1), "{said}{why}");
    assert!(said.contains("due by the end of week 2:"), "{said}");
    assert!(!said.contains("Launch:"), "{said}");

    // Nothing of that is due so early.
    let (said, why, code) = ready(data_dir, &["--week", "1", "--area", "launch"]);
    assert_eq!((code, why.as_str()), (Some(0), ""), "{said}");
    assert!(said.contains("No gate due by the end of week 1."), "{said}");
}

#[test]
fn the_same_is_json_and_on_the_board() {
    let scene = Scene::shop("");
    let data_dir = scene.edge.data_dir();
    soon(|| entries(data_dir, "plimsoll.start").pop());
    let (said, why, code) = ready(data_dir, &["--week", "2", "--output", "json"]);
    assert_eq!(code, Some(1), "{said}{why}");
    let said: Value = serde_json::from_str(&said).unwrap();
    let gates = said["gates"].as_array().unwrap();
    assert!(!gates.is_empty() && gates.iter().all(|gate| gate["weeks"][1].as_u64() <= Some(2)));
    assert_eq!(said["shown"]["red"], gates.iter().filter(|gate| gate["light"] == "red").count());
    let id = gates[0]["id"].as_str().unwrap();
    let (status, page) = scene.edge.ops_get("/board").unwrap();
    assert_eq!(status, 200);
    assert!(page.contains(&format!("/board/gates/{id}")), "{page}");
    let (status, _) = scene.edge.ops_get(&format!("/board/gates/{id}")).unwrap();
    assert_eq!(status, 200);
    let line = soon(|| {
        let (_, page) = scene.edge.ops_get("/?format=json").unwrap();
        let page: Value = serde_json::from_str(&page).unwrap();
        page["memory"]["board"]["headline"].as_str().map(str::to_owned)
    });
    assert_eq!(line, said["standing"]["headline"].as_str().unwrap());
}

#[test]
fn what_cannot_be_asked_for_is_refused_before_anybody_is_asked() {
    let nowhere = tempfile::tempdir().unwrap();
    for arguments in [["--week", "14"], ["--week", "0"], ["--area", "sea"]] {
        let (_, why, code) = ready(nowhere.path(), &arguments);
        assert_eq!(code, Some(2), "{why}");
    }
    let (_, why, code) = ready(nowhere.path(), &[]);
    assert_eq!(code, Some(1));
    assert!(why.contains("no Plimsoll runs with the data directory"), "{why}");
}
