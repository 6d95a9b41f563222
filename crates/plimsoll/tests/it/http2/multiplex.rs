//! Many streams on one connection, each answered with its own.

use std::sync::Arc;
use std::time::Duration;

use plimsoll_testkit::{Outcome, expected_body};
use rustix::process::Signal;
use tokio::task::JoinSet;

use super::client::{Client, get, read};
use crate::bodies::tools::{SECOND, Watch, eventually_async};
use crate::scene::Scene;
use crate::slow::{TlsScene, client_config};

const STREAMS: usize = 100;
const DELAY: Duration = Duration::from_millis(400);

/// Opens all streams before any is answered, and matches each answer by id and whole body.
async fn hundred_at_once(client: &mut Client, prefix: &str) -> Duration {
    let watch = Watch::start();
    let mut streams = JoinSet::new();
    for number in 0..STREAMS {
        let id = format!("{prefix}-{number}");
        let size = number * 997;
        let script = format!("delay={};body={size}", DELAY.as_millis());
        // A path each: of those who ask for the same, one asks the service first.
        let path = format!("/x/{number}");
        let request = get(&path, &[("x-test-id", &id), ("x-script", &script)]);
        let (response, _) = client.open(request, true).await.unwrap();
        streams.spawn(async move {
            let answer = read(response.await.unwrap()).await.unwrap();
            assert_eq!(
                (answer.status.as_u16(), answer.headers["x-test-id"].as_bytes()),
                (200, id.as_bytes())
            );
            assert!(answer.body == expected_body(&id, size), "{id}: {} bytes", answer.body.len());
        });
    }
    while let Some(one) = streams.join_next().await {
        one.unwrap();
    }
    watch.read()
}

fn all_seen_once(scene: &plimsoll_testkit::Origin, prefix: &str) {
    for number in 0..STREAMS {
        assert_eq!(scene.log().with_id(&format!("{prefix}-{number}")).len(), 1);
    }
    assert_eq!(scene.log().anomalies(), Vec::<String>::new());
}

#[tokio::test]
async fn a_hundred_streams_at_once_each_get_their_own_answer() {
    let scene = Scene::open("", "", "");
    let mut client = Client::connect(scene.edge.addr()).await;
    let took = hundred_at_once(&mut client, "plain").await;
    println!("{STREAMS} streams with {DELAY:?} each: {took:?}");
    assert!(took < DELAY * 20, "{took:?}: one after the other would be {:?}", DELAY * 100);
    all_seen_once(&scene.origin, "plain");
    assert_eq!(scene.origin.log().connections().len(), STREAMS, "each on a connection of its own");
    // What was opened for the burst is used again.
    hundred_at_once(&mut client, "again").await;
    assert!(scene.origin.log().connections().len() < STREAMS + 20);
}

#[tokio::test]
async fn a_hundred_streams_over_tls_by_alpn() {
    let scene = TlsScene::start("", "");
    let config = client_config(&[&scene.certified], &[b"h2", b"http/1.1"]);
    let mut client = Client::secure(scene.addr(), config).await;
    let took = hundred_at_once(&mut client, "secure").await;
    assert!(took < DELAY * 20, "{took:?}");
    all_seen_once(&scene.origin, "secure");
    let seen = scene.origin.log().with_id("secure-1");
    assert_eq!(seen[0].headers.get("x-forwarded-proto"), Some("https"));
}

#[tokio::test]
async fn a_client_without_alpn_or_with_http_1_1_is_served_too() {
    let scene = TlsScene::start("", "");
    let mut client = scene.client();
    for _ in 0..2 {
        assert_eq!(client.get("/x", &[]).unwrap().status, 200);
    }
}

