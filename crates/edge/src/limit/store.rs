//! Where the keys of one policy live: a map in shards, each behind its own lock, with a hard bound.
//!
//! A key is a 64-bit keyed hash, so an entry is two words whatever the caller's id was, and the
//! hash is random to anybody outside. Two keys that fall together share a bucket; among 100,000
//! keys the odds that any two do are below one in a thousand million.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// No policy has more shards; more would only cost memory.
const SHARDS_MAX: usize = 64;
/// A shard of fewer keys than this would fill up by chance long before the others.
const KEYS_PER_SHARD_MIN: usize = 128;
/// A full shard is not swept again sooner, in nanoseconds: a flood of new keys must not turn every
/// request into a sweep.
const SWEEP_INTERVAL_MIN: u64 = 100_000_000;

/// The keys of one policy.
#[derive(Debug)]
pub(super) struct Store {
    shards: Box<[Padded]>,
    keys_per_shard_max: usize,
}

/// A shard on its own cache line, so that cores do not take each other's.
#[derive(Debug)]
#[repr(align(64))]
struct Padded(Mutex<Shard>);

impl Padded {
    fn new(shared: bool) -> Self {
        let spent = shared.then(Keyed::default);
        Self(Mutex::new(Shard { spent, ..Shard::default() }))
    }
}

type Keyed<T> = HashMap<u64, T, BuildHasherDefault<KeyIsHash>>;

/// A part of the keys.
#[derive(Debug, Default)]
pub(super) struct Shard {
    /// Key to theoretical arrival time.
    tats: Keyed<u64>,
    /// What each key used up since other nodes were last told; `None` where nobody is. Only keys
    /// that stand in `tats`.
    spent: Option<Keyed<Spending>>,
    /// The one bucket that all new keys share while the shard is full.
    overflow: u64,
    /// No sweep for want of room before this.
    sweep_after: u64,
}

/// What a key used up, and since when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spending {
    pub(super) units: u32,
    pub(super) since: u64,
}

/// Where a key's state stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It has, or will have, its own entry.
    Own,
    /// It shares the overflow bucket.
    Overflow,
}

impl Store {
    /// Room for `keys_max` keys at most. Keys spread over shards by chance, so the first shard is
    /// full a few per cent before that. Where limits are `shared`, what is used up is noted, too.
    pub(super) fn new(keys_max: usize, shared: bool) -> Self {
        let keys_max = keys_max.max(1);
        let shards = (keys_max / KEYS_PER_SHARD_MIN).clamp(1, SHARDS_MAX);
        // Rounded down to a power of two, so that a mask picks the shard.
        let shards = 1usize << shards.ilog2();
        Self {
            shards: (0..shards).map(|_| Padded::new(shared)).collect(),
            keys_per_shard_max: (keys_max / shards).max(1),
        }
    }

    /// Locks the shard of a key. A panic elsewhere cannot have left a shard half changed, so a
    /// poisoned lock is as good as any.
    pub(super) fn lock(&self, key: u64) -> MutexGuard<'_, Shard> {
        // The map uses the lowest and the highest bits of the hash; these are in between.
        let at = (key >> 32) as usize & (self.shards.len() - 1);
        self.shards[at].0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn keys_per_shard_max(&self) -> usize {
        self.keys_per_shard_max
    }

    /// Forgets every key that owes nothing any more, one shard after the other, and gives memory
    /// back. Answers how many were forgotten and how many stay.
    pub(super) fn sweep(&self, now: u64) -> (usize, usize) {
        let mut totals = (0, 0);
        for shard in &self.shards {
            let mut shard = shard.0.lock().unwrap_or_else(PoisonError::into_inner);
            totals.0 += shard.sweep(now);
            totals.1 += shard.tats.len();
            let keys = shard.tats.len();
            if shard.tats.capacity() > keys.saturating_mul(4).max(KEYS_PER_SHARD_MIN) {
                shard.tats.shrink_to(keys * 2);
            }
        }
        totals
    }

    /// Takes what was used up since the last time, of `keys_max` keys at most, with the key and
    /// until when it owes. Where that is not all, who is first is a matter of `turn`.
    pub(super) fn take_spent(
        &self,
        keys_max: usize,
        turn: usize,
        mut each: impl FnMut(u64, Spending, u64),
    ) {
        let mut left = keys_max;
        let (later, earlier) = self.shards.split_at(turn % self.shards.len());
        for shard in earlier.iter().chain(later) {
            if left == 0 {
                return;
            }
            let mut shard = shard.0.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(mut spent) = shard.spent.take_if(|spent| !spent.is_empty()) else { continue };
            for (key, spending) in spent.extract_if(|_, _| true).take(left) {
                each(key, spending, shard.tat(key).unwrap_or(0));
                left -= 1;
            }
            // An empty one gives its memory back.
            shard.spent = Some(if spent.is_empty() { Keyed::default() } else { spent });
        }
    }

