//! What a peer answers, and how much of it we take.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::Method;
use plimsoll_outbound::{
    Call, CallOptions, FetchOptions, Fetched, Outbound, OutboundError, OutboundOptions, Phase, Post,
};

use crate::peer::{PATIENT, Peer, Wire, run};

fn fetch(peer: &Peer, options: FetchOptions) -> Result<Fetched, OutboundError> {
    let outbound = Outbound::new(OutboundOptions::default()).unwrap();
    run(outbound.fetch(&format!("http://{}/keys?a=b", peer.address), options))
}

#[test]
fn an_answer_comes_back_with_its_type() {
    let peer = Peer::answering(
        "HTTP/1.1 200 OK\r\nContent-Type: application/jwk-set+json\r\nContent-Length: 2\r\n\r\n{}",
    );
    let fetched = fetch(&peer, PATIENT).unwrap();
    assert_eq!(fetched.status, 200);
    assert_eq!(fetched.content_type.as_deref(), Some("application/jwk-set+json"));
    assert_eq!(&fetched.body[..], b"{}");
    let head = peer.requests().remove(0);
    assert!(head.starts_with("GET /keys?a=b HTTP/1.1\r\n"), "{head}");
    for line in ["connection: close", "accept: application/json", "accept-encoding: identity"] {
        assert!(head.contains(line), "{head}");
    }
    assert!(head.contains(&format!("host: {}\r\n", peer.address)), "{head}");
}

#[test]
fn a_post_carries_its_fields_and_body() {
    let peer = Peer::scripted(|wire| {
        let mut body = [0; 5];
        wire.read_exact(&mut body).unwrap();
        assert_eq!(&body, b"spans");
        let answer = "HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n";
        wire.write_all(answer.as_bytes()).unwrap();
    });
    let outbound = Outbound::new(OutboundOptions::default()).unwrap();
    let url = format!("http://{}/v1/traces", peer.address);
    let post = Post {
        content_type: "application/x-protobuf",
        content_encoding: Some("gzip"),
        headers: vec![("api-key".into(), "hunter2".into())],
        body: "spans".into(),
    };
    let fetched = run(outbound.post(&url, &post, PATIENT)).unwrap();
    assert_eq!(fetched.status, 503);
    assert_eq!(fetched.retry_after, Some(Duration::from_secs(7)));
    let head = peer.requests().remove(0);
    assert!(head.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{head}");
    for line in [
        "api-key: hunter2",
        "content-type: application/x-protobuf",
        "content-encoding: gzip",
        "content-length: 5",
    ] {
        assert!(head.contains(line), "{head}");
    }
    assert!(!format!("{post:?}").contains("hunter2"));
    let bad = Post { headers: vec![("api-key".into(), "hunter2\r\nx: y".into())], ..post };
    let error = run(outbound.post(&url, &bad, PATIENT)).unwrap_err().to_string();
    assert!(error.contains("field 1") && !error.contains("hunter2"), "{error}");
}

#[test]
fn each_call_has_a_connection_of_its_own() {
    let peer = Peer::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
    let outbound = Outbound::new(OutboundOptions::default()).unwrap();
    let url = format!("http://{}/", peer.address);
    run(async {
        for _ in 0..3 {
            outbound.fetch(&url, PATIENT).await.unwrap();
        }
    });
    assert_eq!(peer.connections(), 3);
}

#[test]
fn a_refusal_is_an_answer() {
    let peer = Peer::answering("HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone");
    let fetched = fetch(&peer, PATIENT).unwrap();
    assert_eq!((fetched.status.as_u16(), &fetched.body[..]), (404, &b"none"[..]));
}

#[test]
fn a_redirect_is_never_followed() {
    let elsewhere = Peer::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    for status in [301, 302, 303, 307, 308] {
        let location = format!("http://{}/secret-path", elsewhere.address);
        let peer = Peer::answering(format!(
            "HTTP/1.1 {status} Moved\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
        ));
        let error = fetch(&peer, PATIENT).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, OutboundError::Redirect { .. }), "{text}");
        assert!(text.contains("final URL") && !text.contains("secret-path"), "{text}");
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[test]
fn no_more_than_the_cap_is_read() {
    let exact = format!("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{}", "x".repeat(1_000));
    assert_eq!(fetch(&Peer::answering(exact), PATIENT).unwrap().body.len(), 1_000);

    // Announced too large: refused at the head, without waiting for a body that never comes.
    let announced = Peer::scripted(|wire| {
        let _gone = wire.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n");
        let _wait = wire.read(&mut [0]);
    });
    let error = fetch(&announced, PATIENT).unwrap_err();
    assert!(matches!(error, OutboundError::TooLarge { bytes_max: 1_000, .. }), "{error}");

    // Chunked without end: the peer sees us hang up.
    let hung_up = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&hung_up);
    let endless = Peer::scripted(move |wire: &mut dyn Wire| {
        let _gone = wire.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        for _ in 0..1_000_000 {
            if wire.write_all(b"64\r\n").and_then(|()| wire.write_all(&[b'x'; 100])).is_err() {
                flag.store(true, Ordering::SeqCst);
                return;
            }
            let _gone = wire.write_all(b"\r\n");
        }
    });
    let error = fetch(&endless, PATIENT).unwrap_err();
    assert!(matches!(error, OutboundError::TooLarge { .. }), "{error}");
    drop(endless);
    assert!(hung_up.load(Ordering::SeqCst));
}

