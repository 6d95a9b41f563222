//! OpenTelemetry spans: one for each request that is served, one for each query it makes.
//!
//! Whether a trace is recorded was decided by whoever asked (`traceparent`, W3C Trace Context); a
//! request that comes without it is recorded. A span that finds the queue full is dropped and
//! counted: no request ever waits for telemetry.

mod context;
mod export;

use std::borrow::Cow;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::otlp;
use crate::store::WallClock;
use context::Parent;
pub(crate) use export::Exporter;

/// Spans that wait to be sent. Unit: spans.
pub const SPANS_QUEUED_MAX: usize = 4_096;

/// What a span was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Server,
    Client,
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
enum Value {
    Text(Cow<'static, str>),
    Number(i64),
}

#[derive(Clone, Debug)]
struct Span {
    trace: u128,
    id: u64,
    parent: Option<u64>,
    kind: Kind,
    name: Cow<'static, str>,
    start: Instant,
    end: Instant,
    attributes: Vec<(&'static str, Value)>,
    failed: bool,
}

/// Where spans go.
#[derive(Clone, Debug)]
pub struct Tracer {
    queue: mpsc::Sender<Span>,
    dropped: Arc<AtomicU64>,
    /// The database's name.
    namespace: Arc<str>,
}

/// The request that this task serves.
struct Current {
    tracer: Tracer,
    trace: u128,
    span: u64,
}

tokio::task_local! {
    static CURRENT: Current;
}

impl Tracer {
    /// A tracer and what sends its spans, which tells `say` when they are lost.
    pub(crate) fn new(
        namespace: &str,
        to: otlp::Url,
        unix_ms: WallClock,
        say: fn(&str),
    ) -> (Self, Exporter) {
        let (queue, spans) = mpsc::channel(SPANS_QUEUED_MAX);
        let dropped = Arc::new(AtomicU64::new(0));
        let exporter = Exporter::new(spans, to, Arc::clone(&dropped), (unix_ms, say));
        (Self { queue, dropped, namespace: namespace.into() }, exporter)
    }

    fn end(&self, span: Span) {
        if self.queue.try_send(span).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// An id that is not nought.
fn id() -> u64 {
    fastrand::u64(1..)
}

/// An operation, as its middleware holds it.
#[derive(Clone, Debug)]
pub struct Route {
    /// Where spans go; `None`: nowhere.
    pub tracer: Option<Tracer>,
    /// The path of the contract.
    pub path: &'static str,
}

/// The middleware around each operation.
pub async fn serve(State(route): State<Route>, request: Request, next: Next) -> Response {
    let parent = Parent::of(request.headers());
    let recorded = parent.as_ref().is_none_or(|parent| parent.sampled);
    let Some(tracer) = route.tracer.filter(|_| recorded) else {
        return next.run(request).await;
    };
    let trace = parent.as_ref().map_or_else(|| fastrand::u128(1..), |parent| parent.trace);
    let method = request.method().as_str().to_owned();
    let path = request.uri().path().to_owned();
    let (start, span) = (Instant::now(), id());
    let current = Current { tracer: tracer.clone(), trace, span };
    let response = CURRENT.scope(current, next.run(request)).await;
    let status = response.status();
    tracer.end(Span {
        trace,
        id: span,
        parent: parent.map(|parent| parent.span),
        kind: Kind::Server,
        name: format!("{method} {}", route.path).into(),
        start,
        end: Instant::now(),
        attributes: vec![
            ("http.request.method", Value::Text(method.into())),
            ("http.route", Value::Text(route.path.into())),
            ("url.path", Value::Text(path.into())),
            ("url.scheme", Value::Text("http".into())),
            ("http.response.status_code", Value::Number(i64::from(status.as_u16()))),
        ],
        failed: status.is_server_error(),
    });
    response
}

/// Makes a query, with a span of its own where its request is recorded.
pub(crate) async fn query<T, E>(
    text: &'static str,
    call: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let current = CURRENT.try_with(|now| (now.tracer.clone(), now.trace, now.span));
    let Ok((tracer, trace, parent)) = current else {
        return call.await;
    };
    let start = Instant::now();
    let outcome = call.await;
    let operation = text.split_whitespace().next().unwrap_or_default();
    let namespace = tracer.namespace.as_ref().to_owned();
    tracer.end(Span {
        trace,
        id: id(),
        parent: Some(parent),
        kind: Kind::Client,
        name: operation.into(),
        start,
        end: Instant::now(),
        attributes: vec![
            ("db.system.name", Value::Text("postgresql".into())),
            ("db.namespace", Value::Text(namespace.into())),
            ("db.operation.name", Value::Text(operation.into())),
            ("db.query.text", Value::Text(text.into())),
        ],
        failed: outcome.is_err(),
    });
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_queue_drops_and_counts_and_never_waits() {
        let to = "http://127.0.0.1:9".parse().unwrap();
        let (tracer, exporter) = Tracer::new("mvp", to, || 0, |_| {});
        let current = Current { tracer: tracer.clone(), trace: 7, span: 8 };
        CURRENT
            .scope(current, async {
                for _ in 0..SPANS_QUEUED_MAX + 3 {
                    query("select 1", async { Ok::<_, ()>(()) }).await.unwrap();
                }
            })
            .await;
        assert_eq!(tracer.dropped.load(Ordering::Relaxed), 3);
        drop(exporter);
    }

    #[tokio::test]
    async fn outside_a_recorded_request_a_query_is_only_made() {
        assert_eq!(query("select 1", async { Err::<(), _>("away") }).await, Err("away"));
    }
}
