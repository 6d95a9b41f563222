//! The response cache: what services answered, kept and given again as RFC 9111 allows.
//!
//! **Nobody gets what was another's.** A [`Key`] is made from a [`Place`] (tenant, service,
//! release, scheme, host, target) and a [`Partition`]: the shared one, or that of one verified
//! subject. Into the shared one comes only what its own fields or the manifest say is for all, or
//! what was answered to a request that showed nothing, which then answers such requests alone. What
//! somebody unverified was answered is not stored.
//!
//! **Nobody gets what was before their own write.** Every event has an [`Ordinal`]. A write leaves
//! one with its target, with the groups it invalidates, and with its writer; an entry is used only
//! if it was asked for after all of them. Both tables are of a fixed size and indexed by hash:
//! nothing is ever forgotten, and a collision costs one more question to the service.
//!
//! With Redis both hold on all nodes together ([`shared`]).
//!
//! What is kept is bounded in bytes ([moka], W-TinyLFU) and shared by all cores. A hit costs one
//! lookup, a copy of the head and none of the body.

mod entry;
mod flights;
mod habits;
mod identity;
mod key;
mod shared;
mod stamps;
mod store;
mod tally;
mod tried;

use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use plimsoll_base::{Nanos, SharedClock};
use plimsoll_http_kit::caching::storing::{Rules, Sharing};
use plimsoll_http_kit::forwarded::Scheme;
use plimsoll_manifest::CacheSection;
use plimsoll_snapshot::CacheMode;

pub(crate) use entry::{Asked, Demand, Entry, Kept, Use};
pub(crate) use flights::{Flights, Follower, Joined, Leader};
pub(crate) use habits::{Habit, Habits};
pub(crate) use identity::Identity;
pub(crate) use key::{Key, Keys, Mark, Partition, Place, Writer};
pub use shared::{CacheSharing, LINK_BOUNDS, SharedCacheOptions};
pub(crate) use shared::{Shared, Telling};
pub(crate) use stamps::{Ordinal, Stamped, Stamps};
pub(crate) use store::{Found, Store};
pub use tally::CacheFigures;
pub(crate) use tally::{Tallies, Tally};
pub use tried::CacheTried;

use crate::config::Config;
use crate::exchange::Exchange;
use crate::handle::Edge;
use crate::router::Operation;
use crate::steps::route::Route;

/// The cache in force. What it holds outlives a reload that leaves its size as it was, and what it
/// knows outlives every one.
#[derive(Debug)]
pub(crate) struct Cache {
    pub(crate) held: Arc<Held>,
    heuristic: bool,
    /// Nobody declared anything, so that answers are taken by their word.
    to_the_letter: bool,
    stale_if_error: Duration,
    pub(crate) entry_bytes_max: usize,
    /// Where API keys come.
    pub(crate) key_fields: Vec<HeaderName>,
}

/// What the cache holds, and what it knows of it.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) keys: Keys,
    pub(crate) store: Arc<Store>,
    pub(crate) stamps: Arc<Stamps>,
    pub(crate) flights: Flights,
    /// Newer answers that are being fetched for what is stale.
    pub(crate) refreshes: Flights,
    pub(crate) habits: Arc<Habits>,
    pub(crate) tallies: Arc<Tallies>,
    /// The other nodes' caches, unless each node caches for itself; and the largest answer that is
    /// told them, bytes.
    pub(crate) shared: Option<(Arc<Shared>, usize)>,
}

/// What outlives every reload: an answer that was asked for before one may come after it.
#[derive(Clone, Debug)]
pub(crate) struct Memory {
    pub(crate) keys: Keys,
    pub(crate) stamps: Arc<Stamps>,
    flights: Flights,
    refreshes: Flights,
    habits: Arc<Habits>,
    tallies: Arc<Tallies>,
    pub(crate) shared: Option<Arc<Shared>>,
}

impl Memory {
    /// Nothing is known yet. `seed` is the same on nodes whose keys are to be the same.
    pub(crate) fn new(seed: &[u8; 16]) -> Self {
        Self {
            keys: Keys::new(seed),
            stamps: Arc::default(),
            flights: Flights::default(),
            refreshes: Flights::default(),
            habits: Arc::default(),
            tallies: Arc::default(),
            shared: None,
        }
    }
}

impl Held {
    fn new(section: &CacheSection, memory: &Memory, before: Option<&Self>) -> Self {
        let bytes_max = section.bytes_max.0;
        let store = before.map(|before| &before.store).filter(|s| s.bytes_max() == bytes_max);
        let shared = memory.shared.as_ref().filter(|_| section.shared);
        if shared.is_some() && before.is_none_or(|before| before.shared.is_none()) {
            // Others were not told of what was written meanwhile, and did not tell: what they have
            // from before is not used here either.
            memory.stamps.drop_everything();
        }
        let entry_bytes = section.shared_entry_bytes_max.0;
        let entry_bytes = usize::try_from(entry_bytes).unwrap_or(usize::MAX);
        Self {
            keys: memory.keys.clone(),
            store: store.map_or_else(|| Arc::new(Store::new(bytes_max)), Arc::clone),
            stamps: Arc::clone(&memory.stamps),
            flights: memory.flights.clone(),
            refreshes: memory.refreshes.clone(),
            habits: Arc::clone(&memory.habits),
            tallies: Arc::clone(&memory.tallies),
            shared: shared.map(|shared| (Arc::clone(shared), entry_bytes)),
        }
    }

