//! Bodies on their way through: what the client sends, within its limits, and what it is answered.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use plimsoll_base::{Deadline, Nanos, SharedClock};

use crate::guard::LazyTimer;
use crate::record::Finish;
use crate::upstream::Pooled;

/// What became of a request's body, seen from outside while it is being sent.
#[derive(Debug, Default)]
pub(crate) struct InboundState {
    outcome: AtomicU8,
    bytes: AtomicU64,
}

/// How far a request's body has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InboundOutcome {
    /// Not all of it has come.
    Underway,
    /// All of it has been passed on.
    Complete,
    /// It exceeded `body_bytes_max`.
    TooLarge,
    /// The client sent nothing for `body_idle_timeout`.
    TooSlow,
    /// The client went away or sent what is no body.
    Broken,
}

impl InboundState {
    pub(crate) fn outcome(&self) -> InboundOutcome {
        match self.outcome.load(Ordering::Relaxed) {
            0 => InboundOutcome::Underway,
            1 => InboundOutcome::Complete,
            2 => InboundOutcome::TooLarge,
            3 => InboundOutcome::TooSlow,
            _ => InboundOutcome::Broken,
        }
    }

    /// Bytes passed on so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    fn set(&self, outcome: InboundOutcome) {
        self.outcome.store(outcome as u8, Ordering::Relaxed);
    }
}

/// A request's body on its way to the service: counted, bounded, and cut when it stalls.
pub(crate) enum InboundBody {
    /// Nothing to send.
    Empty,
    /// Straight from the client.
    Streamed(Box<Streamed>),
}

pub(crate) struct Streamed {
    incoming: Incoming,
    state: Arc<InboundState>,
    left: u64,
    idle: Duration,
    clock: SharedClock,
    timer: LazyTimer,
    waiting_since: Option<Nanos>,
}

/// Bounds of a request's body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InboundLimits {
    /// Bytes at most.
    pub(crate) bytes_max: u64,
    /// The longest pause.
    pub(crate) idle: Duration,
}

impl InboundBody {
    /// Wraps a body; `None` for the state when there is nothing to send.
    pub(crate) fn new(
        incoming: Incoming,
        limits: InboundLimits,
        clock: &SharedClock,
    ) -> (Self, Option<Arc<InboundState>>) {
        if incoming.is_end_stream() {
            return (Self::Empty, None);
        }
        let state = Arc::new(InboundState::default());
        let streamed = Streamed {
            incoming,
            state: Arc::clone(&state),
            left: limits.bytes_max,
            idle: limits.idle,
            clock: Arc::clone(clock),
            timer: LazyTimer::default(),
            waiting_since: None,
        };
        (Self::Streamed(Box::new(streamed)), Some(state))
    }
}

type Polled<E> = Poll<Option<Result<Frame<Bytes>, E>>>;

impl Streamed {
    fn poll(&mut self, cx: &mut Context<'_>) -> Polled<io::Error> {
        let polled = match Pin::new(&mut self.incoming).poll_frame(cx) {
            Poll::Pending => {
                let since = *self.waiting_since.get_or_insert_with(|| self.clock.now());
                if self.timer.expired(since.plus(self.idle), &self.clock, cx) {
                    return self.fail(InboundOutcome::TooSlow, io::ErrorKind::TimedOut);
                }
                return Poll::Pending;
            }
            Poll::Ready(polled) => polled,
        };
        self.waiting_since = None;
        match polled {
            None => {
                self.state.set(InboundOutcome::Complete);
                Poll::Ready(None)
            }
            Some(Err(error)) => {
                self.state.set(InboundOutcome::Broken);
                Poll::Ready(Some(Err(io::Error::other(error))))
            }
            Some(Ok(frame)) => {
                let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
                let Some(left) = self.left.checked_sub(bytes) else {
                    return self.fail(InboundOutcome::TooLarge, io::ErrorKind::FileTooLarge);
                };
                self.left = left;
                self.state.bytes.fetch_add(bytes, Ordering::Relaxed);
                if self.incoming.is_end_stream() {
                    self.state.set(InboundOutcome::Complete);
                }
                Poll::Ready(Some(Ok(frame)))
            }
        }
    }

