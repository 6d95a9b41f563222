//! The whole of what a process measures.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use plimsoll_base::Nanos;

use crate::counter::{Counter, Gauge, Place};
use crate::exposition;
use crate::histogram::Layout;
use crate::ingest::AppStarts;
use crate::otlp::exemplars::Exemplars;
use crate::otlp::keep::{KeptSpan, Tracing, TracingOptions};
use crate::otlp::metrics::Times;
use crate::otlp::{self, Resource};
use crate::overview::{self, Overview};
use crate::reads::Reads;
use crate::registry::Registry;
use crate::ring::Load;
use crate::shard::{Shard, Shared, lock};
use crate::store::Store;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct MetricsOptions {
    /// Cores that record: one shard each.
    pub cores: usize,
    /// Label sets the two request families may hold together; at least 16.
    pub series_max: usize,
    /// The latency objective: a histogram boundary and an exact counter stand at it.
    pub objective: Duration,
}

impl Default for MetricsOptions {
    fn default() -> Self {
        Self { cores: 1, series_max: 20_000, objective: Duration::from_millis(300) }
    }
}

/// Every figure of the process. Requests are recorded on a core's [`Shard`]; whatever belongs to no
/// core is counted here.
#[derive(Debug)]
pub struct Metrics {
    shared: Arc<Shared>,
    /// One a core, and one for everything else.
    shards: Vec<Arc<Shard>>,
    store: Mutex<Store>,
    app_starts: AppStarts,
    exemplars: Mutex<Exemplars>,
    reads: Reads,
}

impl Metrics {
    /// Figures at zero.
    #[must_use]
    pub fn new(options: MetricsOptions) -> Arc<Self> {
        let shared = Arc::new(Shared {
            layout: Layout::new(options.objective),
            registry: Registry::new(options.series_max),
            tracing: Tracing::default(),
        });
        let shards =
            (0..=options.cores).map(|_| Arc::new(Shard::new(Arc::clone(&shared)))).collect();
        Arc::new(Self {
            shared,
            shards,
            store: Mutex::default(),
            app_starts: AppStarts::default(),
            exemplars: Mutex::default(),
            reads: Reads::default(),
        })
    }

    /// The shard of a core, counted from zero. A core beyond [`MetricsOptions::cores`] shares the
    /// shard of everything else: slower, never wrong.
    #[must_use]
    pub fn shard(&self, core: usize) -> Arc<Shard> {
        Arc::clone(self.shards.get(core).unwrap_or_else(|| self.rest()))
    }

    fn rest(&self) -> &Arc<Shard> {
        &self.shards[self.shards.len() - 1]
    }

    /// Counts one.
    pub fn count(&self, counter: Counter<'_>) {
        self.rest().count(counter);
    }

    /// Counts `many` at once.
    pub fn count_many(&self, counter: Counter<'_>, many: u64) {
        self.rest().count_many(counter, many);
    }

    /// Moves a gauge by `by`.
    pub fn gauge_add(&self, gauge: Gauge, by: i64) {
        self.rest().gauge_add(gauge, by);
    }

    /// Sets the part of a gauge that belongs to no core. For gauges no shard moves.
    pub fn set(&self, gauge: Gauge, value: u64) {
        self.rest().gauge_set(gauge, i64::try_from(value).unwrap_or(i64::MAX));
    }

    /// What a gauge shows: never below zero.
    #[must_use]
    pub fn gauge(&self, gauge: Gauge) -> u64 {
        let sum: i64 = self.shards.iter().map(|shard| shard.gauge(gauge)).sum();
        u64::try_from(sum).unwrap_or(0)
    }

    /// What a counter has come to.
    #[must_use]
    pub fn counted(&self, counter: Counter<'_>) -> u64 {
        let of = |shard: &Arc<Shard>| match counter.place() {
            Place::Fixed(index) => shard.counter(index),
            Place::Labelled(name, value, second) => {
                let cells = shard.labelled();
                let mut same = cells.iter().filter(|cell| {
                    std::ptr::eq(cell.name, name) && *cell.value == *value && cell.second == second
                });
                same.next().map_or(0, |cell| cell.count)
            }
        };
        self.shards.iter().map(of).sum()
    }

