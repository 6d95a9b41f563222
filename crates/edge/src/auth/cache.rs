//! Tokens that were verified, keyed by their every byte.

use std::fmt;
use std::sync::Arc;

use quick_cache::Weighter;
use quick_cache::sync::{Cache, DefaultLifecycle};

use super::verified::Verified;

/// Bytes of token that one unit of capacity pays for: most tokens are shorter and count as one.
const UNIT_BYTES: usize = 1_024;

/// A long token counts as several, so that the bound on entries is one on memory too.
#[derive(Clone)]
struct ByLength;

impl Weighter<Box<[u8]>, Arc<Verified>> for ByLength {
    fn weight(&self, token: &Box<[u8]>, _: &Arc<Verified>) -> u64 {
        token.len().div_ceil(UNIT_BYTES).max(1) as u64
    }
}

type Entries = Cache<
    Box<[u8]>,
    Arc<Verified>,
    ByLength,
    ahash::RandomState,
    DefaultLifecycle<Box<[u8]>, Arc<Verified>>,
>;

/// The cache. It holds only tokens that passed every check; whether an entry still holds is asked
/// at every hit, so nothing here has to be purged in time.
pub(super) struct TokenCache {
    entries: Entries,
}

impl TokenCache {
    /// Room for `tokens_max` tokens of up to 1 KiB; a longer one takes the room of several.
    pub(super) fn new(tokens_max: u32) -> Self {
        let capacity = u64::from(tokens_max.max(1));
        let entries = Cache::with(
            usize::try_from(capacity).unwrap_or(usize::MAX),
            capacity,
            ByLength,
            ahash::RandomState::new(),
            DefaultLifecycle::default(),
        );
        Self { entries }
    }

    pub(super) fn get(&self, token: &str) -> Option<Arc<Verified>> {
        self.entries.get(token.as_bytes())
    }

    pub(super) fn insert(&self, token: &str, verified: Arc<Verified>) {
        self.entries.insert(token.as_bytes().into(), verified);
    }

    /// Drops the entry for `token` if it is still `verified`: another core may have put a newer
    /// one in its place.
    pub(super) fn remove(&self, token: &str, verified: &Arc<Verified>) {
        self.entries.remove_if(token.as_bytes(), |held| Arc::ptr_eq(held, verified));
    }

    pub(super) fn resize(&self, tokens_max: u32) {
        self.entries.set_capacity(u64::from(tokens_max.max(1)));
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}

impl fmt::Debug for TokenCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenCache({} tokens)", self.len())
    }
}
