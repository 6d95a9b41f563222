//! Where entries are: by key, and under a key by what selects them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use moka::ops::compute::{CompResult, Op};
use moka::sync::Cache as Moka;
use plimsoll_http_kit::caching::range;
use smallvec::SmallVec;

use super::entry::Entry;
use super::identity::Identity;
use super::key::Key;

/// Answers kept under one key, for requests that select different ones; the oldest goes first.
pub(crate) const VARIANTS_MAX: usize = 16;

type Variants = Arc<SmallVec<[Arc<Entry>; 1]>>;

/// Entries, bounded in bytes.
#[derive(Debug)]
pub(crate) struct Store {
    held: Moka<Key, Variants, ahash::RandomState>,
    bytes_max: u64,
    used: AtomicBool,
}

/// What is under a key.
#[derive(Debug)]
pub(crate) enum Found {
    /// Nothing.
    Nothing,
    /// Only what other requests select.
    Others,
    /// What this request selects.
    Entry(Arc<Entry>),
}

impl Store {
    pub(crate) fn new(bytes_max: u64) -> Self {
        let held = Moka::builder()
            .max_capacity(bytes_max)
            .weigher(|_, variants: &Variants| {
                let bytes: usize = variants.iter().map(|entry| entry.bytes()).sum();
                u32::try_from(bytes).unwrap_or(u32::MAX)
            })
            .build_with_hasher(ahash::RandomState::new());
        Self { held, bytes_max, used: AtomicBool::new(false) }
    }

    pub(crate) fn bytes_max(&self) -> u64 {
        self.bytes_max
    }

    /// Whether anything was ever stored.
    pub(crate) fn is_used(&self) -> bool {
        self.used.load(Ordering::Relaxed)
    }

    /// What a request with `headers` selects under `key`, newest first.
    pub(crate) fn find(&self, key: Key, headers: &HeaderMap, identity: Identity) -> Found {
        let Some(variants) = self.held.get(&key) else { return Found::Nothing };
        let range = headers.get(http::header::RANGE);
        let fits = |entry: &&Arc<Entry>| {
            identity.is_among(entry.audience())
                && is_of_range(entry, range, headers)
                && entry.kept.selection.matches(headers, &entry.kept.head)
        };
        match variants.iter().find(fits) {
            Some(entry) => Found::Entry(Arc::clone(entry)),
            None if variants.iter().any(|entry| identity.is_among(entry.audience())) => {
                Found::Others
            }
            None => Found::Nothing,
        }
    }

    /// Stores an entry in the place of the one that the same requests select.
    pub(crate) fn put(&self, key: Key, entry: &Arc<Entry>) {
        self.used.store(true, Ordering::Relaxed);
        self.insert(key, entry);
    }

    /// The same for an answer of nobody's, which makes no difference to others.
    pub(super) fn insert(&self, key: Key, entry: &Arc<Entry>) {
        self.held.entry(key).and_upsert_with(|held| {
            let others = held.map(moka::Entry::into_value);
            with(others.as_ref().map_or(&[], |others| others.as_slice()), entry)
        });
    }

    /// Stores an entry that came from another node, unless what stands here in its place was asked
    /// for later. True where it is stored.
    pub(crate) fn take_over(&self, key: Key, entry: &Arc<Entry>) -> bool {
        self.used.store(true, Ordering::Relaxed);
        let done = self.held.entry(key).and_compute_with(|held| {
            let others = held.map(moka::Entry::into_value);
            let others = others.as_ref().map_or(&[][..], |others| others.as_slice());
            let newer = |other: &Arc<Entry>| is_replaced(other, entry) && !is_later(entry, other);
            if others.iter().any(newer) { Op::Nop } else { Op::Put(with(others, entry)) }
        });
        matches!(done, CompResult::Inserted(_) | CompResult::ReplacedWith(_))
    }

    /// Drops an entry that the service says is not what it would answer.
    pub(crate) fn remove(&self, key: Key, entry: &Arc<Entry>) {
        self.held.entry(key).and_compute_with(|held| {
            let Some(held) = held else { return Op::Nop };
            let mut variants = (*held.into_value()).clone();
            variants.retain(|other| !Arc::ptr_eq(other, entry));
            if variants.is_empty() { Op::Remove } else { Op::Put(Arc::new(variants)) }
        });
    }

    /// Bytes held, once what was put of late has been taken account of.
    pub(crate) fn bytes(&self) -> u64 {
        self.held.run_pending_tasks();
        self.held.weighted_size()
    }

    /// The longest that any answer held is fresh. It looks at all of them.
    pub(super) fn longest(&self) -> Duration {
        let variants = self.held.iter().map(|(_, variants)| variants);
        let longest =
            |variants: Variants| variants.iter().map(|entry| entry.kept.terms.fresh).max();
        variants.filter_map(longest).max().unwrap_or_default()
    }
}

/// A part answers only who asks for that very part, or for the end of it where it is an end; and
/// does not ask for it on a condition.
fn is_of_range(entry: &Entry, range: Option<&HeaderValue>, headers: &HeaderMap) -> bool {
    let Some(part) = &entry.kept.range else { return true };
    let is_same = Some(part) == range && !headers.contains_key(http::header::IF_RANGE);
    let is_end = || {
        range::shorter_end(headers, part, entry.body.len() as u64).is_some()
            && range::length_of_whole(&entry.kept.head).is_some()
    };
    is_same || is_end()
}

/// An entry beside the others of its key, in the place of what the same requests select.
fn with(others: &[Arc<Entry>], entry: &Arc<Entry>) -> Variants {
    let kept = others.iter().filter(|other| !is_replaced(other, entry)).take(VARIANTS_MAX - 1);
    Arc::new(std::iter::once(entry).chain(kept).cloned().collect())
}

/// Whether an entry was asked for later than another. An event that lies between them says so,
/// which no clock can; else the wall clocks of the nodes that asked do.
fn is_later(entry: &Entry, other: &Entry) -> bool {
    let (entry, other) = (entry.kept.asked, other.kept.asked);
    entry.ordinal > other.ordinal || entry.unix_ms > other.unix_ms
}

fn is_replaced(old: &Entry, new: &Entry) -> bool {
    let (old, new) = (&old.kept, &new.kept);
    old.selection == new.selection
        && old.range == new.range
        && old.terms.audience == new.terms.audience
}

#[cfg(test)]
mod tests;
