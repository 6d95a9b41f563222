//! Every figure of `/metrics` as OTLP.
//!
//! A name loses its unit and `_total`, and its underscores become points:
//! `plimsoll_request_duration_seconds` is `plimsoll.request.duration` in `s`. A collector that
//! makes Prometheus names of it again arrives at the very name `/metrics` has.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use plimsoll_base::Nanos;

use crate::counter::{GROUPS, Gauge};
use crate::exposition::{CLASSES, LABELLED};
use crate::metrics::Metrics;
use crate::names::{self, Kind, Name};
use crate::otlp::exemplars::{Exemplar, Exemplars};
use crate::otlp::protobuf::Writer;
use crate::otlp::resource::{Resource, write_scope};
use crate::process;
use crate::registry::{Family, Key, SeriesId};
use crate::shard::Shared;
use crate::store::{BYTES, Cumulative, Store};

const CUMULATIVE: u64 = 2;

/// When figures were taken and since when they count.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    /// When the process began to count, in nanoseconds since 1970-01-01T00:00:00Z.
    pub(crate) start_unix_ns: u64,
    /// Now, likewise.
    pub(crate) now_unix_ns: u64,
    /// Now, on the clock that series are born by.
    pub(crate) now: Nanos,
}

impl Times {
    /// When a series began; a series from before the first tick began with the process.
    fn born(self, born: Option<Nanos>) -> u64 {
        let age = born.map(|born| crate::histogram::nanos(self.now.since(born)));
        age.map_or(self.start_unix_ns, |age| {
            self.now_unix_ns.saturating_sub(age).max(self.start_unix_ns)
        })
    }
}

type Labels<'a> = Vec<(&'a str, &'a str)>;

/// One value of a metric.
struct Point<'a> {
    labels: Labels<'a>,
    start: u64,
    value: PointValue<'a>,
}

enum PointValue<'a> {
    Int(u64),
    Double(f64),
    /// Count, sum in seconds, counts by boundary, one request as an example.
    Histogram(u64, f64, Cow<'a, [u64]>, Option<Exemplar>),
}

pub(crate) fn otlp_name(name: &Name) -> String {
    let text = name.name.strip_suffix("_total").unwrap_or(name.name);
    let text = match name.unit {
        "seconds" => text.strip_suffix("_seconds").unwrap_or(text),
        "bytes" => text.strip_suffix("_bytes").unwrap_or(text),
        _ => text,
    };
    text.replace('_', ".")
}

/// The unit in UCUM; what is counted stands in braces.
pub(crate) fn otlp_unit(name: &Name) -> String {
    match name.unit {
        "seconds" => "s".to_owned(),
        "bytes" => "By".to_owned(),
        "constant 1" => "{info}".to_owned(),
        other => format!("{{{}}}", other.trim_end_matches('s')),
    }
}

struct Page<'t> {
    writer: &'t mut Writer,
    times: Times,
}

impl Page<'_> {
    fn metric(&mut self, name: &Name, bounds: &[u64], points: &[Point<'_>]) {
        if points.is_empty() {
            return;
        }
        let now = self.times.now_unix_ns;
        self.writer.message(2, |metric| {
            metric.text(1, &otlp_name(name));
            metric.text(2, name.help);
            metric.text(3, &otlp_unit(name));
            let write = |data: &mut Writer| {
                for point in points {
                    data.message(1, |out| write_point(out, point, bounds, now));
                }
            };
            match name.kind {
                Kind::Gauge => metric.message(5, write),
                Kind::Counter => metric.message(7, |data| {
                    write(data);
                    data.varint(2, CUMULATIVE);
                    data.varint(3, 1);
                }),
                Kind::Histogram => metric.message(9, |data| {
                    write(data);
                    data.varint(2, CUMULATIVE);
                }),
            }
        });
    }

    fn single(&mut self, name: &Name, value: PointValue<'_>) {
        let start = if name.kind == Kind::Gauge { 0 } else { self.times.start_unix_ns };
        self.metric(name, &[], &[Point { labels: Vec::new(), start, value }]);
    }
}

/// `NumberDataPoint` or `HistogramDataPoint`.
fn write_point(out: &mut Writer, point: &Point<'_>, bounds: &[u64], now: u64) {
    out.fixed64(2, point.start);
    out.fixed64(3, now);
    let attributes = match &point.value {
        PointValue::Int(value) => {
            out.always_fixed64(6, *value);
            7
        }
        PointValue::Double(value) => {
            out.double(4, *value);
            7
        }
        PointValue::Histogram(count, sum, counts, exemplar) => {
            out.fixed64(4, *count);
            out.double(5, *sum);
            out.packed(6, counts);
            out.packed(7, bounds);
            if let Some(exemplar) = exemplar {
                out.message(8, |out| write_exemplar(out, exemplar));
            }
            9
        }
    };
    for (key, value) in &point.labels {
        out.attribute(attributes, key, value);
    }
}

