//! `plimsoll plan`: what it writes, what it refuses, and with which exit code.

use std::fs;
use std::path::Path;

use crate::cli::{plimsoll, stderr, stdout};

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

#[test]
fn init_writes_the_plan_says_so_and_never_overwrites() {
    let folder = tempfile::tempdir().unwrap();
    let made = plimsoll(folder.path(), &["plan", "init", "--start", "2026-11-30"]);
    assert!(made.status.success(), "{}", stderr(&made));
    let said = stdout(&made);
    for expected in ["wrote plan/README.md", "wrote plan/risk-map.md", "plimsoll plan check\n"] {
        assert!(said.contains(expected), "{expected} in:\n{said}");
    }
    let plan = folder.path().join("plan");
    let written = names(&plan);
    assert_eq!(written.len(), 46, "{written:?}");
    assert_eq!(said.matches("wrote ").count(), 46);
    let readme = fs::read_to_string(plan.join("README.md")).unwrap();
    assert!(readme.starts_with("---\nstart: 2026-11-30\n---\n"), "{readme}");

    fs::write(plan.join("scope.md"), "mine").unwrap();
    let again = plimsoll(folder.path(), &["plan", "init", "--start", "2026-11-30"]);
    assert_eq!(again.status.code(), Some(1));
    assert!(stderr(&again).contains("left as it is"), "{}", stderr(&again));
    assert_eq!(fs::read_to_string(plan.join("scope.md")).unwrap(), "mine");

    fs::remove_file(plan.join("kpis.md")).unwrap();
    let other = plimsoll(folder.path(), &["plan", "init", "--start", "2026-12-07"]);
    assert_eq!(other.status.code(), Some(1));
    assert!(stderr(&other).contains("2026-11-30"), "{}", stderr(&other));
    assert!(!plan.join("kpis.md").exists());
    let rest = plimsoll(folder.path(), &["plan", "init", "--start", "2026-11-30"]);
    assert!(rest.status.success(), "{}", stderr(&rest));
    assert!(stdout(&rest).contains("wrote plan/kpis.md\nkept 45 files"), "{}", stdout(&rest));
    assert_eq!(fs::read_to_string(plan.join("scope.md")).unwrap(), "mine");
}

#[test]
fn a_start_that_is_no_day_is_a_wrong_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let refused = plimsoll(folder.path(), &["plan", "init", "--start", "monday"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("2026-11-30"), "{}", stderr(&refused));
    assert_eq!(names(folder.path()), [""; 0]);
}

#[test]
fn check_names_each_fault_with_its_line_and_ends_with_3() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["plan", "init", "--start", "2026-11-30", "--dir", "docs/90"];
    let made = plimsoll(folder.path(), &arguments);
    assert!(stdout(&made).contains("plimsoll plan check --dir docs/90"), "{}", stdout(&made));
    let checked = plimsoll(folder.path(), &["plan", "check", "--dir", "docs/90"]);
    assert_eq!(checked.status.code(), Some(3));
    let said = stderr(&checked);
    let owner = "docs/90/risk-map.md:2: owner: is empty; expected the name of one person";
    assert!(said.contains(owner) && said.contains("plimsoll: 45 faults"), "{said}");

    let json = plimsoll(folder.path(), &["plan", "check", "--dir", "docs/90", "--output", "json"]);
    assert_eq!(json.status.code(), Some(3));
    let document: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(document["faults"].as_array().unwrap().len(), 45, "{document}");
    assert_eq!(document["documents"].as_array().unwrap().len(), 45);
    assert_eq!(document["start"], "2026-11-30");
    assert_eq!(document["faults"][0]["key"], "owner");
}

#[test]
fn without_a_plan_check_says_how_to_begin() {
    let folder = tempfile::tempdir().unwrap();
    let refused = plimsoll(folder.path(), &["plan", "check"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("plimsoll plan init --start"), "{}", stderr(&refused));
}

#[test]
fn the_example_plan_has_no_fault_and_is_not_finished() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/mvp");
    let checked = plimsoll(&example, &["plan", "check"]);
    assert!(checked.status.success(), "{}", stderr(&checked));
    let said = stdout(&checked);
    assert!(said.contains("45 documents") && said.contains(" draft"), "{said}");
}
