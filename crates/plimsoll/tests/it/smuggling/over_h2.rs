//! Cases over HTTP/2: what becomes of them when they are written as HTTP/1.1 for the origin.

use super::corpus::{Case, Expect};
use super::h2_wire::{Connection, Fate};
use super::judge::{Bench, book};

/// Runs a case of HTTP/2 fields on stream 1 and a canary on stream 3 of the same connection.
pub(crate) fn request(bench: &Bench, case: &Case) -> Result<(), String> {
    let io = |e: std::io::Error| format!("HTTP/2: {e}");
    bench.origin.log().clear();
    let mut connection = Connection::open(bench.addr).map_err(io)?;
    connection.send(1, &case.fields, case.data.as_deref(), &case.trailers).map_err(io)?;
    let fate = connection.fate(1).map_err(io)?;
    let goes_on = match (case.expect, &fate) {
        (Expect::Forwarded(status), Fate::Answered(got, 64)) if status == *got => true,
        (Expect::RefusedKept(status), Fate::Answered(got, _)) if status == *got => true,
        (Expect::Reset, Fate::Reset(_)) => true,
        (Expect::Reset, Fate::Closed) => false,
        (Expect::Cut, Fate::Reset(_)) => true,
        (Expect::Cut, Fate::Answered(400, _)) => true,
        (expected, fate) => return Err(format!("{expected:?}, but {fate:?}")),
    };
    if goes_on {
        let canary = [
            (":method", "GET"),
            (":scheme", "http"),
            (":authority", "edge.example"),
            (":path", "/canary"),
            ("x-test-id", "canary"),
        ];
        let canary: Vec<_> =
            canary.iter().map(|(n, v)| (n.as_bytes().to_vec(), v.as_bytes().to_vec())).collect();
        connection.send(3, &canary, None, &[]).map_err(io)?;
        match connection.fate(3).map_err(io)? {
            Fate::Answered(200, 64) => {}
            other => return Err(format!("the canary: {other:?}")),
        }
    }
    drop(connection);
    bench.victim()?;
    book(bench, case, goes_on)
}