/// `Exemplar`.
fn write_exemplar(out: &mut Writer, exemplar: &Exemplar) {
    out.fixed64(2, exemplar.unix_ns);
    out.double(3, exemplar.latency.as_secs_f64());
    out.bytes(4, &exemplar.span);
    out.bytes(5, &exemplar.trace);
}

fn seconds(ns: u128) -> f64 {
    ns as f64 / 1e9
}

/// Boundaries as the bits of doubles, as they are packed.
fn bound_bits(ns: &[u64]) -> Vec<u64> {
    ns.iter().map(|ns| seconds(u128::from(*ns)).to_bits()).collect()
}

/// `ExportMetricsServiceRequest`.
pub(crate) fn encode(
    metrics: &Metrics,
    store: &Store,
    series: &[(Arc<Key>, SeriesId)],
    exemplars: &Exemplars,
    resource: &Resource,
    times: Times,
) -> Vec<u8> {
    let shared = metrics.shared();
    let of = |family: Family| -> Vec<Row<'_>> {
        let of_family = series.iter().filter(|(key, _)| key.family == family);
        let rows = of_family.filter_map(|(key, id)| {
            let exemplar = exemplars.get(*id).copied();
            Some(Row { key, series: store.series(*id)?, exemplar })
        });
        rows.collect()
    };
    let mut writer = Writer::default();
    writer.message(1, |resource_metrics| {
        resource.write(resource_metrics, 1);
        resource_metrics.message(2, |scope_metrics| {
            write_scope(scope_metrics, 1);
            let mut page = Page { writer: scope_metrics, times };
            requests(&mut page, &of(Family::Requests), shared);
            devices(&mut page, &of(Family::Devices), shared);
            page.single(&names::OBJECTIVE, PointValue::Double(metrics.objective().as_secs_f64()));
            counters(&mut page, metrics);
            cold_starts(&mut page, metrics);
            singles(&mut page, metrics, shared);
        });
    });
    writer.into_bytes()
}

fn request_labels(key: &Key) -> Labels<'_> {
    let values: [&str; 5] =
        [&key.service, &key.operation, &key.release, key.platform.as_str(), &key.detail];
    names::DURATION.labels.iter().copied().zip(values).collect()
}

fn device_labels(key: &Key) -> Labels<'_> {
    let values: [&str; 3] = [&key.service, &key.operation, &key.detail];
    names::DEVICE_DURATION.labels.iter().copied().zip(values).collect()
}

/// A series of a request family.
struct Row<'s> {
    key: &'s Key,
    series: &'s Cumulative,
    exemplar: Option<Exemplar>,
}

/// One point a series.
fn each<'s>(
    page: &mut Page<'_>,
    name: &Name,
    bounds: &[u64],
    rows: &'s [Row<'s>],
    labels: fn(&'s Key) -> Labels<'s>,
    value: impl Fn(&'s Row<'s>) -> PointValue<'s>,
) {
    let times = page.times;
    let point = |row: &'s Row<'s>| Point {
        labels: labels(row.key),
        start: times.born(row.series.born),
        value: value(row),
    };
    page.metric(name, bounds, &rows.iter().map(point).collect::<Vec<_>>());
}

fn classes<'s>(
    page: &mut Page<'_>,
    name: &Name,
    rows: &'s [Row<'s>],
    labels: fn(&'s Key) -> Labels<'s>,
) {
    let mut points = Vec::new();
    for row in rows {
        let seen = CLASSES.iter().zip(row.series.classes).filter(|(_, count)| *count > 0);
        for (class, count) in seen {
            let mut labels = labels(row.key);
            labels.push(("status_class", class));
            let start = page.times.born(row.series.born);
            points.push(Point { labels, start, value: PointValue::Int(count) });
        }
    }
    page.metric(name, &[], &points);
}

fn requests(page: &mut Page<'_>, rows: &[Row<'_>], shared: &Shared) {
    classes(page, &names::REQUESTS, rows, request_labels);
    let within = |row: &Row<'_>| PointValue::Int(row.series.within_objective);
    each(page, &names::WITHIN_OBJECTIVE, &[], rows, request_labels, within);
    let exposed_ns = shared.layout.exposed_ns();
    let buckets = exposed_ns.len() + 1;
    each(page, &names::DURATION, &bound_bits(exposed_ns), rows, request_labels, |row| {
        let exposed = &row.series.exposed;
        histogram(row, Cow::Borrowed(&exposed[..buckets.min(exposed.len())]))
    });
    let mut bytes: BTreeMap<(&str, &str), ([u64; 3], u64)> = BTreeMap::new();
    for Row { key, series, .. } in rows {
        let born = page.times.born(series.born);
        let sum = bytes.entry((&key.service, &key.operation)).or_insert(([0; 3], born));
        for (sum, more) in sum.0.iter_mut().zip(series.bytes()) {
            *sum = sum.saturating_add(more);
        }
        sum.1 = sum.1.min(born);
    }
    let point = |((service, operation), start, value)| Point {
        labels: vec![("service", service), ("operation", operation)],
        start,
        value: PointValue::Int(value),
    };
    for (index, name) in BYTES.into_iter().enumerate() {
        let points: Vec<_> =
            bytes.iter().map(|(key, (sums, born))| point((*key, *born, sums[index]))).collect();
        page.metric(name, &[], &points);
    }
}

