//! OpenTelemetry in: spans and figures that the team's backend and apps send by OTLP over HTTP.
//!
//! Of spans it keeps how often and how long operations call their database; of figures the cold
//! starts of the app. Everything else is read past: this is no store of telemetry. No statement is
//! kept with its literals, and no request, span or log record is kept at all.

mod calls;
mod database;
mod json;
mod model;
mod proto;
mod reply;
mod starts;
mod statement;

use std::borrow::Cow;
use std::io::Read as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flate2::read::MultiGzDecoder;
use plimsoll_base::{Nanos, SharedClock};
use serde::Serialize;

pub use calls::{
    CALLS_WINDOW, OPERATIONS_MAX, OperationCalls, REPEATS_LEAST, REPEATS_REQUESTS_LEAST,
    REPEATS_SHARE_LEAST, RepeatedStatement, STATEMENTS_MAX, STATEMENTS_PER_OPERATION_MAX,
    StatementFigures,
};
pub use database::{
    REQUEST_REMEMBERED, REQUESTS_REMEMBERED_MAX, SPANS_OF_TRACE_MAX, SPANS_OPEN_MAX, TRACE_AGE_MAX,
    TRACE_QUIET, TRACES_OPEN_MAX,
};
pub use model::{
    APP_START_COLD, BUCKETS_PER_POINT_MAX, POINTS_PER_REQUEST_MAX, SPANS_PER_REQUEST_MAX,
};
pub use reply::{Encoding, Reply, refusal};
pub(crate) use starts::AppStarts;
pub use starts::{ColdStarts, START_SERIES_MAX, STREAMS_MAX};
pub use statement::STATEMENT_BYTES_MAX;

use crate::counter::{Counter, OtlpRefusal, OtlpSignal};
use crate::ingest::calls::Calls;
use crate::ingest::database::Traces;
use crate::ingest::model::{MetricBatch, TraceBatch};
use crate::ingest::reply::{RpcCode, refused, taken};
use crate::metrics::Metrics;
use crate::otlp::KeptSpan;
use crate::shard::lock;

/// Bytes of a body as it is sent.
pub const BODY_BYTES_MAX: usize = 4 << 20;
/// Bytes of a body when it is inflated.
pub const INFLATED_BYTES_MAX: usize = 16 << 20;
/// Traces are put together at most this often.
const SETTLE_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
struct State {
    traces: Traces,
    calls: Calls,
    fed_at: Option<Nanos>,
    settled_at: Option<Nanos>,
}

/// What has arrived, and what came of it.
#[derive(Debug)]
pub struct Ingest {
    metrics: Arc<Metrics>,
    clock: SharedClock,
    state: Mutex<State>,
}

/// What operations ask of their database, and how the app starts.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct IngestOverview {
    /// Seconds since spans last arrived; none where none ever did.
    pub spans_age_seconds: Option<f64>,
    /// Seconds the database figures cover.
    pub window_seconds: f64,
    /// Operations with spans in the window: those with repeated statements first, then by time.
    pub operations: Vec<OperationCalls>,
    /// Traces that wait for their last spans.
    pub traces_waiting: usize,
    /// Cold starts by device model and app version, most first, since the process began.
    pub cold_starts: Vec<ColdStarts>,
}

