//! Connections on which nothing is asked: kept for `keep_alive`, then told to go.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use super::attacks::{END_HEADERS, END_STREAM, GOAWAY, HEADERS, frame, open, request};
use crate::bodies::tools::{SECOND, Watch};
use crate::scene::Scene;

/// The least that the manifest allows.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

fn ask(stream: &mut TcpStream) {
    stream.write_all(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &request(""))).unwrap();
}

/// The kinds of the frames that come until the edge closes the connection.
fn frames_to_the_end(stream: &mut TcpStream) -> Vec<u8> {
    stream.set_read_timeout(Some(KEEP_ALIVE + 5 * SECOND)).unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("an end in order, and in time");
    let mut rest = bytes.as_slice();
    let mut kinds = Vec::new();
    while let [a, b, c, kind, ..] = *rest {
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        kinds.push(kind);
        rest = &rest[9 + length..];
    }
    kinds
}

/// A phone connects before it asks. It may ask at any time until `keep_alive`, however short the
/// time for a head is; after that it hears GOAWAY and not just an end.
#[test]
fn a_connection_that_waits_lives_as_long_as_an_idle_one_and_is_told_to_go() {
    let scene = Scene::open("header_timeout = \"1s\"\nkeep_alive = \"30s\"\n", "", "");
    let watch = Watch::start();
    let mut streams = [(); 3].map(|()| open(scene.edge.addr()));
    let [silent, used, late] = &mut streams;
    ask(used);
    std::thread::sleep(12 * SECOND);
    ask(late);
    for (what, stream) in [("silent", silent), ("used", used)] {
        let kinds = frames_to_the_end(stream);
        assert!(kinds.contains(&GOAWAY), "{what}: {kinds:?}");
        assert_eq!(kinds.contains(&HEADERS), what == "used", "{kinds:?}");
        assert!(watch.read() > KEEP_ALIVE - SECOND, "{what}: {:?}", watch.read());
    }
    late.set_read_timeout(Some(SECOND / 10)).unwrap();
    let mut bytes = [0; 1024];
    let seen = late.read(&mut bytes).unwrap();
    assert!(seen > 0, "it was answered and is open");
    let held = |how: &str| {
        scene.edge.metric(&format!("plimsoll_slow_clients_cut_total{{held=\"{how}\"}}")).unwrap()
    };
    assert_eq!(held("header"), Some(0.0));
    assert_eq!(held("keep_alive"), Some(2.0));
}
