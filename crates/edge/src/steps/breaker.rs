//! Breaker: an operation that fails again and again is not sent on for a while. It is answered with
//! what [stands in](super::fallback) for it, or 503 and when to ask again.

use plimsoll_http_kit::{Code, Problem};
use plimsoll_telemetry::Counter;

use crate::config::Config;
use crate::conn::ConnContext;
use crate::steps::route::Route;
use crate::upstream::{Answer, Outcome, Sending, UpstreamError};

/// Whether the request may be sent on.
pub(crate) fn check(
    context: &ConnContext,
    config: &Config,
    route: Route<'_>,
) -> Result<(), Problem> {
    let (Some(guard), Route::Operation(operation)) = (config.guard(route), route) else {
        return Ok(());
    };
    let core = &context.core;
    let Err(after) = guard.circuit.admits(core.clock.now(), || core.random_u64()) else {
        return Ok(());
    };
    core.shard.count(Counter::BreakerRefused { service: &operation.service_name });
    // Some more for each, so that not everybody who was refused comes back at once.
    let least = after.as_secs() + 1;
    let seconds = least + core.random_u64() % (least / 2 + 1);
    Err(Problem::new(Code::BreakerOpen).with_retry_after(seconds))
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
