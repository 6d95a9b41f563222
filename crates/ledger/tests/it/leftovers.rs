//! Spools that processes before us left, what of our own goes through a spool, and a disk that
//! takes no more.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use plimsoll_ledger::{
    AuditRecord, Fact, Filter, Importer, Leftover, Listed, OwnEntry, Spool, SpoolError, SpoolFull,
    SpoolOptions,
};
use plimsoll_testkit::Mounted;
use tokio::sync::watch;

use crate::place::{NOW_MS, Place, spawn};
use crate::spool::{drain, imported, record};

fn folder(place: &Place) -> PathBuf {
    place.root.path().join("spools")
}

/// What a process leaves that is killed before the database took anything.
async fn left(place: &Place, name: &str, records: std::ops::Range<u64>) {
    let (spool, _) = Spool::open(&SpoolOptions::new(&folder(place).join(name))).unwrap();
    for n in records {
        spool.submit(&record(n)).unwrap().await.unwrap();
    }
    drop(spool);
    tokio::time::sleep(Duration::from_millis(50)).await;
}

struct Ours {
    spool: Spool,
    importer: Importer,
    leftovers: Vec<Leftover>,
}

fn ours(place: &Place, options: impl FnOnce(SpoolOptions) -> SpoolOptions) -> Ours {
    let directory = folder(place).join("z-ours");
    let (spool, importer) = Spool::open(&options(SpoolOptions::new(&directory))).unwrap();
    let leftovers = spool.leftovers(&folder(place), &directory).unwrap();
    Ours { spool, importer: importer.named("here"), leftovers }
}

