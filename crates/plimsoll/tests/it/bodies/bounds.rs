//! What is too large, too slow or never welcome: refused as early as can be known.

use std::io::Write as _;
use std::time::Duration;

use plimsoll_testkit::{BodyDigest, Outcome, RawClient, expected_body};

use super::tools::{SECOND, Watch, eventually};
use crate::scene::{Scene, problem};

const LIMIT: usize = 64 * 1024;

fn limited() -> Scene {
    Scene::open("body_bytes_max = \"64KiB\"", "", "")
}

fn chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

/// The refusal of a body: the connection cannot go on, and says so.
#[track_caller]
fn too_large(client: &mut RawClient, bytes_max: usize) {
    let answer = client.read_response().unwrap();
    let document = problem(&answer, 413, "PLM-EDGE-0007");
    assert_eq!(document["body_bytes_max"], bytes_max);
    assert_eq!(answer.headers.get("connection"), Some("close"));
}

#[test]
fn a_body_that_says_it_is_too_large_is_413_before_anything_is_sent() {
    let scene = limited();
    for length in [LIMIT as u64 + 1, 1 << 40, i64::MAX as u64] {
        let mut client = scene.client();
        let head = format!("PUT /x HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n");
        client.send(head).unwrap();
        too_large(&mut client, LIMIT);
        client.expect_closed(SECOND).unwrap();
    }
    assert_eq!(scene.origin.log().connections().len(), 0, "the service was not even connected to");
    let body = expected_body("fits", LIMIT);
    let answer = scene.client().request("PUT", "/x", &[], &body).unwrap();
    assert_eq!(answer.headers.get("x-body-digest"), Some(&*BodyDigest::of(&body)));
}

#[test]
fn an_operation_may_take_less_than_the_rest() {
    let scene = Scene::shop("[[operation]]\nid = \"putMedia\"\nbody_bytes_max = \"1KiB\"\n");
    let mut client = scene.client();
    let answer = client.request("PUT", "/media", &[], &[b'x'; 1024]).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    client.send("PUT /media HTTP/1.1\r\nhost: a\r\ncontent-length: 1025\r\n\r\n").unwrap();
    too_large(&mut client, 1024);
    assert_eq!(scene.origin.log().requests(), 1);
}

#[test]
fn a_body_that_grows_too_large_is_413_in_the_middle_and_never_ends_at_the_service() {
    let scene = limited();
    let head =
        "PUT /x HTTP/1.1\r\nhost: a\r\nx-test-id: grows\r\ntransfer-encoding: chunked\r\n\r\n";
    let mut client = scene.client();
    client.send(head).unwrap();
    for _ in 0..64 {
        client.send(chunk(&[b'x'; 1024])).unwrap();
    }
    client.expect_quiet(Duration::from_millis(200)).unwrap();
    client.send(chunk(b"x")).unwrap();
    too_large(&mut client, LIMIT);
    client.expect_closed(SECOND).unwrap();
    eventually("the service's connection is let go", 2 * SECOND, || {
        scene.origin.log().connections_open() == 0
    });
    let seen = scene.origin.log().with_id("grows");
    assert_eq!((seen.len(), &seen[0].outcome), (1, &Outcome::Broken));
    assert_eq!(seen[0].body_digest, None, "the service must not take a part for the whole");

    let mut client = scene.client();
    client.send(head.replace("grows", "exact")).unwrap();
    client.send([chunk(&[b'x'; LIMIT]), b"0\r\n\r\n".to_vec()].concat()).unwrap();
    let answer = client.read_response().unwrap();
    assert_eq!(answer.headers.get("x-body-length"), Some(&*LIMIT.to_string()));
}

#[test]
fn who_goes_on_sending_still_reads_the_refusal() {
    let scene = limited();
    for framing in ["content-length: 33554432", "transfer-encoding: chunked"] {
        let mut client = scene.client();
        client.send(format!("PUT /x HTTP/1.1\r\nhost: a\r\n{framing}\r\n\r\n")).unwrap();
        let piece = chunk(&[b'x'; 32 * 1024]);
        let mut stream = client.stream();
        for _ in 0..1024 {
            if stream.write_all(&piece).is_err() {
                break;
            }
        }
        too_large(&mut client, LIMIT);
    }
}

