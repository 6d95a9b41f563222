//! A breaker that all cores share. While nothing fails no lock is taken: successes are counted on
//! each core apart, and one flag says that there is nothing to ask.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::StatusCode;
use plimsoll_base::{Nanos, failpoint};

use super::breaker::{Breaker, BreakerState, Outcome, Pass, Trip};
use super::ticks::Ticks;

/// See the module's page.
#[derive(Debug)]
pub(crate) struct Circuit {
    /// The breaker is closed and nothing failed of late.
    calm: AtomicBool,
    /// Nanoseconds of a tick of the window; 0 where nobody asks for the share of successes.
    tick_ns: AtomicU64,
    good: Box<[Ticks]>,
    held: Mutex<Held>,
    failures_total: AtomicU64,
}

#[derive(Debug)]
struct Held {
    breaker: Breaker,
    trip: Trip,
}

impl Circuit {
    pub(crate) fn new(trip: Trip, cores: usize) -> Self {
        let circuit = Self {
            calm: AtomicBool::new(true),
            tick_ns: AtomicU64::new(0),
            good: Ticks::of_cores(cores),
            held: Mutex::new(Held { breaker: Breaker::default(), trip }),
            failures_total: AtomicU64::new(0),
        };
        circuit.reconfigure(trip);
        circuit
    }

    /// Takes over what a new manifest says.
    pub(crate) fn reconfigure(&self, trip: Trip) {
        let tick = u64::try_from(trip.window.as_nanos()).unwrap_or(u64::MAX) / super::ticks::TICKS;
        let tick = if trip.success_percent_min > 0 { tick.max(1) } else { 0 };
        self.held().trip = trip;
        self.tick_ns.store(tick, Ordering::Relaxed);
    }

    /// Whether everything passes, and nobody has to be asked.
    pub(crate) fn is_calm(&self) -> bool {
        self.calm.load(Ordering::Relaxed)
    }

    /// Whether a request may pass, and whether it is the one that tries; the error says after how
    /// long it may ask again.
    pub(crate) fn admits(
        &self,
        now: Nanos,
        random: impl FnOnce() -> u64,
    ) -> Result<Pass, Duration> {
        if self.is_calm() || failpoint::hit("edge.breaker").is_err() {
            return Ok(Pass::Freely);
        }
        let held = &mut *self.held();
        let passes = held.breaker.admits(&held.trip, now, random);
        self.calm.store(held.breaker.is_calm(), Ordering::Relaxed);
        passes
    }

    /// A request that was begun then ended so. True when the breaker opened for it.
    pub(crate) fn ended(
        &self,
        core: usize,
        outcome: Outcome,
        begun: Nanos,
        now: impl FnOnce() -> Nanos,
    ) -> bool {
        if outcome == Outcome::Good {
            self.succeeded(core, begun, now);
            return false;
        }
        let held = &mut *self.held();
        if outcome == Outcome::Poor && !held.trip.counts_poor() {
            held.breaker.good(&held.trip, begun, now());
            self.calm.store(held.breaker.is_calm(), Ordering::Relaxed);
            return false;
        }
        self.failures_total.fetch_add(1, Ordering::Relaxed);
        let now = now();
        let tick = held.trip.tick(now);
        let good = self.good.iter().map(|ticks| ticks.of_late(tick)).sum();
        let opened = held.breaker.failed(&held.trip, outcome, (begun, now), good);
        self.calm.store(held.breaker.is_calm(), Ordering::Relaxed);
        opened
    }

    /// Nobody will say how a request ended that was begun then.
    pub(crate) fn given_up(&self, begun: Nanos, now: Nanos) {
        if !self.calm.load(Ordering::Relaxed) {
            self.held().breaker.given_up(begun, now);
        }
    }

    fn succeeded(&self, core: usize, begun: Nanos, now: impl FnOnce() -> Nanos) {
        let tick = self.tick_ns.load(Ordering::Relaxed);
        if tick > 0
            && let Some(ticks) = self.good.get(core)
        {
            ticks.note(begun.0 / tick);
        }
        if !self.calm.load(Ordering::Relaxed) {
            let held = &mut *self.held();
            held.breaker.good(&held.trip, begun, now());
            self.calm.store(held.breaker.is_calm(), Ordering::Relaxed);
        }
    }

