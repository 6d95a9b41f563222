//! An answer's body, compressed as it streams.
//!
//! What has come is given on as soon as the service pauses: a client that waits for the next line
//! of a slow answer does not wait for a full buffer. However much comes at once, a core spends a
//! bounded time on it before others have their turn.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Version};
use http_body::{Body, Frame};

use super::Held;
use super::encoder::Encoder;
use crate::body::{AnswerBody, H2_PIECE_MAX};

/// Compressed at once, bytes: some tenths of a millisecond.
const STEP: usize = 16 * 1024;
/// Compressed before other work of the core has its turn, bytes.
const TURN: usize = 64 * 1024;
/// What is given on while more is there to compress, bytes at least.
const OUT_LEAST: usize = 8 * 1024;

type Polled = Poll<Option<io::Result<Frame<Bytes>>>>;

/// See the module's page.
pub(crate) struct Compressed {
    /// Where it comes from. Dropped last, because with it the request is recorded.
    inner: AnswerBody,
    /// `None` once the end was written.
    encoder: Option<(Encoder, Held)>,
    /// Come and not compressed yet.
    input: Bytes,
    /// Compressed and not given on yet.
    out: Bytes,
    trailers: Option<HeaderMap>,
    /// Something was written since the last flush.
    unflushed: bool,
    piece_max: usize,
    bytes_in: u64,
    bytes_out: u64,
}

impl Compressed {
    pub(super) fn new(inner: AnswerBody, encoder: Encoder, held: Held, version: Version) -> Self {
        Self {
            inner,
            encoder: Some((encoder, held)),
            input: Bytes::new(),
            out: Bytes::new(),
            trailers: None,
            unflushed: false,
            piece_max: if version == Version::HTTP_2 { H2_PIECE_MAX } else { usize::MAX },
            bytes_in: 0,
            bytes_out: 0,
        }
    }

    pub(crate) fn inner(&mut self) -> &mut AnswerBody {
        &mut self.inner
    }

    /// Everything was handed over.
    pub(crate) fn is_over(&self) -> bool {
        self.encoder.is_none() && self.out.is_empty() && self.trailers.is_none()
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Polled {
        let mut turn = TURN;
        loop {
            if !self.out.is_empty() {
                return Poll::Ready(Some(Ok(self.piece())));
            }
            if self.encoder.is_none() {
                return Poll::Ready(
                    self.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))),
                );
            }
            if !self.input.is_empty() {
                if turn == 0 {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                turn = turn.saturating_sub(STEP);
                if let Err(error) = self.step() {
                    return self.fail(error);
                }
                continue;
            }
            let done = match Pin::new(&mut self.inner).poll_frame(cx) {
                Poll::Pending if self.unflushed => self.flush(),
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(frame))) => self.take(frame),
                Poll::Ready(Some(Err(error))) => Err(error),
                Poll::Ready(None) => self.finish(),
            };
            if let Err(error) = done {
                return self.fail(error);
            }
        }
    }

    fn take(&mut self, frame: Frame<Bytes>) -> io::Result<()> {
        match frame.into_data() {
            Ok(data) => {
                self.bytes_in += data.len() as u64;
                self.input = data;
                Ok(())
            }
            Err(trailers) => {
                self.trailers = trailers.into_trailers().ok();
                self.finish()
            }
        }
    }

    /// Compresses a piece of what has come.
    fn step(&mut self) -> io::Result<()> {
        let Some((encoder, _)) = &mut self.encoder else { return Ok(()) };
        let piece = self.input.split_to(self.input.len().min(STEP));
        encoder.write(&piece)?;
        self.unflushed = true;
        if self.input.is_empty() && self.inner.is_end_stream() {
            return self.finish();
        }
        self.out = encoder.take(OUT_LEAST).into();
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.unflushed = false;
        let Some((encoder, _)) = &mut self.encoder else { return Ok(()) };
        encoder.flush()?;
        self.out = encoder.take(0).into();
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        if let Some((encoder, _held)) = self.encoder.take() {
            self.out = encoder.finish()?.into();
        }
        Ok(())
    }

    fn fail(&mut self, error: io::Error) -> Polled {
        self.encoder = None;
        self.out = Bytes::new();
        Poll::Ready(Some(Err(error)))
    }

    fn piece(&mut self) -> Frame<Bytes> {
        let piece = self.out.split_to(self.out.len().min(self.piece_max));
        self.bytes_out += piece.len() as u64;
        let (bytes_in, bytes_out) = (self.bytes_in, self.bytes_out);
        if let Some(finish) = self.inner.finish() {
            finish.compressed(bytes_in, bytes_out);
        }
        Frame::data(piece)
    }
}
