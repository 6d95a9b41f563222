//! Several nodes as one: the same manifest, one Postgres, one Redis, and a balancer in front.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use plimsoll_store::{OWNER_ROLE, RUNTIME_ROLE};
use tempfile::TempDir;

use crate::database::Database;
use crate::redis::RedisServer;

/// What the nodes of a fleet share, and what their environment says of it.
#[derive(Debug)]
pub struct SharedState {
    /// The Redis, to be killed and started again.
    pub redis: RedisServer,
    /// The database, empty at the start.
    pub database: Database,
    keys: TempDir,
}

/// The variable by which a test run says how many nodes stand behind each address.
const NODES: &str = "PLIMSOLL_TEST_NODES";

/// How many nodes this test run wants behind each address; 1 unless it says so.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "how a test run is set, not how Plimsoll is")]
pub fn nodes_wanted() -> usize {
    std::env::var(NODES).ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

impl SharedState {
    /// Starts a Redis and makes a database and a key-encrypting key.
    ///
    /// # Errors
    /// When one of them cannot be had.
    pub fn start() -> io::Result<Self> {
        // On a thread of its own, since a test may run on a runtime already.
        let made = std::thread::spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(Database::try_new(&[])).map_err(io::Error::other)
        });
        let database =
            made.join().map_err(|_| io::Error::other("making a database panicked"))??;
        let keys = tempfile::tempdir()?;
        let kek = keys.path().join("kek");
        std::fs::write(&kek, "0123456789abcdef".repeat(4))?;
        std::fs::set_permissions(&kek, Permissions::from_mode(0o600))?;
        Ok(Self { redis: RedisServer::start()?, database, keys })
    }

    /// The environment of a node.
    #[must_use]
    pub fn env(&self) -> Vec<(String, String)> {
        let kek: &Path = &self.keys.path().join("kek");
        let pair = |name: &str, value: String| (name.to_owned(), value);
        vec![
            pair("DATABASE_URL", self.database.url(RUNTIME_ROLE)),
            pair("PLIMSOLL_DATABASE_OWNER_URL", self.database.url(OWNER_ROLE)),
            pair("PLIMSOLL_KEK_FILE", kek.display().to_string()),
            pair("REDIS_URL", self.redis.url()),
        ]
    }
}
