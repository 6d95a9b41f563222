//! Answer: the last look at what the client gets, and whether it gets it compressed. Field
//! projection comes here.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Version, header, response};
use plimsoll_base::failpoint;
use plimsoll_http_kit::hygiene::strip_response;
use plimsoll_http_kit::request_id::X_REQUEST_ID;
use plimsoll_http_kit::{Code, Problem};
use plimsoll_telemetry::Counter;

use crate::body::{AnswerBody, InboundOutcome, UpstreamBody};
use crate::compress::{self, Plan};
use crate::config::Config;
use crate::conn::ConnContext;
use crate::cors::Cors;
use crate::exchange::Exchange;
use crate::installation;
use crate::record::Finish;
use crate::status;
use crate::steps::forward::Passed;

const CLOSE: HeaderValue = HeaderValue::from_static("close");

/// What a service, or the edge as its own service, answered.
pub(crate) fn passed_on(
    context: &Arc<ConnContext>,
    config: &Config,
    mut finish: Box<Finish>,
    passed: Passed,
) -> Response<AnswerBody> {
    match passed {
        Passed::Own(response) => {
            let (mut head, body) = response.into_parts();
            finish.answered(head.status);
            complete_head(config, &finish.exchange, &mut head.headers);
            close_when_last(context, &finish.exchange, &mut head.headers);
            let length = Some(body.len() as u64);
            let exchange = &finish.exchange;
            let plan = compress::decide(config, exchange, head.status, &mut head.headers, length);
            let version = exchange.version;
            own(head, body, finish).map(|body| Plan::carry_out(plan, version, body))
        }
        Passed::Switched(response) => {
            let (mut head, _empty) = response.into_parts();
            finish.answered(head.status);
            finish.complete();
            complete_head(config, &finish.exchange, &mut head.headers);
            context.state.set_upgraded();
            Response::from_parts(head, AnswerBody::Own(None, Some(finish)))
        }
        Passed::Stored(response) => {
            let (mut head, body) = response.into_parts();
            finish.answered(head.status);
            if config.cors.is_some() {
                Cors::strip(&mut head.headers);
            }
            complete_head(config, &finish.exchange, &mut head.headers);
            close_when_last(context, &finish.exchange, &mut head.headers);
            let length = Some(body.len() as u64);
            let exchange = &finish.exchange;
            let plan = compress::decide(config, exchange, head.status, &mut head.headers, length);
            let version = exchange.version;
            let answer = match head.status {
                // It has no body of which a length could be said.
                StatusCode::NOT_MODIFIED => {
                    Response::from_parts(head, AnswerBody::Own(None, Some(finish)))
                }
                _ => own(head, body, finish),
            };
            answer.map(|body| Plan::carry_out(plan, version, body))
        }
        Passed::Upstream { answer, begun, limits, tee } => {
            let (mut head, incoming) = answer.response.into_parts();
            finish.answered(head.status);
            strip_response(&mut head.headers, &answer.facts);
            if config.cors.is_some() {
                Cors::strip(&mut head.headers);
            }
            head.version = Version::HTTP_11;
            complete_head(config, &finish.exchange, &mut head.headers);
            close_when_last(context, &finish.exchange, &mut head.headers);
            let exchange = &finish.exchange;
            installation::offer(config, exchange, &mut head.headers);
            let plan = compress::decide(config, exchange, head.status, &mut head.headers, None);
            let version = exchange.version;
            let back = (answer.connection, answer.watch, answer.slot);
            let body = UpstreamBody::new(incoming, begun, back, finish, limits, tee);
            let body = AnswerBody::Upstream(Box::new(body));
            Response::from_parts(head, Plan::carry_out(plan, version, body))
        }
        // It was executed before anybody is answered.
        Passed::Granted(_) => refused(context, config, finish, Problem::new(Code::Internal)),
    }
}

/// What the edge refused.
pub(crate) fn refused(
    context: &Arc<ConnContext>,
    config: &Config,
    mut finish: Box<Finish>,
    problem: Problem,
) -> Response<AnswerBody> {
    let exchange = &mut finish.exchange;
    let code = problem.code();
    exchange.problem = Some(code);
    // A body that was being passed on when it came to this is dropped where it stood.
    exchange.body_in_the_way |=
        exchange.body.as_ref().is_some_and(|body| body.outcome() != InboundOutcome::Complete);
    if !context.rehearsal {
        context.core.shard.count(Counter::Problem { code: code.as_str() });
    }
    let response = problem.with_instance(exchange.id).into_response();
    let (mut head, body) = response.into_parts();
    if failpoint::hit("edge.problem").is_err() {
        head.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    }
    complete_head(config, exchange, &mut head.headers);
    if code.closes_connection() && exchange.version < Version::HTTP_2 {
        context.state.set_leaves_bytes_unread();
        head.headers.insert(header::CONNECTION, CLOSE);
    } else {
        close_when_last(context, exchange, &mut head.headers);
    }
    finish.answered(head.status);
    own(head, body.into_inner().unwrap_or_default(), finish)
}

/// An answer of the edge itself. To HEAD it only says how long it would be: over HTTP/2 nobody
/// else takes the body away.
fn own(mut head: response::Parts, body: Bytes, finish: Box<Finish>) -> Response<AnswerBody> {
    if finish.exchange.method == Method::HEAD {
        if !head.headers.contains_key(header::CONTENT_ENCODING) {
            head.headers.insert(header::CONTENT_LENGTH, body.len().into());
        }
        return Response::from_parts(head, AnswerBody::Own(None, Some(finish)));
    }
    Response::from_parts(head, AnswerBody::Own(Some(body), Some(finish)))
}

fn complete_head(config: &Config, exchange: &Exchange, headers: &mut HeaderMap) {
    headers.insert(X_REQUEST_ID, exchange.id.header_value());
    config.limits.write_fields(&exchange.standings, headers);
    status::write(config, &exchange.context.core, headers);
    if let Some(cors) = &config.cors {
        cors.write(exchange.origin.as_ref(), headers);
    }
}

/// A connection that is asked for the last time says so; the client opens the next one elsewhere.
fn close_when_last(context: &ConnContext, exchange: &Exchange, headers: &mut HeaderMap) {
    let last = context.core.is_draining() || exchange.body_in_the_way;
    if exchange.version < Version::HTTP_2 && last {
        if exchange.body_in_the_way {
            context.state.set_leaves_bytes_unread();
        }
        headers.insert(header::CONNECTION, CLOSE);
    }
}
