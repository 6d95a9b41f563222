//! Breaker: an operation that fails again and again is not sent on for a while. It is answered with
//! what [stands in](super::fallback) for it, or 503 and when to ask again.

use std::sync::Arc;

use plimsoll_base::{Nanos, SharedClock};
use plimsoll_http_kit::{Code, Problem};
use plimsoll_telemetry::Counter;

use crate::config::Config;
use crate::conn::ConnContext;
use crate::steps::route::Route;
use crate::upstream::{Answer, Circuit, Outcome, Pass, Sending, UpstreamError};

/// A request that was let through to see whether its operation works again. Dropped without a word
/// of how it ended, because it was shed or its client left, the next one may.
#[derive(Debug)]
pub(crate) struct Try {
    circuit: Arc<Circuit>,
    clock: SharedClock,
    begun: Nanos,
}

impl Drop for Try {
    fn drop(&mut self) {
        self.circuit.given_up(self.begun, self.clock.now());
    }
}

/// Whether the request may be sent on; held until it has ended where it is the one that tries.
pub(crate) fn check(
    context: &ConnContext,
    config: &Config,
    route: Route<'_>,
) -> Result<Option<Box<Try>>, Problem> {
    let (Some(guard), Route::Operation(operation)) = (config.guard(route), route) else {
        return Ok(None);
    };
    if guard.circuit.is_calm() {
        return Ok(None);
    }
    let core = &context.core;
    let now = core.clock.now();
    let after = match guard.circuit.admits(now, || core.random_u64()) {
        Ok(Pass::Freely) => return Ok(None),
        Ok(Pass::ToTry) => {
            let (circuit, clock) = (Arc::clone(&guard.circuit), Arc::clone(&core.clock));
            return Ok(Some(Box::new(Try { circuit, clock, begun: now })));
        }
        Err(after) => after,
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
