//! The change of protocol itself, in raw bytes.

use std::io::{Read as _, Write as _};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use plimsoll_testkit::expected_body;

use super::{PASSTHROUGH, scene};
use crate::bodies::tools::{HandOrigin, SECOND, eventually, read_head};
use crate::scene::{Scene, open_manifest, problem};

const KEY: &str = "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n";

fn upgrade(path: &str, more: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\n{KEY}\
         {more}\r\n"
    )
}

/// CVE-2026-2833 elsewhere: what a client sends behind its upgrade request was passed on before the
/// service had agreed, and became a request of its own.
#[test]
fn early_bytes_reach_the_service_only_after_it_has_agreed() {
    const EARLY: &[u8] = b"GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n";
    let (early, seen) = sync_channel::<Vec<u8>>(4);
    let origin = HandOrigin::start(move |mut stream| {
        let (head, mut before) = read_head(&mut stream);
        stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        let mut piece = [0; 1024];
        if let Ok(n) = stream.read(&mut piece) {
            before.extend_from_slice(&piece[..n]);
        }
        early.send(before).unwrap();
        if head.starts_with("GET /ws/no") {
            stream.write_all(b"HTTP/1.1 403 No\r\ncontent-length: 2\r\n\r\nno").unwrap();
        } else {
            let agreed = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n\
                           upgrade: websocket\r\n\r\nfirst word";
            stream.write_all(agreed).unwrap();
        }
        stream.set_read_timeout(Some(2 * SECOND)).unwrap();
        let mut after = vec![0; EARLY.len()];
        let got = stream.read_exact(&mut after).is_ok();
        early.send(if got { after } else { Vec::new() }).unwrap();
    });
    let scene = Scene::start(|_| open_manifest(&origin.url(), "", "", PASSTHROUGH));
    let mut client = scene.client();
    client.send([upgrade("/ws/yes", "").as_bytes(), EARLY].concat()).unwrap();
    assert_eq!(seen.recv().unwrap(), b"", "nothing before 101");
    let answer = client.read_response().unwrap();
    assert_eq!((answer.status, answer.headers.get("upgrade")), (101, Some("websocket")));
    assert_eq!(client.read_exact_bytes(10).unwrap(), b"first word");
    assert_eq!(seen.recv().unwrap(), EARLY, "all of it after 101");

    let mut client = scene.client();
    client.send([upgrade("/ws/no", "").as_bytes(), EARLY].concat()).unwrap();
    assert_eq!(seen.recv().unwrap(), b"", "nothing before the answer");
    let answer = client.read_response().unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (403, "no"));
    assert_eq!(seen.recv().unwrap(), b"", "and nothing on that connection after a refusal");
}

#[test]
fn a_protocol_change_that_no_passthrough_declares_is_403() {
    let scene = scene();
    for path in ["/x", "/wsx", "/events/ws", "/echo.Echo/Chat"] {
        let mut client = scene.client();
        client.send(upgrade(path, "")).unwrap();
        problem(&client.read_response().unwrap(), 403, "PLM-EDGE-0011");
    }
    assert_eq!(scene.origin.log().requests(), 0);
}

#[test]
fn a_service_that_declines_is_heard_and_the_connection_goes_on() {
    let scene = scene();
    for (script, status, body) in [("status=403;body=3000", 403, 3000), ("upgrade-echo", 101, 0)] {
        let mut client = scene.client();
        client
            .send(upgrade("/ws", &format!("x-test-id: asked\r\nx-script: {script}\r\n")))
            .unwrap();
        let answer = client.read_response().unwrap();
        assert_eq!(answer.status, status);
        assert_eq!(answer.body, expected_body("asked", body));
        if status == 101 {
            client.send("raw bytes").unwrap();
            assert_eq!(client.read_exact_bytes(9).unwrap(), b"raw bytes");
            continue;
        }
        if answer.keeps_alive() {
            let again = client.get("/x", &[]).unwrap();
            assert_eq!(again.status, 200);
        }
    }
    let mut client = scene.client();
    client.send(upgrade("/ws", "x-script: chunked;status=400;body=5\r\n")).unwrap();
    let answer = client.read_response().unwrap();
    assert_eq!((answer.status, answer.body.len()), (400, 5));
}

#[test]
fn a_service_that_is_silent_or_broken_is_a_problem() {
    let silent = Scene::open("", "[service.timeouts]\nfirst_byte = \"300ms\"\n", PASSTHROUGH);
    for (script, status, code) in [
        ("never", 504, "PLM-EDGE-0405"),
        ("reset", 502, "PLM-EDGE-0402"),
        ("garbage", 502, "PLM-EDGE-0403"),
    ] {
        let mut client = silent.client();
        client.send(upgrade("/ws", &format!("x-script: {script}\r\n"))).unwrap();
        problem(&client.read_response().unwrap(), status, code);
    }
    eventually("no connection to the service is left", 2 * SECOND, || {
        silent.origin.log().connections_open() == 0
    });
}

/// Each half of a tunnel ends by itself: what one side still has to say is heard.
#[test]
fn one_side_may_end_while_the_other_still_speaks() {
    let origin = HandOrigin::start(|mut stream| {
        read_head(&mut stream);
        let agreed = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n\
                       upgrade: websocket\r\n\r\n";
        stream.write_all(agreed).unwrap();
        let mut asked = Vec::new();
        stream.read_to_end(&mut asked).unwrap();
        std::thread::sleep(Duration::from_millis(300));
        asked.reverse();
        stream.write_all(&asked).unwrap();
    });
    let scene = Scene::start(|_| open_manifest(&origin.url(), "", "", PASSTHROUGH));
    let mut client = scene.client();
    client.send(upgrade("/ws", "")).unwrap();
    assert_eq!(client.read_response().unwrap().status, 101);
    client.send("drawer").unwrap();
    client.finish_sending().unwrap();
    assert_eq!(client.read_exact_bytes(6).unwrap(), b"reward");
    client.expect_closed(2 * SECOND).unwrap();
}
