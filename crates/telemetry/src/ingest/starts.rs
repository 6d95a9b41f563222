//! Cold starts of the app, by device model and app version, since the process began.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use plimsoll_base::Nanos;
use serde::Serialize;

use crate::histogram::{BUCKETS, EXPOSED_MAX, Layout};
use crate::ingest::model::{Point, Shape};
use crate::label::OTHER;
use crate::shard::lock;

/// Pairs of device model and app version told apart; the rest count as `other`.
pub const START_SERIES_MAX: usize = 512;
/// A pair that no start came from for so long makes room for a new one.
const SERIES_IDLE_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Senders of cumulative figures whose last ones are remembered.
pub const STREAMS_MAX: usize = 4_096;
/// A sender that was silent for so long makes room for a new one.
const STREAM_IDLE_MAX: Duration = Duration::from_secs(60 * 60);
/// Longer starts are counted as this long.
const START_MAX_SECONDS: f64 = 600.0;
/// Starts in one data point: sums of them cannot overflow.
const STARTS_PER_POINT_MAX: u64 = 1_000_000_000;
/// The boundary that matters most: Google's line for a slow cold start is five seconds, ours two.
const OBJECTIVE: Duration = Duration::from_secs(2);

#[derive(Debug)]
struct Series {
    buckets: Box<[u64; BUCKETS]>,
    sum_seconds: f64,
    born: Nanos,
    seen: Nanos,
}

/// What a cumulative sender said last.
#[derive(Debug)]
struct Stream {
    start: u64,
    seen: Nanos,
    last: Last,
}

#[derive(Debug)]
enum Last {
    Gauge(u64),
    Counts { buckets: Vec<(u8, u64)>, sum: f64 },
}

#[derive(Debug)]
struct Inner {
    layout: Layout,
    series: HashMap<(Arc<str>, Arc<str>), Series>,
    streams: HashMap<u64, Stream>,
}

/// All cold starts.
#[derive(Debug)]
pub(crate) struct AppStarts {
    inner: Mutex<Inner>,
}

impl Default for AppStarts {
    fn default() -> Self {
        let layout = Layout::new(OBJECTIVE);
        let (series, streams) = (HashMap::new(), HashMap::new());
        Self { inner: Mutex::new(Inner { layout, series, streams }) }
    }
}

/// Starts of one device model and app version, for the exposition.
pub(crate) struct Row {
    pub(crate) device_model: Arc<str>,
    pub(crate) app_version: Arc<str>,
    pub(crate) count: u64,
    pub(crate) sum_seconds: f64,
    /// By exposed boundary, not yet cumulative; `+Inf` last.
    pub(crate) exposed: Vec<u64>,
    pub(crate) born: Nanos,
}

pub(crate) struct Rows {
    pub(crate) bounds_ns: Vec<u64>,
    pub(crate) rows: Vec<Row>,
}

/// Cold starts of one device model and app version.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ColdStarts {
    /// The device's model, `unknown` or `other`.
    pub device_model: Arc<str>,
    /// The app's version, `unknown` or `other`.
    pub app_version: Arc<str>,
    /// Starts.
    pub starts: u64,
    /// Median in seconds.
    pub p50_seconds: f64,
    /// 95th percentile in seconds.
    pub p95_seconds: f64,
    /// Seconds since one was last reported.
    pub age_seconds: f64,
}

