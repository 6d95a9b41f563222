//! What hyper refuses by itself (a head it cannot parse) it answers with a bare status line. Every
//! answer of the edge is a problem document (RFC 9457), so that line is completed on its way out.
//!
//! hyper writes such a refusal as the whole answer, `content-length: 0`, while no request is under
//! way, and closes the connection after it. Every answer of the stack carries the request's id, so
//! the two cannot be mistaken for each other.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use plimsoll_http_kit::{Code, Problem};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::guard::ConnState;

/// hyper's refusals and what they become.
const REFUSALS: [(&[u8], Code); 3] = [
    (b"HTTP/1.1 400 ", Code::BadHead),
    (b"HTTP/1.1 414 ", Code::TargetTooLong),
    (b"HTTP/1.1 431 ", Code::HeadersTooLarge),
];

/// A socket whose bare refusals become problem documents.
#[derive(Debug)]
pub(crate) struct RefusalWriter<S> {
    io: S,
    state: Arc<ConnState>,
    replacement: Option<Replacement>,
    /// Everything written before has left and no request is under way: only then can what is
    /// written next be a refusal of hyper's, and never a piece of somebody's body.
    clean: bool,
}

#[derive(Debug)]
struct Replacement {
    bytes: Vec<u8>,
    written: usize,
    /// How many bytes hyper believes it has written.
    stands_for: usize,
}

impl<S> RefusalWriter<S> {
    pub(crate) fn new(io: S, state: Arc<ConnState>) -> Self {
        Self { io, state, replacement: None, clean: true }
    }

    fn replacement_for(&self, head: &[u8]) -> Option<Replacement> {
        if self.state.in_flight() > 0 || self.state.is_upgraded() {
            return None;
        }
        let (_, code) = REFUSALS.iter().find(|(start, _)| head.starts_with(start))?;
        let lower = head.to_ascii_lowercase();
        let bare = lower.ends_with(b"\r\n\r\n")
            && memchr::memmem::find(&lower, b"content-length: 0").is_some()
            && memchr::memmem::find(&lower, b"x-request-id").is_none();
        if !bare {
            return None;
        }
        let status = code.status();
        let body = Problem::new(*code).to_json();
        let mut bytes = format!(
            "HTTP/1.1 {} {}\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\n\
             cache-control: no-store\r\nconnection: close\r\n\r\n",
            status.as_u16(),
            status.canonical_reason().unwrap_or_default(),
            body.len()
        )
        .into_bytes();
        bytes.extend_from_slice(&body);
        Some(Replacement { bytes, written: 0, stands_for: head.len() })
    }
}

impl<S: AsyncWrite + Unpin> RefusalWriter<S> {
    fn write_replacement(
        &mut self,
        cx: &mut Context<'_>,
        mut replacement: Replacement,
    ) -> Poll<io::Result<usize>> {
        while replacement.written < replacement.bytes.len() {
            let rest = &replacement.bytes[replacement.written..];
            match Pin::new(&mut self.io).poll_write(cx, rest) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(written)) => replacement.written += written,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    self.replacement = Some(replacement);
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(Ok(replacement.stands_for))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for RefusalWriter<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for RefusalWriter<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if let Some(replacement) = self.replacement.take() {
            return self.write_replacement(cx, replacement);
        }
        if std::mem::take(&mut self.clean)
            && let Some(replacement) = self.replacement_for(buf)
        {
            return self.write_replacement(cx, replacement);
        }
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // A refusal is one buffer: hyper has no body to put beside its head.
        if let [only] = bufs {
            return self.poll_write(cx, only);
        }
        self.clean = false;
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(replacement) = self.replacement.take() {
            ready!(self.write_replacement(cx, replacement))?;
        }
        ready!(Pin::new(&mut self.io).poll_flush(cx))?;
        self.clean = self.state.in_flight() == 0;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const REFUSAL: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";

    #[tokio::test]
    async fn a_refusal_of_hypers_becomes_a_problem_document() {
        let (mut client, io) = tokio::io::duplex(4096);
        let mut writer = RefusalWriter::new(io, Arc::new(ConnState::default()));
        writer.write_all(REFUSAL).await.unwrap();
        writer.flush().await.unwrap();
        drop(writer);
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.contains("application/problem+json"), "{answer}");
        assert!(answer.contains("PLM-EDGE-0013"), "{answer}");
    }

    #[tokio::test]
    async fn a_body_that_looks_like_a_refusal_is_left_as_it_is() {
        let (mut client, io) = tokio::io::duplex(4096);
        let state = Arc::new(ConnState::default());
        let mut writer = RefusalWriter::new(io, Arc::clone(&state));
        state.request_begins();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", REFUSAL.len());
        writer.write_all(head.as_bytes()).await.unwrap();
        writer.flush().await.unwrap();
        // The body's last piece is written after the request has been counted as ended.
        state.request_ends(plimsoll_base::Nanos(0));
        writer.write_all(REFUSAL).await.unwrap();
        writer.flush().await.unwrap();
        drop(writer);
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer, [head.as_bytes(), REFUSAL].concat());
    }
}
