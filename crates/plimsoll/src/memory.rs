//! What outlives the process: the database, the keys, the ledger, and the last good snapshot.
//!
//! An edge that has run once starts and serves while the database is down, so nothing here is
//! waited for once there is a snapshot on disk. All of it runs on the control runtime.

mod entries;
mod following;
mod opening;
mod plan;
mod shown;
mod writes;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use plimsoll_base::{Nanos, SharedClock};
use plimsoll_console::{NodeAnswer, Rooms, RoomsCell, Verified};
use plimsoll_edge::{AuditSink, Drained, Edge};
use plimsoll_ledger::{
    Fact, Importer, Ledger, Sealer, SealerDoor, SealerState, Spool, SpoolFigures, former_keys,
};
use plimsoll_manifest::env::{self, Secret};
use plimsoll_plan::PlanFacts;
use plimsoll_protection::{Keyring, KeyringOptions, OutsideKeks, PublicKey};
use plimsoll_snapshot::{Contact, Dynamic, Followed, NodeReport, Saved};
use plimsoll_store::{Store, StoreState};
use plimsoll_telemetry::{Gauge, Metrics};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;
use zeroize::Zeroizing;

use crate::exit::Failure;
pub(crate) use entries::leave;
use following::Obeyed;
pub(crate) use opening::rooms;
use plan::Plan;
use writes::KeyedWrites;

/// How long closing may take: the last entries, the last checkpoint, the end of Postgres.
const CLOSE_MAX: Duration = Duration::from_secs(10);

/// The memory of a node. See the module's page.
pub(crate) struct Memory {
    shared: Arc<Shared>,
    followed: watch::Receiver<Followed>,
    stop: watch::Sender<bool>,
    /// Whether the data directory is ours alone; a successor waits for it.
    owned: watch::Sender<bool>,
    report: watch::Sender<NodeReport>,
    edge: OnceLock<Arc<Edge>>,
    waiting: Mutex<Option<Waiting>>,
    audit: AuditSink,
    tasks: Mutex<JoinSet<()>>,
}

/// What the tasks share.
pub(crate) struct Shared {
    data_dir: PathBuf,
    clock: SharedClock,
    keyring: Arc<Keyring>,
    /// The keys that signed checkpoints before ours.
    former: Vec<PublicKey>,
    ledger: Ledger,
    saved: Saved,
    /// Filled once the database was reached.
    store: OnceLock<Arc<Store>>,
    rooms: RoomsCell,
    opening: Mutex<Opening>,
    sealer: OnceLock<watch::Receiver<SealerState>>,
    /// Made with the store, and run once the rest does.
    sealer_at_rest: Mutex<Option<Sealer>>,
    /// How long the oldest unsealed entry has waited, in milliseconds.
    unsealed_ms: AtomicU64,
    /// With when the database said so.
    nodes: Mutex<Option<(Nanos, Vec<NodeAnswer>)>>,
    verified: Verified,
    plan: Plan,
    writes: KeyedWrites,
    spool: Spool,
    /// The folder of that spool among the others.
    spool_name: String,
    node: String,
    outside: Outside,
}

/// What waits for the edge that obeys: nothing is followed before.
struct Waiting {
    importer: Importer,
    said: watch::Sender<Followed>,
    last: Dynamic,
}

/// The database that the environment names.
#[derive(Clone)]
struct Outside {
    database_url: Option<Secret>,
    owner_url: Option<Secret>,
    postgres_bin: Option<PathBuf>,
}

/// Where opening the store stands.
#[derive(Debug, Clone)]
enum Opening {
    /// Waiting until the process before us has ended.
    Waiting,
    /// Under way, or failed the last time and tried again.
    Trying {
        why: Option<String>,
    },
    Open,
}

/// How the memory is, for readiness, metrics and the console.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Why the database is not used; `None` when it is.
    pub(crate) database_down: Option<String>,
    /// The epoch applied.
    pub(crate) epoch: u64,
    /// How old that knowledge is; `None` when the database was never asked.
    pub(crate) known_ago: Option<Duration>,
    /// What the sealer cannot do.
    pub(crate) sealer: Option<SealerState>,
    /// How long the oldest entry that is not sealed has waited.
    pub(crate) unsealed_for: Duration,
    /// Records that wait for the database.
    pub(crate) spool: SpoolFigures,
    /// Why a spool cannot be read on, where one cannot.
    pub(crate) spool_damaged: Option<String>,
    /// Whether one role owns and uses the database.
    pub(crate) single_role: bool,
}

