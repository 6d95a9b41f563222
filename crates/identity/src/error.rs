//! What can go wrong.

use plimsoll_ledger::LedgerError;
use plimsoll_snapshot::PublishError;

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// What was asked for cannot be meant.
    #[error("{field} {expected}")]
    Invalid {
        /// The field.
        field: &'static str,
        /// What is expected of it.
        expected: &'static str,
    },
    /// The ledger took no entry, so nothing was changed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The change was not published, so nothing was changed.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The database.
    #[error("the database refused: {0}")]
    Database(#[from] sqlx::Error),
}