#[tokio::test]
async fn one_stream_more_than_allowed_waits_for_its_turn() {
    let scene = Scene::open("http2_streams_max = 4", "", "");
    let mut client = Client::connect(scene.edge.addr()).await;
    client.get("/x", &[]).await.unwrap();
    let mut streams = JoinSet::new();
    let sender = Arc::new(tokio::sync::Mutex::new(client));
    for number in 0..12 {
        let sender = Arc::clone(&sender);
        streams.spawn(async move {
            let id = format!("turn-{number}");
            let request = get("/x", &[("x-test-id", &id), ("x-script", "delay=150")]);
            let (response, _) = sender.lock().await.open(request, true).await.unwrap();
            assert_eq!(read(response.await.unwrap()).await.unwrap().body, expected_body(&id, 64));
        });
    }
    while let Some(one) = streams.join_next().await {
        one.unwrap();
    }
    assert!(scene.origin.log().connections().len() <= 5, "four at a time, and the first");
}

/// A stream that waits, and one whose answer nobody reads, hold up no other.
#[tokio::test]
async fn a_stream_that_stands_still_holds_up_no_other() {
    let scene = Scene::open("", "", "");
    // The unread stream may fill its own window, not the connection's, which is the client's to
    // give.
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(256 * 1024).initial_connection_window_size(1 << 20);
    let mut client = Client::with(scene.edge.addr(), &builder).await;
    let (never, _never) = client.open(get("/x", &[("x-script", "never")]), true).await.unwrap();
    let large = get("/x", &[("x-script", "body=10000000")]);
    let (unread, _unread) = client.open(large, true).await.unwrap();
    let unread = unread.await.unwrap();
    let watch = Watch::start();
    for number in 0..50 {
        let id = format!("beside-{number}");
        let answer = client.get("/x", &[("x-test-id", &id)]).await.unwrap();
        assert_eq!(answer.body, expected_body(&id, 64));
    }
    assert!(watch.read() < 5 * SECOND, "{:?}", watch.read());
    assert_eq!(read(unread).await.unwrap().body.len(), 10_000_000);
    drop(never);
}

#[tokio::test]
async fn a_stream_that_is_reset_frees_the_service_and_nothing_else() {
    let scene = Scene::open("", "", "");
    let mut client = Client::connect(scene.edge.addr()).await;
    let fields = [("x-test-id", "reset"), ("x-script", "never")];
    let (response, mut stream) = client.open(get("/x", &fields), true).await.unwrap();
    eventually_seen(&scene, "reset").await;
    stream.send_reset(h2::Reason::CANCEL);
    drop((response, stream));
    eventually_async("the service is freed", 3 * SECOND, || {
        scene.origin.log().connections_open() == 0
    })
    .await;
    assert_eq!(scene.origin.log().with_id("reset")[0].outcome, Outcome::AsScripted);
    assert_eq!(client.get("/x", &[]).await.unwrap().status, 200);
}

async fn eventually_seen(scene: &Scene, id: &str) {
    eventually_async("the request reaches the service", 3 * SECOND, || {
        !scene.origin.log().with_id(id).is_empty()
    })
    .await;
}

#[tokio::test]
async fn a_drain_lets_streams_finish_and_says_that_no_more_are_taken() {
    let mut scene = Scene::open("", "", "");
    let mut client = Client::connect(scene.edge.addr()).await;
    let mut streams = JoinSet::new();
    for number in 0..20 {
        let id = format!("drain-{number}");
        let fields = [("x-test-id", id.as_str()), ("x-script", "delay=1500;body=5000")];
        let (response, _) = client.open(get("/x", &fields), true).await.unwrap();
        streams.spawn(async move {
            let answer = read(response.await.unwrap()).await.unwrap();
            assert_eq!(answer.body, expected_body(&id, 5000));
        });
    }
    eventually_seen(&scene, "drain-19").await;
    scene.edge.signal(Signal::TERM).unwrap();
    while let Some(one) = streams.join_next().await {
        one.unwrap();
    }
    // GOAWAY without an error: a client may send what it still has elsewhere.
    let ended = tokio::time::timeout(5 * SECOND, client.ended()).await.expect("the end in time");
    ended.unwrap();
    let mut status = None;
    eventually_async("the process ends by itself", 10 * SECOND, || {
        status = scene.edge.wait(Duration::ZERO).unwrap();
        status.is_some()
    })
    .await;
    assert!(status.unwrap().success(), "{status:?}");
    assert_eq!(scene.origin.log().requests(), 20);
}
