//! `/otlp`: who may send, what is taken, and where it shows.

use std::time::Duration;

use plimsoll_console::IngestToken;
use serde_json::{Value, json};

use crate::scene::{Answer, HOSTILE, Scene};

const TOKEN: &str = "0123456789abcdef";

async fn post(scene: &Scene, path: &str, fields: &str, body: &str) -> Answer {
    let length = body.len();
    let head = format!("POST {path} HTTP/1.1\r\nConnection: close\r\nContent-Length: {length}");
    scene.raw(&format!("{head}\r\n{fields}\r\n\r\n{body}")).await
}

const LOCAL: &str = "Host: localhost\r\nContent-Type: application/json";

fn text(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

/// A request whose server span holds the same statement eight times.
fn trace(seed: u64) -> String {
    let span = |n: u64, parent: u64, kind: u64, attributes: [Value; 2]| {
        json!({
            "traceId": format!("{seed:032x}"), "spanId": format!("{n:016x}"), "kind": kind,
            "parentSpanId": format!("{parent:016x}"), "attributes": attributes,
        })
    };
    let mut spans = vec![span(1, 0, 2, [text("http.route", HOSTILE), text("a", "b")])];
    let said = [text("db.system", "mysql"), text("db.statement", "SELECT a FROM t WHERE b = 'c'")];
    spans.extend((2..10).map(|n| span(n, 1, 3, said.clone())));
    json!({ "resourceSpans": [{ "scopeSpans": [{ "spans": spans }] }] }).to_string()
}

#[tokio::test]
async fn spans_show_as_database_calls_on_the_page_in_json_and_csv() {
    let scene = Scene::start().await;
    let empty = scene.get("/").await;
    assert!(empty.body.contains("OTEL_EXPORTER_OTLP_ENDPOINT=http://"), "how to send spans");
    for seed in 1..=4 {
        let answer = post(&scene, "/otlp/v1/traces", LOCAL, &trace(seed)).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, "{}"));
    }
    scene.clock.advance(Duration::from_secs(11));
    let page = scene.get("/").await.body;
    assert!(page.contains("SELECT a FROM t WHERE b = ?") && page.contains("N+1"));
    assert!(page.contains("<b>8</b> times a request") && !page.contains("<script>alert"));
    let view = scene.get("/?format=json").await.json();
    assert_eq!(view["ingest"]["operations"][0]["repeated"][0]["median_calls"], 8);
    let table = scene.get("/database-calls.csv").await.body;
    assert!(table.contains("SELECT a FROM t WHERE b = ?,32,"), "{table}");
    assert_eq!(scene.get("/cold-starts.csv").await.status, 200);
    scene.stop().await;
}

#[tokio::test]
async fn only_this_machine_may_send_and_no_page_of_another_site() {
    let scene = Scene::start().await;
    let path = "/otlp/v1/traces";
    for (fields, status) in [
        (LOCAL, 200),
        ("Host: evil.example\r\nContent-Type: application/json", 421),
        // What a page may send to another site without asking first.
        ("Host: localhost\r\nContent-Type: text/plain", 415),
        ("Host: localhost\r\nContent-Type: application/x-www-form-urlencoded", 415),
        ("Host: localhost", 415),
    ] {
        assert_eq!(post(&scene, path, fields, "{}").await.status, status, "{fields}");
    }
    for (method, path, status) in [
        ("OPTIONS", path, 405),
        ("GET", path, 405),
        ("POST", "/otlp/v1/profiles", 404),
        ("POST", "/otlp/", 404),
    ] {
        assert_eq!(scene.ask(method, path, "localhost").await.status, status, "{method} {path}");
    }
    let refused = scene.ask("GET", path, "localhost").await;
    assert_eq!((refused.header("allow"), &refused.json()["code"]), ("post", &json!(12)));
    scene.stop().await;
}

#[tokio::test]
async fn off_loopback_the_token_opens_it_and_nothing_else() {
    let open = Scene::start_with("0.0.0.0", |options| options).await;
    assert_eq!(post(&open, "/otlp/v1/traces", LOCAL, "{}").await.status, 403);
    open.stop().await;
    for bind in ["0.0.0.0", "127.0.0.1"] {
        let scene = Scene::start_with(bind, |mut options| {
            options.ingest_token = IngestToken::new(TOKEN);
            options
        })
        .await;
        let with = |token: &str| {
            let kind = "Content-Type: application/json";
            format!("Host: edge.internal\r\n{kind}\r\nAuthorization: Bearer {token}")
        };
        let taken = post(&scene, "/otlp/v1/metrics", &with(TOKEN), "{}").await;
        assert_eq!(taken.status, 200, "{bind}");
        for fields in [with("0123456789abcdeg"), with(""), LOCAL.to_owned()] {
            let refused = post(&scene, "/otlp/v1/metrics", &fields, "{}").await;
            assert_eq!((refused.status, &refused.json()["code"]), (401, &json!(16)), "{bind}");
            assert!(refused.header("www-authenticate").starts_with("bearer"));
        }
        let elsewhere = scene
            .raw(&format!("GET / HTTP/1.1\r\nConnection: close\r\n{}\r\n\r\n", with(TOKEN)))
            .await;
        assert!(matches!(elsewhere.status, 403 | 421), "the token opens no page");
        scene.stop().await;
    }
}

#[tokio::test]
async fn a_body_beyond_the_bound_is_refused() {
    let scene = Scene::start().await;
    let large = " ".repeat((4 << 20) + 1);
    let answer = post(&scene, "/otlp/v1/traces", LOCAL, &large).await;
    assert_eq!((answer.status, &answer.json()["code"]), (413, &json!(8)));
    scene.stop().await;
}
