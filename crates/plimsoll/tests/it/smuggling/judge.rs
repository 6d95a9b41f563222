//! Runs one case and judges it by what the origin received and what the clients got.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use plimsoll_testkit::{
    ClientError, Exchange, ID_HEADER, Origin, Outcome, Plimsoll, PlimsollOptions, RawClient,
    RawResponse, expected_body,
};

use super::corpus::{Case, Check, Expect};
use super::notation::shown;

/// How the bytes of a case leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// In one write, the canary with them.
    Whole,
    /// Each byte in a write of its own, so that no parser can rely on how bytes fall together.
    Bytewise,
}

/// An origin and what stands in front of it.
pub(crate) struct Bench {
    pub(crate) origin: Origin,
    edge: Option<Plimsoll>,
    pub(crate) addr: SocketAddr,
    patience: Duration,
}

/// One core, so that all requests share one pool: what is left on a connection hits the next.
/// Short patience, so that a message that never ends is given up within the test.
pub(crate) fn manifest(origin_url: &str) -> String {
    format!(
        r#"
[edge]
cores = 1
header_timeout = "5s"
body_idle_timeout = "2s"
headers_max = 64
body_bytes_max = "1MiB"

[[service]]
name = "origin"
urls = ["{origin_url}"]
unknown_paths = "pass"

[[passthrough]]
prefix = "/ws"
service = "origin"
kinds = ["websocket"]

[telemetry]
access_log = "off"
"#
    )
}

pub(crate) fn edge_before(origin_url: &str) -> Plimsoll {
    let options = PlimsollOptions {
        binary: Some(PathBuf::from(env!("CARGO_BIN_EXE_plimsoll"))),
        manifest: Some(manifest(origin_url)),
        ..PlimsollOptions::default()
    };
    Plimsoll::start(&options).unwrap_or_else(|e| panic!("the edge does not start: {e}"))
}

impl Bench {
    /// The edge before a strict origin.
    pub(crate) fn start() -> Self {
        let origin = Origin::start().expect("an origin");
        let edge = edge_before(&origin.url());
        let addr = edge.addr();
        Self { origin, edge: Some(edge), addr, patience: Duration::from_secs(15) }
    }

    /// A relay of bytes in the edge's place.
    pub(crate) fn relay() -> Self {
        let origin = Origin::start().expect("an origin");
        let addr = relay(origin.addr());
        Self { origin, edge: None, addr, patience: Duration::from_millis(500) }
    }

    pub(crate) fn client(&self) -> Result<RawClient, String> {
        let mut client = RawClient::connect(self.addr).map_err(|e| e.to_string())?;
        client.set_patience(self.patience);
        Ok(client)
    }

    /// The last lines the edge wrote, for a fault that nobody expected.
    pub(crate) fn edge_said(&self) -> String {
        let said = self.edge.as_ref().map(Plimsoll::stderr).unwrap_or_default();
        let tail: Vec<&str> = said.lines().rev().take(5).collect();
        tail.join("\n")
    }

    /// A request on a connection of its own gets its own answer.
    pub(crate) fn victim(&self) -> Result<(), String> {
        let mut client = self.client()?;
        let answer = client
            .get("/victim", &[("host", "edge.example"), (ID_HEADER, "victim")])
            .map_err(|e| format!("the victim got no answer: {e}; {}", self.edge_said()))?;
        own_answer(&answer, "victim")
    }
}

/// Copies bytes both ways and looks at none. It ends with the test's process.
fn relay(to: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = listener.local_addr().expect("its address");
    let copy = |mut from: TcpStream, mut to: TcpStream| {
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(n @ 1..) = from.read(&mut piece) {
                if to.write_all(&piece[..n]).is_err() {
                    break;
                }
            }
            to.shutdown(std::net::Shutdown::Write).ok();
        });
    };
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(origin) = TcpStream::connect(to) else {
                continue;
            };
            if let (Ok(client_too), Ok(origin_too)) = (client.try_clone(), origin.try_clone()) {
                copy(client, origin);
                copy(origin_too, client_too);
            }
        }
    });
    addr
}

/// The canary: what an attacker would like to have answered by somebody else's request.
pub(crate) const CANARY: &[u8] =
    b"GET /canary HTTP/1.1\r\nhost: edge.example\r\nx-test-id: canary\r\n\r\n";

pub(crate) fn own_answer(answer: &RawResponse, id: &str) -> Result<(), String> {
    if answer.status != 200 {
        return Err(format!("the {id} was answered {}: {}", answer.status, answer.text()));
    }
    if answer.headers.get(ID_HEADER) != Some(id) || answer.body != expected_body(id, 64) {
        return Err(format!("the {id} got somebody else's answer: {}", shown(&answer.raw_head)));
    }
    Ok(())
}

