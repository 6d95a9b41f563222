use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use plimsoll_base::ManualClock;
use serde_json::{Value, json};

use super::*;
use crate::metrics::MetricsOptions;
use crate::otlp::protobuf::{Reader, Writer};

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json; charset=utf-8";

struct Scene {
    ingest: Ingest,
    metrics: Arc<Metrics>,
    clock: Arc<ManualClock>,
}

fn scene() -> Scene {
    let metrics = Metrics::new(MetricsOptions::default());
    let clock = Arc::new(ManualClock::at_unix_ms(1_795_335_000_000));
    let shared: SharedClock = Arc::<ManualClock>::clone(&clock);
    Scene { ingest: Ingest::new(Arc::clone(&metrics), shared), metrics, clock }
}

impl Scene {
    fn send(&self, signal: OtlpSignal, body: &Value) -> Reply {
        self.ingest.accept(signal, JSON, "", body.to_string().as_bytes())
    }
}

fn text(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

/// A request of `calls` calls below one server span; ids come from `seed`.
fn trace(seed: u64, calls: u64) -> Value {
    let id = |n: u64| format!("{:016x}", seed * 1_000 + n);
    let span = |n: u64, parent: u64, kind: u64, attributes: Value| {
        json!({
            "traceId": format!("{seed:032x}"), "spanId": id(n), "parentSpanId": id(parent),
            "kind": kind, "startTimeUnixNano": "1000000000", "endTimeUnixNano": 1_002_000_000,
            "attributes": attributes, "name": "x", "unknownKey": [{}],
        })
    };
    let route = [text("http.route", "/feed"), text("http.request.method", "GET")];
    let mut spans = vec![span(1, 0, 2, json!(route)), span(2, 1, 1, json!([]))];
    for n in 0..calls {
        let statement = format!("SELECT * FROM authors WHERE id = {n}");
        let said = [text("db.system", "postgresql"), text("db.statement", &statement)];
        spans.push(span(10 + n, 2, 3, json!(said)));
    }
    let resource = json!({ "attributes": [text("service.name", "shop")] });
    json!({ "resourceSpans": [{ "scopeSpans": [{ "spans": spans }], "resource": resource }] })
}

#[test]
fn a_repeated_statement_is_named_with_its_operation() {
    let scene = scene();
    for seed in 1..=10 {
        let calls = if seed == 1 { 1 } else { 20 };
        let reply = scene.send(OtlpSignal::Traces, &trace(seed, calls));
        assert_eq!((reply.status, reply.body.as_slice()), (200, &b"{}"[..]));
    }
    assert!(scene.ingest.overview().operations.is_empty(), "traces are not quiet yet");
    scene.clock.advance(TRACE_QUIET);
    let overview = scene.ingest.overview();
    let [row] = overview.operations.as_slice() else { panic!("{overview:?}") };
    assert_eq!((&*row.service, &*row.operation), ("shop", "GET /feed"));
    assert_eq!((row.requests, row.calls), (10, 181));
    let [repeated] = row.repeated.as_slice() else { panic!("{row:?}") };
    assert_eq!(&*repeated.statement, "SELECT * FROM authors WHERE id = ?");
    assert_eq!((repeated.median_calls, repeated.p95_calls), (20, 20));
    assert!((repeated.request_share - 0.9).abs() < 1e-9);
    assert!((row.slowest[0].p50_seconds - 0.002).abs() < 0.000_5, "{:?}", row.slowest[0]);
    assert_eq!(scene.metrics.counted(Counter::OtlpReceived(OtlpSignal::Traces)), 201);
    scene.clock.advance(CALLS_WINDOW);
    assert!(scene.ingest.overview().operations.is_empty(), "the window has passed");
}

#[test]
fn a_few_repetitions_are_not_named() {
    let scene = scene();
    for seed in 1..=20 {
        let calls = if seed <= 2 { 20 } else { REPEATS_LEAST - 1 };
        assert_eq!(scene.send(OtlpSignal::Traces, &trace(seed, calls)).status, 200);
    }
    scene.clock.advance(TRACE_QUIET);
    assert!(scene.ingest.overview().operations[0].repeated.is_empty(), "two requests are few");
}

/// The same request written twice says the same.
#[test]
fn both_encodings_are_read_alike() {
    let mut writer = Writer::default();
    writer.message(1, |spans| {
        spans.message(2, |scope| {
            scope.message(2, |span| {
                span.bytes(1, &1u128.to_be_bytes());
                span.bytes(2, &1_010u64.to_be_bytes());
                span.bytes(4, &1_002u64.to_be_bytes());
                span.varint(6, 3);
                span.fixed64(7, 1_000_000_000);
                span.fixed64(8, 1_002_000_000);
                span.attribute(9, "db.system", "postgresql");
                span.attribute(9, "db.statement", "SELECT * FROM authors WHERE id = 0");
                span.varint(999, 7);
            });
        });
        // The resource may stand anywhere.
        spans.message(1, |resource| resource.attribute(1, "service.name", "shop"));
    });
    let proto = proto::traces(&writer.into_bytes()).unwrap();
    let json = json::traces(&trace(1, 1).to_string()).unwrap();
    assert_eq!(proto.spans[0], json.spans[2]);
}

#[test]
fn what_is_not_kept_is_said_in_the_encoding_of_the_request() {
    let scene = scene();
    let logs = json!({ "resourceLogs": [{ "scopeLogs": [{ "logRecords": [{}, {}] }] }] });
    let reply = scene.send(OtlpSignal::Logs, &logs);
    let said: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!((reply.status, &said["partialSuccess"]["rejectedLogRecords"]), (200, &json!("2")));
    let spans = json!({ "resourceSpans": [{ "scopeSpans": [{ "spans": [
        { "traceId": "00", "spanId": "zz" }, { "traceId": "0".repeat(32), "spanId": "0".repeat(16) },
    ] }] }] });
    let said: Value = serde_json::from_slice(&scene.send(OtlpSignal::Traces, &spans).body).unwrap();
    assert_eq!(said["partialSuccess"]["rejectedSpans"], "2");
    let mut writer = Writer::default();
    writer.message(1, |spans| spans.message(2, |scope| scope.message(2, |span| span.text(5, "x"))));
    let reply = scene.ingest.accept(OtlpSignal::Traces, PROTOBUF, "", &writer.into_bytes());
    assert_eq!((reply.status, reply.content_type), (200, PROTOBUF));
    let mut answer = Reader::new(&reply.body);
    let (field, partial) = answer.next().unwrap().unwrap();
    let mut partial = Reader::new(partial.bytes().unwrap());
    assert_eq!((field, partial.next().unwrap().unwrap().1.number()), (1, Ok(1)));
}

#[test]
fn what_cannot_be_read_is_refused_with_a_status() {
    let scene = scene();
    let accept =
        |kind, coding, body: &[u8]| scene.ingest.accept(OtlpSignal::Traces, kind, coding, body);
    for (kind, coding, body, status) in [
        ("text/plain", "", &b"{}"[..], 415),
        (JSON, "br", b"{}", 415),
        (JSON, "gzip", b"{}", 400),
        (JSON, "", b"{\"resourceSpans\":[{\"scopeSpans\":7}]}", 400),
        (JSON, "", b"{\"resourceSpans\":[hunter2]}", 400),
        (JSON, "", b"\xff", 400),
        (JSON, "", b"", 400),
    ] {
        let reply = accept(kind, coding, body);
        let said: Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!((reply.status, &said["code"]), (status, &json!(3)), "{said}");
        assert!(!said["message"].as_str().unwrap().contains("hunter2"), "{said}");
    }
    let reply = accept(PROTOBUF, "", b"\x0a\xff");
    let code = Reader::new(&reply.body).next().unwrap().unwrap().1.number();
    assert_eq!((reply.status, code), (400, Ok(3)));
    assert_eq!(accept(PROTOBUF, "", b"").status, 200, "an empty request is an empty request");
}

fn gzip(parts: impl Iterator<Item = Vec<u8>>) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    for part in parts {
        encoder.write_all(&part).unwrap();
    }
    encoder.finish().unwrap()
}