#[test]
fn a_body_that_stalls_is_408_and_one_that_is_only_slow_is_not() {
    let scene = Scene::open("body_idle_timeout = \"400ms\"", "", "");
    let head = "PUT /x HTTP/1.1\r\nhost: a\r\nx-test-id: stalls\r\ncontent-length: 30\r\n\r\n";
    let mut slow = scene.client();
    slow.send(head.replace("stalls", "slow")).unwrap();
    for _ in 0..15 {
        slow.send("ab").unwrap();
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(slow.read_response().unwrap().headers.get("x-body-length"), Some("30"));

    let watch = Watch::start();
    let mut client = scene.client();
    client.send(head).unwrap();
    client.send("0123456789").unwrap();
    let answer = client.read_response().unwrap();
    problem(&answer, 408, "PLM-EDGE-0009");
    assert_eq!(answer.headers.get("connection"), Some("close"));
    let took = watch.read();
    assert!(took >= Duration::from_millis(400) && took < 3 * SECOND, "{took:?}");
    client.expect_closed(SECOND).unwrap();
    eventually("the service's connection is let go", 2 * SECOND, || {
        scene.origin.log().with_id("stalls")[0].outcome == Outcome::Broken
    });
    eventually("the slow client is counted", 3 * SECOND, || {
        let cut = scene.edge.metric("plimsoll_slow_clients_cut_total{held=\"body\"}").unwrap();
        cut == Some(1.0)
    });
}

#[test]
fn a_client_that_asks_first_is_told_to_go_on_only_when_its_body_is_wanted() {
    let scene = limited();
    let head = |path: &str, length: usize| {
        format!(
            "PUT {path} HTTP/1.1\r\nhost: a\r\nx-test-id: asks\r\nexpect: 100-continue\r\n\
             content-length: {length}\r\n\r\n"
        )
    };
    let mut client = scene.client();
    client.send(head("/x", 5)).unwrap();
    let told = client.read_exact_bytes(25).unwrap();
    assert_eq!(String::from_utf8_lossy(&told), "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("hello").unwrap();
    let answer = client.read_response().unwrap();
    assert_eq!(answer.headers.get("x-body-digest"), Some(&*BodyDigest::of(b"hello")));
    let seen = scene.origin.log().with_id("asks");
    assert!(seen[0].headers.get("expect").is_none(), "the edge itself has answered it");

    let mut client = scene.client();
    client.send(head("/x", LIMIT + 1)).unwrap();
    let answer = client.read_response().unwrap();
    problem(&answer, 413, "PLM-EDGE-0007");
    assert_eq!(answer.interim, vec![], "no 100 before a refusal");

    let mut client = scene.client();
    client.send(head("/x", 5).replace("100-continue", "a-miracle")).unwrap();
    problem(&client.read_response().unwrap(), 417, "PLM-EDGE-0008");
    assert_eq!(scene.origin.log().requests(), 1);
}

/// After a refusal whose body was not read, the connection either carries on or says that it does
/// not: a client that pools connections must not find out by losing a request.
#[test]
fn a_refusal_before_the_body_says_whether_the_connection_goes_on() {
    let scene = Scene::shop("");
    let heads = [
        ("no body sent", "expect: 100-continue\r\ncontent-length: 9\r\n", 0),
        ("a small body with the head", "content-length: 9\r\n", 9),
        ("a part of a large body", "content-length: 900000\r\n", 100_000),
        ("a chunked body that is not over", "transfer-encoding: chunked\r\n", 0),
    ];
    for (what, framing, sent) in heads {
        let mut client = scene.client();
        let mut bytes = format!("POST /nowhere HTTP/1.1\r\nhost: a\r\n{framing}\r\n").into_bytes();
        bytes.resize(bytes.len() + sent, b'x');
        client.send(bytes).unwrap();
        let answer = client.read_response().unwrap();
        problem(&answer, 404, "PLM-EDGE-0101");
        assert!(answer.interim.is_empty(), "{what}");
        if answer.headers.lists("connection", "close") {
            client.expect_closed(SECOND).unwrap_or_else(|e| panic!("{what}: {e}"));
        } else {
            let again = client.get("/feed", &[]).unwrap_or_else(|e| panic!("{what}: {e}"));
            assert_eq!(again.status, 200, "{what}");
        }
    }
}

#[test]
fn a_head_over_its_bounds_is_431_as_a_problem() {
    let scene = Scene::open("header_bytes_max = \"8KiB\"\nheaders_max = 20", "", "");
    let ask = |fields: usize, bytes: usize| {
        let mut text = String::from("GET / HTTP/1.1\r\nhost: a\r\n");
        for n in 1..fields {
            text.push_str(&format!("x-{n}: {}\r\n", "v".repeat(bytes / (fields - 1))));
        }
        text.push_str("\r\n");
        let mut client = scene.client();
        client.send(text).unwrap();
        let answer = client.read_response().unwrap();
        if answer.status != 200 {
            problem(&answer, 431, "PLM-EDGE-0005");
            client.expect_closed(SECOND).unwrap();
        }
        answer.status
    };
    assert_eq!(ask(20, 7_000), 200);
    assert_eq!(ask(2, 8_000), 200);
    // Just over, which the edge counts itself, and far over, which the parser stops at.
    for (fields, bytes) in [(21, 0), (2, 8_200), (2, 11_000), (2, 13_000), (2, 60_000), (60, 0)] {
        assert_eq!(ask(fields, bytes), 431, "{fields} fields, {bytes} bytes");
    }
    assert_eq!(scene.origin.log().requests(), 2);
}

#[test]
fn a_head_without_an_end_is_refused_for_its_size_not_its_time() {
    let scene = Scene::open("header_bytes_max = \"8KiB\"\nheader_timeout = \"1m\"", "", "");
    let watch = Watch::start();
    let mut client = scene.client();
    client.send("GET / HTTP/1.1\r\nhost: a\r\nx: ").unwrap();
    let mut stream = client.stream();
    for _ in 0..64 {
        if stream.write_all(&[b'v'; 4096]).is_err() {
            break;
        }
    }
    problem(&client.read_response().unwrap(), 431, "PLM-EDGE-0005");
    assert!(watch.read() < 5 * SECOND);
}
