//! Every shape an answer or a request can have: framings, bodiless answers, trailers, HTTP/1.0,
//! pipelines, and answers that break off.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use plimsoll_testkit::{BodyDigest, ClientError, RawResponse, expected_body};

use super::tools::{SECOND, Watch};
use crate::scene::{Scene, open_manifest};

fn scripted(scene: &Scene, id: &str, script: &str) -> RawResponse {
    scene.ask("GET", "/x", &[("x-test-id", id), ("x-script", script)])
}

#[test]
fn an_answer_is_whole_in_every_framing() {
    let scene = Scene::open("", "", "");
    let scripts = [
        "body=0",
        "body=1",
        "body=70000",
        "body=0;chunked",
        "body=7000;chunked=1",
        "body=300000;chunked=100000",
        "body=70000;until-close",
        "body=0;until-close",
        "body=500;close",
        "body=500;no-keepalive",
        "body=9000;slow=90000/s",
        "body=100;interim=103",
        "body=100;status=404",
        "body=100;status=599",
    ];
    for (number, script) in scripts.iter().enumerate() {
        let id = format!("framing-{number:03}");
        let length = script[5..].split(';').next().unwrap().parse().unwrap();
        let answer = scripted(&scene, &id, script);
        assert_eq!(answer.headers.get("x-test-id"), Some(&*id), "{script}");
        assert!(answer.body == expected_body(&id, length), "{script}: {}", answer.body.len());
    }
}

#[test]
fn answers_without_a_body_leave_the_connection_in_order() {
    let scene = Scene::open("", "", "");
    let mut client = scene.client();
    let cases = [
        ("HEAD", "body=5000", 200, Some("5000")),
        ("HEAD", "body=5000;chunked", 200, None),
        ("HEAD", "body=50;until-close", 200, None),
        ("GET", "status=204", 204, None),
        ("GET", "status=304;header=ETag:%22a%22", 304, None),
        ("DELETE", "status=204", 204, None),
        ("HEAD", "status=404;body=7", 404, Some("7")),
        ("GET", "status=205;body=0", 205, Some("0")),
    ];
    for (number, (method, script, status, length)) in cases.into_iter().enumerate() {
        let id = format!("bodiless-{number:02}");
        let fields = [("x-test-id", id.as_str()), ("x-script", script)];
        let answer = client.request(method, "/x", &fields, b"").unwrap();
        let what = format!("{method} {script}");
        assert_eq!(
            (answer.status, answer.headers.get("content-length")),
            (status, length),
            "{what}"
        );
        assert_eq!((answer.headers.get("x-test-id"), answer.body.len()), (Some(&*id), 0), "{what}");
        // The next answer proves that not a byte too many stands between the two.
        let next = client.get("/x", &[("x-test-id", "next-one")]).unwrap();
        assert_eq!(next.body, expected_body("next-one", 64), "{what}");
    }
}

#[test]
fn a_not_modified_keeps_what_the_client_revalidates_with() {
    let scene = Scene::open("", "", "");
    let script = "status=304;header=ETag:%22v1%22;header=Cache-Control:max-age=60";
    let answer = scripted(&scene, "not-modified", script);
    assert_eq!((answer.status, answer.body.len()), (304, 0));
    assert_eq!(answer.headers.get("etag"), Some("\"v1\""));
    assert_eq!(answer.headers.get("cache-control"), Some("max-age=60"));
}

