//! Hedging: a read that is slower than nearly all others is asked for a second time, at another URL
//! if there is one. The first good answer wins, and the other request is given up.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use plimsoll_base::Nanos;
use plimsoll_telemetry::Counter;

use super::message::Care;
use super::pool::Sent;
use super::retries::Budget;
use super::{Endpoint, Outcome, Pooled, Release, Sending, UpstreamError, open};
use crate::core::Core;
use crate::lazy_timer::LazyTimer;

/// Who answered.
pub(super) enum Won {
    First(Sent),
    /// The other one, over this connection.
    Second(Sent, Pooled),
}

/// Waits for `first`, which went out over `connection` to `endpoint` at `now`, and after a while
/// for a second one, too. It takes a place in the budget; without one, nothing is hedged.
pub(super) async fn race(
    core: &Arc<Core>,
    (release, endpoint): (&Release, &Arc<Endpoint>),
    sending: &Sending<'_>,
    timer: &mut LazyTimer,
    (now, connection): (Nanos, &Pooled),
    mut first: Pin<&mut impl Future<Output = Sent>>,
) -> Result<Won, UpstreamError> {
    let after = sending.hedge.unwrap_or_default();
    tokio::select! {
        biased;
        answered = sending.wait(core, timer, now, first.as_mut()) => {
            return answered.map(Won::First);
        }
        () = tokio::time::sleep(after) => {}
    }
    let retries = &sending.retries;
    let begun = core.clock.now();
    let place = Budget::place(retries.budget, retries.policy.share(), begun);
    let request = connection.sent();
    let (Some(place), Some(request)) = (place, request) else {
        return sending.wait(core, timer, now, first).await.map(Won::First);
    };
    place.sent(begun);
    core.shard.count(Counter::UpstreamHedged { service: sending.service });
    let other = release.pick(core, begun, Some(endpoint));
    let second = async {
        let mut connection = match other.idle(core, begun, Duration::MAX) {
            Some(idle) => idle,
            None => open(core, other, sending).await.ok()?,
        };
        let sent = connection.send(request, Care::None).await;
        Some((sent, connection))
    };
    let mut second = pin!(second);
    let is_good =
        |sent: &Sent| sent.as_ref().is_ok_and(|answer| !retries.policy.is_failure(answer.status()));
    let either = async {
        tokio::select! {
            sent = first.as_mut() => match sent {
                Err(failed) => match second.await {
                    Some((sent, connection)) if is_good(&sent) => Won::Second(sent, connection),
                    _ => Won::First(Err(failed)),
                },
                answered => Won::First(answered),
            },
            sent = second.as_mut() => match sent {
                Some((sent, connection)) if is_good(&sent) => Won::Second(sent, connection),
                _ => Won::First(first.await),
            },
        }
    };
    let won = sending.wait(core, timer, now, pin!(either)).await?;
    if let Won::Second(Ok(answer), _) = &won {
        let outcome = Outcome::of_status(answer.status());
        if other.ended(core.index, outcome, begun, || core.clock.now()) {
            core.shard.count(Counter::UpstreamEjected { service: sending.service });
        }
    }
    Ok(won)
}
