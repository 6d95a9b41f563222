//! One named limit with its state, and sets of them.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use plimsoll_http_kit::ratelimit_fields::{PolicyItem, QuotaUnit, QuotedName};

use super::gcra::Gcra;
use super::keys::KeyHasher;
use super::options::{LimitFault, LimitOptions, Per, Units};
use super::store::Store;

/// One limit.
#[derive(Debug)]
pub(super) struct Policy {
    pub(super) name: Arc<str>,
    pub(super) quoted: QuotedName,
    pub(super) per: Per,
    pub(super) units: Units,
    pub(super) quota: u32,
    pub(super) window_seconds: u64,
    pub(super) state: Arc<State>,
}

/// What outlives a reload that leaves the limit as it is.
#[derive(Debug)]
pub(super) struct State {
    /// The place of this limit in the order of locks. Two generations of limits share states for a
    /// while; both take locks in the order of this number, so neither can wait for the other.
    pub(super) order: u64,
    pub(super) gcra: Gcra,
    pub(super) store: Store,
    pub(super) refused: AtomicU64,
    pub(super) folded: AtomicU64,
    /// How many of those have been told to the metrics.
    pub(super) folded_told: AtomicU64,
    /// What the limit is known by to nodes that share it.
    pub(super) shared_id: u64,
    made_from: LimitOptions,
}

impl Policy {
    /// Takes over the state of the limit of the same making in `previous`, if there is one.
    pub(super) fn new(
        options: &LimitOptions,
        previous: &[Policy],
        order: u64,
        sharing: (&KeyHasher, bool),
    ) -> Result<Self, LimitFault> {
        let same = |policy: &&Policy| {
            // Which operations it applies to changes nothing about what was used up.
            let made_from = &policy.state.made_from;
            let operations = made_from.operations.clone();
            *made_from == LimitOptions { operations, ..options.clone() }
        };
        let state = match previous.iter().find(same) {
            Some(policy) => Arc::clone(&policy.state),
            None => Arc::new(State {
                order,
                gcra: Gcra::new(options.quota, options.window, options.burst)
                    .ok_or_else(|| LimitFault::Figures { name: options.name.clone() })?,
                store: Store::new(
                    usize::try_from(options.keys_max).unwrap_or(usize::MAX),
                    sharing.1,
                ),
                shared_id: sharing.0.limit(&described(options)),
                refused: AtomicU64::new(0),
                folded: AtomicU64::new(0),
                folded_told: AtomicU64::new(0),
                made_from: options.clone(),
            }),
        };
        Ok(Self {
            name: options.name.as_str().into(),
            quoted: QuotedName::new(&options.name),
            per: options.per,
            units: options.units,
            quota: options.quota,
            window_seconds: options.window.as_secs().max(1),
            state,
        })
    }

    /// The limit as `RateLimit-Policy` lists it.
    pub(super) fn item(&self) -> PolicyItem<'_> {
        PolicyItem {
            name: &self.quoted,
            quota: u64::from(self.quota),
            window_seconds: self.window_seconds,
            unit: match self.units {
                Units::Requests => QuotaUnit::Requests,
                Units::Cost => QuotaUnit::Cost,
            },
        }
    }
}

/// What makes it the same limit elsewhere. Which operations it applies to, and how many keys a node
/// has room for, changes nothing about what was used up.
fn described(options: &LimitOptions) -> String {
    let LimitOptions { name, per, quota, window, burst, units, operations: _, keys_max: _ } =
        options;
    format!("{name} {per:?} {quota} {window:?} {burst} {units:?}")
}

/// A set of limits, by their index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PolicySet(u64);

impl PolicySet {
    /// Whether no limit is in the set.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many limits are in the set.
    #[must_use]
    pub const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// The limits of either set.
    #[must_use]
    pub const fn union(self, other: PolicySet) -> PolicySet {
        PolicySet(self.0 | other.0)
    }

    /// The limits of this set that are not in the other.
    pub(super) const fn without(self, other: PolicySet) -> PolicySet {
        PolicySet(self.0 & !other.0)
    }

    pub(super) const fn with(self, index: usize) -> PolicySet {
        PolicySet(self.0 | 1 << index)
    }

    /// The indices, ascending.
    pub(super) fn iter(self) -> impl Iterator<Item = usize> {
        let mut left = self.0;
        std::iter::from_fn(move || {
            let index = (left != 0).then(|| left.trailing_zeros() as usize)?;
            left &= left - 1;
            Some(index)
        })
    }
}
