//! Slow-read over HTTP/2: the socket is read, and the windows are never opened.

use h2::client::Builder;
use plimsoll_testkit::{Outcome, expected_body};

use super::client::{Client, get, read};
use crate::bodies::tools::{SECOND, Watch};
use crate::scene::Scene;

const EDGE: &str = "write_stall_timeout = \"1s\"";

/// Each such stream would hold a connection to the service for as long as the client likes.
#[tokio::test]
async fn streams_whose_window_stays_shut_are_cut_off_and_the_service_is_freed() {
    const STREAMS: usize = 50;
    let scene = Scene::open(EDGE, "", "");
    for window in [0, 1_000] {
        let mut builder = Builder::new();
        builder.initial_window_size(window);
        let mut client = Client::with(scene.edge.addr(), &builder).await;
        let mut held = Vec::new();
        for number in 0..STREAMS {
            let id = format!("shut-{window}-{number}");
            let fields = [("x-test-id", id.as_str()), ("x-script", "body=5000000")];
            let (response, stream) = client.open(get("/x", &fields), true).await.unwrap();
            held.push((response.await.unwrap(), stream));
        }
        let watch = Watch::start();
        while scene.origin.log().connections_open() > 0 {
            assert!(
                watch.read() < 10 * SECOND,
                "window {window}: {} connections to the service are still held",
                scene.origin.log().connections_open()
            );
            tokio::time::sleep(SECOND / 20).await;
        }
        println!("window {window}: {STREAMS} streams freed after {:?}", watch.read());
        let first = &scene.origin.log().with_id(&format!("shut-{window}-0"))[0];
        assert_eq!(first.outcome, Outcome::Broken);
        let (response, _stream) = held.pop().unwrap();
        assert!(read(response).await.is_err(), "a cut answer must not look complete");
    }
}

/// A reader that takes a little at a time is slow, not hostile.
#[tokio::test]
async fn a_stream_that_is_read_slowly_but_steadily_gets_everything() {
    let scene = Scene::open(EDGE, "", "");
    let mut builder = Builder::new();
    builder.initial_window_size(32 * 1024);
    let mut client = Client::with(scene.edge.addr(), &builder).await;
    let fields = [("x-test-id", "steady"), ("x-script", "body=2000000")];
    let (response, _stream) = client.open(get("/x", &fields), true).await.unwrap();
    let mut body = response.await.unwrap().into_body();
    let (mut received, mut pauses) = (Vec::new(), 0);
    while let Some(piece) = body.data().await {
        let piece = piece.unwrap_or_else(|e| panic!("after {} bytes: {e}", received.len()));
        received.extend_from_slice(&piece);
        if pauses < 12 {
            pauses += 1;
            tokio::time::sleep(SECOND * 3 / 10).await;
        }
        body.flow_control().release_capacity(piece.len()).unwrap();
    }
    assert!(received == expected_body("steady", 2_000_000), "{}", received.len());
}