    /// How many keys are tracked.
    pub(super) fn keys(&self) -> usize {
        let count =
            |shard: &Padded| shard.0.lock().unwrap_or_else(PoisonError::into_inner).tats.len();
        self.shards.iter().map(count).sum()
    }
}

impl Shard {
    /// A key's theoretical arrival time (zero when never seen), and where its next one belongs.
    pub(super) fn read(&mut self, key: u64, now: u64, keys_max: usize) -> (u64, Place) {
        if let Some(tat) = self.tats.get(&key) {
            return (*tat, Place::Own);
        }
        if self.tats.len() < keys_max || self.make_room(now, keys_max) {
            return (0, Place::Own);
        }
        (self.overflow, Place::Overflow)
    }

    pub(super) fn write(&mut self, key: u64, place: Place, tat: u64) {
        match place {
            Place::Own => {
                self.tats.insert(key, tat);
            }
            Place::Overflow => self.overflow = tat,
        }
    }

    /// Keeps a key's state whether or not there is room: for who forgets it at once.
    pub(super) fn keep(&mut self, key: u64, tat: u64) {
        self.tats.insert(key, tat);
    }

    /// Forgets a key.
    pub(super) fn forget(&mut self, key: u64) {
        self.tats.remove(&key);
    }

    /// Notes it for the other nodes. The overflow bucket is nobody's key, and stays here.
    pub(super) fn note_spent(&mut self, key: u64, place: Place, now: Spending) {
        if let (Some(spent), Place::Own) = (&mut self.spent, place) {
            let noted = spent.entry(key).or_insert(Spending { units: 0, ..now });
            noted.units = noted.units.saturating_add(now.units);
            noted.since = noted.since.min(now.since);
        }
    }

    /// Makes a key owe at least what stands unpaid until `tat`. A key that was forgotten meanwhile
    /// stays so.
    pub(super) fn raise(&mut self, key: u64, tat: u64) {
        if let Some(own) = self.tats.get_mut(&key) {
            *own = tat.max(*own);
        }
    }

    /// What a key owes until, if it is known.
    pub(super) fn tat(&self, key: u64) -> Option<u64> {
        self.tats.get(&key).copied()
    }

    fn make_room(&mut self, now: u64, keys_max: usize) -> bool {
        if now < self.sweep_after {
            return false;
        }
        self.sweep(now);
        self.sweep_after = now.saturating_add(SWEEP_INTERVAL_MIN);
        self.tats.len() < keys_max
    }

    /// A key whose time has come owes nothing: forgetting it changes no decision.
    fn sweep(&mut self, now: u64) -> usize {
        let before = self.tats.len();
        self.tats.retain(|_, tat| *tat > now);
        let gone = before - self.tats.len();
        if let (Some(spent), true) = (&mut self.spent, gone > 0) {
            spent.retain(|key, _| self.tats.contains_key(key));
        }
        gone
    }
}

/// Keys are hashes already.
#[derive(Clone, Copy, Debug, Default)]
struct KeyIsHash(u64);

impl Hasher for KeyIsHash {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // Only `write_u64` is ever called for a `u64`; this keeps the trait whole.
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_shard_folds_new_keys_and_keeps_old_ones() {
        let store = Store::new(2, false);
        let mut shard = store.lock(0);
        for key in [1, 2] {
            assert_eq!(shard.read(key, 0, 2), (0, Place::Own));
            shard.write(key, Place::Own, 1_000 + key);
        }
        assert_eq!(shard.read(3, 0, 2), (0, Place::Overflow));
        shard.write(3, Place::Overflow, 77);
        assert_eq!(shard.read(4, 0, 2), (77, Place::Overflow));
        assert_eq!(shard.read(2, 0, 2), (1_002, Place::Own));
    }

    #[test]
    fn a_full_shard_sweeps_at_most_once_in_a_while() {
        let store = Store::new(1, false);
        let mut shard = store.lock(0);
        shard.write(1, Place::Own, 50);
        assert_eq!(shard.read(2, 40, 1).1, Place::Overflow);
        // The key owes nothing since 50, but the shard was swept at 40.
        assert_eq!(shard.read(2, 60, 1).1, Place::Overflow);
        assert_eq!(shard.read(2, 40 + SWEEP_INTERVAL_MIN, 1).1, Place::Own);
    }

    #[test]
    fn a_sweep_forgets_what_owes_nothing_and_gives_memory_back() {
        let store = Store::new(100_000, false);
        for key in 0..50_000u64 {
            let key = key.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let place = store.lock(key).read(key, 0, store.keys_per_shard_max()).1;
            store.lock(key).write(key, place, if key & 15 == 0 { 2_000 } else { 1_000 });
        }
        let before = store.keys();
        let (gone, left) = store.sweep(1_000);
        assert_eq!(gone + left, before);
        assert!(gone > left * 10, "{gone} {left}");
        let capacity: usize =
            store.shards.iter().map(|shard| shard.0.lock().unwrap().tats.capacity()).sum();
        assert!(capacity < 20_000, "{capacity}");
        assert_eq!(store.sweep(2_000), (left, 0));
    }
}
