//! Stopping without losing a request, and a successor that takes over the same sockets.

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use plimsoll_testkit::judge::{Expect, Judgement, judge};
use plimsoll_testkit::load::{self, LoadPlan};
use plimsoll_testkit::{Origin, Plimsoll, PlimsollOptions, Script};
use rustix::process::Signal;

use crate::memory::{command, json, soon};
use crate::scene::{Scene, Stopwatch, open_manifest};

const HANDOVERS: usize = 5;
const BODY_BYTES: u64 = 5_000;

/// How the old process goes.
#[derive(Clone, Copy)]
enum Going {
    Drained,
    Killed,
}

/// All of them use one data directory, as a restarted service does.
fn successor(socket: &TcpListener, origin: &Origin, data_dir: &Path) -> Plimsoll {
    Plimsoll::start(&PlimsollOptions {
        data_dir: Some(data_dir.to_owned()),
        manifest: Some(open_manifest(&origin.url(), "", "", "")),
        inherited: vec![socket.try_clone().unwrap()],
        ..PlimsollOptions::default()
    })
    .unwrap()
}

/// A client that never retries and keeps opening connections, while one process after the other
/// takes over.
fn hand_over(going: Going, handovers: usize) -> Judgement {
    let origin = Origin::start().unwrap();
    origin.set_default(Script::parse(&format!("body={BODY_BYTES};delay=3")).unwrap());
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = socket.local_addr().unwrap();
    let data_dir = tempfile::tempdir().unwrap();
    let mut running = successor(&socket, &origin, data_dir.path());
    let plan = LoadPlan { pause: Duration::from_millis(1), ..LoadPlan::new(addr) };
    let churn = load::start(&LoadPlan {
        clients: 4,
        requests_per_connection: 1,
        prefix: "churn".into(),
        ..plan.clone()
    });
    let kept = load::start(&LoadPlan { clients: 4, prefix: "kept".into(), ..plan });
    for _ in 0..handovers {
        let next = successor(&socket, &origin, data_dir.path());
        std::thread::sleep(Duration::from_millis(100));
        match going {
            Going::Drained => {
                running.signal(Signal::TERM).unwrap();
                let status = running.wait(Duration::from_secs(20)).unwrap();
                assert!(status.is_some_and(|s| s.success()), "{}", running.stderr());
            }
            Going::Killed => running.kill().unwrap(),
        }
        running = next;
    }
    std::thread::sleep(Duration::from_millis(200));
    let mut answers = load::answers(&churn.stop());
    answers.extend(load::answers(&kept.stop()));
    let expect = Expect { body_bytes: Some(BODY_BYTES), no_problems: true, repeats_allowed: false };
    judge(&answers, &origin.log().exchanges(), expect)
}

#[test]
fn a_successor_on_the_same_sockets_takes_over_without_a_client_noticing() {
    let verdict = hand_over(Going::Drained, HANDOVERS);
    assert!(verdict.is_clean() && verdict.judged > 500, "{verdict}");
}

#[test]
fn the_same_judge_sees_a_process_that_is_killed_instead() {
    let verdict = hand_over(Going::Killed, 2);
    assert!(!verdict.failed.is_empty(), "a kill must show: {verdict}");
}

#[test]
fn the_command_line_reaches_somebody_before_while_and_after_one_takes_over() {
    let origin = Origin::start().unwrap();
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let data_dir = tempfile::tempdir().unwrap();
    let mut running = successor(&socket, &origin, data_dir.path());
    let nodes = || command(data_dir.path(), &["nodes"]);
    for going in [Going::Drained, Going::Killed, Going::Drained] {
        soon(|| nodes().status.success().then_some(()));
        let next = successor(&socket, &origin, data_dir.path());
        std::thread::sleep(Duration::from_millis(400));
        assert!(nodes().status.success(), "the one that has the database answers");
        match going {
            Going::Drained => {
                running.signal(Signal::TERM).unwrap();
                let status = running.wait(Duration::from_secs(20)).unwrap();
                assert!(status.is_some_and(|s| s.success()), "{}", running.stderr());
            }
            Going::Killed => running.kill().unwrap(),
        }
        running = next;
    }
    soon(|| nodes().status.success().then_some(()));
    let answer = json(data_dir.path(), &["nodes"]);
    assert!(answer["nodes"].as_array().is_some_and(|nodes| !nodes.is_empty()), "{answer}");
}

