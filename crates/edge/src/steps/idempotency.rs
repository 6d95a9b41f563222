//! Idempotency: a write that carries an `Idempotency-Key` is recorded, sent once, and answered with
//! the same answer whoever of its caller sends it again, and when.
//!
//! The body is read first. Then the write is claimed ([`plimsoll_writes`]): nothing is sent before
//! its record is durable. Whoever is granted executes it ([`execute`]), to its end, whether or not
//! the client still waits; who comes meanwhile waits for the first one's answer.

mod ask;
mod execute;
mod problems;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, header};
use plimsoll_base::Deadline;
use plimsoll_http_kit::hygiene::RequestFacts;
use plimsoll_http_kit::idempotency_key::{self, IDEMPOTENCY_KEY};
use plimsoll_http_kit::{Code, Problem};
use plimsoll_snapshot::{Idempotency, KeyRule, UnknownOutcome};
use plimsoll_telemetry::{Counter, KeyedWrite};
use plimsoll_writes::{Answer, Begun, Claim, Hash, Lease, OnUnknown, Waiting, Writes, WritesError};

use crate::body::{Held, InboundBody, InboundLimits, NotHeld, Unasked};
use crate::config::{Config, Service};
use crate::conn::ConnContext;
use crate::cors::Cors;
use crate::exchange::Exchange;
use crate::router::Operation;
use crate::stack;
use crate::steps::forward::{self, Passed};
use crate::steps::route::Route;
use crate::steps::{accept, cache};

pub(crate) use execute::execute;

/// How long a keyed write waits for the database before it is refused, at most.
const STORE_WAIT_MAX: Duration = Duration::from_secs(5);

/// Says that an answer is the first one's.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
const TRUE: HeaderValue = HeaderValue::from_static("true");

/// Says that the first one's body was too long to be kept.
const REPLAYED_BODY: HeaderName = HeaderName::from_static("plimsoll-replayed-body");
const NOT_KEPT: HeaderValue = HeaderValue::from_static("not-kept");

/// An operation that says nothing of keys: one that comes is obeyed.
static OPTIONAL: Idempotency = Idempotency {
    rule: KeyRule::Optional,
    unknown: UnknownOutcome::Hold,
    find_out: None,
    unrecorded_passes: false,
};

/// The right to execute a keyed write, with what is needed for it.
pub(crate) struct Execution {
    lease: Lease,
    held: Arc<Held>,
    facts: RequestFacts,
    route: Owned,
    key: Vec<u8>,
}

/// A route that outlives the request's look at the configuration.
enum Owned {
    Operation(Arc<Operation>),
    Unknown { service: u16 },
}

impl Owned {
    fn route(&self) -> Route<'_> {
        match self {
            Self::Operation(operation) => Route::Operation(operation),
            Self::Unknown { service } => Route::Unknown { service: *service },
        }
    }
}

/// What a route makes of keys; `None` where they mean nothing.
fn policy(route: Route<'_>) -> Option<&Idempotency> {
    let policy = match route {
        Route::Operation(operation) => &operation.idempotency,
        Route::Unknown { .. } => &OPTIONAL,
        Route::Passthrough(_) | Route::Options { .. } | Route::Document(_) | Route::Own(_) => {
            return None;
        }
    };
    (policy.rule != KeyRule::Off).then_some(policy)
}

/// Whether the service obeys keys itself, so that a write with one may be sent to it again.
pub(crate) fn is_obeyed_upstream(route: Route<'_>) -> bool {
    policy(route).is_some_and(|policy| policy.unknown == UnknownOutcome::RetryUpstreamWithKey)
}

