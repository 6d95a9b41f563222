//! An issuer's keys, and which of them may check a given token.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use plimsoll_manifest::Algorithm;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::jwk::PublicKey;

/// Most keys in a set. Issuers publish two to ten.
const KEYS_MAX: usize = 128;

/// Largest key set read, bytes.
pub(super) const KEY_SET_BYTES_MAX: usize = 256 * 1024;

/// A key in use. Every verified token holds the key that verified it, so that removing the key
/// stops them all with one store.
pub(super) struct Key {
    pub(super) public: PublicKey,
    /// Wall time in seconds before which the key may be used; 0 once its issuer took it back.
    usable_until: AtomicU64,
}

impl Key {
    pub(super) fn usable(&self, now_unix_s: u64) -> bool {
        now_unix_s < self.usable_until.load(Ordering::Acquire)
    }
}

/// Why a set has no key for a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoKey {
    /// The set is empty, or too old to be believed.
    NoKeys,
    /// No key has that id; or none was named, and none is for the algorithm.
    Unknown,
    /// The key with that id is not for the algorithm.
    Mismatch,
    /// Several would do.
    Ambiguous,
}

/// What an issuer publishes at one time.
#[derive(Default)]
pub(super) struct KeySet {
    keys: Vec<Arc<Key>>,
    /// Members of the set that are not used, each with its id and the reason.
    pub(super) skipped: Vec<String>,
}

impl KeySet {
    /// Reads a JWK set. A member that cannot be used is skipped and named; it does not cost the
    /// others.
    ///
    /// # Errors
    /// What is wrong with the set, for a person.
    pub(super) fn parse(json: &[u8]) -> Result<Self, &'static str> {
        #[derive(Deserialize)]
        struct Document<'a> {
            #[serde(borrow)]
            keys: Vec<&'a RawValue>,
        }
        if json.len() > KEY_SET_BYTES_MAX {
            return Err("the key set is larger than 256 KiB");
        }
        let document: Document<'_> = serde_json::from_slice(json)
            .map_err(|_| "it is not a JSON web key set: an object with an array `keys`")?;
        if document.keys.len() > KEYS_MAX {
            return Err("the key set holds more than 128 keys");
        }
        let mut set = Self::default();
        for (at, raw) in document.keys.iter().enumerate() {
            match PublicKey::parse(raw.get()) {
                Ok(public) if !set.has(&public) => {
                    set.keys.push(Arc::new(Key { public, usable_until: AtomicU64::new(0) }));
                }
                // The same key twice is one key.
                Ok(_) => {}
                Err(reason) => set.skipped.push(format!("key {}: {reason}", at + 1)),
            }
        }
        Ok(set)
    }

    fn has(&self, public: &PublicKey) -> bool {
        self.keys.iter().any(|key| key.public.fingerprint == public.fingerprint)
    }

    /// The set that follows `self`: a key that stayed is the same key, so that tokens it verified
    /// stay verified.
    pub(super) fn succeeded_by(&self, mut next: Self) -> Self {
        for key in &mut next.keys {
            let same = |old: &&Arc<Key>| old.public.fingerprint == key.public.fingerprint;
            if let Some(kept) = self.keys.iter().find(same) {
                *key = Arc::clone(kept);
            }
        }
        next
    }

    /// Takes back every key that `next` does not hold, and says how many.
    pub(super) fn retire_all_but(&self, next: &Self) -> usize {
        let gone = self.keys.iter().filter(|key| !next.has(&key.public));
        gone.map(|key| key.usable_until.store(0, Ordering::Release)).count()
    }

    /// Lets every key be used until then.
    pub(super) fn extend(&self, until_unix_s: u64) {
        for key in &self.keys {
            key.usable_until.store(until_unix_s, Ordering::Release);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The key for a token that names `id`, or names none, and says it is signed with `algorithm`.
    /// A named id has to belong to exactly one fitting key (RFC 7517 §4.5 lets keys of different
    /// kinds share an id). Without an id the one fitting key is meant, and there has to be one
    /// only: trying several would let a token pick.
    pub(super) fn select(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
        now_unix_s: u64,
    ) -> Result<&Arc<Key>, NoKey> {
        let usable = || self.keys.iter().filter(|key| key.usable(now_unix_s));
        let named = || usable().filter(|key| id.is_none() || key.public.id.as_deref() == id);
        let mut fitting = named().filter(|key| key.public.accepts(algorithm));
        match (fitting.next(), fitting.next()) {
            (Some(key), None) => Ok(key),
            (Some(_), Some(_)) => Err(NoKey::Ambiguous),
            (None, _) if usable().next().is_none() => Err(NoKey::NoKeys),
            (None, _) if id.is_some() && named().next().is_some() => Err(NoKey::Mismatch),
            (None, _) => Err(NoKey::Unknown),
        }
    }
}

/// What a JWK set holds, for `plimsoll check`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySetReport {
    /// Keys that can check tokens.
    pub usable: usize,
    /// Keys that are skipped, each with the reason.
    pub skipped: Vec<String>,
}

/// Says what a JWK set (RFC 7517 §5) holds. For key sets from files, before they are used.
///
/// # Errors
/// What is wrong with the set as a whole, for a person.
pub fn inspect_key_set(json: &[u8]) -> Result<KeySetReport, &'static str> {
    let set = KeySet::parse(json)?;
    Ok(KeySetReport { usable: set.len(), skipped: set.skipped })
}
