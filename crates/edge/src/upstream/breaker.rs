//! A breaker: whether something that fails is still asked.
//!
//! Closed, it lets everything through and counts. Enough failures in a row, or too small a share of
//! successes among enough requests, open it for a while, longer each time. Then one request is let
//! through to try, and no second one before that has ended: a success closes the breaker, a failure
//! opens it again. After that the share of requests that pass grows from a tenth to all of them.
//!
//! A pure state machine: clock, chance and the count of successes are arguments. It never asks what
//! a success is; who feeds it says so.

use std::time::Duration;

use plimsoll_base::Nanos;

use super::ticks::{Counts, TICKS};

/// A request that was let through to try is given up on after this: its client may have gone.
const PROBE_MAX: Duration = Duration::from_secs(10);

/// How long whoever comes while one tries is told to wait.
const PROBE_WAIT: Duration = Duration::from_secs(1);

/// A slow start begins with one request in so many.
const SLOW_START_PART: u64 = 10;

/// When a breaker opens, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Trip {
    /// Failures in a row; 0 = these never open it.
    pub(crate) consecutive: u32,
    /// Percent of the window's requests that must succeed; 0 = the share never opens it.
    pub(crate) success_percent_min: u32,
    /// So many requests must be in the window before their share says anything.
    pub(crate) requests_min: u32,
    pub(crate) window: Duration,
    /// How long the first time; each further time in a row adds as much again.
    pub(crate) open: Duration,
    /// How long at most.
    pub(crate) open_max: Duration,
    pub(crate) slow_start: Duration,
    /// Whether an answer that says no more than "not now" counts in a row like one that says that
    /// nothing works there.
    pub(crate) poor_in_row: bool,
}

impl Trip {
    /// It never opens.
    pub(crate) const NEVER: Self = Self {
        consecutive: 0,
        success_percent_min: 0,
        requests_min: 0,
        window: Duration::from_secs(10),
        open: Duration::ZERO,
        open_max: Duration::ZERO,
        slow_start: Duration::ZERO,
        poor_in_row: false,
    };

    pub(super) fn tick(&self, now: Nanos) -> u64 {
        let tick = u64::try_from(self.window.as_nanos()).unwrap_or(u64::MAX) / TICKS;
        now.0 / tick.max(1)
    }

    fn span(&self, times: u32) -> Duration {
        self.open.saturating_mul(times).min(self.open_max)
    }

    /// Whether an answer such as 500 or 429 is a failure here.
    pub(super) fn counts_poor(&self) -> bool {
        self.success_percent_min > 0 || self.poor_in_row
    }
}

/// How a request ended, as far as the service is to blame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was answered.
    Good,
    /// It was answered that this failed: 5xx, or 429.
    Poor,
    /// No answer, or one of a gateway that has none.
    Failed,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// What began before `since` says nothing any more.
    Closed {
        since: Nanos,
        in_row: u32,
        failures: Box<Counts>,
        slow: Option<Nanos>,
    },
    Open {
        since: Nanos,
        until: Nanos,
        times: u32,
    },
    /// One request tries, and is waited for until then.
    Probing {
        since: Nanos,
        until: Nanos,
        times: u32,
    },
}

/// How a request passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pass {
    /// Like any other.
    Freely,
    /// By it is seen whether things work again; no other passes before it has ended.
    ToTry,
}

/// See the module's page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Breaker {
    state: State,
}

/// A state, as people are shown it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// Everything passes.
    Closed,
    /// Nothing passes for so much longer.
    Open {
        /// How long.
        left: Duration,
    },
    /// The next request may try, or one does.
    Probing,
    /// A growing share passes.
    SlowStart,
}

impl BreakerState {
    /// A word for machines.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open { .. } => "open",
            Self::Probing => "probing",
            Self::SlowStart => "slow_start",
        }
    }
}

impl Default for Breaker {
    fn default() -> Self {
        Self { state: closed(Nanos::default(), None) }
    }
}

fn closed(since: Nanos, slow: Option<Nanos>) -> State {
    State::Closed { since, in_row: 0, failures: Box::default(), slow }
}

