//! A service that may have executed a write and did not say so, and a database that is away.

use std::time::Duration;

use plimsoll_testkit::Script;
use rustix::process::{Pid, Signal, kill_process};

use super::{executions, write, write_to};
use crate::memory::soon;
use crate::scene::{Scene, problem};

const SHORT: &str = "[service.timeouts]\ntotal = \"1s\"\nfirst_byte = \"1s\"\nconnect = \"1s\"\n";

fn shop(policy: &str) -> Scene {
    let operation = format!("[[operation]]\nmethod = \"POST\"\npath = \"/orders\"\n{policy}\n");
    let read = "[[operation]]\nid = \"orderByKey\"\nmethod = \"GET\"\npath = \"/by-key/{key}\"\n";
    Scene::open("", SHORT, &format!("{operation}{read}"))
}

#[test]
fn what_may_have_been_executed_is_held_and_the_client_is_told_how_to_find_out() {
    let scene = shop("find_out = \"orderByKey\"");
    for (key, script) in [("a", "reset"), ("b", "never"), ("c", "body=100;cut-after=10")] {
        let first = problem(&write(&scene, key, script, &[], b"a"), 504, "PLM-EDGE-0606");
        assert_eq!(first["outcome"], "unknown");
        assert_eq!(first["find_out"], "GET /by-key/{key}");
        let before = executions(&scene);
        let again = write(&scene, key, "status=201", &[("x-script", script)][..0], b"a");
        let again = problem(&again, 504, "PLM-EDGE-0606");
        assert!(again["unknown_for_seconds"].is_u64(), "{again}");
        assert_eq!(executions(&scene), before, "{script}");
    }
}

#[test]
fn what_cannot_have_been_executed_is_released() {
    let scene = Scene::start(|_| {
        let nobody = plimsoll_testkit::free_addr().unwrap();
        crate::scene::open_manifest(&format!("http://{nobody}"), "", "", "")
    });
    problem(&write(&scene, "k", "", &[], b"a"), 502, "PLM-EDGE-0401");
    let manifest = crate::scene::open_manifest(&scene.origin.url(), "", "", "");
    scene.edge.write_manifest(&manifest).unwrap();
    scene.edge.reload().unwrap();
    let done =
        soon(|| Some(write(&scene, "k", "status=201", &[], b"a")).filter(|a| a.status == 201));
    assert_eq!(done.headers.get("idempotent-replayed"), None);
}

#[test]
fn a_service_that_obeys_the_key_is_sent_it_again() {
    // Only because the client asks again, not by the edge itself before that.
    let scene = shop("unknown_outcome = \"retry-upstream-with-key\"\nretries = \"off\"");
    let first = write(&scene, "k", "reset", &[], b"a");
    problem(&first, 504, "PLM-EDGE-0606");
    assert_eq!(first.headers.get("retry-after"), Some("2"));
    assert_eq!(write(&scene, "k", "status=201", &[], b"a").status, 201);
    let log = scene.origin.log().exchanges();
    assert_eq!(log.len(), 2);
    assert!(log.iter().all(|exchange| exchange.headers.get("idempotency-key") == Some("k")));
}

#[test]
fn a_read_finds_out_what_became_of_it() {
    let scene = shop("unknown_outcome = \"ask\"\nfind_out = \"orderByKey\"");
    let posts = || {
        let log = scene.origin.log().exchanges();
        log.iter().filter(|exchange| exchange.method == "POST").count()
    };
    // It is there: its answer is the read's from now on.
    problem(&write(&scene, "a", "reset", &[], b"a"), 504, "PLM-EDGE-0606");
    let found = write(&scene, "a", "status=200;body=33", &[], b"a");
    assert_eq!((found.status, found.body.len(), posts()), (200, 33, 1));
    let replay = write(&scene, "a", "status=200;body=99", &[], b"a");
    assert_eq!((replay.status, replay.body.len()), (200, 33));
    // It is not there, and by now nothing can still be under way.
    problem(&write(&scene, "b", "reset", &[], b"b"), 504, "PLM-EDGE-0606");
    scene.origin.set_path("/by-key/b", Script::parse("status=404").unwrap());
    let ask =
        || scene.client().request("POST", "/orders", &[("idempotency-key", "b")], b"b").unwrap();
    problem(&ask(), 504, "PLM-EDGE-0606");
    assert_eq!(posts(), 2, "it was too early to be sure");
    std::thread::sleep(Duration::from_millis(1_100));
    assert_eq!((ask().status, posts()), (200, 3));
}

#[test]
fn without_its_database_a_keyed_write_waits_and_is_then_refused_or_passed() {
    let scene = Scene::open_on_one_node(
        "",
        SHORT,
        "[[operation]]\nmethod = \"POST\"\npath = \"/likes\"\non_store_down = \"pass\"\n",
    );
    assert_eq!(write(&scene, "k", "status=201", &[], b"a").status, 201);
    signal_database(&scene, Signal::STOP);
    let refused = write(&scene, "j", "status=201", &[], b"a");
    problem(&refused, 503, "PLM-EDGE-0607");
    assert_eq!(refused.headers.get("retry-after"), Some("5"));
    let mut client = scene.client();
    let passed = write_to(&mut client, "/likes", "j", "status=201", &[], b"a");
    assert_eq!(passed.status, 201);
    assert_eq!(scene.client().request("POST", "/orders", &[], b"a").unwrap().status, 200);
    assert_eq!(executions(&scene), 3);
    let series = "plimsoll_keyed_writes_total{outcome=\"passed_unrecorded\"}";
    assert_eq!(scene.edge.metric(series).unwrap(), Some(1.0));
    signal_database(&scene, Signal::CONT);
    soon(|| (write(&scene, "j", "status=201", &[], b"a").status == 201).then_some(()));
}