#[test]
fn a_small_body_cannot_become_a_large_one() {
    let scene = scene();
    let bomb = gzip((0..=16).map(|_| vec![b' '; 1 << 20]));
    assert!(bomb.len() < 128 * 1024);
    let reply = scene.ingest.accept(OtlpSignal::Traces, JSON, "gzip", &bomb);
    assert_eq!(reply.status, 413);
    let good = gzip(std::iter::once(trace(1, 3).to_string().into_bytes()));
    let reply = scene.ingest.accept(OtlpSignal::Traces, JSON, "gzip", &good);
    assert_eq!(reply.status, 200);
}

#[test]
fn spans_beyond_the_bound_are_rejected_and_counted() {
    let scene = scene();
    // Two bytes a span: what a reader that builds a tree would turn into gigabytes.
    let many = SPANS_PER_REQUEST_MAX + 5_000;
    let body = format!(
        "{{\"resourceSpans\":[{{\"scopeSpans\":[{{\"spans\":[{}]}}]}}]}}",
        vec![
            "{\"traceId\":\"00000000000000000000000000000001\",\"spanId\":\"0000000000000001\"}";
            many
        ]
        .join(",")
    );
    let reply = scene.ingest.accept(OtlpSignal::Traces, JSON, "", body.as_bytes());
    let said: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(said["partialSuccess"]["rejectedSpans"], "5000");
}

