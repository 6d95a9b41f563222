//! The socket of a client connection, watched: idle too long, a head that trickles in, an answer
//! that nobody reads.
//!
//! hyper's own header timer is one allocation and one timer a request. Here a connection has at
//! most one timer for reading and one for writing, armed only when the socket has nothing to give
//! or take, and moved lazily: a timer that fires early looks at the clock and goes back to sleep.

mod state;

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use plimsoll_base::{Nanos, SharedClock};
use plimsoll_telemetry::{Counter, Shard, SlowClient};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::frames::FrameScan;
use crate::framing::FramingScan;
use crate::lazy_timer::LazyTimer;

pub(crate) use state::ConnState;

/// An answer must move at least this many bytes in every `write_stall` window while the client's
/// socket is full, or the connection is cut (slow-read attack).
const WRITE_BYTES_PER_WINDOW_MIN: u64 = 4 * 1024;

/// How long, and over how many bytes, a connection reads on after its last answer.
const LINGER_MAX: Duration = Duration::from_secs(2);
const LINGER_BYTES_MAX: usize = 16 * 1024 * 1024;
const LINGER_PIECE: usize = 16 * 1024;

/// How long a connection whose idle time is over may take to hear that (GOAWAY) and to go.
const GOODBYE_MAX: Duration = Duration::from_secs(2);

/// What the guard allows, from `[edge]` in the manifest.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GuardLimits {
    /// How long a connection may be open with no request under way.
    pub(crate) keep_alive: Duration,
    /// How long a request head may take from its first byte.
    pub(crate) header_timeout: Duration,
    /// How long the client may leave an answer unread.
    pub(crate) write_stall: Duration,
}

/// Where reading stands between two requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// No byte of the next request yet, since then.
    Idle(Nanos),
    /// The head began to arrive then; `None` until its rest has to be waited for, which it hardly
    /// ever has, so that the clock need not be asked.
    Head(Option<Nanos>),
    /// A request is under way; its body has limits of its own.
    Busy,
    /// The client was told to go, then.
    Leaving(Nanos),
}

/// A client socket with its limits. See the module's page.
#[derive(Debug)]
pub(crate) struct Guarded<S> {
    io: S,
    state: Arc<ConnState>,
    limits: GuardLimits,
    clock: SharedClock,
    shard: Arc<Shard>,
    reading: Reading,
    /// Since when nothing was under way, for HTTP/2.
    idle_from: Nanos,
    requests_seen: u64,
    framing: FramingScan,
    frames: FrameScan,
    read_timer: LazyTimer,
    write_timer: LazyTimer,
    stalled: Option<Stall>,
    unflushed: Option<Unflushed>,
    unflushed_count: Arc<AtomicU32>,
    linger: Linger,
}

/// Counts a connection that holds bytes of an answer back, until it is dropped.
#[derive(Debug)]
struct Unflushed(Arc<AtomicU32>);

