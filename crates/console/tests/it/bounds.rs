//! What the listener does to those who ask too much of it.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::scene::{Answer, Scene};

#[tokio::test]
async fn off_loopback_only_health_is_served() {
    let scene = Scene::start_with("0.0.0.0", |options| options).await;
    for path in ["/healthz", "/readyz"] {
        assert_eq!(scene.ask("GET", path, "10.1.2.3:8081").await.status, 200, "{path}");
    }
    for path in ["/", "/metrics", "/live", "/operations.csv", "/assets/console.css", "/nothing"] {
        let answer = scene.get(path).await;
        assert_eq!(answer.status, 403, "{path}");
        assert_eq!(answer.json()["code"], "PLM-OPS-0005");
    }
    scene.stop().await;
}

#[tokio::test]
async fn connections_beyond_the_bound_wait() {
    let scene = Scene::start_with("127.0.0.1", |mut options| {
        options.connections_max = 1;
        options
    })
    .await;
    let mut held = scene.connect().await;
    let request = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    held.write_all(request.as_bytes()).await.unwrap();
    let mut part = [0; 4_096];
    assert!(held.read(&mut part).await.unwrap() > 0);
    let mut waiting = scene.connect().await;
    waiting.write_all(request.as_bytes()).await.unwrap();
    let early = timeout(Duration::from_millis(300), waiting.read(&mut part)).await;
    assert!(early.is_err(), "the second is not served while the first is open");
    drop(held);
    let read = timeout(Duration::from_secs(20), waiting.read(&mut part)).await.unwrap().unwrap();
    assert_eq!(Answer::read(&part[..read]).status, 200);
    scene.stop().await;
}

#[tokio::test]
async fn a_large_head_is_refused() {
    let scene = Scene::start().await;
    let long = "x".repeat(20_000);
    let many: String = (0..80).map(|n| format!("h{n}: 1\r\n")).collect();
    for head in [format!("A: {long}\r\n"), many] {
        let request = format!("GET / HTTP/1.1\r\nHost: localhost\r\n{head}\r\n");
        let mut stream = scene.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        // What was not read when the refusal went out may reset the connection behind it.
        let read = stream.read_to_end(&mut bytes).await;
        assert!(bytes.starts_with(b"HTTP/1.1 431") || (bytes.is_empty() && read.is_err()));
    }
    scene.stop().await;
}

#[tokio::test]
async fn the_end_does_not_wait_for_an_idle_connection() {
    let scene = Scene::start().await;
    let idle = scene.connect().await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    timeout(Duration::from_secs(20), scene.stop()).await.unwrap();
    drop(idle);
}
