//! The book on disk: `KIND CONNECTION LENGTH\n`, LENGTH bytes, `\n`, event after event. The text
//! is readable with a pager and survives the writer being killed at any byte.

use std::io;
use std::path::Path;

use crate::log::{Closing, ConnectionLog, Event, Exchange, Pages};

pub(crate) fn encode(event: &Event<'_>) -> Vec<u8> {
    let (kind, connection, payload) = match event {
        Event::Opened { connection } => ("open", *connection, Vec::new()),
        Event::Received { connection, bytes } => ("recv", *connection, bytes.to_vec()),
        Event::Elided { connection, bytes } => ("skip", *connection, bytes.to_string().into()),
        Event::Began(exchange) => ("begin", exchange.connection, json(exchange)),
        Event::Ended(exchange) => ("end", exchange.connection, json(exchange)),
        Event::Closed { connection, how } => ("close", *connection, json(how)),
    };
    let mut out = format!("{kind} {connection} {}\n", payload.len()).into_bytes();
    out.extend_from_slice(&payload);
    out.push(b'\n');
    out
}

fn json<T: serde::Serialize>(value: &T) -> Vec<u8> {
    // These types have string keys only, which is all that serialising JSON can fail on.
    serde_json::to_vec(value).unwrap_or_default()
}

/// Reads a log file back: the exchanges in the order they began, and the connections. A torn last
/// event (its writer was killed while writing) is left out. Several writers one after the other
/// may have appended; their connections are numbered on.
///
/// # Errors
/// When the file cannot be read, or is no log of an origin.
pub fn read_log_file(path: &Path) -> io::Result<(Vec<Exchange>, Vec<ConnectionLog>)> {
    let bytes = std::fs::read(path)?;
    let mut pages = Pages::default();
    let mut rest = bytes.as_slice();
    let mut base = 0;
    while let Some((line, after)) = split_line(rest) {
        let (kind, connection, length) = head(line).ok_or_else(|| bad("head", line))?;
        let Some(payload) = after.get(..length) else {
            break;
        };
        if after.get(length) != Some(&b'\n') {
            break;
        }
        if kind == "open" && connection == 0 {
            base = pages.connections.len() as u64;
        }
        take(&mut pages, kind, base + connection, payload, base)
            .ok_or_else(|| bad("payload", line))?;
        rest = &after[length + 1..];
    }
    Ok((pages.exchanges, pages.connections))
}

fn take(pages: &mut Pages, kind: &str, connection: u64, payload: &[u8], base: u64) -> Option<()> {
    let exchange = || -> Option<Exchange> {
        let mut exchange: Exchange = serde_json::from_slice(payload).ok()?;
        exchange.connection += base;
        Some(exchange)
    };
    let event = match kind {
        "open" => Event::Opened { connection },
        "recv" => Event::Received { connection, bytes: payload },
        "skip" => {
            let bytes = std::str::from_utf8(payload).ok()?.parse().ok()?;
            Event::Elided { connection, bytes }
        }
        "begin" => Event::Began(exchange()?),
        "end" => Event::Ended(exchange()?),
        "close" => {
            let how: Closing = serde_json::from_slice(payload).ok()?;
            Event::Closed { connection, how }
        }
        _ => return None,
    };
    pages.take(&event, usize::MAX);
    Some(())
}

fn split_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = memchr::memchr(b'\n', bytes)?;
    Some((&bytes[..at], &bytes[at + 1..]))
}

fn head(line: &[u8]) -> Option<(&str, u64, usize)> {
    let mut parts = std::str::from_utf8(line).ok()?.split(' ');
    Some((parts.next()?, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn bad(what: &str, line: &[u8]) -> io::Error {
    let line = String::from_utf8_lossy(&line[..line.len().min(80)]).into_owned();
    io::Error::new(io::ErrorKind::InvalidData, format!("origin log: bad {what} at {line:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::OriginLog;

    #[test]
    fn a_log_reads_back_and_a_torn_end_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("origin.log");
        for _ in 0..2 {
            let log = OriginLog::new(1 << 20, Some(&path)).unwrap();
            let connection = log.open_connection();
            log.note(&Event::Received { connection, bytes: b"GET /\nopen 9 9\n\r\n\0" });
            log.note(&Event::Elided { connection, bytes: 77 });
            log.note(&Event::Closed { connection, how: Closing::Reset });
        }
        let (_, connections) = read_log_file(&path).unwrap();
        assert_eq!(connections.len(), 2);
        assert_eq!(connections[1].received, b"GET /\nopen 9 9\n\r\n\0");
        assert_eq!((connections[1].elided, connections[1].closed), (77, Some(Closing::Reset)));

        let whole = std::fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            read_log_file(&path).unwrap();
        }
        std::fs::write(&path, b"something else\n").unwrap();
        assert!(read_log_file(&path).is_err());
    }
}
