//! The database of this process: a private cluster, or the one that `DATABASE_URL` names.

use std::path::PathBuf;
use std::str::FromStr as _;
use std::sync::Arc;

use plimsoll_base::SharedClock;
use plimsoll_manifest::env::Secret;
use sqlx::PgPool;
use sqlx::postgres::PgConnectOptions;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;

use crate::Room;
use crate::cluster::{BinarySearch, Cluster, ClusterOptions};
use crate::connect::{DATABASE, Hidden, OWNER_ROLE, RUNTIME_ROLE, owner_pool, quiet, runtime_pool};
use crate::error::StoreError;
use crate::facts::{self, Fact, Roles, Weight};
use crate::migrate::{Migrated, migrate};
use crate::monitor::{Monitor, Source};

/// How the store is opened.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// The data directory; a private cluster lies in `postgres` below it.
    pub data_dir: PathBuf,
    /// The database to use instead of a private cluster (`DATABASE_URL`), as the runtime role.
    pub database_url: Option<Secret>,
    /// The same database as the role that owns it (`PLIMSOLL_DATABASE_OWNER_URL`). Without it one
    /// role does both.
    pub owner_url: Option<Secret>,
    /// The folder of Postgres's binaries (`PLIMSOLL_PG_BIN`).
    pub postgres_bin: Option<PathBuf>,
    /// Where "since" comes from.
    pub clock: SharedClock,
    /// Whose schemas are migrated, in this order.
    pub rooms: Vec<Room>,
    /// The runtime that watches over it.
    pub control: Handle,
}

/// What the database does, as far as we know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreState {
    /// Not reached yet.
    Starting,
    /// Reached, migrated, and answering.
    Ready,
    /// Not answering, or not ours to use.
    Down {
        /// Since when, in milliseconds since 1970.
        since_unix_ms: u64,
        /// Why, in words, and what to do.
        why: String,
    },
}

/// The database of this process.
#[derive(Debug)]
pub struct Store {
    pool: PgPool,
    owner: PgPool,
    single_role: bool,
    state: watch::Receiver<StoreState>,
    migrated: watch::Receiver<Option<Migrated>>,
    cluster: Option<Mutex<Option<Cluster>>>,
    monitor: JoinHandle<()>,
    runtime: Hidden,
    data_dir: PathBuf,
}

impl Store {
    /// Opens the store. With a private cluster it returns when that is ready and migrated; with a
    /// database elsewhere it returns at once and connects in the background, because an edge must
    /// start while its database is down.
    ///
    /// It is to be called on the control runtime, where its connections live.
    ///
    /// # Errors
    /// When a URL cannot be read, or the private cluster cannot be had or migrated.
    pub async fn start(options: StoreOptions) -> Result<Self, StoreError> {
        match &options.database_url {
            Some(url) => Self::outside(&options, url),
            None => Self::private(options).await,
        }
    }

    fn outside(options: &StoreOptions, url: &Secret) -> Result<Self, StoreError> {
        let runtime = parse("DATABASE_URL", url)?;
        let owner = match &options.owner_url {
            Some(url) => parse("PLIMSOLL_DATABASE_OWNER_URL", url)?,
            None => runtime.clone(),
        };
        if database_of(&owner) != database_of(&runtime) {
            return Err(StoreError::OtherDatabase {
                owner: database_of(&owner).to_owned(),
                runtime: database_of(&runtime).to_owned(),
            });
        }
        let single_role = owner.get_username() == runtime.get_username();
        let source = Source::Outside { runtime_role: runtime.get_username().to_owned() };
        let (pool, owner_pool) = (runtime_pool(runtime.clone()), owner_pool(owner));
        let (migrated, seen) = watch::channel(None);
        let monitor = Monitor {
            options: runtime.clone(),
            owner: owner_pool.clone(),
            rooms: options.rooms.clone(),
            single_role,
            clock: Arc::clone(&options.clock),
            source,
            migrated,
        };
        let (state, monitor) = monitor.start(&options.control, StoreState::Starting);
        Ok(Self {
            pool,
            owner: owner_pool,
            single_role,
            state,
            migrated: seen,
            cluster: None,
            monitor,
            runtime: Hidden(runtime),
            data_dir: options.data_dir.clone(),
        })
    }

