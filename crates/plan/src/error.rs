//! What can go wrong.

use plimsoll_ledger::LedgerError;

/// Why there is no board.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The list of gates has a fault; it is shipped with the program, so this is ours.
    #[error("gates.toml: {0}")]
    Gates(String),
    /// The evidence cannot be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}
