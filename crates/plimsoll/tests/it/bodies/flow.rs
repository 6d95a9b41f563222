//! Who is slow holds the other back, and who leaves frees what was held for them.

use std::io::Write as _;
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use plimsoll_testkit::{BodyDigest, Outcome, RawClient, expected_body};

use super::tools::{
    HandOrigin, SECOND, drain, eventually, gauge_settles, narrow_stream, pour, read_head, settled,
};
use crate::scene::{Scene, open_manifest};

const TOTAL: u64 = 192 << 20;

/// What may be on its way while the receiver reads nothing, in bytes: the kernel's buffers of two
/// connections (they grow to some megabytes each) and a little of the edge's own.
const UNDERWAY_MAX: u64 = 64 << 20;

/// What the edge itself may grow by, in bytes; the allocator takes some megabytes at a time.
const GROWTH_MAX: u64 = 16 << 20;

const PATIENT: &str = "[service.timeouts]\ntotal = \"2m\"\nfirst_byte = \"2m\"\n";

fn scene_before(origin: &HandOrigin) -> (Scene, u64) {
    let scene =
        Scene::start(|_| open_manifest(&origin.url(), "body_bytes_max = \"1GiB\"", PATIENT, ""));
    let idle = scene.edge.facts().rss_bytes().unwrap();
    (scene, idle)
}

#[track_caller]
fn held_back(what: &str, scene: &Scene, idle: u64, taken: u64) {
    let growth = scene.edge.facts().rss_peak_bytes().unwrap().saturating_sub(idle);
    println!("{what}: {} KiB on the way, edge grown by {} KiB", taken >> 10, growth >> 10);
    assert!(taken > 0 && taken < UNDERWAY_MAX, "{what}: {taken} bytes were taken");
    assert!(growth < GROWTH_MAX, "{what}: the edge grew by {growth} bytes");
}

#[test]
fn a_client_that_does_not_read_holds_the_service_back() {
    let taken = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&taken);
    let origin = HandOrigin::start(move |mut stream| {
        read_head(&mut stream);
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {TOTAL}\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        pour(&mut stream, TOTAL, &count);
    });
    let (scene, idle) = scene_before(&origin);
    let mut client = RawClient::over(narrow_stream(scene.edge.addr()));
    client.set_patience(60 * SECOND);
    client.send("GET /x HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    let mut response = client.read_head_to("GET").unwrap();
    let underway = settled(&taken, SECOND);
    held_back("download", &scene, idle, underway);
    // It was held back, not broken: all of it comes once the client reads.
    let mut received = 0;
    client
        .read_body(&mut response, &mut |piece| {
            received += piece.len() as u64;
            true
        })
        .unwrap();
    assert_eq!(received, TOTAL);
}

