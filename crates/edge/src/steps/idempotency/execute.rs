//! The execution of a keyed write, in a task of its own: a client that leaves does not end it.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::request::Parts;
use http::{HeaderMap, Request, StatusCode, header};
use http_body::Body as _;
use plimsoll_base::failpoint;
use plimsoll_http_kit::hygiene::{RequestFacts, strip_response};
use plimsoll_http_kit::{Code, Problem};
use plimsoll_snapshot::UnknownOutcome;
use plimsoll_telemetry::{Counter, KeyedWrite};
use plimsoll_writes::{Answer, Lease};
use tokio::sync::oneshot;

use super::ask::{self, Found};
use super::{Execution, STORE_WAIT_MAX, is_obeyed_upstream, kept, policy, problems};
use crate::body::{AnswerLimits, Held, InboundOutcome, Unasked};
use crate::config::Config;
use crate::conn::ConnContext;
use crate::exchange::Exchange;
use crate::record::Finish;
use crate::stack;
use crate::steps::audit;
use crate::steps::cache;
use crate::steps::forward::{self, Passed};
use crate::steps::route::Route;
use crate::tasks::Kind;
use crate::upstream;

/// How long the end of a write that was not sent is waited for although its time is up.
const RELEASE_WAIT_MIN: Duration = Duration::from_millis(100);

/// What the execution came to, with the record of the request that it belongs to.
type Done = (Box<Finish>, Result<Passed, Problem>);

/// Executes the write. What is returned is for the client; where it has left, everything is done
/// all the same.
pub(crate) async fn execute(
    context: &Arc<ConnContext>,
    config: &Arc<Config>,
    finish: Box<Finish>,
    head: Parts,
    execution: Box<Execution>,
) -> Done {
    let (tell, told) = oneshot::channel::<Done>();
    let (context_of, config) = (Arc::clone(context), Arc::clone(config));
    let _detached = context.core.tasks.spawn(Kind::Write, async move {
        let done = run(&context_of, &config, finish, head, execution).await;
        if let Err((mut finish, outcome)) = tell.send(done)
            && finish.exchange.audit.is_some()
        {
            // Nobody waits for it, and it is written down all the same.
            let _unheard = audit::write(&context_of, &mut finish.exchange, outcome).await.is_ok();
        }
    });
    match told.await {
        Ok(done) => done,
        // The process stops.
        Err(_) => {
            let (head, ()) = Request::new(()).into_parts();
            let finish = Box::new(Finish::new(Exchange::begin(context, &head)));
            (finish, Err(Problem::new(Code::Draining)))
        }
    }
}

async fn run(
    context: &Arc<ConnContext>,
    config: &Config,
    mut finish: Box<Finish>,
    mut head: Parts,
    execution: Box<Execution>,
) -> Done {
    finish.exchange.is_recorded = true;
    let mut outcome = once(context, config, &mut finish.exchange, &mut head, *execution).await;
    // Only now: a crash while others hear of it must not leave the key without its answer.
    cache::heard(context, &mut finish.exchange, &mut outcome).await;
    // A crash here, and nobody hears of what is recorded.
    let outcome = failpoint::hit("writes.before_answer")
        .map_err(|_| Problem::new(Code::Internal))
        .and(outcome);
    (finish, outcome)
}

async fn once(
    context: &Arc<ConnContext>,
    config: &Config,
    exchange: &mut Exchange,
    head: &mut Parts,
    execution: Execution,
) -> Result<Passed, Problem> {
    let Execution { lease, held, facts, route, key } = execution;
    let route = route.route();
    let count = |outcome| context.core.shard.count(Counter::KeyedWrite(outcome));
    let asks = policy(route).is_some_and(|policy| policy.unknown == UnknownOutcome::Ask);
    if let Some(since) = lease.unknown_for().filter(|_| asks) {
        let received = exchange.body.clone();
        let asking = ask::find_out(context, config, exchange, route, &facts, head, &key, since);
        let found = Box::pin(asking).await;
        (exchange.body, exchange.upstream_tries) = (received, 0);
        match found {
            Found::Executed(mut answer) => {
                cache::written(context, config, exchange, route, head);
                cache::say_fresh(context, config, &mut answer.headers);
                return record(context, config, exchange, lease, answer).await;
            }
            Found::NotExecuted => {}
            Found::Nothing => {
                count(KeyedWrite::Unknown);
                return Err(problems::unknown(config, route, Some(since)));
            }
        }
    }
    // A crash here, and nothing was sent; nobody can know that.
    if failpoint::hit("writes.before_send").is_err() || !lease.lives() {
        count(KeyedWrite::NotSent);
        return Err(problems::unrecorded());
    }
    send(context, config, exchange, route, head, (lease, held, facts)).await
}

