//! What the spools of one data directory hold together, and may hold: the process before us left
//! one of its own, and its records count like ours.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::{SpoolError, SpoolFull};

/// What entries of our own may take beyond the bounds: a full spool must not hide that we started.
const OWN_BYTES_MAX: u64 = 1024 * 1024;
const OWN_RECORDS_MAX: u64 = 4_096;
/// Damaged spools that are named.
const DAMAGED_MAX: usize = 16;

/// See the module's page.
#[derive(Debug)]
pub(super) struct Room {
    bytes_max: u64,
    records_max: u64,
    records: AtomicU64,
    bytes: AtomicU64,
    imported: AtomicU64,
    damaged: Mutex<BTreeMap<PathBuf, String>>,
}

impl Room {
    pub(super) fn new(bytes_max: u64, records_max: u64) -> Self {
        let (records, bytes, imported, damaged) = Default::default();
        Self { bytes_max, records_max, records, bytes, imported, damaged }
    }

    pub(super) fn records(&self) -> u64 {
        self.records.load(Ordering::Relaxed)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Records that are in the ledger since the start.
    pub(super) fn imported(&self) -> u64 {
        self.imported.load(Ordering::Relaxed)
    }

    pub(super) fn count_imported(&self, records: u64) {
        self.imported.fetch_add(records, Ordering::Relaxed);
    }

    /// Whether a record that takes so many bytes fits, as of now.
    pub(super) fn fits(&self, bytes: u64) -> bool {
        self.records() < self.records_max && self.bytes() + bytes <= self.bytes_max
    }

    /// Takes room for one record.
    pub(super) fn reserve(&self, bytes: u64, own: bool) -> Result<(), SpoolFull> {
        let take = |left: &AtomicU64, by: u64, max: u64| {
            let fits = |now: u64| now.checked_add(by).filter(|sum| *sum <= max);
            left.fetch_update(Ordering::AcqRel, Ordering::Acquire, fits).map(drop)
        };
        let beyond = if own { (OWN_RECORDS_MAX, OWN_BYTES_MAX) } else { (0, 0) };
        if take(&self.records, 1, self.records_max.saturating_add(beyond.0)).is_err() {
            return Err(SpoolFull);
        }
        if take(&self.bytes, bytes, self.bytes_max.saturating_add(beyond.1)).is_err() {
            self.records.fetch_sub(1, Ordering::AcqRel);
            return Err(SpoolFull);
        }
        Ok(())
    }

    /// Counts what is there already, whether it fits or not.
    pub(super) fn add(&self, records: u64, bytes: u64) {
        self.records.fetch_add(records, Ordering::AcqRel);
        self.bytes.fetch_add(bytes, Ordering::AcqRel);
    }

    pub(super) fn release(&self, records: u64, bytes: u64) {
        let less = |by: u64| move |now: u64| Some(now.saturating_sub(by));
        for (counter, by) in [(&self.records, records), (&self.bytes, bytes)] {
            // Always some, so it always stores.
            let _before = counter.fetch_update(Ordering::AcqRel, Ordering::Acquire, less(by));
        }
    }

    /// Notes that a spool cannot be read on, and why, where that is not for the database to mend.
    pub(super) fn note(&self, spool: &Path, error: &SpoolError) {
        if !error.is_lasting() && !matches!(error, SpoolError::Io { .. }) {
            return;
        }
        let why = error.to_string();
        let mut damaged = self.damaged.lock().unwrap_or_else(PoisonError::into_inner);
        if damaged.len() < DAMAGED_MAX && !damaged.contains_key(spool) {
            tracing::error!(why, "a spool of audited operations cannot be read on");
            damaged.insert(spool.to_owned(), why);
        }
    }

    /// It can be read again.
    pub(super) fn mended(&self, spool: &Path) {
        self.damaged.lock().unwrap_or_else(PoisonError::into_inner).remove(spool);
    }

    pub(super) fn first_damage(&self) -> Option<String> {
        let damaged = self.damaged.lock().unwrap_or_else(PoisonError::into_inner);
        damaged.values().next().cloned()
    }
}
