//! Sending again: after which failure, after which wait, and how much of it there may be.
//!
//! Nothing here sends. Clock and chance are arguments; the counts of a [`Budget`] are shared by all
//! cores.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderMap, Method, StatusCode, header};
use plimsoll_base::Nanos;
use plimsoll_manifest as manifest;
use plimsoll_snapshot::RetryRule;

use super::ticks::{Counts, Ticks};

/// A tick of a budget is 2^30 ns, about a second: a shift finds it.
const TICK_BITS: u32 = 30;

/// What may be sent again to a service, from `[service.retries]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RetryPolicy {
    /// What may be sent again although the service may have had it.
    pub(crate) rule: RetryRule,
    /// How often a request is sent, the first time included.
    tries_max: u32,
    backoff: Duration,
    backoff_max: Duration,
    statuses: Box<[u16]>,
    share: Share,
}

/// How much may be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Share {
    /// Of a hundred recent requests.
    pub(crate) percent: u32,
    /// However few there are.
    pub(crate) least: u32,
}

impl RetryPolicy {
    pub(crate) fn new(section: &manifest::Retries) -> Self {
        Self {
            rule: match section.methods {
                manifest::RetryRule::Off => RetryRule::Off,
                manifest::RetryRule::Safe => RetryRule::Safe,
                manifest::RetryRule::Idempotent => RetryRule::Idempotent,
            },
            tries_max: section.tries_max,
            backoff: section.backoff.0,
            backoff_max: section.backoff_max.0,
            statuses: section.statuses.as_slice().into(),
            share: Share { percent: section.budget_percent, least: section.budget_min },
        }
    }

    /// Nothing is sent again.
    pub(crate) fn none() -> Self {
        let section = manifest::Retries {
            methods: manifest::RetryRule::Off,
            tries_max: 1,
            ..manifest::Retries::default()
        };
        Self::new(&section)
    }

    /// Whether an answer counts as a failure after which a request may be sent again.
    pub(crate) fn is_failure(&self, status: StatusCode) -> bool {
        // Asked of every answer: nearly all are told by the first comparison.
        status.as_u16() >= 400 && self.statuses.contains(&status.as_u16())
    }

    /// How long to wait after so many tries: drawn between nothing and a bound that doubles (full
    /// jitter), on top of what the service asks for. `None` where it is not to be sent again.
    pub(crate) fn wait(&self, tries: u32, asked: Duration, random: u64) -> Option<Duration> {
        if tries >= self.tries_max || asked > self.backoff_max {
            return None;
        }
        let doubled = 1_u32.checked_shl(tries.saturating_sub(1)).unwrap_or(u32::MAX);
        let most = self.backoff.saturating_mul(doubled).min(self.backoff_max);
        let most = u64::try_from(most.as_nanos()).unwrap_or(u64::MAX);
        let drawn = (u128::from(random) * u128::from(most)) >> 64;
        let drawn = Duration::from_nanos(u64::try_from(drawn).unwrap_or(u64::MAX));
        Some(asked.saturating_add(drawn))
    }

    pub(crate) fn share(&self) -> Share {
        self.share
    }
}

/// Whether sending a method twice does what sending it once does (RFC 9110 §9.2.2), as far as the
/// rule trusts the service with that.
pub(crate) fn covers(rule: RetryRule, method: &Method) -> bool {
    rule == RetryRule::Idempotent && matches!(*method, Method::PUT | Method::DELETE)
}

/// How long an answer asks to be left alone (RFC 9110 §10.2.3): in seconds, as services say it. A
/// date is read against the answer's own `Date`, so that no clock has to agree with another.
pub(crate) fn retry_after(headers: &HeaderMap) -> Duration {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let Some(said) = text(header::RETRY_AFTER) else { return Duration::ZERO };
    if let Ok(seconds) = said.parse::<u64>() {
        return Duration::from_secs(seconds);
    }
    let at = httpdate::parse_http_date(said);
    let now = text(header::DATE).and_then(|date| httpdate::parse_http_date(date).ok());
    match (at, now) {
        (Ok(at), Some(now)) => at.duration_since(now).unwrap_or_default(),
        // A date that nobody can place, or no date at all: the next try may be the client's.
        _ => Duration::MAX,
    }
}

/// How many requests of a service were sent of late, and how many of them again. Those that wait
/// to be sent again count from when they begin to wait: else a service that is down is met by all
/// who waited at once.
#[derive(Debug)]
pub(crate) struct Budget {
    first: Box<[Ticks]>,
    again: Mutex<Again>,
}

#[derive(Debug, Default)]
struct Again {
    waiting: u32,
    sent: Counts,
}

/// A place in the budget while its request waits to be sent again.
#[derive(Debug)]
pub(crate) struct Place {
    budget: Arc<Budget>,
}

/// What the console shows of a budget.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BudgetStatus {
    /// Sent again in the last ten seconds.
    pub sent_again: u32,
    /// Waiting to be sent again.
    pub waiting: u32,
    /// How many there may be, both together.
    pub allowed: u32,
}

impl Budget {
    pub(crate) fn new(cores: usize) -> Self {
        Self { first: Ticks::of_cores(cores), again: Mutex::new(Again::default()) }
    }

    /// A request is sent for the first time. Only the core itself writes here.
    pub(crate) fn note(&self, core: usize, now: Nanos) {
        if let Some(ticks) = self.first.get(core) {
            ticks.note(tick(now));
        }
    }

    /// A place for a request that is to be sent again; `None` when the budget is used up.
    pub(crate) fn place(budget: &Arc<Self>, share: Share, now: Nanos) -> Option<Place> {
        let mut again = budget.again();
        let used = again.sent.of_late(tick(now)).saturating_add(again.waiting);
        if used >= budget.allowed(share, now) {
            return None;
        }
        again.waiting += 1;
        drop(again);
        Some(Place { budget: Arc::clone(budget) })
    }

    fn allowed(&self, share: Share, now: Nanos) -> u32 {
        let requests: u64 = self.first.iter().map(|ticks| ticks.of_late(tick(now))).sum();
        let shared = requests.saturating_mul(u64::from(share.percent)) / 100;
        u32::try_from(shared).unwrap_or(u32::MAX).max(share.least)
    }

    pub(crate) fn status(&self, share: Share, now: Nanos) -> BudgetStatus {
        let again = self.again();
        BudgetStatus {
            sent_again: again.sent.of_late(tick(now)),
            waiting: again.waiting,
            allowed: self.allowed(share, now),
        }
    }

    fn again(&self) -> std::sync::MutexGuard<'_, Again> {
        self.again.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// It is sent now. Without this, the place is free again.
    pub(crate) fn sent(self, now: Nanos) {
        self.budget.again().sent.note(tick(now));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut again = self.budget.again();
        again.waiting = again.waiting.saturating_sub(1);
    }
}

fn tick(now: Nanos) -> u64 {
    now.0 >> TICK_BITS
}

#[cfg(test)]
mod tests;
