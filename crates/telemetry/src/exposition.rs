//! The Prometheus text format, version 0.0.4.

use std::collections::BTreeMap;
use std::fmt::{Display, Write};
use std::sync::Arc;

use crate::counter::{GROUPS, Gauge};
use crate::metrics::Metrics;
use crate::names::{self, Name};
use crate::process;
use crate::registry::{Family, Key, SeriesId};
use crate::shard::Shared;
use crate::store::{BYTES, Cumulative, Store};

/// Label values of the classes of a status code, as counted.
pub(crate) const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// A text of the exposition being written.
struct Page {
    text: String,
}

impl Page {
    fn head(&mut self, name: &Name) {
        self.put(format_args!("# HELP {} ", name.name));
        escape(name.help, false, &mut self.text);
        self.put(format_args!("\n# TYPE {} {}\n", name.name, name.kind.as_str()));
    }

    /// Writes to a `String`, which cannot fail.
    fn put(&mut self, arguments: std::fmt::Arguments<'_>) {
        self.text.write_fmt(arguments).unwrap_or_default();
    }

    fn line<'v>(
        &mut self,
        name: &str,
        suffix: &str,
        labels: impl Iterator<Item = (&'v str, &'v str)>,
        value: impl Display,
    ) {
        self.text.push_str(name);
        self.text.push_str(suffix);
        let mut open = false;
        for (label, text) in labels {
            self.text.push(if open { ',' } else { '{' });
            open = true;
            self.text.push_str(label);
            self.text.push_str("=\"");
            escape(text, true, &mut self.text);
            self.text.push('"');
        }
        if open {
            self.text.push('}');
        }
        self.put(format_args!(" {value}\n"));
    }

    /// A metric of one line without labels.
    fn single(&mut self, name: &Name, value: impl Display) {
        self.head(name);
        self.line(name.name, "", std::iter::empty(), value);
    }
}

fn escape(text: &str, quotes: bool, out: &mut String) {
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if quotes => out.push_str("\\\""),
            c => out.push(c),
        }
    }
}

type Rows<'s> = Vec<(&'s Key, &'s Cumulative)>;

pub(crate) fn render(
    metrics: &Metrics,
    store: &Store,
    series: &[(Arc<Key>, SeriesId)],
    shared: &Shared,
) -> String {
    let of = |family: Family| -> Rows<'_> {
        let of_family = series.iter().filter(|(key, _)| key.family == family);
        of_family.filter_map(|(key, id)| Some((&**key, store.series(*id)?))).collect()
    };
    let (requests, devices) = (of(Family::Requests), of(Family::Devices));
    // A line is some 150 bytes; a request series has 18 of them, a device's 13.
    let bytes = 16_384 + requests.len() * 2_700 + devices.len() * 1_950;
    let mut page = Page { text: String::with_capacity(bytes) };
    request_family(&mut page, &requests, shared);
    device_family(&mut page, &devices, shared);
    page.single(&names::OBJECTIVE, metrics.objective().as_secs_f64());
    counters(&mut page, metrics);
    cold_starts(&mut page, metrics);
    for &(gauge, name) in Gauge::ALL {
        page.single(name, metrics.gauge(gauge));
    }
    let (held, max) = shared.registry.size();
    page.single(&names::SERIES, held);
    page.single(&names::SERIES_MAX, max);
    page.head(&names::BUILD_INFO);
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    page.line(names::BUILD_INFO.name, "", version.into_iter(), 1);
    if let Some(usage) = process::usage() {
        page.single(&names::PROCESS_CPU, usage.cpu_seconds);
        page.single(&names::PROCESS_RSS, usage.resident_bytes);
        page.single(&names::PROCESS_FDS, usage.open_fds);
        page.single(&names::PROCESS_START, usage.started_unix_seconds);
    }
    page.text
}

fn request_labels<'k>(key: &'k Key) -> impl Iterator<Item = (&'k str, &'k str)> {
    let values: [&'k str; 5] =
        [&key.service, &key.operation, &key.release, key.platform.as_str(), &key.detail];
    names::DURATION.labels.iter().copied().zip(values)
}

fn device_labels<'k>(key: &'k Key) -> impl Iterator<Item = (&'k str, &'k str)> {
    let values: [&'k str; 3] = [&key.service, &key.operation, &key.detail];
    names::DEVICE_DURATION.labels.iter().copied().zip(values)
}

fn operation_labels<'k>(
    (service, operation): (&'k str, &'k str),
) -> impl Iterator<Item = (&'k str, &'k str)> {
    names::REQUEST_BYTES.labels.iter().copied().zip([service, operation])
}

/// One line a class that was ever seen, so that a series without errors costs no line for them.
fn classes<'k, L: Iterator<Item = (&'k str, &'k str)>>(
    page: &mut Page,
    name: &Name,
    rows: &Rows<'k>,
    labels: impl Fn(&'k Key) -> L,
) {
    page.head(name);
    for (key, series) in rows {
        for (class, count) in CLASSES.iter().zip(series.classes).filter(|(_, count)| *count > 0) {
            let class = std::iter::once(("status_class", *class));
            page.line(name.name, "", labels(key).chain(class), count);
        }
    }
}

/// Boundaries in seconds as `le` has them.
fn boundaries(ns: &[u64]) -> Vec<String> {
    let finite = ns.iter().map(|ns| seconds(u128::from(*ns)).to_string());
    finite.chain(std::iter::once("+Inf".to_owned())).collect()
}

