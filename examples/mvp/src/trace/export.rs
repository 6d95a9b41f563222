//! Spans on their way out: in batches, as OTLP in JSON.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value as Json, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::{Kind, Span, Value};
use crate::otlp::{self, Sender};
use crate::store::WallClock;

/// The most spans sent at once. Unit: spans.
const BATCH_MAX: usize = 512;
/// How long the first span of a batch waits for others.
const BATCH_EVERY: Duration = Duration::from_secs(1);

/// Sends what the tracers leave, until the last of them is gone.
#[derive(Debug)]
pub(crate) struct Exporter {
    spans: mpsc::Receiver<Span>,
    sender: Sender,
    dropped: Arc<AtomicU64>,
    /// The same moment on both clocks.
    anchor: (Instant, u64),
    /// Is told when spans are lost, and when they arrive again.
    say: fn(&str),
}

impl Exporter {
    pub(super) fn new(
        spans: mpsc::Receiver<Span>,
        to: otlp::Url,
        dropped: Arc<AtomicU64>,
        (unix_ms, say): (WallClock, fn(&str)),
    ) -> Self {
        let anchor = (Instant::now(), unix_ms());
        Self { spans, sender: Sender::to(to), dropped, anchor, say }
    }

    /// Sends until nobody makes spans any more.
    pub(crate) async fn run(mut self) {
        let mut losing = false;
        while let Some(first) = self.spans.recv().await {
            let (mut batch, by) = (vec![first], Instant::now() + BATCH_EVERY);
            while batch.len() < BATCH_MAX
                && let Ok(Some(span)) = timeout_at(by, self.spans.recv()).await
            {
                batch.push(span);
            }
            let body = self.body(&batch);
            let sent = self.sender.post("traces", &body).await;
            if let Err(error) = &sent {
                self.dropped.fetch_add(batch.len() as u64, Ordering::Relaxed);
                if !losing {
                    (self.say)(&format!("spans are lost: {error}"));
                }
            } else if losing {
                let lost = self.dropped.load(Ordering::Relaxed);
                (self.say)(&format!("spans arrive again; {lost} were lost"));
            }
            losing = sent.is_err();
        }
    }

    fn body(&self, spans: &[Span]) -> Json {
        let spans: Vec<Json> = spans.iter().map(|span| self.span(span)).collect();
        json!({ "resourceSpans": [{
            "resource": { "attributes": [
                attribute("service.name", &Value::Text("mvp".into())),
                attribute("service.version", &Value::Text(env!("CARGO_PKG_VERSION").into())),
            ] },
            "scopeSpans": [{ "scope": { "name": "mvp" }, "spans": spans }],
        }] })
    }

    fn span(&self, span: &Span) -> Json {
        let attributes: Vec<Json> =
            span.attributes.iter().map(|(key, value)| attribute(key, value)).collect();
        let mut json = json!({
            "traceId": format!("{:032x}", span.trace),
            "spanId": format!("{:016x}", span.id),
            "name": span.name,
            "kind": match span.kind { Kind::Server => 2, Kind::Client => 3 },
            "startTimeUnixNano": self.unix_ns(span.start).to_string(),
            "endTimeUnixNano": self.unix_ns(span.end).to_string(),
            "attributes": attributes,
        });
        if let Some(parent) = span.parent {
            json["parentSpanId"] = format!("{parent:016x}").into();
        }
        if span.failed {
            json["status"] = json!({ "code": 2 });
        }
        json
    }

    /// A moment as OTLP has it: nanoseconds since 1970.
    fn unix_ns(&self, at: Instant) -> u128 {
        let (then, unix_ms) = self.anchor;
        u128::from(unix_ms) * 1_000_000 + at.saturating_duration_since(then).as_nanos()
    }
}

fn attribute(key: &str, value: &Value) -> Json {
    match value {
        Value::Text(text) => json!({ "key": key, "value": { "stringValue": text } }),
        // 64-bit numbers are text in OTLP's JSON.
        Value::Number(number) => {
            json!({ "key": key, "value": { "intValue": number.to_string() } })
        }
    }
}
