//! How long a node may take it that it knows of every write of the others.
//!
//! A node that asked the log at `t` may believe until `t +` [`LEASE`] that nothing was written and
//! answered elsewhere that it has not heard of: a write is answered only when every node that may
//! believe so has heard of it. A node that no longer asks the log is waited for until its lease has
//! ended, and [`APART`] more for how differently clocks run.
//!
//! Who cannot tell its writes waits, for the same time, for the leases of all others to end, since
//! nobody's lease goes on without Redis; then it answers without telling. So after Redis is back
//! some nodes may still not know that it is: no lease is given before [`SETTLE`] has passed, in
//! which every node has found it again and told what it had to tell.
//!
//! A replica that takes over does not know how long nodes that asked last may still believe. All of
//! them have lost their connections with it, as has whoever tells a write: so the first writes over
//! a new connection wait until what was given before it has ended.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use plimsoll_base::Nanos;

/// How long a node may believe after it asked the log.
pub(super) const LEASE: Duration = Duration::from_secs(1);
/// By how much more time may pass on one node, or on Redis, than on another during a lease.
pub(super) const APART: Duration = Duration::from_millis(250);
/// How long a node that cannot reach Redis waits before it tries again.
pub(super) const RETRY_AFTER: Duration = Duration::from_millis(250);
/// How long making a connection may take.
pub(super) const CONNECT_MAX: Duration = Duration::from_millis(750);
/// How long an answer may take.
pub(super) const ANSWER_MAX: Duration = Duration::from_millis(500);
/// How long after it joined a node is given no lease: longer than any other needs to join again.
pub(super) const SETTLE: Duration = Duration::from_millis(2_000);

/// See the module's page. All readings are of the node's own clock.
#[derive(Debug, Default)]
pub(super) struct Lease {
    /// When it ends; 0: there is none.
    until: AtomicU64,
    /// From when on one is given.
    settled: AtomicU64,
    /// Since when nothing could be told; 0: it can.
    lost_since: AtomicU64,
    /// Since when Redis was reached without a break; 0: it was not.
    reached_since: AtomicU64,
}

fn after(at: Nanos, by: Duration) -> u64 {
    at.plus(by).0
}

impl Lease {
    /// Whether every write that was answered elsewhere is known here.
    pub(super) fn is_held(&self, now: Nanos) -> bool {
        now.0 < self.until.load(Ordering::SeqCst)
    }

    /// The log is followed from now on.
    pub(super) fn joined(&self, now: Nanos) {
        self.until.store(0, Ordering::SeqCst);
        self.settled.store(after(now, SETTLE), Ordering::SeqCst);
    }

    /// Everything in the log was heard that stood there when it was asked, at `asked` or later.
    pub(super) fn heard_all(&self, asked: Nanos) {
        let until = self.until.load(Ordering::SeqCst);
        if until != 0 && asked.0 >= until {
            // It had ended: others may have been cut off, too.
            self.joined(asked);
        } else if asked.0 >= self.settled.load(Ordering::SeqCst) {
            self.until.store(after(asked, LEASE), Ordering::SeqCst);
        }
    }

    /// Redis was not reached.
    pub(super) fn lost(&self, now: Nanos) {
        // Whoever was first says since when.
        let since = now.0.max(1);
        let _first = self.lost_since.compare_exchange(0, since, Ordering::SeqCst, Ordering::SeqCst);
        self.reached_since.store(0, Ordering::SeqCst);
    }

    /// Redis was reached.
    pub(super) fn found(&self, now: Nanos) {
        self.lost_since.store(0, Ordering::SeqCst);
        let (reached, since) = (&self.reached_since, now.0.max(1));
        let _first = reached.compare_exchange(0, since, Ordering::SeqCst, Ordering::SeqCst);
    }

    /// Whether every lease that may be held now was given by the Redis that this node reaches.
    pub(super) fn are_known(&self, now: Nanos) -> bool {
        let since = self.reached_since.load(Ordering::SeqCst);
        since != 0 && now.0 >= after(Nanos(since), LEASE + APART)
    }

    /// Whether Redis was not reached when it was tried last.
    pub(super) fn is_lost(&self) -> bool {
        self.lost_since.load(Ordering::SeqCst) != 0
    }

    /// Whether nothing could be told for so long that nobody has a lease any more.
    pub(super) fn is_nobodys(&self, now: Nanos) -> bool {
        let since = self.lost_since.load(Ordering::SeqCst);
        since != 0 && now.0 >= after(Nanos(since), LEASE + APART)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Nanos {
        Nanos(1).plus(Duration::from_millis(ms))
    }

    #[test]
    fn a_lease_is_given_once_settled_and_ends_by_itself() {
        let lease = Lease::default();
        assert!(!lease.is_held(at(0)));
        lease.joined(at(100));
        lease.heard_all(at(200));
        assert!(!lease.is_held(at(200)), "others may not have found Redis yet");
        lease.heard_all(at(2_100));
        assert!(lease.is_held(at(2_100)) && lease.is_held(at(3_099)) && !lease.is_held(at(3_100)));
        lease.heard_all(at(3_000));
        assert!(lease.is_held(at(3_999)));
        // It had ended: it is given anew after a while.
        lease.heard_all(at(4_000));
        assert!(!lease.is_held(at(4_000)));
        lease.heard_all(at(5_999));
        assert!(!lease.is_held(at(5_999)));
        lease.heard_all(at(6_000));
        assert!(lease.is_held(at(6_000)));
        lease.joined(at(6_100));
        assert!(!lease.is_held(at(6_100)), "another log");
    }

    #[test]
    fn without_redis_nobody_has_a_lease_after_a_while() {
        let lease = Lease::default();
        assert!(!lease.is_nobodys(at(9_000)));
        lease.lost(at(1_000));
        lease.lost(at(2_000));
        assert!(!lease.is_nobodys(at(2_249)) && lease.is_nobodys(at(2_250)));
        lease.found(at(2_300));
        assert!(!lease.is_nobodys(at(9_000)));
    }

    #[test]
    fn what_was_given_before_a_connection_has_ended_before_a_write_over_it_is_done() {
        let lease = Lease::default();
        assert!(!lease.are_known(at(9_000)));
        lease.found(at(1_000));
        lease.found(at(2_000));
        assert!(!lease.are_known(at(2_249)) && lease.are_known(at(2_250)));
        lease.lost(at(3_000));
        assert!(!lease.are_known(at(9_000)));
        lease.found(at(4_000));
        assert!(!lease.are_known(at(5_249)) && lease.are_known(at(5_250)));
    }

    /// A node finds Redis again within what is waited for before a lease is given.
    #[test]
    fn everybody_has_joined_again_before_anybody_has_a_lease() {
        assert!(CONNECT_MAX + RETRY_AFTER + ANSWER_MAX + APART < SETTLE);
    }
}
