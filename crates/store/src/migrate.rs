//! Migrations: each room's own, in the room's schema, under one lock, then its grants.

use std::collections::BTreeMap;
use std::time::Duration;

use plimsoll_base::{Clock as _, Deadline, SystemClock};
use sqlx::migrate::{Migration, Migrator};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, PgPool};

use crate::Room;
use crate::connect::identifier;

/// The table of a room's schema that says which migrations were run.
const TABLE: &str = "_migrations";
/// The key of the advisory lock: "plimsoll", as eight bytes.
const LOCK_KEY: i64 = 0x706c_696d_736f_6c6c;
/// How long another process may migrate before we say so and give up.
const LOCK_WAIT: Duration = Duration::from_secs(60);
const LOCK_LOOK_EVERY: Duration = Duration::from_millis(50);

/// Why the database could not be migrated. Each names the room and says what to do.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// A migration that was run says something else now.
    #[error(
        "the migration {room}/{file} was changed after it was run on this database; put the old \
         text back (git log -- '*{file}*' finds it) and write a new migration instead"
    )]
    Edited {
        /// The room.
        room: String,
        /// The migration, as its file is called.
        file: String,
    },
    /// A newer binary was here.
    #[error(
        "the database was migrated by a newer Plimsoll: {room} has migration {version}, and this \
         one knows them up to {known}; start the newer one, or restore a backup made before it"
    )]
    Newer {
        /// The room.
        room: String,
        /// The migration that is unknown here.
        version: i64,
        /// The last one that is known here.
        known: i64,
    },
    /// A migration that was run is gone.
    #[error(
        "the database has the migration {version} of {room}, which this Plimsoll does not hold \
         between its others; it comes from another branch: use the binary that made it"
    )]
    Unknown {
        /// The room.
        room: String,
        /// The migration that is unknown here.
        version: i64,
    },
    /// A migration failed; nothing of it was kept.
    #[error("the migration {room}/{file} failed, and nothing of it was kept: {source}")]
    Failed {
        /// The room.
        room: String,
        /// The migration, as its file is called.
        file: String,
        /// Why.
        source: sqlx::Error,
    },
    /// Another process migrates.
    #[error(
        "another process has been migrating this database for {waited_s} s; look at \
         pg_stat_activity for application_name = 'plimsoll', or wait and start again"
    )]
    Locked {
        /// How long we waited, in seconds.
        waited_s: u64,
    },
    /// A room names a table it has not.
    #[error("the room {room} calls its table {table} append-only, and has no such table")]
    NoSuchTable {
        /// The room.
        room: String,
        /// The table.
        table: String,
    },
    /// Something else went wrong.
    #[error("while migrating {room}: {source}")]
    Database {
        /// The room, or what was done before any.
        room: String,
        /// Why.
        source: sqlx::Error,
    },
}

/// What a run did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Migrated {
    /// Every room, in the order given.
    pub rooms: Vec<MigratedRoom>,
}

/// What a run did to one room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigratedRoom {
    /// The room.
    pub room: &'static str,
    /// The version of the last migration; 0 when it has none.
    pub version: i64,
    /// The versions that were run just now, in order.
    pub applied: Vec<i64>,
}

impl Migrated {
    /// Whether anything was run.
    #[must_use]
    pub fn any(&self) -> bool {
        self.rooms.iter().any(|room| !room.applied.is_empty())
    }
}

/// Brings every room's schema up to date and grants the runtime role what it may do there: to
/// read and write the rows of the room's tables, and only to read and insert on those that are
/// append-only. Without a runtime role nothing is granted.
///
/// All rooms are looked at before any is touched. SQL is run with an empty search path, so that
/// it has to name schemas. A second run changes nothing.
///
/// # Errors
/// When a migration was edited, is unknown or fails, or the database refuses.
pub async fn migrate(
    owner: &PgPool,
    rooms: &[Room],
    runtime_role: Option<&str>,
) -> Result<Migrated, MigrateError> {
    let before = |source| MigrateError::Database { room: "the database".to_owned(), source };
    // Taken out of the pool, because what is set on it below must not reach anybody else.
    let mut connection = owner.acquire().await.map_err(before)?.detach();
    lock(&mut connection).await?;
    let result = run(&mut connection, rooms, runtime_role).await;
    // Closing gives the lock back, too.
    if let Err(error) = connection.close().await {
        tracing::debug!(%error, "the migrating connection was not closed politely");
    }
    result
}

