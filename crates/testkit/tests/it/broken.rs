//! Load and judge against relays that are broken on purpose: each way of breaking must be seen.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use plimsoll_testkit::judge::{Expect, Judgement, judge};
use plimsoll_testkit::load::{self, LoadPlan};
use plimsoll_testkit::{Origin, RawClient};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    /// Ends every tenth connection without an answer.
    Drops,
    /// Changes one byte of every tenth body.
    Alters,
    /// Sends every tenth request twice and gives one answer.
    Repeats,
    /// Gives every tenth request the answer of the one before.
    Crosses,
    /// Gives every tenth request an answer that the origin never gave.
    Invents,
}

/// One request a connection, relayed to the origin with a fault now and then.
struct Relay {
    addr: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Relay {
    fn start(origin: SocketAddr, fault: Fault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let count = AtomicUsize::new(0);
            let mut last = Vec::new();
            while let Ok((stream, _)) = listener.accept() {
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                let strikes = count.fetch_add(1, Ordering::Relaxed) % 10 == 9;
                relay(stream, origin, if strikes { fault } else { Fault::None }, &mut last);
            }
        });
        Self { addr, stop, thread: Some(thread) }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(self.addr));
        self.thread.take().unwrap().join().unwrap();
    }
}

fn relay(mut client: TcpStream, origin: SocketAddr, fault: Fault, last: &mut Vec<u8>) {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    while !request.ends_with(b"\r\n\r\n") {
        match client.read(&mut buffer) {
            Ok(n) if n > 0 => request.extend_from_slice(&buffer[..n]),
            _ => return,
        }
    }
    let forward = || {
        let mut upstream = RawClient::connect(origin).unwrap();
        upstream.send(&request).unwrap();
        let answer = upstream.read_response().unwrap();
        [answer.raw_head, answer.body].concat()
    };
    let mut answer = match fault {
        Fault::Drops => return,
        Fault::Crosses => std::mem::take(last),
        Fault::Invents => {
            let text = String::from_utf8(request.clone()).unwrap();
            let id = text.split("x-test-id: ").nth(1).unwrap().lines().next().unwrap();
            let body = plimsoll_testkit::expected_body(id, 64);
            let head = format!("HTTP/1.1 200 OK\r\nx-test-id: {id}\r\ncontent-length: 64\r\n\r\n");
            [head.into_bytes(), body].concat()
        }
        _ => forward(),
    };
    match fault {
        Fault::Alters => *answer.last_mut().unwrap() ^= 1,
        Fault::Repeats => drop(forward()),
        _ => {}
    }
    last.clone_from(&answer);
    client.write_all(&answer).unwrap();
}

fn run(fault: Fault) -> Judgement {
    let origin = Origin::start().unwrap();
    let relay = Relay::start(origin.addr(), fault);
    let plan = LoadPlan {
        clients: 2,
        requests_per_connection: 1,
        requests_max: 40,
        ..LoadPlan::new(relay.addr)
    };
    let running = load::start(&plan);
    for _ in 0..1000 {
        if running.done() >= 80 {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let answers = load::answers(&running.stop());
    let expect = Expect { body_bytes: Some(64), no_problems: true, repeats_allowed: false };
    judge(&answers, &origin.log().exchanges(), expect)
}

#[test]
fn an_honest_relay_is_clean() {
    let judgement = run(Fault::None);
    assert!(judgement.is_clean(), "{judgement}");
    assert_eq!((judgement.judged, judgement.right), (80, 80));
}

#[test]
fn every_broken_relay_is_caught() {
    for (fault, list) in [
        (Fault::Drops, (|j: &Judgement| j.failed.len()) as fn(&Judgement) -> usize),
        (Fault::Alters, |j| j.altered.len()),
        (Fault::Repeats, |j| j.repeated.len()),
        (Fault::Crosses, |j| j.crossed.len()),
        (Fault::Invents, |j| j.invented.len()),
    ] {
        let judgement = run(fault);
        assert_eq!(list(&judgement), 8, "{fault:?}: {judgement}");
    }
}
