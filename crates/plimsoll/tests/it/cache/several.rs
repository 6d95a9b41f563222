//! The cache of several nodes over a real Redis.

mod history;
mod trouble;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use plimsoll_testkit::{Plimsoll, PlimsollOptions, RawResponse, SharedState, TestIssuer};

use super::backend::{Asked, Backend, Said};
use super::{bearer, counting, is_hit, options, status};
use crate::bodies::tools::eventually;

/// As long as a node may need to join the others, on a busy machine.
const JOINED: Duration = Duration::from_secs(20);

/// Several nodes in front of one backend.
pub(super) struct Fleet {
    pub(super) backend: Backend,
    pub(super) nodes: Vec<Plimsoll>,
    pub(super) shared: SharedState,
    pub(super) issuer: TestIssuer,
}

impl Fleet {
    pub(super) fn start(
        nodes: usize,
        more: &str,
        handler: impl Fn(&Asked) -> Said + Send + Sync + 'static,
    ) -> Self {
        let (backend, issuer) = (Backend::start(handler), TestIssuer::new("key-1").unwrap());
        let shared = SharedState::start().unwrap();
        let start = |_| {
            let options = options(&backend, &issuer, more);
            let options = PlimsollOptions { env: shared.env(), unseeded: true, ..options };
            Plimsoll::start(&options).unwrap()
        };
        let nodes: Vec<Plimsoll> = (0..nodes).map(start).collect();
        let fleet = Self { backend, nodes, shared, issuer };
        fleet.wait_until_shared();
        fleet
    }

    pub(super) fn wait_until_shared(&self) {
        for node in &self.nodes {
            eventually("the cache is shared", JOINED, || shares(node));
        }
    }

    fn ask(&self, node: usize, method: &str, target: &str, fields: &[(&str, &str)]) -> RawResponse {
        self.nodes[node].client().unwrap().request(method, target, fields, b"").unwrap()
    }

    fn get(&self, node: usize, target: &str) -> RawResponse {
        self.ask(node, "GET", target, &[])
    }

    pub(super) fn counted(&self, series: &str) -> f64 {
        let of = |node: &Plimsoll| node.metric(series).unwrap().unwrap_or_default();
        self.nodes.iter().map(of).sum()
    }

    fn stored(&self) -> f64 {
        self.counted("plimsoll_cache_shared_answers_total{result=\"stored\"}")
    }

    /// Stores what node 0 is answered, for the others too.
    fn store(&self, target: &str, fields: &[(&str, &str)]) -> String {
        let before = self.stored();
        let answer = self.ask(0, "GET", target, fields);
        assert!(status(&answer).contains("; stored"), "{}", status(&answer));
        eventually("it is stored for all", JOINED, || self.stored() > before);
        answer.text()
    }

