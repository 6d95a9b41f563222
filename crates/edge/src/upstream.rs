//! The way to a service: which of its URLs, over which connection, by when, and what is done when
//! that fails.
//!
//! A request is sent again at once only where nothing can have executed twice: hyper hands it back
//! unsent, the service had closed the connection before a byte of it was written, no connection to
//! one of several URLs could be made, or a kept connection turned out dead under a request that may
//! be repeated (GET, HEAD, OPTIONS without a body; RFC 9110 §9.2.2, RFC 9112 §9.3.1), since a
//! server may close an idle connection just as we write. After any other failure it waits, within a
//! budget (`again.rs`), and only where it may be repeated or never left.
//!
//! A write with a key whose policy is to hold it is sent once. So that this is not taken for what
//! it is not, it goes only over connections that rested a second at most, and just before it is
//! written it is looked whether the service has closed.

mod again;
mod breaker;
mod circuit;
mod connect;
mod endpoint;
mod grpc;
mod health;
mod hedge;
mod message;
mod multiplexed;
mod pace;
mod pool;
mod retries;
mod sent_head;
mod ticks;
mod tunnel;

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use http::Response;
use hyper::body::Incoming;
use plimsoll_base::{Deadline, Nanos};
use plimsoll_http_kit::hygiene::ResponseFacts;
use plimsoll_snapshot::RetryRule;
use plimsoll_telemetry::Counter;

pub(crate) use again::turn;
pub use breaker::BreakerState;
pub(crate) use breaker::{Outcome, Pass, Trip};
pub(crate) use circuit::Circuit;
pub use connect::TargetError;
pub(crate) use connect::UpstreamTls;
pub(crate) use endpoint::Endpoint;
pub use endpoint::EndpointStatus;
pub(crate) use grpc::Watch;
pub(crate) use health::{HealthRule, look};
pub(crate) use message::Message;
pub(crate) use pace::Pace;
pub(crate) use pool::{PoolLimits, Pooled};
pub use retries::BudgetStatus;
pub(crate) use retries::{Budget, RetryPolicy, covers};
pub(crate) use tunnel::{Upgrading, tunnel};

use crate::admission::{Gate, Slot};
use crate::body::{InboundOutcome, InboundState};
use crate::core::Core;
use crate::lazy_timer::LazyTimer;
use hedge::Won;

/// How often a request that was provably not sent is tried on another connection.
const UNSENT_TRIES_MAX: u32 = 3;

/// Time limits of a service, from `[service.timeouts]`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timeouts {
    /// To a connection, from the pool or new.
    pub(crate) connect: Duration,
    /// From the request's start to the answer's head.
    pub(crate) first_byte: Duration,
}

/// Why no answer came from a service.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpstreamError {
    /// No connection could be made to any of the URLs tried.
    #[error("cannot connect: {0}")]
    Connect(#[source] std::io::Error),
    /// No connection in time.
    #[error("no connection in time")]
    ConnectTimeout,
    /// Every connection the pool allows is in use, and as many requests as may wait are waiting.
    #[error("the connection pool is full")]
    PoolFull,
    /// The connection ended, or what came was no HTTP, before an answer's head was complete.
    #[error("no valid answer: {0}")]
    Answer(#[source] hyper::Error),
    /// No answer's head in time.
    #[error("no answer in time")]
    FirstByteTimeout,
    /// The request's total deadline passed.
    #[error("the request's deadline passed")]
    DeadlinePassed,
}

/// The URLs of one release, taken in turn.
#[derive(Debug)]
pub(crate) struct Release {
    pub(crate) id: Arc<str>,
    pub(crate) endpoints: Vec<Arc<Endpoint>>,
    next: AtomicUsize,
}

impl Release {
    pub(crate) fn new(id: Arc<str>, endpoints: Vec<Arc<Endpoint>>) -> Self {
        Self { id, endpoints, next: AtomicUsize::new(0) }
    }

    /// The next URL that is not ejected, and if possible not the one that failed just now; when all
    /// are, the next one all the same: refusing everybody would turn a bad minute into an outage
    /// (Envoy calls this the panic threshold).
    pub(crate) fn pick<'r>(
        &'r self,
        core: &Core,
        now: Nanos,
        failed: Option<&'r Arc<Endpoint>>,
    ) -> &'r Arc<Endpoint> {
        if let [only] = self.endpoints.as_slice() {
            return only;
        }
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        let count = self.endpoints.len();
        let is_other = |endpoint: &&'r Arc<Endpoint>| {
            failed.is_none_or(|failed| !Arc::ptr_eq(failed, endpoint))
        };
        // Whoever is asked may have let its one request through to try: nobody is asked in vain.
        let admits = |endpoint: &&'r Arc<Endpoint>| endpoint.admits(now, || core.random_u64());
        (0..count)
            .map(|step| &self.endpoints[(first + step) % count])
            .filter(is_other)
            .find(admits)
            .or_else(|| failed.filter(admits))
            .unwrap_or(&self.endpoints[first % count])
    }
}

