//! What keeps data: Postgres, the private cluster included, and Redis.
//!
//! It never knows what the data means: each room brings its own schema, migrations and queries.

pub use sqlx::PgPool;

/// A room's part of the database: a schema of its own with its migrations.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    /// The room's word, which is the name of its schema.
    pub name: &'static str,
    /// Its migrations (`sqlx::migrate!`), with the migrations table inside the schema.
    pub migrator: &'static sqlx::migrate::Migrator,
    /// Tables of the schema that the runtime role may read and insert into, and nothing else.
    pub append_only: &'static [&'static str],
}
