//! Where a request stands with its limits, and how that is told.

use http::HeaderMap;
use plimsoll_http_kit::ratelimit_fields::{LimitItem, RATELIMIT, RATELIMIT_POLICY, limit_value};
use plimsoll_http_kit::{Code, Problem};
use smallvec::SmallVec;

use super::gcra::Gcra;
use super::policy::PolicySet;
use super::{Held, Limits, policies_field};

/// What a check decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Every limit was charged.
    Allowed(Standings),
    /// Nothing was charged.
    Refused(Refused),
}

/// What is left of the limits that a request met.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standings(SmallVec<[Standing; 4]>);

/// What is left of one limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    index: u8,
    remaining: u32,
    reset_seconds: u32,
}

/// Which limits refused a request, and for how long.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refused {
    violated: PolicySet,
    wait: u64,
    standings: Standings,
}

impl Standing {
    /// `RateLimit`'s `t`: until everything is there again, or, with nothing left, until something
    /// is, because that is what a client then waits for.
    pub(super) fn now(index: usize, gcra: &Gcra, tat: u64, now: u64) -> Self {
        let remaining = gcra.remaining(tat, now);
        let reset =
            if remaining > 0 { gcra.full_after(tat, now) } else { gcra.next_unit_after(tat, now) };
        Self::new(index, remaining, reset)
    }

    /// For the limit that refuses, `t` is the same point in time as `Retry-After`, as the draft
    /// wants; `r` may be more than zero where the request costs more than is left.
    pub(super) fn refused(index: usize, gcra: &Gcra, tat: u64, now: u64, wait: u64) -> Self {
        Self::new(index, gcra.remaining(tat, now), wait)
    }

    fn new(index: usize, remaining: u64, reset: u64) -> Self {
        Self {
            index: u8::try_from(index).unwrap_or(u8::MAX),
            remaining: u32::try_from(remaining).unwrap_or(u32::MAX),
            reset_seconds: u32::try_from(seconds(reset)).unwrap_or(u32::MAX),
        }
    }
}

/// Nanoseconds as seconds, rounded up: a client that waits so long never comes too soon.
fn seconds(nanos: u64) -> u64 {
    nanos.div_ceil(1_000_000_000)
}

impl Standings {
    pub(super) fn push(&mut self, standing: Standing) {
        self.0.push(standing);
    }

    /// Adds what a later check of the same request found.
    pub fn extend(&mut self, later: Standings) {
        self.0.extend(later.0);
    }

    fn set(&self) -> PolicySet {
        let add = |set: PolicySet, standing: &Standing| set.with(usize::from(standing.index));
        self.0.iter().fold(PolicySet::default(), add)
    }
}

impl Refused {
    pub(super) fn is_empty(&self) -> bool {
        self.violated.is_empty()
    }

    /// Whether this limit is among those that refused.
    pub(super) fn names(&self, index: usize) -> bool {
        self.violated.iter().any(|violated| violated == index)
    }

    pub(super) fn add(&mut self, standing: Standing, wait: u64) {
        self.violated = self.violated.with(usize::from(standing.index));
        self.wait = self.wait.max(wait);
        self.standings.push(standing);
    }

    /// Adds the limits that would have let the request pass, in the order of all.
    #[cold]
    pub(super) fn with_rest(mut self, held: &[Held<'_>], now: u64) -> Self {
        for held in held {
            if !self.violated.iter().any(|index| index == held.index) {
                let gcra = &held.policy.state.gcra;
                self.standings.push(Standing::now(held.index, gcra, held.tat, now));
            }
        }
        self.standings.0.sort_by_key(|standing| standing.index);
        self
    }

    /// After how many seconds the request would pass, at least 1.
    #[must_use]
    pub fn retry_after_seconds(&self) -> u64 {
        seconds(self.wait).max(1)
    }

    /// Where the request stands with all limits of the check.
    #[must_use]
    pub fn standings(&self) -> &Standings {
        &self.standings
    }
}

impl Limits {
    /// Writes `RateLimit` and `RateLimit-Policy` into an answer, in place of what the service may
    /// have said there: two servers' lists in one field would be nobody's.
    pub fn write_fields(&self, standings: &Standings, headers: &mut HeaderMap) {
        if standings.0.is_empty() {
            return;
        }
        let items = standings.0.iter().filter_map(|standing| {
            let policy = self.policies.get(usize::from(standing.index))?;
            Some(LimitItem {
                name: &policy.quoted,
                remaining: u64::from(standing.remaining),
                reset_seconds: u64::from(standing.reset_seconds),
            })
        });
        if let Some(value) = limit_value(items) {
            headers.insert(RATELIMIT, value);
        }
        let set = standings.set();
        let known = self.policy_fields.iter().find(|(known, _)| *known == set);
        let value = match known {
            Some((_, value)) => Some(value.clone()),
            None => policies_field(&self.policies, set),
        };
        if let Some(value) = value {
            headers.insert(RATELIMIT_POLICY, value);
        }
    }

    /// The names of the limits that refused a request.
    pub fn violated<'l>(&'l self, refused: &Refused) -> impl Iterator<Item = &'l str> {
        refused.violated.iter().filter_map(|index| Some(&*self.policies.get(index)?.name))
    }

    /// The answer to a refused request: 429 with `Retry-After` and `violated-policies`. The caller
    /// adds the fields ([`Limits::write_fields`] with [`Refused::standings`]) and the instance.
    #[must_use]
    pub fn problem(&self, refused: &Refused) -> Problem {
        let violated: Vec<String> = self.violated(refused).map(str::to_owned).collect();
        Problem::new(Code::RateLimited)
            .with("violated-policies", violated)
            .with_retry_after(refused.retry_after_seconds())
    }
}
