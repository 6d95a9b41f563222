//! Connections to one URL on one core, last used first.
//!
//! A connection is given out only to a request of its own core, so a pool's lock is never
//! contended. A connection comes back when its answer's body has been read whole and the request's
//! body sent whole; otherwise it is closed.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{HeaderMap, Request, Response, header};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1};
use plimsoll_base::Nanos;
use plimsoll_http_kit::hygiene::ResponseFacts;
use tokio::sync::oneshot;

use super::UpstreamError;
use super::connect::Stream;
use super::message::Care;
use super::sent_head::{Noted, SentHead};
use crate::body::InboundBody;
use crate::core::Core;
use crate::tasks::Kind;

/// Requests that may wait for a connection of a full pool, as a multiple of its size.
const WAITING_PER_CONNECTION_MAX: usize = 4;

/// A server that says `Keep-Alive: timeout=n` closes then; we stop using the connection before.
const KEEP_ALIVE_MARGIN: Duration = Duration::from_secs(1);

/// Bounds of one pool, from `[service.pool]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PoolLimits {
    /// Open connections to one URL from one core.
    pub(crate) connections_max: usize,
    /// How long an unused connection is kept.
    pub(crate) idle: Duration,
}

impl Default for PoolLimits {
    fn default() -> Self {
        Self { connections_max: 512, idle: Duration::from_secs(20) }
    }
}

/// What a request that needs a connection gets.
#[derive(Debug)]
pub(crate) enum Checkout {
    /// A connection that another request gave back.
    Idle(Pooled),
    /// Leave to open one.
    Open(Permit),
    /// A place in the queue of a full pool.
    Wait(oneshot::Receiver<Checkout>),
}

#[derive(Debug)]
struct Inner {
    idle: Vec<Idle>,
    open: usize,
    waiting: VecDeque<oneshot::Sender<Checkout>>,
    limits: PoolLimits,
    /// No manifest names the URL any more: nothing is kept.
    retired: bool,
}

#[derive(Debug)]
struct Idle {
    connection: Pooled,
    since: Nanos,
    until: Nanos,
}

/// The pool. See the module's page.
#[derive(Debug)]
pub(crate) struct Pool {
    inner: Mutex<Inner>,
}

impl Pool {
    pub(crate) fn new(limits: PoolLimits) -> Self {
        let inner =
            Inner { idle: Vec::new(), open: 0, waiting: VecDeque::new(), limits, retired: false };
        Self { inner: Mutex::new(inner) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn reconfigure(&self, limits: PoolLimits) {
        self.lock().limits = limits;
    }

    /// Closes what is idle, and from now on what is given back.
    pub(crate) fn retire(&self) {
        let mut inner = self.lock();
        inner.retired = true;
        let idle = std::mem::take(&mut inner.idle);
        drop(inner);
        drop(idle);
    }

    /// The connection used last that is still open and not too old; `None` where it has rested
    /// longer than `rested_max`, since all others have rested longer still.
    pub(crate) fn idle(&self, now: Nanos, rested_max: Duration) -> Option<Pooled> {
        loop {
            // Taken out under the lock, dropped outside it: dropping gives the permit back.
            let idle = self.lock().idle.pop()?;
            if now.since(idle.since) > rested_max {
                return None;
            }
            if idle.until > now && idle.connection.sender.is_ready() {
                return Some(idle.connection);
            }
        }
    }

    /// Leave to open a connection, or a place in the queue.
    pub(crate) fn checkout(pool: &Arc<Self>) -> Result<Checkout, UpstreamError> {
        let mut inner = pool.lock();
        if inner.open < inner.limits.connections_max {
            inner.open += 1;
            drop(inner);
            return Ok(Checkout::Open(Permit::of(Arc::clone(pool))));
        }
        inner.waiting.retain(|waiter| !waiter.is_closed());
        let waiting_max = inner.limits.connections_max.saturating_mul(WAITING_PER_CONNECTION_MAX);
        if inner.waiting.len() >= waiting_max {
            return Err(UpstreamError::PoolFull);
        }
        let (sender, receiver) = oneshot::channel();
        inner.waiting.push_back(sender);
        Ok(Checkout::Wait(receiver))
    }

    fn give_back(&self, connection: Pooled, now: Nanos) {
        let mut connection = connection;
        loop {
            let mut inner = self.lock();
            let Some(waiter) = inner.waiting.pop_front() else {
                if inner.retired {
                    drop(inner);
                    return;
                }
                let until = now.plus(connection.keep.unwrap_or(inner.limits.idle));
                inner.idle.push(Idle { connection, since: now, until });
                return;
            };
            drop(inner);
            match waiter.send(Checkout::Idle(connection)) {
                Ok(()) => return,
                Err(Checkout::Idle(back)) => connection = back,
                Err(_) => return,
            }
        }
    }

    /// Closes what has been idle too long; the oldest lie first.
    pub(crate) fn sweep(&self, now: Nanos) {
        let mut inner = self.lock();
        let (keep, close): (Vec<_>, Vec<_>) = std::mem::take(&mut inner.idle)
            .into_iter()
            .partition(|idle| idle.until > now && !idle.connection.sender.is_closed());
        inner.idle = keep;
        drop(inner);
        drop(close);
    }

    /// Open connections, and how many of them are idle.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let inner = self.lock();
        (inner.open, inner.idle.len())
    }
}

/// The right to one open connection; passed to a waiting request when it is dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    /// `None` once the right was passed on.
    pool: Option<Arc<Pool>>,
}

