//! Which label sets exist, on all cores together, and how many there may be.

use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use hashbrown::HashTable;

use crate::label::OTHER;
use crate::sample::Platform;

/// One of the two families of request figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Family {
    /// service, operation, release, platform, app version
    Requests,
    /// service, operation, device model
    Devices,
}

/// A label set, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeyRef<'a> {
    pub(crate) family: Family,
    pub(crate) service: &'a str,
    pub(crate) operation: &'a str,
    /// Empty for [`Family::Devices`].
    pub(crate) release: &'a str,
    /// [`Platform::Unknown`] for [`Family::Devices`].
    pub(crate) platform: Platform,
    /// The app version or the device model.
    pub(crate) detail: &'a str,
    /// `operation` and `release` as the route table holds them, to be kept instead of a copy.
    pub(crate) shared: Option<(&'a Arc<str>, &'a Arc<str>)>,
}

/// A label set, kept.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) family: Family,
    pub(crate) service: Arc<str>,
    pub(crate) operation: Arc<str>,
    pub(crate) release: Arc<str>,
    pub(crate) platform: Platform,
    pub(crate) detail: Arc<str>,
}

impl Key {
    pub(crate) fn is(&self, other: &KeyRef<'_>) -> bool {
        self.family == other.family
            && self.platform == other.platform
            && same(&self.detail, other.detail)
            && same(&self.operation, other.operation)
            && same(&self.release, other.release)
            && same(&self.service, other.service)
    }
}

/// Texts that come from the same route table are the same text; only another table's are compared.
#[inline]
fn same(a: &str, b: &str) -> bool {
    std::ptr::eq(a, b) || short_eq(a.as_bytes(), b.as_bytes())
}

/// Equality a word at a time. These texts are short and there are five a request; through `memcmp`
/// they took more than half of [`crate::Shard::record`]'s time (measured: 160 ns, now 65 ns).
#[inline]
fn short_eq(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && {
        let (aw, at) = a.as_chunks::<8>();
        let (bw, bt) = b.as_chunks::<8>();
        aw.iter().zip(bw).all(|(x, y)| u64::from_ne_bytes(*x) == u64::from_ne_bytes(*y))
            && at.iter().zip(bt).all(|(x, y)| x == y)
    }
}

impl<'a> From<&'a Key> for KeyRef<'a> {
    fn from(key: &'a Key) -> Self {
        Self {
            family: key.family,
            service: &key.service,
            operation: &key.operation,
            release: &key.release,
            platform: key.platform,
            detail: &key.detail,
            shared: Some((&key.operation, &key.release)),
        }
    }
}

impl KeyRef<'_> {
    fn to_key(self) -> Key {
        Key {
            family: self.family,
            service: self.service.into(),
            operation: self.shared.map_or_else(|| self.operation.into(), |s| Arc::clone(s.0)),
            release: match self.shared {
                Some((_, release)) if !self.release.is_empty() => Arc::clone(release),
                _ => self.release.into(),
            },
            platform: self.platform,
            detail: self.detail.into(),
        }
    }

    /// The same operation with the value a client chose folded away.
    fn folded(self) -> Self {
        Self { detail: OTHER, ..self }
    }

    /// The last resort: one series a family, whose place is kept from the start.
    fn all_folded(self) -> KeyRef<'static> {
        KeyRef {
            family: self.family,
            service: OTHER,
            operation: OTHER,
            release: if self.family == Family::Requests { OTHER } else { "" },
            platform: Platform::Unknown,
            detail: OTHER,
            shared: None,
        }
    }
}

/// The number of a label set, the same on every core.
pub(crate) type SeriesId = u32;

/// What a label set is counted under.
pub(crate) struct Resolved {
    pub(crate) id: SeriesId,
    pub(crate) key: Arc<Key>,
    pub(crate) folded: bool,
}

#[derive(Debug)]
struct Slot {
    key: Arc<Key>,
    hash: u64,
    /// The tick at which a shard last asked for it or counted in it.
    used: AtomicU32,
}

#[derive(Debug, Default)]
struct Table {
    index: HashTable<SeriesId>,
    slots: Vec<Option<Slot>>,
    free: Vec<SeriesId>,
}

impl Table {
    fn find(&self, hash: u64, key: &KeyRef<'_>) -> Option<(SeriesId, &Slot)> {
        let at = |id: &SeriesId| self.slots.get(*id as usize).and_then(Option::as_ref);
        let id = self.index.find(hash, |id| at(id).is_some_and(|slot| slot.key.is(key)))?;
        Some((*id, at(id)?))
    }

