//! The folder: written once, read whole.

use std::fs;
use std::path::Path;

use plimsoll_plan::Date;
use plimsoll_plan::documents::{InitError, KINDS, ReadError, init, read};

use crate::filled::today;

fn day(text: &str) -> Date {
    text.parse().unwrap()
}

#[test]
fn init_writes_every_document_and_a_second_one_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("a/plan");
    let done = init(&dir, day("2026-12-07"), today()).unwrap();
    assert_eq!((done.written.len(), done.kept.len()), (KINDS.len() + 1, 0));
    let found = read(&dir, today().unix_ms()).unwrap();
    assert_eq!(found.facts.start, Some(day("2026-12-07")));
    assert_eq!(found.documents.len(), KINDS.len());
    assert_eq!(found.faults, []);
    assert_eq!(found.all_faults().count(), KINDS.len(), "each lacks an owner and nothing else");

    let again = init(&dir, day("2026-12-07"), today());
    assert!(matches!(again, Err(InitError::AllThere(_))), "{again:?}");
}

#[test]
fn init_never_overwrites_and_never_mixes_two_plans() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    fs::write(dir.join("scope.md"), "mine").unwrap();
    let done = init(dir, today(), today()).unwrap();
    assert_eq!(done.kept, [dir.join("scope.md")]);
    assert_eq!(fs::read_to_string(dir.join("scope.md")).unwrap(), "mine");

    fs::remove_file(dir.join("kpis.md")).unwrap();
    let other = init(dir, day("2027-01-04"), today()).unwrap_err();
    assert!(other.to_string().contains("starts on 2026-11-29"), "{other}");
    fs::write(dir.join("README.md"), "# Something else\n").unwrap();
    let strange = init(dir, today(), today()).unwrap_err();
    assert!(matches!(strange, InitError::NoStart { .. }), "{strange}");
    assert!(!dir.join("kpis.md").exists());
}

/// A link that waits where a document would be written is not followed.
#[cfg(unix)]
#[test]
fn init_follows_no_link() {
    let (folder, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let target = outside.path().join("target");
    std::os::unix::fs::symlink(&target, folder.path().join("kpis.md")).unwrap();
    let done = init(folder.path(), today(), today()).unwrap();
    assert_eq!(done.kept, [folder.path().join("kpis.md")]);
    assert!(!target.exists());
}

#[test]
fn what_is_missing_is_named_with_what_was_probably_meant() {
    let folder = tempfile::tempdir().unwrap();
    init(folder.path(), today(), today()).unwrap();
    fs::rename(folder.path().join("risk-map.md"), folder.path().join("risk_map.md")).unwrap();
    fs::remove_file(folder.path().join("README.md")).unwrap();
    fs::write(folder.path().join("a-note-of-our-own.md"), "no document of the plan").unwrap();
    let found = read(folder.path(), today().unix_ms()).unwrap();
    let said: Vec<String> = found.faults.iter().map(ToString::to_string).collect();
    let at = |name: &str| folder.path().join(name).display().to_string();
    assert_eq!(
        said,
        [
            format!("{}: is not there; expected the start of the plan", at("README.md")),
            format!(
                "{}: is not there (there is `risk_map.md`); expected risk map; `plimsoll plan \
                 init` writes what is missing and nothing else",
                at("risk-map.md")
            ),
        ]
    );
    assert_eq!(found.facts.start, None);
}

#[test]
fn the_start_has_its_own_faults() {
    let folder = tempfile::tempdir().unwrap();
    for (front, wanted) in [
        (
            "strat: 2026-11-30",
            ":2: `strat` is no key of this document; expected one of start, links; did you mean \
             `start`?",
        ),
        (
            "start: soon",
            ":2: start: `soon` is no day; expected the first day of the plan, such as 2026-11-30",
        ),
        ("start:", ":2: start: is empty; expected the first day of the plan, such as 2026-11-30"),
    ] {
        fs::write(folder.path().join("README.md"), format!("---\n{front}\n---\n")).unwrap();
        let found = read(folder.path(), today().unix_ms()).unwrap();
        assert!(
            found.faults[0].to_string().ends_with(&format!("README.md{wanted}")),
            "{}",
            found.faults[0]
        );
        assert!(found.facts.start.is_none());
    }
}

#[test]
fn a_day_that_has_begun_on_some_island_is_not_in_the_future() {
    let folder = tempfile::tempdir().unwrap();
    init(folder.path(), today(), today()).unwrap();
    let faults = |now: u64| read(folder.path(), now).unwrap().all_faults().count();
    let midnight = today().unix_ms();
    assert_eq!(faults(midnight - 14 * 3_600_000), KINDS.len());
    assert_eq!(faults(midnight - 14 * 3_600_000 - 1), 2 * KINDS.len());
}

#[test]
fn no_folder_is_an_error_that_says_how_to_begin() {
    let error = read(Path::new("/nowhere/plan"), 0).unwrap_err();
    assert!(matches!(error, ReadError::NotThere(_)));
    assert!(error.to_string().contains("plimsoll plan init --start DATE"), "{error}");
}

#[test]
fn the_example_plan_is_right_and_not_finished() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/mvp/plan");
    let found = read(&dir, today().unix_ms()).unwrap();
    let said: Vec<String> = found.all_faults().map(ToString::to_string).collect();
    assert_eq!(said, [""; 0]);
    assert_eq!(found.facts.start, Some(day("2026-11-02")));
    assert_eq!(found.facts.risks.len(), 10);
    let agreed = found.documents.iter().filter(|document| document.step >= Some(1)).count();
    assert!((28..=34).contains(&agreed), "{agreed} of {} are agreed", found.documents.len());
}

/// The example plan speaks of the operations of the example's contract.
#[test]
fn the_example_plan_names_operations_that_exist() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/mvp");
    let contract = fs::read_to_string(example.join("openapi.json")).unwrap();
    let mut named = 0;
    for name in ["journeys", "api-outline"] {
        let text = fs::read_to_string(example.join(format!("plan/{name}.md"))).unwrap();
        for row in text.lines().filter(|line| line.starts_with("| ")) {
            for operation in row.split('`').skip(1).step_by(2) {
                assert!(contract.contains(&format!("\"{operation}\"")), "{name}: {operation}");
                named += 1;
            }
        }
    }
    assert!(named > 20, "{named}");
}