impl Unflushed {
    fn new(count: &Arc<AtomicU32>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Unflushed {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// After its last answer a connection reads on for a moment: closing a socket with bytes unread
/// resets it, and a reset takes the answer away from a client that is still sending (RFC 9112
/// §9.6).
#[derive(Debug, Default)]
struct Linger {
    until: Option<Nanos>,
    timer: LazyTimer,
    bytes: usize,
}

#[derive(Debug, Clone, Copy)]
struct Stall {
    since: Nanos,
    moved: u64,
}

impl<S> Guarded<S> {
    pub(crate) fn new(
        io: S,
        state: Arc<ConnState>,
        limits: GuardLimits,
        clock: SharedClock,
        shard: Arc<Shard>,
        unflushed_count: Arc<AtomicU32>,
    ) -> Self {
        let idle_from = clock.now();
        let reading = Reading::Idle(idle_from);
        Self {
            io,
            state,
            limits,
            clock,
            shard,
            reading,
            idle_from,
            requests_seen: 0,
            framing: FramingScan::new(),
            frames: FrameScan::new(),
            read_timer: LazyTimer::default(),
            write_timer: LazyTimer::default(),
            stalled: None,
            unflushed: None,
            unflushed_count,
            linger: Linger::default(),
        }
    }

    /// After a request what comes next is a head. True where nothing is under way any more.
    fn settle(&mut self) -> bool {
        let requests = self.state.requests();
        let settles = self.state.in_flight() == 0 && requests != self.requests_seen;
        if settles {
            self.requests_seen = requests;
            self.framing.next_head();
        }
        settles
    }

    /// Since when nothing is under way. hyper does not look at the socket when an answer is out, so
    /// that may have been long ago; an answer that still leaves is under way until now.
    fn idle_since(&self) -> Nanos {
        match self.unflushed {
            Some(_) => self.clock.now(),
            None => self.state.ended(),
        }
    }

    /// Nothing to read: is that too long already?
    fn read_overdue(&mut self, cx: &mut Context<'_>) -> bool {
        if self.state.is_upgraded() {
            return false;
        }
        let settles = self.settle();
        if self.state.in_flight() > 0 {
            self.reading = Reading::Busy;
            // hyper does not look at the socket again when the answer is out. Only a timer makes
            // it, so one is always armed, or a connection that falls silent would never be closed.
            if !self.read_timer.stands(cx) {
                let look_again = self.clock.now().plus(self.limits.keep_alive);
                let _elapsed = self.read_timer.expired(look_again, &self.clock, cx);
            }
            return false;
        }
        if settles || self.reading == Reading::Busy {
            self.idle_from = self.idle_since();
            self.reading = Reading::Idle(self.idle_from);
        }
        let (deadline, held) = match &mut self.reading {
            Reading::Head(since) => {
                let since = since.get_or_insert_with(|| self.clock.now());
                (since.plus(self.limits.header_timeout), SlowClient::Header)
            }
            Reading::Idle(since) => (since.plus(self.limits.keep_alive), SlowClient::KeepAlive),
            Reading::Leaving(since) => {
                return self.read_timer.expired(since.plus(GOODBYE_MAX), &self.clock, cx);
            }
            Reading::Busy => return false,
        };
        let overdue = self.read_timer.expired(deadline, &self.clock, cx);
        if overdue {
            self.shard.count(Counter::SlowClientCut(held));
            return held == SlowClient::Header || !self.says_goodbye(cx);
        }
        overdue
    }

    /// Lets an idle HTTP/2 connection end in order: whoever polls it sees that its time is over.
    fn says_goodbye(&mut self, cx: &mut Context<'_>) -> bool {
        let first = self.state.is_multiplexed() && self.state.idle_is_over();
        if first {
            let now = self.clock.now();
            self.reading = Reading::Leaving(now);
            let _just_armed = self.read_timer.expired(now.plus(GOODBYE_MAX), &self.clock, cx);
        }
        first
    }

    fn note_read(&mut self, bytes: &[u8]) {
        let settles = self.settle();
        if self.state.is_multiplexed() {
            self.note_frames(bytes, settles);
            return;
        }
        if !self.state.is_upgraded() && self.framing.feed(bytes) {
            self.state.set_ambiguous();
        }
        if self.state.in_flight() > 0 {
            return;
        }
        if settles || !matches!(self.reading, Reading::Head(_)) {
            self.reading = Reading::Head(None);
        }
    }

    /// The preface, a frame or a head that has begun has a head's time. Between two of them the
    /// connection is idle, from its last request on or since it was opened: phones connect before
    /// they ask. Frames that ask nothing, such as pings, do not make it any younger.
    fn note_frames(&mut self, bytes: &[u8], settles: bool) {
        let ended = self.frames.feed(bytes);
        if self.state.in_flight() > 0 || matches!(self.reading, Reading::Leaving(_)) && !settles {
            return;
        }
        if settles {
            self.idle_from = self.idle_since();
        }
        if self.frames.is_between() {
            self.reading = Reading::Idle(self.idle_from);
        } else if settles || ended || !matches!(self.reading, Reading::Head(_)) {
            self.reading = Reading::Head(None);
        }
    }

    fn note_written(&mut self, bytes: usize) {
        if let Some(stall) = &mut self.stalled {
            stall.moved = stall.moved.saturating_add(bytes as u64);
        }
    }

    /// The socket takes nothing: has the client stopped reading?
    fn write_overdue(&mut self, cx: &mut Context<'_>) -> bool {
        let stall =
            *self.stalled.get_or_insert_with(|| Stall { since: self.clock.now(), moved: 0 });
        let deadline = stall.since.plus(self.limits.write_stall);
        if !self.write_timer.expired(deadline, &self.clock, cx) {
            return false;
        }
        if stall.moved < WRITE_BYTES_PER_WINDOW_MIN {
            self.shard.count(Counter::SlowClientCut(SlowClient::Write));
            return true;
        }
        self.stalled = Some(Stall { since: self.clock.now(), moved: 0 });
        let next = self.clock.now().plus(self.limits.write_stall);
        self.write_timer.expired(next, &self.clock, cx)
    }
}

fn too_slow(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, what)
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        match Pin::new(&mut self.io).poll_read(cx, buf) {
            Poll::Pending if self.read_overdue(cx) => {
                Poll::Ready(Err(too_slow("client sent nothing in time")))
            }
            Poll::Pending => Poll::Pending,
            Poll::Ready(result) => {
                self.note_read(&buf.filled()[before..]);
                Poll::Ready(result)
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> Guarded<S> {
    fn after_write(
        &mut self,
        cx: &mut Context<'_>,
        polled: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match polled {
            Poll::Pending if self.write_overdue(cx) => {
                Poll::Ready(Err(too_slow("client read nothing in time")))
            }
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(bytes)) => {
                self.note_written(bytes);
                if self.unflushed.is_none() {
                    self.unflushed = Some(Unflushed::new(&self.unflushed_count));
                }
                Poll::Ready(Ok(bytes))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write(cx, buf);
        self.after_write(cx, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.after_write(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.io).poll_flush(cx) {
            // TLS keeps the last records of an answer back until the socket takes them.
            Poll::Pending if self.write_overdue(cx) => {
                Poll::Ready(Err(too_slow("client read nothing in time")))
            }
            Poll::Pending => Poll::Pending,
            Poll::Ready(flushed) => {
                self.stalled = None;
                self.unflushed = None;
                Poll::Ready(flushed)
            }
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.io).poll_shutdown(cx) {
            // TLS says goodbye, too, and a client that reads nothing would hold it up for ever.
            Poll::Pending if self.write_overdue(cx) => {
                Poll::Ready(Err(too_slow("client read nothing in time")))
            }
            Poll::Ready(Ok(())) if self.state.leaves_bytes_unread() => self.poll_linger(cx),
            polled => polled,
        }
    }
}

impl<S: AsyncRead + Unpin> Guarded<S> {
    /// Reads what the client still sends and throws it away, until it ends or enough is enough.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let until = *self.linger.until.get_or_insert_with(|| self.clock.now().plus(LINGER_MAX));
        loop {
            let mut room = [MaybeUninit::uninit(); LINGER_PIECE];
            let mut piece = ReadBuf::uninit(&mut room);
            match Pin::new(&mut self.io).poll_read(cx, &mut piece) {
                Poll::Ready(Ok(())) if !piece.filled().is_empty() => {
                    self.linger.bytes = self.linger.bytes.saturating_add(piece.filled().len());
                    if self.linger.bytes > LINGER_BYTES_MAX {
                        return Poll::Ready(Ok(()));
                    }
                }
                Poll::Pending if !self.linger.timer.expired(until, &self.clock, cx) => {
                    return Poll::Pending;
                }
                _ended_or_long_enough => return Poll::Ready(Ok(())),
            }
        }
    }
}

#[cfg(test)]
mod tests;
