//! A console over a real database: a ledger, and the gates of a plan.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use plimsoll_base::{Clock as _, ManualClock, SystemClock};
use plimsoll_console::{
    ConsoleOptions, LocalSocket, PlanRoom, Rooms, RoomsCell, Verified, serve_local,
};
use plimsoll_ledger::{Actor, ActorKind, Evidence, EvidenceKind, How, Ledger, ROOM, Sealer};
use plimsoll_manifest::env::Secret;
use plimsoll_plan::{Gates, PlanFacts};
use plimsoll_protection::{Keyring, KeyringOptions};
use plimsoll_store::{OWNER_ROLE, RUNTIME_ROLE, Store, StoreOptions};
use plimsoll_testkit::database::Database;
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};

use crate::scene::{Made, NOW_UNIX_MS, Scene};

pub(crate) const DAY: Duration = Duration::from_secs(86_400);

pub(crate) struct Kept {
    pub(crate) scene: Scene,
    cell: RoomsCell,
    /// What the ledger and the board go by; the figures have a clock of their own.
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) ledger: Ledger,
    pub(crate) facts: watch::Sender<PlanFacts>,
    pub(crate) database: Database,
    _root: TempDir,
}

/// A console whose ledger is empty, so many days before [`NOW_UNIX_MS`].
pub(crate) async fn kept(gates: Gates, built: &[EvidenceKind], days_before: u32) -> Kept {
    let database = Database::new(&[ROOM]).await;
    let root = tempfile::tempdir().unwrap();
    let options = KeyringOptions {
        directory: root.path().join("keys"),
        signing_key_file: None,
        kek_file: None,
        outside_database: false,
    };
    let keyring = Arc::new(Keyring::open(&options).unwrap());
    let before = (DAY * days_before).as_millis();
    let clock = Arc::new(ManualClock::at_unix_ms(NOW_UNIX_MS - u64::try_from(before).unwrap()));
    let ledger = Ledger::new(Arc::<ManualClock>::clone(&clock), Arc::clone(&keyring));
    let store = Store::start(StoreOptions {
        data_dir: root.path().to_owned(),
        database_url: Some(Secret::from(database.url(RUNTIME_ROLE))),
        owner_url: Some(Secret::from(database.url(OWNER_ROLE))),
        postgres_bin: None,
        clock: SystemClock::shared(),
        rooms: vec![ROOM],
        control: Handle::current(),
    });
    let cell = RoomsCell::default();
    let checkpoints = root.path().join("ledger/checkpoints");
    let (pool, keys) = (database.runtime.clone(), Arc::clone(&keyring));
    // Nothing runs it: the pages read what was appended, sealed or not.
    let sealer = Sealer::signing_in(pool, checkpoints.clone(), keys, SystemClock::shared());
    let (facts, read) = watch::channel(PlanFacts::default());
    let rooms = Rooms {
        store: Arc::new(store.await.unwrap()),
        ledger: ledger.clone(),
        sealer: sealer.door(),
        checkpoints,
        checkpoint_key: keyring.public_key().clone(),
        trusted: Vec::new(),
        verified: Verified::default(),
        plan: PlanRoom { gates: Arc::new(gates), built: built.into(), facts: read },
        clock: Arc::<ManualClock>::clone(&clock),
    };
    assert!(cell.set(rooms).is_ok());
    let scene = Scene::start_with("127.0.0.1", |mut options| {
        options.rooms = Arc::clone(&cell);
        options
    });
    Kept { scene: scene.await, cell, clock, ledger, facts, database, _root: root }
}

impl Kept {
    /// Goes on to so many days before [`NOW_UNIX_MS`].
    pub(crate) fn days_before(&self, days: u32) {
        let at = NOW_UNIX_MS - u64::try_from((DAY * days).as_millis()).unwrap();
        self.clock.advance(Duration::from_millis(at - self.clock.unix_ms()));
    }

    /// Serves the same on `ops.sock` for as long as somebody asks there.
    pub(crate) async fn locally<T>(&self, ask: impl AsyncFnOnce(&Path) -> T) -> T {
        let folder = tempfile::tempdir().unwrap();
        let mut options = ConsoleOptions::new(SystemClock::shared());
        options.rooms = Arc::clone(&self.cell);
        let (stop, stopped) = oneshot::channel::<()>();
        let source = Arc::<Made>::clone(&self.scene.made);
        let socket = LocalSocket::open(folder.path()).await.unwrap();
        let serving = serve_local(socket, source, options, async {
            stopped.await.unwrap_or_default();
        });
        let asking = async {
            let said = ask(folder.path()).await;
            drop(stop);
            said
        };
        tokio::join!(serving, asking).1
    }

    /// What operators did, as the ledger says.
    pub(crate) async fn acts(&self) -> Vec<Value> {
        let answer = self.scene.get("/api/v1/ledger?action=operator.act").await.json();
        answer["entries"].as_array().unwrap().clone()
    }

    /// Evidence as its makers add it.
    pub(crate) async fn add(&self, kind: &str, how: How, facts: Value) {
        let facts = facts.as_object().unwrap().clone();
        let evidence = Evidence { kind: kind.to_owned(), how, facts };
        let actor = match how {
            How::Imported => Actor::Named(ActorKind::Operator, "local:1000"),
            _ => Actor::System,
        };
        let mut connection = self.database.runtime.acquire().await.unwrap();
        self.ledger.add_evidence(&mut connection, actor, evidence).await.unwrap();
    }
}
