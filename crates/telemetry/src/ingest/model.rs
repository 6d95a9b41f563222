//! What is taken out of a request, whichever encoding it came in.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use crate::ingest::statement::{Said, normalise};
use crate::label::clean;

/// Spans of one request that are kept; the rest is rejected, and the answer says so.
pub const SPANS_PER_REQUEST_MAX: usize = 10_000;
/// Data points of one request that are kept; the rest is rejected, and the answer says so.
pub const POINTS_PER_REQUEST_MAX: usize = 2_000;
/// Buckets of one histogram point; one with more is rejected.
pub const BUCKETS_PER_POINT_MAX: usize = 512;
/// Statements of one request that are remembered while it is read.
const STATEMENTS_REMEMBERED_MAX: usize = 1_024;

/// The metric that apps report cold starts by.
pub const APP_START_COLD: &str = "app.start.cold";

const KIND_SERVER: i64 = 2;
const KIND_CLIENT: i64 = 3;

/// A value of an attribute, as far as any is read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Scalar<'a> {
    Text(Cow<'a, str>),
    Int(i64),
    Double(f64),
    Bool(bool),
    Other,
}

/// Takes the attributes it knows.
pub(crate) trait Attributes<'a> {
    fn put(&mut self, key: &str, value: Scalar<'a>);
}

/// Keeps `value` where it is a text and nothing better is there.
fn text<'a>(slot: &mut Option<Cow<'a, str>>, value: Scalar<'a>, better: bool) {
    if let Scalar::Text(text) = value
        && (better || slot.is_none())
        && !text.is_empty()
    {
        *slot = Some(text);
    }
}

/// The same for all attributes in any order.
fn hash(key: &str, value: &Scalar<'_>) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    match value {
        Scalar::Text(text) => text.hash(&mut hasher),
        Scalar::Int(number) => number.hash(&mut hasher),
        Scalar::Double(number) => number.to_bits().hash(&mut hasher),
        Scalar::Bool(value) => value.hash(&mut hasher),
        Scalar::Other => {}
    }
    hasher.finish()
}

/// Who sends.
#[derive(Clone, Debug, Default)]
pub(crate) struct ResourceIn<'a> {
    pub(crate) service: Option<Cow<'a, str>>,
    pub(crate) version: Option<Cow<'a, str>>,
    pub(crate) device_model: Option<Cow<'a, str>>,
    pub(crate) identity: u64,
}

impl<'a> Attributes<'a> for ResourceIn<'a> {
    fn put(&mut self, key: &str, value: Scalar<'a>) {
        self.identity = self.identity.wrapping_add(hash(key, &value));
        match key {
            "service.name" => text(&mut self.service, value, true),
            "app.version" => text(&mut self.version, value, true),
            "service.version" => text(&mut self.version, value, false),
            "device.model.identifier" => text(&mut self.device_model, value, true),
            "device.model.name" => text(&mut self.device_model, value, false),
            _ => {}
        }
    }
}

/// What a span says of itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct SpanAttributes<'a> {
    method: Option<Cow<'a, str>>,
    route: Option<Cow<'a, str>>,
    system: Option<Cow<'a, str>>,
    query: Option<Cow<'a, str>>,
    operation: Option<Cow<'a, str>>,
    collection: Option<Cow<'a, str>>,
}

impl<'a> Attributes<'a> for SpanAttributes<'a> {
    fn put(&mut self, key: &str, value: Scalar<'a>) {
        match key {
            "http.request.method" => text(&mut self.method, value, true),
            "http.method" => text(&mut self.method, value, false),
            "http.route" => text(&mut self.route, value, true),
            "db.system.name" => text(&mut self.system, value, true),
            "db.system" => text(&mut self.system, value, false),
            "db.query.text" => text(&mut self.query, value, true),
            "db.statement" => text(&mut self.query, value, false),
            "db.operation.name" => text(&mut self.operation, value, true),
            "db.operation" => text(&mut self.operation, value, false),
            "db.collection.name" => text(&mut self.collection, value, true),
            "db.sql.table" | "db.mongodb.collection" => text(&mut self.collection, value, false),
            _ => {}
        }
    }
}

