use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use plimsoll_base::failpoint;
use plimsoll_ledger::{
    ActorKind, AuditRecord, Filter, Imported, Importer, Outcome, SEGMENT_BYTES_MAX, Spool,
    SpoolError, SpoolFull, SpoolOptions,
};
use plimsoll_protection::ActorHash;

use crate::place::{NOW_MS, Place};

pub(crate) fn record(n: u64) -> AuditRecord {
    AuditRecord {
        actor_kind: ActorKind::Caller,
        actor: Some(ActorHash::from_bytes([3; 32])),
        service: "shop".into(),
        operation: "createOrder".into(),
        request_id: format!("request-{n}"),
        status: 201,
        outcome: Outcome::Ok,
        at_unix_ms: NOW_MS + n,
    }
}

/// The request ids that the ledger holds, in the order in which they were imported.
pub(crate) async fn imported(place: &Place) -> Vec<String> {
    let query = "select detail ->> 'request_id' from ledger.entries
        where action = 'audit.operation' order by id";
    sqlx::query_scalar(query).fetch_all(&place.db.superuser).await.unwrap()
}

pub(crate) async fn drain(place: &Place, importer: &mut Importer) -> u64 {
    let mut conn = place.db.runtime.acquire().await.unwrap();
    let mut records = 0;
    loop {
        let imported = importer.import(&mut conn, &place.ledger).await.unwrap();
        if imported == Imported::default() {
            return records;
        }
        records += imported.records;
    }
}

fn options(place: &Place) -> SpoolOptions {
    SpoolOptions::new(&place.root.path().join("spool"))
}

