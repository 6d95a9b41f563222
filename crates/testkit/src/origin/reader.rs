//! The receiving half of a connection: heads and bodies, every byte noted before it is looked at.

use std::io;
use std::sync::Arc;

use tokio::io::AsyncReadExt;
use tokio::net::tcp::OwnedReadHalf;

use super::Shared;
use crate::log::Event;
use crate::wire::{self, BodyEnd, CHUNK_LINE_MAX, HEAD_BYTES_MAX};

pub(crate) struct Reader {
    half: OwnedReadHalf,
    shared: Arc<Shared>,
    connection: u64,
    buffer: Vec<u8>,
    start: usize,
    /// Body bytes that may still be kept in the log; heads are always kept.
    body_log_left: Option<u64>,
}

/// Where a body stands.
pub(crate) enum Body {
    Done,
    Length(u64),
    ChunkHead,
    ChunkData(u64),
    Trailers,
}

impl From<BodyEnd> for Body {
    fn from(end: BodyEnd) -> Self {
        match end {
            BodyEnd::Length(n) if n > 0 => Self::Length(n),
            BodyEnd::Chunked => Self::ChunkHead,
            BodyEnd::Length(_) | BodyEnd::None | BodyEnd::Close => Self::Done,
        }
    }
}

const READ_BYTES: usize = 64 * 1024;

impl Reader {
    pub(crate) fn new(half: OwnedReadHalf, shared: Arc<Shared>, connection: u64) -> Self {
        Self { half, shared, connection, buffer: Vec::new(), start: 0, body_log_left: None }
    }

    fn pending(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    fn consume(&mut self, n: usize) {
        self.start += n;
        if self.start == self.buffer.len() {
            self.buffer.clear();
            self.start = 0;
        }
    }

    /// Reads once; 0 at the end of the stream.
    async fn more(&mut self) -> io::Result<usize> {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        let old = self.buffer.len();
        self.buffer.resize(old + READ_BYTES, 0);
        let read = self.half.read(&mut self.buffer[old..]).await;
        let n = *read.as_ref().unwrap_or(&0);
        self.buffer.truncate(old + n);
        self.note(old, n);
        read
    }

    fn note(&mut self, from: usize, n: usize) {
        if n == 0 {
            return;
        }
        let keep = self.body_log_left.map_or(n, |left| n.min(usize::try_from(left).unwrap_or(n)));
        if let Some(left) = &mut self.body_log_left {
            *left -= keep as u64;
        }
        let connection = self.connection;
        let bytes = &self.buffer[from..from + keep];
        if keep > 0 {
            self.shared.log.note(&Event::Received { connection, bytes });
        }
        if keep < n {
            self.shared.log.note(&Event::Elided { connection, bytes: (n - keep) as u64 });
        }
    }

    /// The next head with its final CRLF CRLF; `None` when the peer ended before its first byte.
    ///
    /// # Errors
    /// An end inside the head, or a head over the bound.
    pub(crate) async fn head(&mut self) -> io::Result<Option<Vec<u8>>> {
        self.body_log_left = None;
        loop {
            if let Some(end) = wire::head_end(self.pending()) {
                let head = self.pending()[..end].to_vec();
                self.consume(end);
                return Ok(Some(head));
            }
            if self.pending().len() > HEAD_BYTES_MAX {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "head too long"));
            }
            if self.more().await? == 0 {
                return match self.pending().is_empty() {
                    true => Ok(None),
                    false => Err(io::ErrorKind::UnexpectedEof.into()),
                };
            }
        }
    }

    /// A body is about to be read: from here on only so much of it is kept.
    pub(crate) fn begin_body(&mut self) {
        self.body_log_left = Some(self.shared.options.log_body_bytes_max);
    }

    /// The next piece of a body into `out` (cleared first). `false` when it is complete.
    ///
    /// # Errors
    /// `InvalidData` where chunked framing is wrong, `UnexpectedEof` where the body is cut.
    pub(crate) async fn piece(&mut self, body: &mut Body, out: &mut Vec<u8>) -> io::Result<bool> {
        out.clear();
        loop {
            match *body {
                Body::Done => return Ok(false),
                Body::Length(left) => {
                    let left = left - self.take_into(left, out).await?;
                    *body = if left == 0 { Body::Done } else { Body::Length(left) };
                    return Ok(true);
                }
                Body::ChunkHead => {
                    let line = self.line().await?;
                    *body = match wire::chunk_size(&line).map_err(invalid)? {
                        0 => Body::Trailers,
                        size => Body::ChunkData(size),
                    };
                }
                Body::ChunkData(left) => {
                    let left = left - self.take_into(left, out).await?;
                    *body = Body::ChunkData(left);
                    if left == 0 {
                        if !self.line().await?.is_empty() {
                            return Err(invalid("no CRLF after a chunk".into()));
                        }
                        *body = Body::ChunkHead;
                    }
                    return Ok(true);
                }
                Body::Trailers => {
                    let line = self.line().await?;
                    if line.is_empty() {
                        *body = Body::Done;
                    } else {
                        wire::parse_field(&line).map_err(invalid)?;
                    }
                }
            }
        }
    }

    async fn take_into(&mut self, at_most: u64, out: &mut Vec<u8>) -> io::Result<u64> {
        if self.pending().is_empty() && self.more().await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let n = self.pending().len().min(usize::try_from(at_most).unwrap_or(usize::MAX));
        out.extend_from_slice(&self.pending()[..n]);
        self.consume(n);
        Ok(n as u64)
    }

    async fn line(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Some(at) = memchr::memchr(b'\n', self.pending()) {
                let line = self.pending()[..at].to_vec();
                self.consume(at + 1);
                return match line.strip_suffix(b"\r") {
                    Some(line) if !line.contains(&b'\r') => Ok(line.to_vec()),
                    _ => Err(invalid("bare CR or LF in chunked framing".into())),
                };
            }
            if self.pending().len() > CHUNK_LINE_MAX {
                return Err(invalid("chunk line too long".into()));
            }
            if self.more().await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Waits until the peer goes away; anything it sends meanwhile is noted and dropped.
    pub(crate) async fn wait_for_end(&mut self) {
        loop {
            self.buffer.clear();
            self.start = 0;
            if !matches!(self.more().await, Ok(n) if n > 0) {
                return;
            }
        }
    }

    /// The halves' owner wants the stream back, with what was read too much.
    pub(crate) fn into_parts(self) -> (OwnedReadHalf, Vec<u8>) {
        let left = self.buffer[self.start..].to_vec();
        (self.half, left)
    }
}

fn invalid(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
