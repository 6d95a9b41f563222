//! Entries of the node's own, on their way to the ledger: they wait here while the database is
//! down.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use plimsoll_ledger::{Actor, Append, Fact, Ledger, LedgerError};
use plimsoll_store::PgPool;
use tokio::sync::Notify;

/// Entries that may wait; beyond it the oldest are dropped, and the log says so. There is one for a
/// start, a stop, a migration and a change of the manifest.
const WAITING_MAX: usize = 1_000;

#[derive(Debug, Default)]
pub(super) struct Entries {
    waiting: Mutex<VecDeque<(u64, Fact)>>,
    more: Notify,
}

impl Entries {
    /// Notes what happened at `at_unix_ms`.
    pub(super) fn push(&self, at_unix_ms: u64, fact: Fact) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() == WAITING_MAX
            && let Some((_, lost)) = waiting.pop_front()
        {
            tracing::error!(action = lost.action(), "an entry was dropped: too many wait");
        }
        waiting.push_back((at_unix_ms, fact));
        drop(waiting);
        self.more.notify_one();
    }

    pub(super) async fn wait(&self) {
        self.more.notified().await;
    }

    /// Appends all that wait, in order, one transaction each.
    pub(super) async fn append(&self, pool: &PgPool, ledger: &Ledger) -> Result<(), LedgerError> {
        loop {
            let next = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).front().cloned();
            let Some((at_unix_ms, fact)) = next else { return Ok(()) };
            let entry = Append { at_unix_ms: Some(at_unix_ms), ..Append::ok(Actor::System, fact) };
            let mut connection = pool.acquire().await?;
            ledger.append(&mut connection, entry).await?;
            self.waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        }
    }
}