/// A span as it stands in a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct RawSpan<'a> {
    pub(crate) trace: Option<[u8; 16]>,
    pub(crate) id: Option<[u8; 8]>,
    pub(crate) parent: Option<[u8; 8]>,
    pub(crate) kind: i64,
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) attributes: SpanAttributes<'a>,
}

/// A span as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Span {
    pub(crate) trace: [u8; 16],
    pub(crate) id: u64,
    /// Zero for none.
    pub(crate) parent: u64,
    pub(crate) service: Arc<str>,
    pub(crate) what: What,
}

/// What a span is to us.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum What {
    /// A step between others.
    Step,
    /// A request that a service served, with its route where it says one.
    Server(Option<Arc<str>>),
    /// A call to a database.
    Call { statement: Arc<str>, ns: u64 },
}

/// The spans of one request.
#[derive(Debug, Default)]
pub(crate) struct TraceBatch {
    pub(crate) spans: Vec<Span>,
    pub(crate) received: u64,
    pub(crate) rejected: u64,
    pub(crate) why: Option<&'static str>,
    statements: HashMap<String, Arc<str>>,
    services: HashMap<String, Arc<str>>,
}

impl TraceBatch {
    /// Whether a further span would be kept: one that is not need not be read.
    pub(crate) fn has_room(&mut self) -> bool {
        if self.spans.len() < SPANS_PER_REQUEST_MAX {
            return true;
        }
        self.received += 1;
        self.reject("more than 10000 spans in one request; send smaller batches");
        false
    }

    fn reject(&mut self, why: &'static str) {
        self.rejected += 1;
        self.why.get_or_insert(why);
    }

    pub(crate) fn push(&mut self, resource: &ResourceIn<'_>, raw: &RawSpan<'_>) {
        self.received += 1;
        let ids = raw.trace.zip(raw.id).filter(|(trace, id)| *trace != [0; 16] && *id != [0; 8]);
        let Some((trace, id)) = ids else {
            return self.reject("a span without a valid trace id and span id");
        };
        let service = resource.service.as_deref().unwrap_or(crate::label::UNKNOWN);
        let service = remembered(&mut self.services, service, |text| clean(text).into_owned());
        let said = &raw.attributes;
        let what = match (raw.kind, said.system.as_deref()) {
            (KIND_CLIENT, Some(system)) => {
                let ns = raw.end.saturating_sub(raw.start);
                What::Call { statement: self.statement(system, said), ns }
            }
            (KIND_SERVER, _) => What::Server(said.route.as_deref().map(|route| {
                let method = said.method.as_deref().unwrap_or("ANY");
                clean(&format!("{method} {route}")).as_ref().into()
            })),
            _ => What::Step,
        };
        let parent = u64::from_be_bytes(raw.parent.unwrap_or_default());
        self.spans.push(Span { trace, id: u64::from_be_bytes(id), parent, service, what });
    }

    fn statement(&mut self, system: &str, said: &SpanAttributes<'_>) -> Arc<str> {
        let said = Said {
            system,
            text: said.query.as_deref(),
            operation: said.operation.as_deref(),
            collection: said.collection.as_deref(),
        };
        // A request with an N+1 in it holds the same statement many times, usually to the letter.
        let key = format!(
            "{system}\n{}\n{}\n{}",
            said.text.unwrap_or_default(),
            said.operation.unwrap_or_default(),
            said.collection.unwrap_or_default()
        );
        remembered(&mut self.statements, &key, |_| normalise(said))
    }
}

fn remembered(
    known: &mut HashMap<String, Arc<str>>,
    key: &str,
    make: impl FnOnce(&str) -> String,
) -> Arc<str> {
    if let Some(value) = known.get(key) {
        return Arc::clone(value);
    }
    let value: Arc<str> = make(key).into();
    if known.len() < STATEMENTS_REMEMBERED_MAX {
        known.insert(key.to_owned(), Arc::clone(&value));
    }
    value
}

