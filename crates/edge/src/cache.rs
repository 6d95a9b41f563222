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
//! What is kept is bounded in bytes ([moka], W-TinyLFU) and shared by all cores. A hit costs one
//! lookup, a copy of the head and none of the body.

mod entry;
mod flights;
mod habits;
mod identity;
mod key;
mod stamps;
mod store;
mod tally;
mod tried;

use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use plimsoll_base::Nanos;
use plimsoll_http_kit::caching::storing::{Rules, Sharing};
use plimsoll_http_kit::forwarded::Scheme;
use plimsoll_manifest::CacheSection;
use plimsoll_snapshot::CacheMode;

pub(crate) use entry::{Asked, Demand, Entry, Kept, Use};
pub(crate) use flights::{Flights, Follower, Joined, Leader};
pub(crate) use habits::{Habit, Habits};
pub(crate) use identity::Identity;
pub(crate) use key::{Key, Keys, Mark, Partition, Place, Writer};
pub(crate) use stamps::{Stamped, Stamps};
pub(crate) use store::{Found, Store};
pub use tally::CacheFigures;
pub(crate) use tally::{Tallies, Tally};
pub use tried::CacheTried;

use crate::config::Config;
use crate::exchange::Exchange;
use crate::handle::Edge;
use crate::router::Operation;
use crate::steps::route::Route;

/// The cache in force. What it holds outlives a reload that leaves its size as it was.
#[derive(Debug)]
pub(crate) struct Cache {
    pub(crate) held: Arc<Held>,
    heuristic: bool,
    stale_if_error: Duration,
    pub(crate) entry_bytes_max: usize,
    /// Where API keys come.
    pub(crate) key_fields: Vec<HeaderName>,
}

/// What the cache holds, and what it knows of it.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) keys: Keys,
    pub(crate) store: Store,
    pub(crate) stamps: Stamps,
    pub(crate) flights: Flights,
    /// Newer answers that are being fetched for what is stale.
    pub(crate) refreshes: Flights,
    pub(crate) habits: Habits,
    pub(crate) tallies: Tallies,
}

impl Cache {
    /// `None` where the manifest switches it off.
    pub(crate) fn build(
        section: &CacheSection,
        api_key_fields: &[HeaderName],
        seed: &[u8; 16],
        before: Option<&Cache>,
    ) -> Option<Self> {
        if !section.enabled {
            return None;
        }
        let bytes_max = section.bytes_max.0;
        let held = before.filter(|before| before.held.store.bytes_max() == bytes_max);
        let fresh = || Held {
            keys: Keys::new(seed),
            store: Store::new(bytes_max),
            stamps: Stamps::default(),
            flights: Flights::default(),
            refreshes: Flights::default(),
            habits: Habits::default(),
            tallies: Tallies::default(),
        };
        let held = held.map_or_else(|| Arc::new(fresh()), |before| Arc::clone(&before.held));
        Some(Self {
            held,
            heuristic: section.heuristic,
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