/// An answer's head with what is needed to read its body and give the connection back.
pub(crate) struct Answer {
    pub(crate) response: Response<Incoming>,
    pub(crate) facts: ResponseFacts,
    pub(crate) connection: Option<Pooled>,
    /// How it ended is told by its trailers.
    pub(crate) watch: Option<Box<Watch>>,
    /// Another URL gave it than the one that was asked first, and that is told already.
    hedged: bool,
    /// It was sent more than once.
    pub(crate) repeated: bool,
    /// Its place among what the service has at once, until its body has ended.
    pub(crate) slot: Option<Slot>,
}

impl Answer {
    pub(crate) fn new(response: Response<Incoming>, connection: Option<Pooled>) -> Self {
        let facts = ResponseFacts::of(response.headers());
        let (watch, hedged, repeated, slot) = (None, false, false, None);
        Self { response, facts, connection, watch, hedged, repeated, slot }
    }
}

/// How one request is to be sent.
pub(crate) struct Sending<'s> {
    pub(crate) begun: Nanos,
    pub(crate) deadline: Option<Deadline>,
    /// Where the request's body stands, if it has one.
    pub(crate) body: Option<&'s Arc<InboundState>>,
    /// It was read before anything was sent, so that no client is waited for.
    pub(crate) held: bool,
    pub(crate) timeouts: Timeouts,
    /// Over HTTP/2, as gRPC needs it.
    pub(crate) multiplexed: bool,
    /// Where its place among those of the service is from.
    pub(crate) gate: Option<&'s Arc<Gate>>,
    /// For figures.
    pub(crate) service: &'s str,
    pub(crate) retries: Retries<'s>,
    /// After how long a read is asked for a second time.
    pub(crate) hedge: Option<Duration>,
}

/// What may be sent again, and how much of it.
#[derive(Clone, Copy)]
pub(crate) struct Retries<'s> {
    pub(crate) policy: &'s RetryPolicy,
    /// The operation's rule, or the service's.
    pub(crate) rule: RetryRule,
    pub(crate) budget: &'s Arc<Budget>,
}

