//! Slow-read over HTTP/2: the client's socket takes everything, but it never opens a stream's
//! window, and the stream would hold its service's connection for as long as the client likes.
//!
//! hyper asks an answer's body for its next piece only when the one before has gone. So a stream
//! that waits although its body has just given something waits for the client. Each stream is a
//! task of its own; this is the executor that runs them, and ends one that waits so for too long,
//! which resets the stream and drops what it held.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use plimsoll_base::{Nanos, SharedClock};
use plimsoll_telemetry::{Counter, Shard, SlowClient};

use crate::core::Core;
use crate::lazy_timer::LazyTimer;
use crate::tasks::{Kind, Tasks};

thread_local! {
    /// What the answer's body did last while the current task was polled. A core is one thread.
    static LAST_POLL: Cell<Polled> = const { Cell::new(Polled::No) };
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Polled {
    /// It was not asked.
    No,
    /// It had nothing yet: whoever waits now waits for the service.
    Empty,
    /// It gave a piece: whoever waits now waits for the client.
    Gave,
}

/// An answer's body was asked for its next piece, and `gave` one or had none yet.
pub(crate) fn note_polled(gave: bool) {
    LAST_POLL.set(if gave { Polled::Gave } else { Polled::Empty });
}

/// Runs the streams of one HTTP/2 connection.
#[derive(Debug, Clone)]
pub(crate) struct StreamExecutor {
    tasks: Tasks,
    clock: SharedClock,
    shard: Arc<Shard>,
    write_stall: Duration,
}

impl StreamExecutor {
    pub(crate) fn new(core: &Core, write_stall: Duration) -> Self {
        Self {
            tasks: core.tasks.clone(),
            clock: Arc::clone(&core.clock),
            shard: Arc::clone(&core.shard),
            write_stall,
        }
    }
}

impl<F> hyper::rt::Executor<F> for StreamExecutor
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, stream: F) {
        let mut watch = Watch { executor: self.clone(), since: None, timer: LazyTimer::default() };
        self.tasks.spawn(Kind::Stream, async move {
            let mut stream = pin!(stream);
            poll_fn(|cx| {
                LAST_POLL.set(Polled::No);
                match stream.as_mut().poll(cx) {
                    Poll::Ready(_output) => Poll::Ready(()),
                    Poll::Pending => watch.look(LAST_POLL.get(), cx),
                }
            })
            .await;
        });
    }
}

struct Watch {
    executor: StreamExecutor,
    /// Since when the client has taken nothing of what there is.
    since: Option<Nanos>,
    timer: LazyTimer,
}

impl Watch {
    /// The stream waits: ready once it has waited for its client for too long.
    fn look(&mut self, polled: Polled, cx: &mut Context<'_>) -> Poll<()> {
        let clock = &self.executor.clock;
        match polled {
            Polled::No => {}
            Polled::Empty => self.since = None,
            Polled::Gave => self.since = Some(clock.now()),
        }
        let Some(since) = self.since else { return Poll::Pending };
        if !self.timer.expired(since.plus(self.executor.write_stall), clock, cx) {
            return Poll::Pending;
        }
        self.executor.shard.count(Counter::SlowClientCut(SlowClient::Write));
        Poll::Ready(())
    }
}