/// Asked for again and again rather than waited for: a statement that waits holds a snapshot, and
/// building an index concurrently waits for snapshots.
async fn lock(connection: &mut PgConnection) -> Result<(), MigrateError> {
    let clock = SystemClock::new();
    let deadline = Deadline::after(clock.now(), LOCK_WAIT);
    loop {
        let locked: bool = sqlx::query_scalar("select pg_catalog.pg_try_advisory_lock($1)")
            .bind(LOCK_KEY)
            .fetch_one(&mut *connection)
            .await
            .map_err(|source| MigrateError::Database { room: "its lock".to_owned(), source })?;
        if locked {
            return Ok(());
        }
        if deadline.left(clock.now()).is_zero() {
            return Err(MigrateError::Locked { waited_s: LOCK_WAIT.as_secs() });
        }
        tokio::time::sleep(LOCK_LOOK_EVERY).await;
    }
}

async fn run(
    connection: &mut PgConnection,
    rooms: &[Room],
    runtime_role: Option<&str>,
) -> Result<Migrated, MigrateError> {
    for room in rooms {
        let applied = applied(connection, room.name).await?;
        check(room, &applied)?;
    }
    execute(connection, "the database", "set search_path = ''").await?;
    // Each `if not exists` of what is there is worth no line in the log at each start.
    execute(connection, "the database", "set client_min_messages = warning").await?;
    let mut migrated = Migrated::default();
    for room in rooms {
        migrated.rooms.push(run_room(connection, room).await?);
        if let Some(role) = runtime_role {
            grant(connection, room, role).await?;
        }
    }
    Ok(migrated)
}

async fn run_room(
    connection: &mut PgConnection,
    room: &Room,
) -> Result<MigratedRoom, MigrateError> {
    let before = applied(connection, room.name).await?;
    if before.is_empty() {
        let schema = identifier(room.name);
        let exists: bool = sqlx::query_scalar(
            "select exists (select from pg_catalog.pg_namespace where nspname = $1)",
        )
        .bind(room.name)
        .fetch_one(&mut *connection)
        .await
        .map_err(|source| database(room, source))?;
        // Asked first, because a role that may not make schemas may still use one made for it.
        if !exists {
            execute(connection, room.name, &format!("create schema {schema}")).await?;
        }
    }
    let ups: Vec<Migration> = ups(room).cloned().collect();
    let applied: Vec<i64> =
        ups.iter().map(|up| up.version).filter(|version| !before.contains_key(version)).collect();
    let version = ups.last().map_or(0, |up| up.version);
    let mut migrator = Migrator::with_migrations(ups);
    migrator.set_locking(false);
    migrator.dangerous_set_table_name(format!("{}.{TABLE}", identifier(room.name)));
    migrator.run_direct(None, connection, false).await.map_err(|error| failed(room, error))?;
    Ok(MigratedRoom { room: room.name, version, applied })
}

/// The migrations that lead upwards; a room may keep the way back beside them.
pub(crate) fn ups(room: &Room) -> impl Iterator<Item = &'static Migration> + use<> {
    room.migrator.iter().filter(|migration| migration.migration_type.is_up_migration())
}

