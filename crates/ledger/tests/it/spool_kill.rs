//! A child process is killed at random points while it writes and imports. Whatever it said was on
//! disk has to be in the ledger afterwards, once.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use plimsoll_base::{SystemClock, failpoint};
use plimsoll_ledger::{Ledger, Spool, SpoolOptions};
use plimsoll_manifest::env;
use sqlx::{Connection as _, PgConnection};

use crate::place::{Place, keyring};
use crate::spool::{drain, imported, record};

const ROLE: &str = "PLIMSOLL_TEST_SPOOL_CHILD";
/// One for each place where writer and importer may die, and deaths from outside at any time.
const DEATHS: [Option<&str>; 14] = [
    Some("ledger.spool_segment_made"),
    Some("ledger.spool_half_written"),
    Some("ledger.spool_written"),
    Some("ledger.spool_synced"),
    Some("ledger.import_before_commit"),
    Some("ledger.import_committed"),
    None,
    None,
    None,
    None,
    None,
    None,
    None,
    None,
];

/// What the child does; without its variable, which only the test below sets, nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    let Some(role) = env::var(ROLE).unwrap() else { return };
    let mut role = role.split('|');
    let mut next = || role.next().unwrap().to_owned();
    let (root, url, first, point) = (PathBuf::from(next()), next(), next(), next());
    let first: u64 = first.parse().unwrap();
    let ledger = Ledger::new(SystemClock::shared(), keyring(root.join("keys")));
    let (spool, mut importer) = Spool::open(&SpoolOptions::new(&root.join("spool"))).unwrap();
    if !point.is_empty() {
        let once = point == "ledger.spool_segment_made";
        failpoint::kill_after(&point, if once { 1 } else { 3 });
    }
    let import = async {
        let mut conn = PgConnection::connect(&url).await.unwrap();
        loop {
            importer.import(&mut conn, &ledger).await.unwrap();
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let write = async {
        for from in (first..).step_by(4) {
            let waits: Vec<_> = (from..from + 4).map(|n| (n, spool.submit(&record(n)))).collect();
            for (n, wait) in waits {
                wait.unwrap().await.unwrap();
                let mut out = std::io::stdout().lock();
                writeln!(out, "acknowledged {n}").unwrap();
                out.flush().unwrap();
            }
        }
    };
    tokio::join!(import, write);
}

fn start(place: &Place, first: u64, point: &str) -> Child {
    let url = place.db.url(plimsoll_store::RUNTIME_ROLE);
    let role = format!("{}|{url}|{first}|{point}", place.root.path().display());
    Command::new(std::env::current_exe().unwrap())
        .args(["spool_kill::child", "--exact", "--nocapture"])
        .env(ROLE, role)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[tokio::test]
async fn killed_at_any_point_nothing_acknowledged_is_missing_and_nothing_doubled() {
    let place = Place::new().await;
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut acknowledged = Vec::new();
    for (n, point) in DEATHS.into_iter().enumerate() {
        let first = n as u64 * 1_000_000;
        let mut child = start(&place, first, point.unwrap_or_default());
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let reader = std::thread::spawn(move || {
            let numbers = lines.map_while(Result::ok).filter_map(|line| {
                line.split("acknowledged ").nth(1).and_then(|n| n.parse::<u64>().ok())
            });
            numbers.collect::<Vec<_>>()
        });
        if point.is_none() {
            tokio::time::sleep(Duration::from_millis(random.u64(30..300))).await;
            child.kill().unwrap();
        }
        let status = tokio::task::spawn_blocking(move || child.wait()).await.unwrap().unwrap();
        assert!(!status.success(), "it died at {point:?}: {status}");
        acknowledged.extend(reader.join().unwrap());
    }
    let options = SpoolOptions::new(&place.root.path().join("spool"));
    let (spool, mut importer) = Spool::open(&options).unwrap();
    drain(&place, &mut importer).await;
    let mut times = BTreeMap::new();
    let all = imported(&place).await;
    for request in &all {
        *times.entry(request.clone()).or_insert(0) += 1;
    }
    assert!(times.values().all(|times| *times == 1), "something stands twice");
    assert!(acknowledged.len() > 100, "{} acknowledged", acknowledged.len());
    for n in &acknowledged {
        assert!(times.contains_key(&format!("request-{n}")), "{n} is missing");
    }
    let numbers: Vec<u64> =
        all.iter().map(|request| request["request-".len()..].parse().unwrap()).collect();
    for child in numbers.chunk_by(|a, b| a / 1_000_000 == b / 1_000_000) {
        assert!(child.is_sorted(), "out of order");
    }
    assert_eq!((spool.figures().records, spool.figures().bytes), (0, 0));
    place.seal().await;
    assert!(place.verify().await.is_whole());
}
