//! Which tokens are revoked, as this node knows it, and since when it knows.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use plimsoll_base::{Nanos, failpoint};
use plimsoll_snapshot::{RevocationKeys, Revocations};

/// Shared by all cores; replaced as a whole.
#[derive(Debug, Default)]
pub(crate) struct DenySet {
    revocations: ArcSwap<Revocations>,
    /// When the set was last known to be all there is; zero while that has never been so.
    known_at: AtomicU64,
    /// Whether there is a database that could revoke at all.
    followed: std::sync::atomic::AtomicBool,
}

impl DenySet {
    pub(crate) fn replace(&self, revocations: Revocations) {
        if failpoint::hit("edge.revoke").is_err() {
            return;
        }
        self.revocations.store(Arc::new(revocations));
    }

    /// The set was all there is at `now`.
    pub(crate) fn known(&self, now: Nanos) {
        self.known_at.fetch_max(now.0, Ordering::Relaxed);
    }

    /// From now on a set that is too old counts as not known.
    pub(crate) fn follow(&self) {
        self.followed.store(true, Ordering::Relaxed);
    }

    pub(crate) fn names(&self, token: &RevocationKeys) -> bool {
        self.revocations.load().names(token)
    }

    /// Whether the set may be older than `max`.
    pub(crate) fn is_older_than(&self, max: Duration, now: Nanos) -> bool {
        let known_at = self.known_at.load(Ordering::Relaxed);
        self.followed.load(Ordering::Relaxed) && (known_at == 0 || now.since(Nanos(known_at)) > max)
    }

    pub(crate) fn len(&self) -> usize {
        self.revocations.load().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_that_was_never_known_is_too_old_once_it_is_followed() {
        let deny = DenySet::default();
        let max = Duration::from_secs(30);
        assert!(!deny.is_older_than(max, Nanos(1)), "nobody could have revoked anything");
        deny.follow();
        assert!(deny.is_older_than(max, Nanos(1)));
        deny.known(Nanos(5));
        assert!(!deny.is_older_than(max, Nanos(5).plus(max)));
        assert!(deny.is_older_than(max, Nanos(6).plus(max)));
    }
}
