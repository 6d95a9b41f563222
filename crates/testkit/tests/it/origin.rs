//! Origin and client against each other: each behaviour once, over real sockets.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::Duration;

use plimsoll_testkit::{
    BODY_DIGEST_HEADER, BODY_LENGTH_HEADER, BodyDigest, ClientError, Closing, ID_HEADER, Origin,
    OriginOptions, Outcome, RawClient, RawResponse, Script, expected_body,
};

fn ask(client: &mut RawClient, id: &str, script: &str) -> Result<RawResponse, ClientError> {
    client.get("/", &[(ID_HEADER, id), ("x-script", script)])
}

fn fresh(origin: &Origin) -> RawClient {
    let mut client = RawClient::connect(origin.addr()).unwrap();
    client.set_patience(Duration::from_secs(5));
    client
}

/// The book is written after the last byte has left, so a reader may have to wait a moment.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..500 {
        if holds() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("never: {what}");
}

#[test]
fn answers_carry_the_id_and_its_whole_body() {
    let origin = Origin::start().unwrap();
    let mut client = fresh(&origin);
    for (number, script) in
        ["", "body=0", "body=100000", "chunked=7;body=50", "trailers", "status=404", "slow=5000/s"]
            .iter()
            .enumerate()
    {
        let id = format!("id-{number}");
        let answer = ask(&mut client, &id, script).unwrap();
        let body = match *script {
            "body=0" => 0,
            "body=100000" => 100_000,
            "chunked=7;body=50" => 50,
            _ => 64,
        };
        assert_eq!(answer.headers.get(ID_HEADER), Some(id.as_str()), "{script}");
        assert!(answer.body == expected_body(&id, body), "{script}");
        assert_eq!(answer.trailers.get("x-trailer").is_some(), *script == "trailers");
        client.expect_quiet(Duration::from_millis(5)).unwrap();
    }
    until("all seven are noted", || {
        let done = |o: &Outcome| matches!(o, Outcome::Answered { .. });
        origin.log().exchanges().iter().filter(|e| done(&e.outcome)).count() == 7
    });
    let connections = origin.log().connections();
    assert_eq!(connections.len(), 1);
    let received = String::from_utf8(connections[0].received.clone()).unwrap();
    assert_eq!(received.matches("GET / HTTP/1.1\r\n").count(), 7);
}

#[test]
fn bodies_of_requests_are_digested_and_long_ones_elided() {
    let options = OriginOptions { log_body_bytes_max: 10, ..OriginOptions::default() };
    let origin = Origin::start_with(options).unwrap();
    let mut client = fresh(&origin);
    let body = expected_body("sent", 500_000);
    let answer = client.request("POST", "/", &[(ID_HEADER, "sent")], &body).unwrap();
    assert_eq!(answer.headers.get(BODY_DIGEST_HEADER), Some(BodyDigest::of(&body).as_str()));
    let chunked = b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n\
                    3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nt: v\r\n\r\n";
    client.send(chunked).unwrap();
    let answer = client.read_response().unwrap();
    assert_eq!(answer.headers.get(BODY_LENGTH_HEADER), Some("5"));
    assert_eq!(answer.headers.get(BODY_DIGEST_HEADER), Some(BodyDigest::of(b"abcde").as_str()));
    let connection = origin.log().connections().remove(0);
    assert!(connection.elided >= 400_000, "{}", connection.elided);
    let echo = client.request("POST", "/", &[("x-script", "echo")], &body).unwrap();
    assert!(echo.body == body);
}

#[test]
fn broken_answers_are_seen_as_what_they_are() {
    let origin = Origin::start().unwrap();
    let error = |script: &str| ask(&mut fresh(&origin), "x", script).unwrap_err();
    assert!(error("reset").is_silent_end());
    let cut = error("body=1000;cut-after=10");
    assert!(matches!(cut, ClientError::Ended { .. }), "{cut}");
    let reset = error("body=1000;reset-after=10");
    assert!(matches!(reset, ClientError::Io { .. }), "{reset}");
    assert!(matches!(error("garbage"), ClientError::Malformed(_)));
    let both = "raw=HTTP/1.1%20200%20OK%0d%0acontent-length:%205%0d%0atransfer-encoding:%20chunked\
                %0d%0a%0d%0a0%0d%0a%0d%0a";
    assert!(matches!(error(both), ClientError::Malformed(_)));
    for script in ["never", "body=100;stall-after=10"] {
        let mut client = fresh(&origin);
        client.set_patience(Duration::from_millis(150));
        assert!(ask(&mut client, "x", script).unwrap_err().is_timeout(), "{script}");
    }
    until("the reset is noted", || {
        origin.log().connections().iter().filter(|c| c.closed == Some(Closing::Reset)).count() == 2
    });
}

#[test]
fn connections_end_as_scripted() {
    let origin = Origin::start().unwrap();
    let mut client = fresh(&origin);
    assert!(!ask(&mut client, "a", "close").unwrap().keeps_alive());
    client.expect_closed(Duration::from_secs(2)).unwrap();
    let mut client = fresh(&origin);
    assert!(ask(&mut client, "b", "no-keepalive").unwrap().keeps_alive());
    client.expect_closed(Duration::from_secs(2)).unwrap();
    let mut client = fresh(&origin);
    let answer = ask(&mut client, "c", "until-close;body=500").unwrap();
    assert!(answer.body == expected_body("c", 500));
    let options =
        OriginOptions { idle: Some(Duration::from_millis(50)), ..OriginOptions::default() };
    let hasty = Origin::start_with(options).unwrap();
    let mut client = fresh(&hasty);
    ask(&mut client, "d", "").unwrap();
    client.expect_closed(Duration::from_secs(2)).unwrap();
}

