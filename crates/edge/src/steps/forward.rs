//! Upstream: the request as the service gets it, and the service's answer or what went wrong.

mod head;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Version, header};
use hyper::body::Incoming;
use plimsoll_base::Deadline;
use plimsoll_http_kit::hygiene::{RequestFacts, ResponseFacts, Upgrade, strip_response};
use plimsoll_http_kit::{Code, Problem};
use plimsoll_snapshot::RetryRule;
use plimsoll_telemetry::{Counter, UpstreamErrorKind};

use crate::body::{
    AnswerLimits, AtStop, InboundBody, InboundLimits, InboundOutcome, InboundState, Unasked,
};
use crate::config::{Config, Service};
use crate::conn::ConnContext;
use crate::exchange::Exchange;
use crate::steps::cache::Tee;
use crate::steps::idempotency::Execution;
use crate::steps::route::Route;
use crate::steps::{accept, admit, breaker, idempotency};
use crate::upstream::{self, Answer, Message, Pace, Retries, UpstreamError};

pub(crate) use head::prepare as prepare_head;

/// A stream of events or of gRPC messages may pause this long.
const STREAM_IDLE_MAX: Duration = Duration::from_secs(60 * 60);

/// An answer on its way to the client.
pub(crate) enum Passed {
    /// A document of the edge.
    Own(Response<Bytes>),
    /// The connection leaves HTTP.
    Switched(Response<Incoming>),
    /// A service's answer.
    Upstream {
        answer: Answer,
        /// What was read of its body already.
        begun: Bytes,
        limits: AnswerLimits,
        /// Keeps it as it passes.
        tee: Option<Box<Tee>>,
    },
    /// A service's answer of before.
    Stored(Response<Bytes>),
    /// A keyed write that is to be executed once.
    Granted(Box<Execution>),
}

impl Passed {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Own(response) | Self::Stored(response) => response.status(),
            Self::Switched(response) => response.status(),
            Self::Upstream { answer, .. } => answer.response.status(),
            // Nobody is answered so: the execution ends with another.
            Self::Granted(_) => StatusCode::ACCEPTED,
        }
    }
}

