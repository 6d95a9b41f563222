//! What each path answers.

use std::collections::BTreeSet;

use plimsoll_console::{OpsCode, Readiness, Reason};

use crate::scene::{HOSTILE, Scene};

#[tokio::test]
async fn the_page_shows_figures_routes_and_notices_and_loads_nothing_from_elsewhere() {
    let scene = Scene::start().await;
    scene.second();
    let page = scene.get("/").await;
    assert_eq!(page.status, 200);
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    let policy = page.header("content-security-policy");
    assert!(policy.starts_with("default-src 'self';") && !policy.contains("unsafe"), "{policy}");
    for name in ["x-content-type-options", "x-frame-options", "cross-origin-resource-policy"] {
        assert!(!page.header(name).is_empty(), "{name}");
    }
    for part in [
        "getOrder",
        "GET /getOrder/{id}",
        "quiet",
        "no request",
        "ios",
        "passed over",
        "for 8 s",
        "token: orders:read",
        "No issuer is configured.",
        "not in a contract",
        "% ≤ 300 ms",
        "last 1 s",
        "abcdef012345",
        "near the line",
        "at the line",
    ] {
        assert!(page.body.contains(part), "no `{part}` in {}", page.body);
    }
    for outside in ["src=\"http", "href=\"http", "url(", "@import", "style=\"", "<style", "onload"]
    {
        assert!(!page.body.contains(outside), "{outside}");
    }
    for (tag, allowed) in [("<script", 1), ("<link", 2)] {
        assert_eq!(page.body.matches(tag).count(), allowed, "{tag}");
    }
    assert!(!page.body.contains("<script>"), "hostile text is escaped");
    assert!(page.body.contains("&lt;script&gt;"));
    scene.stop().await;
}

#[tokio::test]
async fn a_page_without_traffic_says_what_to_do() {
    let scene = Scene::start().await;
    let page = scene.get("/?window=10").await;
    assert!(page.body.contains("No request in the last 10 s"));
    assert!(page.body.contains("curl -i http://127.0.0.1:8080/"));
    assert!(!page.body.contains("NaN"));
    scene.stop().await;
}

#[tokio::test]
async fn every_view_can_be_had_as_json() {
    let scene = Scene::start().await;
    scene.second();
    let json = scene.get("/?format=json&sort=requests&window=300").await;
    assert_eq!(json.header("content-type"), "application/json");
    let view = json.json();
    assert_eq!(view["total"]["requests"], 10);
    assert_eq!(view["total"]["error_share"], 0.1);
    assert_eq!(view["operations"][0]["operation"], "getOrder");
    assert_eq!(view["operations"][0]["requests_per_second"], 9.0);
    assert_eq!(view["operations"][2]["p95_seconds"], serde_json::Value::Null);
    assert_eq!(view["notices"][0]["level"], "warning");
    assert_eq!(view["age_seconds"], 0.0);
    assert_eq!(view["history"].as_array().unwrap().len(), 1);
    scene.stop().await;
}

#[tokio::test]
async fn every_table_can_be_had_as_csv() {
    let scene = Scene::start().await;
    scene.second();
    let table = scene.get("/operations.csv").await;
    assert_eq!(table.header("content-type"), "text/csv; charset=utf-8; header=present");
    let lines: Vec<&str> = table.body.split("\r\n").collect();
    assert!(lines[0].starts_with("service,operation,route,requests,requests_per_second,p50"));
    assert!(lines[1].starts_with("shop,getOrder,GET /getOrder/{id},9,9,"), "{}", lines[1]);
    assert!(lines[3].starts_with("shop,\"'=<script>"), "{}", lines[3]);
    for file in ["platforms", "device-models", "upstreams", "cache", "routes", "history", "loads"] {
        let table = scene.get(&format!("/{file}.csv")).await;
        assert_eq!(table.status, 200, "{file}");
        let columns = table.body.lines().next().unwrap().matches(',').count();
        let row = table.body.lines().nth(1).unwrap();
        assert!(row.matches(',').count() >= columns, "{file}: {row}");
    }
    scene.stop().await;
}