impl AppStarts {
    /// Counts a point; says why where it cannot.
    pub(crate) fn push(&self, point: &Point, now: Nanos) -> Result<(), &'static str> {
        let mut guard = lock(&self.inner);
        let inner = &mut *guard;
        let Some((buckets, sum)) = converted(&inner.layout, point)? else { return Ok(()) };
        let (buckets, sum) = match &point.value {
            Shape::Gauge(value) => {
                // A gauge is sent again at every interval; only another value is another start.
                let last = Last::Gauge(value.to_bits());
                let known = inner.known(point, now, last)?;
                if matches!(known, Some(Last::Gauge(bits)) if bits == value.to_bits()) {
                    return Ok(());
                }
                (buckets, sum)
            }
            _ if point.cumulative => {
                let last = Last::Counts { buckets: buckets.clone(), sum };
                match inner.known(point, now, last)? {
                    Some(Last::Counts { buckets: before, sum: sum_before }) => {
                        grown(buckets, sum, &before, sum_before)
                    }
                    _ => (buckets, sum),
                }
            }
            _ => (buckets, sum),
        };
        inner.add(point, &buckets, sum, now);
        Ok(())
    }

    pub(crate) fn cumulative(&self) -> Rows {
        let inner = lock(&self.inner);
        let bounds_ns = inner.layout.exposed_ns().to_vec();
        let row = |((model, version), series): (&(Arc<str>, Arc<str>), &Series)| {
            let mut exposed = vec![0; bounds_ns.len().min(EXPOSED_MAX) + 1];
            for (bucket, many) in series.buckets.iter().enumerate() {
                exposed[inner.layout.exposed_bucket(bucket)] += many;
            }
            Row {
                device_model: Arc::clone(model),
                app_version: Arc::clone(version),
                count: series.buckets.iter().sum(),
                sum_seconds: series.sum_seconds,
                exposed,
                born: series.born,
            }
        };
        let mut rows: Vec<Row> = inner.series.iter().map(row).collect();
        rows.sort_unstable_by(|a, b| {
            (&a.device_model, &a.app_version).cmp(&(&b.device_model, &b.app_version))
        });
        Rows { bounds_ns, rows }
    }

    /// Most starts first.
    pub(crate) fn overview(&self, now: Nanos) -> Vec<ColdStarts> {
        let inner = lock(&self.inner);
        let quantile =
            |series: &Series, q| inner.layout.quantile(&series.buckets, q).unwrap_or(0.0);
        let mut rows: Vec<ColdStarts> = inner
            .series
            .iter()
            .map(|((model, version), series)| ColdStarts {
                device_model: Arc::clone(model),
                app_version: Arc::clone(version),
                starts: series.buckets.iter().sum(),
                p50_seconds: quantile(series, 0.5),
                p95_seconds: quantile(series, 0.95),
                age_seconds: now.since(series.seen).as_secs_f64(),
            })
            .filter(|row| row.starts > 0)
            .collect();
        rows.sort_by(|a, b| {
            b.starts
                .cmp(&a.starts)
                .then_with(|| a.device_model.cmp(&b.device_model))
                .then_with(|| a.app_version.cmp(&b.app_version))
        });
        rows
    }
}

impl Inner {
    /// What this sender said last, if it is the same life of it; remembers what it says now.
    fn known(
        &mut self,
        point: &Point,
        now: Nanos,
        last: Last,
    ) -> Result<Option<Last>, &'static str> {
        if !self.streams.contains_key(&point.stream) && self.streams.len() >= STREAMS_MAX {
            self.streams.retain(|_, stream| now.since(stream.seen) < STREAM_IDLE_MAX);
            if self.streams.len() >= STREAMS_MAX {
                return Err("too many senders of cumulative figures; send deltas");
            }
        }
        let stream = Stream { start: point.start, seen: now, last };
        let before = self.streams.insert(point.stream, stream);
        Ok(before.filter(|before| before.start == point.start).map(|before| before.last))
    }

    fn add(&mut self, point: &Point, buckets: &[(u8, u64)], sum: f64, now: Nanos) {
        if buckets.iter().all(|(_, many)| *many == 0) {
            return;
        }
        let mut key = (Arc::clone(&point.device_model), Arc::clone(&point.version));
        if !self.series.contains_key(&key) && self.series.len() >= START_SERIES_MAX {
            self.series.retain(|_, series| now.since(series.seen) < SERIES_IDLE_MAX);
            if self.series.len() >= START_SERIES_MAX {
                key = (OTHER.into(), OTHER.into());
            }
        }
        let series = self.series.entry(key).or_insert_with(|| Series {
            buckets: Box::new([0; BUCKETS]),
            sum_seconds: 0.0,
            born: now,
            seen: now,
        });
        for (bucket, many) in buckets {
            let count = &mut series.buckets[usize::from(*bucket)];
            *count = count.saturating_add(*many);
        }
        series.sum_seconds += sum;
        series.seen = now;
    }
}

type Converted = (Vec<(u8, u64)>, f64);