/// Sends it, and notes what came of it.
async fn send(
    context: &Arc<ConnContext>,
    config: &Config,
    exchange: &mut Exchange,
    route: Route<'_>,
    head: &mut Parts,
    (mut lease, held, facts): (Lease, Arc<Held>, RequestFacts),
) -> Result<Passed, Problem> {
    let count = |outcome| context.core.shard.count(Counter::KeyedWrite(outcome));
    let received = exchange.body.clone();
    exchange.upstream_reached = false;
    exchange.again = lease.unknown_for().is_some();
    // Kept for another time only where there may be one.
    let first = is_obeyed_upstream(route).then(|| head.clone());
    loop {
        lease.sent();
        let mut body = Unasked::of_held(&held);
        let sent = stack::send_on(context, config, exchange, route, &facts, head, &mut body).await;
        // What the client sent has come whole, whatever of it the service has read.
        let sending = std::mem::replace(&mut exchange.body, received.clone());
        let passed = match sent {
            Ok(passed) => passed,
            Err(problem) if !exchange.upstream_reached => {
                release(context, exchange, lease).await;
                count(KeyedWrite::NotSent);
                return Err(problem);
            }
            Err(_) => {
                count(KeyedWrite::Unknown);
                return Err(problems::unknown(config, route, None));
            }
        };
        let Passed::Upstream { answer, limits, .. } = passed else {
            if !exchange.upstream_reached {
                lease.not_sent();
            }
            return Ok(passed);
        };
        // A crash here, and it was executed.
        if failpoint::hit("writes.after_send").is_err() {
            return Err(problems::unknown(config, route, None));
        }
        let is_sent = sending.as_ref().is_none_or(|b| b.outcome() == InboundOutcome::Complete);
        match collect(context, config, answer, limits, is_sent).await {
            Collected::Whole(answer) => {
                return record(context, config, exchange, lease, answer).await;
            }
            Collected::TooLong { head: answer, passed } => {
                if !is_sent {
                    // Its connection is not used again.
                    exchange.body = sending;
                }
                // What is left of it streams on.
                return record(context, config, exchange, lease, answer).await.map(|_kept| *passed);
            }
            Collected::Broken => match &first {
                Some(first) if again(context, config, exchange, route, &lease).await => {
                    head.clone_from(first);
                }
                _ => {
                    count(KeyedWrite::Unknown);
                    return Err(problems::unknown(config, route, None));
                }
            },
        }
    }
}

/// Waits until a write whose answer broke off may be sent again, nothing of the answer having gone
/// to anybody. False where it may not: no more tries, no place in the budget, no time, no lease.
async fn again(
    context: &ConnContext,
    config: &Config,
    exchange: &Exchange,
    route: Route<'_>,
    lease: &Lease,
) -> bool {
    let Some(service) = route.destination(config) else { return false };
    let core = &context.core;
    let retries = forward::retries(route, service);
    let left = exchange.deadline.map(|deadline| deadline.left(core.clock.now()));
    let so_far = (exchange.upstream_tries, Duration::ZERO);
    let Some(turn) = upstream::turn(core, &service.name, &retries, so_far, left) else {
        return false;
    };
    turn.come(core, &service.name).await;
    lease.lives()
}

/// Nothing of it was sent: whoever is told so may use the key again at once.
async fn release(context: &ConnContext, exchange: &Exchange, lease: Lease) {
    let left = exchange.deadline.map(|deadline| deadline.left(context.core.clock.now()));
    let within = left.unwrap_or(STORE_WAIT_MAX).clamp(RELEASE_WAIT_MIN, STORE_WAIT_MAX);
    if let Err(error) = lease.declined(within).await {
        tracing::debug!(%error, request_id = %exchange.id, "a key is not free again yet");
    }
}

