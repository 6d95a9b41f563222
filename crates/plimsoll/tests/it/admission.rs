//! A service at its limit: who waits, who goes first, who is told to come back, and what is given
//! back when a client leaves.

mod life;

use std::time::Duration;

use plimsoll_testkit::{RawClient, RawResponse};

use crate::memory::soon;
use crate::scene::{Scene, Stopwatch, problem};

/// One request at once, so that every order can be seen.
fn one_at_once(queue_depth_max: u32, more: &str) -> Scene {
    let admission = format!(
        "[service.admission]\nconcurrency = 1\nqueue_depth_max = {queue_depth_max}\n\
         queue_interval = \"20s\"\nqueue_target = \"20s\"\n"
    );
    Scene::open_on_one_node("", &admission, more)
}

/// Sends a request of that id without waiting for its answer.
fn send(scene: &Scene, id: &str, script: &str, fields: &[(&str, &str)]) -> RawClient {
    let mut client = scene.client();
    let mut head = format!("GET /{id} HTTP/1.1\r\nhost: a\r\nx-test-id: {id}\r\n");
    for (name, value) in fields.iter().chain(&[("x-script", script)]) {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    client.send(format!("{head}\r\n")).unwrap();
    client
}

/// The same, and until the service has it.
fn occupy(scene: &Scene, id: &str, script: &str) -> RawClient {
    let client = send(scene, id, script, &[]);
    soon(|| (!scene.origin.log().with_id(id).is_empty()).then_some(()));
    client
}

/// Long enough for the edge to have queued what was sent.
fn queued() {
    std::thread::sleep(Duration::from_millis(200));
}

fn ids(scene: &Scene) -> Vec<String> {
    scene.origin.log().exchanges().into_iter().filter_map(|exchange| exchange.id).collect()
}

fn answer(client: &mut RawClient) -> RawResponse {
    client.read_response().unwrap()
}

fn shed(scene: &Scene, class: &str, reason: &str) -> u64 {
    let series = format!("plimsoll_admission_shed_total{{class=\"{class}\",reason=\"{reason}\"}}");
    scene.edge.metric(&series).unwrap().unwrap_or(0.0) as u64
}

#[test]
fn what_has_no_place_is_told_when_to_come_back() {
    let scene = one_at_once(0, "[status]\npublic = true\n");
    let mut first = occupy(&scene, "first", "delay=1500");
    let watch = Stopwatch::start();
    let refused = scene.ask("GET", "/second", &[("x-test-id", "second")]);
    let document = problem(&refused, 503, "PLM-EDGE-0410");
    assert!(watch.elapsed() < Duration::from_secs(1), "it is told at once");
    let after: u64 = refused.headers.get("retry-after").unwrap().parse().unwrap();
    assert!(after >= 1 && document["retry_after_seconds"] == after, "{document}");
    assert_eq!(shed(&scene, "default", "queue_full"), 1);
    let (_, page) = scene.edge.ops_get("/?format=json").unwrap();
    assert!(page.contains("Requests app has at once") && page.contains("load_shed"), "{page}");
    soon(|| {
        let answer = scene.edge.client().unwrap().get("/status.json", &[]).unwrap();
        let said = String::from_utf8_lossy(&answer.body).contains("some requests have to wait");
        said.then_some(())
    });
    assert_eq!(answer(&mut first).status, 200);
    assert_eq!(ids(&scene), ["first"]);
    soon(|| (scene.ask("GET", "/third", &[]).status == 200).then_some(()));
}

#[test]
fn who_waits_is_answered_when_a_place_is_free() {
    let scene = one_at_once(4, "");
    let mut first = occupy(&scene, "first", "delay=600");
    let watch = Stopwatch::start();
    let answer_of_second = scene.ask("GET", "/second", &[("x-test-id", "second")]);
    assert_eq!(answer_of_second.status, 200);
    assert!(watch.elapsed() >= Duration::from_millis(200), "it waited for the first one's end");
    assert_eq!(answer(&mut first).status, 200);
    let waited = "plimsoll_admission_waited_total{service=\"app\"}";
    assert_eq!(scene.edge.metric(waited).unwrap(), Some(1.0));
}

#[test]
fn higher_classes_go_first_and_a_client_can_only_lower_its_own() {
    let critical = "[[operation]]\nid = \"pay\"\nmethod = \"GET\"\npath = \"/pay\"\n\
                    criticality = \"critical\"\n\
                    [[operation]]\nid = \"buy\"\nmethod = \"GET\"\npath = \"/buy\"\n\
                    [[journey]]\nname = \"buying\"\nfile = \"buy.hurl\"\nmust_not_fail = true\n";
    let scene = one_at_once(8, critical);
    let mut clients = vec![occupy(&scene, "first", "delay=1500")];
    for (id, fields) in [
        ("prefetched", [("plimsoll-client", "platform=ios, state=prefetch")]),
        ("unhurried", [("priority", "u=5")]),
        ("plain", [("priority", "u=0")]),
        ("buy", [("priority", "u=3")]),
        ("pay", [("priority", "u=3")]),
    ] {
        clients.push(send(&scene, id, "status=200", &fields));
        queued();
    }
    for client in &mut clients {
        assert_eq!(answer(client).status, 200);
    }
    assert_eq!(ids(&scene), ["first", "buy", "pay", "plain", "unhurried", "prefetched"]);
}

#[test]
fn a_full_queue_gives_up_what_matters_least() {
    let scene = one_at_once(1, "");
    let mut first = occupy(&scene, "first", "delay=1500");
    let mut prefetched =
        send(&scene, "prefetched", "status=200", &[("plimsoll-client", "state=prefetch")]);
    queued();
    let mut plain = send(&scene, "plain", "status=200", &[]);
    problem(&answer(&mut prefetched), 503, "PLM-EDGE-0410");
    assert_eq!((answer(&mut first).status, answer(&mut plain).status), (200, 200));
    assert_eq!(shed(&scene, "background", "queue_full"), 1);
    assert_eq!(ids(&scene), ["first", "plain"]);
}

#[test]
fn who_cannot_be_answered_in_time_is_told_so_and_nothing_is_sent() {
    let admission = "[service.admission]\nconcurrency = 1\nqueue_interval = \"20s\"\n\
                     [service.timeouts]\ntotal = \"2s\"\nfirst_byte = \"2s\"\n\
                     [[operation]]\nid = \"hurried\"\nmethod = \"GET\"\npath = \"/hurried\"\n\
                     total_timeout = \"300ms\"\n";
    let scene = Scene::open_on_one_node("", admission, "");
    let mut first = occupy(&scene, "first", "delay=1200");
    problem(&scene.ask("GET", "/hurried", &[]), 503, "PLM-EDGE-0410");
    assert_eq!(shed(&scene, "default", "deadline"), 1);
    assert_eq!(answer(&mut first).status, 200);
    assert_eq!(ids(&scene), ["first"]);
}

#[test]
fn what_the_cache_answers_takes_no_place() {
    let scene = one_at_once(0, "");
    let stored = "header=Cache-Control:public, max-age=60";
    assert_eq!(scene.ask("GET", "/kept", &[("x-script", stored)]).status, 200);
    let mut first = occupy(&scene, "first", "delay=1000");
    assert_eq!(scene.ask("GET", "/kept", &[]).status, 200);
    problem(&scene.ask("GET", "/other", &[]), 503, "PLM-EDGE-0410");
    assert_eq!(answer(&mut first).status, 200);
}

#[test]
fn an_answer_without_an_end_holds_no_place_and_a_slow_one_does() {
    let scene = one_at_once(0, "");
    let mut stream = occupy(&scene, "events", "sse=20:100");
    assert_eq!(stream.read_head_to("GET").unwrap().status, 200);
    soon(|| (scene.ask("GET", "/a", &[]).status == 200).then_some(()));
    let mut slow = occupy(&scene, "slow", "body=3000;slow=1500/s");
    assert_eq!(slow.read_head_to("GET").unwrap().status, 200);
    problem(&scene.ask("GET", "/b", &[]), 503, "PLM-EDGE-0410");
    // A client that leaves in the middle of an answer gives its place back.
    drop(slow);
    soon(|| (scene.ask("GET", "/c", &[]).status == 200).then_some(()));
}

#[test]
fn a_shed_write_leaves_its_key_free() {
    let scene = one_at_once(0, "");
    // The records are there a moment after the edge.
    let write = |key: &str, script: &str| {
        let fields = [("idempotency-key", key), ("x-script", script)];
        scene.client().request("POST", "/orders", &fields, b"one").unwrap()
    };
    soon(|| (write("warm", "status=201").status == 201).then_some(()));
    let mut first = occupy(&scene, "first", "delay=1200");
    for _ in 0..2 {
        problem(&write("k", "status=201"), 503, "PLM-EDGE-0410");
    }
    assert_eq!(answer(&mut first).status, 200);
    let done = soon(|| {
        let done = write("k", "status=201");
        (done.status != 503).then_some(done)
    });
    assert_eq!((done.status, done.headers.get("idempotent-replayed")), (201, None));
    let mut again = occupy(&scene, "again", "delay=500");
    let replay = write("k", "status=201");
    assert_eq!(replay.headers.get("idempotent-replayed"), Some("true"), "a replay takes no place");
    assert_eq!(answer(&mut again).status, 200);
}

#[test]
fn an_operation_may_stay_outside() {
    let poll = "[[operation]]\nid = \"poll\"\nmethod = \"GET\"\npath = \"/poll\"\n\
                admission = false\n";
    let scene = one_at_once(0, poll);
    let mut polls = [occupy(&scene, "poll", "delay=1000")];
    assert_eq!(scene.ask("GET", "/other", &[]).status, 200);
    polls.iter_mut().for_each(|client| assert_eq!(answer(client).status, 200));
}
