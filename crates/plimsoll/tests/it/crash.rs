//! `kill -9` at random moments, of Plimsoll, of Postgres and of both, while writers append to the
//! ledger and audited calls come in: nothing that was answered is missing, nothing stands twice,
//! the ledger verifies, and no process is left.
//!
//! Five rounds of each kind here; `bench/crash/run` does two hundred.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use plimsoll_testkit::{
    Origin, Plimsoll, PlimsollOptions, RawClient, TestIssuer, free_addr, standing_in,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::memory::soon;
use crate::scene::{CONTRACT, Stopwatch, claims, shop_manifest};

const TOKEN: &str = "crash-test-token-of-32-characters";
const AUDITED: &str = "[[operation]]\nid = \"createOrder\"\naudit = true\n";
const WRITERS: usize = 4;
/// From the kill until it is ready and the ledger takes entries again.
const BACK_WITHIN: Duration = Duration::from_secs(5);
/// So long nothing of the spool may stand still.
const DRAINED_WITHIN: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Plimsoll,
    Postgres,
    Both,
}

#[expect(clippy::disallowed_methods, reason = "a test's own switch")]
fn rounds() -> usize {
    std::env::var("PLIMSOLL_CRASH_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(5)
}

/// Everything that lives longer than one process of Plimsoll.
struct Stage {
    origin: Origin,
    issuer: TestIssuer,
    data_dir: tempfile::TempDir,
    listen: SocketAddr,
    ops: SocketAddr,
    bearer: String,
}

impl Stage {
    fn new() -> Self {
        let origin = Origin::start().unwrap();
        let issuer = TestIssuer::new("key-1").unwrap();
        let token = issuer.mint(&claims().scope("orders:write")).unwrap();
        Self {
            origin,
            issuer,
            data_dir: tempfile::tempdir().unwrap(),
            listen: free_addr().unwrap(),
            ops: free_addr().unwrap(),
            bearer: format!("Bearer {token}"),
        }
    }

    fn start(&self) -> Plimsoll {
        Plimsoll::start(&PlimsollOptions {
            manifest: Some(shop_manifest(&self.origin.url(), AUDITED)),
            files: vec![
                ("openapi.json".into(), CONTRACT.into()),
                ("jwks.json".into(), self.issuer.jwks().into_bytes()),
            ],
            env: vec![("PLIMSOLL_INGEST_TOKEN".into(), TOKEN.into())],
            listen: Some(self.listen),
            ops_listen: Some(self.ops),
            data_dir: Some(self.data_dir.path().to_owned()),
            ..PlimsollOptions::default()
        })
        .unwrap()
    }

    fn postgres(&self) -> std::path::PathBuf {
        self.data_dir.path().join("postgres/data")
    }

    fn kill_postgres(&self) {
        // Between two lives the file is missing, or not written yet.
        let pid = soon(|| {
            let text = std::fs::read_to_string(self.postgres().join("postmaster.pid")).ok()?;
            text.lines().next()?.parse().ok().and_then(Pid::from_raw)
        });
        let _gone_already = kill_process(pid, Signal::KILL).is_err();
    }

    /// Appends an action of the team's own; the status, if there was an answer.
    fn append(&self, id: &str) -> Option<u16> {
        append(self.ops, id)
    }

    /// Waits until the ledger takes entries.
    fn wait_until_it_takes(&self, probe: &str) {
        let begun = Stopwatch::start();
        let mut number = 0;
        while self.append(&format!("{probe}-{number}")) != Some(201) {
            number += 1;
            assert!(
                begun.elapsed() < BACK_WITHIN,
                "the ledger takes nothing after {BACK_WITHIN:?}"
            );
            std::thread::sleep(Duration::from_millis(25));
        }
    }
}

fn append(ops: SocketAddr, id: &str) -> Option<u16> {
    let mut client = RawClient::connect(ops).ok()?;
    client.set_patience(Duration::from_secs(8));
    let body = format!(r#"{{"id":"{id}","action":"order.refund","outcome":"ok","subject":"o/1"}}"#);
    let length = body.len().to_string();
    let bearer = format!("Bearer {TOKEN}");
    let fields = [
        ("authorization", &*bearer),
        ("content-type", "application/json"),
        ("content-length", &*length),
    ];
    let path = "/api/v1/ledger/entries";
    client.request("POST", path, &fields, body.as_bytes()).ok().map(|answer| answer.status)
}

/// An audited call; true when it was answered 200.
fn order(edge: SocketAddr, bearer: &str, id: &str) -> bool {
    let Ok(mut client) = RawClient::connect(edge) else { return false };
    let fields = [("authorization", bearer), ("content-length", "0"), ("x-request-id", id)];
    client.request("POST", "/orders", &fields, b"").is_ok_and(|answer| answer.status == 200)
}

/// Writers that note what they were answered.
struct Writers {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Vec<String>>>,
}

impl Writers {
    fn start(stage: &Stage, prefix: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let threads = (0..WRITERS).map(|writer| {
            let (stop, prefix) = (Arc::clone(&stop), prefix.to_owned());
            let (edge, ops, bearer) = (stage.listen, stage.ops, stage.bearer.clone());
            std::thread::spawn(move || {
                let mut answered = Vec::new();
                for number in 0..100_000 {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let id = format!("{prefix}-w{writer}-{number:05}");
                    let done = if writer % 2 == 0 {
                        matches!(append(ops, &id), Some(200 | 201))
                    } else {
                        order(edge, &bearer, &id)
                    };
                    if done {
                        answered.push(id);
                    }
                }
                answered
            })
        });
        let threads = threads.collect();
        Self { stop, threads }
    }

    fn stop(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    }
}

fn command(data_dir: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
    let output = command.args(arguments).arg("--data-dir").arg(data_dir).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// How often each id stands in the ledger, sealed.
fn written(data_dir: &Path) -> HashMap<String, usize> {
    let mut found = HashMap::new();
    for line in command(data_dir, &["ledger", "export"]).lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let detail = &line["entry"]["detail"];
        let id = detail["request_id"].as_str().or_else(|| detail["id"].as_str());
        let id = id.or_else(|| detail["name"].as_str().and(line["entry"]["id"].as_str()));
        if let Some(id) = id {
            *found.entry(id.to_owned()).or_default() += 1;
        }
    }
    found
}

fn crash(kind: Kind) {
    let stage = Stage::new();
    let mut edge = stage.start();
    stage.wait_until_it_takes("first");
    let (mut orders, mut actions) = (Vec::new(), Vec::new());
    let mut slowest = Duration::ZERO;
    for round in 0..rounds() {
        let writers = Writers::start(&stage, &format!("{kind:?}-{round:03}"));
        std::thread::sleep(Duration::from_millis(30 + fastrand::u64(..400)));
        let killed = Stopwatch::start();
        if kind != Kind::Plimsoll {
            stage.kill_postgres();
        }
        if kind != Kind::Postgres {
            edge.kill().unwrap();
            edge = stage.start();
        }
        stage.wait_until_it_takes(&format!("probe-{kind:?}-{round:03}"));
        slowest = slowest.max(killed.elapsed());
        let answered = writers.stop();
        let (by_edge, by_team): (Vec<_>, Vec<_>) =
            answered.into_iter().partition(|id| id.contains("-w1-") || id.contains("-w3-"));
        orders.extend(by_edge);
        actions.extend(by_team);
    }
    assert!(slowest < BACK_WITHIN, "{slowest:?}");
    assert!(!orders.is_empty() && !actions.is_empty(), "nothing was written");
    // What was answered before the kill is in the spool, and reaches the ledger by itself, however
    // much it is by now: as long as it gets less, it is on its way.
    let (mut left, mut since) = (usize::MAX, Stopwatch::start());
    loop {
        let written = written(stage.data_dir.path());
        let missing: Vec<_> = orders.iter().filter(|id| !written.contains_key(*id)).collect();
        if missing.is_empty() {
            let doubled: Vec<_> = orders.iter().filter(|id| written[*id] != 1).collect();
            assert!(doubled.is_empty(), "{doubled:?}");
            break;
        }
        if missing.len() < left {
            (left, since) = (missing.len(), Stopwatch::start());
        }
        let first = &missing[..missing.len().min(5)];
        assert!(since.elapsed() < DRAINED_WITHIN, "{left} are missing, the first: {first:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
    // The same id again says that it stands there: 200, not 201.
    for id in &actions {
        assert_eq!(stage.append(id), Some(200), "{id} was answered and is not there");
    }
    let report = command(stage.data_dir.path(), &["ledger", "verify", "--output", "json"]);
    assert!(report.contains("\"whole\": true"), "{report}");
    edge.signal(Signal::TERM).unwrap();
    assert!(edge.wait(Duration::from_secs(20)).unwrap().is_some_and(|status| status.success()));
    assert_eq!(standing_in(&stage.postgres()).unwrap(), [] as [u32; 0], "an orphan is left");
    println!(
        "{kind:?}: {} rounds, {} audited calls, {} actions, slowest back after {slowest:?}",
        rounds(),
        orders.len(),
        actions.len()
    );
}

#[test]
fn plimsoll_killed() {
    crash(Kind::Plimsoll);
}

#[test]
fn postgres_killed() {
    crash(Kind::Postgres);
}

#[test]
fn both_killed() {
    crash(Kind::Both);
}
