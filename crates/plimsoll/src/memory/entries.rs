//! Entries of the node's own: they go through the spool as audited calls do, so that they are on
//! disk before anything else happens, and in the ledger once the database takes them.

use std::path::Path;
use std::sync::Arc;

use plimsoll_ledger::{AppliedMigration, Fact, Leftover, OwnEntry, Spool, SpoolError};
use plimsoll_store::{PgPool, Room};
use tokio::sync::watch;

use super::Shared;
use super::opening::{AGAIN_AFTER, rooms, spools, stopped_within};

impl Shared {
    /// Notes what happened now, down to the disk. What cannot be noted is said in the log.
    pub(super) fn note(&self, fact: Fact) -> impl Future<Output = ()> + Send + 'static + use<> {
        let action = fact.action();
        let own = OwnEntry { operator: None, fact, at_unix_ms: self.clock.unix_ms() };
        let handed_over = self.spool.submit_own(own);
        async move {
            let noted = match handed_over {
                Ok(durable) => durable.await.map_err(|error| error.to_string()),
                Err(full) => Err(full.to_string()),
            };
            if let Err(why) = noted {
                tracing::error!(why, action, "an entry of this node is lost");
            }
        }
    }

    /// What processes before us left in their spools. Only once the directory is ours alone.
    pub(super) async fn leftovers(self: &Arc<Self>) -> Vec<Leftover> {
        let shared = Arc::clone(self);
        let look = move || {
            let folder = spools(&shared.data_dir);
            shared.spool.leftovers(&folder, &folder.join(&shared.spool_name))
        };
        let found = tokio::task::spawn_blocking(look).await;
        let found = match found {
            Ok(found) => found.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        found.unwrap_or_else(|why| {
            tracing::error!(why, "the spools that were left behind cannot be read");
            Vec::new()
        })
    }

    /// Sees to it that every migration that was applied has its entry: whoever applied it may have
    /// died before it could say so.
    pub(super) async fn note_migrations(
        self: Arc<Self>,
        pool: PgPool,
        mut migrated: watch::Receiver<Option<plimsoll_store::Migrated>>,
        mut stop: watch::Receiver<bool>,
    ) {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            done = migrated.wait_for(Option::is_some) => if done.is_err() { return },
        }
        let applied: Vec<AppliedMigration> = rooms().iter().flat_map(applied).collect();
        loop {
            match self.ledger.note_migrations(&pool, &applied).await {
                Ok(0) => return,
                Ok(noted) => {
                    tracing::info!(noted, "migrations have their entries");
                    return;
                }
                Err(error) => tracing::debug!(%error, "entries of migrations wait"),
            }
            if stopped_within(&mut stop, AGAIN_AFTER).await {
                return;
            }
        }
    }
}

/// All of a room's: the store is open once every one of them was applied.
fn applied(room: &Room) -> Vec<AppliedMigration> {
    let name = room.name;
    let ups = room.migrator.iter().filter(|one| one.migration_type.is_up_migration());
    ups.map(|one| AppliedMigration {
        room: name.to_owned(),
        version: one.version,
        description: one.description.to_string(),
    })
    .collect()
}

/// Leaves an entry for the next start, in a spool of its own: for commands that find no server.
pub(crate) async fn leave(data_dir: &Path, own: OwnEntry) -> Result<(), SpoolError> {
    Spool::leave(&spools(data_dir), &uuid::Uuid::now_v7().to_string(), own).await
}
