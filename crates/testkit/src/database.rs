//! A real Postgres for tests: a database for each, made from a template in milliseconds.
//!
//! All tests of a user share one server, in a temporary folder, kept by a process of its own
//! (`plimsoll-test-postgres`) that the first test starts and that ends by itself, a few seconds
//! after the last one. Whoever uses a database holds the lock of a file with its name: when a test
//! ends, however it ends, the kernel frees the lock, and the keeper drops the database.
//!
//! The server keeps nothing: fsync is off there.

mod keeper;

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use plimsoll_store::cluster::{Cluster, RunningCluster};
use plimsoll_store::{MigrateError, OWNER_ROLE, RUNTIME_ROLE, Room, SUPERUSER_ROLE};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, PgPool};

pub use self::keeper::keep;

/// Part of a template's name: changes when what makes a template changes.
const TEMPLATE_FORM: &str = "1";
/// Connections of each of a test's three pools, at most; the server has 500 for all tests.
const CONNECTIONS_MAX: u32 = 8;
/// How long a test waits for a connection.
const ACQUIRE_WITHIN: Duration = Duration::from_secs(10);

/// Why a test has no database.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The server cannot be had.
    #[error("no Postgres for tests: {0}")]
    Server(#[from] io::Error),
    /// The server refused.
    #[error("no database for this test: {0}")]
    Sql(#[from] sqlx::Error),
    /// The rooms cannot be migrated.
    #[error("the rooms of this test cannot be migrated: {0}")]
    Migrate(#[from] MigrateError),
}

/// A database with the rooms' schemas, alone for one test; dropped after it.
#[derive(Debug)]
pub struct Database {
    /// As the process uses it.
    pub runtime: PgPool,
    /// As the role that owns and migrates it.
    pub owner: PgPool,
    /// As a superuser, who may do what the other two must not.
    pub superuser: PgPool,
    /// Its name.
    pub name: String,
    cluster: RunningCluster,
    held: Arc<File>,
}

impl Database {
    /// A database with these rooms migrated and granted.
    ///
    /// # Panics
    /// When there is none to be had: a test cannot go on without it.
    #[expect(clippy::panic, reason = "a test cannot go on without its database")]
    pub async fn new(rooms: &[Room]) -> Self {
        match Self::try_new(rooms).await {
            Ok(database) => database,
            Err(error) => panic!("{error}"),
        }
    }

    /// The same, for a test that has something to say when there is none.
    ///
    /// # Errors
    /// When the server cannot be had or refuses, or the rooms cannot be migrated.
    pub async fn try_new(rooms: &[Room]) -> Result<Self, DatabaseError> {
        let name = format!("test_{:032x}", fastrand_u128()?);
        let asked = name.clone();
        let using = tokio::task::spawn_blocking(move || keeper::using(&asked));
        let (data_dir, held) = using.await.map_err(io::Error::other)??;
        let cluster = Cluster::of_running(&data_dir).ok_or_else(|| silent(&data_dir))?;
        let options = cluster.connect_options(SUPERUSER_ROLE, SUPERUSER_ROLE);
        let mut server = PgConnection::connect_with(&options).await?;
        let template = template(&mut server, &cluster, rooms).await?;
        // Five times faster than by the write-ahead log, where nothing is synced.
        let make = format!(
            "create database {name} template {template} owner {OWNER_ROLE} strategy file_copy"
        );
        server.execute(AssertSqlSafe(make)).await?;
        server.close().await?;
        Ok(Self::over(name, cluster, Arc::new(held)))
    }

    /// The same for a test that has no runtime and only wants it for processes.
    ///
    /// # Panics
    /// As [`Database::new`].
    #[expect(clippy::panic, reason = "a test cannot go on without its database")]
    #[must_use]
    pub fn for_processes(rooms: &[Room]) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        match runtime {
            Ok(runtime) => runtime.block_on(Self::new(rooms)),
            Err(error) => panic!("{error}"),
        }
    }

    fn over(name: String, cluster: RunningCluster, held: Arc<File>) -> Self {
        let pool = |role| lazy(cluster.connect_options(role, &name));
        Self {
            runtime: pool(RUNTIME_ROLE),
            owner: pool(OWNER_ROLE),
            superuser: pool(SUPERUSER_ROLE),
            name,
            cluster,
            held,
        }
    }

    /// The same database with pools of its own, for a test that had to close those it had.
    #[must_use]
    pub fn reopened(&self) -> Self {
        Self::over(self.name.clone(), self.cluster.clone(), Arc::clone(&self.held))
    }

    /// How `role` connects to this database, for a test with needs of its own.
    #[must_use]
    pub fn connect_options(&self, role: &str) -> PgConnectOptions {
        self.cluster.connect_options(role, &self.name)
    }

    /// Runs statements as somebody with all rights on the server would who wants no trigger to
    /// notice. For tests without a runtime of their own.
    ///
    /// # Errors
    /// What the server says.
    pub fn tamper(&self, sql: &str) -> Result<(), DatabaseError> {
        let options = self.cluster.connect_options(SUPERUSER_ROLE, &self.name);
        let all = format!("set session_replication_role = replica; {sql}");
        let tampering = async move {
            let mut connection = PgConnection::connect_with(&options).await?;
            connection.execute(AssertSqlSafe(all)).await?;
            connection.close().await
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(runtime.block_on(tampering)?)
    }

    /// The socket of its server.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        let options = self.cluster.connect_options(RUNTIME_ROLE, &self.name);
        options.get_socket().map(|folder| folder.join(".s.PGSQL.5432")).unwrap_or_default()
    }

    /// The URL of this database for `role`, by way of a relay to [`Database::socket`].
    #[must_use]
    pub fn url_by(&self, role: &str, relay: SocketAddr) -> String {
        format!("postgresql://{role}@{relay}/{}?sslmode=disable", self.name)
    }

    /// The URL of this database for `role`, as `DATABASE_URL` would hold it.
    #[must_use]
    pub fn url(&self, role: &str) -> String {
        self.cluster.url(role, &self.name)
    }
}

fn silent(data_dir: &Path) -> io::Error {
    let text = format!("the server in {} does not answer", data_dir.display());
    io::Error::new(io::ErrorKind::ConnectionRefused, text)
}

fn lazy(options: PgConnectOptions) -> PgPool {
    PgPoolOptions::new()
        .max_connections(CONNECTIONS_MAX)
        .acquire_timeout(ACQUIRE_WITHIN)
        .connect_lazy_with(options)
}

/// A number that no other test draws, in this process or another.
fn fastrand_u128() -> io::Result<u128> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| io::Error::other("no randomness"))?;
    Ok(u128::from_be_bytes(bytes))
}