    fn insert(&mut self, hash: u64, key: Arc<Key>, tick: u32) -> SeriesId {
        let slot = Some(Slot { key, hash, used: AtomicU32::new(tick) });
        let id = if let Some(id) = self.free.pop() {
            self.slots[id as usize] = slot;
            id
        } else {
            self.slots.push(slot);
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        };
        let slots = &self.slots;
        self.index.insert_unique(hash, id, |id| {
            slots.get(*id as usize).and_then(Option::as_ref).map_or(0, |slot| slot.hash)
        });
        id
    }
}

/// The label sets of all shards. A shard asks once for each label set it has not seen; while the
/// bound is not reached that is one lock a new label set, and a read lock a request beyond it.
#[derive(Debug)]
pub(crate) struct Registry {
    table: RwLock<Table>,
    hasher: ahash::RandomState,
    series_max: usize,
    tick: AtomicU32,
}

/// Both last-resort series have their place from the start, so a bound below two cannot be kept.
const SERIES_MAX_LEAST: usize = 16;

impl Registry {
    pub(crate) fn new(series_max: usize) -> Self {
        let registry = Self {
            table: RwLock::default(),
            hasher: ahash::RandomState::new(),
            series_max: series_max.max(SERIES_MAX_LEAST),
            tick: AtomicU32::new(0),
        };
        for family in [Family::Requests, Family::Devices] {
            let key = last_resort(family);
            registry.add(registry.hash(&key), &key, usize::MAX);
        }
        registry
    }

    /// The start of the hash of every label set of an operation.
    #[inline]
    pub(crate) fn hash_operation(&self, service: &str, operation: &str) -> ahash::AHasher {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(service.as_bytes());
        hasher.write(operation.as_bytes());
        hasher
    }

    /// The rest of the hash. Lengths stand for separators; the look-up compares every field.
    #[inline]
    pub(crate) fn hash_rest(mut hasher: ahash::AHasher, key: &KeyRef<'_>) -> u64 {
        hasher.write(key.detail.as_bytes());
        if key.family == Family::Requests {
            hasher.write(key.release.as_bytes());
            hasher.write_u8(key.platform as u8);
        }
        hasher.finish()
    }

    pub(crate) fn hash(&self, key: &KeyRef<'_>) -> u64 {
        Self::hash_rest(self.hash_operation(key.service, key.operation), key)
    }

    /// The series of a label set: its own while there is room, else `other` of its operation, else
    /// `other` of everything. An eighth of the bound is kept for the middle kind, so that a flood
    /// of invented versions still counts under the right operation.
    pub(crate) fn resolve(&self, hash: u64, key: &KeyRef<'_>) -> Resolved {
        if let Some((id, key)) = self.get_or_add(hash, key, self.series_max - self.series_max / 8) {
            return Resolved { id, key, folded: false };
        }
        let folded = key.folded();
        if let Some((id, key)) = self.get_or_add(self.hash(&folded), &folded, self.series_max) {
            return Resolved { id, key, folded: true };
        }
        let last = key.all_folded();
        let hash = self.hash(&last);
        let (id, key) = self
            .get_or_add(hash, &last, usize::MAX)
            .unwrap_or_else(|| self.add(hash, &last, usize::MAX));
        Resolved { id, key, folded: true }
    }

