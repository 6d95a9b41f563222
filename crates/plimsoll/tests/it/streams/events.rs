//! Server-sent events and long poll: each piece at once, for as long as it takes.

use std::io::Write as _;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use plimsoll_testkit::{Outcome, RawClient, RawResponse};

use super::{PASSTHROUGH, scene};
use crate::bodies::tools::{HandOrigin, SECOND, Watch, eventually, gauge_settles, read_head};
use crate::scene::{Scene, open_manifest};

fn open(scene: &Scene, path: &str, fields: &str) -> (RawClient, RawResponse) {
    let mut client = scene.client();
    let head =
        format!("GET {path} HTTP/1.1\r\nhost: a\r\naccept: text/event-stream\r\n{fields}\r\n");
    client.send(head).unwrap();
    let response = client.read_head_to("GET").unwrap();
    assert_eq!(response.headers.get("content-type"), Some("text/event-stream"));
    (client, response)
}

/// The service sends an event only once the one before has been read at the other end: a proxy that
/// holds anything back stops here for good.
#[test]
fn an_event_arrives_when_it_is_sent() {
    const EVENTS: usize = 20;
    for framing in ["transfer-encoding: chunked", "connection: close"] {
        let chunked = framing.ends_with("chunked");
        let (seen, wait) = sync_channel::<()>(1);
        let wait = std::sync::Mutex::new(wait);
        let origin = HandOrigin::start(move |mut stream| {
            read_head(&mut stream);
            let head =
                format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n{framing}\r\n\r\n");
            stream.write_all(head.as_bytes()).unwrap();
            for number in 0..EVENTS {
                // The head, too, must be there before the first event is.
                if wait.lock().unwrap().recv_timeout(10 * SECOND).is_err() {
                    return;
                }
                let event = format!("id: {number}\n\n");
                let piece = match chunked {
                    true => format!("{:x}\r\n{event}\r\n", event.len()),
                    false => event,
                };
                stream.write_all(piece.as_bytes()).unwrap();
            }
            if chunked {
                stream.write_all(b"0\r\n\r\n").unwrap();
            }
        });
        let scene = Scene::start(|_| open_manifest(&origin.url(), "", "", PASSTHROUGH));
        let (mut client, mut response) = open(&scene, "/events", "");
        seen.send(()).unwrap();
        let mut text = String::new();
        client
            .read_body(&mut response, &mut |piece| {
                let before = text.matches("\n\n").count();
                text.push_str(std::str::from_utf8(piece).unwrap());
                for _ in before..text.matches("\n\n").count() {
                    // The last event has nobody waiting behind it.
                    seen.try_send(()).ok();
                }
                true
            })
            .unwrap_or_else(|e| panic!("{framing}: {e}; so far {text:?}"));
        let expected: String = (0..EVENTS).map(|n| format!("id: {n}\n\n")).collect();
        assert_eq!(text, expected);
    }
}

#[test]
fn a_stream_of_events_outlives_the_total_deadline_wherever_it_is() {
    let scene = scene();
    for (path, id) in [("/events", "declared"), ("/elsewhere", "by-its-type")] {
        let watch = Watch::start();
        let fields = format!("x-test-id: {id}\r\nx-script: sse=8:200\r\n");
        let (mut client, mut response) = open(&scene, path, &fields);
        let mut text = String::new();
        client
            .read_body(&mut response, &mut |piece| {
                text.push_str(std::str::from_utf8(piece).unwrap());
                true
            })
            .unwrap_or_else(|e| panic!("{path}: {e}"));
        assert_eq!(text.matches(&format!("data: {id} ")).count(), 8, "{text}");
        assert!(watch.read() > Duration::from_millis(1_400), "{:?}", watch.read());
    }
}

#[test]
fn a_client_that_leaves_a_stream_frees_the_service() {
    let scene = scene();
    // Busy and silent streams alike: one finds out when it writes, the other must be told.
    for (id, script) in [("busy", "sse=1000:20"), ("silent", "sse=2:600000")] {
        let fields = format!("x-test-id: {id}\r\nx-script: {script}\r\n");
        let (client, _response) = open(&scene, "/events", &fields);
        drop(client);
        if id == "busy" {
            eventually("the service is freed", 3 * SECOND, || {
                scene.origin.log().with_id(id)[0].outcome == Outcome::Broken
            });
        } else {
            gauge_settles(&scene.edge, "plimsoll_requests_in_flight", 0.0, 3 * SECOND);
        }
    }
}

/// The silent stream again, with an origin that notices: the end must reach it.
#[test]
fn a_silent_stream_is_closed_towards_the_service_too() {
    let (ended, wait) = sync_channel::<u64>(1);
    let origin = HandOrigin::start(move |mut stream| {
        read_head(&mut stream);
        let head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
                     transfer-encoding: chunked\r\n\r\n";
        stream.write_all(head).unwrap();
        ended.send(crate::bodies::tools::drain(&mut stream)).unwrap();
    });
    let scene = Scene::start(|_| open_manifest(&origin.url(), "", "", PASSTHROUGH));
    let (client, _response) = open(&scene, "/events", "");
    assert!(wait.recv_timeout(Duration::from_millis(300)).is_err(), "open while the client is");
    drop(client);
    assert_eq!(wait.recv_timeout(3 * SECOND), Ok(0));
}

#[test]
fn a_long_poll_is_waited_for_and_freed_when_the_client_leaves() {
    let scene = scene();
    let watch = Watch::start();
    let fields = [("x-script", "delay=1500;body=10")];
    let answer = scene.ask("GET", "/events/poll", &fields);
    assert_eq!((answer.status, answer.body.len()), (200, 10));
    assert!(watch.read() >= Duration::from_millis(1_500), "longer than the total of the rest");
    let ordinary = scene.ask("GET", "/elsewhere", &fields);
    assert_eq!(ordinary.status, 504);

    let mut client = scene.client();
    client
        .send("GET /events/poll HTTP/1.1\r\nhost: a\r\nx-test-id: poll\r\nx-script: never\r\n\r\n")
        .unwrap();
    eventually("the poll reaches the service", 2 * SECOND, || {
        !scene.origin.log().with_id("poll").is_empty()
    });
    drop(client);
    eventually("the poll is let go", 3 * SECOND, || scene.origin.log().connections_open() <= 1);
    let connection = scene.origin.log().with_id("poll")[0].connection;
    eventually("its connection is closed", 3 * SECOND, || {
        scene.origin.log().connections().iter().any(|c| c.id == connection && c.closed.is_some())
    });
}
