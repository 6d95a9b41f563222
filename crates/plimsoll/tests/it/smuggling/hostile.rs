//! Origins that answer with bytes of which a client and the edge could make two different things.
//! The canary follows on the client's connection, a victim on another; both would use the hostile
//! connection if the edge had kept it.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use plimsoll_testkit::{ClientError, ID_HEADER, Plimsoll, RawClient};

use super::corpus::{Case, Check, Expect};
use super::judge::{edge_before, own_answer, refused};
use super::notation::shown;

/// Answers requests for `/case` with the bytes of the case that is on, and leaves the connection
/// open; all others with their own answer.
struct Hostile {
    addr: SocketAddr,
    answer: Arc<Mutex<Vec<u8>>>,
    stop: Arc<AtomicBool>,
}

impl Hostile {
    fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let addr = listener.local_addr()?;
        let (answer, stop) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let (given, stopped) = (Arc::clone(&answer), Arc::clone(&stop));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let given = Arc::clone(&given);
                std::thread::spawn(move || serve(stream, &given));
            }
        });
        Ok(Self { addr, answer, stop })
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Only to wake it; nobody may listen any more.
        TcpStream::connect(self.addr).ok();
    }
}

fn serve(mut stream: TcpStream, hostile: &Mutex<Vec<u8>>) {
    stream.set_read_timeout(Some(Duration::from_secs(30))).ok();
    stream.set_nodelay(true).ok();
    let mut held = Vec::new();
    let mut piece = [0; 4096];
    loop {
        while let Some(end) = held.windows(4).position(|four| four == b"\r\n\r\n") {
            let head: Vec<u8> = held.drain(..end + 4).collect();
            let head = String::from_utf8_lossy(&head).into_owned();
            let is_case = head.split(' ').nth(1).is_some_and(|target| target.starts_with("/case"));
            let answer = if is_case { hostile.lock().unwrap().clone() } else { own(&head) };
            if stream.write_all(&answer).is_err() {
                return;
            }
        }
        match stream.read(&mut piece) {
            Ok(n @ 1..) => held.extend_from_slice(&piece[..n]),
            _ => return,
        }
    }
}

fn own(head: &str) -> Vec<u8> {
    let mut lines = head.lines();
    let id = lines.find_map(|line| line.strip_prefix("x-test-id: ")).unwrap_or("none").to_owned();
    let mut answer =
        format!("HTTP/1.1 200 OK\r\n{ID_HEADER}: {id}\r\ncontent-length: 64\r\n\r\n").into_bytes();
    answer.extend(plimsoll_testkit::expected_body(&id, 64));
    answer
}

/// A hostile origin and the edge before it.
pub(crate) struct Stage {
    origin: Hostile,
    edge: Plimsoll,
}

impl Stage {
    pub(crate) fn start() -> Self {
        let origin = Hostile::start().expect("an origin");
        let edge = edge_before(&format!("http://{}", origin.addr));
        Self { origin, edge }
    }

    /// Runs a case of a hostile answer.
    pub(crate) fn answer(&self, case: &Case) -> Result<(), String> {
        *self.origin.answer.lock().unwrap() = case.answer.clone().ok_or("no `--- answer`")?;
        let mut client = self.edge.client().map_err(|e| e.to_string())?;
        client.set_patience(Duration::from_secs(15));
        client.send(case.pieces.concat()).map_err(|e| e.to_string())?;
        let first = client.read_response_to(case.method());
        if judge(case, first)? {
            follow(&mut client, "canary")?;
        }
        let mut other = self.edge.client().map_err(|e| e.to_string())?;
        follow(&mut other, "victim")
    }
}

/// CVE-2026-2833: what a client sends behind its upgrade request must not reach the origin before
/// the origin has said 101; then it must, as the tunnel's first bytes.
pub(crate) fn bytes_wait_for_101() -> Result<(), String> {
    let io = |doing: &'static str| move |e: std::io::Error| format!("{doing}: {e}");
    let listener = TcpListener::bind("127.0.0.1:0").map_err(io("bind"))?;
    let addr = listener.local_addr().map_err(io("address"))?;
    let edge = edge_before(&format!("http://{addr}"));
    let mut client = edge.client().map_err(io("connect"))?;
    client
        .send(
            "GET /ws/slow HTTP/1.1\r\nhost: edge.example\r\nconnection: upgrade\r\n\
             upgrade: websocket\r\nsec-websocket-version: 13\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n\
             GET /smuggled HTTP/1.1\r\nhost: edge.example\r\n\r\n",
        )
        .map_err(|e| e.to_string())?;
    let (mut origin, _) = listener.accept().map_err(io("accept"))?;
    origin.set_read_timeout(Some(Duration::from_millis(500))).map_err(io("timeout"))?;
    let (mut received, mut piece) = (Vec::new(), [0; 4096]);
    while let Ok(n @ 1..) = origin.read(&mut piece) {
        received.extend_from_slice(&piece[..n]);
    }
    if !received.ends_with(b"\r\n\r\n") || received.windows(4).any(|four| four == b"/smu") {
        return Err(format!("before 101 the origin had {}", shown(&received)));
    }
    let switch =
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                   sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    origin.write_all(switch).map_err(io("101"))?;
    let answer = client.read_head_to("GET").map_err(|e| e.to_string())?;
    if answer.status != 101 {
        return Err(format!("answered {}", answer.status));
    }
    let n = origin.read(&mut piece).map_err(io("after 101"))?;
    let first = &piece[..n];
    if first.starts_with(b"GET /smuggled") { Ok(()) } else { Err(shown(first)) }
}

/// Judges the case's own answer; says whether its connection must go on.
fn judge(
    case: &Case,
    first: Result<plimsoll_testkit::RawResponse, ClientError>,
) -> Result<bool, String> {
    match (case.expect, first) {
        (Expect::RefusedKept(status), Ok(answer)) => refused(&answer, status).map(|()| true),
        (Expect::Answered(status), Ok(answer)) => {
            if answer.status != status {
                return Err(format!("answered {} for {status}: {}", answer.status, answer.text()));
            }
            if answer.interim.len() > 16 {
                return Err(format!("{} interim answers came through", answer.interim.len()));
            }
            for check in &case.checks {
                let holds = match check {
                    Check::Body(bytes) => answer.body.len() as u64 == *bytes,
                    Check::Has(name, value) => answer.headers.all(name) == [value.as_str()],
                    Check::Lacks(name) => {
                        answer.headers.get(name).is_none() && answer.trailers.get(name).is_none()
                    }
                    Check::Target(_) | Check::Method(_) => false,
                };
                if !holds {
                    return Err(format!(
                        "{check:?} does not hold: {} {} {:?}",
                        shown(&answer.raw_head),
                        shown(&answer.body),
                        answer.trailers
                    ));
                }
            }
            Ok(answer.keeps_alive())
        }
        (Expect::Broken, Err(ClientError::Ended { .. } | ClientError::Io { .. })) => Ok(false),
        (Expect::Broken, Ok(answer)) => {
            Err(format!("a whole answer was made of it: {}", shown(&answer.raw_head)))
        }
        (expected, Ok(answer)) => Err(format!("{expected:?}, but {}", shown(&answer.raw_head))),
        (expected, Err(error)) => Err(format!("{expected:?}, but {error}")),
    }
}

fn follow(client: &mut RawClient, id: &str) -> Result<(), String> {
    let path = format!("/{id}");
    let answer = client
        .get(&path, &[("host", "edge.example"), (ID_HEADER, id)])
        .map_err(|e| format!("the {id} got no answer: {e}"))?;
    own_answer(&answer, id)
}