/// Runs a case of raw request bytes.
pub(crate) fn request(bench: &Bench, case: &Case, delivery: Delivery) -> Result<(), String> {
    bench.origin.log().clear();
    let mut client = bench.client()?;
    // What a peer that has closed already does not take, it does not need.
    deliver(&mut client, case, delivery).ok();
    let first = client.read_response_to(case.method());
    let goes_on = judge(case, first, &mut client)?;
    drop(client);
    bench.victim()?;
    book(bench, case, goes_on)
}

/// Judges the answer and what the connection does then; says whether the canary was answered.
fn judge(
    case: &Case,
    first: Result<RawResponse, ClientError>,
    client: &mut RawClient,
) -> Result<bool, String> {
    if case.expect == Expect::Cut {
        return cut(first, client).map(|()| false);
    }
    let first = first.map_err(|e| format!("no answer: {e}"))?;
    match case.expect {
        Expect::Refused(status) => {
            refused(&first, status)?;
            ended(client).map(|()| false)
        }
        Expect::RefusedKept(status) => {
            refused(&first, status)?;
            canary_follows(client).map(|()| true)
        }
        Expect::RefusedEither(status) => {
            refused(&first, status)?;
            match client.read_response() {
                Ok(answer) => own_answer(&answer, "canary").map(|()| true),
                Err(error) if error.is_silent_end() => Ok(false),
                Err(error) => Err(format!("neither closed nor the canary's answer: {error}")),
            }
        }
        Expect::Forwarded(status) => {
            answered(&first, status)?;
            canary_follows(client).map(|()| true)
        }
        Expect::ForwardedClosed(status) => {
            answered(&first, status)?;
            ended(client).map(|()| false)
        }
        Expect::ForwardedSwallows(status) => {
            answered(&first, status)?;
            client.set_patience(Duration::from_secs(1));
            match client.read_response() {
                Err(error) if error.is_silent_end() || error.is_timeout() => Ok(false),
                Err(error) => Err(format!("neither closed nor silent: {error}")),
                Ok(answer) => Err(format!("a second answer: {}", shown(&answer.raw_head))),
            }
        }
        other => Err(format!("{other:?} is no expectation of a request")),
    }
}

/// Refused, or closed without an answer that could be taken for one.
fn cut(first: Result<RawResponse, ClientError>, client: &mut RawClient) -> Result<(), String> {
    match first {
        Ok(answer) if (400..500).contains(&answer.status) => {
            refused(&answer, answer.status)?;
            ended(client)
        }
        Ok(answer) => Err(format!("answered {}: {}", answer.status, answer.text())),
        Err(error) if error.is_silent_end() => Ok(()),
        Err(ClientError::Ended { so_far, .. }) if !so_far.starts_with("HTTP/") => Ok(()),
        Err(error) => Err(format!("neither refused nor closed: {error}")),
    }
}

fn deliver(client: &mut RawClient, case: &Case, delivery: Delivery) -> Result<(), String> {
    let sent = |e: ClientError| e.to_string();
    let (last, before) = case.pieces.split_last().ok_or("no bytes")?;
    for piece in before {
        send(client, piece, delivery).map_err(sent)?;
        std::thread::sleep(Duration::from_millis(100));
    }
    let mut bytes = last.clone();
    bytes.extend_from_slice(CANARY);
    send(client, &bytes, delivery).map_err(sent)
}

fn send(client: &mut RawClient, bytes: &[u8], delivery: Delivery) -> Result<(), ClientError> {
    /// Longer cases are about size: byte by byte would only be slow.
    const BYTEWISE_MAX: usize = 4096;
    match delivery {
        Delivery::Bytewise if bytes.len() <= BYTEWISE_MAX => {
            bytes.iter().try_for_each(|byte| client.send([*byte]))
        }
        Delivery::Whole | Delivery::Bytewise => client.send(bytes),
    }
}

/// A refusal of ours: the status and a problem document.
pub(crate) fn refused(answer: &RawResponse, status: u16) -> Result<(), String> {
    if answer.status != status {
        return Err(format!("answered {} for {status}: {}", answer.status, answer.text()));
    }
    if answer.headers.get("content-type") != Some("application/problem+json") {
        return Err(format!("{status}, but no problem document: {}", shown(&answer.raw_head)));
    }
    let problem = answer.json().map_err(|e| e.to_string())?;
    match problem["code"].as_str() {
        Some(code) if code.starts_with("PLM-EDGE-") => Ok(()),
        _ => Err(format!("a problem without a code: {problem}")),
    }
}

