//! OTLP in protocol buffers. Field numbers are those of `opentelemetry-proto` 1.x.

use std::borrow::Cow;

use crate::ingest::model::{
    APP_START_COLD, Attributes, BUCKETS_PER_POINT_MAX, MetricBatch, MetricIn, RawPoint, RawSpan,
    ResourceIn, Scalar, Shape, TraceBatch, seconds_in,
};
use crate::otlp::protobuf::{Malformed, Reader, each};

const CUMULATIVE: u64 = 2;
/// `DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK`.
const NO_VALUE: u64 = 1;

/// `ExportTraceServiceRequest`.
pub(crate) fn traces(body: &[u8]) -> Result<TraceBatch, Malformed> {
    let mut batch = TraceBatch::default();
    each(body, 1, |resource_spans| {
        let resource = resource(resource_spans)?;
        each(resource_spans, 2, |scope_spans| {
            each(scope_spans, 2, |bytes| {
                if batch.has_room() {
                    batch.push(&resource, &span(bytes)?);
                }
                Ok(())
            })
        })
    })?;
    Ok(batch)
}

/// The resource of a `ResourceSpans` or `ResourceMetrics`, wherever it stands in it.
fn resource(message: &[u8]) -> Result<ResourceIn<'_>, Malformed> {
    let mut resource = ResourceIn::default();
    each(message, 1, |bytes| each(bytes, 1, |kv| key_value(kv, &mut resource)))?;
    Ok(resource)
}

fn key_value<'a>(bytes: &'a [u8], into: &mut impl Attributes<'a>) -> Result<(), Malformed> {
    let (mut key, mut scalar) = ("", Scalar::Other);
    let mut reader = Reader::new(bytes);
    while let Some((field, value)) = reader.next()? {
        match field {
            1 => key = value.text()?,
            2 => {
                let mut any = Reader::new(value.bytes()?);
                while let Some((field, value)) = any.next()? {
                    scalar = match field {
                        1 => Scalar::Text(Cow::Borrowed(value.text()?)),
                        2 => Scalar::Bool(value.number()? != 0),
                        3 => Scalar::Int(value.number()?.cast_signed()),
                        4 => Scalar::Double(value.double()?),
                        _ => Scalar::Other,
                    };
                }
            }
            _ => {}
        }
    }
    into.put(key, scalar);
    Ok(())
}

/// An id; none where it has another length, such as no bytes for no parent.
fn id<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    bytes.try_into().ok()
}

fn span(bytes: &[u8]) -> Result<RawSpan<'_>, Malformed> {
    let mut span = RawSpan::default();
    let mut reader = Reader::new(bytes);
    while let Some((field, value)) = reader.next()? {
        match field {
            1 => span.trace = id(value.bytes()?),
            2 => span.id = id(value.bytes()?),
            4 => span.parent = id(value.bytes()?),
            6 => span.kind = value.number()?.cast_signed(),
            7 => span.start = value.number()?,
            8 => span.end = value.number()?,
            9 => key_value(value.bytes()?, &mut span.attributes)?,
            _ => {}
        }
    }
    Ok(span)
}

/// `ExportMetricsServiceRequest`.
pub(crate) fn metrics(body: &[u8]) -> Result<MetricBatch, Malformed> {
    let mut batch = MetricBatch::default();
    each(body, 1, |resource_metrics| {
        let resource = resource(resource_metrics)?;
        each(resource_metrics, 2, |scope_metrics| {
            each(scope_metrics, 2, |bytes| metric(bytes, &resource, &mut batch))
        })
    })?;
    Ok(batch)
}

fn metric(
    bytes: &[u8],
    resource: &ResourceIn<'_>,
    batch: &mut MetricBatch,
) -> Result<(), Malformed> {
    let (mut name, mut scale, mut data) = ("", 1.0, None);
    let mut reader = Reader::new(bytes);
    while let Some((field, value)) = reader.next()? {
        match field {
            1 => name = value.text()?,
            3 => scale = seconds_in(value.text()?),
            5 | 7 | 9 | 10 | 11 => data = Some((field, value.bytes()?)),
            _ => {}
        }
    }
    let Some((kind, data)) = data else { return Ok(()) };
    if name != APP_START_COLD {
        // Everything else is the business of a metrics store: counted, and read no further.
        return each(data, 1, |_| {
            batch.received += 1;
            Ok(())
        });
    }
    let mut cumulative = false;
    let mut reader = Reader::new(data);
    while let Some((field, value)) = reader.next()? {
        if field == 2 {
            cumulative = value.number()? == CUMULATIVE;
        }
    }
    each(data, 1, |bytes| {
        if !batch.has_room() {
            return Ok(());
        }
        let point = match kind {
            5 => gauge(bytes)?,
            9 => explicit(bytes)?,
            10 => exponential(bytes)?,
            _ => {
                batch.received += 1;
                batch.reject("app.start.cold is a histogram or a gauge");
                return Ok(());
            }
        };
        batch.push(resource, MetricIn { scale, cumulative }, point);
        Ok(())
    })
}