fn devices(page: &mut Page<'_>, rows: &[Row<'_>], shared: &Shared) {
    classes(page, &names::DEVICE_REQUESTS, rows, device_labels);
    let within = |row: &Row<'_>| PointValue::Int(row.series.within_objective);
    each(page, &names::DEVICE_WITHIN_OBJECTIVE, &[], rows, device_labels, within);
    let bounds = bound_bits(&shared.layout.few_ns());
    each(page, &names::DEVICE_DURATION, &bounds, rows, device_labels, |row| {
        histogram(row, Cow::Owned(shared.layout.few(&row.series.exposed)))
    });
}

fn histogram<'s>(row: &Row<'_>, counts: Cow<'s, [u64]>) -> PointValue<'s> {
    let sum = seconds(row.series.sum_ns);
    PointValue::Histogram(row.series.requests(), sum, counts, row.exemplar)
}

fn counters(page: &mut Page<'_>, metrics: &Metrics) {
    let start = page.times.start_unix_ns;
    for group in &GROUPS {
        let sum =
            |index: usize| metrics.shards().iter().map(|shard| shard.counter(index)).sum::<u64>();
        let mut points = Vec::new();
        if group.values.is_empty() {
            let value = PointValue::Int(sum(group.start));
            points.push(Point { labels: Vec::new(), start, value });
        }
        for (value, index) in group.values.iter().zip(group.start..) {
            let labels = group.name.labels.iter().map(|label| (*label, *value)).collect();
            points.push(Point { labels, start, value: PointValue::Int(sum(index)) });
        }
        page.metric(group.name, &[], &points);
    }
    let mut labelled: BTreeMap<&str, BTreeMap<(Arc<str>, &str), u64>> = BTreeMap::new();
    for cell in metrics.shards().iter().flat_map(|shard| shard.labelled()) {
        let of_name = labelled.entry(cell.name.name).or_default();
        *of_name.entry((cell.value, cell.second)).or_default() += cell.count;
    }
    for name in &LABELLED {
        let cells = labelled.get(name.name).into_iter().flatten();
        let points: Vec<_> = cells
            .map(|((value, second), count)| Point {
                labels: name.labels.iter().copied().zip([&**value, *second]).collect(),
                start,
                value: PointValue::Int(*count),
            })
            .collect();
        page.metric(name, &[], &points);
    }
}

fn cold_starts(page: &mut Page<'_>, metrics: &Metrics) {
    let series = metrics.app_starts().cumulative();
    let points: Vec<_> = series
        .rows
        .iter()
        .map(|row| Point {
            labels: names::APP_START_COLD
                .labels
                .iter()
                .copied()
                .zip([&*row.device_model, &*row.app_version])
                .collect(),
            start: page.times.born(Some(row.born)),
            value: PointValue::Histogram(
                row.count,
                row.sum_seconds,
                Cow::Borrowed(&row.exposed),
                None,
            ),
        })
        .collect();
    page.metric(&names::APP_START_COLD, &bound_bits(&series.bounds_ns), &points);
}

fn singles(page: &mut Page<'_>, metrics: &Metrics, shared: &Shared) {
    for &(gauge, name) in Gauge::ALL {
        page.single(name, PointValue::Int(metrics.gauge(gauge)));
    }
    let (held, max) = shared.registry.size();
    page.single(&names::SERIES, PointValue::Int(held as u64));
    page.single(&names::SERIES_MAX, PointValue::Int(max as u64));
    let info = Point {
        labels: vec![("version", env!("CARGO_PKG_VERSION"))],
        start: 0,
        value: PointValue::Int(1),
    };
    page.metric(&names::BUILD_INFO, &[], &[info]);
    if let Some(usage) = process::usage() {
        page.single(&names::PROCESS_CPU, PointValue::Double(usage.cpu_seconds));
        page.single(&names::PROCESS_RSS, PointValue::Int(usage.resident_bytes));
        page.single(&names::PROCESS_FDS, PointValue::Int(usage.open_fds as u64));
        page.single(&names::PROCESS_START, PointValue::Double(usage.started_unix_seconds));
    }
}
