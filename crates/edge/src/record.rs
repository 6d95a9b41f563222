//! Record: the last step. It runs once for every request, whatever became of it, when the last
//! byte of the answer has been handed to the connection or the answer was given up.

use std::sync::PoisonError;
use std::time::Duration;

use http::{StatusCode, Version};
use plimsoll_base::Nanos;
use plimsoll_telemetry::{AccessEntry, Counter, Sample, SlowClient, UpstreamErrorKind};

use crate::body::InboundOutcome;
use crate::exchange::Exchange;
use crate::span;
use crate::steps::{audit, resent};

/// nginx' status for a client that went away before it was answered; nobody is sent it.
pub(crate) const CLIENT_CLOSED_REQUEST: u16 = 499;

/// How an answer's body ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Not yet; if it stays so, the client went away.
    Underway,
    /// Handed over whole.
    Complete,
    /// The service's answer broke off or stopped in the middle, or the process did.
    Cut,
}

/// A request's record in the making. Dropping it writes it down.
#[derive(Debug)]
pub(crate) struct Finish {
    pub(crate) exchange: Exchange,
    status: Option<StatusCode>,
    bytes_out: u64,
    bytes_saved: u64,
    end: End,
    ended: Option<Nanos>,
}

impl Finish {
    pub(crate) fn new(exchange: Exchange) -> Self {
        Self {
            exchange,
            status: None,
            bytes_out: 0,
            bytes_saved: 0,
            end: End::Underway,
            ended: None,
        }
    }

    pub(crate) fn answered(&mut self, status: StatusCode) {
        self.status = Some(status);
    }

    /// Bytes of the answer's body handed to the connection.
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.bytes_out += bytes as u64;
    }

    /// Bytes of the answer's body before it was compressed, and what came of them so far.
    pub(crate) fn compressed(&mut self, before: u64, after: u64) {
        self.bytes_out = after;
        self.bytes_saved = before.saturating_sub(after);
    }

    /// The clock, for who reads it just before this is dropped anyway.
    pub(crate) fn end_at(&mut self, now: Nanos) {
        self.ended = Some(now);
    }

    pub(crate) fn complete(&mut self) {
        if self.end == End::Underway {
            self.end = End::Complete;
        }
    }

    /// The service's answer ended before it was whole.
    pub(crate) fn cut_by_upstream(&mut self) {
        let kind = UpstreamErrorKind::Body;
        self.cut(|service| Counter::UpstreamError { service, kind });
    }

    /// The service's answer stopped for too long, or the deadline passed in its middle.
    pub(crate) fn cut_by_edge(&mut self) {
        let kind = UpstreamErrorKind::TotalTimeout;
        self.cut(|service| Counter::UpstreamError { service, kind });
    }

    /// The process stops, and the answer has no end to wait for.
    pub(crate) fn cut_by_stop(&mut self) {
        self.cut(|_| Counter::DrainCut);
    }

    fn cut(&mut self, counter: impl for<'s> FnOnce(&'s str) -> Counter<'s>) {
        if self.end == End::Underway {
            self.end = End::Cut;
            self.exchange.context.core.shard.count(counter(self.exchange.service()));
        }
    }

    /// What figures and log say: what was sent, or why nothing was.
    fn status(&self) -> u16 {
        match (self.status, self.end) {
            (None, _) => CLIENT_CLOSED_REQUEST,
            (Some(_), End::Cut) => StatusCode::BAD_GATEWAY.as_u16(),
            (Some(status), _) => status.as_u16(),
        }
    }
}

impl Drop for Finish {
    fn drop(&mut self) {
        if self.exchange.audit.is_some() {
            audit::left(&mut self.exchange);
        }
        let exchange = &self.exchange;
        let core = &exchange.context.core;
        let ended = self.ended.unwrap_or_else(|| core.clock.now());
        exchange.context.state.request_ends(ended);
        core.load().end();
        let latency = ended.since(exchange.started);
        let bytes_in = exchange.body.as_ref().map_or(0, |body| body.bytes());
        match exchange.body.as_ref().map(|body| body.outcome()) {
            Some(InboundOutcome::TooSlow) => {
                core.shard.count(Counter::SlowClientCut(SlowClient::Body));
            }
            // The answer came first. If the service leaves now, so does this connection.
            Some(InboundOutcome::Underway) if exchange.version < Version::HTTP_2 => {
                exchange.context.state.set_leaves_bytes_unread();
            }
            _ => {}
        }
        if exchange.context.rehearsal {
            return;
        }
        resent::ended(exchange, self.status());
        core.shard.record(&Sample {
            operation: exchange.operation(),
            service: exchange.service(),
            release: exchange.release(),
            platform: exchange.client.platform(),
            app_version: exchange.client.version(),
            device_model: exchange.client.model(),
            status: self.status(),
            latency,
            bytes_in,
            bytes_out: self.bytes_out,
            bytes_saved: self.bytes_saved,
        });
        if core.shard.keeps(&exchange.trace, self.status(), latency) {
            span::keep(exchange, self.status(), latency, self.end == End::Cut);
        }
        let Some(access) = &core.access else { return };
        let entry = AccessEntry {
            time_unix_ms: exchange.started_unix_ms.saturating_add(micros(latency) / 1000),
            request_id: exchange.id.as_str(),
            trace_id: exchange.trace.trace_id(),
            method: exchange.method.as_str(),
            path: exchange.path(),
            operation: exchange.operation(),
            service: exchange.service(),
            release: exchange.release(),
            status: self.status(),
            problem: exchange.problem.map(|code| code.as_str()),
            latency_us: micros(latency),
            upstream_latency_us: exchange.upstream_latency.map(micros),
            bytes_in,
            bytes_out: self.bytes_out,
            client_ip: exchange.address(),
            platform: exchange.client.platform(),
            app_version: exchange.client.version(),
            caller: exchange.verified.as_ref().map(|verified| verified.caller().low64()),
            protocol: protocol(exchange.version),
        };
        access.lock().unwrap_or_else(PoisonError::into_inner).write(&entry);
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_2 => "HTTP/2",
        Version::HTTP_10 => "HTTP/1.0",
        _ => "HTTP/1.1",
    }
}