/// What was run, by version, with its checksum; empty when nothing ever was.
pub(crate) async fn applied(
    connection: &mut PgConnection,
    room: &str,
) -> Result<BTreeMap<i64, Vec<u8>>, MigrateError> {
    let failed = |source| MigrateError::Database { room: room.to_owned(), source };
    let exists: bool = sqlx::query_scalar(
        "select exists (select from pg_catalog.pg_tables where schemaname = $1 and tablename = $2)",
    )
    .bind(room)
    .bind(TABLE)
    .fetch_one(&mut *connection)
    .await
    .map_err(failed)?;
    if !exists {
        return Ok(BTreeMap::new());
    }
    let query = format!("select version, checksum from {}.{TABLE}", identifier(room));
    let rows: Vec<(i64, Vec<u8>)> =
        sqlx::query_as(AssertSqlSafe(query)).fetch_all(connection).await.map_err(failed)?;
    Ok(rows.into_iter().collect())
}

fn check(room: &Room, applied: &BTreeMap<i64, Vec<u8>>) -> Result<(), MigrateError> {
    let known: BTreeMap<i64, &Migration> = ups(room).map(|up| (up.version, up)).collect();
    let last = known.keys().next_back().copied().unwrap_or_default();
    for (version, checksum) in applied {
        let room = room.name.to_owned();
        match known.get(version) {
            None if *version > last => {
                return Err(MigrateError::Newer { room, version: *version, known: last });
            }
            None => return Err(MigrateError::Unknown { room, version: *version }),
            Some(migration) if *migration.checksum != **checksum => {
                return Err(MigrateError::Edited { room, file: file_of(migration) });
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// As the file is called: sqlx makes blanks of its underscores.
pub(crate) fn file_of(migration: &Migration) -> String {
    format!("{}_{}", migration.version, migration.description.replace(' ', "_"))
}

fn failed(room: &Room, error: sqlx::migrate::MigrateError) -> MigrateError {
    use sqlx::migrate::MigrateError as Sqlx;
    match error {
        Sqlx::ExecuteMigration(source, version) => {
            let file = ups(room)
                .find(|up| up.version == version)
                .map_or_else(|| version.to_string(), file_of);
            MigrateError::Failed { room: room.name.to_owned(), file, source }
        }
        Sqlx::Execute(source) => database(room, source),
        other => database(room, sqlx::Error::Migrate(Box::new(other))),
    }
}

/// What the runtime role may do in a room's schema; the same at every run.
async fn grant(connection: &mut PgConnection, room: &Room, role: &str) -> Result<(), MigrateError> {
    let tables: Vec<String> = sqlx::query_scalar(
        "select relname::text from pg_catalog.pg_class \
         where relnamespace = (select oid from pg_catalog.pg_namespace where nspname = $1) \
         and relkind in ('r', 'p', 'v', 'm') order by 1",
    )
    .bind(room.name)
    .fetch_all(&mut *connection)
    .await
    .map_err(|source| database(room, source))?;
    if let Some(missing) =
        room.append_only.iter().find(|table| !tables.iter().any(|t| t == **table))
    {
        let (room, table) = (room.name.to_owned(), (*missing).to_owned());
        return Err(MigrateError::NoSuchTable { room, table });
    }
    let (schema, role) = (identifier(room.name), identifier(role));
    let mut statements = vec![
        format!("grant usage on schema {schema} to {role}"),
        format!("grant usage, select on all sequences in schema {schema} to {role}"),
    ];
    for table in &tables {
        let rights = match table.as_str() {
            TABLE => "select",
            name if room.append_only.contains(&name) => "select, insert",
            _ => "select, insert, update, delete",
        };
        let table = format!("{schema}.{}", identifier(table));
        // Taken first: a table may have become append-only since the last run.
        statements.push(format!("revoke all on {table} from {role}"));
        statements.push(format!("grant {rights} on {table} to {role}"));
    }
    // In one transaction: nobody sees the moment between taking and giving.
    execute(connection, room.name, &format!("begin; {}; commit", statements.join("; "))).await
}

async fn execute(connection: &mut PgConnection, room: &str, sql: &str) -> Result<(), MigrateError> {
    let ran = connection.execute(AssertSqlSafe(sql.to_owned())).await;
    ran.map(drop).map_err(|source| MigrateError::Database { room: room.to_owned(), source })
}

fn database(room: &Room, source: sqlx::Error) -> MigrateError {
    MigrateError::Database { room: room.name.to_owned(), source }
}