    async fn private(options: StoreOptions) -> Result<Self, StoreError> {
        let mut cluster_options = ClusterOptions::new(&options.data_dir);
        cluster_options.search = BinarySearch::of_this_machine(options.postgres_bin);
        let cluster = Cluster::start(cluster_options).await?;
        let runtime = cluster.connect_options(RUNTIME_ROLE, DATABASE);
        let owner = owner_pool(cluster.connect_options(OWNER_ROLE, DATABASE));
        let done = migrate(&owner, &options.rooms, Some(RUNTIME_ROLE)).await?;
        let (migrated, seen) = watch::channel(Some(done));
        let monitor = Monitor {
            options: runtime.clone(),
            owner: owner.clone(),
            rooms: options.rooms,
            single_role: false,
            clock: options.clock,
            source: Source::Private { cluster: cluster.state() },
            migrated,
        };
        let (state, monitor) = monitor.start(&options.control, StoreState::Ready);
        Ok(Self {
            pool: runtime_pool(runtime.clone()),
            owner,
            single_role: false,
            state,
            migrated: seen,
            cluster: Some(Mutex::new(Some(cluster))),
            monitor,
            runtime: Hidden(runtime),
            data_dir: options.data_dir,
        })
    }

    /// Connections as the runtime role: what the rooms use. It connects when it is first used.
    #[must_use]
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Connections as the role that owns the schemas, for what must not wait in the other pool's
    /// queue or needs an owner's rights: few.
    #[must_use]
    pub fn owner(&self) -> &PgPool {
        &self.owner
    }

    /// Whether one role both owns and uses the database, so that nothing keeps the process from
    /// undoing what should only be appended but the triggers of the rooms.
    #[must_use]
    pub fn single_role(&self) -> bool {
        self.single_role
    }

    /// What the database does, as it changes.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<StoreState> {
        self.state.clone()
    }

    /// What was migrated at the start; `None` until the database was reached.
    #[must_use]
    pub fn migrated(&self) -> watch::Receiver<Option<Migrated>> {
        self.migrated.clone()
    }

    /// Whether the database is a private cluster.
    #[must_use]
    pub fn is_private(&self) -> bool {
        self.cluster.is_some()
    }

    /// The process id of the private cluster's postmaster; `None` while there is none.
    pub async fn postmaster(&self) -> Option<u32> {
        self.cluster.as_ref()?.lock().await.as_ref()?.postmaster()
    }

    /// What is so about the database and the place of its data, and what to do where it is weak:
    /// for `plimsoll doctor`. Takes at most some seconds.
    pub async fn facts(&self) -> Vec<Fact> {
        let mut facts = Vec::new();
        if let StoreState::Down { why, .. } = &*self.state.borrow() {
            facts.push(Fact::new(Weight::Bad, format!("The database is down: {why}.")));
        }
        facts.extend(facts::of_server(&self.runtime.0, self.roles()).await);
        facts.extend(facts::of_place(&self.data_dir));
        facts
    }

    fn roles(&self) -> Roles {
        match (self.single_role, self.is_private()) {
            (true, _) => Roles::Single,
            (false, true) => Roles::TwoOfOurs,
            (false, false) => Roles::Two,
        }
    }

    /// Closes the connections and stops the private cluster. Returns when both are done.
    pub async fn close(&self) {
        self.monitor.abort();
        self.pool.close().await;
        self.owner.close().await;
        if let Some(cluster) = &self.cluster
            && let Some(cluster) = cluster.lock().await.take()
        {
            cluster.stop().await;
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.monitor.abort();
    }
}

pub(crate) fn parse(variable: &'static str, url: &Secret) -> Result<PgConnectOptions, StoreError> {
    let scheme = url.expose().split_once("://").map_or("", |(scheme, _)| scheme);
    if !matches!(scheme, "postgres" | "postgresql") {
        let why = "it does not begin with postgresql://".to_owned();
        return Err(StoreError::Url { variable, why });
    }
    PgConnectOptions::from_str(url.expose())
        .map(quiet)
        .map_err(|_| StoreError::Url { variable, why: "its parts cannot be told apart".to_owned() })
}

/// What libpq takes when a URL names none: the name of the user.
fn database_of(options: &PgConnectOptions) -> &str {
    options.get_database().unwrap_or_else(|| options.get_username())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_is_none_is_refused_without_showing_it() {
        for text in ["mysql://u:hunter2@h/d", "hunter2", "postgres://u:hunter2@h:port/d"] {
            let error =
                parse("DATABASE_URL", &Secret::from(text.to_owned())).unwrap_err().to_string();
            assert!(error.contains("DATABASE_URL") && !error.contains("hunter2"), "{error}");
        }
    }
}
