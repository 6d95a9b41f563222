//! Where the shards' counts come together: cumulative series for the exposition, and the ring for
//! the console.

use std::sync::Arc;
use std::time::Duration;

use plimsoll_base::Nanos;

use crate::histogram::EXPOSED_MAX;
use crate::names::{self, Name};
use crate::registry::SeriesId;
use crate::ring::{Current, Load, Ring};
use crate::shard::{Counts, Drained, SHARD_IDLE_TICKS_MAX, Shard, Shared};

/// Ticks after which an idle series is forgotten: an hour. Twice what a core keeps it for, so that
/// no core still counts under its number.
const SERIES_IDLE_TICKS_MAX: u32 = 2 * SHARD_IDLE_TICKS_MAX;
/// Ticks between two looks for idle series.
const SWEEP_EVERY_TICKS: u32 = 60;
/// Two ticks closer together than this count as one.
const TICK_LEAST: Duration = Duration::from_millis(50);

/// The metrics of bytes by operation.
pub(crate) const BYTES: [&Name; 3] =
    [&names::REQUEST_BYTES, &names::RESPONSE_BYTES, &names::RESPONSE_BYTES_SAVED];

/// A series since it began.
#[derive(Clone, Debug)]
pub(crate) struct Cumulative {
    pub(crate) classes: [u64; 5],
    pub(crate) within_objective: u64,
    pub(crate) sum_ns: u128,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) bytes_saved: u64,
    /// By exposed boundary, not yet cumulative; `+Inf` last.
    pub(crate) exposed: [u64; EXPOSED_MAX + 1],
    /// The tick before it was first counted in; none before the first tick.
    pub(crate) born: Option<Nanos>,
}

impl Cumulative {
    const ZERO: Self = Self {
        classes: [0; 5],
        within_objective: 0,
        sum_ns: 0,
        bytes_in: 0,
        bytes_out: 0,
        bytes_saved: 0,
        exposed: [0; EXPOSED_MAX + 1],
        born: None,
    };

    pub(crate) fn requests(&self) -> u64 {
        self.classes.iter().sum()
    }

    /// What [`BYTES`] count, in their order.
    pub(crate) fn bytes(&self) -> [u64; 3] {
        [self.bytes_in, self.bytes_out, self.bytes_saved]
    }

    fn add(&mut self, counts: &Counts, shared: &Shared) {
        for (sum, more) in self.classes.iter_mut().zip(counts.classes) {
            *sum += u64::from(more);
        }
        for (bucket, count) in counts.buckets.iter().enumerate() {
            self.exposed[shared.layout.exposed_bucket(bucket)] += u64::from(*count);
        }
        self.within_objective += u64::from(counts.within_objective);
        self.sum_ns += u128::from(counts.sum_ns);
        self.bytes_in = self.bytes_in.saturating_add(counts.bytes_in);
        self.bytes_out = self.bytes_out.saturating_add(counts.bytes_out);
        self.bytes_saved = self.bytes_saved.saturating_add(counts.bytes_saved);
    }
}

#[derive(Debug, Default)]
pub(crate) struct Store {
    series: Vec<Option<Box<Cumulative>>>,
    current: Current,
    pub(crate) ring: Ring,
    pub(crate) ticked_at: Option<Nanos>,
    ticks: u32,
}

impl Store {
    /// The series of a number, if anything was ever counted in it.
    pub(crate) fn series(&self, id: SeriesId) -> Option<&Cumulative> {
        self.series.get(id as usize)?.as_deref()
    }

    /// Takes what every shard counted.
    pub(crate) fn drain(&mut self, shards: &[Arc<Shard>], shared: &Shared) {
        let mut drained: Vec<Drained> = Vec::new();
        for shard in shards {
            shard.drain(self.ticks, &mut drained);
        }
        for one in &drained {
            let id = one.id as usize;
            if self.series.len() <= id {
                self.series.resize_with(id + 1, || None);
            }
            let series = self.series[id].get_or_insert_with(|| {
                Box::new(Cumulative { born: self.ticked_at, ..Cumulative::ZERO })
            });
            series.add(&one.counts, shared);
            self.current.add(&one.key, &one.counts);
        }
        shared.registry.touch(drained.iter().map(|one| one.id));
    }

    /// Ends the current second.
    pub(crate) fn tick(&mut self, now: Nanos, load: Load, shards: &[Arc<Shard>], shared: &Shared) {
        let elapsed = self.ticked_at.map(|before| now.since(before));
        if elapsed.is_some_and(|elapsed| elapsed < TICK_LEAST) {
            return;
        }
        self.ticks = self.ticks.saturating_add(1);
        shared.registry.set_tick(self.ticks);
        self.drain(shards, shared);
        // Before the first tick nobody knows how long was counted: a second, as ticks should be.
        let slice = self.current.take(elapsed.unwrap_or(Duration::from_secs(1)), load);
        self.ring.push(slice);
        self.ticked_at = Some(now);
        for shard in shards {
            shard.sweep_some(self.ticks);
        }
        if self.ticks.is_multiple_of(SWEEP_EVERY_TICKS) {
            for id in shared.registry.sweep(SERIES_IDLE_TICKS_MAX) {
                if let Some(series) = self.series.get_mut(id as usize) {
                    *series = None;
                }
            }
        }
    }
}
