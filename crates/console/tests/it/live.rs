//! The live page.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::scene::Scene;

const PATIENCE: Duration = Duration::from_secs(20);

async fn open(scene: &Scene) -> TcpStream {
    let mut stream = scene.connect().await;
    let request = "GET /live?window=10 HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// Reads until the text has come `times` times, or the end; whatever else came with it too.
async fn read_until(stream: &mut TcpStream, text: &str, times: usize) -> String {
    let mut all = Vec::new();
    let reading = async {
        loop {
            let mut part = vec![0; 65_536];
            let read = stream.read(&mut part).await.unwrap();
            all.extend_from_slice(&part[..read]);
            let so_far = String::from_utf8_lossy(&all);
            if read == 0 || so_far.matches(text).count() >= times {
                return so_far.into_owned();
            }
        }
    };
    timeout(PATIENCE, reading).await.unwrap()
}

#[tokio::test]
async fn figures_come_every_second() {
    let scene = Scene::start().await;
    scene.second();
    let mut stream = open(&scene).await;
    let first = read_until(&mut stream, "</main>", 1).await;
    assert!(first.contains("content-type: text/event-stream"), "{first}");
    assert!(first.contains("event: view\n") && first.contains("retry: 2000\n"), "{first}");
    assert!(first.contains("data: <main id=\"view\" data-age=\"0.0\">"), "{first}");
    assert!(first.contains("<b>10.0</b> a second"));
    scene.clock.advance(Duration::from_secs(4));
    let second = read_until(&mut stream, "</main>", 1).await;
    assert!(second.contains("data-age=\"4.0\""), "the age is told when no figures come");
    scene.second();
    scene.second();
    let third = read_until(&mut stream, "</main>", 1).await;
    assert!(third.contains("data-age=\"0.0\""));
    scene.stop().await;
}

#[tokio::test]
async fn live_pages_are_bounded_and_a_closed_one_makes_room() {
    let scene = Scene::start_with("127.0.0.1", |mut options| {
        options.live_max = 1;
        options
    })
    .await;
    let mut held = open(&scene).await;
    read_until(&mut held, "</main>", 1).await;
    let refused = scene.get("/live").await;
    assert_eq!((refused.status, &refused.json()["code"]), (503, &"PLM-OPS-0007".into()));
    assert_eq!(refused.header("retry-after"), "5");
    assert_eq!(scene.get("/").await.status, 200, "the page itself still answers");
    drop(held);
    let mut again = None;
    for _ in 0..100 {
        let mut stream = open(&scene).await;
        if read_until(&mut stream, "\r\n\r\n", 1).await.starts_with("HTTP/1.1 200") {
            again = Some(stream);
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(again.is_some(), "a place was never given back");
    scene.stop().await;
}

#[tokio::test]
async fn the_end_ends_live_pages() {
    let scene = Scene::start().await;
    let mut stream = open(&scene).await;
    read_until(&mut stream, "</main>", 1).await;
    timeout(PATIENCE, scene.stop()).await.unwrap();
    let mut rest = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut rest)).await.unwrap().unwrap();
    assert!(rest.ends_with(b"0\r\n\r\n"), "the stream ends whole: {rest:?}");
}
