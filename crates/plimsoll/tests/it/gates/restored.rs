//! Backups that are restored on trial, beside what runs.

use std::fs;

use super::{Place, newest};
use crate::memory::{command, entries, json, said, soon};

#[test]
fn a_backup_is_restored_on_trial_and_a_damaged_one_is_told() {
    let place = Place::new();
    let mut edge = place.start(&place.shop(""));
    let data_dir = place.data_dir();
    soon(|| (json(data_dir, &["ledger", "verify"])["checkpoint_size"].as_u64()? > 0).then_some(()));
    assert!(newest(data_dir, "store.restored").is_none());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("one.tar");
    let path = file.to_str().unwrap();
    said(data_dir, &["backup", path]);
    let text = said(data_dir, &["restore", path, "--rehearse"]);
    assert!(text.contains("came back whole"), "{text}");
    let entry = newest(data_dir, "store.restored").unwrap();
    let facts = &entry["detail"]["facts"];
    assert_eq!((&facts["whole"], &entry["actor_kind"]), (&true.into(), &"operator".into()));
    assert!(facts["entries"].as_u64() > Some(0), "{facts}");
    assert!(facts["backup_age_s"].as_u64() < Some(120), "{facts}");
    assert_eq!(entry["detail"]["how"], "measured");
    let acts = entries(data_dir, "operator.act");
    assert!(acts.iter().any(|act| act["detail"]["act"] == "backup.rehearse"), "{acts:?}");

    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, bytes).unwrap();
    let refused = command(data_dir, &["restore", path, "--rehearse"]);
    assert_eq!(refused.status.code(), Some(1));
    let entry = newest(data_dir, "store.restored").unwrap();
    assert_eq!(entry["detail"]["facts"]["whole"], false, "{entry}");
    let says = entry["detail"]["facts"]["says"].as_str().unwrap().to_owned();
    assert!(says.starts_with("it cannot be restored"), "{says}");
    edge.kill().unwrap();
    fs::remove_file(&file).unwrap();
    let missing = command(data_dir, &["restore", path, "--rehearse"]);
    assert!(String::from_utf8_lossy(&missing.stderr).contains("no such file"));
}