/// Sends the request where its route leads.
pub(crate) async fn forward(
    context: &Arc<ConnContext>,
    config: &Config,
    exchange: &mut Exchange,
    route: Route<'_>,
    facts: &RequestFacts,
    head: &mut Parts,
    body: &mut Unasked,
) -> Result<Passed, Problem> {
    if let Route::Document(document) = route {
        return Ok(Passed::Own(own_document(document)));
    }
    let Some(service) = route.destination(config) else {
        return Err(Problem::new(Code::NotFound));
    };
    let streams = matches!(route, Route::Passthrough(_));
    let client_upgrade = match facts.upgrade {
        // HTTP/1.0 cannot upgrade; the field means nothing there (RFC 9110 §7.8).
        Some(Upgrade::WebSocket) if head.version == Version::HTTP_11 => {
            Some(allowed_upgrade(config, route, head)?)
        }
        _ => None,
    };
    let grpc = matches!(route, Route::Passthrough(p) if p.kinds.grpc) && is_grpc(&head.headers);
    prepare_head(config, exchange, service, facts, head)?;
    let total = total_timeout(route, service);
    // A keyed write has its deadline already: reading its body took no time of it.
    let deadline = exchange.deadline.unwrap_or_else(|| Deadline::after(exchange.started, total));
    exchange.deadline = (!streams).then_some(deadline);
    let both_ways = grpc || client_upgrade.is_some();
    let admission = (service, both_ways);
    let mut slot = admit::admit(context, config, exchange, route, admission, &head.headers).await?;
    let now = context.core.clock.now();
    exchange.upstream_sent = Some(now);
    if let Some(client) = client_upgrade {
        // A box, because this is rare and large.
        return Box::pin(switch(context, exchange, service, client, head)).await;
    }
    let is_keyed = body.held().is_some();
    let (body, state) = inbound(context, config, route, grpc, body);
    if state.is_some() && !head.headers.contains_key(header::CONTENT_LENGTH) {
        // Said in so many words, because hyper takes a GET without a length for one without a body.
        head.headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    exchange.body = state;
    let pace = config.pace(route, &head.method);
    let retries = retries(route, service);
    let idempotent = may_be_repeated(retries.rule, route, is_keyed, &head.method);
    let mut message = Message::new(head, body, &mut exchange.upstream_reached)
        .idempotent(idempotent)
        .keyed(is_keyed)
        .after(exchange.upstream_tries);
    let sending = upstream::Sending {
        begun: now,
        deadline: exchange.deadline,
        body: exchange.body.as_ref(),
        held: is_keyed,
        multiplexed: grpc,
        gate: slot.as_ref().and(service.gate()),
        timeouts: service.timeouts,
        service: &service.name,
        retries,
        hedge: pace.filter(|_| retries.rule != RetryRule::Off).and_then(Pace::p95),
    };
    let mut timer = context.take_timer();
    let release = &service.release;
    let sent = upstream::send(&context.core, release, &sending, &mut timer, &mut message).await;
    context.keep_timer(timer);
    exchange.upstream_tries = message.tries();
    breaker::ended(context, config, route, &sending, (&sent, message.is_reached()));
    if let Some(slot) = &mut slot {
        admit::ended(slot, &sending, &sent, context.core.clock.now());
    }
    match sent {
        Ok(mut answer) => {
            let answered = context.core.clock.now();
            exchange.upstream_latency = exchange.upstream_sent.map(|sent| answered.since(sent));
            if let Some(pace) = pace {
                pace.note(answered.since(now));
            }
            check_answer(context, service, &mut answer)?;
            let endless = streams || answer.facts.is_event_stream;
            // What has no end of its own would hold it for ever.
            answer.slot = slot.filter(|_| !endless);
            let limits = AnswerLimits {
                left: (!endless).then(|| sending.left(answered).unwrap_or(total)),
                idle: if endless { STREAM_IDLE_MAX } else { total },
                at_stop: match answer.facts.is_event_stream {
                    true => AtStop::Ended,
                    false if grpc => AtStop::Cut,
                    false => AtStop::Waited,
                },
            };
            Ok(Passed::Upstream { answer, begun: Bytes::new(), limits, tee: None })
        }
        Err(error) => Err(problem_of(context, config, route, exchange, service, &error)),
    }
}

/// The request's body within its bounds, and where it stands.
fn inbound(
    context: &ConnContext,
    config: &Config,
    route: Route<'_>,
    grpc: bool,
    body: &mut Unasked,
) -> (InboundBody, Option<Arc<InboundState>>) {
    let limits = if grpc {
        // A stream of messages: how long it pauses and how much it comes to is its own affair.
        InboundLimits { bytes_max: u64::MAX, idle: STREAM_IDLE_MAX }
    } else {
        let bytes_max = accept::body_bytes_max(config, route);
        InboundLimits { bytes_max, idle: config.bounds.body_idle }
    };
    let clock = &context.core.clock;
    match body.held() {
        Some(held) => InboundBody::held(held, clock),
        None => InboundBody::new(body.take(), limits, clock),
    }
}

/// What may be sent again, by the operation's word or the service's.
pub(crate) fn retries<'s>(route: Route<'_>, service: &'s Service) -> Retries<'s> {
    let own = match route {
        Route::Operation(operation) => operation.retries,
        _ => None,
    };
    let rule = own.unwrap_or(service.retries.rule);
    Retries { policy: &service.retries, rule, budget: &service.budget }
}

/// A write with a key is sent once, whatever the manifest says of its method, unless the service
/// obeys the key itself.
fn may_be_repeated(rule: RetryRule, route: Route<'_>, is_keyed: bool, method: &Method) -> bool {
    match is_keyed {
        true => rule != RetryRule::Off && idempotency::is_obeyed_upstream(route),
        false => upstream::covers(rule, method),
    }
}

/// How long the exchange with the service may take.
pub(crate) fn total_timeout(route: Route<'_>, service: &Service) -> Duration {
    match route {
        Route::Operation(operation) => operation.total_timeout.unwrap_or(service.total_timeout),
        _ => service.total_timeout,
    }
}

fn own_document(document: &Bytes) -> Response<Bytes> {
    let mut response = Response::new(document.clone());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// WebSocket goes only where the manifest declares it.
fn allowed_upgrade(
    config: &Config,
    route: Route<'_>,
    head: &mut Parts,
) -> Result<hyper::upgrade::OnUpgrade, Problem> {
    let declared = match route {
        Route::Passthrough(passthrough) => passthrough.kinds.websocket,
        Route::Operation(operation) => {
            config.router.kinds_at(head.uri.path(), operation.service).websocket
        }
        _ => false,
    };
    let upgrade = head.extensions.remove::<hyper::upgrade::OnUpgrade>();
    match upgrade {
        Some(upgrade) if declared => Ok(upgrade),
        _ => Err(Problem::new(Code::UpgradeNotDeclared)),
    }
}

async fn switch(
    context: &Arc<ConnContext>,
    exchange: &mut Exchange,
    service: &Service,
    client: hyper::upgrade::OnUpgrade,
    head: &mut Parts,
) -> Result<Passed, Problem> {
    head.headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    head.headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    let core = &context.core;
    // It goes out only once there is a connection; `tunnel` says when.
    let request = Message::new(head, InboundBody::Empty, &mut false).request();
    let Some(request) = request else { return Err(Problem::new(Code::BadFraming)) };
    let (release, timeouts) = (&service.release, service.timeouts);
    let upgrading = upstream::Upgrading { release, timeouts, service: &service.name };
    let reached = &mut exchange.upstream_reached;
    match upstream::tunnel(context, &upgrading, client, request, reached).await {
        Ok(mut response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
            let upgrade = response.headers().get(header::UPGRADE).cloned();
            let headers = response.headers_mut();
            let facts = ResponseFacts::of(headers);
            strip_response(headers, &facts);
            headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            headers
                .insert(header::UPGRADE, upgrade.unwrap_or(HeaderValue::from_static("websocket")));
            Ok(Passed::Switched(response))
        }
        Ok(response) => {
            let limits =
                AnswerLimits { left: None, idle: service.total_timeout, at_stop: AtStop::Waited };
            let answer = Answer::new(response, None);
            Ok(Passed::Upstream { answer, begun: Bytes::new(), limits, tee: None })
        }
        Err(error) => {
            count(context, service, &error);
            let sent = exchange.upstream_sent;
            exchange.upstream_latency = sent.map(|sent| core.clock.now().since(sent));
            Err(Problem::new(code_of(&error)))
        }
    }
}

/// What must not be passed on although hyper could read it.
fn check_answer(
    context: &ConnContext,
    service: &Service,
    answer: &mut Answer,
) -> Result<(), Problem> {
    let (facts, headers) = (answer.facts, answer.response.headers());
    let is_chunked =
        |coding: &HeaderValue| coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked");
    let well_framed = match facts.transfer_encodings {
        0 => true,
        1 => {
            facts.content_lengths == 0
                && headers.get(header::TRANSFER_ENCODING).is_some_and(is_chunked)
        }
        _ => false,
    };
    if !well_framed || answer.response.status().is_informational() {
        let kind = UpstreamErrorKind::Protocol;
        context.core.shard.count(Counter::UpstreamError { service: &service.name, kind });
        return Err(Problem::new(Code::UpstreamInvalid));
    }
    if facts.content_lengths > 1 {
        let headers = answer.response.headers_mut();
        if let Some(length) = headers.get(header::CONTENT_LENGTH).cloned() {
            headers.insert(header::CONTENT_LENGTH, length);
        }
    }
    Ok(())
}

fn is_grpc(headers: &HeaderMap) -> bool {
    const GRPC: &[u8] = b"application/grpc";
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.as_bytes().get(..GRPC.len()))
        .is_some_and(|start| start.eq_ignore_ascii_case(GRPC))
}

fn problem_of(
    context: &ConnContext,
    config: &Config,
    route: Route<'_>,
    exchange: &Exchange,
    service: &Service,
    error: &UpstreamError,
) -> Problem {
    // The client's own fault comes first: a body that broke off broke the upstream request, too.
    if let Some(problem) = problem_of_body(config, route, exchange) {
        return problem;
    }
    count(context, service, error);
    tracing::debug!(service = %service.name, %error, "no answer from the service");
    Problem::new(code_of(error))
}

/// What the client did wrong with its body.
pub(crate) fn problem_of_body(
    config: &Config,
    route: Route<'_>,
    exchange: &Exchange,
) -> Option<Problem> {
    match exchange.body.as_ref().map(|body| body.outcome()) {
        Some(InboundOutcome::TooLarge) => {
            Some(accept::too_large(accept::body_bytes_max(config, route)))
        }
        Some(InboundOutcome::TooSlow) => Some(Problem::new(Code::BodyTimeout)),
        Some(InboundOutcome::Broken) => Some(Problem::new(Code::BadBody)),
        _ => None,
    }
}

fn count(context: &ConnContext, service: &Service, error: &UpstreamError) {
    let kind = match error {
        UpstreamError::Connect(_) => UpstreamErrorKind::Connect,
        UpstreamError::ConnectTimeout => UpstreamErrorKind::ConnectTimeout,
        UpstreamError::PoolFull => UpstreamErrorKind::PoolFull,
        UpstreamError::Answer(error) if error.is_parse() => UpstreamErrorKind::Protocol,
        UpstreamError::Answer(_) => UpstreamErrorKind::Reset,
        UpstreamError::FirstByteTimeout => UpstreamErrorKind::FirstByteTimeout,
        UpstreamError::DeadlinePassed => UpstreamErrorKind::TotalTimeout,
    };
    context.core.shard.count(Counter::UpstreamError { service: &service.name, kind });
}

fn code_of(error: &UpstreamError) -> Code {
    match error {
        UpstreamError::Connect(_) => Code::UpstreamConnect,
        UpstreamError::ConnectTimeout => Code::UpstreamConnectTimeout,
        UpstreamError::PoolFull => Code::UpstreamBusy,
        UpstreamError::Answer(error) if error.is_parse() => Code::UpstreamInvalid,
        UpstreamError::Answer(_) => Code::UpstreamReset,
        UpstreamError::FirstByteTimeout => Code::UpstreamFirstByteTimeout,
        UpstreamError::DeadlinePassed => Code::UpstreamTotalTimeout,
    }
}