/// What a data point says of itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct PointAttributes<'a> {
    version: Option<Cow<'a, str>>,
    device_model: Option<Cow<'a, str>>,
    identity: u64,
}

impl<'a> Attributes<'a> for PointAttributes<'a> {
    fn put(&mut self, key: &str, value: Scalar<'a>) {
        self.identity = self.identity.wrapping_add(hash(key, &value));
        match key {
            "app.version" => text(&mut self.version, value, true),
            "service.version" => text(&mut self.version, value, false),
            "device.model.identifier" => text(&mut self.device_model, value, true),
            "device.model.name" => text(&mut self.device_model, value, false),
            _ => {}
        }
    }
}

/// A data point as it stands in a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct RawPoint<'a> {
    pub(crate) start: u64,
    pub(crate) attributes: PointAttributes<'a>,
    pub(crate) value: Shape,
    /// More buckets than are read.
    pub(crate) too_wide: bool,
}

/// What was measured.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Shape {
    /// Nothing: a flag says that there was no value.
    #[default]
    None,
    /// One value.
    Gauge(f64),
    /// Counts up to bounds.
    Explicit { count: u64, sum: Option<f64>, bounds: Vec<f64>, counts: Vec<u64> },
    /// Counts in powers of a base.
    Exponential {
        count: u64,
        sum: Option<f64>,
        scale: i32,
        zero: u64,
        offset: i32,
        counts: Vec<u64>,
    },
}

/// A data point as it is kept: of a cold start, since nothing else is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Point {
    /// Tells one sender's series from another's.
    pub(crate) stream: u64,
    pub(crate) device_model: Arc<str>,
    pub(crate) version: Arc<str>,
    /// Seconds a unit of the value is.
    pub(crate) scale: f64,
    pub(crate) cumulative: bool,
    pub(crate) start: u64,
    pub(crate) value: Shape,
}

/// What a metric says of itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MetricIn {
    pub(crate) scale: f64,
    pub(crate) cumulative: bool,
}

/// Seconds in a unit as UCUM writes it; apps that say none mean seconds.
pub(crate) fn seconds_in(unit: &str) -> f64 {
    match unit {
        "ms" | "{ms}" | "millisecond" | "milliseconds" => 1e-3,
        "us" | "µs" => 1e-6,
        "ns" => 1e-9,
        "min" => 60.0,
        _ => 1.0,
    }
}

/// The data points of one request.
#[derive(Debug, Default)]
pub(crate) struct MetricBatch {
    pub(crate) points: Vec<Point>,
    pub(crate) received: u64,
    pub(crate) rejected: u64,
    pub(crate) why: Option<&'static str>,
}

impl MetricBatch {
    pub(crate) fn has_room(&mut self) -> bool {
        if self.points.len() < POINTS_PER_REQUEST_MAX {
            return true;
        }
        self.received += 1;
        self.reject("more than 2000 data points of app.start.cold in one request");
        false
    }

    pub(crate) fn reject(&mut self, why: &'static str) {
        self.rejected += 1;
        self.why.get_or_insert(why);
    }

    pub(crate) fn push(&mut self, resource: &ResourceIn<'_>, metric: MetricIn, raw: RawPoint<'_>) {
        self.received += 1;
        if raw.too_wide {
            return self.reject("a histogram with more than 512 buckets");
        }
        let said = &raw.attributes;
        let model = said.device_model.as_deref().or(resource.device_model.as_deref());
        let version = said.version.as_deref().or(resource.version.as_deref());
        self.points.push(Point {
            stream: resource.identity.rotate_left(1).wrapping_add(said.identity),
            device_model: clean(model.unwrap_or_default()).as_ref().into(),
            version: clean(version.unwrap_or_default()).as_ref().into(),
            scale: metric.scale,
            cumulative: metric.cumulative,
            start: raw.start,
            value: raw.value,
        });
    }
}