    /// Something else found that it works again.
    pub(crate) fn came_back(&self, now: Nanos) {
        let held = &mut *self.held();
        held.breaker.came_back(&held.trip, now);
        self.calm.store(held.breaker.is_calm(), Ordering::Relaxed);
    }

    pub(crate) fn state(&self, now: Nanos) -> BreakerState {
        let held = self.held();
        held.breaker.state(&held.trip, now)
    }

    pub(crate) fn in_row(&self) -> u32 {
        self.held().breaker.in_row()
    }

    pub(crate) fn failures_total(&self) -> u64 {
        self.failures_total.load(Ordering::Relaxed)
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outcome {
    /// Answers of a gateway that cannot reach its service are no answers.
    pub(crate) fn of_status(status: StatusCode) -> Self {
        match status.as_u16() {
            502..=504 => Self::Failed,
            429 | 500..=599 => Self::Poor,
            _ => Self::Good,
        }
    }

    /// The same for `grpc-status`: what HTTP says by 503 and 504, 500 and 429.
    pub(crate) fn of_grpc(status: &[u8]) -> Self {
        match status {
            // UNAVAILABLE, DEADLINE_EXCEEDED
            b"14" | b"4" => Self::Failed,
            // UNKNOWN, RESOURCE_EXHAUSTED, INTERNAL, DATA_LOSS
            b"2" | b"8" | b"13" | b"15" => Self::Poor,
            _ => Self::Good,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRIP: Trip = Trip {
        consecutive: 3,
        success_percent_min: 50,
        requests_min: 10,
        open: Duration::from_secs(5),
        open_max: Duration::from_secs(5),
        ..Trip::NEVER
    };

    fn end(circuit: &Circuit, outcome: Outcome, times: usize) -> bool {
        (0..times).any(|core| circuit.ended(core % 2, outcome, Nanos(9), || Nanos(9)))
    }

    #[test]
    fn successes_of_all_cores_count() {
        let circuit = Circuit::new(TRIP, 2);
        assert!(!end(&circuit, Outcome::Good, 12));
        assert!(!end(&circuit, Outcome::Poor, 12), "half of them are good");
        assert!(end(&circuit, Outcome::Poor, 1));
        assert!(circuit.admits(Nanos(9), || 0).is_err());
    }

    #[test]
    fn a_try_that_was_given_up_is_anothers_and_nobody_elses_end_frees_it() {
        let circuit = Circuit::new(TRIP, 1);
        let failed = || circuit.ended(0, Outcome::Failed, Nanos(2), || Nanos(3));
        assert!((0..5).any(|_| failed()));
        let later = Nanos(3).plus(TRIP.open);
        assert_eq!(circuit.admits(later, || 0), Ok(Pass::ToTry));
        circuit.given_up(Nanos(1), later);
        assert!(circuit.admits(later, || 0).is_err(), "it is under way");
        circuit.given_up(later, later);
        assert_eq!(circuit.admits(later, || 0), Ok(Pass::ToTry));
    }

    #[test]
    fn what_says_not_now_counts_only_where_the_share_is_asked_for() {
        let circuit = Circuit::new(Trip { success_percent_min: 0, ..TRIP }, 2);
        assert!(!end(&circuit, Outcome::Poor, 100));
        assert!(!end(&circuit, Outcome::Failed, 2) && !end(&circuit, Outcome::Poor, 1));
        assert!(!end(&circuit, Outcome::Failed, 2), "it was an answer, so the count began anew");
        assert!(end(&circuit, Outcome::Failed, 1));
    }

    #[test]
    fn statuses_of_http_and_grpc_mean_the_same() {
        for (http, grpc, outcome) in [
            (200, "0", Outcome::Good),
            (404, "5", Outcome::Good),
            (503, "14", Outcome::Failed),
            (504, "4", Outcome::Failed),
            (500, "13", Outcome::Poor),
            (429, "8", Outcome::Poor),
        ] {
            assert_eq!(Outcome::of_status(StatusCode::from_u16(http).unwrap()), outcome, "{http}");
            assert_eq!(Outcome::of_grpc(grpc.as_bytes()), outcome, "{grpc}");
        }
    }
}