#[test]
fn a_service_that_does_not_read_holds_the_client_back() {
    let (go, wait) = sync_channel::<()>(1);
    let wait = std::sync::Mutex::new(wait);
    let origin = HandOrigin::start(move |mut stream| {
        let (_, early) = read_head(&mut stream);
        wait.lock().unwrap().recv().unwrap();
        let mut left = TOTAL - early.len() as u64;
        let mut piece = vec![0; 64 * 1024];
        while left > 0 {
            match std::io::Read::read(&mut stream, &mut piece) {
                Ok(n @ 1..) => left -= n as u64,
                _ => return,
            }
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nread").unwrap();
    });
    let (scene, idle) = scene_before(&origin);
    let mut client = scene.client();
    client.set_patience(60 * SECOND);
    client.send(format!("PUT /x HTTP/1.1\r\nhost: a\r\ncontent-length: {TOTAL}\r\n\r\n")).unwrap();
    let taken = Arc::new(AtomicU64::new(0));
    let (mut stream, count) = (client.stream().try_clone().unwrap(), Arc::clone(&taken));
    let writer = std::thread::spawn(move || pour(&mut stream, TOTAL, &count));
    let underway = settled(&taken, SECOND);
    held_back("upload", &scene, idle, underway);
    go.send(()).unwrap();
    assert_eq!(client.read_response().unwrap().text(), "read");
    writer.join().unwrap();
    assert_eq!(taken.load(Ordering::Relaxed), TOTAL);
}

/// The service's connection of the request `id` is let go, and the request is over.
#[track_caller]
fn freed(scene: &Scene, id: &str, outcome: &Outcome) {
    eventually("the service's connection is let go", 2 * SECOND, || {
        scene.origin.log().connections_open() == 0
    });
    let seen = scene.origin.log().with_id(id);
    assert_eq!((seen.len(), &seen[0].outcome), (1, outcome), "{id}");
    gauge_settles(&scene.edge, "plimsoll_requests_in_flight", 0.0, 3 * SECOND);
}

fn reached(scene: &Scene, id: &str) {
    eventually("the request reaches the service", 2 * SECOND, || {
        !scene.origin.log().with_id(id).is_empty()
    });
}

#[test]
fn a_client_that_leaves_in_the_middle_of_its_upload_frees_the_service() {
    let scene = Scene::open("", "", "");
    for (id, framing) in [("cl", "content-length: 100000"), ("te", "transfer-encoding: chunked")] {
        let mut client = scene.client();
        let head = format!("PUT /x HTTP/1.1\r\nhost: a\r\nx-test-id: {id}\r\n{framing}\r\n\r\n");
        client.send(head).unwrap();
        client.send("5\r\nhello\r\n").unwrap();
        reached(&scene, id);
        drop(client);
        freed(&scene, id, &Outcome::Broken);
        assert_eq!(scene.origin.log().with_id(id)[0].body_digest, None);
    }
}

#[test]
fn a_client_that_leaves_in_the_middle_of_its_download_frees_the_service() {
    let scene = Scene::open("", PATIENT, "");
    let cases = [
        ("flowing", "body=1073741824", Outcome::Broken),
        ("chunked", "body=1073741824;chunked", Outcome::Broken),
        ("stalled", "body=100000;stall-after=1000", Outcome::AsScripted),
    ];
    for (id, script, outcome) in cases {
        let mut client = scene.client();
        let head =
            format!("GET /x HTTP/1.1\r\nhost: a\r\nx-test-id: {id}\r\nx-script: {script}\r\n\r\n");
        client.send(head).unwrap();
        assert_eq!(client.read_head_to("GET").unwrap().status, 200);
        drop(client);
        freed(&scene, id, &outcome);
    }
}

#[test]
fn a_client_that_leaves_before_its_answer_frees_the_service() {
    let scene = Scene::open("", PATIENT, "");
    let mut client = scene.client();
    client
        .send("GET /x HTTP/1.1\r\nhost: a\r\nx-test-id: left\r\nx-script: never\r\n\r\n")
        .unwrap();
    reached(&scene, "left");
    drop(client);
    freed(&scene, "left", &Outcome::AsScripted);
}

#[test]
fn an_answer_before_the_body_is_whole_comes_at_once_and_the_body_still_arrives() {
    let scene = Scene::open("", "", "");
    let body = expected_body("early-body", 200_000);
    let mut client = scene.client();
    let head = format!(
        "PUT /x HTTP/1.1\r\nhost: a\r\nx-test-id: early\r\nx-script: early-response;body=100\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    client.send(head).unwrap();
    client.send(&body[..50_000]).unwrap();
    let answer = client.read_response().unwrap();
    assert_eq!((answer.status, &answer.body), (200, &expected_body("early", 100)));
    std::thread::sleep(Duration::from_millis(200));
    client.send(&body[50_000..]).unwrap();
    eventually("the service has the whole body", 3 * SECOND, || {
        scene.origin.log().with_id("early")[0].body_digest == Some(BodyDigest::of(&body))
    });
    if answer.keeps_alive() {
        let again = client.get("/x", &[("x-test-id", "behind-early")]).unwrap();
        assert_eq!(again.headers.get("x-test-id"), Some("behind-early"));
    }
}

/// What a careful server does with a body it does not want (RFC 9112 §9.6): it answers, ends its
/// half, and reads on a while.
#[test]
fn a_service_that_refuses_a_body_early_is_heard() {
    let origin = HandOrigin::start(|mut stream| {
        read_head(&mut stream);
        let answer = b"HTTP/1.1 409 No\r\ncontent-length: 7\r\nconnection: close\r\n\r\nrefused";
        stream.write_all(answer).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        drain(&mut stream);
    });
    let (scene, _) = scene_before(&origin);
    for sent in [0, 10_000, 1 << 20] {
        let mut client = scene.client();
        client.send("PUT /x HTTP/1.1\r\nhost: a\r\ncontent-length: 4194304\r\n\r\n").unwrap();
        client.send(vec![b'x'; sent]).unwrap();
        let answer = client.read_response().unwrap();
        assert_eq!((answer.status, answer.text().as_str()), (409, "refused"), "{sent} bytes sent");
    }
}

/// The answer went out while the body still came: whatever ends the connection then must not reset
/// it, or the client never sees the answer.
#[test]
fn a_client_still_sending_is_not_reset_when_the_service_leaves_behind_its_answer() {
    let origin = HandOrigin::start(|mut stream| {
        read_head(&mut stream);
        stream.write_all(b"HTTP/1.1 409 No\r\ncontent-length: 7\r\n\r\nrefused").unwrap();
        std::thread::sleep(Duration::from_millis(200));
    });
    let (scene, _) = scene_before(&origin);
    let mut client = scene.client();
    client.send("PUT /x HTTP/1.1\r\nhost: a\r\ncontent-length: 4194304\r\n\r\n").unwrap();
    for _ in 0..10 {
        client.send(vec![b'x'; 10_000]).unwrap();
        std::thread::sleep(Duration::from_millis(50));
    }
    let answer = client.read_response().unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (409, "refused"));
}