/// Notes the answer, and then it may be told.
async fn record(
    context: &ConnContext,
    config: &Config,
    exchange: &Exchange,
    lease: Lease,
    answer: Answer,
) -> Result<Passed, Problem> {
    let count = |outcome| context.core.shard.count(Counter::KeyedWrite(outcome));
    failpoint::hit("writes.before_record").map_err(|_| Problem::new(Code::Internal))?;
    let left = exchange.deadline.map(|deadline| deadline.left(context.core.clock.now()));
    let within = left.unwrap_or(STORE_WAIT_MAX).min(STORE_WAIT_MAX);
    if is_declined(config, answer.status, &answer.headers) {
        if let Err(error) = lease.declined(within).await {
            tracing::debug!(%error, request_id = %exchange.id, "a key is not free again yet");
        }
        count(KeyedWrite::Declined);
        return Ok(Passed::Own(kept(config, answer)));
    }
    count(KeyedWrite::Executed);
    if let Err(error) = lease.answered(answer.clone(), within).await {
        // It was done, and who asked is told so: that it is not noted helps nobody.
        let request_id = exchange.id;
        tracing::warn!(%error, %request_id, "the answer of a keyed write is not noted yet");
        count(KeyedWrite::AnswerNotNoted);
    }
    failpoint::hit("writes.recorded").map_err(|_| Problem::new(Code::Internal))?;
    Ok(Passed::Own(kept(config, answer)))
}

/// Whether the service says that it did not take the write on, so that the same key may come again.
fn is_declined(config: &Config, status: StatusCode, headers: &HeaderMap) -> bool {
    match status.as_u16() {
        408 | 425 | 429 => true,
        503 => headers.contains_key(header::RETRY_AFTER),
        400..=499 => !config.manifest.idempotency.keep_refusals,
        _ => false,
    }
}

/// What became of an answer's body.
pub(super) enum Collected {
    /// All of it is here.
    Whole(Answer),
    /// It is longer than what is kept, or has no end of its own: status and fields, and what is
    /// passed on.
    TooLong { head: Answer, passed: Box<Passed> },
    /// It broke off.
    Broken,
}

/// Reads an answer to its end, as far as it may be kept.
pub(super) async fn collect(
    context: &ConnContext,
    config: &Config,
    mut answer: upstream::Answer,
    limits: AnswerLimits,
    is_sent: bool,
) -> Collected {
    let bytes_max = usize::try_from(config.manifest.idempotency.answer_bytes_max.0);
    let bytes_max = bytes_max.unwrap_or(usize::MAX);
    let mut headers = answer.response.headers().clone();
    strip_response(&mut headers, &answer.facts);
    for of_this_answer in [header::DATE, header::CONTENT_LENGTH] {
        headers.remove(of_this_answer);
    }
    let status = answer.response.status();
    let of = |body| Answer { status, headers: headers.clone(), body };
    let mut begun = BytesMut::new();
    let mut left = limits.left;
    let endless = left.is_none();
    let clock = &context.core.clock;
    while !endless && !answer.response.body().is_end_stream() {
        let since = clock.now();
        let pause = left.map_or(limits.idle, |left| left.min(limits.idle));
        let body = answer.response.body_mut();
        let frame = pin!(poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)));
        let frame = tokio::time::timeout(pause, frame).await;
        left = left.map(|left| left.saturating_sub(clock.now().since(since)));
        match frame {
            Ok(None) => break,
            Ok(Some(Ok(frame))) => {
                if let Ok(data) = frame.into_data() {
                    begun.extend_from_slice(&data);
                }
            }
            Ok(Some(Err(_))) | Err(_) => return Collected::Broken,
        }
        if begun.len() > bytes_max {
            break;
        }
    }
    if endless || begun.len() > bytes_max {
        let limits = AnswerLimits { left, ..limits };
        let passed = Passed::Upstream { answer, begun: begun.freeze(), limits, tee: None };
        return Collected::TooLong { head: of(None), passed: Box::new(passed) };
    }
    // It carries the next request once both bodies are through.
    if is_sent && let Some(connection) = answer.connection.take() {
        connection.give_back(clock.now());
    }
    Collected::Whole(of(Some(Bytes::from(begun))))
}
