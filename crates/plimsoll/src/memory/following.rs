//! From the epoch to the edge.

use std::sync::Arc;
use std::time::Duration;

use plimsoll_base::SharedClock;
use plimsoll_edge::Edge;
use plimsoll_snapshot::{Dynamic, Followed, Revocations};
use tokio::sync::watch;

/// Revocations expire by the clock, so they are looked through now and then although none came.
const AGAIN_EVERY: Duration = Duration::from_secs(60);

/// What is obeyed, as it changes.
pub(super) struct Obeyed {
    pub(super) dynamic: watch::Receiver<Arc<Dynamic>>,
    pub(super) followed: watch::Receiver<Followed>,
    pub(super) clock: SharedClock,
    pub(super) stop: watch::Receiver<bool>,
}

impl Obeyed {
    /// Puts what is known now into force.
    pub(super) fn apply(&mut self, edge: &Edge) {
        let dynamic = Arc::clone(&self.dynamic.borrow_and_update());
        let (revocations, unread) = Revocations::of(&dynamic, self.clock.unix_seconds());
        if unread > 0 {
            tracing::error!(
                unread,
                "revocations that a newer version wrote are not obeyed; upgrade"
            );
        }
        edge.revoke(revocations);
    }

    /// Puts every change into force, and tells the edge since when it knows all there is.
    pub(super) async fn keep(mut self, edge: Arc<Edge>) {
        loop {
            let known_at = self.followed.borrow_and_update().known_at;
            if let Some(known_at) = known_at {
                edge.revocations_known(known_at);
            }
            tokio::select! {
                _ = self.stop.wait_for(|stop| *stop) => return,
                changed = self.followed.changed() => match changed {
                    Ok(()) => continue,
                    Err(_gone) => return,
                },
                changed = self.dynamic.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(AGAIN_EVERY) => {}
            }
            self.apply(&edge);
        }
    }
}
