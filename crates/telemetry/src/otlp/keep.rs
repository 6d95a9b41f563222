//! Which requests get a span, decided when a request is over, and where it waits for the exporter.
//!
//! A request that is kept by nobody costs two comparisons and no allocation.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use crate::histogram::nanos;
use crate::label::{clean, floor_char_boundary};
use crate::sample::Platform;
use crate::trace::TraceContext;

/// Spans of one core that wait to be collected; one more is dropped and counted.
pub const KEPT_PER_CORE_MAX: usize = 1_024;
/// Of these, spans that only the sample ratio asked for: the rest is kept for errors and slow
/// requests, so that a flood of sampled traffic cannot hide them.
const SAMPLED_PER_CORE_MAX: usize = 768;
/// Bytes of a path that a span holds.
const PATH_BYTES_MAX: usize = 512;

const EXPORT: u8 = 1;
const JOIN: u8 = 2;
const CLIENT_ADDRESS: u8 = 4;

/// What is kept, and for whom.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TracingOptions {
    /// Share of traces that are sampled, 0 to 1. Decided on the trace id, so that every node, and
    /// every SDK with the same ratio, decides alike.
    pub sample_ratio: f64,
    /// A request that took longer is always kept.
    pub slow_threshold: Duration,
    /// Whether spans are exported.
    pub export: bool,
    /// Whether a span says the client's address.
    pub client_address: bool,
}

impl Default for TracingOptions {
    fn default() -> Self {
        Self {
            sample_ratio: 0.0,
            slow_threshold: Duration::from_millis(300),
            export: false,
            client_address: false,
        }
    }
}

/// The same as the cores read it.
#[derive(Debug, Default)]
pub(crate) struct Tracing {
    /// Trace ids whose low 64 bits lie below are sampled; the largest value stands for all.
    threshold: AtomicU64,
    slow_ns: AtomicU64,
    flags: AtomicU8,
}

impl Tracing {
    pub(crate) fn set(&self, options: TracingOptions) {
        let ratio = options.sample_ratio.clamp(0.0, 1.0);
        // `as` saturates: a ratio of one gives the largest value.
        self.threshold.store((ratio * 2f64.powi(64)) as u64, Ordering::Relaxed);
        self.slow_ns.store(nanos(options.slow_threshold), Ordering::Relaxed);
        self.flag(EXPORT, options.export);
        self.flag(CLIENT_ADDRESS, options.client_address);
    }

    pub(crate) fn set_join(&self, join: bool) {
        self.flag(JOIN, join);
    }

    fn flag(&self, flag: u8, on: bool) {
        if on {
            self.flags.fetch_or(flag, Ordering::Relaxed);
        } else {
            self.flags.fetch_and(!flag, Ordering::Relaxed);
        }
    }

    #[inline]
    pub(crate) fn samples(&self, trace: [u8; 16]) -> bool {
        let threshold = self.threshold.load(Ordering::Relaxed);
        let [.., a, b, c, d, e, f, g, h] = trace;
        u64::from_be_bytes([a, b, c, d, e, f, g, h]) < threshold || threshold == u64::MAX
    }

    #[inline]
    pub(crate) fn keeps(&self, sampled: bool, status: u16, latency: Duration) -> bool {
        let flags = self.flags.load(Ordering::Relaxed);
        if flags & (EXPORT | JOIN) == 0 {
            return false;
        }
        sampled || (flags & EXPORT != 0 && self.matters(status, latency))
    }

    /// Errors and slow requests.
    fn matters(&self, status: u16, latency: Duration) -> bool {
        status >= 500 || nanos(latency) > self.slow_ns.load(Ordering::Relaxed)
    }
}

/// The call to the service, as seen from the edge.
#[derive(Clone, Copy, Debug)]
pub struct UpstreamCall {
    /// From the request's head read to the call's begin.
    pub after: Duration,
    /// From its begin to its answer's head; none when there was no answer.
    pub took: Option<Duration>,
}

/// One request, as a span would say it. Everything is borrowed.
#[derive(Clone, Copy, Debug)]
pub struct SpanRecord<'a> {
    /// The trace, and the id of the span that the service was told as its parent.
    pub trace: TraceContext,
    /// The client's own span; none where it said no valid `traceparent`.
    pub parent: Option<[u8; 8]>,
    /// Random bits for the id of the request's own span.
    pub span_random: u64,
    /// When the head was read, in milliseconds since 1970-01-01T00:00:00Z.
    pub started_unix_ms: u64,
    /// From the head read to the answer's last byte handed over.
    pub latency: Duration,
    /// The call to the service; none where the edge answered by itself.
    pub upstream: Option<UpstreamCall>,
    /// The method.
    pub method: &'a str,
    /// The path, without the query.
    pub path: &'a str,
    /// `http` or `https`, as the client asked.
    pub scheme: &'static str,
    /// The version of HTTP: `1.0`, `1.1` or `2`.
    pub protocol: &'static str,
    /// The operation.
    pub operation: &'a Arc<str>,
    /// The service.
    pub service: &'a Arc<str>,
    /// The release.
    pub release: &'a Arc<str>,
    /// The status that was sent, or 499 and 502 as the access log has them.
    pub status: u16,
    /// The code of the problem the edge answered with.
    pub problem: Option<&'static str>,
    /// The answer broke off.
    pub cut: bool,
    /// The client's platform.
    pub platform: Platform,
    /// The app's version; empty when unknown.
    pub app_version: &'a str,
    /// The device's model; empty when unknown.
    pub device_model: &'a str,
    /// The client's address.
    pub client_address: IpAddr,
}