#[test]
fn a_connection_to_the_service_is_used_again_whatever_the_framing() {
    for script in ["body=700", "body=700;chunked", "body=0;chunked", "body=700;trailers", "body=0"]
    {
        let scene = Scene::open("", "", "");
        let mut client = scene.client();
        for _ in 0..6 {
            let answer = client.get("/x", &[("x-script", script)]).unwrap();
            assert_eq!(answer.status, 200);
        }
        for body in [&b""[..], b"hello"] {
            let answer = client.request("POST", "/x", &[("x-script", script)], body).unwrap();
            assert_eq!(answer.status, 200);
        }
        client.send(format!(
            "PUT /x HTTP/1.1\r\nhost: a\r\nx-script: {script}\r\ntransfer-encoding: chunked\r\n\r\n\
             5\r\nhello\r\n0\r\n\r\n"
        ))
        .unwrap();
        assert_eq!(client.read_response().unwrap().status, 200);
        assert_eq!(client.get("/x", &[]).unwrap().status, 200);
        assert_eq!(scene.origin.log().connections().len(), 1, "{script}");
    }
}

/// An answer that broke off must never look complete.
#[test]
fn an_answer_that_breaks_off_is_cut_and_not_completed() {
    let scene = Scene::open("", "", "");
    for script in [
        "body=100000;cut-after=5000",
        "body=100000;reset-after=5000",
        "body=100000;chunked;cut-after=40000",
        "body=100000;chunked;reset-after=40000",
        "body=100000;until-close;reset-after=5000",
    ] {
        let watch = Watch::start();
        let mut client = scene.client();
        let error = client.get("/x", &[("x-script", script)]).unwrap_err();
        let broken = matches!(error, ClientError::Ended { .. } | ClientError::Io { .. });
        assert!(broken, "{script}: {error}");
        assert!(watch.read() < 3 * SECOND, "{script}: {:?}", watch.read());
    }
    assert_eq!(scene.ask("GET", "/x", &[]).status, 200);
}

#[test]
fn trailers_never_disturb_and_never_carry_an_identity() {
    let scene = Scene::open("", "", "");
    let mut client = scene.client();
    for _ in 0..2 {
        let fields = [
            ("x-test-id", "with-trailers"),
            ("te", "trailers"),
            ("x-script", "body=9000;trailers"),
        ];
        let answer = client.get("/x", &fields).unwrap();
        assert_eq!(answer.body, expected_body("with-trailers", 9000));
    }
    client
        .send(
            "PUT /x HTTP/1.1\r\nhost: a\r\nx-test-id: trailed\r\ntrailer: x-user-id, x-sum\r\n\
             transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-sum: 1\r\nX-User-Id: root\r\n\
             plimsoll-subject: root\r\ncontent-length: 3\r\n\r\n",
        )
        .unwrap();
    let answer = client.read_response().unwrap();
    assert_eq!(answer.headers.get("x-body-digest"), Some(&*BodyDigest::of(b"hello")));
    for connection in scene.origin.log().connections() {
        let bytes = String::from_utf8_lossy(&connection.received).to_ascii_lowercase();
        assert!(!bytes.contains("x-user-id: root") && !bytes.contains("plimsoll-subject: root"));
        assert!(!bytes.contains("content-length: 3"), "{bytes}");
    }
    assert_eq!(client.get("/x", &[]).unwrap().status, 200);
}

