//! Rooms for tests.

use plimsoll_store::Room;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AssertSqlSafe, SqlSafeStr as _};

static GARDEN_MIGRATOR: Migrator = sqlx::migrate!("tests/it/rooms/garden");

/// A room with a table to write and a diary to append to.
pub(crate) const GARDEN: Room =
    Room { name: "garden", migrator: &GARDEN_MIGRATOR, append_only: &["diary"] };

/// The same room with other migrations, by version and text.
pub(crate) fn garden_of(migrations: &[(i64, &str)]) -> Room {
    room_of("garden", migrations)
}

/// A room made of texts. What it is made of stays for the whole run of the test.
pub(crate) fn room_of(name: &'static str, migrations: &[(i64, &str)]) -> Room {
    let migrations = migrations
        .iter()
        .map(|(version, sql)| {
            let sql = AssertSqlSafe((*sql).to_owned()).into_sql_str();
            Migration::new(*version, "words of it".into(), MigrationType::Simple, sql, false)
        })
        .collect();
    let migrator = Box::leak(Box::new(Migrator::with_migrations(migrations)));
    Room { name, migrator, append_only: &[] }
}
