//! gRPC's shape: HTTP/2 on both sides, streams both ways, trailers at the end.

use bytes::Bytes;
use h2::Reason;
use http::Request;

use super::rpc_origin::{POURED, RpcOrigin};
use super::{PASSTHROUGH, SHORT};
use crate::bodies::tools::{SECOND, eventually_async};
use crate::http2::client::{Client, read, send_all};
use crate::scene::{Scene, open_manifest};

fn scene(origin: &RpcOrigin, service: &str) -> Scene {
    // One core, so that all calls share one connection to the service.
    let manifest = open_manifest(&origin.url(), "", service, PASSTHROUGH);
    Scene::start(|_| manifest.replacen("cores = 2", "cores = 1", 1))
}

fn one_node(origin: &RpcOrigin, service: &str) -> Scene {
    let manifest = open_manifest(&origin.url(), "", service, PASSTHROUGH);
    Scene::start_on_one_node(|_| manifest.replacen("cores = 2", "cores = 1", 1))
}

fn call(method: &str) -> Request<()> {
    Request::post(format!("http://shop.example/echo.Echo/{method}"))
        .header("content-type", "application/grpc+proto")
        .header("te", "trailers")
        .header("grpc-timeout", "5S")
        .body(())
        .unwrap()
}

/// A message with its five bytes of frame.
fn message(bytes: &[u8]) -> Bytes {
    let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
    [&[0], &length[..], bytes].concat().into()
}

#[tokio::test]
async fn a_call_goes_through_with_its_trailers() {
    let origin = RpcOrigin::start();
    let scene = scene(&origin, "");
    let mut client = Client::connect(scene.edge.addr()).await;
    for size in [0, 5, 70_000, 3 << 20] {
        let sent = message(&vec![b'm'; size]);
        let answer = client.request(call("Unary"), Some(sent.clone())).await.unwrap();
        assert_eq!(answer.status, 200);
        assert_eq!(answer.headers["content-type"], "application/grpc");
        assert!(answer.body == sent, "{size}: {} bytes", answer.body.len());
        let trailers = answer.trailers.expect("trailers");
        assert_eq!(
            (&trailers["grpc-status"], &trailers["grpc-message"]),
            (&http::HeaderValue::from_static("0"), &http::HeaderValue::from_static("said%20so"),)
        );
    }
    let seen = origin.seen.requests();
    assert_eq!(seen.len(), 4);
    assert_eq!(seen[0].uri().authority().map(|a| a.as_str()), Some("shop.example"));
    let fields = seen[0].headers();
    assert_eq!(
        (&fields["te"], &fields["grpc-timeout"]),
        (&http::HeaderValue::from_static("trailers"), &http::HeaderValue::from_static("5S"),)
    );
    assert_eq!(fields["x-forwarded-for"], "127.0.0.1");
    assert_eq!(fields["x-forwarded-host"], "shop.example");
}

#[tokio::test]
async fn an_error_without_a_body_is_an_answer_with_its_status_in_the_head() {
    let origin = RpcOrigin::start();
    let scene = scene(&origin, "");
    let mut client = Client::connect(scene.edge.addr()).await;
    let answer = client.request(call("Unknown"), Some(message(b"?"))).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.body.len()), (200, 0));
    assert_eq!(answer.headers["grpc-status"], "12");
}

#[tokio::test]
async fn the_breaker_counts_how_calls_end_wherever_they_say_it() {
    for method in ["Unavailable", "Closed"] {
        let origin = RpcOrigin::start();
        let ejection = "[service.ejection]\nconsecutive_failures = 3\nduration = \"1m\"\n";
        let scene = one_node(&origin, ejection);
        let ejections =
            || scene.edge.metric("plimsoll_upstream_ejections_total{service=\"app\"}").unwrap();
        let mut client = Client::connect(scene.edge.addr()).await;
        for calls in ["Unary", method, method, "Unary", method, method] {
            let answer = client.request(call(calls), Some(message(b"?"))).await.unwrap();
            assert_eq!(answer.status, 200);
        }
        assert_eq!(ejections().unwrap_or(0.0), 0.0, "never three in a row");
        client.request(call(method), Some(message(b"?"))).await.unwrap();
        assert_eq!(ejections(), Some(1.0), "{method}");
    }
}