impl Permit {
    fn of(pool: Arc<Pool>) -> Self {
        Self { pool: Some(pool) }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Some(pool) = self.pool.take() else { return };
        loop {
            let mut inner = pool.lock();
            let Some(waiter) = inner.waiting.pop_front() else {
                inner.open -= 1;
                return;
            };
            drop(inner);
            match waiter.send(Checkout::Open(Permit::of(Arc::clone(&pool)))) {
                Ok(()) => return,
                Err(Checkout::Open(mut unwanted)) => unwanted.pool = None,
                Err(_) => return,
            }
        }
    }
}

/// What becomes of a request that is sent.
pub(super) type Sent = Result<Response<Incoming>, TrySendError<Request<InboundBody>>>;

/// A connection in use by one request.
pub(crate) struct Pooled {
    sender: http1::SendRequest<InboundBody>,
    head: Arc<SentHead>,
    pool: Arc<Pool>,
    keep: Option<Duration>,
}

impl std::fmt::Debug for Pooled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pooled").field("closed", &self.sender.is_closed()).finish_non_exhaustive()
    }
}

impl Pooled {
    /// Speaks HTTP/1.1 over `io` on this core.
    pub(crate) async fn handshake(
        core: &Core,
        io: Stream,
        permit: Permit,
    ) -> Result<Self, UpstreamError> {
        let Some(pool) = permit.pool.clone() else { return Err(UpstreamError::PoolFull) };
        let head = Arc::new(SentHead::default());
        let io = Noted::new(io, Arc::clone(&head));
        let (sender, connection) = http1::Builder::new()
            .handshake(hyper_util::rt::TokioIo::new(io))
            .await
            .map_err(UpstreamError::Answer)?;
        core.tasks.spawn(Kind::Upstream, async move {
            // The place in the pool is free when the socket is closed, not when the answer is read:
            // a request's body may still be on its way.
            let _permit = permit;
            if let Err(error) = connection.await {
                tracing::debug!(%error, "upstream connection ended");
            }
        });
        Ok(Self { sender, head, pool, keep: None })
    }

    /// Sends a request; an unsent one comes back inside the error. One that is cared for can be had
    /// anew although it was sent, see [`Self::sent`].
    pub(super) fn send(
        &mut self,
        request: Request<InboundBody>,
        care: Care,
    ) -> impl Future<Output = Sent> + use<> {
        self.head.want(care);
        self.sender.try_send_request(request)
    }

    /// The request that was sent last, where it is cared for.
    pub(crate) fn sent(&self) -> Option<Request<InboundBody>> {
        self.head.request()
    }

    /// Nothing of it was written: the service had closed the connection before.
    pub(crate) fn wrote_nothing(&self) -> bool {
        self.head.is_unwritten()
    }

    /// Notes how long the server says it keeps the connection (`Keep-Alive: timeout=5`).
    pub(crate) fn note_keep_alive(&mut self, headers: &HeaderMap, facts: &ResponseFacts) {
        if !facts.is_for_this_connection {
            return;
        }
        if let Some(seconds) = headers
            .get("keep-alive")
            .and_then(|value| value.to_str().ok())
            .and_then(|text| text.split(',').find_map(|part| part.trim().strip_prefix("timeout=")))
            .and_then(|digits| digits.trim().parse::<u64>().ok())
        {
            self.keep = Some(Duration::from_secs(seconds).saturating_sub(KEEP_ALIVE_MARGIN));
        }
        if headers.get(header::CONNECTION).is_some_and(|value| value == "close") {
            self.keep = Some(Duration::ZERO);
        }
    }

    /// Gives the connection back for the next request.
    pub(crate) fn give_back(self, now: Nanos) {
        if self.sender.is_closed() || self.keep == Some(Duration::ZERO) {
            return;
        }
        let pool = Arc::clone(&self.pool);
        pool.give_back(self, now);
    }
}
