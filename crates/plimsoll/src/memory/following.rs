//! From the epoch to the edge.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use plimsoll_base::SharedClock;
use plimsoll_edge::Edge;
use plimsoll_snapshot::{Dynamic, Followed, Revocations};
use tokio::sync::watch;

/// Revocations expire by the clock, so they are looked through now and then although none came.
const AGAIN_EVERY: Duration = Duration::from_secs(60);

/// What the edge obeys.
pub(super) struct Obeyed {
    edge: Arc<Edge>,
    clock: SharedClock,
    /// Held while it is put into force: an older state must not take the place of a newer one.
    dynamic: Mutex<Arc<Dynamic>>,
}

impl Obeyed {
    /// Puts what is known at the start into force.
    pub(super) fn new(edge: Arc<Edge>, clock: SharedClock, start: Dynamic) -> Self {
        let obeyed = Self { edge, clock, dynamic: Mutex::new(Arc::new(start)) };
        obeyed.again();
        obeyed
    }

    pub(super) fn dynamic(&self) -> Arc<Dynamic> {
        Arc::clone(&self.dynamic.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts a new state into force. When it returns, every core obeys it.
    pub(super) fn obey(&self, changed: &Arc<Dynamic>) {
        let mut dynamic = self.dynamic.lock().unwrap_or_else(PoisonError::into_inner);
        *dynamic = Arc::clone(changed);
        self.put(&dynamic);
    }

    fn again(&self) {
        self.put(&self.dynamic.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn put(&self, dynamic: &Dynamic) {
        let (revocations, unread) = Revocations::of(dynamic, self.clock.unix_seconds());
        if unread > 0 {
            tracing::error!(
                unread,
                "revocations that a newer version wrote are not obeyed; upgrade"
            );
        }
        self.edge.revoke(revocations);
    }

    /// Tells the edge since when it knows all there is, and lets go of what has expired, also while
    /// the database is down.
    pub(super) async fn keep(
        self: Arc<Self>,
        mut followed: watch::Receiver<Followed>,
        mut stop: watch::Receiver<bool>,
    ) {
        let mut again = tokio::time::interval(AGAIN_EVERY);
        loop {
            let known_at = followed.borrow_and_update().known_at;
            if let Some(known_at) = known_at {
                self.edge.revocations_known(known_at);
            }
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                changed = followed.changed() => if changed.is_err() { return },
                _ = again.tick() => self.again(),
            }
        }
    }
}