/// What a memory is opened with.
pub(crate) struct MemoryOptions<'a> {
    pub(crate) data_dir: &'a Path,
    pub(crate) clock: &'a SharedClock,
    pub(crate) report: NodeReport,
    /// Whether the data directory is ours alone already.
    pub(crate) owned: bool,
    /// How much may wait on disk while the database is away.
    pub(crate) spool_bytes_max: u64,
}

impl Memory {
    /// Opens the keys, the spool and the last good snapshot; on the very first start the database,
    /// too, and then it fails without one. On the control runtime.
    pub(crate) async fn open(options: MemoryOptions<'_>) -> Result<Self, Failure> {
        let keyring = Arc::new(keyring(options.data_dir)?);
        let outside = Outside {
            database_url: env::secret("DATABASE_URL").map_err(Failure::failed)?,
            owner_url: env::secret("PLIMSOLL_DATABASE_OWNER_URL").map_err(Failure::failed)?,
            postgres_bin: variable("PLIMSOLL_PG_BIN")?,
        };
        let former = former_keys(&options.data_dir.join("keys/former")).map_err(Failure::failed)?;
        let (spool, importer) = opening::spool(&options)?;
        let saved = Saved::at(options.data_dir);
        let last = saved.read().unwrap_or_else(|error| {
            tracing::warn!(%error, "the last good snapshot cannot be read and is made anew");
            None
        });
        let ledger = Ledger::new(Arc::clone(options.clock), Arc::clone(&keyring));
        let shared = Arc::new(Shared {
            data_dir: options.data_dir.to_owned(),
            clock: Arc::clone(options.clock),
            writes: KeyedWrites::new(&keyring, options.clock),
            keyring,
            former,
            ledger,
            saved,
            store: OnceLock::new(),
            rooms: RoomsCell::default(),
            opening: Mutex::new(Opening::Waiting),
            sealer: OnceLock::new(),
            nodes: Mutex::default(),
            verified: Verified::default(),
            plan: Plan::open().map_err(Failure::failed)?,
            sealer_at_rest: Mutex::default(),
            unsealed_ms: AtomicU64::new(0),
            spool,
            spool_name: options.report.id.to_string(),
            node: options.report.name.clone(),
            outside,
        });
        if last.is_none() && options.owned {
            shared.open_store(&Handle::current()).await.map_err(Failure::failed)?;
        }
        let last = last.unwrap_or_default();
        let (said, followed) = watch::channel(Followed::from_disk(last.epoch()));
        Ok(Self {
            edge: OnceLock::new(),
            waiting: Mutex::new(Some(Waiting { importer, said, last })),
            audit: AuditSink::new(shared.spool.clone(), Arc::clone(&shared.keyring)),
            shared,
            followed,
            stop: watch::channel(false).0,
            owned: watch::channel(options.owned).0,
            report: watch::channel(options.report).0,
            tasks: Mutex::new(JoinSet::new()),
        })
    }

