//! Breaker: an operation that fails again and again is not sent on for a while. It is answered with
//! the document that the manifest names, or 503 and when to ask again.

use bytes::Bytes;
use http::{HeaderValue, Response, header};
use plimsoll_http_kit::{Code, Problem};
use plimsoll_telemetry::Counter;

use crate::config::Config;
use crate::conn::ConnContext;
use crate::steps::forward::Passed;
use crate::steps::route::Route;
use crate::upstream::{Answer, Outcome, Sending, UpstreamError};

/// `None` where the request may be sent on.
pub(crate) fn check(
    context: &ConnContext,
    config: &Config,
    route: Route<'_>,
) -> Result<Option<Passed>, Problem> {
    let (Some(guard), Route::Operation(operation)) = (config.guard(route), route) else {
        return Ok(None);
    };
    let core = &context.core;
    let Err(after) = guard.circuit.admits(core.clock.now(), || core.random_u64()) else {
        return Ok(None);
    };
    core.shard.count(Counter::BreakerRefused { service: &operation.service_name });
    match &guard.fallback {
        Some((kind, document)) => Ok(Some(Passed::Own(fallback(kind, document)))),
        None => {
            // Some more for each, so that not everybody who was refused comes back at once.
            let least = after.as_secs() + 1;
            let seconds = least + core.random_u64() % (least / 2 + 1);
            Err(Problem::new(Code::BreakerOpen).with_retry_after(seconds))
        }
    }
}

fn fallback(kind: &HeaderValue, document: &Bytes) -> Response<Bytes> {
    let mut response = Response::new(document.clone());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, kind.clone());
    // It stands in for an answer only as long as there is none.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Tells the operation's breaker how a request ended that was sent on.
pub(crate) fn ended(
    context: &ConnContext,
    config: &Config,
    route: Route<'_>,
    sending: &Sending<'_>,
    (sent, reached): (&Result<Answer, UpstreamError>, bool),
) {
    let Some(guard) = config.guard(route) else { return };
    let outcome = match sent {
        Ok(answer) => Outcome::of_status(answer.response.status()),
        // The edge's own bound, or the client's own fault, says nothing of the operation.
        Err(UpstreamError::PoolFull) => return,
        // The time was used up before: by a wait for a record, or for another's answer.
        Err(UpstreamError::DeadlinePassed) if !reached => return,
        Err(_) if sending.client_failed() => return,
        Err(_) => Outcome::Failed,
    };
    let core = &context.core;
    if guard.circuit.ended(core.index, outcome, sending.begun, || core.clock.now()) {
        core.shard.count(Counter::BreakerOpened { service: sending.service });
    }
}
