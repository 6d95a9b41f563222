//! Keyed writes: their records are in the database, so they live with the memory.

use std::sync::{Mutex, PoisonError};

use plimsoll_base::SharedClock;
use plimsoll_console::WritesRow;
use plimsoll_protection::Keyring;
use plimsoll_telemetry::{Gauge, Metrics};
use plimsoll_writes::{Engine, Writes};
use std::sync::Arc;

use super::Memory;

/// What edges ask, and what works for them once there is a database.
pub(super) struct KeyedWrites {
    pub(super) writes: Writes,
    engine: Mutex<Option<Engine>>,
}

impl KeyedWrites {
    pub(super) fn new(keyring: &Arc<Keyring>, clock: &SharedClock) -> Self {
        let (writes, engine) = Writes::new(Arc::clone(keyring), Arc::clone(clock));
        Self { writes, engine: Mutex::new(Some(engine)) }
    }

    /// The engine; once.
    pub(super) fn engine(&self) -> Option<Engine> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(super) fn observe(&self, metrics: &Metrics) {
        let standing = self.writes.standing();
        metrics.set(Gauge::KeyedWritesExecuting, standing.executing);
        metrics.set(Gauge::KeyedWritesUnknown, standing.unknown);
        metrics.set(Gauge::KeyedWritesKept, standing.answered);
    }

    pub(super) fn shown(&self) -> Option<WritesRow> {
        let standing = self.writes.standing();
        standing.known.then_some(WritesRow {
            executing: standing.executing,
            unknown: standing.unknown,
            answered: standing.answered,
        })
    }
}

impl Memory {
    /// Where keyed writes are recorded.
    pub(crate) fn writes(&self) -> Writes {
        self.shared.writes.writes.clone()
    }
}
