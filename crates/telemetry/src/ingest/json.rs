//! OTLP in JSON (protobuf's JSON mapping with the differences of the OTLP specification: ids in
//! hexadecimal, keys in lowerCamelCase, 64-bit numbers as text or number, unknown keys ignored).
//!
//! Lists are read one element at a time, so that memory stays what one element takes.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::ingest::model::{
    APP_START_COLD, Attributes, BUCKETS_PER_POINT_MAX, MetricBatch, MetricIn, RawPoint, RawSpan,
    ResourceIn, Scalar, Shape, TraceBatch, seconds_in,
};

type Read<T = ()> = Result<T, serde_json::Error>;
/// A part of the body that is read later.
type Part<'a> = Option<&'a RawValue>;

/// Calls `take` with each element of a list; null and nothing are no elements.
fn each<'a>(list: Part<'a>, take: impl FnMut(&'a RawValue) -> Read) -> Read {
    struct Each<F>(F);
    impl<'de, F: FnMut(&'de RawValue) -> Read> Visitor<'de> for Each<F> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list")
        }

        fn visit_unit<E>(self) -> Result<(), E> {
            Ok(())
        }

        fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
            while let Some(element) = list.next_element::<&'de RawValue>()? {
                (self.0)(element).map_err(A::Error::custom)?;
            }
            Ok(())
        }
    }
    let Some(list) = list else { return Ok(()) };
    let mut reader = serde_json::Deserializer::from_str(list.get());
    reader.deserialize_any(Each(take))
}

fn read<'a, T: Deserialize<'a>>(part: &'a RawValue) -> Read<T> {
    serde_json::from_str(part.get())
}

macro_rules! object {
    ($name:ident { $($field:ident: $kind:ty,)+ }) => {
        #[derive(Default, serde::Deserialize)]
        #[serde(default, rename_all = "camelCase")]
        struct $name<'a> { $(#[serde(borrow)] $field: $kind,)+ }
    };
}

