//! Why there is no database.

use crate::cluster::ClusterError;
use crate::migrate::MigrateError;

/// Why the store cannot be had. Each says what to do; none shows a password.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The private cluster cannot be had.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The database cannot be migrated.
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    /// A URL cannot be read.
    #[error(
        "{variable} is no Postgres URL: {why}; it looks like \
         postgresql://user:password@host:5432/database"
    )]
    Url {
        /// The environment variable it came from.
        variable: &'static str,
        /// What is wrong with it, without the URL.
        why: String,
    },
    /// The server is too old.
    #[error(
        "the database server is PostgreSQL {found}, and {min} or later is needed; upgrade it, or \
         leave DATABASE_URL out and a private one is used"
    )]
    ServerTooOld {
        /// The server's version.
        found: String,
        /// The lowest major version that will do.
        min: u32,
    },
    /// The owner's URL leads to another database.
    #[error(
        "PLIMSOLL_DATABASE_OWNER_URL leads to the database {owner:?}, DATABASE_URL to {runtime:?}; \
         both must name the same one"
    )]
    OtherDatabase {
        /// The owner's.
        owner: String,
        /// The runtime's.
        runtime: String,
    },
    /// The server does not answer.
    #[error("{place}: {source}")]
    Connect {
        /// Which server, without its password.
        place: String,
        /// Why.
        source: sqlx::Error,
    },
    /// The server does not answer in time.
    #[error("{place}: no answer within {within_s} s")]
    Silent {
        /// Which server, without its password.
        place: String,
        /// How long was waited, in seconds.
        within_s: u64,
    },
}