#[test]
fn a_request_that_is_not_proper_is_refused_and_named() {
    let origin = Origin::start().unwrap();
    for (bytes, named) in [
        (
            &b"GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\
               transfer-encoding: chunked\r\n\r\n"[..],
            "together",
        ),
        (b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", "2 Host"),
        (b"GET  / HTTP/1.1\r\nhost: a\r\n\r\n", "start line"),
        (b"GET / HTTP/1.0\r\nhost: a\r\n\r\n", "start line"),
        (b"GET / HTTP/1.1\r\nhost : a\r\n\r\n", "no token"),
        (
            b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n\
                0x1\r\na\r\n0\r\n\r\n",
            "chunk size",
        ),
        (
            b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n\
                1\nab\r\n0\r\n\r\n",
            "bare",
        ),
    ] {
        let mut client = fresh(&origin);
        client.send(bytes).unwrap();
        assert_eq!(client.read_response().unwrap().status, 400);
        until(named, || origin.log().anomalies().iter().any(|a| a.contains(named)));
        origin.log().clear();
    }
    let answer = ask(&mut fresh(&origin), "x", "dealy=4").unwrap();
    assert!(answer.status == 400 && answer.text().contains("dealy=4"), "{}", answer.text());
}

#[test]
fn the_order_of_body_and_answer_can_be_turned_round() {
    let origin = Origin::start().unwrap();
    let mut client = fresh(&origin);
    let head = "POST / HTTP/1.1\r\nhost: a\r\nx-test-id: e\r\nx-script: early-response\r\n\
                content-length: 5\r\n\r\n";
    client.send(head).unwrap();
    assert!(client.read_response().unwrap().body == expected_body("e", 64));
    client.send("hello").unwrap();
    assert_eq!(ask(&mut client, "f", "").unwrap().status, 200);
    until("the late body is noted", || origin.log().with_id("e")[0].body_bytes == 5);

    let head = "POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n";
    client.send(head).unwrap();
    std::thread::sleep(Duration::from_millis(30));
    client.send("ok").unwrap();
    let answer = client.read_response().unwrap();
    assert_eq!(answer.interim.iter().map(|(s, _)| *s).collect::<Vec<_>>(), [100]);
    let answer = ask(&mut client, "g", "interim=103;interim=102").unwrap();
    assert_eq!(answer.interim.iter().map(|(s, _)| *s).collect::<Vec<_>>(), [103, 102]);
}

#[test]
fn heads_without_bodies() {
    let origin = Origin::start().unwrap();
    let mut client = fresh(&origin);
    let answer = client.request("HEAD", "/", &[("x-script", "body=77")], b"").unwrap();
    assert_eq!((answer.headers.get("content-length"), answer.body.len()), (Some("77"), 0));
    for status in ["204", "304"] {
        let answer = ask(&mut client, "x", &format!("status={status}")).unwrap();
        assert!(answer.body.is_empty());
        client.expect_quiet(Duration::from_millis(10)).unwrap();
    }
}

#[test]
fn events_and_upgrades() {
    let origin = Origin::start().unwrap();
    let mut client = fresh(&origin);
    let answer = ask(&mut client, "s", "sse=2:5").unwrap();
    assert_eq!(answer.text(), "id: 0\ndata: s 0\n\nid: 1\ndata: s 1\n\n");
    assert_eq!(ask(&mut client, "s", "ws-echo").unwrap().status, 426);
    let handshake = "GET / HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
                     sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                     x-script: ws-echo\r\n\r\n";
    client.send(handshake).unwrap();
    let answer = client.read_response().unwrap();
    // The key and its answer are those of RFC 6455, section 1.3.
    let accept = answer.headers.get("sec-websocket-accept");
    assert_eq!((answer.status, accept), (101, Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")));
    // A masked text frame "Hello" and its unmasked echo, both of RFC 6455, section 5.7.
    client.send(b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58").unwrap();
    assert_eq!(client.read_exact_bytes(7).unwrap(), b"\x81\x05Hello");

    let mut client = fresh(&origin);
    let switch = "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: tunnel\r\n\
                  x-script: upgrade-echo\r\n\r\nearly";
    client.send(switch).unwrap();
    assert_eq!(client.read_response().unwrap().status, 101);
    client.send(" and late").unwrap();
    assert_eq!(client.read_exact_bytes(14).unwrap(), b"early and late");
}

#[test]
fn scripts_by_path_and_pipelined_requests() {
    let origin = Origin::start().unwrap();
    origin.set_path("/teapot", Script::parse("status=418;body=1").unwrap());
    let mut client = fresh(&origin);
    let one =
        |path: &str, id: &str| format!("GET {path} HTTP/1.1\r\nhost: a\r\nx-test-id: {id}\r\n\r\n");
    client.send(one("/teapot?q", "a") + &one("/", "b")).unwrap();
    assert_eq!(client.read_response().unwrap().status, 418);
    assert!(client.read_response().unwrap().body == expected_body("b", 64));
    assert!(client.leftover().is_empty());
}

#[test]
fn a_client_sees_bytes_that_nobody_asked_for() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _): (TcpStream, _) = listener.accept().unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200").unwrap();
        stream
    });
    let mut client = RawClient::connect(addr).unwrap();
    assert_eq!(client.read_response().unwrap().body, b"ok");
    assert_eq!(client.leftover(), b"HTTP/1.1 200");
    assert!(client.expect_quiet(Duration::from_millis(10)).is_err());
    drop(server.join().unwrap());
}
