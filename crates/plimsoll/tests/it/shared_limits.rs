//! Limits that nodes share over a real Redis, through the binary.

use std::time::Duration;

use plimsoll_testkit::{Origin, Plimsoll, PlimsollOptions, RawClient, SharedState};

use crate::bodies::tools::eventually;
use crate::scene::open_manifest;

/// What a caller may use at once; nothing worth speaking of is earned while a test runs.
const BURST: usize = 30;
const LIMIT: &str = "[[limit]]\nname = \"per-caller\"\nper = \"caller\"\nquota = 30\nburst = 30\n\
                     window = \"1h\"\n";
/// Several rounds of telling.
const SETTLED: Duration = Duration::from_millis(300);
const HEALED: Duration = Duration::from_secs(8);

struct Stage {
    _origin: Origin,
    nodes: Vec<Plimsoll>,
    shared: SharedState,
}

impl Stage {
    fn start(nodes: usize) -> Self {
        let origin = Origin::start().unwrap();
        let shared = SharedState::start().unwrap();
        let start = |_| {
            let started = Plimsoll::start(&PlimsollOptions {
                manifest: Some(open_manifest(&origin.url(), "", "", LIMIT)),
                env: shared.env(),
                unseeded: true,
                ..PlimsollOptions::default()
            });
            started.unwrap()
        };
        let nodes: Vec<Plimsoll> = (0..nodes).map(start).collect();
        for node in &nodes {
            eventually("limits are shared", HEALED, || shares(node));
        }
        Self { _origin: origin, nodes, shared }
    }

    fn clients(&self) -> Vec<RawClient> {
        self.nodes.iter().map(|node| node.client().unwrap()).collect()
    }
}

fn shares(node: &Plimsoll) -> bool {
    node.metric("plimsoll_limits_shared").unwrap() == Some(1.0)
}

fn passes(client: &mut RawClient, caller: &str) -> bool {
    let answer = client.get("/x", &[("authorization", caller)]).unwrap();
    assert!([200, 429].contains(&answer.status), "{}", answer.status);
    answer.status == 200
}

#[test]
fn one_node_counts_exactly_as_without_redis() {
    let stage = Stage::start(1);
    let mut client = stage.nodes[0].client().unwrap();
    for caller in ["a", "b"] {
        let passed: Vec<bool> = (0..BURST + 20)
            .map(|_| {
                std::thread::sleep(Duration::from_millis(5));
                passes(&mut client, caller)
            })
            .collect();
        let expected: Vec<bool> = (0..BURST + 20).map(|nth| nth < BURST).collect();
        assert_eq!(passed, expected, "{caller}");
    }
}

#[test]
fn three_nodes_pass_a_burst_and_no_more_than_the_bound() {
    let stage = Stage::start(3);
    let mut clients = stage.clients();
    // A caller who is spread over the nodes, 20 ms between two requests: between two rounds a node
    // hears of at most a few.
    let mut passed = 0;
    for nth in 0..BURST * 3 {
        passed += usize::from(passes(&mut clients[nth % 3], "slow"));
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!((BURST..=BURST + 10).contains(&passed), "{passed}");
    // As fast as it goes, on all nodes at once: at most a burst on each.
    let flood = |mut client: RawClient| {
        std::thread::spawn(move || (0..BURST * 4).filter(|_| passes(&mut client, "fast")).count())
    };
    let floods: Vec<_> = stage.clients().into_iter().map(flood).collect();
    let passed: usize = floods.into_iter().map(|flood| flood.join().unwrap()).sum();
    assert!((BURST..=BURST * 3).contains(&passed), "{passed}");
    // What was too much is owed: nothing passes on any node.
    std::thread::sleep(SETTLED);
    for client in &mut clients {
        let first = passes(client, "fast");
        std::thread::sleep(SETTLED);
        assert!(!first && !passes(client, "fast"));
    }
}

#[test]
fn without_redis_each_node_goes_on_by_its_own_count_and_is_told_when_it_is_back() {
    let mut stage = Stage::start(2);
    let mut clients = stage.clients();
    stage.shared.redis.kill().unwrap();
    for node in &stage.nodes {
        eventually("the loss shows", HEALED, || !shares(node));
        let (status, body) = node.ops_get("/readyz").unwrap();
        assert_eq!(status, 200, "an edge serves without Redis: {body}");
        assert!(body.contains("limits_not_shared"), "{body}");
    }
    for client in &mut clients {
        let passed = (0..BURST + 5).filter(|_| passes(client, "away")).count();
        assert_eq!(passed, BURST, "its own count");
    }
    stage.shared.redis.restart().unwrap();
    for node in &stage.nodes {
        eventually("it heals", HEALED, || shares(node));
        let (_, body) = node.ops_get("/readyz").unwrap();
        assert!(!body.contains("limits_not_shared"), "{body}");
    }
    // What was used up meanwhile is known to both, and so is what is used up from now on.
    assert!(!passes(&mut clients[0], "away"));
    let passed = (0..BURST).filter(|_| passes(&mut clients[0], "back")).count();
    assert_eq!(passed, BURST);
    std::thread::sleep(SETTLED);
    let first = passes(&mut clients[1], "back");
    std::thread::sleep(SETTLED);
    assert!(first, "what a node knows nothing of is its allowance");
    assert!(!passes(&mut clients[1], "back"));
}

#[test]
fn a_node_with_another_key_is_named() {
    let stage = Stage::start(1);
    let other = SharedState::start().unwrap();
    let mut env = other.env();
    env.retain(|(name, _)| name != "REDIS_URL" && name != "PLIMSOLL_KEK_FILE");
    let key = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(key.path(), "f0".repeat(32)).unwrap();
    env.push(("PLIMSOLL_KEK_FILE".into(), key.path().display().to_string()));
    env.push(("REDIS_URL".into(), stage.shared.redis.url()));
    let apart = Plimsoll::start(&PlimsollOptions {
        manifest: Some(open_manifest("http://127.0.0.1:9", "", "", LIMIT)),
        env,
        unseeded: true,
        ..PlimsollOptions::default()
    });
    let apart = apart.unwrap();
    for node in [&stage.nodes[0], &apart] {
        eventually("it is said", HEALED, || {
            node.ops_get("/").unwrap().1.contains("Some nodes count limits and cache apart")
        });
    }
}
