//! Large bodies both ways under flow control, and their bounds.

use bytes::Bytes;
use http::Request;
use plimsoll_testkit::{BodyDigest, Outcome, expected_body};
use tokio::task::JoinSet;

use super::client::{Client, get, read, send_all, send_whole};
use crate::bodies::tools::{SECOND, Watch, eventually_async};
use crate::scene::Scene;

const LARGE: usize = 48 << 20;

/// What a few streams with bodies of any size may add to the resident memory, in bytes.
const GROWTH_MAX: u64 = 32 << 20;

const EDGE: &str = "body_bytes_max = \"64MiB\"";
const SERVICE: &str = "[service.timeouts]\ntotal = \"2m\"\nfirst_byte = \"2m\"\n";

fn put(id: &str, script: &str) -> Request<()> {
    let request = Request::put("http://a/x").header("x-test-id", id).header("x-script", script);
    request.body(()).unwrap()
}

#[tokio::test]
async fn large_bodies_go_both_ways_at_once_with_flat_memory() {
    let scene = Scene::open(EDGE, SERVICE, "");
    let mut client = Client::connect(scene.edge.addr()).await;
    client.get("/x", &[]).await.unwrap();
    let idle = scene.edge.facts().rss_bytes().unwrap();
    let watch = Watch::start();
    let mut streams = JoinSet::new();
    for number in 0..2 {
        let id = format!("down-{number}");
        let script = format!("body={LARGE}");
        let fields = [("x-test-id", id.as_str()), ("x-script", script.as_str())];
        let (response, _) = client.open(get("/x", &fields), true).await.unwrap();
        streams.spawn(async move {
            let answer = read(response.await.unwrap()).await.unwrap();
            assert!(answer.body == expected_body(&id, LARGE), "{id}");
        });
        let id = format!("up-{number}");
        let (response, mut stream) = client.open(put(&id, "body=64"), false).await.unwrap();
        streams.spawn(async move {
            let body = Bytes::from(expected_body(&id, LARGE));
            let digest = BodyDigest::of(&body);
            send_whole(&mut stream, body).await.unwrap();
            let answer = read(response.await.unwrap()).await.unwrap();
            assert_eq!(answer.headers["x-body-digest"], *digest, "{id}");
            assert_eq!(answer.body, expected_body(&id, 64));
        });
    }
    while let Some(one) = streams.join_next().await {
        one.unwrap();
    }
    let growth = scene.edge.facts().rss_peak_bytes().unwrap().saturating_sub(idle);
    println!(
        "4 x {} MiB over HTTP/2: {:?}, grown by {} KiB",
        LARGE >> 20,
        watch.read(),
        growth >> 10
    );
    assert!(growth < GROWTH_MAX, "{growth}");
}

#[tokio::test]
async fn a_body_that_is_too_large_ends_its_stream_and_no_other() {
    let scene = Scene::open("body_bytes_max = \"64KiB\"", "", "");
    let mut client = Client::connect(scene.edge.addr()).await;
    // Said beforehand: nothing is sent to the service.
    let mut stated = put("stated", "");
    stated.headers_mut().insert("content-length", http::HeaderValue::from_static("65537"));
    let (response, _stream) = client.open(stated, false).await.unwrap();
    let answer = read(response.await.unwrap()).await.unwrap();
    assert_eq!(answer.status, 413);
    assert_eq!(scene.origin.log().requests(), 0);
    // Found out in the middle.
    let (response, mut stream) = client.open(put("grows", ""), false).await.unwrap();
    send_all(&mut stream, vec![b'x'; 64 << 10].into()).await.unwrap();
    send_all(&mut stream, b"x"[..].into()).await.unwrap();
    let answer = tokio::time::timeout(5 * SECOND, async { read(response.await?).await }).await;
    let answer = answer.expect("in time").unwrap();
    assert_eq!(
        (answer.status.as_u16(), &answer.headers["content-type"]),
        (413, &http::HeaderValue::from_static("application/problem+json"),)
    );
    let document: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(
        (&document["code"], &document["body_bytes_max"]),
        (&"PLM-EDGE-0007".into(), &65_536.into())
    );
    // Where all of it was there at once, nothing may have been sent at all.
    eventually_async("the service's request is broken off", 2 * SECOND, || {
        scene.origin.log().with_id("grows").iter().all(|seen| seen.outcome == Outcome::Broken)
    })
    .await;
    assert_eq!(client.get("/x", &[]).await.unwrap().status, 200, "the connection goes on");
}

#[tokio::test]
async fn a_body_that_stalls_ends_its_stream_and_no_other() {
    let scene = Scene::open("body_idle_timeout = \"400ms\"", "", "");
    let mut client = Client::connect(scene.edge.addr()).await;
    let (response, mut stream) = client.open(put("stalls", ""), false).await.unwrap();
    send_all(&mut stream, b"0123456789"[..].into()).await.unwrap();
    let answer = tokio::time::timeout(5 * SECOND, async { read(response.await?).await }).await;
    assert_eq!(answer.expect("in time").unwrap().status, 408);
    assert_eq!(client.get("/x", &[]).await.unwrap().status, 200);
    eventually_async("the service's request is broken off", 2 * SECOND, || {
        scene.origin.log().with_id("stalls")[0].outcome == Outcome::Broken
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_breaks_off_resets_its_stream_and_is_never_complete() {
    let scene = Scene::open("", "", "");
    let mut client = Client::connect(scene.edge.addr()).await;
    for script in [
        "body=100000;cut-after=5000",
        "body=100000;reset-after=5000",
        "body=100000;chunked;cut-after=40000",
        "body=100000;until-close;reset-after=5000",
    ] {
        let answer = client.get("/x", &[("x-script", script)]).await;
        let error = answer.expect_err(script);
        assert!(error.is_reset(), "{script}: {error}");
        assert_eq!(client.get("/x", &[]).await.unwrap().status, 200, "after {script}");
    }
}

/// A cancelled upload of unknown length: what came of it must not look like the whole.
#[tokio::test]
async fn an_upload_that_is_cancelled_never_looks_complete() {
    let scene = Scene::open("", "", "");
    let mut client = Client::connect(scene.edge.addr()).await;
    for reason in [h2::Reason::CANCEL, h2::Reason::NO_ERROR, h2::Reason::INTERNAL_ERROR] {
        let id = format!("cancelled-{}", u32::from(reason));
        let (response, mut stream) = client.open(put(&id, ""), false).await.unwrap();
        send_all(&mut stream, vec![b'x'; 20_000].into()).await.unwrap();
        eventually_async("the request reaches the service", 3 * SECOND, || {
            !scene.origin.log().with_id(&id).is_empty()
        })
        .await;
        tokio::time::sleep(SECOND / 10).await;
        stream.send_reset(reason);
        drop((response, stream));
        eventually_async("the service's request is over", 3 * SECOND, || {
            scene.origin.log().with_id(&id)[0].outcome != Outcome::Pending
        })
        .await;
        let seen = &scene.origin.log().with_id(&id)[0];
        assert_eq!((&seen.outcome, &seen.body_digest), (&Outcome::Broken, &None), "{reason:?}");
    }
}