    fn get_or_add(&self, hash: u64, key: &KeyRef<'_>, max: usize) -> Option<(SeriesId, Arc<Key>)> {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((id, slot)) = table.find(hash, key) {
            slot.used.store(self.tick.load(Ordering::Relaxed), Ordering::Relaxed);
            return Some((id, Arc::clone(&slot.key)));
        }
        if table.index.len() >= max {
            return None;
        }
        drop(table);
        let (id, key) = self.add(hash, key, max);
        (id != SeriesId::MAX).then_some((id, key))
    }

    /// Adds a label set unless another core just did; [`SeriesId::MAX`] when there is no room.
    fn add(&self, hash: u64, key: &KeyRef<'_>, max: usize) -> (SeriesId, Arc<Key>) {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        if let Some((id, slot)) = table.find(hash, key) {
            return (id, Arc::clone(&slot.key));
        }
        let kept = Arc::new(key.to_key());
        if table.index.len() >= max {
            return (SeriesId::MAX, kept);
        }
        let id = table.insert(hash, Arc::clone(&kept), self.tick.load(Ordering::Relaxed));
        (id, kept)
    }

    /// The series of a label set, if there is one.
    pub(crate) fn find(&self, key: &KeyRef<'_>) -> Option<SeriesId> {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        table.find(self.hash(key), key).map(|(id, _)| id)
    }

    /// How many label sets there are, and how many there may be.
    pub(crate) fn size(&self) -> (usize, usize) {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        (table.index.len(), self.series_max)
    }

    /// Every label set, ordered by its labels.
    pub(crate) fn sorted(&self) -> Vec<(Arc<Key>, SeriesId)> {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        let numbered = table.slots.iter().zip(0..);
        let mut all: Vec<_> = numbered
            .filter_map(|(slot, id)| slot.as_ref().map(|slot| (Arc::clone(&slot.key), id)))
            .collect();
        drop(table);
        all.sort_unstable();
        all
    }

    pub(crate) fn set_tick(&self, tick: u32) {
        self.tick.store(tick, Ordering::Relaxed);
    }

    /// Marks label sets as counted in, at the tick that is set.
    pub(crate) fn touch(&self, ids: impl Iterator<Item = SeriesId>) {
        let tick = self.tick.load(Ordering::Relaxed);
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        for id in ids {
            if let Some(Some(slot)) = table.slots.get(id as usize) {
                slot.used.store(tick, Ordering::Relaxed);
            }
        }
    }

    /// Forgets label sets that were not used for `idle` ticks, and says which.
    pub(crate) fn sweep(&self, idle: u32) -> Vec<SeriesId> {
        let tick = self.tick.load(Ordering::Relaxed);
        let mut guard = self.table.write().unwrap_or_else(PoisonError::into_inner);
        let table = &mut *guard;
        let mut gone = Vec::new();
        for (slot, id) in table.slots.iter_mut().zip(0..) {
            let kept_for =
                slot.as_ref().map(|s| tick.saturating_sub(s.used.load(Ordering::Relaxed)));
            if kept_for.is_some_and(|ticks| ticks > idle) && !is_last_resort(slot.as_ref()) {
                if let Some(slot) = slot.take()
                    && let Ok(entry) = table.index.find_entry(slot.hash, |other| *other == id)
                {
                    entry.remove();
                }
                gone.push(id);
            }
        }
        table.free.extend(&gone);
        gone
    }
}

fn last_resort(family: Family) -> KeyRef<'static> {
    let seed = KeyRef {
        family,
        service: "",
        operation: "",
        release: "",
        platform: Platform::Unknown,
        detail: "",
        shared: None,
    };
    seed.all_folded()
}

fn is_last_resort(slot: Option<&Slot>) -> bool {
    slot.is_some_and(|slot| slot.key.is(&last_resort(slot.key.family)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key<'a>(operation: &'a str, detail: &'a str) -> KeyRef<'a> {
        KeyRef {
            family: Family::Requests,
            service: "shop",
            operation,
            release: "default",
            platform: Platform::Ios,
            detail,
            shared: None,
        }
    }

    fn resolve(registry: &Registry, key: &KeyRef<'_>) -> Resolved {
        registry.resolve(registry.hash(key), key)
    }

    #[test]
    fn a_flood_of_versions_folds_by_operation_and_keeps_the_bound() {
        let registry = Registry::new(80);
        let mut folded = 0;
        for n in 0..1_000 {
            let (operation, version) = (format!("op{}", n % 4), n.to_string());
            let resolved = resolve(&registry, &key(&operation, &version));
            folded += usize::from(resolved.folded);
            assert_eq!(&*resolved.key.operation, operation, "the operation stays right");
        }
        assert_eq!(folded, 1_000 - (70 - 2), "70 of 80 are for sets of their own, two are taken");
        assert_eq!(registry.size(), (70 + 4, 80));
    }

    #[test]
    fn the_last_resort_holds_everything_else() {
        let registry = Registry::new(16);
        for n in 0..1_000 {
            let operation = n.to_string();
            let resolved = resolve(&registry, &key(&operation, "1.0"));
            if n > 20 {
                assert_eq!(&*resolved.key.service, "other");
            }
        }
        assert_eq!(registry.size(), (16, 16));
    }

    #[test]
    fn idle_label_sets_are_forgotten_and_their_number_is_used_again() {
        let registry = Registry::new(100);
        let old = resolve(&registry, &key("a", "1"));
        let busy = resolve(&registry, &key("a", "2"));
        registry.set_tick(11);
        registry.touch([busy.id].into_iter());
        assert_eq!(registry.sweep(10), [old.id]);
        assert_eq!(registry.size().0, 3, "busy and the two last resorts stay");
        let new = resolve(&registry, &key("b", "3"));
        assert_eq!(new.id, old.id);
        assert_eq!(resolve(&registry, &key("a", "2")).id, busy.id);
        assert_eq!(registry.sorted().len(), 4);
    }
}
