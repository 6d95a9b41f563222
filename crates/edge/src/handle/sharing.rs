//! What an edge shares with other nodes.

use std::sync::PoisonError;

use super::Edge;
use crate::cache::CacheSharing;
use crate::core::Phase;
use crate::limit::sharing::Sharing;

impl Edge {
    /// Tells other nodes what callers used up of their limits, and hears of them, until the edge
    /// stops; ends at once where none was named. On the control runtime.
    pub async fn share_limits(&self) {
        let reconciler = self.reconciler.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut reconciler) = reconciler else { return };
        let mut phase = self.phase.subscribe();
        while *phase.borrow() != Phase::Stopped {
            let config = self.config();
            let (now, pause) = reconciler.round(&config.limits).await;
            drop(config);
            self.note_sharing(now);
            let stopped = phase.wait_for(|phase| *phase == Phase::Stopped);
            let _stopped_or_time = tokio::time::timeout(pause, stopped).await.is_ok();
        }
    }

    /// Tells other nodes what was written and stored here, and hears of theirs, until the edge
    /// stops; ends at once where no Redis was named. On the control runtime.
    pub async fn share_cache(&self) {
        if let Some(shared) = &self.environment.cache.shared {
            shared.run(self.phase.subscribe()).await;
        }
    }

    /// Whether the cache is shared with other nodes.
    #[must_use]
    pub fn cache_sharing(&self) -> CacheSharing {
        let config = self.shared.config.load();
        let shared = config.cache.as_ref().and_then(|cache| cache.held.shared.as_ref());
        shared.map_or(CacheSharing::Off, |(shared, _)| shared.standing())
    }

    fn note_sharing(&self, now: Sharing) {
        let mut before = self.sharing.lock().unwrap_or_else(PoisonError::into_inner);
        if *before == now {
            return;
        }
        match &now {
            Sharing::Lost { why } => {
                tracing::warn!(%why, "limits are not shared; each node counts for itself");
            }
            Sharing::Shared { .. } => tracing::info!("limits are shared over Redis"),
            Sharing::Off | Sharing::Starting => {}
        }
        *before = now;
    }

    /// Whether limits are shared with other nodes.
    #[must_use]
    pub fn sharing(&self) -> Sharing {
        self.sharing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
