//! What keeps data: Postgres, the private cluster included, and Redis.
//!
//! - [`Store`]: the database of this process, whichever it is: pools, state in words, migrations.
//! - [`cluster`]: the private Postgres that needs no installing by hand; started, watched, started
//!   again and stopped by us, over the binaries found on the machine.
//! - [`migrate`]: each room's migrations in its own schema, under one lock, then its grants.
//! - [`lint`]: what a migration may not do while the release before it still runs.
//! - [`Redis`], [`RedisLink`]: what nodes share for a while, over connections with deadlines.
//! - [`backup`]: one file with everything, and the way back.
//!
//! It never knows what the data means: each room brings its own schema, migrations and queries.
//! It never reads a secret from a manifest, and no error of it shows a password.

pub mod backup;
pub mod cluster;
mod connect;
mod error;
mod facts;
pub mod lint;
mod migrate;
mod monitor;
mod redis;
mod sql_text;
mod store;

pub use connect::{DATABASE, OWNER_ROLE, RUNTIME_ROLE, SERVER_MAJOR_MIN, SUPERUSER_ROLE};
pub use error::StoreError;
pub use facts::{Fact, Weight, facts_outside};
pub use migrate::{MigrateError, Migrated, MigratedRoom, migrate};
pub use redis::{LinkBounds, Redis, RedisError, RedisLink, RedisScript};
pub use sqlx::{PgConnection, PgPool};
pub use store::{Store, StoreOptions, StoreState};

/// A room's part of the database: a schema of its own with its migrations.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    /// The room's word, which is the name of its schema.
    pub name: &'static str,
    /// Its migrations (`sqlx::migrate!`). Where they are recorded is ours to say: in the table
    /// `_migrations` of the room's schema.
    pub migrator: &'static sqlx::migrate::Migrator,
    /// Tables of the schema that the runtime role may read and insert into, and nothing else.
    pub append_only: &'static [&'static str],
}
