//! Slow-loris: heads that trickle in, never end, or never begin.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use plimsoll_testkit::RawClient;

use super::TlsScene;
use crate::bodies::tools::{SECOND, Watch, eventually};
use crate::scene::Scene;

const HEADER_TIMEOUT: Duration = Duration::from_millis(600);
const EDGE: &str = "header_timeout = \"600ms\"\nkeep_alive = \"30s\"";

/// Sends byte by byte for as long as it is taken, then waits for the end: when it came.
fn trickle(mut stream: TcpStream, bytes: &[u8], pause: Duration) -> Option<Duration> {
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(pause.max(Duration::from_millis(1)))).unwrap();
    let watch = Watch::start();
    let mut bytes = bytes.iter();
    let mut came = [0; 256];
    while watch.read() < 5 * SECOND {
        let over = match bytes.next() {
            Some(byte) => stream.write_all(&[*byte]).is_err(),
            None => false,
        };
        let ended = match stream.read(&mut came) {
            Ok(0) => true,
            // Frames of HTTP/2, its settings and its farewell, are no answer.
            Ok(_) if came[0] == 0 => false,
            Ok(n) => panic!("answered: {}", String::from_utf8_lossy(&came[..n])),
            Err(e) => {
                !matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
            }
        };
        if over || ended {
            return Some(watch.read());
        }
    }
    None
}

fn connect(scene: &Scene) -> TcpStream {
    TcpStream::connect(scene.edge.addr()).unwrap()
}

#[track_caller]
fn cut_in_time(what: &str, cut: Option<Duration>) {
    let cut = cut.unwrap_or_else(|| panic!("{what}: never cut off"));
    let (least, most) = (HEADER_TIMEOUT - Duration::from_millis(50), 4 * HEADER_TIMEOUT);
    assert!(cut >= least && cut < most, "{what}: cut off after {cut:?}");
}

/// A series of the counter of slow clients.
fn counted(scene: &Scene, held: &str) -> f64 {
    let series = format!("plimsoll_slow_clients_cut_total{{held=\"{held}\"}}");
    scene.edge.metric(&series).unwrap().unwrap_or(0.0)
}

#[test]
fn a_head_that_trickles_in_is_cut_off_by_the_header_timeout() {
    let scene = Scene::open(EDGE, "", "");
    let long = format!("GET /x HTTP/1.1\r\nhost: a\r\nx-slow: {}", "v".repeat(500));
    let pause = Duration::from_millis(40);
    cut_in_time("byte by byte", trickle(connect(&scene), long.as_bytes(), pause));
    cut_in_time(
        "never finished",
        trickle(connect(&scene), b"GET / HTTP/1.1\r\nhost: a\r\n", pause / 40),
    );
    cut_in_time("an empty line for a start", trickle(connect(&scene), b"\r\n", pause));
    assert_eq!(scene.origin.log().connections().len(), 0);
    eventually("they are counted", 3 * SECOND, || counted(&scene, "header") >= 3.0);
}

/// `P`, `PR` and `PRI` could become HTTP/2 or a `POST`: whoever stops there must not be waited for
/// any longer, nor cost anything meanwhile.
#[test]
fn a_connection_that_stops_in_the_middle_of_the_first_word_is_cut_off_too() {
    let scene = Scene::open(EDGE, "", "");
    for start in ["P", "PR", "PRI", "PRI * HTTP/2.0\r\n\r\nSM\r\n", "G"] {
        let cut = trickle(connect(&scene), start.as_bytes(), Duration::from_millis(1));
        cut_in_time(start, cut);
    }
    let calm = Scene::open("header_timeout = \"1m\"", "", "");
    let held: Vec<TcpStream> = (0..300)
        .map(|_| {
            let mut stream = connect(&calm);
            stream.write_all(b"P").unwrap();
            stream
        })
        .collect();
    std::thread::sleep(SECOND / 2);
    let cpu = calm.edge.facts().cpu().unwrap();
    std::thread::sleep(2 * SECOND);
    let spent = calm.edge.facts().cpu().unwrap() - cpu;
    assert!(spent < SECOND / 4, "300 connections that said `P` cost {spent:?} in two seconds");
    // Whoever goes on after a pause is served, whichever protocol it turns out to be.
    let mut client = RawClient::over(held.into_iter().next().unwrap());
    client.send("OST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n").unwrap();
    assert_eq!(client.read_response().unwrap().status, 200);
}

#[test]
fn the_second_head_of_a_connection_has_the_same_time() {
    let scene = Scene::open(EDGE, "", "");
    let mut client = scene.client();
    assert_eq!(client.get("/x", &[]).unwrap().status, 200);
    std::thread::sleep(2 * HEADER_TIMEOUT);
    // The pause between two requests is not part of it.
    assert_eq!(client.get("/x", &[]).unwrap().status, 200);
    let stream = client.stream().try_clone().unwrap();
    let cut = trickle(stream, b"GET /x HTTP/1.1\r\nhost: a\r\n", Duration::from_millis(10));
    cut_in_time("the second head", cut);
}

#[test]
fn a_tls_greeting_that_never_ends_is_cut_off() {
    let scene = TlsScene::start(EDGE, "");
    let stream = || TcpStream::connect(scene.addr()).unwrap();
    cut_in_time("a record's head", trickle(stream(), b"\x16\x03\x01\x02\x00\x01", SECOND / 100));
    cut_in_time("nothing", trickle(stream(), b"", SECOND / 100));
    let failed = "plimsoll_tls_handshakes_failed_total";
    eventually("they are counted", 3 * SECOND, || scene.edge.metric(failed).unwrap() == Some(2.0));
    assert_eq!(scene.client().get("/x", &[]).unwrap().status, 200);
}

/// The one bound that cannot be set short: 30 s is the least, for the sake of mobile clients.
#[test]
fn silence_is_cut_off_at_the_end_of_keep_alive_and_not_before() {
    let scene = Scene::open(EDGE, "", "");
    let watch = Watch::start();
    let mut silent = scene.client();
    let mut once = scene.client();
    let mut busy = scene.client();
    assert_eq!(once.get("/x", &[]).unwrap().status, 200);
    while watch.read() < 28 * SECOND {
        assert_eq!(busy.get("/x", &[]).unwrap().status, 200);
        std::thread::sleep(2 * SECOND);
    }
    let (early, late) = (Duration::from_secs(29), Duration::from_secs(34));
    for (what, client) in [("no byte", &mut silent), ("no second request", &mut once)] {
        client.expect_closed(late - watch.read()).unwrap_or_else(|e| panic!("{what}: {e}"));
        assert!(watch.read() >= early, "{what}: {:?}", watch.read());
    }
    assert_eq!(busy.get("/x", &[]).unwrap().status, 200);
    eventually("they are counted", 3 * SECOND, || counted(&scene, "keep_alive") == 2.0);
}
