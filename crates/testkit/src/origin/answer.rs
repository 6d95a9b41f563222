//! The sending half: heads and bodies as the script says.

use std::fmt::Write as _;
use std::io;
use std::time::Duration;

use tokio::io::AsyncWriteExt;

use super::ID_HEADER;
use super::connection::Line;
use super::reader::Body;
use crate::body::{BODY_DIGEST_HEADER, BODY_LENGTH_HEADER, BodyDigest, BodyPattern};
use crate::log::{Closing, Exchange};
use crate::script::{Answer, Cut, Framing, KeepAlive, Script};

/// How an answer went out.
pub(crate) enum Sent {
    Whole { body_bytes: u64 },
    Cut(Closing),
}

const PIECE: usize = 64 * 1024;
/// A paced body goes out in ticks of this length.
const TICK: Duration = Duration::from_millis(100);

pub(crate) async fn send(
    line: &mut Line,
    exchange: &mut Exchange,
    script: &Script,
    body: &mut Body,
) -> io::Result<Sent> {
    match &script.answer {
        Answer::Raw(bytes) => {
            line.writer.write_all(bytes).await?;
            line.writer.shutdown().await?;
            Ok(Sent::Cut(Closing::ByOrigin))
        }
        Answer::Sse { events, every } => send_events(line, exchange, script, *events, *every).await,
        Answer::Echo => send_echo(line, exchange, script, body).await,
        _ => send_body(line, exchange, script).await,
    }
}

/// The head of an answer. `length` is `None` for chunked or until-close bodies.
pub(crate) fn head(exchange: &Exchange, script: &Script, framing: &str, kind: &str) -> String {
    let mut head = format!("HTTP/1.1 {} Scripted\r\n", script.status);
    if let Some(id) = &exchange.id {
        write!(head, "{ID_HEADER}: {id}\r\n").ok();
    }
    if let Some(id) = exchange.headers.get("x-request-id") {
        write!(head, "x-origin-request-id: {id}\r\n").ok();
    }
    let digest = exchange.body_digest.as_deref().unwrap_or("unread");
    write!(head, "{BODY_DIGEST_HEADER}: {digest}\r\n").ok();
    write!(head, "{BODY_LENGTH_HEADER}: {}\r\n", exchange.body_bytes).ok();
    if !kind.is_empty() {
        write!(head, "content-type: {kind}\r\n").ok();
    }
    if script.keep_alive == KeepAlive::Close {
        head.push_str("connection: close\r\n");
    }
    for (name, value) in &script.headers {
        write!(head, "{name}: {value}\r\n").ok();
    }
    head.push_str(framing);
    head.push_str("\r\n");
    head
}

/// HEAD, 204, 205 and 304 have no body whatever the fields say (RFC 9110, 6.4.1; 205 in 15.3.6).
fn is_bodiless(exchange: &Exchange, script: &Script) -> bool {
    exchange.method == "HEAD" || matches!(script.status, 204 | 205 | 304)
}

async fn send_body(line: &mut Line, exchange: &Exchange, script: &Script) -> io::Result<Sent> {
    let framing = match script.framing {
        Framing::Length if matches!(script.status, 204 | 304) => String::new(),
        Framing::Length => format!("content-length: {}\r\n", script.body),
        Framing::Chunked { .. } => "transfer-encoding: chunked\r\n".into(),
        Framing::Close => String::new(),
    };
    let head = head(exchange, script, &framing, "application/octet-stream");
    let bare = is_bodiless(exchange, script);
    let total = if bare { 0 } else { script.body };
    let pattern = BodyPattern::new(exchange.id.as_deref().unwrap_or(""));
    let mut out = Outgoing { line, script, held: head.into_bytes() };
    let mut sent = 0;
    let end = match script.cut {
        Some(Cut::Fin(n) | Cut::Reset(n) | Cut::Stall(n)) if !bare => n.min(total),
        _ => total,
    };
    let step = match script.framing {
        Framing::Chunked { size, .. } => size.clamp(1, 1 << 20),
        _ => PIECE,
    };
    let mut piece = Vec::new();
    while sent < end {
        let n = step.min(usize::try_from(end - sent).unwrap_or(step));
        piece.resize(n, 0);
        pattern.fill(sent, &mut piece);
        out.piece(&piece).await?;
        sent += n as u64;
    }
    if end < total || (script.cut.is_some() && !bare) {
        return out.cut(script.cut).await;
    }
    out.finish(bare, exchange.id.as_deref()).await?;
    Ok(Sent::Whole { body_bytes: sent })
}

