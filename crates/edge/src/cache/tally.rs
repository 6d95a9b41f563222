//! What the cache did for each operation.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use plimsoll_telemetry::CacheOutcome;

/// Operations that are told apart; the rest are counted as `other`.
const OPERATIONS_MAX: usize = 2_000;
const OTHER: &str = "other";

/// One operation's counts.
#[derive(Debug)]
pub(crate) struct Tally {
    operation: Arc<str>,
    counts: [AtomicU64; CacheOutcome::LABELS.len()],
    entries: AtomicU64,
    bytes: AtomicU64,
}

impl Tally {
    pub(super) fn new(operation: Arc<str>) -> Self {
        Self {
            operation,
            counts: Default::default(),
            entries: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        }
    }

    pub(crate) fn count(&self, outcome: CacheOutcome) {
        self.counts[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// An entry of this operation came to be.
    pub(super) fn hold(&self, bytes: usize) {
        self.entries.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// It is no more.
    pub(super) fn release(&self, bytes: usize) {
        self.entries.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes as u64, Ordering::Relaxed);
    }
}

/// Every operation's.
#[derive(Debug, Default)]
pub(crate) struct Tallies(Mutex<HashMap<Arc<str>, Arc<Tally>>>);

/// What the cache did for one operation since the start, and what it holds of it now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CacheFigures {
    /// The operation.
    pub operation: Arc<str>,
    /// Requests answered from the store.
    pub hits: u64,
    /// Requests answered from the store although stale.
    pub stale: u64,
    /// Requests answered from the store after the service said that it holds.
    pub revalidated: u64,
    /// Requests answered by the service whose answer was stored.
    pub misses: u64,
    /// Requests answered with what another request was answered.
    pub collapsed: u64,
    /// Answers held.
    pub entries: u64,
    /// Bytes they take.
    pub bytes: u64,
}

impl Tallies {
    /// The tally of an operation.
    pub(crate) fn of(&self, operation: &Arc<str>) -> Arc<Tally> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tally) = all.get(operation) {
            return Arc::clone(tally);
        }
        let name = if all.len() < OPERATIONS_MAX { Arc::clone(operation) } else { OTHER.into() };
        let tally = all.entry(Arc::clone(&name)).or_insert_with(|| Arc::new(Tally::new(name)));
        Arc::clone(tally)
    }

    /// The figures of every operation that the cache had to do with, in the order of their names.
    pub(crate) fn figures(&self) -> Vec<CacheFigures> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut figures: Vec<CacheFigures> = all
            .values()
            .map(|tally| {
                let count =
                    |outcome: CacheOutcome| tally.counts[outcome as usize].load(Ordering::Relaxed);
                CacheFigures {
                    operation: Arc::clone(&tally.operation),
                    hits: count(CacheOutcome::Hit),
                    stale: count(CacheOutcome::Stale),
                    revalidated: count(CacheOutcome::Revalidated),
                    misses: count(CacheOutcome::Miss),
                    collapsed: count(CacheOutcome::Collapsed),
                    entries: tally.entries.load(Ordering::Relaxed),
                    bytes: tally.bytes.load(Ordering::Relaxed),
                }
            })
            .collect();
        figures.sort_unstable_by(|a, b| a.operation.cmp(&b.operation));
        figures
    }
}
