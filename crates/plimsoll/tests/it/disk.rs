//! A disk that takes nothing: a clear refusal, and nothing torn.

use std::fs::{self, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use plimsoll_testkit::{Mounted, Plimsoll, PlimsollOptions, free_addr};
use rustix::process::Signal;

use crate::memory::{command, soon};

fn up(data_dir: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_plimsoll"))
        .args(["up", "--upstream", "http://127.0.0.1:9", "--data-dir"])
        .arg(data_dir)
        .args(["--listen", &free_addr().unwrap().to_string()])
        .args(["--ops-listen", &free_addr().unwrap().to_string()])
        .output()
        .unwrap()
}

#[track_caller]
fn refused(data_dir: &Path) -> String {
    let output = up(data_dir);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(matches!(output.status.code(), Some(1 | 4)), "{:?}: {text}", output.status);
    assert!(text.contains(data_dir.to_str().unwrap()), "which directory: {text}");
    assert!(!text.contains("panicked"), "{text}");
    text
}

fn fill(place: &Path) {
    let mut file = fs::File::create(place.join("filler")).unwrap();
    while file.write_all(&[0; 512]).is_ok() {}
}

fn runs_and_ends(data_dir: &Path) {
    let mut edge = Plimsoll::start(&PlimsollOptions {
        args: vec!["--upstream".into(), "http://127.0.0.1:9".into()],
        data_dir: Some(data_dir.to_owned()),
        unseeded: true,
        ready_within: Some(Duration::from_secs(60)),
        ..PlimsollOptions::default()
    })
    .unwrap();
    soon(|| command(data_dir, &["ledger", "verify"]).status.success().then_some(()));
    edge.signal(Signal::TERM).unwrap();
    let status = edge.wait(Duration::from_secs(30)).unwrap();
    assert!(status.is_some_and(|status| status.success()), "{}", edge.stderr());
}

fn data_dir(disk: &Mounted) -> std::path::PathBuf {
    let data_dir = disk.path().join("data");
    fs::create_dir(&data_dir).unwrap();
    fs::set_permissions(&data_dir, Permissions::from_mode(0o700)).unwrap();
    data_dir
}

#[test]
fn a_read_only_directory_is_refused_before_and_after_the_first_start() {
    let Some(disk) = Mounted::small(200 * 1024).unwrap() else { return };
    let data_dir = data_dir(&disk);
    disk.remount("ro").unwrap();
    let text = refused(&data_dir);
    assert!(text.contains("Read-only") && text.contains("--data-dir"), "{text}");
    disk.remount("rw").unwrap();
    assert_eq!(fs::read_dir(&data_dir).unwrap().count(), 0, "nothing was begun");
    runs_and_ends(&data_dir);
    disk.remount("ro").unwrap();
    let text = refused(&data_dir);
    assert!(text.contains("Read-only") && text.contains("--data-dir"), "{text}");
    disk.remount("rw").unwrap();
    runs_and_ends(&data_dir);
}

#[test]
fn a_full_disk_is_refused_and_the_same_directory_goes_on_once_there_is_room() {
    let Some(disk) = Mounted::small(200 * 1024).unwrap() else { return };
    let data_dir = data_dir(&disk);
    fill(disk.path());
    let text = refused(&data_dir);
    assert!(text.contains("No space left") || text.contains("space"), "{text}");
    fs::remove_file(disk.path().join("filler")).unwrap();
    runs_and_ends(&data_dir);
}