    /// From now on the edge obeys what is known, and what changes.
    pub(crate) fn lead(&self, edge: &Arc<Edge>) {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Waiting { importer, said, last }) = waiting else { return };
        self.spawn(self.shared.note(self.started()));
        edge.follow_revocations();
        let _led_before = self.edge.set(Arc::clone(edge)).is_err();
        let obeyed = Obeyed::new(Arc::clone(edge), Arc::clone(&self.shared.clock), last);
        let obeyed = Arc::new(obeyed);
        self.spawn(Arc::clone(&obeyed).keep(self.followed.clone(), self.stop.subscribe()));
        self.spawn(Arc::clone(&self.shared).work(opening::Work {
            importer,
            said,
            obeyed,
            owned: self.owned.subscribe(),
            stop: self.stop.subscribe(),
            report: self.report.subscribe(),
        }));
    }

    fn started(&self) -> Fact {
        let report = self.report.borrow();
        Fact::Start {
            version: report.version.clone(),
            node: report.name.clone(),
            role: report.roles.clone(),
            manifest_sha256: report.manifest_hash.clone(),
        }
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).spawn(task);
    }

    /// The data directory is ours alone now.
    pub(crate) fn own(&self) {
        self.owned.send_replace(true);
    }

    /// Notes that another manifest is in force, with the keys that differ.
    pub(crate) fn manifest_changed(
        &self,
        before: &serde_json::Value,
        after: &serde_json::Value,
        hash: &str,
    ) {
        let before_sha256 = self.report.borrow().manifest_hash.clone();
        if before_sha256 == hash {
            return;
        }
        self.report.send_modify(|report| hash.clone_into(&mut report.manifest_hash));
        let fact = Fact::ManifestChange {
            node: self.shared.node.clone(),
            before_sha256,
            after_sha256: hash.to_owned(),
            diff: plimsoll_ledger::ManifestDiff::between(before, after),
        };
        self.spawn(self.shared.note(fact));
    }

    /// What the operator JSON answers from.
    pub(crate) fn rooms(&self) -> RoomsCell {
        Arc::clone(&self.shared.rooms)
    }

    /// The key of the hashes that callers are counted by, and what it is known by elsewhere.
    pub(crate) fn caller_key(&self) -> Result<(Zeroizing<[u8; 32]>, String), Failure> {
        let keyring = &self.shared.keyring;
        Ok((keyring.caller_key().map_err(Failure::failed)?, keyring.kek_id()))
    }

    /// What seals what other nodes are to read.
    pub(crate) fn keyring(&self) -> Arc<Keyring> {
        Arc::clone(&self.shared.keyring)
    }

    /// What the documents of the plan say now.
    pub(crate) fn plan_says(&self, facts: PlanFacts) {
        self.shared.plan.reads(facts);
    }

    /// Where the edge leaves what it audits.
    pub(crate) fn audit(&self) -> AuditSink {
        self.audit.clone()
    }

    /// How it is.
    pub(crate) fn standing(&self, now: Nanos) -> Standing {
        let followed = self.followed.borrow().clone();
        Standing {
            database_down: self.shared.down(&followed),
            epoch: followed.epoch,
            known_ago: followed.known_at.map(|at| now.since(at)),
            sealer: self.shared.sealer_fault(),
            unsealed_for: Duration::from_millis(self.shared.unsealed_ms.load(Ordering::Relaxed)),
            spool: self.shared.spool.figures(),
            spool_damaged: self.shared.spool.damaged(),
            single_role: self.shared.store.get().is_some_and(|store| store.single_role()),
        }
    }

    /// The id by which other nodes know this process.
    pub(crate) fn node_id(&self) -> uuid::Uuid {
        self.report.borrow().id
    }

    /// Brings the gauges up to date; called once a second.
    pub(crate) fn observe(&self, metrics: &Metrics, now: Nanos) {
        let standing = self.standing(now);
        metrics.set(Gauge::DatabaseUp, u64::from(standing.database_down.is_none()));
        metrics.set(Gauge::Epoch, standing.epoch);
        metrics.set(Gauge::EpochAge, standing.known_ago.map_or(0, |ago| ago.as_secs()));
        metrics.set(Gauge::Revocations, self.revocations());
        metrics.set(Gauge::AuditSpooled, standing.spool.records);
        metrics.set(Gauge::AuditLost, self.audit.lost());
        metrics.set(Gauge::LedgerSealed, self.shared.sealed());
        metrics.set(Gauge::LedgerBroken, u64::from(self.shared.broken()));
        metrics.set(Gauge::LedgerSealerUp, u64::from(self.shared.seals()));
        metrics.set(Gauge::LedgerUnsealedAge, standing.unsealed_for.as_secs());
        self.shared.writes.observe(metrics);
    }

    fn revocations(&self) -> u64 {
        self.edge.get().map_or(0, |edge| edge.revocations() as u64)
    }

    /// Writes the last entry, seals, signs, and stops the database.
    pub(crate) async fn close(&self, reason: &'static str, drained: Drained) {
        let stop = Fact::Stop {
            node: self.shared.node.clone(),
            reason,
            requests_cut: drained.requests_cut,
            took_ms: u64::try_from(drained.took.as_millis()).unwrap_or(u64::MAX),
        };
        let noted = tokio::time::timeout(CLOSE_MAX, self.shared.note(stop));
        if noted.await.is_err() {
            tracing::error!("the disk does not take the last entry of this node");
        }
        self.stop.send_replace(true);
        let mut tasks =
            std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        let ended = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(CLOSE_MAX, ended).await.is_err() {
            tracing::warn!(
                waited_s = CLOSE_MAX.as_secs(),
                "what the ledger still had to write waits for the next start"
            );
            tasks.shutdown().await;
        }
        if let Some(store) = self.shared.store.get() {
            store.close().await;
        }
    }
}

