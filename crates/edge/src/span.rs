//! The span of a request that is kept: made when the request is over, from what its record says.

use std::time::Duration;

use http::Version;
use plimsoll_http_kit::forwarded::Scheme;
use plimsoll_telemetry::otlp::{SpanRecord, UpstreamCall};

use crate::exchange::Exchange;

/// Hands a request to the exporter.
#[cold]
pub(crate) fn keep(exchange: &Exchange, status: u16, latency: Duration, cut: bool) {
    let core = &exchange.context.core;
    core.shard.keep(&SpanRecord {
        trace: exchange.trace,
        parent: exchange.trace_parent,
        span_random: core.random_u64(),
        started_unix_ms: exchange.started_unix_ms,
        latency,
        upstream: exchange.upstream_sent.map(|sent| UpstreamCall {
            after: sent.since(exchange.started),
            took: exchange.upstream_latency,
        }),
        method: exchange.method.as_str(),
        path: exchange.path(),
        scheme: match exchange.from.scheme {
            Scheme::Https => "https",
            Scheme::Http => "http",
        },
        protocol: match exchange.version {
            Version::HTTP_2 => "2",
            Version::HTTP_10 => "1.0",
            _ => "1.1",
        },
        operation: exchange.operation(),
        service: exchange.service(),
        release: exchange.release(),
        status,
        problem: exchange.problem.map(|code| code.as_str()),
        cut,
        platform: exchange.client.platform(),
        app_version: exchange.client.version(),
        device_model: exchange.client.model(),
        client_address: exchange.address(),
    });
}