/// `NumberDataPoint`.
fn gauge(bytes: &[u8]) -> Result<RawPoint<'_>, Malformed> {
    let (mut point, mut flags) = (RawPoint::default(), 0);
    let mut reader = Reader::new(bytes);
    while let Some((field, value)) = reader.next()? {
        match field {
            2 => point.start = value.number()?,
            4 => point.value = Shape::Gauge(value.double()?),
            6 => point.value = Shape::Gauge(value.number()?.cast_signed() as f64),
            7 => key_value(value.bytes()?, &mut point.attributes)?,
            8 => flags = value.number()?,
            _ => {}
        }
    }
    if flags & NO_VALUE != 0 {
        point.value = Shape::None;
    }
    Ok(point)
}

/// `HistogramDataPoint`.
fn explicit(bytes: &[u8]) -> Result<RawPoint<'_>, Malformed> {
    let mut point = RawPoint::default();
    let (mut count, mut sum, mut flags) = (0, None, 0);
    let (mut counts, mut bounds) = (Vec::new(), Vec::new());
    let mut reader = Reader::new(bytes);
    while let Some((field, value)) = reader.next()? {
        match field {
            2 => point.start = value.number()?,
            4 => count = value.number()?,
            5 => sum = Some(value.double()?),
            6 => value.each_number(true, |n| push(&mut counts, n))?,
            7 => value.each_number(true, |bits| push(&mut bounds, f64::from_bits(bits)))?,
            9 => key_value(value.bytes()?, &mut point.attributes)?,
            10 => flags = value.number()?,
            _ => {}
        }
    }
    point.too_wide = counts.len() > BUCKETS_PER_POINT_MAX;
    if flags & NO_VALUE == 0 {
        point.value = Shape::Explicit { count, sum, bounds, counts };
    }
    Ok(point)
}

/// `ExponentialHistogramDataPoint`. A start takes no negative time: that half is not read.
fn exponential(bytes: &[u8]) -> Result<RawPoint<'_>, Malformed> {
    let mut point = RawPoint::default();
    let (mut count, mut sum, mut flags) = (0, None, 0);
    let (mut scale, mut zero, mut offset, mut counts) = (0, 0, 0, Vec::new());
    let mut reader = Reader::new(bytes);
    while let Some((field, value)) = reader.next()? {
        match field {
            1 => key_value(value.bytes()?, &mut point.attributes)?,
            2 => point.start = value.number()?,
            4 => count = value.number()?,
            5 => sum = Some(value.double()?),
            6 => scale = small(value.signed()?),
            7 => zero = value.number()?,
            8 => {
                let mut buckets = Reader::new(value.bytes()?);
                while let Some((field, value)) = buckets.next()? {
                    match field {
                        1 => offset = small(value.signed()?),
                        2 => value.each_number(false, |n| push(&mut counts, n))?,
                        _ => {}
                    }
                }
            }
            10 => flags = value.number()?,
            _ => {}
        }
    }
    point.too_wide = counts.len() > BUCKETS_PER_POINT_MAX;
    if flags & NO_VALUE == 0 {
        point.value = Shape::Exponential { count, sum, scale, zero, offset, counts };
    }
    Ok(point)
}

/// One beyond the bound is kept, so that it shows.
fn push<T>(list: &mut Vec<T>, value: T) {
    if list.len() <= BUCKETS_PER_POINT_MAX {
        list.push(value);
    }
}

fn small(number: i64) -> i32 {
    i32::try_from(number).unwrap_or(if number < 0 { i32::MIN } else { i32::MAX })
}

/// `ExportLogsServiceRequest`: how many records it holds.
pub(crate) fn logs(body: &[u8]) -> Result<u64, Malformed> {
    let mut records = 0;
    each(body, 1, |resource_logs| {
        each(resource_logs, 2, |scope_logs| {
            each(scope_logs, 2, |_| {
                records += 1;
                Ok(())
            })
        })
    })?;
    Ok(records)
}
