//! Writes with an `Idempotency-Key`: each executed once, whoever sends it again gets the first
//! one's answer, and nobody else does.

mod callers;
mod crash;
mod nodes;
mod rules;
mod unknown;

use std::time::Duration;

use plimsoll_testkit::{RawClient, RawResponse, expected_body};

use crate::scene::{Scene, Stopwatch, problem};

/// A write with a key, on a connection of its own.
fn write(
    scene: &Scene,
    key: &str,
    script: &str,
    more: &[(&str, &str)],
    body: &[u8],
) -> RawResponse {
    write_to(&mut scene.client(), "/orders", key, script, more, body)
}

fn write_to(
    client: &mut RawClient,
    target: &str,
    key: &str,
    script: &str,
    more: &[(&str, &str)],
    body: &[u8],
) -> RawResponse {
    let fields = [("idempotency-key", key), ("x-script", script)];
    client.request("POST", target, &[&fields, more].concat(), body).unwrap()
}

fn executions(scene: &Scene) -> usize {
    scene.origin.log().exchanges().len()
}

#[test]
fn the_same_write_is_executed_once_and_answered_alike() {
    let scene = Scene::open("", "", "");
    let script =
        "status=201;body=500;header=Location:/orders/1;header=Set-Cookie:a=1;header=Set-Cookie:b=2";
    let first = write(&scene, "k-1", script, &[("x-test-id", "one")], b"one apple");
    assert_eq!((first.status, first.headers.get("idempotent-replayed")), (201, None));
    assert_eq!(first.body, expected_body("one", 500));
    // Stripe's clients send it plain, the draft has it quoted.
    let again = write(&scene, "\"k-1\"", script, &[("x-test-id", "two")], b"one apple");
    assert_eq!((again.status, &again.body), (201, &first.body));
    assert_eq!(again.headers.get("idempotent-replayed"), Some("true"));
    assert_eq!(again.headers.get("location"), Some("/orders/1"));
    let cookies = again.headers.all("set-cookie");
    assert_eq!(cookies, ["a=1", "b=2"]);
    assert_ne!(again.headers.get("x-request-id"), first.headers.get("x-request-id"));
    assert_eq!(executions(&scene), 1);
    let other = write(&scene, "k-2", script, &[], b"one apple");
    assert_eq!((other.status, executions(&scene)), (201, 2));
}

#[test]
fn a_write_without_a_key_and_a_read_with_one_are_passed_as_ever() {
    let scene = Scene::open("", "", "");
    for _ in 0..2 {
        assert_eq!(scene.client().request("POST", "/orders", &[], b"a").unwrap().status, 200);
        assert_eq!(scene.ask("GET", "/orders", &[("idempotency-key", "k")]).status, 200);
    }
    assert_eq!(executions(&scene), 4);
    let log = scene.origin.log().exchanges();
    assert_eq!(log[1].headers.get("idempotency-key"), Some("k"));
}

#[test]
fn another_request_or_another_caller_never_gets_the_answer() {
    let scene = Scene::open("", "", "");
    let alice = [("authorization", "Bearer alice")];
    assert_eq!(write(&scene, "k", "status=201", &alice, b"one").status, 201);
    problem(&write(&scene, "k", "status=201", &alice, b"two"), 422, "PLM-EDGE-0604");
    let mut client = scene.client();
    let elsewhere = write_to(&mut client, "/orders?a=1", "k", "status=201", &alice, b"one");
    problem(&elsewhere, 422, "PLM-EDGE-0604");
    // A token that was refreshed is another caller to an edge that verifies none: no execution.
    let mallory = [("authorization", "Bearer mallory")];
    let refused = write(&scene, "k", "status=201", &mallory, b"one");
    let document = problem(&refused, 409, "PLM-EDGE-0605");
    assert!(!document.to_string().contains("alice"), "{document}");
    assert_eq!(executions(&scene), 1);
}