/// Each message is sent only once the one before came back: nothing on the way may wait for more.
#[tokio::test]
async fn messages_flow_both_ways_at_once_and_past_every_deadline() {
    let origin = RpcOrigin::start();
    let scene = scene(&origin, SHORT);
    let mut client = Client::connect(scene.edge.addr()).await;
    let (response, mut stream) = client.open(call("Chat"), false).await.unwrap();
    let mut body = response.await.unwrap().into_body();
    for number in 0..12 {
        let sent = message(format!("message {number}").as_bytes());
        send_all(&mut stream, sent.clone()).await.unwrap();
        let mut back = Vec::new();
        while back.len() < sent.len() {
            let piece = tokio::time::timeout(5 * SECOND, body.data()).await;
            let piece = piece.expect("in time").expect("a piece").unwrap();
            body.flow_control().release_capacity(piece.len()).unwrap();
            back.extend_from_slice(&piece);
        }
        assert_eq!(back, sent);
        tokio::time::sleep(SECOND / 10).await;
    }
    stream.send_data(Bytes::new(), true).unwrap();
    assert!(body.data().await.is_none());
    let trailers = body.trailers().await.unwrap().expect("trailers");
    assert_eq!(trailers["grpc-status"], "0");
}

#[tokio::test]
async fn a_cancelled_call_is_cancelled_at_the_service() {
    let origin = RpcOrigin::start();
    let scene = scene(&origin, "");
    let mut client = Client::connect(scene.edge.addr()).await;
    let (response, mut stream) = client.open(call("Wait"), false).await.unwrap();
    assert_eq!(response.await.unwrap().status(), 200);
    stream.send_reset(Reason::CANCEL);
    eventually_async("the reset reaches the service", 3 * SECOND, || {
        !origin.seen.resets().is_empty()
    })
    .await;
    println!("the service saw {:?}", origin.seen.resets());
    let answer = client.request(call("Unary"), Some(message(b"on"))).await.unwrap();
    assert_eq!(answer.trailers.expect("trailers")["grpc-status"], "0");
}

/// All calls share one connection to the service, and so one window: calls whose clients do not
/// read must not use it up for the others.
#[tokio::test]
async fn calls_that_nobody_reads_do_not_hold_up_the_others() {
    let origin = RpcOrigin::start();
    let scene = scene(&origin, "");
    let idle = scene.edge.facts().rss_bytes().unwrap();
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(16 * 1024).initial_connection_window_size(64 << 20);
    let mut stalled = Client::with(scene.edge.addr(), &builder).await;
    let mut held = Vec::new();
    for _ in 0..40 {
        let (response, stream) = stalled.open(call("Pour"), true).await.unwrap();
        held.push((response.await.unwrap(), stream));
    }
    tokio::time::sleep(SECOND / 2).await;
    let mut client = Client::connect(scene.edge.addr()).await;
    for number in 0..5 {
        let sent = message(&vec![b'n'; 100_000]);
        let call = client.request(call("Unary"), Some(sent.clone()));
        let answer = tokio::time::timeout(5 * SECOND, call).await;
        let answer = answer.unwrap_or_else(|_| panic!("call {number} is held up")).unwrap();
        assert!(answer.body == sent);
    }
    let growth = scene.edge.facts().rss_peak_bytes().unwrap().saturating_sub(idle);
    println!("40 unread calls: the edge has grown by {} KiB", growth >> 10);
    assert!(growth < 64 << 20, "{growth} bytes held for 40 calls that nobody reads");
    // They were held back, not broken.
    let (response, _stream) = held.pop().unwrap();
    let answer = tokio::time::timeout(20 * SECOND, read(response)).await.expect("in time").unwrap();
    assert_eq!(answer.body.len(), POURED);
    assert_eq!(answer.trailers.expect("trailers")["grpc-status"], "0");
}

#[tokio::test]
async fn a_service_that_was_restarted_is_found_again() {
    let origin = RpcOrigin::start();
    let scene = scene(&origin, "");
    let mut client = Client::connect(scene.edge.addr()).await;
    let again = || (call("Unary"), Some(message(b"again")));
    let (request, body) = again();
    assert_eq!(client.request(request, body).await.unwrap().status, 200);
    let origin = origin.restart();
    // Its end has reached the edge before the next call, as in a rollout.
    tokio::time::sleep(SECOND / 5).await;
    let (request, body) = again();
    let answer = client.request(request, body).await.unwrap();
    assert_eq!(answer.trailers.expect("trailers")["grpc-status"], "0");
    assert_eq!(origin.seen.requests().len(), 1);
}