    fn fail(&self, outcome: InboundOutcome, kind: io::ErrorKind) -> Polled<io::Error> {
        self.state.set(outcome);
        Poll::Ready(Some(Err(kind.into())))
    }
}

impl Body for InboundBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled<io::Error> {
        match &mut *self {
            Self::Empty => Poll::Ready(None),
            Self::Streamed(streamed) => streamed.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Streamed(streamed) => streamed.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Streamed(streamed) => streamed.incoming.size_hint(),
        }
    }
}

/// What a client is answered.
pub(crate) enum AnswerBody {
    /// Made by the edge itself; recorded when it has been handed over.
    Own(Option<Bytes>, Option<Box<Finish>>),
    /// Passed on from a service.
    Upstream(Box<UpstreamBody>),
}

/// A service's answer on its way to the client. When it has been read whole the connection goes
/// back to its pool; whatever happens, the request is recorded once, when this is dropped.
pub(crate) struct UpstreamBody {
    incoming: Incoming,
    connection: Option<Pooled>,
    request: Option<Arc<InboundState>>,
    finish: Box<Finish>,
    deadline: Option<Deadline>,
    idle: Duration,
    waiting_since: Option<Nanos>,
    timer: LazyTimer,
    clock: SharedClock,
}

/// Time limits while an answer's body is passed on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AnswerLimits {
    /// The request's deadline; `None` for streams.
    pub(crate) deadline: Option<Deadline>,
    /// The longest pause of the service.
    pub(crate) idle: Duration,
}

impl UpstreamBody {
    pub(crate) fn new(
        incoming: Incoming,
        connection: Option<Pooled>,
        request: Option<Arc<InboundState>>,
        finish: Box<Finish>,
        limits: AnswerLimits,
        clock: &SharedClock,
    ) -> Self {
        Self {
            incoming,
            connection,
            request,
            finish,
            deadline: limits.deadline,
            idle: limits.idle,
            waiting_since: None,
            timer: LazyTimer::default(),
            clock: Arc::clone(clock),
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Polled<io::Error> {
        let polled = match Pin::new(&mut self.incoming).poll_frame(cx) {
            Poll::Ready(polled) => polled,
            Poll::Pending => {
                let now = self.clock.now();
                let since = *self.waiting_since.get_or_insert(now);
                let idle_at = since.plus(self.idle);
                let at = self.deadline.map_or(idle_at, |d| idle_at.min(now.plus(d.left(now))));
                if self.timer.expired(at, &self.clock, cx) {
                    self.finish.cut_by_edge();
                    return Poll::Ready(Some(Err(io::ErrorKind::TimedOut.into())));
                }
                return Poll::Pending;
            }
        };
        self.waiting_since = None;
        Poll::Ready(match polled {
            Some(Ok(frame)) => {
                self.finish.sent(frame.data_ref().map_or(0, Bytes::len));
                Some(Ok(frame))
            }
            Some(Err(error)) => {
                self.finish.cut_by_upstream();
                Some(Err(io::Error::other(error)))
            }
            None => None,
        })
    }

    fn request_sent(&self) -> bool {
        self.request.as_ref().is_none_or(|state| state.outcome() == InboundOutcome::Complete)
    }
}

impl Drop for UpstreamBody {
    fn drop(&mut self) {
        if self.incoming.is_end_stream() {
            self.finish.complete();
            if self.request_sent()
                && let Some(connection) = self.connection.take()
            {
                connection.give_back(&self.clock);
            }
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled<io::Error> {
        match &mut *self {
            Self::Own(bytes, finish) => {
                let bytes = bytes.take().filter(|bytes| !bytes.is_empty());
                if let Some(finish) = finish {
                    finish.sent(bytes.as_ref().map_or(0, Bytes::len));
                    finish.complete();
                }
                Poll::Ready(bytes.map(|bytes| Ok(Frame::data(bytes))))
            }
            Self::Upstream(body) => {
                let polled = ready!(body.poll(cx));
                Poll::Ready(polled)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own(bytes, _) => bytes.as_ref().is_none_or(Bytes::is_empty),
            Self::Upstream(body) => body.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own(bytes, _) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Self::Upstream(body) => body.incoming.size_hint(),
        }
    }
}
