//! Bodies that come in pieces, break off, or are too many.

use std::io::{Read as _, Write as _};
use std::sync::Mutex;
use std::sync::mpsc::sync_channel;

use plimsoll_testkit::{ClientError, RawClient};

use super::origin::TextOrigin;
use super::{CHROMIUM, decoded, listing, plain, scene_with};
use crate::bodies::tools::{HandOrigin, SECOND, eventually, read_head};
use crate::scene::{Scene, open_manifest};

const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\n";

fn behind(origin: &HandOrigin, more: &str) -> Scene {
    Scene::start_on_one_node(|_| open_manifest(&origin.url(), "", "", more))
}

fn chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

/// The service sends a line only once the one before has been read at the other end: an encoder
/// that waits for a full buffer stops here for good.
#[test]
fn a_line_arrives_when_it_is_sent() {
    const LINES: usize = 20;
    for coding in ["gzip", "br", "zstd"] {
        let (seen, wait) = sync_channel::<()>(1);
        let wait = Mutex::new(wait);
        let origin = HandOrigin::start(move |mut stream| {
            read_head(&mut stream);
            write!(stream, "{HEAD}transfer-encoding: chunked\r\n\r\n").unwrap();
            for number in 0..LINES {
                if wait.lock().unwrap().recv_timeout(10 * SECOND).is_err() {
                    return;
                }
                stream.write_all(&chunk(format!("{{\"n\":{number}}}\n").as_bytes())).unwrap();
            }
            stream.write_all(b"0\r\n\r\n").unwrap();
        });
        let scene = behind(&origin, "");
        let mut client = scene.client();
        client
            .send(format!("GET / HTTP/1.1\r\nhost: a\r\naccept-encoding: {coding}\r\n\r\n"))
            .unwrap();
        let mut response = client.read_head_to("GET").unwrap();
        assert_eq!(response.headers.get("content-encoding"), Some(coding));
        seen.send(()).unwrap();
        let (mut come, mut lines) = (Vec::new(), 0);
        client
            .read_body(&mut response, &mut |piece| {
                come.extend_from_slice(piece);
                let now = readable(coding, &come).matches('\n').count();
                for _ in lines..now {
                    seen.try_send(()).ok();
                }
                lines = now;
                true
            })
            .unwrap_or_else(|e| panic!("{coding}: {e}; {lines} lines"));
        assert_eq!(lines, LINES, "{coding}");
    }
}

/// What a decoder makes of what has come so far.
fn readable(coding: &str, come: &[u8]) -> String {
    let mut decoder: Box<dyn std::io::Read> = match coding {
        "gzip" => Box::new(flate2::read::GzDecoder::new(come)),
        "br" => Box::new(brotli::Decompressor::new(come, 4096)),
        _ => Box::new(zstd::stream::read::Decoder::new(come).unwrap()),
    };
    let (mut text, mut piece) = (Vec::new(), [0; 4096]);
    while let Ok(n @ 1..) = decoder.read(&mut piece) {
        text.extend_from_slice(&piece[..n]);
    }
    String::from_utf8(text).unwrap()
}

/// An encoder that ends its stream in order would make a whole answer of a broken one.
#[test]
fn a_body_that_breaks_off_breaks_off_for_the_client() {
    for framing in ["transfer-encoding: chunked", "content-length: 100000"] {
        let origin = HandOrigin::start(move |mut stream| {
            read_head(&mut stream);
            let part = listing(40_000).into_bytes();
            let chunked = framing.starts_with("transfer");
            let part = if chunked { chunk(&part) } else { part };
            write!(stream, "{HEAD}{framing}\r\n\r\n").unwrap();
            stream.write_all(&part).unwrap();
        });
        let scene = behind(&origin, "");
        for coding in ["gzip", "br", "zstd"] {
            let fields = [("accept-encoding", coding)];
            let error = scene.client().get("/", &fields).unwrap_err();
            assert!(matches!(error, ClientError::Ended { .. }), "{framing} {coding}: {error}");
        }
        let cut = "plimsoll_upstream_errors_total{service=\"app\",kind=\"body\"}";
        eventually("they are counted", 3 * SECOND, || scene.edge.metric(cut).unwrap() == Some(3.0));
    }
}

