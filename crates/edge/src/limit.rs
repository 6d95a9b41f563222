//! Rate limits: several named policies at once, charged together or not at all.
//!
//! [`Limits`] are made from the manifest's `[[limit]]` list and the operations of all contracts.
//! For a request the stack asks [`Limits::policies_for`] its operation, then calls
//! [`Limits::check`] twice: with `by_ip` before anything is verified and only while the request is
//! anonymous, and with `by_caller` once it is known who asks. A check charges every limit of its
//! set or, when one of them refuses, none.
//!
//! State is in memory and bounded: each limit tracks at most `keys_max` keys, forgets those that
//! owe nothing ([`Limits::sweep`], on a timer), and when it is full lets new keys share one bucket
//! per shard, counted as `folded`. Keys are 64-bit keyed hashes, so nothing here can tell who they
//! are. A check of keys that are known allocates nothing.
//!
//! Where nodes share their limits ([`sharing`]) each goes on deciding alone, by what it knows.

mod gcra;
mod keys;
mod options;
mod overdraw;
mod policy;
pub mod sharing;
mod standing;
mod store;

use std::sync::Arc;
use std::sync::MutexGuard;
use std::sync::atomic::Ordering;

use http::HeaderValue;
use plimsoll_base::{Nanos, failpoint};
use plimsoll_http_kit::ratelimit_fields::policy_value;
use smallvec::SmallVec;

pub use keys::{KeyHasher, Keys};
pub use options::{LIMITS_MAX, LimitFault, LimitOptions, LimitsOptions, Per, Units};
pub use policy::PolicySet;
pub use standing::{Decision, Refused, Standings};

use gcra::Verdict;
use policy::Policy;
use standing::Standing;
use store::{Place, Shard, Spending};

/// The limits of one manifest.
#[derive(Debug)]
pub struct Limits {
    /// In the order of their locks.
    policies: Box<[Policy]>,
    /// By operation index.
    operations: Box<[OperationLimits]>,
    /// For a request that no operation knows.
    unknown: OperationLimits,
    /// `RateLimit-Policy` for every set that a request can meet.
    policy_fields: Box<[(PolicySet, HeaderValue)]>,
    hasher: KeyHasher,
}

/// The limits that apply to an operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OperationLimits {
    /// To be checked before anything is verified, and only while the request is anonymous.
    pub by_ip: PolicySet,
    /// To be checked once the caller is known: those per caller and per operation.
    pub by_caller: PolicySet,
    /// The operation's key for limits that count it as a whole.
    operation_key: u64,
}

/// A limit's figures, for metrics and the console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyStats {
    /// The limit's name.
    pub name: Arc<str>,
    /// How many keys are tracked.
    pub keys: usize,
    /// How many requests it has refused since it was made.
    pub refused: u64,
    /// How many requests were charged to a shared bucket because too many keys were tracked.
    pub folded: u64,
}

/// What a sweep did, all limits together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Keys forgotten.
    pub forgotten: usize,
    /// Keys still tracked.
    pub tracked: usize,
}

impl Limits {
    /// Makes limits. With `previous`, a limit that has not changed goes on with what was used up,
    /// so that a reload gives nobody a fresh quota. `seed` is secret: whoever knows it could make
    /// keys fall together. It is not used when there is a previous generation, whose keys must stay
    /// what they are.
    ///
    /// # Errors
    /// The first limit that cannot be made, with the reason.
    pub fn build(
        options: &LimitsOptions,
        previous: Option<&Limits>,
        seed: &[u8; 16],
    ) -> Result<Self, LimitFault> {
        let count = options.limits.len();
        if count > LIMITS_MAX {
            return Err(LimitFault::TooMany { count });
        }
        let old = previous.map_or(&[][..], |limits| &limits.policies);
        let next_order = old.iter().map(|policy| policy.state.order + 1).max().unwrap_or(0);
        let hasher = previous.map_or_else(|| KeyHasher::new(seed), |limits| limits.hasher.clone());
        let sharing = (&hasher, options.shared);
        let mut made = Vec::with_capacity(count);
        for (limit, order) in options.limits.iter().zip(next_order..) {
            if options.limits.iter().filter(|other| other.name == limit.name).count() > 1 {
                return Err(LimitFault::DuplicateName { name: limit.name.clone() });
            }
            unknown_operation(limit, &options.operations)?;
            made.push((Policy::new(limit, old, order, sharing)?, limit));
        }
        made.sort_by_key(|(policy, _)| policy.state.order);
        let of = |id: Option<&str>| OperationLimits::new(&made, id, &hasher);
        let unknown = of(None);
        let operations: Box<[_]> = options.operations.iter().map(|id| of(Some(id))).collect();
        let policies: Box<[_]> = made.into_iter().map(|(policy, _)| policy).collect();
        let policy_fields = policy_fields(&policies, operations.iter().chain([&unknown]));
        Ok(Self { policies, operations, unknown, policy_fields, hasher })
    }