#[test]
fn what_is_under_way_finishes_and_readiness_turns_false_first() {
    let mut scene = Scene::open("", "", "");
    let mut client = scene.client();
    let request = "GET /slow HTTP/1.1\r\nhost: a\r\nx-test-id: slow-000001\r\n\
                   x-script: delay=1500;body=50000\r\n\r\n";
    client.send(request).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    scene.edge.signal(Signal::TERM).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let (status, body) = scene.edge.ops_get("/readyz").unwrap();
    assert_eq!(status, 503, "{body}");
    assert!(body.contains("draining"), "{body}");
    assert!(scene.edge.client().is_err(), "no new connection is taken");
    let answer = client.read_response().unwrap();
    assert_eq!((answer.status, answer.body.len()), (200, 50_000));
    assert_eq!(answer.headers.get("connection"), Some("close"));
    let ended = scene.edge.wait(Duration::from_secs(15)).unwrap();
    assert!(ended.is_some_and(|status| status.success()), "{}", scene.edge.stderr());
}

#[test]
fn the_deadline_ends_what_never_ends_and_says_so() {
    let mut scene = Scene::open("drain_deadline = \"1s\"\n", "", "");
    let mut client = scene.client();
    client.send("GET /x HTTP/1.1\r\nhost: a\r\nx-script: never\r\n\r\n").unwrap();
    std::thread::sleep(Duration::from_millis(200));
    scene.edge.signal(Signal::TERM).unwrap();
    let ended = scene.edge.wait(Duration::from_secs(6)).unwrap().unwrap();
    assert_eq!(ended.code(), Some(1));
    let said = scene.edge.stderr();
    assert!(said.contains("drain_deadline"), "{said}");
}

/// A stream of events ends in order shortly before the deadline, and a tunnel with it: neither is a
/// request that was cut.
#[test]
fn what_has_no_end_of_its_own_is_ended_in_order_before_the_deadline() {
    let more = "[[passthrough]]\nprefix = \"/ws\"\nservice = \"app\"\nkinds = [\"websocket\"]\n";
    let mut scene = Scene::open("drain_deadline = \"4s\"\n", "", more);
    let mut stream = scene.client();
    let ask = "GET /x HTTP/1.1\r\nhost: a\r\nx-test-id: s\r\nx-script: sse=100000:50\r\n\r\n";
    stream.send(ask).unwrap();
    let mut head = stream.read_head_to("GET").unwrap();
    let mut socket = scene.client();
    let upgrade = "GET /ws/echo HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\n\
                   upgrade: websocket\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                   sec-websocket-version: 13\r\nx-script: ws-echo\r\n\r\n";
    socket.send(upgrade).unwrap();
    assert_eq!(socket.read_head_to("GET").unwrap().status, 101);
    scene.edge.signal(Signal::TERM).unwrap();
    let watch = Stopwatch::start();
    let mut text = Vec::new();
    let whole = stream.read_body(&mut head, &mut |piece| {
        text.extend_from_slice(piece);
        true
    });
    assert!(whole.is_ok(), "an end in order: {whole:?}");
    assert!(watch.elapsed() > Duration::from_millis(2_500), "{:?}", watch.elapsed());
    assert!(String::from_utf8_lossy(&text).matches("data: s ").count() > 40);
    socket.expect_closed(Duration::from_secs(2)).unwrap();
    let ended = scene.edge.wait(Duration::from_secs(6)).unwrap();
    assert!(ended.is_some_and(|status| status.success()), "{}", scene.edge.stderr());
}

#[test]
fn ctrl_c_does_not_wait_for_idle_connections() {
    let mut scene = Scene::open("", "", "");
    let mut idle = scene.client();
    assert_eq!(idle.get("/", &[]).unwrap().status, 200);
    scene.edge.signal(Signal::INT).unwrap();
    let ended = scene.edge.wait(Duration::from_secs(3)).unwrap();
    assert!(ended.is_some_and(|status| status.success()), "{}", scene.edge.stderr());
}

#[test]
fn an_answer_that_the_client_is_slow_to_take_is_not_cut() {
    let mut scene = Scene::open("", "", "");
    let mut client = scene.client();
    let body = 3_000_000;
    client.send(format!("GET /x HTTP/1.1\r\nhost: a\r\nx-script: body={body}\r\n\r\n")).unwrap();
    std::thread::sleep(Duration::from_millis(500));
    scene.edge.signal(Signal::INT).unwrap();
    std::thread::sleep(Duration::from_millis(1_500));
    assert_eq!(client.read_response().unwrap().body.len(), body);
    let ended = scene.edge.wait(Duration::from_secs(5)).unwrap();
    assert!(ended.is_some_and(|status| status.success()), "{}", scene.edge.stderr());
}
