//! Bodies on their way through: what the client sends, within its limits, and what it is answered.

mod held;
mod stop;
mod unasked;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Version};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use plimsoll_base::{Nanos, SharedClock};
use plimsoll_http_kit::hygiene::strip_trailers;

use crate::admission::Slot;
use crate::compress::Compressed;
use crate::lazy_timer::LazyTimer;
use crate::record::Finish;
use crate::stall;
use crate::steps::cache::Tee;
use crate::upstream::{Pooled, Watch};

pub(crate) use held::{Held, NotHeld, Place};
pub(crate) use stop::AtStop;
use stop::Stop;
pub(crate) use unasked::Unasked;

/// What became of a request's body, seen from outside while it is being sent.
#[derive(Debug, Default)]
pub(crate) struct InboundState {
    outcome: AtomicU8,
    bytes: AtomicU64,
    ended: AtomicU64,
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

    /// When all of it had been passed on; zero before.
    pub(crate) fn ended(&self) -> Nanos {
        Nanos(self.ended.load(Ordering::Relaxed))
    }

    fn complete(&self, now: Nanos) {
        if self.outcome() == InboundOutcome::Underway {
            self.ended.store(now.0, Ordering::Relaxed);
            self.set(InboundOutcome::Complete);
        }
    }

    /// It is sent from its beginning once more.
    fn begin_anew(&self) {
        self.bytes.store(0, Ordering::Relaxed);
        self.set(InboundOutcome::Underway);
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
    /// Read before anything was sent.
    Held(Box<held::Sending>),
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
    /// A body that is held, to be sent once more; as [`Self::new`].
    pub(crate) fn held(held: &Arc<Held>, clock: &SharedClock) -> (Self, Option<Arc<InboundState>>) {
        match held.send(clock) {
            Some((sending, state)) => (Self::Held(Box::new(sending)), Some(state)),
            None => (Self::Empty, None),
        }
    }

    /// Wraps a body; `None` for the state when there is nothing to send.
    pub(crate) fn new(
        incoming: Option<Incoming>,
        limits: InboundLimits,
        clock: &SharedClock,
    ) -> (Self, Option<Arc<InboundState>>) {
        let Some(incoming) = incoming.filter(|incoming| !incoming.is_end_stream()) else {
            return (Self::Empty, None);
        };
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

impl InboundBody {
    /// The same body once more, from its beginning; `None` where it can be read only once.
    pub(crate) fn again(&self) -> Option<Self> {
        match self {
            Self::Empty => Some(Self::Empty),
            Self::Held(sending) => Some(Self::Held(Box::new(sending.again()))),
            Self::Streamed(_) => None,
        }
    }

    /// Says that what was sent of it before does not count any more.
    pub(crate) fn begin_anew(self) -> Self {
        if let Self::Held(sending) = &self {
            sending.begin_anew();
        }
        self
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
                self.state.complete(self.clock.now());
                Poll::Ready(None)
            }
            Some(Err(error)) => {
                self.state.set(InboundOutcome::Broken);
                Poll::Ready(Some(Err(io::Error::other(error))))
            }
            Some(Ok(frame)) => {
                let Some(frame) = without_forged_trailers(frame) else {
                    self.state.complete(self.clock.now());
                    return Poll::Ready(None);
                };
                let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
                let Some(left) = self.left.checked_sub(bytes) else {
                    return self.fail(InboundOutcome::TooLarge, io::ErrorKind::FileTooLarge);
                };
                self.left = left;
                self.state.bytes.fetch_add(bytes, Ordering::Relaxed);
                if self.incoming.is_end_stream() || frame.is_trailers() {
                    self.state.complete(self.clock.now());
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

/// The frame as it may be passed on: trailers without what frames, routes, authenticates or
/// identifies. `None` for trailers of which nothing is left, so that the body simply ends.
fn without_forged_trailers(mut frame: Frame<Bytes>) -> Option<Frame<Bytes>> {
    if let Some(trailers) = frame.trailers_mut() {
        strip_trailers(trailers);
        if trailers.is_empty() {
            return None;
        }
    }
    Some(frame)
}

impl Body for InboundBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled<io::Error> {
        match &mut *self {
            Self::Empty => Poll::Ready(None),
            Self::Streamed(streamed) => streamed.poll(cx),
            Self::Held(sending) => sending.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Streamed(streamed) => streamed.incoming.is_end_stream(),
            Self::Held(sending) => sending.is_end(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Streamed(streamed) => streamed.incoming.size_hint(),
            Self::Held(sending) => sending.size_hint(),
        }
    }
}

/// What a client is answered.
pub(crate) enum AnswerBody {
    /// Made by the edge itself; recorded when it has been handed over.
    Own(Option<Bytes>, Option<Box<Finish>>),
    /// Passed on from a service.
    Upstream(Box<UpstreamBody>),
    /// One of the others, compressed on its way.
    Compressed(Box<Compressed>),
}

impl AnswerBody {
    /// The request's record, until it was written.
    pub(crate) fn finish(&mut self) -> Option<&mut Finish> {
        match self {
            Self::Own(_, finish) => finish.as_deref_mut(),
            Self::Upstream(body) => Some(&mut body.finish),
            Self::Compressed(body) => body.inner().finish(),
        }
    }
}

/// A service's answer on its way to the client. When it has been read whole the connection goes
/// back to its pool; whatever happens, the request is recorded once, when this is dropped.
pub(crate) struct UpstreamBody {
    incoming: Incoming,
    /// What is left of a piece that was too large to be handed on at once.
    rest: Bytes,
    piece_max: usize,
    /// The end has been seen; a body without a length does not know by itself that it has ended.
    ended: bool,
    connection: Option<Pooled>,
    watch: Option<Box<Watch>>,
    /// Given back when the service has said all.
    slot: Option<Slot>,
    /// Keeps what passes, for the cache.
    tee: Option<Box<Tee>>,
    finish: Box<Finish>,
    left: Option<Duration>,
    idle: Duration,
    waiting_since: Option<Nanos>,
    timer: LazyTimer,
    stop: Option<Stop>,
}

/// The most of an answer that an HTTP/2 stream takes at once, bytes: it waits there until the
/// client opens its window, and a client that takes so much in `write_stall_timeout` is alive.
pub(crate) const H2_PIECE_MAX: usize = 16 * 1024;

/// Time limits while an answer's body is passed on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AnswerLimits {
    /// How long the service may still be waited for, all pauses together; `None` for streams. What
    /// the client takes to read is its own affair.
    pub(crate) left: Option<Duration>,
    /// The longest pause of the service.
    pub(crate) idle: Duration,
    /// What becomes of it when the process has to stop.
    pub(crate) at_stop: AtStop,
}

impl UpstreamBody {
    /// `begun` is what was read of it already.
    pub(crate) fn new(
        incoming: Incoming,
        begun: Bytes,
        (connection, watch, slot): (Option<Pooled>, Option<Box<Watch>>, Option<Slot>),
        finish: Box<Finish>,
        limits: AnswerLimits,
        tee: Option<Box<Tee>>,
    ) -> Self {
        let phase = || finish.exchange.context.core.phase.clone();
        let slot = slot.filter(|_| !incoming.is_end_stream());
        Self {
            incoming,
            stop: Stop::new(limits.at_stop, phase),
            rest: begun,
            piece_max: match finish.exchange.version {
                Version::HTTP_2 => H2_PIECE_MAX,
                _ => usize::MAX,
            },
            ended: false,
            connection,
            watch,
            slot,
            tee,
            finish,
            left: limits.left,
            idle: limits.idle,
            waiting_since: None,
            timer: LazyTimer::default(),
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Polled<io::Error> {
        if !self.rest.is_empty() {
            let rest = std::mem::take(&mut self.rest);
            return Poll::Ready(Some(Ok(self.piece(rest))));
        }
        // First, because a service that always has more would never let it be asked.
        if let Poll::Ready(end) = self.poll_stop(cx) {
            return Poll::Ready(end.map(Err));
        }
        let polled = match Pin::new(&mut self.incoming).poll_frame(cx) {
            Poll::Ready(polled) => polled,
            Poll::Pending => {
                let clock = &self.finish.exchange.context.core.clock;
                let since = *self.waiting_since.get_or_insert_with(|| clock.now());
                let at = since.plus(self.left.map_or(self.idle, |left| left.min(self.idle)));
                if self.timer.expired(at, clock, cx) {
                    self.finish.cut_by_edge();
                    return Poll::Ready(Some(Err(io::ErrorKind::TimedOut.into())));
                }
                return Poll::Pending;
            }
        };
        if let Some(since) = self.waiting_since.take()
            && let Some(left) = &mut self.left
        {
            let now = self.finish.exchange.context.core.clock.now();
            *left = left.saturating_sub(now.since(since));
        }
        if self.slot.is_some() && self.incoming.is_end_stream() {
            self.slot = None;
        }
        Poll::Ready(match polled {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => {
                    self.keep(&data);
                    Some(Ok(self.piece(data)))
                }
                Err(trailers) => {
                    self.ended = true;
                    self.tell(trailers.trailers_ref());
                    self.tee = None;
                    without_forged_trailers(trailers).map(Ok)
                }
            },
            Some(Err(error)) => {
                self.finish.cut_by_upstream();
                self.tell(None);
                Some(Err(io::Error::other(error)))
            }
            None => {
                (self.ended, self.slot) = (true, None);
                if let Some(mut tee) = self.tee.take() {
                    tee.finish();
                }
                None
            }
        })
    }

    /// How a call ended, to the breaker that wants to know.
    fn tell(&mut self, trailers: Option<&HeaderMap>) {
        if let Some(watch) = self.watch.take() {
            let exchange = &self.finish.exchange;
            watch.ended(&exchange.context.core, exchange.service(), trailers);
        }
    }

    /// The cache has an answer before the client has its end, so that whoever asks next finds it.
    fn keep(&mut self, data: &Bytes) {
        let Some(tee) = &mut self.tee else { return };
        tee.push(data);
        if self.incoming.is_end_stream() {
            tee.finish();
        }
    }

    /// Ready when the process stops and this is not waited for: with an error where it is broken
    /// off in the middle.
    fn poll_stop(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Error>> {
        if self.stop.is_none() || self.is_whole() {
            return Poll::Pending;
        }
        let Some(stop) = &mut self.stop else { return Poll::Pending };
        let end = ready!(stop.poll(cx));
        self.stop = None;
        match end {
            Some(_) => self.finish.cut_by_stop(),
            // The client is told by the end, so it was answered as far as it could be.
            None => self.finish.complete(),
        }
        Poll::Ready(end)
    }

    fn piece(&mut self, mut data: Bytes) -> Frame<Bytes> {
        if data.len() > self.piece_max {
            self.rest = data.split_off(self.piece_max);
        }
        self.finish.sent(data.len());
        Frame::data(data)
    }

    fn is_whole(&self) -> bool {
        self.rest.is_empty() && (self.ended || self.incoming.is_end_stream())
    }

    fn request_sent(&self) -> bool {
        let request = self.finish.exchange.body.as_ref();
        request.is_none_or(|state| state.outcome() == InboundOutcome::Complete)
    }
}

impl Drop for UpstreamBody {
    fn drop(&mut self) {
        if self.is_whole() {
            self.finish.complete();
            if self.request_sent()
                && let Some(connection) = self.connection.take()
            {
                let now = self.finish.exchange.context.core.clock.now();
                self.finish.end_at(now);
                connection.give_back(now);
            }
        }
    }
}

/// The next piece of an answer that is here whole.
fn own_piece(bytes: &mut Option<Bytes>, finish: Option<&Finish>) -> Option<Bytes> {
    let over_http2 = finish.is_some_and(|finish| finish.exchange.version == Version::HTTP_2);
    match bytes {
        Some(rest) if over_http2 && rest.len() > H2_PIECE_MAX => Some(rest.split_to(H2_PIECE_MAX)),
        _ => bytes.take().filter(|bytes| !bytes.is_empty()),
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled<io::Error> {
        match &mut *self {
            Self::Own(bytes, finish) => {
                let piece = own_piece(bytes, finish.as_deref());
                if let Some(finish) = finish {
                    finish.sent(piece.as_ref().map_or(0, Bytes::len));
                    if bytes.is_none() {
                        finish.complete();
                    }
                }
                stall::note_polled(true);
                Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
            }
            Self::Upstream(body) => {
                let polled = body.poll(cx);
                stall::note_polled(polled.is_ready());
                polled
            }
            Self::Compressed(body) => {
                let polled = body.poll(cx);
                stall::note_polled(polled.is_ready());
                polled
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own(bytes, _) => bytes.as_ref().is_none_or(Bytes::is_empty),
            Self::Upstream(body) => body.is_whole(),
            Self::Compressed(body) => body.is_over(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own(bytes, _) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Self::Upstream(body) if body.rest.is_empty() => body.incoming.size_hint(),
            // Its length stands in the head, where there is one.
            Self::Upstream(_) => SizeHint::default(),
            Self::Compressed(_) => SizeHint::default(),
        }
    }
}