#[test]
fn cold_starts_reach_metrics_and_overview() {
    let scene = scene();
    let point = json!({
        "attributes": [text("device.model.identifier", "iPhone15,2")],
        "startTimeUnixNano": "1", "timeUnixNano": "2", "count": "4", "sum": 6000.0,
        "bucketCounts": ["0", "3", 1], "explicitBounds": [1000.0, 2000.0],
    });
    let metric = json!({
        "name": APP_START_COLD, "unit": "ms",
        "histogram": { "aggregationTemporality": 1, "dataPoints": [point] },
    });
    let resource = json!({ "attributes": [text("service.version", "3.1.0")] });
    let body = json!({ "resourceMetrics": [
        { "resource": resource, "scopeMetrics": [{ "metrics": [metric, { "name": "x" }] }] },
    ] });
    assert_eq!(scene.send(OtlpSignal::Metrics, &body).body, b"{}");
    let [row] = scene.ingest.overview().cold_starts.try_into().unwrap();
    assert_eq!((&*row.device_model, &*row.app_version, row.starts), ("iPhone15,2", "3.1.0", 4));
    assert!((row.p50_seconds - 1.5).abs() < 0.3, "{row:?}");
    let page = scene.metrics.render_prometheus();
    let labels = "device_model=\"iPhone15,2\",app_version=\"3.1.0\"";
    for line in [
        format!("plimsoll_app_start_cold_seconds_count{{{labels}}} 4\n"),
        format!("plimsoll_app_start_cold_seconds_sum{{{labels}}} 6\n"),
        format!("plimsoll_app_start_cold_seconds_bucket{{{labels},le=\"2\"}} 4\n"),
    ] {
        assert!(page.contains(&line), "{line}");
    }
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_a_reader_panic(body: Vec<u8>, gz: bool) {
        let scene = scene();
        let coding = if gz { "gzip" } else { "" };
        for kind in [JSON, PROTOBUF] {
            for signal in [OtlpSignal::Traces, OtlpSignal::Metrics, OtlpSignal::Logs] {
                let status = scene.ingest.accept(signal, kind, coding, &body).status;
                assert!(matches!(status, 200 | 400));
            }
        }
    }
}