/// A request that was kept.
#[derive(Clone, Debug)]
pub struct KeptSpan {
    pub(crate) trace: TraceContext,
    pub(crate) operation: Arc<str>,
    pub(crate) service: Arc<str>,
    /// None where spans are not exported: the trace only has to be found again.
    pub(crate) detail: Option<Box<Detail>>,
}

/// What is exported of it.
#[derive(Clone, Debug)]
pub(crate) struct Detail {
    pub(crate) span: [u8; 8],
    pub(crate) parent: Option<[u8; 8]>,
    pub(crate) started_unix_ms: u64,
    pub(crate) latency: Duration,
    pub(crate) upstream: Option<UpstreamCall>,
    pub(crate) method: Box<str>,
    pub(crate) path: Box<str>,
    pub(crate) scheme: &'static str,
    pub(crate) protocol: &'static str,
    pub(crate) release: Arc<str>,
    pub(crate) status: u16,
    pub(crate) problem: Option<&'static str>,
    pub(crate) cut: bool,
    pub(crate) platform: Platform,
    pub(crate) app_version: Box<str>,
    pub(crate) device_model: Box<str>,
    pub(crate) client_address: Option<IpAddr>,
}

/// What became of a span that was to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// It waits, or nobody will miss it.
    Yes,
    /// The buffer is full.
    No,
}

/// Puts a span where the exporter collects it.
pub(crate) fn keep(tracing: &Tracing, buffer: &mut Vec<KeptSpan>, record: &SpanRecord<'_>) -> Kept {
    let matters = tracing.matters(record.status, record.latency);
    let max = if matters { KEPT_PER_CORE_MAX } else { SAMPLED_PER_CORE_MAX };
    let flags = tracing.flags.load(Ordering::Relaxed);
    if buffer.len() >= max {
        // A request that was only to be found again by its trace is no span that is missed.
        return if flags & EXPORT != 0 { Kept::No } else { Kept::Yes };
    }
    let detail = (flags & EXPORT != 0).then(|| {
        Box::new(Detail {
            span: record.span_random.max(1).to_be_bytes(),
            parent: record.parent,
            started_unix_ms: record.started_unix_ms,
            latency: record.latency,
            upstream: record.upstream,
            method: cut(record.method, 32),
            path: cut(record.path, PATH_BYTES_MAX),
            scheme: record.scheme,
            protocol: record.protocol,
            release: Arc::clone(record.release),
            status: record.status,
            problem: record.problem,
            cut: record.cut,
            platform: record.platform,
            app_version: clean(record.app_version).as_ref().into(),
            device_model: clean(record.device_model).as_ref().into(),
            client_address: (flags & CLIENT_ADDRESS != 0).then_some(record.client_address),
        })
    });
    buffer.push(KeptSpan {
        trace: record.trace,
        operation: Arc::clone(record.operation),
        service: Arc::clone(record.service),
        detail,
    });
    Kept::Yes
}

fn cut(text: &str, bytes_max: usize) -> Box<str> {
    text[..floor_char_boundary(text, bytes_max)].into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tracing(sample_ratio: f64, export: bool) -> Tracing {
        let tracing = Tracing::default();
        tracing.set(TracingOptions { sample_ratio, export, ..TracingOptions::default() });
        tracing
    }

    #[test]
    fn nothing_is_kept_where_nobody_asks() {
        let tracing = tracing(1.0, false);
        assert!(!tracing.keeps(true, 500, Duration::from_secs(60)));
        tracing.set_join(true);
        assert!(tracing.keeps(true, 200, Duration::ZERO));
        assert!(!tracing.keeps(false, 500, Duration::ZERO), "a join needs only sampled requests");
    }

    #[test]
    fn errors_and_slow_requests_are_always_kept() {
        let tracing = tracing(0.0, true);
        assert!(!tracing.keeps(false, 404, Duration::from_millis(300)));
        assert!(tracing.keeps(false, 500, Duration::ZERO));
        assert!(tracing.keeps(false, 200, Duration::from_millis(301)));
    }

    #[test]
    fn the_ends_of_the_ratio_are_exact() {
        let most = [0xff; 16];
        assert!(tracing(1.0, true).samples(most) && !tracing(0.0, true).samples([0; 16]));
        // As opentelemetry's TraceIdRatioBased in Go and Python has it: the low 64 bits.
        let half = tracing(0.5, true);
        let with = |low: u64| (u128::MAX << 64 | u128::from(low)).to_be_bytes();
        assert!(half.samples(with((1 << 63) - 1)) && !half.samples(with(1 << 63)));
    }

    proptest! {
        #[test]
        fn a_larger_ratio_samples_more_of_the_same(id: u128, a in 0.0f64..=1.0, b in 0.0f64..=1.0) {
            let (low, high) = (a.min(b), a.max(b));
            let id = id.to_be_bytes();
            prop_assert!(!tracing(low, true).samples(id) || tracing(high, true).samples(id));
        }
    }
}