#[test]
fn a_body_without_length_ends_with_the_connection() {
    let peer = Peer::answering("HTTP/1.1 200 OK\r\n\r\nuntil the end");
    assert_eq!(&fetch(&peer, PATIENT).unwrap().body[..], b"until the end");
    let cut = Peer::answering("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\ncut short");
    assert!(matches!(fetch(&cut, PATIENT).unwrap_err(), OutboundError::Http { .. }));
}

#[test]
fn the_deadline_is_total() {
    let hasty = FetchOptions { deadline: Duration::from_millis(300), ..PATIENT };
    let silent = Peer::scripted(|wire| {
        let _wait = wire.read(&mut [0]);
    });
    let error = fetch(&silent, hasty).unwrap_err();
    assert!(matches!(error, OutboundError::Deadline { phase: Phase::Answer, .. }), "{error}");

    // A byte now and then must not keep the call alive.
    let dripping = Peer::scripted(|wire| {
        let _gone = wire.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n");
        while wire.write_all(b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let error = fetch(&dripping, hasty).unwrap_err();
    assert!(matches!(error, OutboundError::Deadline { phase: Phase::Body, .. }), "{error}");
    assert!(error.to_string().contains("reading the body"), "{error}");
}

#[test]
fn a_compressed_or_broken_answer_is_a_fault() {
    let compressed = Peer::answering(
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n\x1f\x08",
    );
    assert!(matches!(fetch(&compressed, PATIENT).unwrap_err(), OutboundError::Encoded { .. }));
    let plain = Peer::answering(
        "HTTP/1.1 200 OK\r\nContent-Encoding: identity\r\nContent-Length: 2\r\n\r\n{}",
    );
    assert!(fetch(&plain, PATIENT).is_ok());
    let garbage = Peer::answering("SSH-2.0-OpenSSH_9.2\r\n");
    assert!(matches!(fetch(&garbage, PATIENT).unwrap_err(), OutboundError::Http { .. }));
    let many = (0..100).map(|n| format!("X-{n}: y\r\n")).collect::<String>();
    let many = Peer::answering(format!("HTTP/1.1 200 OK\r\n{many}Content-Length: 0\r\n\r\n"));
    assert!(matches!(fetch(&many, PATIENT).unwrap_err(), OutboundError::Http { .. }));
    let vast = format!("HTTP/1.1 200 OK\r\nX: {}\r\nContent-Length: 0\r\n\r\n", "y".repeat(99_999));
    assert!(matches!(
        fetch(&Peer::answering(vast), PATIENT).unwrap_err(),
        OutboundError::Http { .. }
    ));
}

#[test]
fn calls_at_once_are_bounded_and_waiting_counts() {
    let silent = Peer::scripted(|wire| {
        let _wait = wire.read(&mut [0]);
    });
    let outbound = Outbound::new(OutboundOptions::default()).unwrap();
    let url = format!("http://{}/", silent.address);
    // The last six give up first, while the others still hold every place.
    let errors = run(futures_util::future::join_all((0..70).map(|n| {
        let deadline = Duration::from_millis(if n < 64 { 1_000 } else { 200 });
        let options = FetchOptions { deadline, ..PATIENT };
        let call = outbound.fetch(&url, options);
        async { call.await.unwrap_err() }
    })));
    let queued =
        |e: &&OutboundError| matches!(e, OutboundError::Deadline { phase: Phase::Queue, .. });
    assert_eq!(errors.iter().filter(queued).count(), 6);
}

#[test]
fn any_call_is_sent_and_its_answer_handed_over_as_it_came() {
    let peer = Peer::scripted(|wire| {
        let mut body = [0; 2];
        wire.read_exact(&mut body).unwrap();
        assert_eq!(&body, b"{}");
        let answer = "HTTP/1.1 303 See Other\r\nLocation: /elsewhere\r\nSet-Cookie: a=1\r\n\
                      Set-Cookie: b=2\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nxyz";
        wire.write_all(answer.as_bytes()).unwrap();
    });
    let outbound = Outbound::new(OutboundOptions::default()).unwrap();
    let url = format!("http://{}/orders?a=b", peer.address);
    let two = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let call = Call {
        method: Method::PATCH,
        headers: vec![two("X-One", "1"), two("X-One", "2"), two("Accept", "text/plain")],
        body: "{}".into(),
    };
    let options = CallOptions { deadline: PATIENT.deadline, bytes_max: 3, allow_private: true };
    let answer = run(outbound.send(&url, &call, options)).unwrap();
    assert_eq!((answer.status.as_u16(), &answer.body[..]), (303, &b"xyz"[..]));
    assert_eq!(answer.headers["location"], "/elsewhere");
    assert_eq!(answer.headers.get_all("set-cookie").iter().count(), 2);
    let head = peer.requests().remove(0);
    assert!(head.starts_with("PATCH /orders?a=b HTTP/1.1\r\n"), "{head}");
    for line in ["x-one: 1\r\n", "x-one: 2\r\n", "accept: text/plain\r\n", "user-agent: plimsoll/"]
    {
        assert!(head.contains(line), "{head}");
    }
    let small = CallOptions { bytes_max: 2, ..options };
    let error = run(outbound.send(&url, &call, small)).unwrap_err();
    assert!(matches!(error, OutboundError::TooLarge { .. }), "{error}");
    assert!(!format!("{call:?}").contains("text/plain"), "{call:?}");
}

#[test]
fn the_framing_of_a_call_is_nobody_elses_word() {
    let outbound = Outbound::new(OutboundOptions::default()).unwrap();
    let options = CallOptions { deadline: PATIENT.deadline, bytes_max: 1, allow_private: true };
    for (name, value) in [("Content-Length", "7"), ("transfer-encoding", "chunked"), ("a b", "c")] {
        let headers = vec![("x".to_owned(), "y".to_owned()), (name.to_owned(), value.to_owned())];
        let call = Call { headers, ..Call::default() };
        let error = run(outbound.send("http://127.0.0.1:9/", &call, options)).unwrap_err();
        assert!(matches!(error, OutboundError::Header { index: 2 }), "{error}");
    }
}
