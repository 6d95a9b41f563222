//! N+1 in spans, and whether anybody takes the figures.

use std::time::Duration;

use plimsoll_testkit::{Plimsoll, RawClient};
use serde_json::{Value, json};

use super::Place;

fn text(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

/// Requests for one route, each with so many database calls of the same statement.
pub(super) fn send(edge: &Plimsoll, route: &str, calls: u64) {
    for request in 0..8_u64 {
        let trace = format!("{:016x}{request:016x}", route.len() as u64 * 1_000 + calls);
        let span = |n: u64, parent: u64, kind: u64, attributes: Vec<Value>| {
            json!({
                "traceId": trace, "spanId": format!("{n:016x}"), "kind": kind,
                "parentSpanId": format!("{parent:016x}"), "attributes": attributes,
            })
        };
        let mut spans = vec![span(1, 0, 2, vec![text("http.route", route)])];
        let said = || {
            vec![
                text("db.system", "postgresql"),
                text("db.statement", "select a from t where b = 1"),
            ]
        };
        spans.extend((2..2 + calls).map(|n| span(n, 1, 3, said())));
        let body = json!({ "resourceSpans": [{ "scopeSpans": [{ "spans": spans }] }] }).to_string();
        let mut client = RawClient::connect(edge.ops_addr()).unwrap();
        let host = edge.ops_addr().to_string();
        let length = body.len().to_string();
        let fields = [
            ("host", host.as_str()),
            ("content-type", "application/json"),
            ("content-length", length.as_str()),
        ];
        let answer = client.request("POST", "/otlp/v1/traces", &fields, body.as_bytes()).unwrap();
        assert_eq!(answer.status, 200);
    }
}

#[test]
fn an_n_plus_one_shows_in_the_spans_and_is_named() {
    let place = Place::new();
    let edge = place.start(&place.shop(""));
    let facts = place.seen("telemetry.database", |facts| facts["operations"] == 0);
    assert_eq!(facts["says"], "no database span has arrived");
    send(&edge, "/orders", 1);
    let facts = place.seen("telemetry.database", |facts| facts["operations"] == 1);
    assert_eq!(facts["n_plus_one"], 0, "{facts}");
    send(&edge, "/feed", 9);
    let facts = place.seen("telemetry.database", |facts| facts["n_plus_one"] == 1);
    assert!(facts["first_n_plus_one"].as_str().unwrap().ends_with("/feed"), "{facts}");
}

#[test]
fn figures_that_nobody_takes_any_more_show() {
    let place = Place::new();
    let edge = place.start(&place.shop(""));
    place.seen("telemetry.read", |facts| facts["reads"] == 0);
    for _ in 0..3 {
        assert_eq!(edge.ops_get("/metrics").unwrap().0, 200);
        std::thread::sleep(Duration::from_millis(500));
    }
    place.seen("telemetry.read", |facts| facts["reads"].as_u64() > Some(0));
    place.seen("telemetry.read", |facts| facts["reads"] == 0);
}
