//! Parsers: the OTLP readers of `plimsoll_telemetry::ingest`, in protocol buffers and JSON, and
//! what strips literals from database statements. Input: a body; for `statement` a system's name up
//! to the first newline, then a statement.

use std::sync::Arc;
use std::time::Duration;

use plimsoll_base::ManualClock;
use plimsoll_telemetry::ingest::{Ingest, STATEMENT_BYTES_MAX, TRACE_QUIET};
use plimsoll_telemetry::{Metrics, MetricsOptions, OtlpSignal};
use serde_json::json;

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";
/// A keyword or `unknown`, a blank and a collection's name may come to more than a statement.
const SHOWN_MAX: usize = STATEMENT_BYTES_MAX + 65;
const SECRET: &str = "zqxjkvbpygf";

fn scene() -> (Ingest, Arc<ManualClock>, Arc<Metrics>) {
    let metrics = Metrics::new(MetricsOptions::default());
    let clock = Arc::new(ManualClock::at_unix_ms(1_795_335_000_000));
    let shared = Arc::<ManualClock>::clone(&clock);
    (Ingest::new(Arc::clone(&metrics), shared), clock, metrics)
}

fn feed(signal: OtlpSignal, kind: &str, data: &[u8]) {
    let (ingest, clock, metrics) = scene();
    let first = ingest.accept(signal, kind, "", data);
    assert!(matches!(first.status, 200 | 400), "{}", first.status);
    let again = ingest.accept(signal, kind, "", data);
    // A cumulative series may be refused the second time, never read differently.
    assert_eq!(first.status, again.status, "the same bytes, read differently");
    clock.advance(TRACE_QUIET + Duration::from_secs(1));
    let overview = ingest.overview();
    assert_eq!(overview.traces_waiting, 0);
    for row in &overview.operations {
        assert!(row.repeated.iter().all(|one| row.requests > 0 && one.request_share <= 1.0));
        for one in &row.slowest {
            assert!(!one.statement.is_empty() && one.statement.len() <= SHOWN_MAX);
            assert!(one.p50_seconds <= one.p95_seconds);
        }
    }
    for row in &overview.cold_starts {
        assert!(row.starts > 0 && row.p50_seconds.is_finite() && row.p95_seconds.is_finite());
    }
    assert!(!metrics.render_prometheus().is_empty());
}

/// Spans in protocol buffers.
pub fn traces(data: &[u8]) {
    feed(OtlpSignal::Traces, PROTOBUF, data);
}

/// Spans in JSON.
pub fn traces_json(data: &[u8]) {
    feed(OtlpSignal::Traces, JSON, data);
}

/// Figures in protocol buffers.
pub fn metrics(data: &[u8]) {
    feed(OtlpSignal::Metrics, PROTOBUF, data);
}

/// Figures in JSON.
pub fn metrics_json(data: &[u8]) {
    feed(OtlpSignal::Metrics, JSON, data);
}

/// Whatever stands before it: a text in quotes at the end of a statement is not shown. Were it read
/// as anything else, the quote after it would open a text without an end.
pub fn statement(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Some((system, text)) = text.split_once('\n') else { return };
    if text.contains(SECRET) {
        return;
    }
    let text = format!("SELECT {text} '{SECRET}'");
    let said = |key: &str, value: &str| json!({ "key": key, "value": { "stringValue": value } });
    let span = json!({
        "traceId": "00000000000000000000000000000001", "spanId": "0000000000000001", "kind": 3,
        "attributes": [said("db.system", system), said("db.statement", &text)],
    });
    let body = json!({ "resourceSpans": [{ "scopeSpans": [{ "spans": [span] }] }] }).to_string();
    let (ingest, clock, _) = scene();
    assert_eq!(ingest.accept(OtlpSignal::Traces, JSON, "", body.as_bytes()).status, 200);
    clock.advance(TRACE_QUIET);
    for row in &ingest.overview().operations {
        for one in &row.slowest {
            assert!(!one.statement.contains(SECRET), "shown: {}", one.statement);
        }
    }
}