/// Sends `message` to `release` and waits for the answer's head.
pub(crate) async fn send(
    core: &Arc<Core>,
    release: &Release,
    sending: &Sending<'_>,
    timer: &mut LazyTimer,
    message: &mut Message<'_>,
) -> Result<Answer, UpstreamError> {
    let mut now = sending.begun;
    sending.retries.budget.note(core.index, now);
    let mut failed = None;
    // A URL on which a connection broke is given a new one.
    let mut fresh = false;
    loop {
        message.tries = message.tries.saturating_add(1);
        let endpoint = release.pick(core, now, failed);
        let outcome = if sending.multiplexed {
            // A box, because this is rare and large.
            Box::pin(multiplexed::attempt(core, endpoint, sending, timer, message)).await
        } else {
            attempt(core, (release, endpoint), sending, (now, fresh), timer, message).await
        };
        let failure = match outcome {
            Ok(mut answer) => {
                let status = answer.response.status();
                let outcome = match (sending.multiplexed, answer.hedged) {
                    (true, _) => grpc::outcome(&mut answer, endpoint, now),
                    (false, true) => {
                        // Slow is not failed, and nobody waits to see which it is.
                        endpoint.given_up(now, core.clock.now());
                        None
                    }
                    (false, false) => Some(Outcome::of_status(status)),
                };
                if let Some(outcome) = outcome
                    && endpoint.ended(core.index, outcome, now, || core.clock.now())
                {
                    core.shard.count(Counter::UpstreamEjected { service: sending.service });
                }
                answer.repeated = message.tries > 1;
                if !sending.retries.policy.is_failure(status) {
                    return Ok(answer);
                }
                Failure::Answer(Box::new(answer))
            }
            Err(None) => Failure::Dead,
            Err(Some(error)) => Failure::Error(error),
        };
        let begun = std::mem::replace(&mut now, core.clock.now());
        if let Failure::Error(error) = &failure {
            let ours = matches!(error, UpstreamError::PoolFull | UpstreamError::DeadlinePassed);
            let counts = !ours && !sending.client_failed();
            if counts && endpoint.ended(core.index, Outcome::Failed, begun, || now) {
                core.shard.count(Counter::UpstreamEjected { service: sending.service });
            }
        }
        fresh = !matches!(failure, Failure::Answer(_));
        failed = Some(endpoint);
        let tries = message.tries;
        if message.body.is_some() && tries < UNSENT_TRIES_MAX && failure.is_anothers(release) {
            core.shard.count(Counter::UpstreamRetry { service: sending.service });
            continue;
        }
        // A box, because this is rare.
        let waited = Box::pin(again::wait(core, sending, message, failure, tries)).await;
        match waited {
            Ok(then) => now = then,
            Err(failure) => return failure.into_result(),
        }
    }
}

/// How a try ended that was no success.
enum Failure {
    /// The pooled connection was dead, which says nothing about the service.
    Dead,
    Error(UpstreamError),
    /// An answer that counts as a failure.
    Answer(Box<Answer>),
}

impl Failure {
    /// Whether another connection may do without a wait.
    fn is_anothers(&self, release: &Release) -> bool {
        match self {
            Self::Dead => true,
            Self::Error(UpstreamError::Connect(_) | UpstreamError::ConnectTimeout) => {
                release.endpoints.len() > 1
            }
            Self::Error(_) | Self::Answer(_) => false,
        }
    }

    fn into_result(self) -> Result<Answer, UpstreamError> {
        match self {
            Self::Dead => Err(UpstreamError::Connect(io::ErrorKind::NotConnected.into())),
            Self::Error(error) => Err(error),
            Self::Answer(answer) => Ok(*answer),
        }
    }
}

/// Why an attempt failed; `None`: the pooled connection was dead.
type Failed = Option<UpstreamError>;

/// Sends `message` over a kept connection, or a new one if it has to be `fresh`. What was provably
/// not sent, or is safe to send again, stays in `message`, or comes back to it.
async fn attempt(
    core: &Arc<Core>,
    (release, endpoint): (&Release, &Arc<Endpoint>),
    sending: &Sending<'_>,
    (mut now, fresh): (Nanos, bool),
    timer: &mut LazyTimer,
    message: &mut Message<'_>,
) -> Result<Answer, Failed> {
    let (repeatable, care) = (message.is_repeatable(), message.care());
    let rested_max = message.rested_max();
    let mut kept = true;
    let mut connection = match if fresh { None } else { endpoint.idle(core, now, rested_max) } {
        Some(idle) => idle,
        // A box, because this is rare and large.
        None => {
            let opened = Box::pin(open(core, endpoint, sending)).await?;
            kept = false;
            now = core.clock.now();
            opened
        }
    };
    // Nothing is begun for which there is no time.
    sending.within(sending.timeouts.first_byte, now)?;
    let answer = match message.request() {
        Some(request) => connection.send(request, care),
        None => return Err(None),
    };
    let mut answer = pin!(answer);
    let mut hedged = false;
    let sent = if repeatable && sending.hedge.is_some() {
        let first = (now, &connection);
        // A box, because this is rare and large.
        let race = hedge::race(core, (release, endpoint), sending, timer, first, answer.as_mut());
        match Box::pin(race).await {
            Ok(Won::First(sent)) => Ok(sent),
            Ok(Won::Second(sent, other)) => {
                (connection, hedged) = (other, true);
                Ok(sent)
            }
            Err(error) => Err(error),
        }
    } else {
        sending.wait(core, timer, now, answer).await
    };
    match sent {
        Err(error) => Err(Some(error)),
        Ok(Ok(response)) => {
            let mut answer = Answer { hedged, ..Answer::new(response, None) };
            connection.note_keep_alive(answer.response.headers(), &answer.facts);
            answer.connection = Some(connection);
            Ok(answer)
        }
        Ok(Err(mut failed)) => {
            if message.take_back_unsent(failed.take_message())
                || message.take_back_unwritten(&connection)
            {
                return Err(None);
            }
            let error = failed.into_error();
            let ended = repeatable && ended_without_an_answer(&error);
            if ended && message.take_back_sent(&connection) && kept {
                return Err(None);
            }
            Err(Some(UpstreamError::Answer(error)))
        }
    }
}