/// The key of a write, where it has one that means something.
pub(crate) fn key<'h>(route: Route<'_>, head: &'h Parts) -> Result<Option<Cow<'h, [u8]>>, Problem> {
    if !matches!(head.method, Method::POST | Method::PUT | Method::PATCH | Method::DELETE) {
        return Ok(None);
    }
    let Some(policy) = policy(route) else { return Ok(None) };
    let mut lines = head.headers.get_all(IDEMPOTENCY_KEY).iter();
    match (lines.next(), lines.next()) {
        (None, _) if policy.rule == KeyRule::Required => Err(Problem::new(Code::KeyMissing)),
        (None, _) => Ok(None),
        (Some(value), None) => match idempotency_key::parse(value.as_bytes()) {
            Some(key) => Ok(Some(key)),
            None => Err(Problem::new(Code::KeyMalformed)),
        },
        (Some(_), Some(_)) => Err(Problem::new(Code::KeyMalformed)
            .with_detail("Idempotency-Key was sent more than once.")),
    }
}

/// Reads the body, claims the write, and says what comes of it.
pub(crate) async fn begin(
    context: &Arc<ConnContext>,
    config: &Config,
    exchange: &mut Exchange,
    route: Route<'_>,
    facts: &RequestFacts,
    head: &mut Parts,
    body: &mut Unasked,
) -> Result<Passed, Problem> {
    let Some(key) = key(route, head)?.map(Cow::into_owned) else {
        return stack::send_on(context, config, exchange, route, facts, head, body).await;
    };
    let (Some(service), Some(policy)) = (route.destination(config), policy(route)) else {
        return Err(Problem::new(Code::NotFound));
    };
    let held = hold(context, config, exchange, route, body).await?;
    let claimed = match &context.core.writes {
        None => Err(WritesError::Unavailable),
        Some(writes) => match claim(writes, config, exchange, route, service, head, &key, &held) {
            Ok(claim) => claimed(context, exchange, writes, &claim, service, route).await,
            Err(error) => Err(error),
        },
    };
    let count = |outcome| context.core.shard.count(Counter::KeyedWrite(outcome));
    match claimed {
        Ok(Outcome::Granted(lease)) => {
            let route = match route {
                Route::Operation(operation) => Owned::Operation(Arc::clone(operation)),
                other => Owned::Unknown { service: other.service().unwrap_or_default() },
            };
            let facts = facts.clone();
            Ok(Passed::Granted(Box::new(Execution { lease, held, facts, route, key })))
        }
        Ok(outcome) => {
            let (became, answer) = told(context, config, route, outcome);
            count(became);
            answer
        }
        Err(error) if policy.unrecorded_passes => {
            tracing::warn!(%error, "a keyed write is sent unrecorded");
            count(KeyedWrite::PassedUnrecorded);
            let mut body = Unasked::of_held(&held);
            stack::send_on(context, config, exchange, route, facts, head, &mut body).await
        }
        Err(error) => {
            tracing::debug!(%error, "a keyed write is not recorded");
            count(KeyedWrite::Unrecorded);
            Err(problems::unrecorded())
        }
    }
}

/// What a claim that was not granted is answered.
fn told(
    context: &ConnContext,
    config: &Config,
    route: Route<'_>,
    outcome: Outcome,
) -> (KeyedWrite, Result<Passed, Problem>) {
    match outcome {
        Outcome::Replay(answer) => (KeyedWrite::Replayed, Ok(replay(context, config, *answer))),
        Outcome::Unknown(since) => {
            (KeyedWrite::Unknown, Err(problems::unknown(config, route, Some(since))))
        }
        Outcome::OtherRequest => {
            (KeyedWrite::OtherRequest, Err(Problem::new(Code::KeyOtherRequest)))
        }
        Outcome::OtherCaller => (KeyedWrite::OtherCaller, Err(Problem::new(Code::KeyOtherCaller))),
        // A lease that is not used is released as it is dropped.
        Outcome::InProgress | Outcome::Granted(_) => {
            (KeyedWrite::InProgress, Err(problems::in_progress()))
        }
    }
}

