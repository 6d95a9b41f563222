//! What `plimsoll doctor` says of the database.

use std::path::Path;
use std::process::Command;

use plimsoll_store::{OWNER_ROLE, RUNTIME_ROLE};
use plimsoll_testkit::database::Database;
use plimsoll_testkit::free_addr;
use serde_json::Value;

use crate::scene::Scene;

/// Its exit code, and the findings about the database: state and words.
fn doctor(data_dir: &Path, env: &[(&str, &str)]) -> (Option<i32>, Vec<(String, String)>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
    command.args(["doctor", "--output", "json", "--data-dir"]).arg(data_dir);
    let output = command.envs(env.iter().copied()).output().unwrap();
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_owned();
    let findings = answer["findings"].as_array().unwrap();
    let of_database = findings.iter().filter(|finding| finding["what"] == "database");
    let told = of_database.map(|finding| (text(finding, "state"), text(finding, "found")));
    (output.status.code(), told.collect())
}

fn says(findings: &[(String, String)], state: &str, words: &str) -> bool {
    findings.iter().any(|(found, text)| found == state && text.contains(words))
}

#[test]
fn a_running_one_is_asked_and_does_not_claim_more_than_is_so() {
    let scene = Scene::shop("");
    let (code, findings) = doctor(scene.edge.data_dir(), &[]);
    assert_eq!(code, Some(0), "{findings:?}");
    assert!(says(&findings, "ok", "The server is PostgreSQL"), "{findings:?}");
    assert!(says(&findings, "weak", "the server is the process's own"), "{findings:?}");
    assert!(!findings.iter().any(|(_, text)| text.contains("cannot change what it appended")));
}

#[test]
fn a_database_elsewhere_is_tried_with_both_roles_although_nothing_runs() {
    let database = Database::for_processes(&[]);
    let (runtime, owner) = (database.url(RUNTIME_ROLE), database.url(OWNER_ROLE));
    let folder = tempfile::tempdir().unwrap();
    let two = [("DATABASE_URL", &*runtime), ("PLIMSOLL_DATABASE_OWNER_URL", &*owner)];
    let (_, findings) = doctor(folder.path(), &two);
    assert!(says(&findings, "ok", "The server is PostgreSQL"), "{findings:?}");
    assert!(says(&findings, "ok", "two roles: the process cannot change"), "{findings:?}");
    // The tests' own server keeps nothing.
    assert!(says(&findings, "broken", "fsync is off"), "{findings:?}");
    let (_, findings) = doctor(folder.path(), &[("DATABASE_URL", &*owner)]);
    assert!(says(&findings, "weak", "One role owns and uses"), "{findings:?}");

    let nobody = format!("postgresql://u:hunter2@{}/d", free_addr().unwrap());
    let (code, findings) = doctor(folder.path(), &[("DATABASE_URL", &nobody)]);
    assert_eq!(code, Some(1));
    assert!(says(&findings, "broken", "cannot be asked"), "{findings:?}");
    assert!(!findings.iter().any(|(_, text)| text.contains("hunter2")), "{findings:?}");
    let lost = [("DATABASE_URL", &*runtime), ("PLIMSOLL_DATABASE_OWNER_URL", &*nobody)];
    let (code, findings) = doctor(folder.path(), &lost);
    assert_eq!(code, Some(1));
    assert!(says(&findings, "broken", "The owner cannot migrate"), "{findings:?}");
}