/// Why a body was not taken.
struct Refusal(OtlpRefusal, u16, RpcCode, Cow<'static, str>);

impl Ingest {
    /// Nothing has arrived.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>, clock: SharedClock) -> Self {
        Self { metrics, clock, state: Mutex::default() }
    }

    /// Reads a request. It takes up to some hundred milliseconds of CPU for the largest bodies, so
    /// it belongs on a thread that may block.
    #[must_use]
    pub fn accept(
        &self,
        signal: OtlpSignal,
        content_type: &str,
        content_encoding: &str,
        body: &[u8],
    ) -> Reply {
        let Some(encoding) = Encoding::of(content_type) else {
            self.metrics.count(Counter::OtlpRefused(OtlpRefusal::MediaType));
            let says = "Content-Type must be application/x-protobuf or application/json.";
            return refused(Encoding::Json, 415, RpcCode::InvalidArgument, says);
        };
        match self.read(signal, encoding, content_encoding, body) {
            Ok((rejected, why)) => taken(encoding, signal, rejected, why),
            Err(Refusal(reason, status, code, says)) => {
                self.metrics.count(Counter::OtlpRefused(reason));
                refused(encoding, status, code, &says)
            }
        }
    }

    /// The answer to a body that is too large to be read.
    #[must_use]
    pub fn too_large(&self, content_type: &str) -> Reply {
        self.metrics.count(Counter::OtlpRefused(OtlpRefusal::TooLarge));
        let encoding = Encoding::of(content_type).unwrap_or(Encoding::Json);
        let says = "The body is larger than 4 MiB; send smaller batches or gzip them.";
        refused(encoding, 413, RpcCode::ResourceExhausted, says)
    }

    /// The answer while too many bodies are read at once.
    #[must_use]
    pub fn busy(&self, content_type: &str) -> Reply {
        self.metrics.count(Counter::OtlpRefused(OtlpRefusal::Busy));
        let encoding = Encoding::of(content_type).unwrap_or(Encoding::Json);
        let says = "As many requests are being read as this listener reads at once.";
        refused(encoding, 503, RpcCode::Unavailable, says)
    }

    fn read(
        &self,
        signal: OtlpSignal,
        encoding: Encoding,
        content_encoding: &str,
        body: &[u8],
    ) -> Result<(u64, Option<&'static str>), Refusal> {
        let body = inflated(content_encoding, body)?;
        let (received, rejected, why) = match signal {
            OtlpSignal::Traces => {
                let batch = match encoding {
                    Encoding::Protobuf => proto::traces(&body).map_err(malformed)?,
                    Encoding::Json => json::traces(utf8(&body)?).map_err(malformed_json)?,
                };
                self.take_spans(batch)
            }
            OtlpSignal::Metrics => {
                let batch = match encoding {
                    Encoding::Protobuf => proto::metrics(&body).map_err(malformed)?,
                    Encoding::Json => json::metrics(utf8(&body)?).map_err(malformed_json)?,
                };
                self.take_points(batch)
            }
            OtlpSignal::Logs => {
                let records = match encoding {
                    Encoding::Protobuf => proto::logs(&body).map_err(malformed)?,
                    Encoding::Json => json::logs(utf8(&body)?).map_err(malformed_json)?,
                };
                let why = "Plimsoll keeps no log records; send them to a log store.";
                (records, records, (records > 0).then_some(why))
            }
        };
        self.metrics.count_many(Counter::OtlpReceived(signal), received);
        if rejected > 0 {
            self.metrics.count_many(Counter::OtlpRejected(signal), rejected);
        }
        Ok((rejected, why))
    }

    fn take_spans(&self, batch: TraceBatch) -> (u64, u64, Option<&'static str>) {
        let now = self.clock.now();
        let mut guard = lock(&self.state);
        let state = &mut *guard;
        if !batch.spans.is_empty() {
            state.fed_at = Some(now);
        }
        state.calls.at(now, self.clock.unix_ms());
        state.traces.push(batch.spans, now, &mut state.calls);
        self.settle(state, now);
        (batch.received, batch.rejected, batch.why)
    }

    fn take_points(&self, mut batch: MetricBatch) -> (u64, u64, Option<&'static str>) {
        let now = self.clock.now();
        for point in std::mem::take(&mut batch.points) {
            if let Err(why) = self.metrics.app_starts().push(&point, now) {
                batch.reject(why);
            }
        }
        (batch.received, batch.rejected, batch.why)
    }

    /// Puts together what is due, once a second.
    fn settle(&self, state: &mut State, now: Nanos) {
        if state.settled_at.is_some_and(|at| now.since(at) < SETTLE_EVERY) {
            return;
        }
        state.settled_at = Some(now);
        state.calls.at(now, self.clock.unix_ms());
        state.traces.settle(now, &mut state.calls);
        for (bound, calls) in state.calls.take_folded() {
            self.metrics.count_many(Counter::CallFolded(bound), calls);
        }
    }

    /// The edge's own requests that were kept since the last call.
    pub(crate) fn requests(&self, kept: &[KeptSpan]) {
        let now = self.clock.now();
        let mut guard = lock(&self.state);
        guard.traces.remember(kept, now);
        self.settle(&mut guard, now);
    }

    /// What came of it, up to now.
    #[must_use]
    pub fn overview(&self) -> IngestOverview {
        let now = self.clock.now();
        let mut guard = lock(&self.state);
        self.settle(&mut guard, now);
        let (window_seconds, operations) = guard.calls.figures();
        let spans_age_seconds = guard.fed_at.map(|at| now.since(at).as_secs_f64());
        let traces_waiting = guard.traces.waiting();
        drop(guard);
        IngestOverview {
            spans_age_seconds,
            window_seconds,
            operations,
            traces_waiting,
            cold_starts: self.metrics.app_starts().overview(now),
        }
    }
}

fn inflated<'b>(content_encoding: &str, body: &'b [u8]) -> Result<Cow<'b, [u8]>, Refusal> {
    let too_large = || {
        let says = "The body is larger than 16 MiB when inflated; send smaller batches.".into();
        Refusal(OtlpRefusal::TooLarge, 413, RpcCode::ResourceExhausted, says)
    };
    let plain = ["", "identity"].iter().any(|name| content_encoding.eq_ignore_ascii_case(name));
    if plain {
        return if body.len() > INFLATED_BYTES_MAX { Err(too_large()) } else { Ok(body.into()) };
    }
    if !content_encoding.eq_ignore_ascii_case("gzip") {
        let says = "Content-Encoding must be gzip or absent.".into();
        return Err(Refusal(OtlpRefusal::MediaType, 415, RpcCode::InvalidArgument, says));
    }
    let mut inflated = Vec::new();
    let limit = INFLATED_BYTES_MAX as u64 + 1;
    match MultiGzDecoder::new(body).take(limit).read_to_end(&mut inflated) {
        Err(_) => Err(malformed("the body is no gzip")),
        Ok(_) if inflated.len() > INFLATED_BYTES_MAX => Err(too_large()),
        Ok(_) => Ok(inflated.into()),
    }
}

fn utf8(body: &[u8]) -> Result<&str, Refusal> {
    std::str::from_utf8(body).map_err(|_| malformed("the body is not UTF-8"))
}

fn malformed(why: impl std::fmt::Display) -> Refusal {
    let says = format!("The request cannot be read: {why}.");
    Refusal(OtlpRefusal::Malformed, 400, RpcCode::InvalidArgument, says.into())
}

/// Where it stands, and no text of it: the reader's own message may quote the body.
#[expect(clippy::needless_pass_by_value, reason = "it stands in map_err")]
fn malformed_json(error: serde_json::Error) -> Refusal {
    let what = if error.is_data() { "not what OTLP has there" } else { "no JSON" };
    malformed(format!("line {}, column {}: {what}", error.line(), error.column()))
}

#[cfg(test)]
mod tests;