/// Sends a request of HTTP/1.0 and reads to the end: head and body.
fn ask_1_0(scene: &Scene, request: &str) -> (String, Vec<u8>) {
    let mut stream = TcpStream::connect(scene.edge.addr()).unwrap();
    stream.set_read_timeout(Some(5 * SECOND)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap_or_else(|e| panic!("not closed: {e}: {request}"));
    let end = all.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    let body = all.split_off(end);
    (String::from_utf8(all).unwrap().to_ascii_lowercase(), body)
}

#[test]
fn a_client_of_http_1_0_gets_no_chunks_and_an_end() {
    let scene = Scene::open("", "", "");
    for script in ["body=3000", "body=3000;chunked", "body=3000;until-close"] {
        let (head, body) = ask_1_0(
            &scene,
            &format!("GET /x HTTP/1.0\r\nhost: a\r\nx-test-id: old\r\nx-script: {script}\r\n\r\n"),
        );
        assert!(head.starts_with("http/1.0 200 ") || head.starts_with("http/1.1 200 "), "{head}");
        assert!(!head.contains("transfer-encoding"), "{head}");
        assert!(body == expected_body("old", 3000), "{script}: {head} {}", body.len());
    }
    // Only HTTP/1.0 may leave Host out; towards the service the edge speaks HTTP/1.1 and may not.
    let (head, body) = ask_1_0(&scene, "GET /x HTTP/1.0\r\nx-test-id: hostless\r\n\r\n");
    assert!(head.contains(" 200 "), "{head}{}", String::from_utf8_lossy(&body));
    assert_eq!(scene.origin.log().anomalies(), Vec::<String>::new());
    let (_, body) = ask_1_0(&scene, "POST /x HTTP/1.0\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi");
    assert_eq!(body.len(), 64);
    // A body that says no length cannot be told from the next request: in 1.0 there is no such.
    let (head, _) = ask_1_0(
        &scene,
        "POST /x HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    );
    assert!(head.contains(" 400 "), "{head}");
}

#[test]
fn http_1_0_with_keep_alive_carries_two_requests() {
    let scene = Scene::open("", "", "");
    let mut stream = TcpStream::connect(scene.edge.addr()).unwrap();
    stream.set_read_timeout(Some(5 * SECOND)).unwrap();
    let ask = "GET /x HTTP/1.0\r\nhost: a\r\nconnection: keep-alive\r\nx-script: body=5\r\n\r\n";
    for _ in 0..2 {
        stream.write_all(ask.as_bytes()).unwrap();
        let (head, mut body) = super::tools::read_head(&mut stream);
        while body.len() < 5 {
            let mut piece = [0; 64];
            let n = stream.read(&mut piece).unwrap();
            assert!(n > 0, "{head}");
            body.extend_from_slice(&piece[..n]);
        }
        assert!(head.to_ascii_lowercase().contains("connection: keep-alive"), "{head}");
        assert_eq!(body.len(), 5);
    }
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    const COUNT: usize = 60;
    let scene = Scene::open("", "", "");
    let mut bytes = String::new();
    for n in 0..COUNT {
        let (delay, body) = ((n % 3) * 10, "b".repeat(n * 7));
        let (method, body) = if n % 2 == 0 { ("GET", "") } else { ("POST", body.as_str()) };
        bytes.push_str(&format!(
            "{method} /x HTTP/1.1\r\nhost: a\r\nx-test-id: pipe-{n}\r\n\
             x-script: delay={delay};body={}\r\ncontent-length: {}\r\n\r\n{body}",
            n * 31,
            body.len()
        ));
    }
    let mut client = scene.client();
    client.send(bytes).unwrap();
    for n in 0..COUNT {
        let id = format!("pipe-{n}");
        let answer = client.read_response().unwrap();
        assert_eq!(answer.headers.get("x-test-id"), Some(&*id));
        assert_eq!(answer.body, expected_body(&id, n * 31));
    }
    let seen: Vec<_> = scene.origin.log().exchanges().into_iter().filter_map(|e| e.id).collect();
    assert_eq!(seen, (0..COUNT).map(|n| format!("pipe-{n}")).collect::<Vec<_>>());
}

/// Interim answers of the service are its own; what counts is that they are never taken for the
/// final one, and that a broken one is not.
#[test]
fn interim_answers_are_not_taken_for_the_answer() {
    let scene = Scene::start(|origin| open_manifest(origin, "", "", ""));
    let answer = scripted(&scene, "interim", "interim=102;interim=103;body=70;delay=50");
    assert_eq!((answer.status, answer.body), (200, expected_body("interim", 70)));
    let fields = [("x-test-id", "continued"), ("x-script", "100-continue;body=70")];
    let answer = scene.client().request("POST", "/x", &fields, b"hello").unwrap();
    assert_eq!((answer.status, answer.body), (200, expected_body("continued", 70)));
}
