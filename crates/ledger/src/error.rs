//! What can go wrong with the ledger, and what to do.

use std::io;
use std::path::{Path, PathBuf};

use plimsoll_protection::{RandomError, SealError};

/// Why a detail cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DetailError {
    /// A number that not every reader keeps.
    #[error("the number {0} is no integer of at most 2^53 - 1: write it as a text")]
    Number(String),
    /// A NUL, which Postgres cannot keep.
    #[error("a text holds a NUL character: leave it out")]
    Nul,
    /// Nested deeper than allowed.
    #[error("values lie more than {depth_max} deep in each other")]
    TooDeep {
        /// The bound.
        depth_max: usize,
    },
}

/// Why an entry was not appended or could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// A field is longer than allowed.
    #[error("`{field}` has {bytes} bytes, at most {bytes_max} are taken")]
    TooLong {
        /// Which.
        field: &'static str,
        /// How many it has.
        bytes: usize,
        /// The bound.
        bytes_max: usize,
    },
    /// A field that must say something does not, or not in the form it has to.
    #[error("`{field}` {expected}")]
    Invalid {
        /// Which.
        field: &'static str,
        /// What it has to be.
        expected: &'static str,
    },
    /// The detail has no canonical form.
    #[error("`detail`: {0}")]
    Detail(#[from] DetailError),
    /// The caller's body is no action: an unknown field, a missing one, or no JSON.
    #[error("not an action: {0}")]
    NotAnAction(#[source] serde_json::Error),
    /// The id was given before with another content.
    #[error("the id `{id}` was used for another action: take a new id for each action")]
    IdReused {
        /// The caller's id.
        id: String,
    },
    /// What was sealed cannot be opened, or could not be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// No randomness.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// A row is not of the form that this version knows.
    #[error("entry {id} is not of a form this version knows: {why}")]
    Row {
        /// The entry's id.
        id: uuid::Uuid,
        /// What is wrong.
        why: &'static str,
    },
    /// The database refused or did not answer.
    #[error("the database: {0}")]
    Database(#[from] sqlx::Error),
    /// A failpoint of a test.
    #[error("failpoint: {0}")]
    Failpoint(io::Error),
}

/// Why checkpoints cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// A file or directory could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// The last checkpoint is not one of ours: nothing is written after it.
    #[error(
        "{}: the last checkpoint is not signed by key {key}: run `plimsoll ledger verify`; where \
         the signing key was replaced on purpose, move the directory away and write the old \
         public key to {{data-dir}}/keys/former/NAME.pub",
        path.display()
    )]
    NotOurs {
        /// The file.
        path: PathBuf,
        /// The id of the key at hand.
        key: String,
    },
    /// A file that is to hold the public half of a former signing key.
    #[error(
        "{}: a former key is 64 hexadecimal digits, as `plimsoll ledger verify` prints them",
        path.display()
    )]
    NotAKey {
        /// The file.
        path: PathBuf,
    },
    /// A directory that was named for its checkpoints has none.
    #[error("{}: there is no file of checkpoints in it (*.checkpoints)", path.display())]
    Nothing {
        /// The directory.
        path: PathBuf,
    },
}

impl CheckpointError {
    pub(crate) fn at(path: &Path) -> impl Fn(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { path: path.clone(), source }
    }
}

/// Why the sealer stopped or verification could not be carried out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealerError {
    /// The database refused or did not answer.
    #[error("the database: {0}")]
    Database(#[from] sqlx::Error),
    /// Checkpoints cannot be read or written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A column holds what cannot stand there, which no code of ours wrote.
    #[error("ledger.{0} holds a value that no version wrote: run `plimsoll ledger verify`")]
    Column(&'static str),
    /// The database did not answer in time.
    #[error("the database did not answer within {waited_s} s; the connection was given up")]
    Late {
        /// How long it had, in seconds.
        waited_s: u64,
    },
    /// A failpoint of a test, or a task of the runtime that was cancelled.
    #[error("interrupted: {0}")]
    Interrupted(io::Error),
}