/// Collects an answer so that a small one leaves in one write, and paces where the script does.
struct Outgoing<'a> {
    line: &'a mut Line,
    script: &'a Script,
    held: Vec<u8>,
}

impl Outgoing<'_> {
    async fn piece(&mut self, bytes: &[u8]) -> io::Result<()> {
        let chunked = matches!(self.script.framing, Framing::Chunked { .. });
        if chunked {
            self.held.extend_from_slice(format!("{:x}\r\n", bytes.len()).as_bytes());
        }
        if let Some(pace) = self.script.pace {
            self.flush().await?;
            let step = usize::try_from((pace / 10).max(1)).unwrap_or(1);
            let pause = if pace < 10 { TICK * u32::try_from(10 / pace).unwrap_or(1) } else { TICK };
            for some in bytes.chunks(step) {
                self.line.writer.write_all(some).await?;
                tokio::time::sleep(pause).await;
            }
        } else {
            self.held.extend_from_slice(bytes);
        }
        if chunked {
            self.held.extend_from_slice(b"\r\n");
        }
        if self.held.len() >= PIECE { self.flush().await } else { Ok(()) }
    }

    async fn flush(&mut self) -> io::Result<()> {
        self.line.writer.write_all(&self.held).await?;
        self.held.clear();
        Ok(())
    }

    async fn finish(&mut self, bare: bool, id: Option<&str>) -> io::Result<()> {
        if let (false, Framing::Chunked { trailers, .. }) = (bare, self.script.framing) {
            let trailer = match trailers {
                true => format!("x-trailer: {}\r\n", id.unwrap_or("")),
                false => String::new(),
            };
            self.held.extend_from_slice(format!("0\r\n{trailer}\r\n").as_bytes());
        }
        self.flush().await
    }

    async fn cut(mut self, cut: Option<Cut>) -> io::Result<Sent> {
        self.flush().await?;
        match cut {
            Some(Cut::Stall(_)) => {
                self.line.reader.wait_for_end().await;
                Ok(Sent::Cut(Closing::ByPeer))
            }
            Some(Cut::Reset(_)) => {
                // A reset overtakes what is still in the send queue; give that time to leave.
                tokio::time::sleep(Duration::from_millis(30)).await;
                Ok(Sent::Cut(Closing::Reset))
            }
            Some(Cut::Fin(_)) | None => {
                self.line.writer.shutdown().await?;
                Ok(Sent::Cut(Closing::ByOrigin))
            }
        }
    }
}

async fn send_echo(
    line: &mut Line,
    exchange: &mut Exchange,
    script: &Script,
    body: &mut Body,
) -> io::Result<Sent> {
    let length = match body {
        Body::Done => Some(0),
        Body::Length(n) => Some(*n),
        _ => None,
    };
    let framing = length
        .map_or("transfer-encoding: chunked\r\n".into(), |n| format!("content-length: {n}\r\n"));
    let kind = exchange.headers.get("content-type").unwrap_or("application/octet-stream");
    let head = head(exchange, script, &framing, kind);
    line.writer.write_all(head.as_bytes()).await?;
    let mut digest = BodyDigest::new();
    let mut piece = Vec::new();
    while line.reader.piece(body, &mut piece).await? {
        digest.update(&piece);
        exchange.body_bytes = digest.bytes();
        if length.is_none() {
            line.writer.write_all(format!("{:x}\r\n", piece.len()).as_bytes()).await?;
            piece.extend_from_slice(b"\r\n");
        }
        line.writer.write_all(&piece).await?;
    }
    if length.is_none() {
        line.writer.write_all(b"0\r\n\r\n").await?;
    }
    let body_bytes = digest.bytes();
    exchange.body_digest = Some(digest.finish());
    Ok(Sent::Whole { body_bytes })
}

async fn send_events(
    line: &mut Line,
    exchange: &Exchange,
    script: &Script,
    events: u32,
    every: Duration,
) -> io::Result<Sent> {
    let framing = "cache-control: no-store\r\ntransfer-encoding: chunked\r\n";
    let head = head(exchange, script, framing, "text/event-stream");
    line.writer.write_all(head.as_bytes()).await?;
    let mut body_bytes = 0;
    for number in 0..events {
        let id = exchange.id.as_deref().unwrap_or("");
        let event = format!("id: {number}\ndata: {id} {number}\n\n");
        body_bytes += event.len() as u64;
        let chunk = format!("{:x}\r\n{event}\r\n", event.len());
        line.writer.write_all(chunk.as_bytes()).await?;
        tokio::time::sleep(every).await;
    }
    line.writer.write_all(b"0\r\n\r\n").await?;
    Ok(Sent::Whole { body_bytes })
}