/// The template with these rooms, made when it is not there. Tests that want the same one at once
/// wait for the first of them.
async fn template(
    server: &mut PgConnection,
    cluster: &RunningCluster,
    rooms: &[Room],
) -> Result<String, DatabaseError> {
    let hash = hash(rooms);
    let name = format!("template_{hash}");
    if exists(server, &name).await? {
        return Ok(name);
    }
    let key = i64::from_str_radix(hash.get(..15).unwrap_or_default(), 16).unwrap_or_default();
    sqlx::query("select pg_advisory_lock($1)").bind(key).execute(&mut *server).await?;
    if !exists(server, &name).await? {
        let unfinished = format!("{name}_new");
        for statement in [
            format!("drop database if exists {unfinished} with (force)"),
            format!("create database {unfinished} owner {OWNER_ROLE}"),
        ] {
            server.execute(AssertSqlSafe(statement)).await?;
        }
        let owner = lazy(cluster.connect_options(OWNER_ROLE, &unfinished));
        let migrated = plimsoll_store::migrate(&owner, rooms, Some(RUNTIME_ROLE)).await;
        owner.close().await;
        migrated?;
        let finish = format!("alter database {unfinished} rename to {name}");
        server.execute(AssertSqlSafe(finish)).await?;
    }
    sqlx::query("select pg_advisory_unlock($1)").bind(key).execute(&mut *server).await?;
    Ok(name)
}

async fn exists(server: &mut PgConnection, database: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("select exists (select from pg_catalog.pg_database where datname = $1)")
        .bind(database)
        .fetch_one(server)
        .await
}

/// What the template depends on, in 32 hexadecimal digits.
fn hash(rooms: &[Room]) -> String {
    use std::fmt::Write as _;
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(TEMPLATE_FORM.as_bytes());
    for room in rooms {
        context.update(room.name.as_bytes());
        context.update(&[0]);
        for migration in room.migrator.iter() {
            context.update(&migration.version.to_be_bytes());
            context.update(&migration.checksum);
        }
        for table in room.append_only {
            context.update(table.as_bytes());
            context.update(&[0]);
        }
    }
    let mut text = String::new();
    for byte in context.finish().as_ref().iter().take(16) {
        // Writing to a string cannot fail.
        let _written = write!(text, "{byte:02x}");
    }
    text
}