/// An answer that the origin made.
fn answered(answer: &RawResponse, status: u16) -> Result<(), String> {
    if answer.status != status {
        return Err(format!("answered {} for {status}: {}", answer.status, answer.text()));
    }
    if answer.headers.get("x-body-digest").is_none() {
        return Err(format!("not the origin's answer: {}", shown(&answer.raw_head)));
    }
    Ok(())
}

fn canary_follows(client: &mut RawClient) -> Result<(), String> {
    let answer = client.read_response().map_err(|e| format!("the canary got no answer: {e}"))?;
    own_answer(&answer, "canary")
}

/// The edge closes, and sends nothing before it does.
fn ended(client: &mut RawClient) -> Result<(), String> {
    match client.read_response() {
        Ok(answer) => Err(format!("a second answer: {}", shown(&answer.raw_head))),
        Err(error) if error.is_silent_end() => Ok(()),
        Err(error) => Err(format!("the connection was not closed: {error}")),
    }
}

/// The origin's book: what was executed, how often, in what form. The canary stands in it when the
/// case's connection went on.
pub(crate) fn book(bench: &Bench, case: &Case, goes_on: bool) -> Result<(), String> {
    let exchanges = settled(bench);
    let mut rest = exchanges.iter();
    let told = || exchanges.iter().map(line_of).collect::<Vec<_>>().join("; ");
    match case.expect {
        Expect::Forwarded(_) | Expect::ForwardedClosed(_) | Expect::ForwardedSwallows(_) => {
            let first = rest.next().ok_or("nothing reached the origin")?;
            canonical(first)?;
            checked(first, case)?;
        }
        Expect::Cut => {
            if let Some(first) = exchanges.first().filter(|e| e.id.is_none()) {
                rest.next();
                if first.body_digest.is_some() || matches!(first.outcome, Outcome::Answered { .. })
                {
                    return Err(format!("executed a request that never ended: {}", told()));
                }
            }
        }
        _ => {}
    }
    if goes_on {
        let canary = rest.next().ok_or("the canary did not reach the origin")?;
        is_plain(canary, "/canary").map_err(|e| format!("{e}: {}", told()))?;
    }
    let victim = rest.next().ok_or("the victim did not reach the origin")?;
    is_plain(victim, "/victim").map_err(|e| format!("{e}: {}", told()))?;
    match rest.next() {
        Some(more) => Err(format!("one request too many, {}: {}", line_of(more), told())),
        None => Ok(()),
    }
}

/// The exchanges, once none is pending any more (or two seconds have passed).
fn settled(bench: &Bench) -> Vec<Exchange> {
    for _ in 0..200 {
        let exchanges = bench.origin.log().exchanges();
        if !exchanges.iter().any(|e| e.outcome == Outcome::Pending) {
            return exchanges;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    bench.origin.log().exchanges()
}

fn line_of(exchange: &Exchange) -> String {
    format!(
        "{} {} ({} body bytes, {:?}) {:?}",
        exchange.method, exchange.target, exchange.body_bytes, exchange.outcome, exchange.anomalies
    )
}

fn is_plain(exchange: &Exchange, target: &str) -> Result<(), String> {
    canonical(exchange)?;
    // The address that the edge writes shows that the request came through its steps.
    let plain = exchange.method == "GET"
        && exchange.target == target
        && exchange.body_bytes == 0
        && exchange.headers.all("x-forwarded-for") == ["127.0.0.1"];
    if plain { Ok(()) } else { Err(format!("not the request {target}: {}", line_of(exchange))) }
}

/// Complete, and in a form that has one reading only (the origin reads strictly).
fn canonical(exchange: &Exchange) -> Result<(), String> {
    let whole = matches!(exchange.outcome, Outcome::Answered { .. } | Outcome::AsScripted);
    if exchange.anomalies.is_empty() && exchange.headers.all("host").len() == 1 && whole {
        return Ok(());
    }
    Err(format!("not canonical: {}", line_of(exchange)))
}

fn checked(exchange: &Exchange, case: &Case) -> Result<(), String> {
    let headers = &exchange.headers;
    for check in &case.checks {
        let holds = match check {
            Check::Body(bytes) => exchange.body_bytes == *bytes,
            Check::Target(target) => exchange.target == *target,
            Check::Method(method) => exchange.method == *method,
            Check::Has(name, value) => headers.all(name) == [value.as_str()],
            Check::Lacks(name) => headers.get(name).is_none(),
        };
        if !holds {
            return Err(format!("{check:?} does not hold: {} {headers:?}", line_of(exchange)));
        }
    }
    Ok(())
}