impl Breaker {
    /// Whether a request may pass, and whether it is the one that tries; the error says after how
    /// long it may ask again.
    pub(crate) fn admits(
        &mut self,
        trip: &Trip,
        now: Nanos,
        random: impl FnOnce() -> u64,
    ) -> Result<Pass, Duration> {
        match &mut self.state {
            State::Closed { slow, .. } => {
                let Some(began) = *slow else { return Ok(Pass::Freely) };
                let (passed, whole) = (now.since(began), trip.slow_start);
                if passed >= whole {
                    *slow = None;
                    return Ok(Pass::Freely);
                }
                let least = whole / u32::try_from(SLOW_START_PART).unwrap_or(1);
                let share = passed.max(least).as_nanos() * u128::from(u64::MAX) / whole.as_nanos();
                if u128::from(random()) < share { Ok(Pass::Freely) } else { Err(PROBE_WAIT) }
            }
            State::Open { until, .. } if now < *until => Err(until.since(now)),
            State::Probing { until, .. } if now < *until => Err(PROBE_WAIT.min(until.since(now))),
            State::Open { times, .. } | State::Probing { times, .. } => {
                let times = *times;
                self.state = State::Probing { since: now, until: now.plus(PROBE_MAX), times };
                Ok(Pass::ToTry)
            }
        }
    }

    /// What was begun then succeeded.
    pub(crate) fn good(&mut self, trip: &Trip, begun: Nanos, now: Nanos) {
        match &mut self.state {
            State::Closed { since, in_row, slow, .. } => {
                if begun >= *since {
                    *in_row = 0;
                }
                // Where there is only one to ask, nobody asks whether it admits.
                slow.take_if(|began| now.since(*began) >= trip.slow_start);
            }
            // What was under way when it opened says how it was, not how it is.
            State::Open { since, .. } | State::Probing { since, .. } => {
                if begun >= *since {
                    self.came_back(trip, now);
                }
            }
        }
    }

    /// It works again: what began before says nothing any more.
    pub(crate) fn came_back(&mut self, trip: &Trip, now: Nanos) {
        self.state = closed(now, (!trip.slow_start.is_zero()).then_some(now));
    }

    /// What was begun then failed, and so many others succeeded in the window. True when the
    /// breaker opened for it.
    pub(crate) fn failed(
        &mut self,
        trip: &Trip,
        outcome: Outcome,
        (begun, now): (Nanos, Nanos),
        good: u64,
    ) -> bool {
        let times = match &mut self.state {
            State::Closed { since, in_row, failures, .. } => {
                if begun < *since {
                    return false;
                }
                failures.note(trip.tick(now));
                if outcome == Outcome::Failed || trip.poor_in_row {
                    *in_row = in_row.saturating_add(1);
                }
                let in_row = trip.consecutive > 0 && *in_row >= trip.consecutive;
                let failures = u64::from(failures.of_late(trip.tick(now)));
                if !in_row && !too_many(trip, failures, good) {
                    return false;
                }
                1
            }
            // What fails meanwhile was sent before, or all the same: it says nothing new.
            State::Open { since, until, times } => {
                if begun < *since || now < *until {
                    return false;
                }
                times.saturating_add(1)
            }
            State::Probing { since, times, .. } => {
                if begun < *since {
                    return false;
                }
                times.saturating_add(1)
            }
        };
        let until = now.plus(trip.span(times));
        self.state = State::Open { since: now, until, times };
        true
    }

    /// Nobody will say how what was begun then ended. Where it was to try, the next one may.
    pub(crate) fn given_up(&mut self, begun: Nanos, now: Nanos) {
        if let State::Probing { since, times, .. } = self.state
            && begun == since
        {
            self.state = State::Open { since, until: now, times };
        }
    }

    /// Whether nothing has to be asked or told before something fails.
    pub(crate) fn is_calm(&self) -> bool {
        matches!(self.state, State::Closed { in_row: 0, slow: None, .. })
    }

    /// Failures in a row so far.
    pub(crate) fn in_row(&self) -> u32 {
        match self.state {
            State::Closed { in_row, .. } => in_row,
            State::Open { .. } | State::Probing { .. } => 0,
        }
    }

    pub(crate) fn state(&self, trip: &Trip, now: Nanos) -> BreakerState {
        match &self.state {
            State::Open { until, .. } if now < *until => {
                BreakerState::Open { left: until.since(now) }
            }
            State::Open { .. } | State::Probing { .. } => BreakerState::Probing,
            State::Closed { slow: Some(began), .. } if now.since(*began) < trip.slow_start => {
                BreakerState::SlowStart
            }
            State::Closed { .. } => BreakerState::Closed,
        }
    }
}

fn too_many(trip: &Trip, failures: u64, good: u64) -> bool {
    let all = failures.saturating_add(good);
    trip.success_percent_min > 0
        && all >= u64::from(trip.requests_min)
        && good.saturating_mul(100) < all.saturating_mul(u64::from(trip.success_percent_min))
}

#[cfg(test)]
mod tests;