#[test]
fn verified_callers_have_keys_of_their_own() {
    let scene = Scene::shop("");
    let of = |sub: &str| {
        let claims = crate::scene::claims().with("sub", sub.into()).scope("orders:write");
        scene.bearer_of(&claims)
    };
    let (alice, bob) = (of("alice"), of("bob"));
    // A refreshed token is the same caller.
    let alice_again = of("alice");
    for (token, replayed) in [(&alice, None), (&bob, None), (&alice_again, Some("true"))] {
        let answer = write(&scene, "k", "status=201", &[("authorization", token)], b"one");
        assert_eq!((answer.status, answer.headers.get("idempotent-replayed")), (201, replayed));
    }
    assert_eq!(executions(&scene), 2);
    // Before anything is replayed the caller is asked who it is.
    problem(&write(&scene, "k", "", &[], b"one"), 401, "PLM-EDGE-0201");
}

#[test]
fn who_comes_meanwhile_waits_for_the_first_ones_answer() {
    let scene = Scene::open("", "", "");
    let begun = Stopwatch::start();
    let answers: Vec<RawResponse> = std::thread::scope(|scope| {
        let ask = |_| {
            let scene = &scene;
            scope.spawn(move || write(scene, "k", "status=201;delay=700", &[], b"one"))
        };
        let asking: Vec<_> = (0..12).map(ask).collect();
        asking.into_iter().map(|asked| asked.join().unwrap()).collect()
    });
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    assert_eq!(executions(&scene), 1);
    let first = answers.iter().filter(|a| a.headers.get("idempotent-replayed").is_none()).count();
    assert_eq!(first, 1);
    assert!(answers.iter().all(|a| a.status == 201 && a.body == answers[0].body));
}

#[test]
fn who_waits_longer_than_there_is_time_is_told_to_come_again() {
    let scene = Scene::open("", "", "");
    let slow = "status=201;delay=2500";
    std::thread::scope(|scope| {
        let first = scope.spawn(|| write(&scene, "k", slow, &[], b"one"));
        std::thread::sleep(Duration::from_millis(500));
        let manifest = crate::scene::open_manifest(
            &scene.origin.url(),
            "",
            "[service.timeouts]\ntotal = \"1s\"\nfirst_byte = \"1s\"\nconnect = \"1s\"\n",
            "",
        );
        scene.edge.write_manifest(&manifest).unwrap();
        scene.edge.reload().unwrap();
        std::thread::sleep(Duration::from_millis(300));
        let second = write(&scene, "k", slow, &[], b"one");
        let document = problem(&second, 409, "PLM-EDGE-0603");
        assert_eq!(second.headers.get("retry-after"), Some("1"), "{document}");
        assert_eq!(first.join().unwrap().status, 201);
    });
    assert_eq!(write(&scene, "k", slow, &[], b"one").status, 201);
    assert_eq!(executions(&scene), 1);
}

#[test]
fn a_client_that_leaves_does_not_end_the_write() {
    let scene = Scene::open("", "", "");
    let mut client = scene.client();
    client
        .send(
            "POST /orders HTTP/1.1\r\nhost: localhost\r\nidempotency-key: k\r\n\
             x-script: status=201;delay=800\r\ncontent-length: 3\r\n\r\none",
        )
        .unwrap();
    std::thread::sleep(Duration::from_millis(400));
    drop(client);
    let again = write(&scene, "k", "status=201;delay=800", &[], b"one");
    assert_eq!((again.status, again.headers.get("idempotent-replayed")), (201, Some("true")));
    assert_eq!(executions(&scene), 1);
}

#[test]
fn large_bodies_are_read_first_and_arrive_as_they_were() {
    let scene = Scene::open("", "", "");
    let body = expected_body("large", 700_001);
    let answer = write(&scene, "k", "echo", &[], &body);
    assert_eq!((answer.status, answer.body.len()), (200, body.len()));
    assert!(answer.body == body);
    let chunked = [("transfer-encoding", "chunked")];
    let sent = format!("{:x}\r\n", body.len());
    let chunks = [sent.as_bytes(), &body, b"\r\n0\r\n\r\n"].concat();
    let answer = write(&scene, "c", "echo", &chunked, &chunks);
    assert!(answer.body == body, "{}", answer.status);
    // The answer was longer than what is kept: the replay says so, and nothing is executed.
    let replay = write(&scene, "c", "echo", &chunked, &chunks);
    assert_eq!((replay.status, replay.body.len()), (200, 0));
    assert_eq!(replay.headers.get("idempotent-replayed"), Some("true"));
    assert_eq!(replay.headers.get("plimsoll-replayed-body"), Some("not-kept"));
    assert_eq!(executions(&scene), 2);
}