/// A call that has no end of its own is broken off shortly before the drain deadline, and said to
/// be: its client has half of what it asked for.
#[tokio::test]
async fn a_call_that_a_stop_breaks_off_is_counted_and_recorded_as_cut() {
    let origin = RpcOrigin::start();
    let calls = "[[passthrough]]\nprefix = \"/echo.Echo\"\nservice = \"rpc\"\nkinds = [\"grpc\"]\n";
    let rpc = format!(
        "[[service]]\nname = \"rpc\"\nunknown_paths = \"refuse\"\nurls = [\"{}\"]\n{calls}",
        origin.url()
    );
    let mut scene = Scene::open("drain_deadline = \"4s\"\n", "", &rpc);
    let mut client = Client::connect(scene.edge.addr()).await;
    let (response, _stream) = client.open(call("Wait"), false).await.unwrap();
    let mut body = response.await.unwrap().into_body();
    // Keeps the process alive between the cut and the deadline, so that it can be asked.
    let mut slow = scene.client();
    slow.send("GET /x HTTP/1.1\r\nhost: a\r\nx-script: delay=3800\r\n\r\n").unwrap();
    tokio::time::sleep(SECOND / 10).await;
    scene.edge.signal(rustix::process::Signal::TERM).unwrap();
    let cut = tokio::time::timeout(5 * SECOND, body.data()).await.expect("before the deadline");
    assert!(matches!(cut, Some(Err(_))), "broken off: {cut:?}");
    let counted = scene.edge.metric("plimsoll_drain_cut_requests_total").unwrap();
    assert_eq!(counted, Some(1.0));
    assert_eq!(slow.read_response().unwrap().status, 200);
    let ended = scene.edge.wait(5 * SECOND).unwrap();
    assert!(ended.is_some_and(|status| status.success()), "{}", scene.edge.stderr());
    let log = scene.edge.stdout();
    let line = log.lines().find(|line| line.contains("/echo.Echo/Wait")).expect("its line");
    assert!(line.contains("\"status\":502"), "what broke off is no 200: {line}");
}

/// A service that never pauses must not outlast the moment: the client reads slowly, so that there
/// is always a next piece.
#[tokio::test]
async fn a_stop_breaks_off_a_call_that_always_has_more_to_send() {
    let origin = RpcOrigin::start();
    let manifest = open_manifest(&origin.url(), "drain_deadline = \"3s\"\n", "", PASSTHROUGH);
    let mut scene = Scene::start(|_| manifest);
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(16 * 1024);
    let mut client = Client::with(scene.edge.addr(), &builder).await;
    let (response, _stream) = client.open(call("Pour"), true).await.unwrap();
    let mut body = response.await.unwrap().into_body();
    scene.edge.signal(rustix::process::Signal::TERM).unwrap();
    let broken = loop {
        match tokio::time::timeout(5 * SECOND, body.data()).await.expect("it goes on") {
            Some(Ok(piece)) => {
                tokio::time::sleep(SECOND / 50).await;
                body.flow_control().release_capacity(piece.len()).unwrap();
            }
            other => break other,
        }
    };
    assert!(matches!(broken, Some(Err(_))), "{broken:?}");
    let ended = scene.edge.wait(5 * SECOND).unwrap();
    // Cut at the deadline itself it would count as a request that the process stopped under.
    assert!(ended.is_some_and(|status| status.success()), "{}", scene.edge.stderr());
}

/// What is not gRPC under the same prefix, and gRPC where it is not declared, goes as HTTP/1.1.
#[tokio::test]
async fn only_declared_calls_go_over_http2() {
    let scene = Scene::open("", "", PASSTHROUGH);
    let mut client = Client::connect(scene.edge.addr()).await;
    for (path, kind) in [("/echo.Echo/Unary", "application/json"), ("/other", "application/grpc")] {
        let request = Request::post(format!("http://a{path}")).header("content-type", kind);
        let answer = client.request(request.body(()).unwrap(), None).await.unwrap();
        assert_eq!(answer.status, 200, "{path}");
    }
    assert_eq!(scene.origin.log().anomalies(), Vec::<String>::new());
    assert_eq!(scene.origin.log().requests(), 2);
}
