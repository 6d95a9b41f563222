//! A ledger of its own for each test.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use plimsoll_base::{ManualClock, SharedClock};
use plimsoll_ledger::{
    Actor, ActorKind, Append, Checkpoints, Fact, Ledger, ROOM, Report, Sealer, SealerError,
    VerifyOptions, verify,
};
use plimsoll_protection::{Keyring, KeyringOptions, PublicKey};
use plimsoll_testkit::database::Database;
use serde_json::{Map, json};
use sqlx::PgConnection;
use tempfile::TempDir;
use uuid::Uuid;

pub(crate) const NOW_MS: u64 = 1_795_000_000_000;

pub(crate) struct Place {
    pub(crate) db: Database,
    pub(crate) root: TempDir,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) ledger: Ledger,
}

pub(crate) fn keyring(directory: PathBuf) -> Arc<Keyring> {
    let options = KeyringOptions {
        directory,
        signing_key_file: None,
        kek_file: None,
        outside_database: false,
    };
    Arc::new(Keyring::open(&options).unwrap())
}

impl Place {
    pub(crate) async fn new() -> Self {
        let db = Database::new(&[ROOM]).await;
        let root = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at_unix_ms(NOW_MS));
        let keyring = keyring(root.path().join("keys"));
        let ledger = Ledger::new(Arc::<ManualClock>::clone(&clock), Arc::clone(&keyring));
        Self { db, root, clock, keyring, ledger }
    }

    /// With `count` entries, sealed and signed.
    pub(crate) async fn sealed(count: u32) -> Self {
        let place = Self::new().await;
        place.append_many(count).await;
        assert_eq!(place.seal().await, u64::from(count));
        place
    }

    pub(crate) fn shared_clock(&self) -> SharedClock {
        Arc::<ManualClock>::clone(&self.clock)
    }

    pub(crate) fn directory(&self) -> PathBuf {
        self.root.path().join("ledger").join("checkpoints")
    }

    pub(crate) fn checkpoints(&self) -> Checkpoints {
        Checkpoints::open(&self.directory(), Arc::clone(&self.keyring)).unwrap()
    }

    pub(crate) fn sealer(&self) -> Sealer {
        Sealer::new(self.db.runtime.clone(), self.checkpoints(), self.shared_clock())
    }

    /// As another process on another node would have it.
    pub(crate) fn sealer_elsewhere(&self) -> Sealer {
        let directory = self.root.path().join("elsewhere");
        let checkpoints = Checkpoints::open(&directory, Arc::clone(&self.keyring)).unwrap();
        Sealer::new(self.db.runtime.clone(), checkpoints, self.shared_clock())
    }

    pub(crate) fn trusted(&self) -> Vec<PublicKey> {
        vec![self.keyring.public_key().clone()]
    }

    /// Seals all that is committed, signs, and returns how many are sealed.
    ///
    /// Other tests use the same cluster, and a transaction of theirs holds the sealer back as one
    /// of ours would: so this waits until those that run now have ended.
    pub(crate) async fn seal(&self) -> u64 {
        self.others_have_ended().await;
        self.seal_now().await
    }

    /// What the sealer does at this moment.
    pub(crate) async fn seal_now(&self) -> u64 {
        self.clock.advance(Duration::from_secs(2));
        self.sealer().once().await.unwrap()
    }

    /// Every transaction that runs now, in whatever database, has ended.
    pub(crate) async fn others_have_ended(&self) {
        let query = "select pg_current_xact_id()::text::bigint";
        let now: i64 = sqlx::query_scalar(query).fetch_one(&self.db.runtime).await.unwrap();
        let ended = "select pg_snapshot_xmin(pg_current_snapshot())::text::bigint";
        let mut conn = self.db.runtime.acquire().await.unwrap();
        for _ in 0..4_000 {
            let xmin: i64 = sqlx::query_scalar(ended).fetch_one(&mut *conn).await.unwrap();
            if xmin > now {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("a transaction runs for more than 20 s in the tests' cluster");
    }

    pub(crate) async fn append(&self, subject: &str) -> Uuid {
        let mut conn = self.db.runtime.acquire().await.unwrap();
        self.append_in(&mut conn, subject).await
    }

    pub(crate) async fn append_in(&self, conn: &mut PgConnection, subject: &str) -> Uuid {
        let actor = Actor::Named(ActorKind::Operator, "local:1000");
        self.ledger.append(conn, Append::ok(actor, act(subject))).await.unwrap()
    }

    /// Entries about `0`, `1`, …, each in a transaction of its own.
    pub(crate) async fn append_many(&self, count: u32) -> Vec<Uuid> {
        let mut ids = Vec::new();
        for n in 0..count {
            ids.push(self.append(&n.to_string()).await);
        }
        ids
    }

    /// As a superuser with triggers off.
    pub(crate) async fn tamper(&self, sql: &str) {
        let mut conn = self.db.superuser.acquire().await.unwrap();
        let all = format!("set session_replication_role = replica; {sql}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(all)).execute(&mut *conn).await.unwrap();
        conn.close_on_drop();
    }

    pub(crate) async fn verify(&self) -> Report {
        self.verify_as(&self.keyring, &[], &[]).await.unwrap()
    }

    /// The same as a node with `own` keys, which has been given further folders and keys.
    pub(crate) async fn verify_as(
        &self,
        own: &Keyring,
        further: &[PathBuf],
        trusted: &[PublicKey],
    ) -> Result<Report, SealerError> {
        let mut conn = self.db.runtime.acquire().await.unwrap();
        let options = VerifyOptions {
            checkpoints: self.directory(),
            key: own.public_key().clone(),
            further: further.to_vec(),
            trusted: trusted.to_vec(),
        };
        verify(&mut conn, &options, &self.shared_clock(), |_| {}).await
    }

    /// The entry at a position.
    pub(crate) async fn at(&self, position: i64) -> Uuid {
        sqlx::query_scalar("select entry_id from ledger.seals where position = $1")
            .bind(position)
            .fetch_one(&self.db.superuser)
            .await
            .unwrap()
    }
}

pub(crate) fn act(subject: &str) -> Fact {
    let mut detail = Map::new();
    detail.insert("note".into(), json!(["a", 1, null]));
    Fact::OperatorAct { act: "test".into(), subject: subject.into(), detail }
}

#[expect(clippy::disallowed_methods, reason = "a test has no registry, and waits for what it runs")]
pub(crate) fn spawn(
    future: impl Future<Output = ()> + Send + 'static,
) -> tokio::task::JoinHandle<()> {
    tokio::spawn(future)
}
