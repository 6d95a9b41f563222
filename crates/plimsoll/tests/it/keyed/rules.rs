//! What an operation says of keys, what is kept, and what a client must not send.

use std::time::Duration;

use plimsoll_testkit::RawClient;

use super::{executions, write, write_to};
use crate::scene::{Scene, problem};

fn shop(policy: &str) -> Scene {
    Scene::open(
        "",
        "",
        &format!("[[operation]]\nmethod = \"POST\"\npath = \"/orders\"\n{policy}\n"),
    )
}

#[test]
fn an_operation_may_want_a_key_or_none() {
    let scene = shop("idempotency = \"required\"");
    let without = scene.client().request("POST", "/orders", &[], b"a").unwrap();
    problem(&without, 400, "PLM-EDGE-0601");
    assert_eq!(write(&scene, "k", "", &[], b"a").status, 200);
    let scene = shop("idempotency = \"off\"");
    for _ in 0..2 {
        assert_eq!(write(&scene, "k", "", &[], b"a").headers.get("idempotent-replayed"), None);
    }
    assert_eq!(executions(&scene), 2);
}

#[test]
fn what_is_no_key_is_refused() {
    let scene = Scene::open("", "", "");
    let long = "k".repeat(256);
    for key in ["", "\"open", "\"\"", &*long] {
        problem(&write(&scene, key, "", &[], b"a"), 400, "PLM-EDGE-0602");
    }
    problem(&write(&scene, "a", "", &[("idempotency-key", "b")], b"a"), 400, "PLM-EDGE-0602");
    assert_eq!(executions(&scene), 0);
    assert_eq!(write(&scene, &"k".repeat(255), "", &[], b"a").status, 200);
}

#[test]
fn answers_are_kept_unless_they_say_come_again() {
    let scene = Scene::open("", "", "");
    for (key, script, runs) in [
        ("a", "status=500", 1),
        ("b", "status=422", 1),
        ("c", "status=429", 2),
        ("d", "status=408", 2),
        ("e", "status=503;header=Retry-After:1", 2),
        ("f", "status=503", 1),
        ("g", "status=204;body=0", 1),
        ("h", "status=302;header=Location:/x", 1),
    ] {
        let before = executions(&scene);
        let first = write(&scene, key, script, &[], b"a");
        let second = loop {
            let second = write(&scene, key, script, &[], b"a");
            if second.status != 409 {
                break second;
            }
        };
        assert_eq!(
            (first.status, first.body.len()),
            (second.status, second.body.len()),
            "{script}"
        );
        assert_eq!(executions(&scene) - before, runs, "{script}");
    }
}

#[test]
fn refusals_need_not_be_kept() {
    let scene = Scene::open("", "", "[idempotency]\nkeep_refusals = false\n");
    for _ in 0..2 {
        assert_eq!(write(&scene, "k", "status=422", &[], b"a").status, 422);
    }
    assert_eq!(executions(&scene), 2);
    assert_eq!(write(&scene, "k", "status=201", &[], b"mended").status, 201);
}

#[test]
fn a_body_that_is_too_long_or_breaks_off_leaves_nothing_behind() {
    let scene = Scene::open("body_bytes_max = \"1KiB\"", "", "");
    problem(&write(&scene, "k", "", &[], &[b'x'; 1_025]), 413, "PLM-EDGE-0007");
    let mut client: RawClient = scene.client();
    let chunked = [("transfer-encoding", "chunked")];
    let sent = [b"500\r\n", &[b'x'; 0x500][..], b"\r\n0\r\n\r\n"].concat();
    let refused = write_to(&mut client, "/orders", "k", "", &chunked, &sent);
    problem(&refused, 413, "PLM-EDGE-0007");
    let mut client = scene.client();
    client
        .send(
            "POST /orders HTTP/1.1\r\nhost: a\r\nidempotency-key: k\r\n\
             content-length: 9\r\n\r\nhalf",
        )
        .unwrap();
    std::thread::sleep(Duration::from_millis(100));
    drop(client);
    assert_eq!(executions(&scene), 0);
    assert_eq!(write(&scene, "k", "status=201", &[], b"whole").status, 201);
}

#[test]
fn records_are_counted_by_state_on_the_console_and_in_metrics() {
    let scene = Scene::open_on_one_node("", "", "");
    write(&scene, "k", "status=201", &[], b"a");
    write(&scene, "k", "status=201", &[], b"a");
    write(&scene, "k", "status=201", &[], b"other");
    let of = |outcome: &str| {
        let series = format!("plimsoll_keyed_writes_total{{outcome=\"{outcome}\"}}");
        scene.edge.metric(&series).unwrap()
    };
    assert_eq!(of("executed"), Some(1.0));
    assert_eq!((of("replayed"), of("other_request")), (Some(1.0), Some(1.0)));
    crate::memory::soon_within(Duration::from_secs(15), || {
        let kept = scene.edge.metric("plimsoll_keyed_writes_kept").unwrap();
        (kept == Some(1.0)).then_some(())
    });
    let (_, page) = scene.edge.ops_get("/").unwrap();
    assert!(page.contains("Keyed writes") && page.contains("Outcome unknown"));
}

#[test]
fn a_key_of_a_public_operation_does_not_depend_on_what_is_known_of_a_token() {
    let scene = Scene::shop_on_one_node("");
    let alice = scene.bearer("");
    let put = || {
        let fields = [("authorization", alice.as_str()), ("idempotency-key", "k-1")];
        scene.ask("PUT", "/media", &fields)
    };
    let first = put();
    assert_eq!((first.status, first.headers.get("idempotent-replayed")), (200, None));
    // From here on the token is among the verified ones.
    assert_eq!(scene.ask("GET", "/profile", &[("authorization", &alice)]).status, 200);
    assert_eq!(put().headers.get("idempotent-replayed"), Some("true"));
}

#[test]
fn a_write_with_a_key_is_sent_once_whatever_may_be_repeated_without() {
    let scene = Scene::open_on_one_node("", "", "[service.retries]\nmethods = \"idempotent\"\n");
    let ask = |more: &[(&str, &str)]| {
        let fields = [&[("x-script", "status=502"), ("content-length", "0")], more].concat();
        scene.ask("PUT", "/x", &fields)
    };
    assert_eq!(ask(&[]).status, 502);
    let before = scene.origin.log().exchanges().len();
    assert!(before > 1, "it was repeated without a key");
    assert_eq!(ask(&[("idempotency-key", "k-1")]).status, 502);
    assert_eq!(scene.origin.log().exchanges().len(), before + 1);
}
