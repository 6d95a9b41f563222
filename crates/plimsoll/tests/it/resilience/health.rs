//! Addresses that are asked how they are.

use std::time::Duration;

use plimsoll_testkit::{Origin, Plimsoll, PlimsollOptions, Script};

use crate::scene::Stopwatch;

const WITHIN: Duration = Duration::from_secs(20);

fn until(what: &str, done: impl Fn() -> bool) {
    let watch = Stopwatch::start();
    while !done() {
        assert!(watch.elapsed() < WITHIN, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn requests(origin: &Origin) -> usize {
    let all = origin.log().exchanges();
    all.iter().filter(|exchange| exchange.target == "/x").count()
}

#[test]
fn an_address_whose_checks_fail_is_passed_over_and_comes_back() {
    let (first, second) = (Origin::start().unwrap(), Origin::start().unwrap());
    let manifest = format!(
        "[edge]\ncores = 2\n[[service]]\nname = \"app\"\nurls = [\"{}\", \"{}\"]\n\
         [service.health]\npath = \"/healthz?deep=1\"\nevery = \"250ms\"\ntimeout = \"250ms\"\n\
         healthy_after = 2\nunhealthy_after = 3\n",
        first.url(),
        second.url()
    );
    let edge = Plimsoll::start(&PlimsollOptions {
        manifest: Some(manifest),
        one_node: true,
        ..PlimsollOptions::default()
    })
    .unwrap();
    let ask = |many: usize| {
        let mut client = edge.client().unwrap();
        for _ in 0..many {
            assert_eq!(client.get("/x", &[]).unwrap().status, 200);
        }
    };
    let downs = || edge.ops_get("/?format=json").unwrap().1.matches("\"state\":\"down\"").count();
    let checked = |origin: &Origin| {
        origin.log().exchanges().iter().any(|exchange| exchange.target == "/healthz?deep=1")
    };
    until("both are checked without a request", || checked(&first) && checked(&second));
    ask(10);
    assert!(requests(&first) == 5 && requests(&second) == 5);
    for fault in ["status=500", "never", "reset"] {
        first.set_path("/healthz", Script::parse(fault).unwrap());
        until(fault, || downs() == 1);
        let before = requests(&first);
        ask(10);
        assert_eq!(requests(&first), before, "{fault}");
        first.set_path("/healthz", Script::default());
        until("it comes back", || downs() == 0);
        ask(10);
        assert_eq!(requests(&first), before + 5);
    }
    // Where all are down, requests go to them all the same.
    for origin in [&first, &second] {
        origin.set_path("/healthz", Script::parse("status=503").unwrap());
    }
    until("both are down", || downs() == 2);
    ask(4);
    let failed = "plimsoll_health_checks_total{service=\"app\",outcome=\"failed\"}";
    assert!(edge.metric(failed).unwrap().unwrap_or(0.0) >= 15.0);
}
