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
use super::{
    Endpoint, Outcome, Pooled, Release, Sending, UpstreamError, ended_without_an_answer, open,
};
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
        let trying = Trying { core, endpoint: other, service: sending.service, begun };
        let (mut connection, kept) = match other.idle(core, begun, Duration::MAX) {
            Some(idle) => (idle, true),
            None => match open(core, other, sending).await {
                Ok(opened) => (opened, false),
                Err(error) => {
                    trying.failed(&error);
                    return None;
                }
            },
        };
        let sent = connection.send(request, Care::None).await;
        match &sent {
            Ok(answer) => trying.ended(Outcome::of_status(answer.status())),
            // That a kept connection is dead says nothing of the URL.
            Err(failed) if kept && ended_without_an_answer(failed.error()) => {}
            Err(_) => trying.ended(Outcome::Failed),
        }
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
    sending.wait(core, timer, now, pin!(either)).await
}

/// The second request, of which its URL is told how it ended; where nobody waits for its end any
/// longer, that somebody else may try what it was let through to try.
struct Trying<'t> {
    core: &'t Core,
    endpoint: &'t Endpoint,
    service: &'t str,
    begun: Nanos,
}

impl Trying<'_> {
    fn ended(&self, outcome: Outcome) {
        let core = self.core;
        if self.endpoint.ended(core.index, outcome, self.begun, || core.clock.now()) {
            core.shard.count(Counter::UpstreamEjected { service: self.service });
        }
    }

    /// No connection was made. Where that is the edge's own bound it says nothing.
    fn failed(&self, error: &UpstreamError) {
        if !matches!(error, UpstreamError::PoolFull | UpstreamError::DeadlinePassed) {
            self.ended(Outcome::Failed);
        }
    }
}

impl Drop for Trying<'_> {
    fn drop(&mut self) {
        self.endpoint.given_up(self.begun, self.core.clock.now());
    }
}