    /// Whether there are no limits at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.policies.is_empty()
    }

    /// The limits that apply to an operation, or to a path that no operation knows.
    #[must_use]
    pub fn policies_for(&self, operation: Option<u32>) -> &OperationLimits {
        operation
            .and_then(|index| self.operations.get(usize::try_from(index).ok()?))
            .unwrap_or(&self.unknown)
    }

    /// Makes the keys of callers and addresses.
    #[must_use]
    pub fn hasher(&self) -> &KeyHasher {
        &self.hasher
    }

    /// Charges a request of `cost` units to every limit in `set`, or to none when one refuses.
    /// Limits that count requests charge one whatever the cost, and none charges more than its
    /// burst.
    ///
    /// Locks are taken in one order that all generations share, one shard of each limit, and held
    /// together while all are looked at and then all are charged: no other request sees or takes a
    /// half of it.
    #[must_use]
    pub fn check(&self, set: PolicySet, keys: &Keys, cost: u32, now: Nanos) -> Decision {
        self.decide::<true>(set, keys, cost, now)
    }

    /// With `COUNTED` false nobody is told: neither figures nor other nodes.
    fn decide<const COUNTED: bool>(
        &self,
        set: PolicySet,
        keys: &Keys,
        cost: u32,
        now: Nanos,
    ) -> Decision {
        let mut held: SmallVec<[Held<'_>; 4]> = SmallVec::new();
        let mut refused = Refused::default();
        for index in set.iter() {
            let Some(policy) = self.policies.get(index) else {
                break;
            };
            let gcra = &policy.state.gcra;
            // Once, so that other nodes are told what is charged here.
            let units = gcra.units(match policy.units {
                Units::Requests => 1,
                Units::Cost => cost,
            });
            let key = keys.of(policy.per);
            let mut shard = policy.state.store.lock(key);
            let keys_max = policy.state.store.keys_per_shard_max();
            let (tat, place) = shard.read(key, now.0, keys_max);
            match gcra.decide(tat, now.0, units) {
                Verdict::Allowed { tat: next } => {
                    held.push(Held { policy, index, shard, key, place, tat, next, units });
                }
                Verdict::Refused { wait } => {
                    if COUNTED {
                        policy.state.refused.fetch_add(1, Ordering::Relaxed);
                    }
                    refused.add(Standing::refused(index, gcra, tat, now.0, wait), wait);
                    held.push(Held { policy, index, shard, key, place, tat, next: tat, units });
                }
            }
        }
        if refused.is_empty() || failpoint::hit("edge.limits").is_err() {
            Decision::Allowed(charge::<COUNTED>(held, now.0))
        } else {
            Decision::Refused(refused.with_rest(&held, now.0))
        }
    }

    /// What the operation `other` is limited by that a request of `first` was not charged to yet:
    /// limits per operation count each apart.
    pub(crate) fn beyond(&self, first: u32, other: u32) -> OperationLimits {
        let (first, other) = (self.policies_for(Some(first)), self.policies_for(Some(other)));
        let apart = other.by_caller.iter().filter(|index| {
            self.policies.get(*index).is_some_and(|policy| policy.per == Per::Operation)
        });
        let by_caller = apart.fold(other.by_caller.without(first.by_caller), PolicySet::with);
        OperationLimits { by_ip: other.by_ip.without(first.by_ip), by_caller, ..*other }
    }

    /// Forgets keys that owe nothing. For a timer: a shard at a time is locked, for as long as it
    /// takes to walk through it.
    pub fn sweep(&self, now: Nanos) -> Swept {
        let mut swept = Swept::default();
        for policy in &self.policies {
            let (forgotten, tracked) = policy.state.store.sweep(now.0);
            swept.forgotten += forgotten;
            swept.tracked += tracked;
        }
        swept
    }

    /// By limit, how many requests were charged to a shared bucket since this was last asked.
    pub(crate) fn take_folded(&self) -> impl Iterator<Item = (&str, u64)> {
        self.policies.iter().filter_map(|policy| {
            let folded = policy.state.folded.load(Ordering::Relaxed);
            let told = policy.state.folded_told.swap(folded, Ordering::Relaxed);
            (folded > told).then(|| (&*policy.name, folded - told))
        })
    }

    /// The figures of every limit. Locks each shard for a moment.
    #[must_use]
    pub fn stats(&self) -> Vec<PolicyStats> {
        let figures = |policy: &Policy| PolicyStats {
            name: Arc::clone(&policy.name),
            keys: policy.state.store.keys(),
            refused: policy.state.refused.load(Ordering::Relaxed),
            folded: policy.state.folded.load(Ordering::Relaxed),
        };
        self.policies.iter().map(figures).collect()
    }
}