/// Runs until as many entries are there.
async fn run(place: &Place, importer: Importer, leftovers: Vec<Leftover>, entries: usize) {
    let (stop, stopped) = watch::channel(false);
    let (pool, ledger) = (place.db.runtime.clone(), place.ledger.clone());
    let running = spawn(importer.run(leftovers, pool, ledger, stopped));
    for _ in 0..200 {
        if imported(place).await.len() >= entries {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stop.send_replace(true);
    running.await.unwrap();
}

async fn entries(place: &Place, filter: Filter) -> Vec<Listed> {
    let mut conn = place.db.runtime.acquire().await.unwrap();
    place.ledger.tail(&mut conn, &filter, 100).await.unwrap().entries
}

fn names(range: std::ops::Range<u64>) -> Vec<String> {
    range.map(|n| format!("request-{n}")).collect()
}

#[tokio::test]
async fn what_several_processes_left_comes_in_order_before_what_is_new() {
    let place = Place::new().await;
    left(&place, "a", 0..5).await;
    left(&place, "b", 5..10).await;
    left(&place, "c-empty", 0..0).await;
    let Ours { spool, importer, leftovers } = ours(&place, |options| options);
    assert!(!folder(&place).join("c-empty").exists(), "nothing is kept that holds nothing");
    for n in 10..13 {
        spool.submit(&record(n)).unwrap().await.unwrap();
    }
    assert_eq!(spool.figures().records, 13, "what was left counts");
    run(&place, importer, leftovers, 13).await;
    assert_eq!(imported(&place).await, names(0..13));
    assert_eq!((spool.figures().records, spool.figures().bytes), (0, 0));
    assert_eq!(spool.figures().imported, 13, "of whichever process");
    for name in ["a", "b"] {
        assert!(!folder(&place).join(name).exists(), "{name}");
    }
    let node = |listed: &Listed| listed.entry.detail["node"] == "here";
    assert!(entries(&place, Filter::default()).await.iter().all(node));
}

#[tokio::test]
async fn a_disk_that_fails_for_a_moment_holds_a_spool_up_and_loses_nothing() {
    let place = Place::new().await;
    left(&place, "a", 0..3).await;
    left(&place, "b", 3..6).await;
    let Ours { spool, importer, leftovers } = ours(&place, |options| options);
    let segment = fs::read_dir(folder(&place).join("a")).unwrap().next().unwrap().unwrap().path();
    let aside = place.root.path().join("aside");
    // Whoever opens a folder to read it as a file gets an error that is none of the file's.
    fs::rename(&segment, &aside).unwrap();
    fs::create_dir(&segment).unwrap();
    let mend = async {
        for _ in 0..200 {
            if spool.damaged().is_some() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let said = spool.damaged();
        fs::remove_dir(&segment).unwrap();
        fs::rename(&aside, &segment).unwrap();
        said
    };
    let (said, ()) = tokio::join!(mend, run(&place, importer, leftovers, 6));
    assert!(said.unwrap().contains("directory"), "it is said while it lasts");
    assert_eq!(imported(&place).await, names(0..6), "in order, and all of it");
    assert_eq!(spool.damaged(), None);
}

#[tokio::test]
async fn a_folder_that_cannot_be_read_for_a_moment_is_read_later() {
    let place = Place::new().await;
    left(&place, "a", 0..3).await;
    let segment = fs::read_dir(folder(&place).join("a")).unwrap().next().unwrap().unwrap().path();
    let aside = place.root.path().join("aside");
    fs::rename(&segment, &aside).unwrap();
    fs::create_dir(&segment).unwrap();
    let Ours { spool, importer, leftovers } = ours(&place, |options| options);
    assert!(spool.damaged().is_some());
    fs::remove_dir(&segment).unwrap();
    fs::rename(&aside, &segment).unwrap();
    run(&place, importer, leftovers, 3).await;
    assert_eq!(imported(&place).await, names(0..3));
    assert_eq!(spool.damaged(), None);
}

#[tokio::test]
async fn what_is_still_being_written_is_neither_taken_nor_taken_away() {
    let place = Place::new().await;
    left(&place, ".b", 0..2).await;
    fs::create_dir(folder(&place).join(".c")).unwrap();
    let Ours { spool, leftovers, .. } = ours(&place, |options| options);
    assert!(leftovers.is_empty());
    assert_eq!(spool.figures().records, 0);
    assert!(folder(&place).join(".b").exists() && folder(&place).join(".c").exists());
}

#[tokio::test]
async fn an_entry_that_was_left_is_found_by_the_next_process() {
    let place = Place::new().await;
    let act = OwnEntry {
        operator: Some("local:1000".into()),
        fact: crate::place::act("/backups/one.tar"),
        at_unix_ms: NOW_MS,
    };
    Spool::leave(&folder(&place), "a", act).await.unwrap();
    let there: Vec<_> = fs::read_dir(folder(&place)).unwrap().collect();
    assert_eq!(there.len(), 1, "{there:?}");
    let Ours { spool, importer, leftovers } = ours(&place, |options| options);
    assert_eq!((leftovers.len(), spool.figures().records), (1, 1));
    let (stop, stopped) = watch::channel(true);
    let (pool, ledger) = (place.db.runtime.clone(), place.ledger.clone());
    importer.run(leftovers, pool, ledger, stopped).await;
    drop(stop);
    assert_eq!(entries(&place, Filter::default()).await[0].entry.subject, "/backups/one.tar");
}

#[tokio::test]
async fn the_bound_holds_over_restarts() {
    let place = Place::new().await;
    left(&place, "a", 0..6).await;
    left(&place, "b", 6..8).await;
    let Ours { spool, importer, leftovers } =
        ours(&place, |options| SpoolOptions { records_max: 10, ..options });
    for n in 8..10 {
        spool.submit(&record(n)).unwrap().await.unwrap();
    }
    assert!(!spool.has_room());
    assert!(matches!(spool.submit(&record(10)), Err(SpoolFull)));
    run(&place, importer, leftovers, 10).await;
    assert!(spool.has_room());
}

#[tokio::test]
async fn a_spool_that_cannot_be_read_is_named_and_blocks_no_other() {
    let place = Place::new().await;
    left(&place, "a", 0..3).await;
    left(&place, "b", 3..6).await;
    // Whole by its checksums, and of no form that anybody knows.
    let (spool, _) = Spool::open(&SpoolOptions::new(&folder(&place).join("a2"))).unwrap();
    let strange = OwnEntry {
        operator: None,
        fact: Fact::Stop { node: "x".repeat(300), reason: "signal", requests_cut: 0, took_ms: 1 },
        at_unix_ms: NOW_MS,
    };
    spool.submit_own(strange).unwrap().await.unwrap();
    drop(spool);
    // And one that is no segment.
    fs::create_dir(folder(&place).join("a3")).unwrap();
    for name in ["1.spool", "2.spool"] {
        fs::write(folder(&place).join("a3").join(name), "x".repeat(100)).unwrap();
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    let Ours { spool, importer, leftovers } = ours(&place, |options| options);
    spool.submit(&record(6)).unwrap().await.unwrap();
    run(&place, importer, leftovers, 7).await;
    assert_eq!(imported(&place).await, names(0..7));
    assert!(spool.damaged().is_some());
    assert_eq!(spool.figures().records, 1, "it waits, and shows");
    assert!(folder(&place).join("a2").exists() && folder(&place).join("a3").exists());
}

#[tokio::test]
async fn a_full_spool_still_takes_what_plimsoll_says_of_itself() {
    let place = Place::new().await;
    let Ours { spool, mut importer, .. } =
        ours(&place, |options| SpoolOptions { records_max: 1, ..options });
    spool.submit(&record(0)).unwrap().await.unwrap();
    assert!(matches!(spool.submit(&record(1)), Err(SpoolFull)));
    let start = Fact::Start {
        version: "1".into(),
        node: "here".into(),
        role: "all".into(),
        manifest_sha256: "0".repeat(64),
    };
    let own = |operator: Option<&str>, fact: Fact| OwnEntry {
        operator: operator.map(str::to_owned),
        fact,
        at_unix_ms: NOW_MS - 7,
    };
    spool.submit_own(own(None, start)).unwrap().await.unwrap();
    let act = crate::place::act("/backups/one.tar");
    spool.submit_own(own(Some("local:1000"), act)).unwrap().await.unwrap();
    drain(&place, &mut importer).await;
    let by = Filter { action: Some("plimsoll.start".into()), ..Filter::default() };
    let starts = entries(&place, by).await;
    assert_eq!(starts.len(), 1);
    let entry = &starts[0].entry;
    assert_eq!((entry.actor_kind.as_str(), entry.actor), ("system", None));
    assert_eq!(entry.at_us, i64::try_from(NOW_MS - 7).unwrap() * 1_000);
    assert_eq!(entry.detail["version"], "1");
    let by = Filter { actor: Some("local:1000".into()), ..Filter::default() };
    let acts = entries(&place, by).await;
    assert_eq!(acts.len(), 1);
    assert_eq!(acts[0].entry.subject, "/backups/one.tar");
    assert_eq!(acts[0].entry.actor_kind, "operator");
}

#[tokio::test]
async fn a_call_without_credentials_is_a_callers_and_not_ours() {
    let place = Place::new().await;
    let Ours { spool, mut importer, .. } = ours(&place, |options| options);
    let anonymous = AuditRecord { actor: None, ..record(0) };
    spool.submit(&anonymous).unwrap().await.unwrap();
    drain(&place, &mut importer).await;
    let entry = &entries(&place, Filter::default()).await[0].entry;
    assert_eq!((entry.actor_kind.as_str(), entry.actor), ("caller", None));
}

fn fill(place: &Path) {
    use std::io::Write as _;
    let mut file = fs::File::create(place.join("filler")).unwrap();
    while file.write_all(&[0; 512]).is_ok() {}
}

#[tokio::test]
async fn a_full_disk_refuses_the_record_tears_nothing_and_takes_again() {
    let Some(disk) = Mounted::small(256).unwrap() else { return };
    let place = Place::new().await;
    let options = SpoolOptions::new(&disk.path().join("spool"));
    let (spool, _) = Spool::open(&options).unwrap();
    spool.submit(&record(0)).unwrap().await.unwrap();
    let before = spool.figures();
    fill(disk.path());
    // The file's last page takes a few more.
    let mut written = 1;
    let error = loop {
        match spool.submit(&record(written)).unwrap().await {
            Ok(()) => written += 1,
            Err(error) => break error,
        }
        assert!(written < 100, "the disk is full");
    };
    assert!(matches!(error, SpoolError::Io { .. }), "{error}");
    assert_eq!(spool.figures().records, written, "it takes no room: {before:?}");
    fs::remove_file(disk.path().join("filler")).unwrap();
    spool.submit(&record(written)).unwrap().await.unwrap();
    drop(spool);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let (spool, mut importer) = Spool::open(&options).unwrap();
    drain(&place, &mut importer).await;
    assert_eq!(imported(&place).await, names(0..written + 1));
    drop(spool);
}