fn segments(place: &Place) -> Vec<PathBuf> {
    let mut all: Vec<_> = fs::read_dir(place.root.path().join("spool"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    all.sort();
    all
}

async fn submit(spool: &Spool, range: std::ops::Range<u64>) {
    let waits: Vec<_> = range.map(|n| spool.submit(&record(n)).unwrap()).collect();
    for wait in waits {
        wait.await.unwrap();
    }
}

/// The writer's thread ends when the last handle is gone; the next opens the same files.
async fn reopened(place: &Place, spool: Spool) -> (Spool, Importer) {
    drop(spool);
    tokio::time::sleep(Duration::from_millis(50)).await;
    Spool::open(&options(place)).unwrap()
}

#[tokio::test]
async fn many_writers_share_one_fsync() {
    let place = Place::new().await;
    let (spool, mut importer) = Spool::open(&options(&place)).unwrap();
    submit(&spool, 0..2_000).await;
    let figures = spool.figures();
    assert_eq!(figures.records, 2_000);
    assert!(figures.syncs <= 1_000, "{figures:?}");
    assert_eq!(drain(&place, &mut importer).await, 2_000);
    let expected: Vec<_> = (0..2_000).map(|n| format!("request-{n}")).collect();
    assert_eq!(imported(&place).await, expected);
    let figures = spool.figures();
    assert_eq!((figures.records, figures.bytes, figures.imported), (0, 0, 2_000));
    // What an entry says, and that nothing else is kept.
    let mut conn = place.db.runtime.acquire().await.unwrap();
    let page = place.ledger.tail(&mut conn, &Filter::default(), 1).await.unwrap();
    let entry = &page.entries[0].entry;
    assert_eq!(entry.subject, "shop/createOrder");
    assert_eq!(entry.at_us, i64::try_from(NOW_MS + 1_999).unwrap() * 1_000);
    assert_eq!(entry.actor, Some(ActorHash::from_bytes([3; 32])));
}

#[tokio::test]
async fn a_full_spool_refuses_at_once_and_takes_again_after_import() {
    let place = Place::new().await;
    let bounds = SpoolOptions { records_max: 10, ..options(&place) };
    let (spool, mut importer) = Spool::open(&bounds).unwrap();
    submit(&spool, 0..10).await;
    assert!(matches!(spool.submit(&record(10)), Err(SpoolFull)));
    assert_eq!(spool.figures().refused, 1);
    drain(&place, &mut importer).await;
    submit(&spool, 10..20).await;
    drain(&place, &mut importer).await;
    assert_eq!(imported(&place).await.len(), 20);
    // The bound in bytes.
    let place = Place::new().await;
    let bounds = SpoolOptions { bytes_max: 1_000, ..options(&place) };
    let (spool, _importer) = Spool::open(&bounds).unwrap();
    let durable: Vec<_> = (0..100).filter_map(|n| spool.submit(&record(n)).ok()).collect();
    assert!((2..=5).contains(&durable.len()), "{}", durable.len());
    assert!(spool.figures().bytes <= 1_000);
    for one in durable {
        one.await.unwrap();
    }
    // The bound survives a restart.
    let (spool, _importer) = {
        drop(spool);
        tokio::time::sleep(Duration::from_millis(50)).await;
        Spool::open(&bounds).unwrap()
    };
    let again = (0..100).filter(|n| spool.submit(&record(*n)).is_ok()).count();
    assert_eq!(again, 0, "{:?}", spool.figures());
}

#[tokio::test]
async fn there_is_room_where_the_longest_record_fits_with_its_head() {
    let place = Place::new().await;
    let longest = plimsoll_ledger::RECORD_BYTES_MAX as u64 + 8;
    for (bytes_max, fits) in [(longest - 1, false), (longest, true)] {
        let bounds = SpoolOptions { bytes_max, ..options(&place) };
        let (spool, _importer) = Spool::open(&bounds).unwrap();
        assert_eq!(spool.has_room(), fits, "{bytes_max}");
    }
}

#[tokio::test]
async fn a_record_that_is_too_long_is_refused_alone() {
    let place = Place::new().await;
    let (spool, _importer) = Spool::open(&options(&place)).unwrap();
    let long = AuditRecord { request_id: "x".repeat(3_000), ..record(0) };
    let error = spool.submit(&long).unwrap().await.unwrap_err();
    assert!(matches!(error, SpoolError::TooLong { .. }), "{error}");
    submit(&spool, 0..1).await;
}

#[tokio::test]
async fn what_waits_survives_a_restart_and_segments_go_when_they_are_through() {
    let place = Place::new().await;
    let (spool, _) = Spool::open(&options(&place)).unwrap();
    let count = 3 * SEGMENT_BYTES_MAX / 250;
    for from in (0..count).step_by(1_000) {
        submit(&spool, from..(from + 1_000).min(count)).await;
    }
    assert!(segments(&place).len() >= 3, "{:?}", segments(&place));
    let (spool, mut importer) = reopened(&place, spool).await;
    assert_eq!(spool.figures().records, count);
    submit(&spool, count..count + 5).await;
    assert_eq!(drain(&place, &mut importer).await, count + 5);
    let expected: Vec<_> = (0..count + 5).map(|n| format!("request-{n}")).collect();
    assert_eq!(imported(&place).await, expected);
    assert_eq!(segments(&place).len(), 1, "only the one that is written");
    let figures = spool.figures();
    assert_eq!((figures.records, figures.bytes), (0, 0));
}

#[tokio::test]
async fn a_crash_around_the_import_neither_loses_nor_doubles() {
    for point in ["ledger.import_before_commit", "ledger.import_committed"] {
        let place = Place::new().await;
        let (spool, mut importer) = Spool::open(&options(&place)).unwrap();
        submit(&spool, 0..30).await;
        {
            let mut conn = place.db.runtime.acquire().await.unwrap();
            let _armed = failpoint::fail(point);
            importer.import(&mut conn, &place.ledger).await.unwrap_err();
        }
        // With the same importer, and after a restart.
        let (spool, mut again) = if point == "ledger.import_committed" {
            reopened(&place, spool).await
        } else {
            (spool, importer)
        };
        submit(&spool, 30..40).await;
        drain(&place, &mut again).await;
        let expected: Vec<_> = (0..40).map(|n| format!("request-{n}")).collect();
        assert_eq!(imported(&place).await, expected, "{point}");
        let figures = spool.figures();
        assert_eq!((figures.records, figures.bytes), (0, 0), "{point}");
    }
}

#[tokio::test]
async fn records_that_are_gone_leave_an_entry_that_says_so() {
    let place = Place::new().await;
    let (spool, mut importer) = Spool::open(&options(&place)).unwrap();
    let count = 2 * SEGMENT_BYTES_MAX / 250;
    for from in (0..count).step_by(500) {
        submit(&spool, from..(from + 500).min(count)).await;
    }
    {
        let mut conn = place.db.runtime.acquire().await.unwrap();
        importer.import(&mut conn, &place.ledger).await.unwrap();
    }
    // Somebody takes the oldest segment away while we are down.
    let (oldest, next) = (segments(&place)[0].clone(), segments(&place)[1].clone());
    drop(spool);
    tokio::time::sleep(Duration::from_millis(50)).await;
    fs::remove_file(oldest).unwrap();
    let (_spool, mut importer) = Spool::open(&options(&place)).unwrap();
    drain(&place, &mut importer).await;
    let to: u64 = next.file_name().unwrap().to_str().unwrap()[..20].parse().unwrap();
    let expected: Vec<_> = (0..2_000).chain(to..count).map(|n| format!("request-{n}")).collect();
    assert_eq!(imported(&place).await, expected);
    let mut conn = place.db.runtime.acquire().await.unwrap();
    let filter = Filter { action: Some("audit.gap".into()), ..Filter::default() };
    let page = place.ledger.tail(&mut conn, &filter, 10).await.unwrap();
    assert_eq!(page.entries.len(), 1);
    let detail = &page.entries[0].entry.detail;
    assert_eq!((detail["from"].as_u64(), detail["to"].as_u64()), (Some(2_000), Some(to)));
}

#[tokio::test]
async fn a_directory_that_was_set_back_doubles_nothing_and_hides_nothing() {
    let place = Place::new().await;
    let (spool, mut importer) = Spool::open(&options(&place)).unwrap();
    submit(&spool, 0..10).await;
    let (directory, copy) = (options(&place).directory, place.root.path().join("copy"));
    let copied = |from: &PathBuf, to: &PathBuf| {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
        }
    };
    copied(&directory, &copy);
    submit(&spool, 10..20).await;
    drain(&place, &mut importer).await;
    drop((spool, importer));
    tokio::time::sleep(Duration::from_millis(50)).await;
    fs::remove_dir_all(&directory).unwrap();
    copied(&copy, &directory);
    let (spool, mut importer) = Spool::open(&options(&place)).unwrap();
    // These have the numbers of records that were imported before.
    submit(&spool, 100..110).await;
    drain(&place, &mut importer).await;
    let expected: Vec<_> = (0..20).chain(100..110).map(|n| format!("request-{n}")).collect();
    assert_eq!(imported(&place).await, expected);
}
