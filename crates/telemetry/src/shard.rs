//! What one core counts. A shard belongs to a core, so its lock is free but for the moment once a
//! second in which its counts are taken out.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hashbrown::HashTable;

use crate::counter::{Counter, FIXED, GAUGES, Gauge, Place, SpanDrop};
use crate::histogram::{BUCKETS, Layout, nanos};
use crate::label::{OTHER, clean};
use crate::names::Name;
use crate::otlp::keep::{self, Kept, KeptSpan, SpanRecord, Tracing};
use crate::registry::{Family, Key, KeyRef, Registry, SeriesId};
use crate::sample::{Platform, Sample};
use crate::trace::TraceContext;

/// Series taken out under one hold of the lock: a few microseconds.
const DRAIN_CHUNK: usize = 64;
/// Series looked at for idleness a tick.
const SWEEP_CHUNK: usize = 256;
/// Ticks after which a core lets go of a series it did not count in.
pub(crate) const SHARD_IDLE_TICKS_MAX: u32 = 1_800;
/// Label values a shard keeps for counters whose values only configuration knows.
const LABELLED_MAX: usize = 512;

/// What the shards of one [`crate::Metrics`] share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) layout: Layout,
    pub(crate) registry: Registry,
    pub(crate) tracing: Tracing,
}

/// What was counted in one series since it was last taken out.
#[derive(Clone, Debug)]
pub(crate) struct Counts {
    /// Answers by class of the status code, 1xx first.
    pub(crate) classes: [u32; 5],
    pub(crate) within_objective: u32,
    pub(crate) sum_ns: u64,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) bytes_saved: u64,
    pub(crate) buckets: [u32; BUCKETS],
}

impl Counts {
    const NONE: Self = Self {
        classes: [0; 5],
        within_objective: 0,
        sum_ns: 0,
        bytes_in: 0,
        bytes_out: 0,
        bytes_saved: 0,
        buckets: [0; BUCKETS],
    };

    fn is_empty(&self) -> bool {
        self.classes == [0; 5]
    }
}

/// What was taken out of one series.
pub(crate) struct Drained {
    pub(crate) id: SeriesId,
    pub(crate) key: Arc<Key>,
    pub(crate) counts: Counts,
}