object!(TracesRequest { resource_spans: Part<'a>, });
object!(ResourceSpans { resource: Part<'a>, scope_spans: Part<'a>, });
object!(ScopeSpans { spans: Part<'a>, });
object!(MetricsRequest { resource_metrics: Part<'a>, });
object!(ResourceMetrics { resource: Part<'a>, scope_metrics: Part<'a>, });
object!(ScopeMetrics { metrics: Part<'a>, });
object!(LogsRequest { resource_logs: Part<'a>, });
object!(ResourceLogs { scope_logs: Part<'a>, });
object!(ScopeLogs { log_records: Part<'a>, });
object!(Resource { attributes: Part<'a>, });

/// An integer as number or text. Names of enumerations are refused, as the specification says.
#[derive(Clone, Copy, Debug, Default)]
struct Int(i64);

impl<'de> Deserialize<'de> for Int {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl Visitor<'_> for Any {
            type Value = Int;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number")
            }

            fn visit_unit<E>(self) -> Result<Int, E> {
                Ok(Int(0))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Int, E> {
                Ok(Int(number))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Int, E> {
                Ok(Int(number.cast_signed()))
            }

            fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Int, E> {
                let whole = number.fract() == 0.0 && number.abs() < 9e15;
                if whole { Ok(Int(number as i64)) } else { Err(E::custom("not a whole number")) }
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Int, E> {
                let signed = text.parse::<i64>();
                let number = signed.or_else(|_| text.parse::<u64>().map(u64::cast_signed));
                number.map(Int).map_err(|_| E::custom("not a whole number"))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// A number, also as text: JSON has neither infinity nor what is not a number.
#[derive(Clone, Copy, Debug, Default)]
struct Real(f64);

impl<'de> Deserialize<'de> for Real {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl Visitor<'_> for Any {
            type Value = Real;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number")
            }

            fn visit_i64<E>(self, number: i64) -> Result<Real, E> {
                Ok(Real(number as f64))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Real, E> {
                Ok(Real(number as f64))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Real, E> {
                Ok(Real(number))
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Real, E> {
                let number = match text {
                    "Infinity" => Ok(f64::INFINITY),
                    "-Infinity" => Ok(f64::NEG_INFINITY),
                    text => text.parse(),
                };
                number.map(Real).map_err(|_| E::custom("not a number"))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct KeyValue<'a> {
    #[serde(borrow)]
    key: Cow<'a, str>,
    #[serde(borrow)]
    value: Option<AnyValue<'a>>,
}

#[derive(Default, serde::Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct AnyValue<'a> {
    #[serde(borrow)]
    string_value: Option<Cow<'a, str>>,
    bool_value: Option<bool>,
    int_value: Option<Int>,
    double_value: Option<Real>,
}

fn attributes<'a>(list: Part<'a>, into: &mut impl Attributes<'a>) -> Read {
    each(list, |part| {
        let KeyValue { key, value } = read(part)?;
        let scalar = match value.unwrap_or_default() {
            AnyValue { string_value: Some(text), .. } => Scalar::Text(text),
            AnyValue { int_value: Some(Int(number)), .. } => Scalar::Int(number),
            AnyValue { double_value: Some(Real(number)), .. } => Scalar::Double(number),
            AnyValue { bool_value: Some(value), .. } => Scalar::Bool(value),
            _ => Scalar::Other,
        };
        into.put(&key, scalar);
        Ok(())
    })
}

fn resource(part: Part<'_>) -> Read<ResourceIn<'_>> {
    let mut resource = ResourceIn::default();
    if let Some(part) = part
        && let Some(inside) = read::<Option<Resource<'_>>>(part)?
    {
        attributes(inside.attributes, &mut resource)?;
    }
    Ok(resource)
}

#[derive(Default, serde::Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct SpanJson<'a> {
    #[serde(borrow)]
    trace_id: Cow<'a, str>,
    #[serde(borrow)]
    span_id: Cow<'a, str>,
    #[serde(borrow)]
    parent_span_id: Option<Cow<'a, str>>,
    kind: Int,
    start_time_unix_nano: Int,
    end_time_unix_nano: Int,
    #[serde(borrow)]
    attributes: Part<'a>,
}

/// Hexadecimal digits of either case; none where there are more or fewer than it takes.
fn id<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut id = [0; N];
    if text.len() != 2 * N || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, at) in id.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(text.get(at..at + 2)?, 16).ok()?;
    }
    Some(id)
}

/// `ExportTraceServiceRequest`.
pub(crate) fn traces(body: &str) -> Read<TraceBatch> {
    let mut batch = TraceBatch::default();
    let request: TracesRequest<'_> = serde_json::from_str(body)?;
    each(request.resource_spans, |part| {
        let inside: ResourceSpans<'_> = read(part)?;
        let resource = resource(inside.resource)?;
        each(inside.scope_spans, |part| {
            let inside: ScopeSpans<'_> = read(part)?;
            each(inside.spans, |part| {
                if !batch.has_room() {
                    return Ok(());
                }
                let json: SpanJson<'_> = read(part)?;
                let mut span = RawSpan {
                    trace: id(&json.trace_id),
                    id: id(&json.span_id),
                    parent: json.parent_span_id.as_deref().and_then(id),
                    kind: json.kind.0,
                    start: json.start_time_unix_nano.0.cast_unsigned(),
                    end: json.end_time_unix_nano.0.cast_unsigned(),
                    ..RawSpan::default()
                };
                attributes(json.attributes, &mut span.attributes)?;
                batch.push(&resource, &span);
                Ok(())
            })
        })
    })?;
    Ok(batch)
}

#[derive(Default, serde::Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct MetricJson<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    unit: Cow<'a, str>,
    #[serde(borrow)]
    gauge: Option<Data<'a>>,
    #[serde(borrow)]
    sum: Option<Data<'a>>,
    #[serde(borrow)]
    histogram: Option<Data<'a>>,
    #[serde(borrow)]
    exponential_histogram: Option<Data<'a>>,
    #[serde(borrow)]
    summary: Option<Data<'a>>,
}

#[derive(Clone, Copy, Default, serde::Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Data<'a> {
    #[serde(borrow)]
    data_points: Part<'a>,
    aggregation_temporality: Int,
}

#[derive(Default, serde::Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PointJson<'a> {
    start_time_unix_nano: Int,
    #[serde(borrow)]
    attributes: Part<'a>,
    as_double: Option<Real>,
    as_int: Option<Int>,
    count: Int,
    sum: Option<Real>,
    #[serde(borrow)]
    bucket_counts: Part<'a>,
    #[serde(borrow)]
    explicit_bounds: Part<'a>,
    scale: Int,
    zero_count: Int,
    #[serde(borrow)]
    positive: Option<BucketsJson<'a>>,
    flags: Int,
}

#[derive(Default, serde::Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct BucketsJson<'a> {
    offset: Int,
    #[serde(borrow)]
    bucket_counts: Part<'a>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Gauge,
    Explicit,
    Exponential,
    Other,
}

/// `ExportMetricsServiceRequest`.
pub(crate) fn metrics(body: &str) -> Read<MetricBatch> {
    let mut batch = MetricBatch::default();
    let request: MetricsRequest<'_> = serde_json::from_str(body)?;
    each(request.resource_metrics, |part| {
        let inside: ResourceMetrics<'_> = read(part)?;
        let resource = resource(inside.resource)?;
        each(inside.scope_metrics, |part| {
            let inside: ScopeMetrics<'_> = read(part)?;
            each(inside.metrics, |part| metric(part, &resource, &mut batch))
        })
    })?;
    Ok(batch)
}

fn metric(part: &RawValue, resource: &ResourceIn<'_>, batch: &mut MetricBatch) -> Read {
    let json: MetricJson<'_> = read(part)?;
    let forms = [
        (json.gauge, Form::Gauge),
        (json.histogram, Form::Explicit),
        (json.exponential_histogram, Form::Exponential),
        (json.sum, Form::Other),
        (json.summary, Form::Other),
    ];
    let found = forms.into_iter().find_map(|(data, form)| Some((data?, form)));
    let Some((data, form)) = found else { return Ok(()) };
    let scale = seconds_in(&json.unit);
    let metric = MetricIn { scale, cumulative: data.aggregation_temporality.0 == 2 };
    each(data.data_points, |part| {
        if json.name != APP_START_COLD {
            batch.received += 1;
            return Ok(());
        }
        if !batch.has_room() {
            return Ok(());
        }
        if form == Form::Other {
            batch.received += 1;
            batch.reject("app.start.cold is a histogram or a gauge");
            return Ok(());
        }
        batch.push(resource, metric, point(part, form)?);
        Ok(())
    })
}

fn numbers<'a, T: Deserialize<'a>, N>(list: Part<'a>, of: fn(T) -> N) -> Read<Vec<N>> {
    let mut numbers = Vec::new();
    each(list, |part| {
        // One beyond the bound is kept, so that it shows.
        if numbers.len() <= BUCKETS_PER_POINT_MAX {
            numbers.push(of(read(part)?));
        }
        Ok(())
    })?;
    Ok(numbers)
}

fn point(part: &RawValue, form: Form) -> Read<RawPoint<'_>> {
    let json: PointJson<'_> = read(part)?;
    let mut point =
        RawPoint { start: json.start_time_unix_nano.0.cast_unsigned(), ..RawPoint::default() };
    attributes(json.attributes, &mut point.attributes)?;
    if json.flags.0 & 1 != 0 {
        return Ok(point);
    }
    let (count, sum) = (json.count.0.cast_unsigned(), json.sum.map(|sum| sum.0));
    let whole: fn(Int) -> u64 = |number| number.0.cast_unsigned();
    point.value = match form {
        Form::Gauge => {
            let whole = json.as_int.map(|number| number.0 as f64);
            let value = json.as_double.map(|number| number.0).or(whole);
            value.map_or(Shape::None, Shape::Gauge)
        }
        Form::Explicit => {
            let counts = numbers(json.bucket_counts, whole)?;
            let bounds = numbers(json.explicit_bounds, |bound: Real| bound.0)?;
            point.too_wide = counts.len() > BUCKETS_PER_POINT_MAX;
            Shape::Explicit { count, sum, bounds, counts }
        }
        Form::Exponential => {
            let positive = json.positive.unwrap_or_default();
            let counts = numbers(positive.bucket_counts, whole)?;
            point.too_wide = counts.len() > BUCKETS_PER_POINT_MAX;
            let (scale, offset) = (small(json.scale), small(positive.offset));
            let zero = json.zero_count.0.cast_unsigned();
            Shape::Exponential { count, sum, scale, zero, offset, counts }
        }
        Form::Other => Shape::None,
    };
    Ok(point)
}

fn small(number: Int) -> i32 {
    i32::try_from(number.0).unwrap_or(if number.0 < 0 { i32::MIN } else { i32::MAX })
}

/// `ExportLogsServiceRequest`: how many records it holds.
pub(crate) fn logs(body: &str) -> Read<u64> {
    let mut records = 0;
    let request: LogsRequest<'_> = serde_json::from_str(body)?;
    each(request.resource_logs, |part| {
        let inside: ResourceLogs<'_> = read(part)?;
        each(inside.scope_logs, |part| {
            let inside: ScopeLogs<'_> = read(part)?;
            each(inside.log_records, |_| {
                records += 1;
                Ok(())
            })
        })
    })?;
    Ok(records)
}
