//! What is no HTTP at all.

use plimsoll_testkit::{ClientError, RawClient};

use super::TlsScene;
use crate::bodies::tools::SECOND;
use crate::scene::{Scene, problem};

/// The start of a TLS greeting, as a client sends it that takes the port for https.
const CLIENT_HELLO: &[u8] = b"\x16\x03\x01\x00\x4a\x01\x00\x00\x46\x03\x03\x5f\x5e\x5d\x5c\x5b\x5a";

#[test]
fn garbage_is_refused_as_a_problem_and_harms_nobody() {
    let scene = Scene::open("", "", "");
    let mut neighbour = scene.client();
    assert_eq!(neighbour.get("/x", &[]).unwrap().status, 200);
    let noise: Vec<u8> =
        (0..4096_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let cases: [(&str, &[u8]); 10] = [
        ("a TLS greeting", CLIENT_HELLO),
        ("noise", &noise),
        ("zeros", &[0; 64]),
        ("a version there is not", b"GET / HTTP/9.9\r\nhost: a\r\n\r\n"),
        ("HTTP/0.9", b"GET /\r\n"),
        ("no method", b" / HTTP/1.1\r\nhost: a\r\n\r\n"),
        ("another protocol", b"SSH-2.0-OpenSSH_9.6\r\n\r\n"),
        ("an answer", b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
        ("control bytes in the target", b"GET /\x01 HTTP/1.1\r\nhost: a\r\n\r\n"),
        ("nearly HTTP/2", b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"),
    ];
    for (what, bytes) in cases {
        let mut client = scene.client();
        client.send(bytes).unwrap();
        match client.read_response() {
            Ok(answer) => {
                problem(&answer, 400, "PLM-EDGE-0013");
                client.expect_closed(SECOND).unwrap_or_else(|e| panic!("{what}: {e}"));
            }
            // Where HTTP/2 was announced there is no answer to give but the end of it.
            Err(ClientError::Malformed(_) | ClientError::Ended { .. })
                if what.contains("HTTP/2") => {}
            Err(error) => assert!(error.is_silent_end(), "{what}: {error}"),
        }
        assert_eq!(neighbour.get("/x", &[]).unwrap().status, 200, "after {what}");
    }
    assert_eq!(scene.origin.log().requests(), 11, "none of it reached the service");
}

#[test]
fn plain_http_on_a_tls_port_is_closed_and_harms_nobody() {
    let scene = TlsScene::start("", "");
    let mut client = RawClient::connect(scene.addr()).unwrap();
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    match client.read_response() {
        // A TLS alert is no HTTP; a bare end is as good.
        Err(ClientError::Ended { .. } | ClientError::Io { .. } | ClientError::Malformed(_)) => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(scene.client().get("/x", &[]).unwrap().status, 200);
    assert_eq!(scene.origin.log().requests(), 1);
}