#[test]
fn a_write_that_is_known_to_run_is_never_passed_a_second_time() {
    let timeouts = "[service.timeouts]\ntotal = \"4s\"\nfirst_byte = \"4s\"\nconnect = \"1s\"\n";
    let passes = "[[operation]]\nmethod = \"POST\"\npath = \"/likes\"\non_store_down = \"pass\"\n";
    let scene = Scene::open_on_one_node("", timeouts, passes);
    let like = |script: &str| {
        let mut client = scene.client();
        client.set_patience(Duration::from_secs(10));
        write_to(&mut client, "/likes", "k", script, &[], b"a").status
    };
    let statuses: Vec<u16> = std::thread::scope(|threads| {
        let first = threads.spawn(|| like("status=201;delay=3500"));
        soon(|| (executions(&scene) == 1).then_some(()));
        let second = threads.spawn(|| like("status=201"));
        // It has been told by now that the first one runs, and waits for its answer.
        std::thread::sleep(Duration::from_millis(500));
        signal_database(&scene, Signal::STOP);
        [first, second].map(|asked| asked.join().unwrap()).to_vec()
    });
    signal_database(&scene, Signal::CONT);
    assert_eq!((executions(&scene), statuses), (1, vec![201, 409]));
}

/// Postgres stands still, so that nobody starts another, or goes on.
fn signal_database(scene: &Scene, signal: Signal) {
    let pid = std::fs::read_to_string(scene.edge.data_dir().join("postgres/data/postmaster.pid"));
    let pid = pid.unwrap().lines().next().unwrap().parse().ok().and_then(Pid::from_raw).unwrap();
    let path = format!("/proc/{0}/task/{0}/children", pid.as_raw_nonzero());
    let children = std::fs::read_to_string(path).unwrap_or_default();
    let children = children.split_whitespace().filter_map(|pid| pid.parse().ok());
    for one in [pid].into_iter().chain(children.filter_map(Pid::from_raw)) {
        kill_process(one, signal).unwrap();
    }
}

#[test]
fn a_service_that_closes_its_connections_leaves_no_write_unknown() {
    let scene = Scene::open("", "", "");
    for number in 0..100 {
        let (key, id) = (format!("k-{number}"), format!("closed-{number}"));
        let answer =
            write(&scene, &key, "status=201;body=9;no-keepalive", &[("x-test-id", &id)], b"a");
        assert_eq!(answer.status, 201, "{key}: {}", answer.text());
        assert_eq!(scene.origin.log().with_id(&id).len(), 1, "{key}");
    }
}

#[test]
fn a_write_goes_over_no_connection_that_rested_for_long() {
    let scene = Scene::open("", "", "");
    // One connection of the client's, so that it is one core that keeps connections.
    let mut client = scene.client();
    let mut over = |key: &str| {
        let id = [("x-test-id", key)];
        match key {
            "read" => assert_eq!(client.get("/orders", &id).unwrap().status, 200),
            _ => {
                let answer = write_to(&mut client, "/orders", key, "status=201", &id, b"a");
                assert_eq!(answer.status, 201);
            }
        }
        scene.origin.log().with_id(key)[0].connection
    };
    let first = over("a");
    assert_eq!(over("b"), first);
    std::thread::sleep(Duration::from_millis(1_300));
    assert_eq!(over("read"), first, "a read may go over it");
    std::thread::sleep(Duration::from_millis(1_300));
    assert_ne!(over("c"), first);
}

#[test]
fn a_service_that_obeys_the_key_gets_it_again_before_the_client_has_an_answer() {
    let policy = "unknown_outcome = \"retry-upstream-with-key\"";
    let operation = format!("[[operation]]\nmethod = \"POST\"\npath = \"/orders\"\n{policy}\n");
    let scene = Scene::open_on_one_node("", "[service.retries]\nbackoff = \"1ms\"\n", &operation);
    let body = plimsoll_testkit::expected_body("large", 200_001);
    // Breaks off before the answer, in the middle of it, and answers 503, for the first time only.
    for (key, script) in [("a", "reset"), ("b", "body=99;cut-after=10"), ("c", "status=503")] {
        let answer = write(&scene, key, script, &[("x-test-id", key)], &body);
        let tries = scene.origin.log().with_id(key);
        assert_eq!(tries.len(), 3, "{script}: {}", answer.text());
        for sent in &tries {
            assert_eq!(sent.headers.get("idempotency-key"), Some(key), "{script}");
            assert_eq!(sent.body_bytes, body.len() as u64, "{script}");
        }
    }
    let again = "plimsoll_upstream_retries_total{service=\"app\"}";
    assert_eq!(scene.edge.metric(again).unwrap(), Some(6.0));
    // Where the operation says that nothing is sent again, nothing is.
    let off = format!("{operation}retries = \"off\"\n");
    let manifest = crate::scene::open_manifest(&scene.origin.url(), "", "", &off);
    scene.edge.write_manifest(&manifest).unwrap();
    scene.edge.reload().unwrap();
    let done = soon(|| {
        let id = format!("off-{}", executions(&scene));
        write(&scene, &id, "reset", &[("x-test-id", &id)], b"a");
        Some(scene.origin.log().with_id(&id).len()).filter(|tries| *tries == 1)
    });
    assert_eq!(done, 1);
}
