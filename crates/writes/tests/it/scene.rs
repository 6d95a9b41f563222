//! A database with the room in it, and nodes that share it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use plimsoll_base::SystemClock;
use plimsoll_protection::{Keyring, KeyringOptions};
use plimsoll_testkit::database::Database;
use plimsoll_writes::{Answer, Begun, Claim, Hash, Lease, OnUnknown, ROOM, Writes};
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub(crate) const WITHIN: Duration = Duration::from_secs(5);

pub(crate) struct Scene {
    pub(crate) database: Database,
    keyring: Arc<Keyring>,
    _keys: tempfile::TempDir,
}

/// A node: what its edge asks, and its engine.
pub(crate) struct Node {
    pub(crate) writes: Writes,
    engine: JoinHandle<()>,
    stop: watch::Sender<bool>,
}

impl Scene {
    pub(crate) async fn new() -> Self {
        let keys = tempfile::tempdir().unwrap();
        let options = KeyringOptions {
            directory: keys.path().join("keys"),
            signing_key_file: None,
            kek_file: None,
            outside_database: false,
        };
        let keyring = Arc::new(Keyring::open(&options).unwrap());
        Self { database: Database::new(&[ROOM]).await, keyring, _keys: keys }
    }

    #[expect(clippy::disallowed_methods, reason = "a test's own task")]
    pub(crate) fn node(&self) -> Node {
        let (writes, engine) = Writes::new(Arc::clone(&self.keyring), SystemClock::shared());
        let (stop, stopped) = watch::channel(false);
        let engine = tokio::spawn(engine.run(self.database.runtime.clone(), stopped));
        Node { writes, engine, stop }
    }

    /// Moves all leases into the past, as time would.
    pub(crate) async fn leases_run_out(&self) {
        let all = "update writes.records set lease_until_ms = lease_until_ms - 60000";
        sqlx::query(all).execute(&self.database.owner).await.unwrap();
    }

    pub(crate) async fn records(&self) -> Vec<(String, i64)> {
        sqlx::query_as("select state, fence from writes.records order by id")
            .fetch_all(&self.database.owner)
            .await
            .unwrap()
    }
}

impl Node {
    /// As by SIGKILL: what it had under way is as it stands in the database.
    pub(crate) fn kill(&self) {
        self.engine.abort();
    }

    pub(crate) async fn stop(self) {
        self.stop.send_replace(true);
        self.engine.await.unwrap();
    }

    pub(crate) async fn begin(&self, claim: &Claim) -> Begun {
        self.writes.begin(claim, WITHIN).await.unwrap()
    }

    pub(crate) async fn granted(&self, claim: &Claim) -> Lease {
        match self.begin(claim).await {
            Begun::Granted(lease) => lease,
            other => panic!("{other:?}"),
        }
    }
}

pub(crate) fn claim(key: u8, owner: u128) -> Claim {
    Claim {
        id: Hash([key; 32]),
        caller: Hash([2; 32]),
        formerly: None,
        fingerprint: Hash([3; 32]),
        owner,
        on_unknown: OnUnknown::Hold,
        kept_for_ms: 60_000,
        service: "shop".into(),
        operation: "createOrder".into(),
    }
}

pub(crate) fn answer(body: &str) -> Answer {
    let location = (HeaderName::from_static("location"), HeaderValue::from_static("/orders/1"));
    Answer {
        status: StatusCode::CREATED,
        headers: HeaderMap::from_iter([location]),
        body: Some(Bytes::copy_from_slice(body.as_bytes())),
    }
}