    /// Ends the current second of the console's figures. The owner calls it once a second; a call
    /// that comes late makes a longer second, not a wrong rate.
    pub fn tick(&self, now: Nanos) {
        let load = Load {
            connections_open: self.gauge(Gauge::ConnectionsOpen),
            requests_in_flight: self.gauge(Gauge::RequestsInFlight),
        };
        lock(&self.store).tick(now, load, &self.shards, &self.shared);
    }

    /// The figures of the last `window`, five minutes at most, up to the last tick.
    #[must_use]
    pub fn overview(&self, window: Duration) -> Overview {
        let store = lock(&self.store);
        let part = overview::from_ring(&store.ring, &self.shared.layout, window);
        let ticked_at = store.ticked_at;
        drop(store);
        let (series, series_max) = self.shared.registry.size();
        Overview {
            ticked_at,
            window_seconds: part.window_seconds,
            objective_seconds: self.objective().as_secs_f64(),
            total: part.total,
            routed: part.routed,
            by_operation: part.by_operation,
            by_platform: part.by_platform,
            by_device_model: part.by_device_model,
            history: part.history,
            connections_open: self.gauge(Gauge::ConnectionsOpen),
            requests_in_flight: self.gauge(Gauge::RequestsInFlight),
            series,
            series_max,
            series_folded: self.counted(Counter::SeriesFolded),
            access_log_dropped: self.counted(Counter::AccessLogDropped),
        }
    }

    /// The latency objective.
    #[must_use]
    pub fn objective(&self) -> Duration {
        Duration::from_nanos(self.shared.layout.objective_ns())
    }

    /// Everything in the Prometheus text format 0.0.4, in an order that only depends on the labels.
    #[must_use]
    pub fn render_prometheus(&self) -> String {
        let mut store = lock(&self.store);
        store.drain(&self.shards, &self.shared);
        let series = self.shared.registry.sorted();
        exposition::render(self, &store, &series, &self.shared)
    }

    /// Everything as an OTLP `ExportMetricsServiceRequest`.
    pub(crate) fn encode_otlp(&self, resource: &Resource, times: Times) -> Vec<u8> {
        let mut store = lock(&self.store);
        store.drain(&self.shards, &self.shared);
        let series = self.shared.registry.sorted();
        let exemplars = std::mem::take(&mut *lock(&self.exemplars));
        otlp::metrics::encode(self, &store, &series, &exemplars, resource, times)
    }

    /// Notes requests that were kept as examples of their series, until figures are next exported.
    pub(crate) fn note_exemplars(&self, kept: &[KeptSpan]) {
        lock(&self.exemplars).note(kept, &self.shared.registry);
    }

    /// Notes that somebody took the figures: scraped them, or accepted them over OTLP.
    pub fn note_read(&self, now: Nanos) {
        self.reads.note(now);
    }

    /// How often figures were taken within `window` before `now`, [`crate::READS_MAX`] at most.
    #[must_use]
    pub fn reads(&self, window: Duration, now: Nanos) -> usize {
        self.reads.within(window, now)
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Says which requests are sampled and kept, from the next one on.
    pub fn set_tracing(&self, options: TracingOptions) {
        self.shared.tracing.set(options);
    }

    pub(crate) fn set_join(&self, join: bool) {
        self.shared.tracing.set_join(join);
    }

    /// Takes out the spans that were kept since the last call.
    pub(crate) fn take_kept(&self, into: &mut Vec<KeptSpan>) {
        for shard in &self.shards {
            shard.take_kept(into);
        }
    }

    pub(crate) fn app_starts(&self) -> &AppStarts {
        &self.app_starts
    }

    pub(crate) fn shards(&self) -> &[Arc<Shard>] {
        &self.shards
    }
}
