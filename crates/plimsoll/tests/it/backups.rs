//! Databases for others, and the way there and back of our own.

use std::fs;
use std::time::Duration;

use serde_json::Value;

use crate::memory::{command, json, restarted, said, soon};
use crate::scene::Scene;

#[test]
fn a_database_for_a_program_of_the_team_is_made_once_and_its_url_works() {
    let scene = Scene::shop("");
    let data_dir = scene.edge.data_dir();
    let url = said(data_dir, &["database", "create", "tea"]);
    assert!(url.starts_with("postgresql://tea@localhost/tea?host=/"), "{url}");
    let again = json(data_dir, &["database", "create", "tea"]);
    assert_eq!(
        (again["url"].as_str(), again["database"].as_str()),
        (Some(url.trim()), Some("tea"))
    );
    for name in ["plimsoll", "a-b", "Tea", "pg_x"] {
        let refused = command(data_dir, &["database", "create", name]);
        assert_eq!(refused.status.code(), Some(1), "{name}");
        let text = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(text.contains(name), "{text}");
    }
    let nobody = tempfile::tempdir().unwrap();
    let refused = command(nobody.path(), &["database", "create", "tea"]);
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(text.contains("plimsoll up") && text.contains("--data-dir"), "{text}");
}

#[test]
fn a_backup_of_a_running_one_comes_back_elsewhere_with_a_whole_ledger() {
    let mut scene = Scene::shop("");
    let first = scene.edge.data_dir().to_owned();
    let alice = scene.bearer("");
    said(&first, &["revoke", "--sub", "alice"]);
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("one.tar");
    let file = file.to_str().unwrap();
    // A checkpoint is in it, which may not say more than the dump.
    soon(|| (json(&first, &["ledger", "verify"])["checkpoint_size"].as_u64()? > 0).then_some(()));
    let wrote = json(&first, &["backup", file]);
    let parts: Vec<&Value> = wrote["manifest"]["parts"].as_array().unwrap().iter().collect();
    assert!(parts.iter().any(|part| part["name"].as_str().unwrap().ends_with(".checkpoints")));
    let refused = command(&first, &["restore", file, "--replace"]);
    assert_eq!(refused.status.code(), Some(4), "a running one is left alone");

    let second = place.path().join("second");
    fs::create_dir_all(second.join("keys")).unwrap();
    fs::set_permissions(place.path(), std::os::unix::fs::PermissionsExt::from_mode(0o711)).unwrap();
    for key in fs::read_dir(first.join("keys")).unwrap() {
        let key = key.unwrap();
        fs::copy(key.path(), second.join("keys").join(key.file_name())).unwrap();
    }
    fs::set_permissions(second.join("keys"), std::os::unix::fs::PermissionsExt::from_mode(0o700))
        .unwrap();
    assert!(json(&second, &["restore", file])["rows"].as_u64().unwrap() > 0);
    scene.edge = restarted(&scene, &second, &[], "");
    let refused = || scene.ask("GET", "/profile", &[("authorization", &alice)]).status == 401;
    soon(|| refused().then_some(()));
    let verdict = soon(|| {
        let verdict = json(&second, &["ledger", "verify"]);
        (verdict["unsealed"] == 0 && verdict["after_checkpoint"] == 0).then_some(verdict)
    });
    assert_eq!(verdict["whole"], true, "{verdict}");

    assert!(scene.edge.stop(Duration::from_secs(20)).unwrap().success());
    let kept = command(&second, &["restore", file]);
    assert_eq!(kept.status.code(), Some(1));
    let text = String::from_utf8_lossy(&kept.stderr).into_owned();
    assert!(text.contains("--replace"), "{text}");
    let replaced = json(&second, &["restore", file, "--replace"]);
    let before = replaced["checkpoints_before"].as_str().unwrap();
    assert!(fs::read_dir(before).unwrap().next().is_some(), "{before}");
    let copy = place.path().join("two.tar");
    said(&second, &["backup", copy.to_str().unwrap()]);
}

#[test]
fn what_is_damaged_or_missing_is_said_and_nothing_is_changed() {
    let place = tempfile::tempdir().unwrap();
    fs::set_permissions(place.path(), std::os::unix::fs::PermissionsExt::from_mode(0o711)).unwrap();
    let (data_dir, file) = (place.path().join("data"), place.path().join("no.tar"));
    let refused = command(&data_dir, &["backup", file.to_str().unwrap()]);
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && text.contains("--data-dir"), "{text}");
    assert!(!data_dir.exists(), "a backup makes no data directory");
    fs::write(&file, "no archive").unwrap();
    let refused = command(&data_dir, &["restore", file.to_str().unwrap()]);
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && text.contains("no.tar"), "{text}");
}
