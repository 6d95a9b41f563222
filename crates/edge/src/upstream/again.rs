//! Sending a request again: whether it may be, the wait, and what becomes of the answer that was
//! not good enough.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body::Body as _;
use plimsoll_base::Nanos;
use plimsoll_snapshot::RetryRule;
use plimsoll_telemetry::Counter;

use super::retries::{Budget, Place, retry_after};
use super::{Answer, Failure, Message, Retries, Sending, UpstreamError, ended_without_an_answer};
use crate::core::Core;
use crate::tasks::Kind;

/// The most of an answer that is read so that its connection can be kept, bytes.
const DISCARDED_BYTES_MAX: usize = 64 * 1024;

/// How long that may take.
const DISCARD_MAX: Duration = Duration::from_secs(1);

/// Waits until `message` may be sent once more and says when that is; hands `failure` back where it
/// is the last word.
pub(super) async fn wait(
    core: &Arc<Core>,
    sending: &Sending<'_>,
    message: &mut Message<'_>,
    failure: Failure,
    tries: u32,
) -> Result<Nanos, Failure> {
    // Nobody sleeps in a place that another waits for.
    let is_waited_for = sending.gate.is_some_and(|gate| gate.is_waited_for());
    if is_waited_for || !may_be_repeated(message, &failure) {
        return Err(failure);
    }
    let asked = match &failure {
        Failure::Answer(answer) => retry_after(answer.response.headers()),
        Failure::Dead | Failure::Error(_) => Duration::ZERO,
    };
    let left = sending.left(core.clock.now());
    let Some(turn) = turn(core, sending.service, &sending.retries, (tries, asked), left) else {
        return Err(failure);
    };
    if let Failure::Answer(answer) = failure {
        let sent = answer.connection.as_ref();
        if !sent.is_some_and(|connection| message.take_back_sent(connection)) {
            return Err(Failure::Answer(answer));
        }
        core.tasks.spawn(Kind::Upstream, discard(Arc::clone(core), *answer));
    }
    Ok(turn.come(core, sending.service).await)
}

/// A place in the budget, and how long to wait for it.
pub(crate) struct Turn {
    pause: Duration,
    place: Place,
}

/// The turn of a request that may be sent again after so many tries, the service having asked for
/// so long a wait. `None` where there is no more time or no place for it.
pub(crate) fn turn(
    core: &Core,
    service: &str,
    retries: &Retries<'_>,
    (tries, asked): (u32, Duration),
    left: Option<Duration>,
) -> Option<Turn> {
    if retries.rule == RetryRule::Off {
        return None;
    }
    let pause = retries.policy.wait(tries, asked, core.random_u64())?;
    if left.is_some_and(|left| left <= pause) {
        return None;
    }
    let now = core.clock.now();
    let place = Budget::place(retries.budget, retries.policy.share(), now);
    if place.is_none() {
        core.shard.count(Counter::RetryBudgetExhausted { service });
    }
    Some(Turn { pause, place: place? })
}

impl Turn {
    /// Waits until it is its turn, and says when that is.
    pub(crate) async fn come(self, core: &Core, service: &str) -> Nanos {
        tokio::time::sleep(self.pause).await;
        let now = core.clock.now();
        self.place.sent(now);
        core.shard.count(Counter::UpstreamRetry { service });
        now
    }
}

/// Whether what failed never left, or may be sent although it did.
fn may_be_repeated(message: &Message<'_>, failure: &Failure) -> bool {
    match failure {
        Failure::Dead => message.body.is_some(),
        Failure::Error(UpstreamError::Connect(_) | UpstreamError::ConnectTimeout) => {
            message.body.is_some()
        }
        // It is back in the message only where it may be repeated.
        Failure::Error(UpstreamError::Answer(error)) => {
            message.body.is_some() && ended_without_an_answer(error)
        }
        Failure::Error(_) => false,
        Failure::Answer(answer) => message.was_repeatable && answer.connection.is_some(),
    }
}

/// Reads an answer to its end, if that is near, so that its connection can be used again.
async fn discard(core: Arc<Core>, answer: Answer) {
    let mut body = answer.response.into_body();
    let mut left = DISCARDED_BYTES_MAX;
    let whole = async {
        loop {
            match poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
                None => return true,
                Some(Err(_)) => return false,
                Some(Ok(frame)) => {
                    let bytes = frame.data_ref().map_or(0, Bytes::len);
                    let Some(rest) = left.checked_sub(bytes) else { return false };
                    left = rest;
                }
            }
        }
    };
    if let (Ok(true), Some(connection)) =
        (tokio::time::timeout(DISCARD_MAX, whole).await, answer.connection)
    {
        connection.give_back(core.clock.now());
    }
}
