//! Frames that no library sends: resets in a row, headers without an end, floods.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use plimsoll_testkit::Outcome;

use crate::bodies::tools::{SECOND, Watch, eventually, gauge_settles};
use crate::scene::Scene;

const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
pub(super) const END_STREAM: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;
const ENHANCE_YOUR_CALM: u32 = 11;

/// What an attack may add to the resident memory of the edge, in bytes.
const GROWTH_MAX: u64 = 32 << 20;

pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// A field block of literals without indexing (RFC 7541 §6.2.2); names and values below 127 bytes.
fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in fields {
        out.push(0);
        for text in [name, value] {
            out.push(u8::try_from(text.len()).unwrap());
            out.extend_from_slice(text.as_bytes());
        }
    }
    out
}

pub(super) fn request(script: &str) -> Vec<u8> {
    block(&[
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", "a"),
        (":path", "/x"),
        ("x-script", script),
    ])
}

pub(super) fn open(addr: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_write_timeout(Some(5 * SECOND)).unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).unwrap();
    stream
}

/// How the edge ended a connection.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// GOAWAY with this error.
    GoAway(u32),
    /// An end or a reset of the connection.
    Closed,
    /// It did not within the time.
    Open,
}

/// Reads frames until the edge ends the connection.
fn end_of(stream: &mut TcpStream, within: Duration) -> End {
    let watch = Watch::start();
    let mut read = |buffer: &mut [u8]| -> Result<(), End> {
        let mut at = 0;
        while at < buffer.len() {
            let left = within.saturating_sub(watch.read()).max(Duration::from_millis(1));
            stream.set_read_timeout(Some(left)).unwrap();
            match stream.read(&mut buffer[at..]) {
                Ok(0) => return Err(End::Closed),
                Ok(n) => at += n,
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return Err(End::Open);
                }
                Err(_) => return Err(End::Closed),
            }
        }
        Ok(())
    };
    loop {
        let mut head = [0; 9];
        if let Err(end) = read(&mut head) {
            return end;
        }
        let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
        if let Err(end) = read(&mut payload) {
            return end;
        }
        if head[3] == GOAWAY {
            let code = u32::from_be_bytes([payload[4], payload[5], payload[6], payload[7]]);
            if code != 0 {
                return End::GoAway(code);
            }
        }
    }
}

struct Before {
    scene: Scene,
    idle: u64,
}

impl Before {
    fn start(edge: &str) -> Self {
        let scene = Scene::open(edge, "", "");
        assert_eq!(scene.ask("GET", "/x", &[]).status, 200);
        let idle = scene.edge.facts().rss_bytes().unwrap();
        Self { scene, idle }
    }

    /// The edge is small, answers, and holds nothing for the attacker any more.
    #[track_caller]
    fn unharmed(&self, what: &str) {
        let growth = self.scene.edge.facts().rss_peak_bytes().unwrap().saturating_sub(self.idle);
        println!("{what}: grown by {} KiB", growth >> 10);
        assert!(growth < GROWTH_MAX, "{what}: grown by {growth} bytes");
        assert_eq!(self.scene.ask("GET", "/x", &[]).status, 200, "{what}");
        eventually("the service is held by nobody", 5 * SECOND, || {
            let seen = self.scene.origin.log().exchanges();
            seen.iter().all(|exchange| exchange.outcome != Outcome::Pending)
        });
        gauge_settles(&self.scene.edge, "plimsoll_requests_in_flight", 0.0, 5 * SECOND);
    }
}

/// CVE-2023-44487: a request and its reset, as fast as they can be written. What the bound on
/// concurrent streams does not see must not become work for the service.
#[test]
fn rapid_resets_end_the_connection_before_they_become_work() {
    const ATTEMPTS: u32 = 20_000;
    let before = Before::start("");
    let mut stream = open(before.scene.edge.addr());
    let fields = request("never");
    let (mut sent, watch) = (0, Watch::start());
    for chunk in 0..ATTEMPTS / 100 {
        let mut bytes = Vec::new();
        for number in 0..100 {
            let id = (chunk * 100 + number) * 2 + 1;
            bytes.extend(frame(HEADERS, END_STREAM | END_HEADERS, id, &fields));
            bytes.extend(frame(RST_STREAM, 0, id, &8_u32.to_be_bytes()));
        }
        if stream.write_all(&bytes).is_err() {
            break;
        }
        sent += 100;
    }
    let end = end_of(&mut stream, 10 * SECOND);
    let reached = before.scene.origin.log().requests();
    println!(
        "{sent} of {ATTEMPTS} sent in {:?}, {reached} reached the service, {end:?}",
        watch.read()
    );
    assert_ne!(end, End::Open, "the attacker is still connected");
    assert!(reached < 500, "{reached} requests reached the service");
    before.unharmed("rapid reset");
}

/// The same at a pace that no detector of bursts sees: each request has reached the service when it
/// is reset. It costs what any client that changes its mind costs, and nothing stays behind.
#[test]
fn patient_resets_leave_nothing_behind() {
    let before = Before::start("");
    let mut stream = open(before.scene.edge.addr());
    let fields = request("never");
    let mut ended = false;
    for number in 0..300 {
        let id = number * 2 + 1;
        ended |= stream.write_all(&frame(HEADERS, END_STREAM | END_HEADERS, id, &fields)).is_err();
        std::thread::sleep(Duration::from_millis(4));
        ended |= stream.write_all(&frame(RST_STREAM, 0, id, &8_u32.to_be_bytes())).is_err();
    }
    println!("patient resets: the connection was {}", if ended { "ended" } else { "kept" });
    before.unharmed("patient resets");
    let reached = before.scene.origin.log().requests();
    assert!(reached > 100, "only {reached} reached the service: the pace is too fast to tell");
}

