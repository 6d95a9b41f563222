//! The cache of several nodes: what one stored the others may use, and what one wrote the others
//! hear of before its client has the answer.
//!
//! **Writes** go into one log in Redis, which every node follows ([`log`]). What a node believes to
//! know of the others' writes it believes for the time of a [`lease`]; a write is answered when
//! every node with a lease has heard of it. So whoever was told that their write was done is shown
//! nothing older on any node; a node without a lease shows those who can be told from others
//! nothing that is stored, unless they say themselves how late their last write was.
//!
//! **Answers** are stored behind those of the process, sealed and bound to their key ([`entries`]).
//! Each says up to which event of the log its node had heard when it asked. Whoever takes it judges
//! it by that ([`positions`]), so that an answer from before a write stays unused however late it
//! was stored. What cannot be judged is not used.
//!
//! No request waits for Redis but for [`entries`]' and [`log`]'s named bounds; without Redis each
//! node goes on by itself.

mod entries;
mod lease;
mod log;
mod positions;
mod scripts;
mod wire;

use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use plimsoll_base::{Nanos, SharedClock};
use plimsoll_protection::Keyring;
use plimsoll_store::RedisLink;
use plimsoll_telemetry::Metrics;
use tokio::sync::{Notify, mpsc, watch};

use super::key::{Key, Keys};
use super::stamps::Stamps;
use crate::core::Phase;
use entries::Offer;
use lease::Lease;
pub(crate) use log::Telling;
use log::Untold;
use positions::Positions;
use scripts::Scripts;

/// How the links of a shared cache wait; see [`SharedCacheOptions`].
pub const LINK_BOUNDS: plimsoll_store::LinkBounds =
    plimsoll_store::LinkBounds { connect_max: lease::CONNECT_MAX, answer_max: lease::ANSWER_MAX };

/// What nodes share their caches by.
#[derive(Debug)]
pub struct SharedCacheOptions {
    /// Three links to one Redis, with [`LINK_BOUNDS`]: for the log, to wait for it, for answers.
    pub links: [RedisLink; 3],
    /// Names the key of the hashes, and says nothing of it.
    pub namespace: String,
    /// Seals answers: the same on all nodes.
    pub keyring: Arc<Keyring>,
    /// Names the process among its peers; random.
    pub node: u128,
}

/// Where sharing the cache stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CacheSharing {
    /// No Redis is named, or the manifest says so: each node caches for itself.
    #[default]
    Off,
    /// The node has joined the others of late, or not yet.
    Starting,
    /// What is written elsewhere is known here.
    Shared,
    /// Redis is gone: each node caches for itself.
    Lost {
        /// Why.
        why: String,
    },
}

/// See the module's page.
#[derive(Debug)]
pub(crate) struct Shared {
    log: RedisLink,
    waiting: RedisLink,
    entries: RedisLink,
    scripts: Scripts,
    namespace: String,
    node: Vec<u8>,
    /// What this node would call a log that it begins.
    begins: u64,
    /// Calls that told something, so that the tag of each event is its own.
    tellings: AtomicU64,
    keyring: Arc<Keyring>,
    clock: SharedClock,
    metrics: Arc<Metrics>,
    keys: Keys,
    stamps: Arc<Stamps>,
    lease: Lease,
    positions: Mutex<Positions>,
    untold: Mutex<Untold>,
    wake: Notify,
    offers: mpsc::Sender<Offer>,
    offered: Mutex<Option<mpsc::Receiver<Offer>>>,
    offered_bytes: AtomicUsize,
    looking: AtomicUsize,
    standing: Mutex<CacheSharing>,
}

impl Shared {
    pub(crate) fn new(
        options: SharedCacheOptions,
        clock: SharedClock,
        metrics: Arc<Metrics>,
        keys: Keys,
        stamps: Arc<Stamps>,
    ) -> Self {
        let [log, waiting, entries] = options.links;
        let (offers, offered) = mpsc::channel(entries::OFFERS_MAX);
        #[expect(clippy::cast_possible_truncation, reason = "half of what is random is random")]
        let begins = options.node as u64;
        Self {
            log,
            waiting,
            entries,
            scripts: Scripts::default(),
            namespace: options.namespace,
            node: format!("{:032x}", options.node).into_bytes(),
            begins,
            tellings: AtomicU64::new(0),
            keyring: options.keyring,
            clock,
            metrics,
            keys,
            stamps,
            lease: Lease::default(),
            positions: Mutex::default(),
            untold: Mutex::default(),
            wake: Notify::new(),
            offers,
            offered: Mutex::new(Some(offered)),
            offered_bytes: AtomicUsize::new(0),
            looking: AtomicUsize::new(0),
            standing: Mutex::new(CacheSharing::Starting),
        }
    }

    /// Hears, tells and stores until the edge stops. On the control runtime.
    pub(crate) async fn run(&self, phase: watch::Receiver<Phase>) {
        let offered = self.offered.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(offered) = offered else { return };
        let (hearing, telling) = (self.hear(phase.clone()), self.tell(phase.clone()));
        tokio::join!(hearing, telling, self.store(offered, phase));
        self.leave().await;
    }

    /// Whether every write that was answered elsewhere is known here.
    pub(crate) fn knows_all_writes(&self, now: Nanos) -> bool {
        self.lease.is_held(now)
    }

    /// Whether it is worth asking what others stored.
    pub(crate) fn is_reached(&self) -> bool {
        self.entries.is_connected() && !self.lease.is_lost()
    }

    /// Where it stands.
    pub(crate) fn standing(&self) -> CacheSharing {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, now: CacheSharing) {
        let mut before = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        if *before == now {
            return;
        }
        match &now {
            CacheSharing::Lost { why } => {
                tracing::warn!(%why, "the cache is not shared; each node caches for itself");
            }
            CacheSharing::Shared => tracing::info!("the cache is shared over Redis"),
            CacheSharing::Off | CacheSharing::Starting => {}
        }
        *before = now;
    }

    fn positions(&self) -> MutexGuard<'_, Positions> {
        self.positions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A log that this node begins has an epoch that no other had: its own name and the time.
    fn epoch(&self) -> Vec<u8> {
        text(self.begins ^ self.clock.unix_ms())
    }

    fn log_keys(&self) -> [Vec<u8>; 2] {
        ["head", "log"].map(|what| format!("plimsoll:{{cache}}:{}:{what}", self.namespace).into())
    }

    fn entry_key(&self, key: Key) -> Vec<u8> {
        format!("plimsoll:{{cache}}:{}:{key}", self.namespace).into_bytes()
    }
}

/// A number as Redis takes it.
fn text<N: ToString + Copy>(number: N) -> Vec<u8> {
    number.to_string().into_bytes()
}