    /// Redis' answer to a command, as it comes.
    fn redis(&self, command: &str) -> Vec<u8> {
        let address = self.shared.redis.url().trim_start_matches("redis://").to_owned();
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(format!("{command}\r\nQUIT\r\n").as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        answer
    }

    /// The same for a command that is carried out once it says so.
    fn redis_does(&self, command: &str) {
        let address = self.shared.redis.url().trim_start_matches("redis://").to_owned();
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(format!("{command}\r\n").as_bytes()).unwrap();
        let mut said = [0; 3];
        stream.read_exact(&mut said).unwrap();
        assert_eq!(&said, b"+OK", "{command}");
    }

    /// The keys of the answers that are stored for all.
    fn keys(&self) -> Vec<String> {
        let answer = String::from_utf8(self.redis("KEYS plimsoll:{cache}:*")).unwrap();
        let keys = answer.lines().filter(|line| line.starts_with("plimsoll:"));
        let keys = keys.filter(|key| !key.ends_with(":head") && !key.ends_with(":log"));
        keys.map(str::to_owned).collect()
    }
}

pub(super) fn shares(node: &Plimsoll) -> bool {
    node.metric("plimsoll_cache_shared").unwrap() == Some(1.0)
}

#[test]
fn what_one_node_stored_the_others_answer_with() {
    let fleet = Fleet::start(2, "", counting());
    let told = fleet.store("/notes/1", &[]);
    let there = fleet.get(1, "/notes/1");
    assert_eq!(there.text(), told);
    assert!(is_hit(&there) && status(&there).contains("ttl="), "{}", status(&there));
    assert_eq!(fleet.backend.many(), 1);
    // A subject's own is for the same subject, on any node.
    let (ann, bob) = (bearer(&fleet.issuer, "ann"), bearer(&fleet.issuer, "bob"));
    let told = fleet.store("/notes/2", &[("authorization", &ann)]);
    assert_eq!(fleet.ask(1, "GET", "/notes/2", &[("authorization", &ann)]).text(), told);
    assert_ne!(fleet.ask(1, "GET", "/notes/2", &[("authorization", &bob)]).text(), told);
    // What is large is each node's own.
    let large = Fleet::start(2, "[cache]\nshared_entry_bytes_max = \"1KiB\"\n", |_| {
        Said::ok("x".repeat(2_000)).with("cache-control", "max-age=60")
    });
    assert!(status(&large.get(0, "/notes/1")).contains("; stored"));
    assert!(!is_hit(&large.get(1, "/notes/1")) && large.keys().is_empty());
}

#[test]
fn a_write_on_one_node_is_known_on_all_when_it_is_answered() {
    let fleet = Fleet::start(3, "", |asked| {
        let said = Said::ok(fastrand::u64(..).to_string()).with("cache-control", "max-age=60");
        if asked.target == "/notes/moved" { said.with("location", "/notes/3") } else { said }
    });
    for (write, target, read) in [
        ("PUT", "/notes/1", "/notes/1"),
        ("POST", "/all", "/notes/2"),
        ("PUT", "/notes/moved", "/notes/3"),
    ] {
        for round in 0..8 {
            let before = fleet.get(1, read).text();
            assert_eq!(fleet.get(1, read).text(), before);
            let writer = if round % 2 == 0 { 0 } else { 2 };
            assert_eq!(fleet.ask(writer, write, target, &[]).status, 200);
            let after = fleet.get(1, read);
            assert_ne!(after.text(), before, "{write} {target} on node {writer}");
        }
    }
    let told = fleet.counted("plimsoll_cache_writes_told_total{outcome=\"told\"}");
    assert!(told >= 24.0, "{told}");
}

/// A node asked before a write and stores after it: nobody, on any node, is answered with that.
#[test]
fn an_answer_from_before_a_write_that_is_stored_after_it_is_used_by_nobody() {
    let (value, held) = (Arc::new(AtomicU64::new(1)), Arc::new(AtomicBool::new(false)));
    let (written, holds) = (Arc::clone(&value), Arc::clone(&held));
    let fleet = Fleet::start(3, "", move |asked| {
        if asked.method == "PUT" {
            written.fetch_add(1, Ordering::SeqCst);
            return Said::ok("done");
        }
        let now = written.load(Ordering::SeqCst);
        while asked.field("x-slow").is_some() && holds.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(2));
        }
        Said::ok(now.to_string()).with("cache-control", "public, max-age=60")
    });
    for round in 1..6 {
        held.store(true, Ordering::SeqCst);
        let asked = fleet.backend.many();
        std::thread::scope(|scope| {
            let slow = scope.spawn(|| fleet.ask(0, "GET", "/notes/1", &[("x-slow", "1")]));
            eventually("it is under way", JOINED, || fleet.backend.many() > asked);
            assert_eq!(fleet.ask(1, "PUT", "/notes/1", &[]).status, 200);
            let before = fleet.stored();
            held.store(false, Ordering::SeqCst);
            assert_eq!(slow.join().unwrap().text(), round.to_string());
            eventually("it is stored", JOINED, || fleet.stored() > before);
        });
        for node in [2, 0, 1] {
            assert_eq!(fleet.get(node, "/notes/1").text(), (round + 1).to_string(), "{node}");
        }
        // So that the next round begins with nothing that is used.
        assert_eq!(fleet.ask(1, "POST", "/all", &[]).status, 200);
    }
}

