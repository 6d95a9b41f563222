//! Reads that are slow are asked for a second time, within the budget.

use std::time::Duration;

use plimsoll_testkit::{Origin, Plimsoll, PlimsollOptions, Script};

use crate::scene::{CONTRACT, Stopwatch};

struct Pair {
    fast: Origin,
    slow: Origin,
    edge: Plimsoll,
}

/// Two URLs, one of which takes a second once the edge knows what is usual.
fn pair(retries: &str) -> Pair {
    let (fast, slow) = (Origin::start().unwrap(), Origin::start().unwrap());
    let manifest = format!(
        "[edge]\ncores = 1\n[[service]]\nname = \"shop\"\ncontract = \"openapi.json\"\n\
         urls = [\"{}\", \"{}\"]\n[service.retries]\n{retries}\n\
         [[operation]]\nid = \"listFeed\"\nhedge = true\n",
        fast.url(),
        slow.url()
    );
    let edge = Plimsoll::start(&PlimsollOptions {
        manifest: Some(manifest),
        files: vec![("openapi.json".into(), CONTRACT.into())],
        one_node: true,
        ..PlimsollOptions::default()
    })
    .unwrap();
    let mut client = edge.client().unwrap();
    for _ in 0..60 {
        assert_eq!(client.get("/feed", &[]).unwrap().status, 200);
    }
    slow.set_default(Script::parse("delay=1500").unwrap());
    Pair { fast, slow, edge }
}

fn hedged(edge: &Plimsoll) -> u64 {
    let series = "plimsoll_upstream_hedged_total{service=\"shop\"}";
    edge.metric(series).unwrap().unwrap_or(0.0) as u64
}

#[test]
fn a_slow_read_is_answered_by_the_other_address_and_given_up() {
    let pair = pair("budget_percent = 100");
    let before = hedged(&pair.edge);
    let mut client = pair.edge.client().unwrap();
    for _ in 0..8 {
        let watch = Stopwatch::start();
        assert_eq!(client.get("/feed", &[]).unwrap().status, 200);
        assert!(watch.elapsed() < Duration::from_millis(1_000), "{:?}", watch.elapsed());
    }
    assert!(hedged(&pair.edge) >= before + 4, "every second one met the slow address first");
    // Another operation is not hedged.
    let watch = Stopwatch::start();
    for _ in 0..2 {
        assert_eq!(client.get("/orders/1", &[]).unwrap().status, 200);
    }
    assert!(watch.elapsed() >= Duration::from_millis(1_500));
    std::thread::sleep(Duration::from_millis(1_600));
    let open = pair.slow.log().connections_open();
    assert!(open <= 1, "the losers' connections are closed: {open}");
}

#[test]
fn hedging_stays_within_the_budget() {
    let pair = pair("budget_percent = 0\nbudget_min = 2");
    let start = hedged(&pair.edge);
    assert!(start <= 2);
    let mut client = pair.edge.client().unwrap();
    let watch = Stopwatch::start();
    for _ in 0..6 {
        assert_eq!(client.get("/feed", &[]).unwrap().status, 200);
    }
    assert!(hedged(&pair.edge) <= 2);
    assert!(watch.elapsed() >= Duration::from_millis(1_500), "what was not hedged waited");
    assert!(pair.fast.log().requests() >= 3);
}