/// A point in our buckets, and the sum of its values in seconds. A sender's bucket counts at the
/// middle of its bounds: the figures are as exact as its buckets are narrow.
fn converted(layout: &Layout, point: &Point) -> Result<Option<Converted>, &'static str> {
    let mut buckets: Vec<(u8, u64)> = Vec::new();
    let (mut total, mut middles) = (0u64, 0.0f64);
    let mut put = |value: f64, many: u64| {
        if many == 0 {
            return;
        }
        let seconds = (value * point.scale).clamp(0.0, START_MAX_SECONDS);
        let bucket = u8::try_from(layout.bucket((seconds * 1e9) as u64)).unwrap_or(u8::MAX);
        match buckets.iter_mut().find(|(known, _)| *known == bucket) {
            Some((_, count)) => *count = count.saturating_add(many),
            None => buckets.push((bucket, many)),
        }
        total = total.saturating_add(many);
        middles += seconds * many as f64;
    };
    let said = match &point.value {
        Shape::None => return Ok(None),
        Shape::Gauge(value) => {
            if !value.is_finite() || *value < 0.0 {
                return Err("a cold start that is no time");
            }
            put(*value, 1);
            None
        }
        Shape::Explicit { count, sum, bounds, counts } => {
            explicit(*count, *sum, bounds, counts, &mut put)?;
            Some((*count, *sum))
        }
        Shape::Exponential { count, sum, scale, zero, offset, counts } => {
            put(0.0, *zero);
            for (index, many) in (0i64..).zip(counts) {
                // The middle of (base^i, base^(i+1)], base = 2^(2^-scale), on a logarithmic scale.
                let at = (i64::from(*offset) + index) as f64 + 0.5;
                put((at * 2f64.powi(scale.saturating_neg())).exp2(), *many);
            }
            Some((*count, *sum))
        }
    };
    if total > STARTS_PER_POINT_MAX {
        return Err("more starts in one point than phones can make");
    }
    if said.is_some_and(|(count, _)| count != total) {
        return Err("a histogram whose counts do not add up");
    }
    let sum = said.and_then(|(_, sum)| sum).map(|sum| sum * point.scale);
    let sum = sum.filter(|sum| sum.is_finite() && *sum >= 0.0).unwrap_or(middles);
    let sum = sum.min(total as f64 * START_MAX_SECONDS);
    Ok(Some((buckets, sum)))
}

fn explicit(
    count: u64,
    sum: Option<f64>,
    bounds: &[f64],
    counts: &[u64],
    put: &mut impl FnMut(f64, u64),
) -> Result<(), &'static str> {
    let rising = bounds.windows(2).all(|pair| pair[0] < pair[1]);
    if !rising || bounds.iter().any(|bound| bound.is_nan()) {
        return Err("a histogram whose bounds do not rise");
    }
    if counts.is_empty() && bounds.is_empty() {
        // Allowed: only sum and count are known, so all are the mean.
        put(sum.unwrap_or(0.0) / count.max(1) as f64, count);
        return Ok(());
    }
    if counts.len() != bounds.len() + 1 {
        return Err("a histogram whose counts do not fit its bounds");
    }
    for (index, many) in counts.iter().enumerate() {
        let low = index.checked_sub(1).and_then(|below| bounds.get(below)).copied();
        let low = low.unwrap_or(0.0).max(0.0);
        let middle = bounds.get(index).map_or(low, |high| f64::midpoint(low, high.max(low)));
        put(middle, *many);
    }
    Ok(())
}

/// What came since the last cumulative point; all of it where that was larger, because then the
/// sender has begun anew without saying so.
fn grown(buckets: Vec<(u8, u64)>, sum: f64, before: &[(u8, u64)], sum_before: f64) -> Converted {
    let now = |bucket: u8| buckets.iter().find(|(b, _)| *b == bucket).map_or(0, |(_, n)| *n);
    if before.iter().any(|(bucket, many)| now(*bucket) < *many) {
        return (buckets, sum);
    }
    let was = |bucket: u8| before.iter().find(|(b, _)| *b == bucket).map_or(0, |(_, n)| *n);
    let grown = buckets.iter().map(|(bucket, many)| (*bucket, many - was(*bucket))).collect();
    (grown, (sum - sum_before).max(0.0))
}

#[cfg(test)]
mod tests;