/// Reads the body to its end; the deadline begins when it is there.
async fn hold(
    context: &Arc<ConnContext>,
    config: &Config,
    exchange: &mut Exchange,
    route: Route<'_>,
    body: &mut Unasked,
) -> Result<Arc<Held>, Problem> {
    let limits = InboundLimits {
        bytes_max: accept::body_bytes_max(config, route),
        idle: config.bounds.body_idle,
    };
    let clock = &context.core.clock;
    let begun = clock.now();
    let (inbound, state) = InboundBody::new(body.take(), limits, clock);
    exchange.body = state;
    let held = match context.core.shared.held.hold(inbound).await {
        Ok(held) => Arc::new(held),
        Err(error) => {
            let problem = forward::problem_of_body(config, route, exchange);
            if !matches!(error, NotHeld::NotWhole(_)) {
                tracing::warn!(%error, "the body of a keyed write is not held");
                return Err(problems::not_held());
            }
            return Err(problem.unwrap_or_else(|| Problem::new(Code::BadBody)));
        }
    };
    let Some(service) = route.destination(config) else { return Ok(held) };
    let begun = exchange.started.plus(clock.now().since(begun));
    exchange.deadline = Some(Deadline::after(begun, forward::total_timeout(route, service)));
    Ok(held)
}

/// What a claim came to in the end.
enum Outcome {
    Granted(Lease),
    Replay(Box<Answer>),
    Unknown(Duration),
    InProgress,
    OtherRequest,
    OtherCaller,
}

/// Claims the write; waits for another's execution as long as there is time.
async fn claimed(
    context: &ConnContext,
    exchange: &Exchange,
    writes: &Writes,
    claim: &Claim,
    service: &Service,
    route: Route<'_>,
) -> Result<Outcome, WritesError> {
    let fallback = || Deadline::after(exchange.started, forward::total_timeout(route, service));
    let deadline = exchange.deadline.unwrap_or_else(fallback);
    let left = || deadline.left(context.core.clock.now());
    // What is sent on without a record needs time for the service, too.
    let passes = policy(route).is_some_and(|policy| policy.unrecorded_passes);
    let parts = if passes { 2 } else { 1 };
    let mut waiting: Option<Waiting> = None;
    loop {
        let begun = writes.begin(claim, (left() / parts).min(STORE_WAIT_MAX)).await;
        match begun {
            Ok(Begun::Granted(lease)) => return Ok(Outcome::Granted(lease)),
            Ok(Begun::Replay(answer)) => return Ok(Outcome::Replay(answer)),
            Ok(Begun::Unknown { since }) => return Ok(Outcome::Unknown(since)),
            Ok(Begun::OtherPayload) => return Ok(Outcome::OtherRequest),
            Ok(Begun::OtherCaller) => return Ok(Outcome::OtherCaller),
            Ok(Begun::Running) => {}
            // It knows of the first one: it is never sent beside it, and where there is no time
            // left it is not the store that it waits for.
            Err(_) if waiting.is_some() && (passes || left().is_zero()) => {
                return Ok(Outcome::InProgress);
            }
            Err(error) => return Err(error),
        }
        match &mut waiting {
            Some(waiting) => {
                if tokio::time::timeout(left(), waiting.next()).await.is_err() {
                    return Ok(Outcome::InProgress);
                }
            }
            // It is asked once more before the first wait: it may be done by now.
            none => match writes.waiting(claim.id) {
                Some(place) => *none = Some(place),
                None => return Ok(Outcome::InProgress),
            },
        }
    }
}