#[test]
fn trailers_come_behind_a_compressed_body() {
    let text = listing(30_000);
    let body = text.clone();
    let origin = HandOrigin::start(move |mut stream| {
        read_head(&mut stream);
        write!(stream, "{HEAD}transfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n").unwrap();
        stream.write_all(&chunk(body.as_bytes())).unwrap();
        stream.write_all(b"0\r\nx-sum: 42\r\n\r\n").unwrap();
    });
    let scene = behind(&origin, "");
    let fields = [("accept-encoding", CHROMIUM), ("te", "trailers")];
    let answer = scene.ask("GET", "/", &fields);
    assert_eq!(decoded(&answer), text.as_bytes());
    assert_eq!(answer.trailers.get("x-sum"), Some("42"));
}

#[test]
fn an_answer_of_no_bytes_and_unknown_length_is_sound() {
    let origin = HandOrigin::start(move |mut stream| {
        read_head(&mut stream);
        write!(stream, "{HEAD}transfer-encoding: chunked\r\n\r\n0\r\n\r\n").unwrap();
    });
    let scene = behind(&origin, "");
    for coding in ["gzip", "br", "zstd"] {
        let answer = scene.ask("GET", "/", &[("accept-encoding", coding)]);
        assert_eq!((answer.status, decoded(&answer)), (200, Vec::new()), "{coding}");
    }
}

/// HTTP/1.0 knows no chunks: without a length its connection would have to end.
#[test]
fn a_client_of_http_1_0_gets_it_as_it_is() {
    let origin = TextOrigin::always("200 OK", "content-type: application/json\r\n", listing(5_000));
    let scene = super::scene(&origin);
    let mut client = scene.client();
    client.send("GET / HTTP/1.0\r\nhost: a\r\naccept-encoding: gzip\r\n\r\n").unwrap();
    let answer = client.read_response().unwrap();
    plain(&answer);
    assert_eq!(answer.body, listing(5_000).as_bytes());
}

/// `memory_max` is a bound: what does not fit goes as it is, and what ends makes room.
#[test]
fn what_finds_no_memory_goes_as_it_is() {
    let text = listing(400_000);
    let origin = TextOrigin::always("200 OK", "content-type: application/json\r\n", text.clone());
    let scene = scene_with(&origin, "[compression]\nmemory_max = \"4MiB\"\n");
    // Two of zstd fit; their readers read nothing.
    let whole = HandOrigin::start(|mut stream| {
        read_head(&mut stream);
        write!(stream, "{HEAD}transfer-encoding: chunked\r\n\r\n").unwrap();
        stream.write_all(&chunk(b"{}\n")).unwrap();
        // Until the other side leaves.
        crate::bodies::tools::drain(&mut stream);
    });
    let held = behind(&whole, "[compression]\nmemory_max = \"4MiB\"\n");
    let ask = || -> (RawClient, Option<String>) {
        let mut client = held.client();
        client.send("GET / HTTP/1.1\r\nhost: a\r\naccept-encoding: zstd\r\n\r\n").unwrap();
        let head = client.read_head_to("GET").unwrap();
        (client, head.headers.get("content-encoding").map(str::to_owned))
    };
    let (first, second, third) = (ask(), ask(), ask());
    let zstd = Some("zstd".to_owned());
    assert_eq!([&first.1, &second.1, &third.1], [&zstd, &zstd, &None]);
    let skipped = "plimsoll_compression_skipped_total";
    eventually("it is counted", 3 * SECOND, || held.edge.metric(skipped).unwrap() == Some(1.0));
    drop(first);
    eventually("what ends makes room", 5 * SECOND, || ask().1 == zstd);
    drop((second, third));
    // One after the other there is always room.
    for _ in 0..10 {
        let answer = scene.ask("GET", "/", &[("accept-encoding", "zstd")]);
        assert_eq!(decoded(&answer), text.as_bytes());
    }
}