async fn open(
    core: &Arc<Core>,
    endpoint: &Arc<Endpoint>,
    sending: &Sending<'_>,
) -> Result<Pooled, UpstreamError> {
    let left = sending.within(sending.timeouts.connect, core.clock.now())?;
    tokio::time::timeout(left, endpoint.open(core, sending.service))
        .await
        .unwrap_or(Err(UpstreamError::ConnectTimeout))
}

/// The connection was closed, in order or not; what came was no answer that could be read wrong.
fn ended_without_an_answer(error: &hyper::Error) -> bool {
    use std::error::Error as _;
    let io = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    error.is_incomplete_message()
        || error.is_closed()
        || error.is_canceled()
        || io.is_some_and(|io| {
            matches!(io.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
        })
}

impl Sending<'_> {
    /// Whether it was the client's body that broke the request.
    pub(crate) fn client_failed(&self) -> bool {
        self.body.is_some_and(|body| {
            !matches!(body.outcome(), InboundOutcome::Underway | InboundOutcome::Complete)
        })
    }

    fn body_underway(&self) -> bool {
        self.body.is_some_and(|body| body.outcome() == InboundOutcome::Underway)
    }

    /// What is left of the deadline. It does not run while the client sends its body: that is not
    /// the service's time, and a body that stalls has a limit of its own.
    pub(crate) fn left(&self, now: Nanos) -> Option<Duration> {
        let deadline = self.deadline?;
        match self.body.filter(|_| !self.held) {
            None => Some(deadline.left(now)),
            Some(body) if body.outcome() == InboundOutcome::Complete => {
                Some(deadline.later(body.ended().since(self.begun)).left(now))
            }
            Some(_) => None,
        }
    }

    /// `limit`, or what the deadline leaves of it.
    fn within(&self, limit: Duration, now: Nanos) -> Result<Duration, UpstreamError> {
        match self.left(now) {
            Some(left) if left.is_zero() => Err(UpstreamError::DeadlinePassed),
            Some(left) => Ok(limit.min(left)),
            None => Ok(limit),
        }
    }

    /// Waits for an answer's head. The first byte is awaited from when the request's body has been
    /// sent whole; a body that stalls has a limit of its own.
    async fn wait<F: Future>(
        &self,
        core: &Core,
        timer: &mut LazyTimer,
        now: Nanos,
        mut answer: Pin<&mut F>,
    ) -> Result<F::Output, UpstreamError> {
        let first_byte = self.timeouts.first_byte;
        let mut uploading = self.body_underway();
        let mut until = now.plus(self.within(first_byte, now)?);
        poll_fn(|cx| {
            if let Poll::Ready(output) = answer.as_mut().poll(cx) {
                return Poll::Ready(Ok(output));
            }
            while timer.expired(until, &core.clock, cx) {
                let now = core.clock.now();
                let left = match self.within(first_byte, now) {
                    Ok(left) if uploading => left,
                    Ok(_) => return Poll::Ready(Err(UpstreamError::FirstByteTimeout)),
                    Err(error) => return Poll::Ready(Err(error)),
                };
                uploading = self.body_underway();
                until = now.plus(left);
            }
            Poll::Pending
        })
        .await
    }
}