#[derive(Debug)]
struct Series {
    key: Arc<Key>,
    hash: u64,
    id: SeriesId,
    used_tick: u32,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Inner {
    index: HashTable<u32>,
    series: Vec<Option<Box<Series>>>,
    free: Vec<u32>,
    /// Series with counts in them. Its capacity is that of `series`, so a push never allocates.
    touched: Vec<u32>,
    swept_to: usize,
    tick: u32,
}

/// A counter under a label value that only configuration knows.
#[derive(Clone, Debug)]
pub(crate) struct Labelled {
    pub(crate) name: &'static Name,
    pub(crate) value: Arc<str>,
    pub(crate) second: &'static str,
    pub(crate) count: u64,
}

/// One core's counters. Made by [`crate::Metrics::shard`].
#[derive(Debug)]
#[repr(align(128))]
pub struct Shard {
    shared: Arc<Shared>,
    inner: Mutex<Inner>,
    counters: [AtomicU64; FIXED],
    gauges: [AtomicI64; GAUGES],
    labelled: Mutex<Vec<Labelled>>,
    kept: Mutex<Vec<KeptSpan>>,
}

/// What one answer adds to a series.
#[derive(Clone, Copy)]
struct Addition {
    bucket: usize,
    class: usize,
    within: bool,
    ns: u64,
    bytes_in: u64,
    bytes_out: u64,
    bytes_saved: u64,
}

impl Shard {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            inner: Mutex::default(),
            counters: [const { AtomicU64::new(0) }; FIXED],
            gauges: [const { AtomicI64::new(0) }; GAUGES],
            labelled: Mutex::default(),
            kept: Mutex::default(),
        }
    }

    /// The same trace context with the edge's own decision whether it is sampled.
    #[inline]
    #[must_use]
    pub fn sample(&self, context: TraceContext) -> TraceContext {
        context.with_sampled(self.shared.tracing.samples(context.trace_id().bytes()))
    }

    /// Whether a request that is over gets a span: sampled, failed or slow, and someone asks.
    #[inline]
    #[must_use]
    pub fn keeps(&self, trace: &TraceContext, status: u16, latency: Duration) -> bool {
        self.shared.tracing.keeps(trace.sampled(), status, latency)
    }

    /// Keeps a request's span until the exporter collects it; without room it is counted as
    /// dropped.
    pub fn keep(&self, record: &SpanRecord<'_>) {
        let kept = keep::keep(&self.shared.tracing, &mut lock(&self.kept), record);
        if kept == Kept::No {
            self.count(Counter::SpansDropped(SpanDrop::BufferFull));
        }
    }

    pub(crate) fn take_kept(&self, into: &mut Vec<KeptSpan>) {
        // A buffer that was never used stays without memory.
        let kept = std::mem::take(&mut *lock(&self.kept));
        into.extend(kept);
    }

    /// Counts one answered request in both families. Allocates only when a label set is new on
    /// this core. A status outside 100 to 599 counts as 5xx.
    pub fn record(&self, sample: &Sample<'_>) {
        let ns = nanos(sample.latency);
        let class = match sample.status / 100 {
            class @ 1..=5 => usize::from(class) - 1,
            _ => 4,
        };
        let addition = Addition {
            bucket: self.shared.layout.bucket(ns),
            class,
            within: class != 4 && self.shared.layout.within_objective(ns),
            ns,
            bytes_in: sample.bytes_in,
            bytes_out: sample.bytes_out,
            bytes_saved: sample.bytes_saved,
        };
        let (version, model) = (clean(sample.app_version), clean(sample.device_model));
        let requests = KeyRef {
            family: Family::Requests,
            service: sample.service,
            operation: sample.operation,
            release: sample.release,
            platform: sample.platform,
            detail: &version,
            shared: Some((sample.operation, sample.release)),
        };
        let devices = KeyRef {
            family: Family::Devices,
            release: "",
            platform: Platform::Unknown,
            detail: &model,
            ..requests
        };
        let registry = &self.shared.registry;
        let hasher = registry.hash_operation(sample.service, sample.operation);
        let hashes =
            [Registry::hash_rest(hasher.clone(), &requests), Registry::hash_rest(hasher, &devices)];
        let mut inner = lock(&self.inner);
        let folded = inner.add(registry, hashes[0], &requests, addition)
            | inner.add(registry, hashes[1], &devices, addition);
        drop(inner);
        if folded {
            self.count(Counter::SeriesFolded);
        }
    }

    /// Counts one.
    pub fn count(&self, counter: Counter<'_>) {
        self.count_many(counter, 1);
    }

    /// Counts `many` at once.
    pub fn count_many(&self, counter: Counter<'_>, many: u64) {
        match counter.place() {
            Place::Fixed(index) => {
                self.counters[index].fetch_add(many, Ordering::Relaxed);
            }
            Place::Labelled(name, value, second) => self.count_labelled(name, value, second, many),
        }
    }

    /// Moves this core's part of a gauge by `by`.
    pub fn gauge_add(&self, gauge: Gauge, by: i64) {
        self.gauges[gauge as usize].fetch_add(by, Ordering::Relaxed);
    }

    /// Sets this core's part of a gauge.
    pub fn gauge_set(&self, gauge: Gauge, value: i64) {
        self.gauges[gauge as usize].store(value, Ordering::Relaxed);
    }

    fn count_labelled(&self, name: &'static Name, value: &str, second: &'static str, many: u64) {
        let mut cells = lock(&self.labelled);
        let full = cells.len() >= LABELLED_MAX;
        let same = |cell: &Labelled, value: &str| {
            std::ptr::eq(cell.name, name) && *cell.value == *value && cell.second == second
        };
        let known = cells.iter().position(|cell| same(cell, value));
        let known = known
            .or_else(|| if full { cells.iter().position(|cell| same(cell, OTHER)) } else { None });
        if let Some(cell) = known.and_then(|index| cells.get_mut(index)) {
            cell.count += many;
        } else {
            // The last names beyond the bound add one `other` each: at most one a metric and kind.
            let value = if full { OTHER.into() } else { clean(value).as_ref().into() };
            cells.push(Labelled { name, value, second, count: many });
        }
    }

    pub(crate) fn counter(&self, index: usize) -> u64 {
        self.counters[index].load(Ordering::Relaxed)
    }

    pub(crate) fn gauge(&self, gauge: Gauge) -> i64 {
        self.gauges[gauge as usize].load(Ordering::Relaxed)
    }

    pub(crate) fn labelled(&self) -> Vec<Labelled> {
        lock(&self.labelled).clone()
    }

    /// Takes out what was counted since the last call, a few series under each hold of the lock.
    pub(crate) fn drain(&self, tick: u32, out: &mut Vec<Drained>) {
        let mut left = lock(&self.inner).touched.len();
        while left > 0 {
            let mut inner = lock(&self.inner);
            inner.tick = tick;
            let now = left.min(DRAIN_CHUNK);
            for _ in 0..now {
                inner.drain_one(out);
            }
            left -= now;
        }
    }

    /// Lets go of some of the series that were idle for long, a slice of them a tick.
    pub(crate) fn sweep_some(&self, tick: u32) {
        lock(&self.inner).sweep_some(tick);
    }
}