fn request_family(page: &mut Page, rows: &Rows<'_>, shared: &Shared) {
    classes(page, &names::REQUESTS, rows, request_labels);
    page.head(&names::WITHIN_OBJECTIVE);
    for (key, series) in rows {
        let name = names::WITHIN_OBJECTIVE.name;
        page.line(name, "", request_labels(key), series.within_objective);
    }
    let boundaries = boundaries(shared.layout.exposed_ns());
    page.head(&names::DURATION);
    for (key, series) in rows {
        let name = names::DURATION.name;
        let mut so_far = 0;
        for (boundary, count) in boundaries.iter().zip(series.exposed) {
            so_far += count;
            let le = std::iter::once(("le", boundary.as_str()));
            page.line(name, "_bucket", request_labels(key).chain(le), so_far);
        }
        page.line(name, "_sum", request_labels(key), seconds(series.sum_ns));
        page.line(name, "_count", request_labels(key), series.requests());
    }
    let mut bytes: BTreeMap<(&str, &str), [u64; 3]> = BTreeMap::new();
    for (key, series) in rows {
        let sum = bytes.entry((&key.service, &key.operation)).or_default();
        for (sum, more) in sum.iter_mut().zip(series.bytes()) {
            *sum = sum.saturating_add(more);
        }
    }
    for (index, name) in BYTES.into_iter().enumerate() {
        page.head(name);
        for (operation, sums) in &bytes {
            page.line(name.name, "", operation_labels(*operation), sums[index]);
        }
    }
}

fn device_family(page: &mut Page, rows: &Rows<'_>, shared: &Shared) {
    classes(page, &names::DEVICE_REQUESTS, rows, device_labels);
    page.head(&names::DEVICE_WITHIN_OBJECTIVE);
    for (key, series) in rows {
        let name = names::DEVICE_WITHIN_OBJECTIVE.name;
        page.line(name, "", device_labels(key), series.within_objective);
    }
    let boundaries = boundaries(&shared.layout.few_ns());
    page.head(&names::DEVICE_DURATION);
    for (key, series) in rows {
        let name = names::DEVICE_DURATION.name;
        let mut so_far = 0;
        for (boundary, count) in boundaries.iter().zip(shared.layout.few(&series.exposed)) {
            so_far += count;
            let le = std::iter::once(("le", boundary.as_str()));
            page.line(name, "_bucket", device_labels(key).chain(le), so_far);
        }
        page.line(name, "_sum", device_labels(key), seconds(series.sum_ns));
        page.line(name, "_count", device_labels(key), series.requests());
    }
}

fn counters(page: &mut Page, metrics: &Metrics) {
    for group in &GROUPS {
        page.head(group.name);
        let sum =
            |index: usize| metrics.shards().iter().map(|shard| shard.counter(index)).sum::<u64>();
        if group.values.is_empty() {
            page.line(group.name.name, "", std::iter::empty(), sum(group.start));
        }
        for (value, index) in group.values.iter().zip(group.start..) {
            let label = group.name.labels.iter().map(|label| (*label, *value));
            page.line(group.name.name, "", label, sum(index));
        }
    }
    // By name first, so that the lines of a metric stand together under its head.
    let mut labelled: BTreeMap<&str, BTreeMap<(Arc<str>, &str), u64>> = BTreeMap::new();
    for cell in metrics.shards().iter().flat_map(|shard| shard.labelled()) {
        let of_name = labelled.entry(cell.name.name).or_default();
        *of_name.entry((cell.value, cell.second)).or_default() += cell.count;
    }
    for name in &LABELLED {
        page.head(name);
        for ((value, second), count) in labelled.get(name.name).into_iter().flatten() {
            let labels = name.labels.iter().copied().zip([&**value, *second]);
            page.line(name.name, "", labels, count);
        }
    }
}

fn cold_starts(page: &mut Page, metrics: &Metrics) {
    let name = &names::APP_START_COLD;
    let starts = metrics.app_starts().cumulative();
    let boundaries = boundaries(&starts.bounds_ns);
    page.head(name);
    for row in &starts.rows {
        let labels = || name.labels.iter().copied().zip([&*row.device_model, &*row.app_version]);
        let mut so_far = 0;
        for (boundary, count) in boundaries.iter().zip(&row.exposed) {
            so_far += count;
            let le = std::iter::once(("le", boundary.as_str()));
            page.line(name.name, "_bucket", labels().chain(le), so_far);
        }
        page.line(name.name, "_sum", labels(), row.sum_seconds);
        page.line(name.name, "_count", labels(), row.count);
    }
}

/// Counters whose label values only configuration knows, in the order they are written.
pub(crate) static LABELLED: [&Name; 14] = [
    &names::PROBLEMS,
    &names::LIMIT_REFUSED,
    &names::LIMIT_KEYS_FOLDED,
    &names::UPSTREAM_CONNECTS,
    &names::UPSTREAM_ERRORS,
    &names::UPSTREAM_RETRIES,
    &names::RETRY_BUDGET_EXHAUSTED,
    &names::UPSTREAM_HEDGED,
    &names::UPSTREAM_EJECTIONS,
    &names::HEALTH_CHECKS,
    &names::BREAKERS_OPENED,
    &names::BREAKER_REFUSED,
    &names::ADMISSION_WAITED,
    &names::ADMISSION_SHED,
];

/// Seconds, shortest form. Division last, so that 300,000,000 ns is exactly `0.3`.
fn seconds(ns: u128) -> f64 {
    ns as f64 / 1e9
}
