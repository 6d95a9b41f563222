//! Breaking operations on purpose.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use mvp::client::Connection;
use mvp::serve::{self, Options, ServeError};
use serde_json::json;
use tokio::time::Instant;

use crate::support::{ANY_PORT, Backend, request, token};

#[tokio::test]
async fn an_operation_breaks_alone_and_is_mended() {
    let backend = Backend::start().await;
    let mut api = Connection::to(backend.api);
    let mut switches = Connection::to(backend.switches);
    let set = backend.set("getFeed", &json!({ "status": 503 })).await;
    assert_eq!(set.status, 200);
    let broken = request(&mut api, Method::GET, "/v1/feed", None, None).await;
    assert_eq!(broken.status, 503);
    assert!(String::from_utf8_lossy(&broken.body).contains("broken on purpose"));
    let other = request(&mut api, Method::GET, "/v1/products", None, None).await;
    assert_eq!(other.status, 200, "the others go on");
    let listed = request(&mut switches, Method::GET, "/_switches", None, None).await;
    assert!(String::from_utf8_lossy(&listed.body).contains("\"getFeed\""));
    let mended = request(&mut switches, Method::DELETE, "/_switches/getFeed", None, None).await;
    assert_eq!(mended.status, 204);
    assert_eq!(request(&mut api, Method::GET, "/v1/feed", None, None).await.status, 200);
}

#[tokio::test]
async fn two_operations_of_one_path_have_two_switches() {
    let backend = Backend::start().await;
    backend.set("createOrder", &json!({ "status": 500 })).await;
    let mut api = Connection::to(backend.api);
    let ava = token("ava");
    let body = json!({ "lines": [] });
    let create = request(&mut api, Method::POST, "/v1/orders", Some(&ava), Some(&body)).await;
    let list = request(&mut api, Method::GET, "/v1/orders", Some(&ava), None).await;
    assert_eq!((create.status.as_u16(), list.status.as_u16()), (500, 200));
}

#[tokio::test]
async fn latency_is_added() {
    let backend = Backend::start().await;
    backend.set("getFeed", &json!({ "latency_ms": 300 })).await;
    let start = Instant::now();
    let mut api = Connection::to(backend.api);
    assert_eq!(request(&mut api, Method::GET, "/v1/feed", None, None).await.status, 200);
    assert!(start.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn a_switch_that_cannot_be_is_refused_and_says_why() {
    let backend = Backend::start().await;
    for (operation, switch, status, word) in [
        ("getFed", json!({}), 404, "getFeed"),
        ("getFeed", json!({ "status": 200 }), 422, "400 to 599"),
        ("getFeed", json!({ "latency": 5 }), 422, "unknown field"),
        ("getPost", json!({ "n_plus_one": true }), 422, "getFeed"),
    ] {
        let answer = backend.set(operation, &switch).await;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert_eq!(answer.status, status, "{text}");
        assert!(text.contains(word), "{text}");
    }
}

#[tokio::test]
async fn a_foreign_name_for_this_machine_is_refused() {
    let backend = Backend::start().await;
    let stream = tokio::net::TcpStream::connect(backend.switches.0).await.unwrap();
    let io = hyper_util::rt::TokioIo::new(stream);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
    let mut driver = tokio::task::JoinSet::new();
    driver.spawn(connection);
    let request = Request::delete("/_switches")
        .header("host", "rebound.example:8091")
        .body(http_body_util::Full::new(Bytes::new()))
        .unwrap();
    assert_eq!(sender.send_request(request).await.unwrap().status(), 421);
}

#[tokio::test]
async fn switches_listen_on_loopback_alone() {
    let options = Options {
        database_url: "postgresql://nobody@localhost/nothing".to_owned(),
        otlp: None,
        say: |_| {},
        listen: ANY_PORT,
        switches_listen: Some("0.0.0.0:0".parse().unwrap()),
        pace: Duration::ZERO,
        seed: 1,
    };
    let refused = serve::bind(&options, || 0).await.unwrap_err();
    assert!(matches!(refused, ServeError::SwitchesNotLoopback(_)), "{refused}");
}