impl Inner {
    /// Counts in the series of `key`; says whether that was `other`.
    #[inline]
    fn add(&mut self, registry: &Registry, hash: u64, key: &KeyRef<'_>, what: Addition) -> bool {
        if let Some(index) = self.find(hash, key) {
            self.count(index, what);
            return false;
        }
        self.add_slowly(registry, hash, key, what)
    }

    #[cold]
    fn add_slowly(
        &mut self,
        registry: &Registry,
        hash: u64,
        key: &KeyRef<'_>,
        what: Addition,
    ) -> bool {
        let resolved = registry.resolve(hash, key);
        let hash =
            if resolved.folded { registry.hash(&resolved.key.as_ref().into()) } else { hash };
        let known = if resolved.folded { self.find_id(hash, resolved.id) } else { None };
        let index = known.unwrap_or_else(|| self.insert(hash, resolved.key, resolved.id));
        self.count(index, what);
        resolved.folded
    }

    #[inline]
    fn find(&self, hash: u64, key: &KeyRef<'_>) -> Option<u32> {
        let series = &self.series;
        let is = |index: &u32| {
            let series = series.get(*index as usize).and_then(Option::as_ref);
            series.is_some_and(|series| series.hash == hash && series.key.is(key))
        };
        self.index.find(hash, is).copied()
    }

    fn find_id(&self, hash: u64, id: SeriesId) -> Option<u32> {
        let series = &self.series;
        let is = |index: &u32| {
            series.get(*index as usize).and_then(Option::as_ref).is_some_and(|s| s.id == id)
        };
        self.index.find(hash, is).copied()
    }

    fn insert(&mut self, hash: u64, key: Arc<Key>, id: SeriesId) -> u32 {
        let series = Series { key, hash, id, used_tick: self.tick, counts: Counts::NONE };
        let series = Some(Box::new(series));
        let index = if let Some(index) = self.free.pop() {
            self.series[index as usize] = series;
            index
        } else {
            self.series.push(series);
            u32::try_from(self.series.len() - 1).unwrap_or(u32::MAX)
        };
        let all = &self.series;
        self.index.insert_unique(hash, index, |index| {
            all.get(*index as usize).and_then(Option::as_ref).map_or(0, |series| series.hash)
        });
        self.touched.reserve(all.capacity() - self.touched.len());
        index
    }

    #[inline]
    fn count(&mut self, index: u32, what: Addition) {
        let Some(Some(series)) = self.series.get_mut(index as usize) else {
            return;
        };
        let counts = &mut series.counts;
        if counts.is_empty() {
            self.touched.push(index);
        }
        // Four thousand million answers between two ticks would be needed to reach the bound.
        counts.classes[what.class] = counts.classes[what.class].saturating_add(1);
        counts.buckets[what.bucket] = counts.buckets[what.bucket].saturating_add(1);
        counts.within_objective = counts.within_objective.saturating_add(u32::from(what.within));
        counts.sum_ns = counts.sum_ns.saturating_add(what.ns);
        counts.bytes_in = counts.bytes_in.saturating_add(what.bytes_in);
        counts.bytes_out = counts.bytes_out.saturating_add(what.bytes_out);
        counts.bytes_saved = counts.bytes_saved.saturating_add(what.bytes_saved);
    }

    fn drain_one(&mut self, out: &mut Vec<Drained>) {
        let Some(index) = self.touched.pop() else {
            return;
        };
        let tick = self.tick;
        if let Some(Some(series)) = self.series.get_mut(index as usize) {
            series.used_tick = tick;
            let counts = std::mem::replace(&mut series.counts, Counts::NONE);
            out.push(Drained { id: series.id, key: Arc::clone(&series.key), counts });
        }
    }

    fn sweep_some(&mut self, tick: u32) {
        if self.swept_to >= self.series.len() {
            self.swept_to = 0;
        }
        let to = self.series.len().min(self.swept_to + SWEEP_CHUNK);
        for (index, place) in (self.swept_to..to).zip(&mut self.series[self.swept_to..to]) {
            let idle = |series: &mut Box<Series>| {
                series.counts.is_empty()
                    && tick.saturating_sub(series.used_tick) > SHARD_IDLE_TICKS_MAX
            };
            let Some(series) = place.take_if(idle) else {
                continue;
            };
            let index = u32::try_from(index).unwrap_or(u32::MAX);
            if let Ok(entry) = self.index.find_entry(series.hash, |other| *other == index) {
                entry.remove();
            }
            self.free.push(index);
        }
        self.swept_to = to;
    }
}

/// A panic elsewhere leaves counters that are still good enough to count on.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
