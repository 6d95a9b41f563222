//! One gibibyte up, down, and both at once: whole at both ends, and the edge stays small.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::Duration;

use plimsoll_testkit::{BodyDigest, BodyPattern, RawClient};

use super::tools::{SECOND, Watch, eventually};
use crate::scene::Scene;

const GIBIBYTE: u64 = 1 << 30;

/// What a body of any size may add to the resident memory of an idle edge, in bytes.
const GROWTH_MAX: u64 = 32 << 20;

const PATIENCE: Duration = Duration::from_secs(240);

/// An edge that has answered once, and its resident memory then.
fn scene() -> (Scene, u64) {
    let scene = Scene::open(
        "body_bytes_max = \"2GiB\"",
        "[service.timeouts]\ntotal = \"5m\"\nfirst_byte = \"5m\"\n",
        "",
    );
    assert_eq!(scene.ask("GET", "/warm", &[]).status, 200);
    let idle = scene.edge.facts().rss_bytes().unwrap();
    (scene, idle)
}

/// The peak, so that nothing is missed between two looks.
#[track_caller]
fn stayed_small(what: &str, scene: &Scene, idle: u64, watch: Watch) {
    let peak = scene.edge.facts().rss_peak_bytes().unwrap();
    let growth = peak.saturating_sub(idle);
    let (idle_kib, growth_kib) = (idle >> 10, growth >> 10);
    println!(
        "{what}: {:.1} s; idle {idle_kib} KiB, grown by {growth_kib} KiB",
        watch.read().as_secs_f64()
    );
    assert!(growth < GROWTH_MAX, "{what}: idle {idle_kib} KiB, grown by {growth_kib} KiB");
}

fn client(scene: &Scene) -> RawClient {
    let mut client = scene.client();
    client.set_patience(PATIENCE);
    client
}

/// Sends the body of `id` and gives its digest.
fn send_body(stream: &mut TcpStream, id: &str, length: u64) -> String {
    let (pattern, mut digest) = (BodyPattern::new(id), BodyDigest::new());
    let mut piece = vec![0; 256 * 1024];
    let mut offset = 0;
    while offset < length {
        let some = usize::try_from(length - offset).unwrap().min(piece.len());
        pattern.fill(offset, &mut piece[..some]);
        digest.update(&piece[..some]);
        stream.write_all(&piece[..some]).unwrap();
        offset += some as u64;
    }
    digest.finish()
}

fn head(method: &str, id: &str, script: &str, length: u64) -> String {
    format!(
        "{method} /{id} HTTP/1.1\r\nhost: a\r\nx-test-id: {id}\r\nx-script: {script}\r\n\
         content-length: {length}\r\n\r\n"
    )
}

/// Reads an answer that must be the body of `id`, byte for byte, and gives its digest.
fn read_body_of(client: &mut RawClient, id: &str, length: u64) -> String {
    let mut response = client.read_head_to("GET").unwrap();
    assert_eq!((response.status, response.headers.get("x-test-id")), (200, Some(id)));
    let (pattern, mut digest) = (BodyPattern::new(id), BodyDigest::new());
    let mut differs = None;
    client
        .read_body(&mut response, &mut |piece| {
            differs = pattern.first_difference(digest.bytes(), piece);
            digest.update(piece);
            differs.is_none()
        })
        .unwrap_or_else(|error| panic!("{error}; differs at {differs:?}"));
    assert_eq!(digest.bytes(), length);
    digest.finish()
}

#[test]
fn a_gibibyte_goes_up_with_flat_memory() {
    let (scene, idle) = scene();
    let watch = Watch::start();
    let mut client = client(&scene);
    client.send(head("PUT", "giant-up", "body=64", GIBIBYTE)).unwrap();
    let mut stream = client.stream().try_clone().unwrap();
    let sent = send_body(&mut stream, "giant-up", GIBIBYTE);
    let answer = client.read_response().unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.headers.get("x-body-length"), Some(&*GIBIBYTE.to_string()));
    assert_eq!(answer.headers.get("x-body-digest"), Some(&*sent));
    stayed_small("1 GiB up", &scene, idle, watch);
}

#[test]
fn a_gibibyte_comes_down_with_flat_memory() {
    let (scene, idle) = scene();
    let watch = Watch::start();
    let mut client = client(&scene);
    client.send(head("GET", "giant-down", &format!("body={GIBIBYTE}"), 0)).unwrap();
    read_body_of(&mut client, "giant-down", GIBIBYTE);
    stayed_small("1 GiB down", &scene, idle, watch);
}

#[test]
fn a_gibibyte_goes_both_ways_at_once_with_flat_memory() {
    let (scene, idle) = scene();
    let watch = Watch::start();
    let mut client = client(&scene);
    client.send(head("POST", "giant-echo", "echo", GIBIBYTE)).unwrap();
    let mut stream = client.stream().try_clone().unwrap();
    let writer = std::thread::spawn(move || send_body(&mut stream, "giant-echo", GIBIBYTE));
    let received = read_body_of(&mut client, "giant-echo", GIBIBYTE);
    assert_eq!(writer.join().unwrap(), received);
    // The service's book is closed a moment after its last byte has left.
    eventually("the service has read the same", SECOND, || {
        let seen = scene.origin.log().with_id("giant-echo");
        seen[0].body_digest.as_deref() == Some(&*received)
    });
    stayed_small("1 GiB both ways at once", &scene, idle, watch);
}