#[test]
fn redis_holds_nothing_that_can_be_read_or_given_to_another() {
    let fleet = Fleet::start(2, "", |asked| {
        let who = asked.field("authorization").map_or("nobody", |held| &held[held.len() - 9..]);
        Said::ok(format!("secret of {who}")).with("cache-control", "max-age=60")
    });
    let (ann, bob) = (bearer(&fleet.issuer, "ann"), bearer(&fleet.issuer, "bob"));
    let of_ann = fleet.store("/notes/1", &[("authorization", &ann)]);
    let anns = fleet.keys();
    assert_eq!(anns.len(), 1);
    fleet.store("/notes/1", &[("authorization", &bob)]);
    let bobs = fleet.keys().into_iter().find(|key| *key != anns[0]).unwrap();
    for key in [&anns[0], &bobs] {
        let held = fleet.redis(&format!("HGETALL {key}"));
        assert!(held.len() > 100);
        for clear in [&b"secret"[..], b"cache-control", b"notes", b"Bearer"] {
            assert!(!held.windows(clear.len()).any(|held| held == clear));
        }
        assert!(!key.contains("ann") && !key.contains("bob") && !key.contains("notes"));
    }
    // Whoever can write there cannot give one caller's answer to another.
    fleet.redis(&format!("COPY {} {bobs} REPLACE", anns[0]));
    let unproven = "plimsoll_cache_shared_answers_total{result=\"unproven\"}";
    let before = fleet.counted(unproven);
    let answer = fleet.ask(1, "GET", "/notes/1", &[("authorization", &bob)]);
    assert!(answer.text() != of_ann && !is_hit(&answer), "{}", answer.text());
    assert!(fleet.counted(unproven) > before);
    // Nor can one be forged, or one of another form be read.
    fleet.redis(&format!("HSET {bobs} x 0:forged"));
    fleet.ask(1, "GET", "/notes/1", &[("authorization", &bob), ("cache-control", "max-age=0")]);
    assert_eq!(fleet.ask(1, "GET", "/notes/1", &[("authorization", &ann)]).text(), of_ann);
}

#[test]
fn a_redis_that_is_slow_or_gone_is_as_nothing_stored_and_it_heals() {
    let mut fleet = Fleet::start(2, "", counting());
    fleet.store("/notes/1", &[]);
    let answered = |fleet: &Fleet, result: &str| {
        fleet.counted(&format!("plimsoll_cache_shared_answers_total{{result=\"{result}\"}}"))
    };
    // It does not answer: who asks waits for a moment at most, and is answered.
    fleet.redis_does("CLIENT PAUSE 1500 ALL");
    let slow = fleet.get(1, "/notes/1");
    assert_eq!((slow.status, is_hit(&slow)), (200, false));
    assert!(answered(&fleet, "slow") + answered(&fleet, "away") > 0.0);
    fleet.wait_until_shared();
    fleet.shared.redis.kill().unwrap();
    for node in &fleet.nodes {
        eventually("the loss shows", JOINED, || !shares(node));
        let (status, body) = node.ops_get("/readyz").unwrap();
        assert_eq!(status, 200, "an edge serves without Redis: {body}");
        assert!(body.contains("cache_not_shared"), "{body}");
    }
    // Each node caches for itself for whoever cannot be told from others.
    fleet.get(1, "/notes/2");
    assert!(is_hit(&fleet.get(1, "/notes/2")));
    assert_eq!(fleet.ask(0, "PUT", "/notes/2", &[]).status, 200);
    fleet.shared.redis.restart().unwrap();
    fleet.wait_until_shared();
    for node in &fleet.nodes {
        let (_, body) = node.ops_get("/readyz").unwrap();
        assert!(!body.contains("cache_not_shared"), "{body}");
    }
    // What was stored before may be from before a write that nobody told of.
    assert!(!is_hit(&fleet.get(1, "/notes/2")));
    let told = fleet.store("/notes/3", &[]);
    assert_eq!(fleet.get(1, "/notes/3").text(), told);
}

#[test]
fn nodes_that_do_not_share_tell_nobody() {
    let fleet = Fleet::start(1, "", counting());
    let off = PlimsollOptions {
        env: fleet.shared.env(),
        unseeded: true,
        ..options(&fleet.backend, &fleet.issuer, "[cache]\nshared = false\n")
    };
    let apart = Plimsoll::start(&off).unwrap();
    let told = apart.client().unwrap().request("GET", "/notes/1", &[], b"").unwrap();
    assert!(status(&told).contains("; stored"));
    assert_ne!(fleet.get(0, "/notes/1").text(), told.text());
    assert_eq!(apart.metric("plimsoll_cache_shared").unwrap(), Some(0.0));
    assert!(!apart.ops_get("/readyz").unwrap().1.contains("cache_not_shared"));
}
