//! Services that fail: what is sent again and what never is, and the table of it in the docs.

mod breakers;
mod fallbacks;
mod health;
mod hedging;
mod matrix;

use std::time::Duration;

use plimsoll_testkit::{Origin, OriginOptions, Plimsoll, PlimsollOptions, RawResponse, Script};

use crate::scene::{Scene, Stopwatch, problem};

/// Tries without a noticeable wait.
const QUICK: &str = "[service.retries]\nbackoff = \"1ms\"\n";

fn scripted(scene: &Scene, method: &str, id: &str, script: &str) -> RawResponse {
    let mut fields = vec![("x-test-id", id), ("x-script", script)];
    if method != "GET" {
        fields.push(("content-length", "0"));
    }
    scene.ask(method, "/x", &fields)
}

fn executed(scene: &Scene, id: &str) -> usize {
    scene.origin.log().with_id(id).len()
}

#[test]
fn a_read_that_fails_goes_to_another_url() {
    let start = |script: &str| {
        Origin::start_with(OriginOptions {
            default_script: Script::parse(script).unwrap(),
            ..OriginOptions::default()
        })
        .unwrap()
    };
    for fault in ["status=503", "status=502", "reset"] {
        let (bad, good) = (start(fault), start("status=200"));
        let manifest = format!(
            "[edge]\ncores = 1\n[[service]]\nname = \"app\"\nurls = [\"{}\", \"{}\"]\n\
             [service.ejection]\nconsecutive_failures = 0\n\
             [service.retries]\nbackoff = \"1ms\"\nbudget_percent = 100\n",
            bad.url(),
            good.url()
        );
        let edge = Plimsoll::start(&PlimsollOptions {
            manifest: Some(manifest),
            one_node: true,
            ..PlimsollOptions::default()
        })
        .unwrap();
        let mut client = edge.client().unwrap();
        for _ in 0..20 {
            assert_eq!(client.get("/", &[]).unwrap().status, 200, "{fault}");
        }
        assert!(bad.log().requests() >= 10, "{fault}: every second one went there first");
        let again = edge.metric("plimsoll_upstream_retries_total{service=\"app\"}").unwrap();
        assert!(again.unwrap() >= 10.0, "{fault}");
    }
}

#[test]
fn a_budget_bounds_what_is_sent_again() {
    let retries = "[service.retries]\nbackoff = \"1ms\"\nbudget_percent = 0\nbudget_min = 2\n";
    let scene = Scene::open_on_one_node("", retries, "");
    for _ in 0..5 {
        assert_eq!(scripted(&scene, "GET", "budget", "status=503").status, 503);
    }
    assert_eq!(executed(&scene, "budget"), 5 + 2);
    let metric = |name: &str| {
        scene.edge.metric(&format!("{name}{{service=\"app\"}}")).unwrap().unwrap_or(0.0) as u64
    };
    assert_eq!(metric("plimsoll_upstream_retries_total"), 2);
    assert_eq!(metric("plimsoll_retry_budget_exhausted_total"), 4);
    let (_, page) = scene.edge.ops_get("/?format=json").unwrap();
    assert!(page.contains("Requests sent again to app"), "{page}");
}

#[test]
fn retry_after_is_obeyed_within_its_bounds() {
    let retries = "[service.retries]\ntries_max = 2\nbackoff = \"1ms\"\nbackoff_max = \"2s\"\n";
    let scene = Scene::open_on_one_node("", retries, "");
    let watch = Stopwatch::start();
    let answer = scripted(&scene, "GET", "obeyed", "status=503;header=retry-after:1");
    assert_eq!((answer.status, executed(&scene, "obeyed")), (503, 2));
    assert!(watch.elapsed() >= Duration::from_secs(1));
    let watch = Stopwatch::start();
    let answer = scripted(&scene, "GET", "too-long", "status=503;header=retry-after:3");
    assert_eq!((answer.status, executed(&scene, "too-long")), (503, 1));
    assert_eq!(answer.headers.get("retry-after"), Some("3"), "the client may obey it");
    assert!(watch.elapsed() < Duration::from_secs(1));
}

#[test]
fn a_wait_never_outlasts_the_deadline() {
    let service = "[service.timeouts]\ntotal = \"700ms\"\nfirst_byte = \"700ms\"\n\
                   [service.retries]\nbackoff_max = \"2s\"\n";
    let scene = Scene::open_on_one_node("", service, "");
    let watch = Stopwatch::start();
    let answer = scripted(&scene, "GET", "late", "status=503;header=retry-after:1");
    assert_eq!((answer.status, executed(&scene, "late")), (503, 1));
    assert!(watch.elapsed() < Duration::from_millis(700));
    // What a try took is not given to the next one anew.
    problem(&scripted(&scene, "GET", "slow", "delay=400;status=503"), 504, "PLM-EDGE-0406");
    assert_eq!(executed(&scene, "slow"), 2);
}

#[test]
fn puts_and_deletes_are_repeated_only_where_the_manifest_trusts_the_service() {
    let scene = Scene::open_on_one_node("", QUICK, "");
    for (method, id) in [("PUT", "put"), ("DELETE", "delete"), ("PATCH", "patch")] {
        assert_eq!(scripted(&scene, method, id, "status=503").status, 503);
        assert_eq!(executed(&scene, id), 1, "{method}");
    }
    let trusting = format!("{QUICK}methods = \"idempotent\"\n");
    let scene = Scene::open_on_one_node("", &trusting, "");
    for (method, times) in [("PUT", 3), ("DELETE", 3), ("PATCH", 1), ("POST", 1)] {
        assert_eq!(scripted(&scene, method, method, "status=503").status, 503);
        assert_eq!(executed(&scene, method), times, "{method}");
    }
    // A body that streams can be read only once.
    let fields = [("x-test-id", "body"), ("x-script", "status=503")];
    let answer = scene.client().request("PUT", "/x", &fields, b"once").unwrap();
    assert_eq!((answer.status, executed(&scene, "body")), (503, 1));
}

#[test]
fn an_operation_has_a_rule_of_its_own() {
    let scene = Scene::shop_on_one_node(
        "[[operation]]\nid = \"listFeed\"\nretries = \"off\"\n\
         [[operation]]\nid = \"putMedia\"\nretries = \"idempotent\"\n",
    );
    for (method, path, id, times) in [
        ("GET", "/feed", "off", 1),
        ("GET", "/orders/1", "default", 3),
        ("PUT", "/media", "trusted", 3),
    ] {
        let fields = [("x-test-id", id), ("x-script", "status=503"), ("content-length", "0")];
        assert_eq!(scene.ask(method, path, &fields).status, 503);
        assert_eq!(executed(&scene, id), times, "{method} {path}");
    }
}