/// A limit that was looked at, its shard still locked.
struct Held<'l> {
    policy: &'l Policy,
    index: usize,
    shard: MutexGuard<'l, Shard>,
    key: u64,
    place: Place,
    tat: u64,
    next: u64,
    units: u32,
}

fn charge<const COUNTED: bool>(held: SmallVec<[Held<'_>; 4]>, now: u64) -> Standings {
    let mut standings = Standings::default();
    for mut held in held {
        held.shard.write(held.key, held.place, held.next);
        if COUNTED {
            let spending = Spending { units: held.units, since: now };
            held.shard.note_spent(held.key, held.place, spending);
        }
        if held.place == Place::Overflow {
            held.policy.state.folded.fetch_add(1, Ordering::Relaxed);
        }
        standings.push(Standing::now(held.index, &held.policy.state.gcra, held.next, now));
    }
    standings
}

impl OperationLimits {
    fn new(made: &[(Policy, &LimitOptions)], id: Option<&str>, hasher: &KeyHasher) -> Self {
        let mut limits = Self { operation_key: hasher.operation(id), ..Self::default() };
        for (index, (policy, options)) in made.iter().enumerate() {
            let named = |id| options.operations.iter().any(|operation| operation == id);
            if !options.operations.is_empty() && !id.is_some_and(named) {
                continue;
            }
            let set = match policy.per {
                Per::Ip => &mut limits.by_ip,
                Per::Caller | Per::Operation => &mut limits.by_caller,
            };
            *set = set.with(index);
        }
        limits
    }

    /// The keys of a request for this operation.
    #[must_use]
    pub fn keys(&self, ip: u64, caller: u64) -> Keys {
        Keys { ip, caller, operation: self.operation_key }
    }
}

fn unknown_operation(limit: &LimitOptions, operations: &[String]) -> Result<(), LimitFault> {
    match limit.operations.iter().find(|id| !operations.contains(id)) {
        Some(operation) => Err(LimitFault::UnknownOperation {
            name: limit.name.clone(),
            operation: operation.clone(),
        }),
        None => Ok(()),
    }
}

/// A request meets the limits by address, those by caller, or both.
fn policy_fields<'a>(
    policies: &[Policy],
    operations: impl Iterator<Item = &'a OperationLimits>,
) -> Box<[(PolicySet, HeaderValue)]> {
    let mut fields: Vec<(PolicySet, HeaderValue)> = Vec::new();
    for limits in operations {
        for set in [limits.by_ip, limits.by_caller, limits.by_ip.union(limits.by_caller)] {
            if fields.iter().all(|(known, _)| *known != set) {
                fields.extend(policies_field(policies, set).map(|value| (set, value)));
            }
        }
    }
    fields.into()
}

fn policies_field(policies: &[Policy], set: PolicySet) -> Option<HeaderValue> {
    policy_value(set.iter().filter_map(|index| policies.get(index)).map(Policy::item))
}

#[cfg(test)]
mod tests;
