//! What the console shows of the memory: gathered on the control runtime, so that a page never
//! waits for the database.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use plimsoll_base::Nanos;
use plimsoll_console::{LedgerRow, MemoryRow, NodeAnswer, NodesAnswer, VerifiedRow};
use plimsoll_ledger::{SealerState, VerifyOptions, unsealed_for, verify};
use plimsoll_snapshot::nodes;
use plimsoll_store::PgPool;
use tokio::sync::watch;

use super::opening::stopped_within;
use super::{Memory, Shared, checkpoints};

/// How often the nodes are asked for.
const NODES_EVERY: Duration = Duration::from_secs(2);

/// The ledger is verified so long after the start, and then so often.
const VERIFY_FIRST: Duration = Duration::from_secs(30);
const VERIFY_EVERY: Duration = Duration::from_secs(60 * 60);

impl Memory {
    /// The last verification of the whole ledger; none before the first.
    pub(crate) fn verified(&self) -> Option<VerifiedRow> {
        self.shared.verified.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What the console shows.
    pub(crate) fn shown(&self) -> MemoryRow {
        let now = self.shared.clock.now();
        let standing = self.standing(now);
        let (nodes, nodes_ago) = self.shared.listed(now);
        let verified = self.verified();
        let sealer = self.shared.sealer.get().map(|state| state.borrow().clone());
        let (sealed, checkpointed) = match &sealer {
            Some(
                SealerState::Sealing { size, checkpoint_size }
                | SealerState::Diverged { size, checkpoint_size, .. },
            ) => (*size, Some(*checkpoint_size)),
            Some(SealerState::Unsigned { size, .. }) => (*size, None),
            _ => (0, None),
        };
        MemoryRow {
            database_down: standing.database_down,
            epoch: standing.epoch,
            known_ago_ms: standing.known_ago.map(ms),
            nodes,
            nodes_ago_ms: nodes_ago.map(ms),
            ledger: LedgerRow {
                sealed,
                checkpointed,
                sealer: in_words(sealer.as_ref()),
                spool_records: standing.spool.records,
                verified,
            },
            writes: self.shared.writes.shown(),
            board: self.shared.plan.stood(),
        }
    }
}

fn ms(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn in_words(state: Option<&SealerState>) -> String {
    match state {
        None | Some(SealerState::Starting) => {
            "not started: the database was not reached yet".into()
        }
        Some(SealerState::Waiting) => "another node seals".into(),
        Some(SealerState::Sealing { .. }) => "this node seals".into(),
        Some(SealerState::Diverged { why, .. }) => format!("stopped signing: {why}"),
        Some(SealerState::Unsigned { why, .. }) => format!("seals and signs nothing: {why}"),
        Some(SealerState::Down { why }) => format!("tries again: {why}"),
        Some(SealerState::Stopped) => "stopped".into(),
    }
}

impl Shared {
    /// The nodes as they were last listed, with the age of that. What was ago then is longer ago
    /// now.
    fn listed(&self, now: Nanos) -> (Vec<NodeAnswer>, Option<Duration>) {
        let listed = self.nodes.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some((at, mut nodes)) = listed else { return (Vec::new(), None) };
        let ago = now.since(at);
        for node in &mut nodes {
            node.applied_ago_ms = node.applied_ago_ms.saturating_add(ms(ago));
            node.seen_ago_ms = node.seen_ago_ms.saturating_add(ms(ago));
        }
        (nodes, Some(ago))
    }

    /// Keeps the list of nodes fresh.
    pub(super) async fn look_at_nodes(
        self: Arc<Self>,
        pool: PgPool,
        mut stop: watch::Receiver<bool>,
    ) {
        loop {
            match nodes(&pool).await {
                Ok((epoch, rows)) => {
                    let listed = (self.clock.now(), NodesAnswer::new(epoch, rows).nodes);
                    *self.nodes.lock().unwrap_or_else(PoisonError::into_inner) = Some(listed);
                }
                Err(error) => tracing::debug!(%error, "the nodes cannot be listed"),
            }
            self.look_at_unsealed(&pool).await;
            if stopped_within(&mut stop, NODES_EVERY).await {
                return;
            }
        }
    }

    /// Also where another node seals, or none does: what waits is in the database.
    async fn look_at_unsealed(&self, pool: &PgPool) {
        let waits = async {
            let mut connection = pool.acquire().await.map_err(|error| error.to_string())?;
            unsealed_for(&mut connection, &self.clock).await.map_err(|error| error.to_string())
        };
        match waits.await {
            Ok(waits) => {
                let waits = waits.unwrap_or_default().as_millis();
                self.unsealed_ms.store(waits.try_into().unwrap_or(u64::MAX), Ordering::Relaxed);
            }
            Err(error) => tracing::debug!(error, "what is not sealed cannot be asked for"),
        }
    }

    /// Verifies the whole ledger now and then.
    pub(super) async fn verify_now_and_then(
        self: Arc<Self>,
        pool: PgPool,
        mut stop: watch::Receiver<bool>,
    ) {
        let options = VerifyOptions {
            checkpoints: checkpoints(&self.data_dir),
            key: self.keyring.public_key().clone(),
            further: Vec::new(),
            trusted: self.former.clone(),
        };
        let mut wait = VERIFY_FIRST;
        while !stopped_within(&mut stop, wait).await {
            wait = VERIFY_EVERY;
            let report = async {
                let mut connection = pool.acquire().await.map_err(|error| error.to_string())?;
                verify(&mut connection, &options, &self.clock, |_progress| {})
                    .await
                    .map_err(|error| error.to_string())
            };
            let report = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                report = report => report,
            };
            match report {
                Ok(report) => {
                    if !report.is_whole() {
                        tracing::error!(
                            faults = report.faults.len(),
                            "the ledger is not what was sealed; run `plimsoll ledger verify`"
                        );
                    }
                    let row = VerifiedRow::of(&report, self.clock.unix_ms());
                    *self.verified.lock().unwrap_or_else(PoisonError::into_inner) = Some(row);
                }
                Err(error) => {
                    tracing::debug!(error, "the ledger could not be verified; later again");
                    wait = VERIFY_FIRST;
                }
            }
        }
    }
}
