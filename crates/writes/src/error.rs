//! What can go wrong.

/// Why a write was not recorded or its record not changed.
#[derive(Debug, thiserror::Error)]
pub enum WritesError {
    /// The database did not take it in time.
    #[error("the records of keyed writes cannot be reached")]
    Unavailable,
    /// As many wait for the database as may.
    #[error("too many keyed writes wait for the database")]
    Full,
    /// The database.
    #[error("the database: {0}")]
    Database(#[from] sqlx::Error),
    /// An answer was not sealed or not opened.
    #[error("an answer cannot be kept or read: {0}")]
    Seal(#[from] plimsoll_protection::SealError),
    /// An answer that was opened is none.
    #[error("a kept answer cannot be read")]
    Answer,
    /// The keyring made no hash.
    #[error("no keyed hash: {0}")]
    Keyring(#[from] plimsoll_protection::KeyringError),
}