/// CVE-2024-27316 and its kin: a head that goes on in frame after frame and never ends.
#[test]
fn a_head_of_endless_continuations_ends_the_connection() {
    let before = Before::start("header_timeout = \"2s\"");
    for warm in [false, true] {
        let mut stream = open(before.scene.edge.addr());
        let mut id = 1;
        if warm {
            // With a request behind it the connection no longer has to prove itself.
            stream.write_all(&frame(HEADERS, END_STREAM | END_HEADERS, id, &request(""))).unwrap();
            id += 2;
        }
        stream.write_all(&frame(HEADERS, END_STREAM, id, &request(""))).unwrap();
        let more = frame(CONTINUATION, 0, id, &block(&[("x-more", &"v".repeat(100))]).repeat(100));
        let mut sent = 0_u64;
        while sent < 256 << 20 && stream.write_all(&more).is_ok() {
            sent += more.len() as u64;
        }
        let end = end_of(&mut stream, 10 * SECOND);
        println!("continuations (warm: {warm}): {} KiB taken, {end:?}", sent >> 10);
        assert_ne!(end, End::Open);
        assert!(sent < 64 << 20, "{sent} bytes of a head were taken");
    }
    before.unharmed("continuations");
    assert!(before.scene.origin.log().requests() <= 3);
}

/// What has begun, the preface or a head, has to come whole in a head's time. A connection on
/// which nothing has begun is idle (`idle.rs`): phones connect before they ask.
#[test]
fn a_first_request_that_stops_in_its_middle_is_cut_off() {
    let before = Before::start("header_timeout = \"600ms\"");
    let addr = before.scene.edge.addr();
    let mut silent = open(addr);
    let mut half = open(addr);
    half.write_all(&frame(HEADERS, END_STREAM, 1, &request(""))).unwrap();
    let mut preface = TcpStream::connect(addr).unwrap();
    preface.write_all(b"PRI * HTTP/2.0\r\n\r\nSM").unwrap();
    let mut settings = TcpStream::connect(addr).unwrap();
    settings.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0").unwrap();
    let cut = [("half", &mut half), ("preface", &mut preface), ("settings", &mut settings)];
    for (what, stream) in cut {
        assert_ne!(end_of(stream, 3 * SECOND), End::Open, "{what}");
    }
    assert_eq!(end_of(&mut silent, 2 * SECOND), End::Open, "nothing has begun");
    before.unharmed("no request");
}

/// Pings, settings and empty frames cost an answer each; one who does not read the answers must
/// not make the edge keep them.
#[test]
fn floods_of_small_frames_are_not_kept() {
    let before = Before::start("write_stall_timeout = \"1s\"");
    let floods: [(&str, Vec<u8>); 3] = [
        ("ping", frame(PING, 0, 0, &[7; 8])),
        ("settings", frame(SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0])),
        ("empty data", frame(DATA, 0, 1, &[])),
    ];
    for (what, one) in floods {
        let mut stream = open(before.scene.edge.addr());
        if what == "empty data" {
            stream.write_all(&frame(HEADERS, END_HEADERS, 1, &request("never"))).unwrap();
        }
        stream.set_write_timeout(Some(SECOND / 2)).unwrap();
        let many = one.repeat(1_000);
        let (mut sent, watch) = (0, Watch::start());
        while watch.read() < 3 * SECOND && stream.write_all(&many).is_ok() {
            sent += 1_000;
        }
        let end = end_of(&mut stream, Duration::from_millis(500));
        println!("{what}: {sent} sent, {end:?}");
    }
    before.unharmed("floods");
}

/// Broken framing ends the connection, not the edge.
#[test]
fn what_breaks_the_protocol_ends_the_connection() {
    let before = Before::start("");
    let cases = [
        (
            "a frame that is too large",
            [&[0xff, 0xff, 0xff, DATA, 0, 0, 0, 0, 1][..], &[0; 64]].concat(),
        ),
        ("data on a stream that was never opened", frame(DATA, 0, 1, b"x")),
        ("an even stream", frame(HEADERS, END_STREAM | END_HEADERS, 2, &request(""))),
        (
            "a field block that cannot be read",
            frame(HEADERS, END_STREAM | END_HEADERS, 1, &[0xff; 20]),
        ),
        ("a window that overflows", frame(8, 0, 0, &0x7fff_ffff_u32.to_be_bytes()).repeat(3)),
        ("a setting out of bounds", frame(SETTINGS, 0, 0, &[0, 4, 0xff, 0xff, 0xff, 0xff])),
        ("a continuation of nothing", frame(CONTINUATION, END_HEADERS, 1, &request(""))),
    ];
    for (what, bytes) in cases {
        let mut stream = open(before.scene.edge.addr());
        stream.write_all(&bytes).ok();
        let end = end_of(&mut stream, 5 * SECOND);
        assert!(matches!(end, End::GoAway(_) | End::Closed), "{what}: {end:?}");
        assert_ne!(end, End::GoAway(ENHANCE_YOUR_CALM), "{what} is an error, not an excess");
    }
    before.unharmed("broken framing");
    assert_eq!(before.scene.origin.log().requests(), 2);
}
