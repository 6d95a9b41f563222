//! Why there is no archive, or why nothing was restored.

use std::io;
use std::path::PathBuf;

use crate::cluster::ClusterError;
use crate::migrate::MigrateError;

/// Why a backup or a restore did not happen. Nothing half-done is left behind.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// No programs of Postgres.
    #[error(transparent)]
    Binaries(#[from] ClusterError),
    /// The programs found are older than the server.
    #[error(
        "the server is PostgreSQL {server}, and pg_dump is only {found}; install the newer client \
         with `{install}`"
    )]
    ToolTooOld {
        /// The server's major version.
        server: u32,
        /// The newest version found.
        found: String,
        /// The command that installs the right one.
        install: String,
    },
    /// The archive is there already.
    #[error("{} is there already, and a backup never overwrites: name another file", .0.display())]
    Exists(PathBuf),
    /// Two files of the same name.
    #[error("two files to keep are both called {0}; give one another name")]
    SameName(String),
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A program of Postgres failed.
    #[error("{program} failed: {said}")]
    Program {
        /// Which.
        program: &'static str,
        /// What it said.
        said: String,
    },
    /// The database was migrated while it was dumped.
    #[error("the database was migrated while it was backed up; run the backup again")]
    Migrated,
    /// There is nothing to back up.
    #[error("the database holds no room of Plimsoll's yet: there is nothing to back up")]
    Nothing,
    /// No archive of ours.
    #[error("{} is no backup of Plimsoll's ({why})", path.display())]
    NotOurs {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A part is not what was written.
    #[error(
        "{} is damaged: {part} is not what was written ({why}); nothing was restored, use another \
         copy",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The part.
        part: String,
        /// What differs.
        why: String,
    },
    /// Made by a newer Plimsoll.
    #[error(
        "the backup was made by Plimsoll {made_by}, which is newer: {what}; restore it with that \
         version or a later one"
    )]
    Newer {
        /// The version that made it.
        made_by: String,
        /// What this one does not know.
        what: String,
    },
    /// Something is there already.
    #[error(
        "the database is not empty: it holds {schemas}; restore into an empty one, or say that it \
         is to be replaced (--replace)"
    )]
    NotEmpty {
        /// The schemas that are there.
        schemas: String,
    },
    /// Somebody uses the database.
    #[error(
        "{connections} connections of Plimsoll use the database; stop every `plimsoll up` on it \
         first"
    )]
    InUse {
        /// How many.
        connections: i64,
    },
    /// The migrations after it failed.
    #[error("the backup is restored, but {0}")]
    Migrate(#[from] MigrateError),
    /// The database refused.
    #[error("nothing was restored or written: {0}")]
    Database(#[from] sqlx::Error),
}

impl BackupError {
    pub(crate) fn file(path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::File { path: path.into(), source }
    }
}
