//! Migrations and their entries. A migration is run by another role in a transaction of its own, so
//! the entry follows it: at each start whatever has none gets one.

use plimsoll_store::PgPool;

use crate::error::LedgerError;
use crate::facts::Fact;
use crate::service::{Actor, Append, Ledger};
use crate::store::{self, migrations};

/// One migration that was applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppliedMigration {
    /// The room.
    pub room: String,
    /// Its version number.
    pub version: i64,
    /// What it is called.
    pub description: String,
}

impl Ledger {
    /// Appends a `migration.run` for each that has none, and returns how many these were. Nodes
    /// that start together do not double them.
    ///
    /// # Errors
    /// The database; nothing was appended then.
    pub async fn note_migrations(
        &self,
        pool: &PgPool,
        applied: &[AppliedMigration],
    ) -> Result<u64, LedgerError> {
        let mut tx = pool.begin().await?;
        migrations::lock(&mut tx).await?;
        let mut noted = 0;
        for migration in applied {
            if migrations::is_noted(&mut tx, &migration.room, migration.version).await? {
                continue;
            }
            let fact = Fact::MigrationRun {
                room: migration.room.clone(),
                version: migration.version,
                description: migration.description.clone(),
            };
            let ready = self.ready(Append::ok(Actor::System, fact))?;
            store::insert(&mut tx, &ready).await?;
            noted += 1;
        }
        tx.commit().await?;
        Ok(noted)
    }
}