    /// Stores an answer, for other nodes, too.
    pub(crate) fn keep(&self, key: Key, entry: &Arc<Entry>) {
        self.store.put(key, entry);
        if let Some((shared, bytes_max)) = &self.shared {
            shared.offer(key, entry, *bytes_max);
        }
    }

    /// A write, on this node at once, and on the others when [`Telling::done`] has ended.
    pub(crate) fn write(
        &self,
        marks: Vec<Mark>,
        writer: Option<Writer>,
    ) -> (Stamped, Option<Telling>) {
        match &self.shared {
            // Nothing is to be told where nothing changed and the writer is like all others.
            Some((shared, _)) if !marks.is_empty() || writer.is_some() => {
                let (stamped, telling) = shared.write(marks, writer);
                (stamped, Some(telling))
            }
            _ => (self.stamps.write(marks, writer), None),
        }
    }

    /// Whether every write that was answered on another node is known here.
    pub(crate) fn knows_all_writes(&self, clock: &SharedClock) -> bool {
        self.shared.as_ref().is_none_or(|(shared, _)| shared.knows_all_writes(clock.now()))
    }
}

impl Cache {
    /// `None` where the manifest switches it off. `declared`: there is one, or a contract.
    pub(crate) fn build(
        (section, declared): (&CacheSection, bool),
        api_key_fields: &[HeaderName],
        memory: &Memory,
        before: Option<&Cache>,
    ) -> Option<Self> {
        if !section.enabled {
            return None;
        }
        Some(Self {
            held: Arc::new(Held::new(section, memory, before.map(|before| &*before.held))),
            heuristic: section.heuristic,
            to_the_letter: !declared,
            stale_if_error: section.stale_if_error.0,
            entry_bytes_max: usize::try_from(section.entry_bytes_max.0).unwrap_or(usize::MAX),
            key_fields: identity::key_fields(api_key_fields),
        })
    }

    /// The rules for an operation's answers; `None` where they are not kept.
    pub(crate) fn rules(&self, operation: Option<&Operation>) -> Option<Rules> {
        let declared = operation.map(|operation| &operation.cache);
        let sharing = match declared.map(|declared| declared.mode).unwrap_or_default() {
            CacheMode::Off => return None,
            CacheMode::Headers => Sharing::AsSaid,
            CacheMode::Shared => Sharing::Declared,
            CacheMode::Caller => Sharing::Apart,
        };
        Some(Rules {
            heuristic: self.heuristic,
            to_the_letter: self.to_the_letter,
            ttl: declared.and_then(|declared| declared.ttl_ms).map(Duration::from_millis),
            stale_if_error: self.stale_if_error,
            sharing,
        })
    }
}

/// Whether answers by this route are kept at all; and the operation, where a contract or the
/// manifest names one. Streams, documents and paths of our own, and CORS are none of the cache's.
pub(crate) fn cacheable(route: Route<'_>) -> Option<Option<&Arc<Operation>>> {
    match route {
        Route::Operation(operation) => Some(Some(operation)),
        Route::Unknown { .. } => Some(None),
        Route::Passthrough(_) | Route::Options { .. } | Route::Document(_) | Route::Own(_) => None,
    }
}

/// Where the answers to this request belong.
pub(crate) fn place<'e>(exchange: &'e Exchange, host: &'e str) -> Place<'e> {
    Place {
        tenant: exchange.verified.as_ref().map_or("default", |verified| verified.tenant()),
        service: exchange.service(),
        release: exchange.release(),
        secure: exchange.from.scheme == Scheme::Https,
        host,
        target: exchange.target.as_ref().map_or("*", |target| target.as_str()),
    }
}

/// What operators see of it.
impl Edge {
    /// What the cache did for each operation that it had to do with, and what it holds of each;
    /// `None` where it is switched off.
    #[must_use]
    pub fn cached(&self) -> Option<Vec<CacheFigures>> {
        self.config().cache.as_ref().map(|cache| cache.held.tallies.figures())
    }

    /// Bytes the cache holds; `None` where it is switched off.
    #[must_use]
    pub fn cached_bytes(&self) -> Option<u64> {
        self.config().cache.as_ref().map(|cache| cache.held.store.bytes())
    }

    /// Tries whether writes empty the cache of `config`, and whether anybody gets what is
    /// another's, with answers of nobody's. No client notices.
    #[must_use]
    pub fn try_cache(&self, config: &Config, now: Nanos) -> Option<CacheTried> {
        config.cache.as_ref().map(|cache| CacheTried::of(config, cache, now))
    }
}