impl Shared {
    /// Why the database is not used.
    fn down(&self, followed: &Followed) -> Option<String> {
        match &*self.opening.lock().unwrap_or_else(PoisonError::into_inner) {
            Opening::Waiting => {
                return Some("the process before this one still uses it".to_owned());
            }
            Opening::Trying { why } => {
                return Some(why.clone().unwrap_or_else(|| "it is being started".to_owned()));
            }
            Opening::Open => {}
        }
        match self.store.get().map(|store| store.state().borrow().clone()) {
            Some(StoreState::Down { why, .. }) => Some(why),
            Some(StoreState::Starting) => Some("it was not reached yet".to_owned()),
            Some(StoreState::Ready) | None => match &followed.contact {
                Contact::Known => None,
                Contact::Lost { why } => Some(why.clone()),
            },
        }
    }

    /// What the sealer says where it cannot do its work.
    fn sealer_fault(&self) -> Option<SealerState> {
        let state = self.sealer.get()?.borrow().clone();
        match state {
            SealerState::Down { .. }
            | SealerState::Diverged { .. }
            | SealerState::Unsigned { .. } => Some(state),
            _ => None,
        }
    }

    fn seals(&self) -> bool {
        let state = self.sealer.get().map(|state| state.borrow().clone());
        matches!(state, Some(SealerState::Sealing { .. } | SealerState::Waiting))
    }

    fn sealed(&self) -> u64 {
        match self.sealer.get().map(|state| state.borrow().clone()) {
            Some(
                SealerState::Sealing { size, .. }
                | SealerState::Diverged { size, .. }
                | SealerState::Unsigned { size, .. },
            ) => size,
            _ => 0,
        }
    }

    /// Whether the last verification found a fault.
    fn broken(&self) -> bool {
        let verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        verified.as_ref().is_some_and(|verified| !verified.whole)
    }

    fn fill_rooms(&self, store: &Arc<Store>, sealer: SealerDoor) {
        let rooms = Rooms {
            store: Arc::clone(store),
            ledger: self.ledger.clone(),
            sealer,
            checkpoints: checkpoints(&self.data_dir),
            checkpoint_key: self.keyring.public_key().clone(),
            trusted: self.former.clone(),
            plan: self.plan.room(),
            verified: Arc::clone(&self.verified),
            clock: Arc::clone(&self.clock),
        };
        // Filled once; a second time it would say the same.
        let _filled_before = self.rooms.set(rooms).is_err();
    }
}

/// The keys of a data directory, or those that the environment names; made where they are missing.
pub(crate) fn keyring(data_dir: &Path) -> Result<Keyring, Failure> {
    let keyring = Keyring::open_with(&keyring_options(data_dir)?, &keks_of_environment()?);
    keyring.map_err(Failure::failed)
}

/// Where the keys are.
pub(crate) fn keyring_options(data_dir: &Path) -> Result<KeyringOptions, Failure> {
    Ok(KeyringOptions {
        directory: data_dir.join("keys"),
        signing_key_file: variable("PLIMSOLL_LEDGER_KEY_FILE")?,
        kek_file: variable("PLIMSOLL_KEK_FILE")?,
        outside_database: env::secret("DATABASE_URL").map_err(Failure::failed)?.is_some(),
    })
}

/// The key-encrypting keys that the environment holds itself.
pub(crate) fn keks_of_environment() -> Result<OutsideKeks, Failure> {
    let text = env::var("PLIMSOLL_KEK").map_err(Failure::failed)?.map(Zeroizing::new);
    OutsideKeks::parse(text.as_deref().map_or("", String::as_str)).map_err(Failure::failed)
}

/// Where the ledger's checkpoints lie, outside the database.
pub(crate) fn checkpoints(data_dir: &Path) -> PathBuf {
    data_dir.join("ledger/checkpoints")
}

fn variable(name: &str) -> Result<Option<PathBuf>, Failure> {
    Ok(env::var(name).map_err(Failure::failed)?.map(PathBuf::from))
}