/// What makes the write one of a kind, who asks, and for what exactly: as keyed hashes.
#[expect(clippy::too_many_arguments, reason = "all of it makes the claim, and nothing else does")]
fn claim(
    writes: &Writes,
    config: &Config,
    exchange: &Exchange,
    route: Route<'_>,
    service: &Service,
    head: &Parts,
    key: &[u8],
    held: &Held,
) -> Result<Claim, WritesError> {
    let (caller, formerly) = caller(writes, config, exchange, &head.headers)?;
    // Without a contract names depend on what a node has seen, and the path is compared anyway.
    let operation = match route {
        Route::Operation(operation) => &*operation.id,
        _ => head.method.as_str(),
    };
    let (service, scope) = (&*service.name, operation.as_bytes());
    let id = match exchange.subject() {
        Some(verified) => {
            let (tenant, caller) = (verified.tenant().as_bytes(), &caller.0[..]);
            writes.hash("writes.id.v1", &[service.as_bytes(), scope, key, tenant, caller])?
        }
        None => writes.hash("writes.id.v1", &[service.as_bytes(), scope, key])?,
    };
    let target = head.uri.path_and_query().map_or("", |target| target.as_str());
    let method = head.method.as_str().as_bytes();
    // Each version of an API is a service of its own, so its name says which is meant.
    let exactly = [method, target.as_bytes(), service.as_bytes(), held.digest()];
    let policy = policy(route).unwrap_or(&OPTIONAL);
    let kept_for = config.manifest.idempotency.kept_for.0;
    Ok(Claim {
        id,
        caller,
        formerly,
        fingerprint: writes.hash("writes.request.v1", &exactly)?,
        owner: owner()?,
        on_unknown: match policy.unknown {
            UnknownOutcome::Hold => OnUnknown::Hold,
            UnknownOutcome::RetryUpstreamWithKey => OnUnknown::Retry,
            UnknownOutcome::Ask => OnUnknown::Ask,
        },
        kept_for_ms: u64::try_from(kept_for.as_millis()).unwrap_or(u64::MAX),
        service: cut(service, 64),
        operation: cut(operation, 256),
    })
}

/// Who a request counts as, as for limits: the verified caller, else the credentials presented,
/// else the signed installation, else the address. And who an installation counted as before it was
/// one: its address, since an app is given its first one while a write of it may be under way.
fn caller(
    writes: &Writes,
    config: &Config,
    exchange: &Exchange,
    headers: &HeaderMap,
) -> Result<(Hash, Option<Hash>), WritesError> {
    const PURPOSE: &str = "writes.caller.v1";
    if let Some(verified) = exchange.subject() {
        let (issuer, tenant) = (verified.issuer().as_bytes(), verified.tenant().as_bytes());
        let parts = [b"token", issuer, tenant, verified.subject().as_bytes()];
        return Ok((writes.hash(PURPOSE, &parts)?, None));
    }
    let named = [header::AUTHORIZATION, header::COOKIE];
    let named = named.iter().chain(&config.api_key_fields);
    let values = named.flat_map(|name| headers.get_all(name)).map(HeaderValue::as_bytes);
    let presented: Vec<&[u8]> = std::iter::once(&b"presented"[..]).chain(values).collect();
    if presented.len() > 1 {
        return Ok((writes.hash(PURPOSE, &presented)?, None));
    }
    let address = writes.hash(PURPOSE, &[b"address", exchange.from.prefix().as_bytes()])?;
    match exchange.installation.signed() {
        Some(known) => {
            let installation = writes.hash(PURPOSE, &[b"installation", &known.id])?;
            Ok((installation, Some(address)))
        }
        None => Ok((address, None)),
    }
}

/// Drawn for each claim; nobody else may guess it.
fn owner() -> Result<u128, WritesError> {
    let mut random = [0; 16];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| WritesError::Unavailable)?;
    Ok(u128::from_be_bytes(random))
}

fn cut(text: &str, bytes_max: usize) -> String {
    text.get(..text.floor_char_boundary(bytes_max)).unwrap_or(text).to_owned()
}

/// The first one's answer, once more.
fn replay(context: &ConnContext, config: &Config, answer: Answer) -> Passed {
    let is_whole = answer.body.is_some();
    let mut response = kept(config, answer);
    let headers = response.headers_mut();
    headers.insert(REPLAYED, TRUE);
    cache::say_fresh(context, config, headers);
    if !is_whole {
        headers.insert(REPLAYED_BODY, NOT_KEPT);
    }
    Passed::Own(response)
}

/// An answer as it is kept, for a client.
fn kept(config: &Config, answer: Answer) -> Response<bytes::Bytes> {
    let mut response = Response::new(answer.body.unwrap_or_default());
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    if config.cors.is_some() {
        Cors::strip(response.headers_mut());
    }
    response
}