#[tokio::test]
async fn metrics_are_served_as_prometheus_reads_them() {
    let scene = Scene::start().await;
    scene.second();
    let metrics = scene.get("/metrics").await;
    assert_eq!(metrics.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    let escaped = HOSTILE.replace('"', "\\\"");
    let line = format!("plimsoll_requests_total{{service=\"shop\",operation=\"{escaped}\"");
    assert!(metrics.body.contains(&line), "{}", metrics.body);
    scene.stop().await;
}

#[tokio::test]
async fn readiness_has_reasons() {
    let scene = Scene::start().await;
    assert_eq!(scene.get("/healthz").await.json()["status"], "alive");
    let ready = scene.get("/readyz").await;
    assert_eq!((ready.status, &ready.json()["ready"]), (200, &true.into()));
    *scene.made.readiness.lock().unwrap() = Readiness {
        ready: true,
        draining: true,
        reasons: vec![Reason {
            code: "draining".into(),
            why: "SIGTERM was received.".into(),
            next: "Wait.".into(),
        }],
    };
    let draining = scene.get("/readyz").await;
    assert_eq!(draining.status, 503);
    assert_eq!(draining.header("content-type"), "application/problem+json");
    let problem = draining.json();
    assert_eq!(problem["code"], "PLM-OPS-0006");
    assert_eq!(problem["detail"], "SIGTERM was received.");
    assert_eq!(problem["reasons"][0]["next"], "Wait.");
    assert_eq!(scene.get("/healthz").await.status, 200, "draining is no reason to be killed");
    assert!(scene.get("/").await.body.contains("draining"));
    *scene.made.readiness.lock().unwrap() = Readiness::default();
    let problem = scene.get("/readyz").await.json();
    assert_eq!(problem["detail"], "The node is not ready.");
    scene.stop().await;
}

#[tokio::test]
async fn every_error_is_a_problem() {
    let scene = Scene::start().await;
    for (method, target, host, status, code) in [
        ("GET", "/nothing", "localhost", 404, "PLM-OPS-0001"),
        ("GET", "/nothing.csv", "localhost", 404, "PLM-OPS-0001"),
        ("GET", "/assets/", "localhost", 404, "PLM-OPS-0001"),
        ("GET", "/../etc/passwd", "localhost", 404, "PLM-OPS-0001"),
        ("POST", "/", "localhost", 405, "PLM-OPS-0002"),
        ("DELETE", "/nothing", "localhost", 405, "PLM-OPS-0002"),
        ("GET", "/?window=61", "localhost", 400, "PLM-OPS-0003"),
        ("GET", "/?sort=name", "localhost", 400, "PLM-OPS-0003"),
        ("GET", "/?format=xml", "localhost", 400, "PLM-OPS-0003"),
        ("GET", "/?window=10&window=60", "localhost", 400, "PLM-OPS-0003"),
        ("GET", "/live?sort=%ff", "localhost", 400, "PLM-OPS-0003"),
        ("GET", "/operations.csv?window=x", "localhost", 400, "PLM-OPS-0003"),
        ("GET", "/", "evil.example", 421, "PLM-OPS-0004"),
        ("GET", "/metrics", "evil.example:8081", 421, "PLM-OPS-0004"),
    ] {
        let answer = scene.ask(method, target, host).await;
        assert_eq!(answer.status, status, "{method} {target} {host}");
        assert_eq!(answer.header("content-type"), "application/problem+json", "{target}");
        let problem = answer.json();
        assert_eq!(problem["code"], code, "{method} {target} {host}");
        assert_eq!(problem["status"], status);
        assert_eq!(problem["type"], format!("https://plimsoll.dev/errors/{code}"));
        assert!(problem["detail"].as_str().unwrap().len() > 10);
        assert!(!answer.header("content-security-policy").is_empty());
    }
    let post = scene.ask("POST", "/", "localhost").await;
    assert_eq!(post.header("allow"), "get, head");
    let no_host = scene.raw("GET / HTTP/1.0\r\n\r\n").await;
    assert_eq!(no_host.status, 421);
    scene.stop().await;
}

#[tokio::test]
async fn assets_are_our_own() {
    let scene = Scene::start().await;
    for (path, kind) in [
        ("/assets/console.css", "text/css; charset=utf-8"),
        ("/assets/console.js", "text/javascript; charset=utf-8"),
        ("/assets/icon.svg", "image/svg+xml"),
    ] {
        let asset = scene.get(path).await;
        assert_eq!((asset.status, asset.header("content-type")), (200, kind));
        assert!(!asset.body.contains("@import") && !asset.body.contains("url("), "{path}");
    }
    let head = scene.ask("HEAD", "/", "localhost").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    scene.stop().await;
}

#[test]
fn every_code_has_its_page_and_every_page_its_code() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/errors");
    let pages: BTreeSet<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("PLM-OPS-"))
        .collect();
    let codes: BTreeSet<String> =
        OpsCode::ALL.iter().map(|code| format!("{}.md", code.as_str())).collect();
    assert_eq!(pages, codes);
    for code in OpsCode::ALL {
        let page = std::fs::read_to_string(format!("{folder}/{}.md", code.as_str())).unwrap();
        let head =
            format!("# {}: {}\n\nStatus {}.", code.as_str(), code.title(), code.status().as_u16());
        assert!(page.starts_with(&head), "{page}");
    }
}
