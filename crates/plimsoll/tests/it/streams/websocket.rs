//! WebSocket (RFC 6455) with an unmodified client.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use plimsoll_testkit::ID_HEADER;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::{PASSTHROUGH, scene};
use crate::bodies::tools::{HandOrigin, SECOND, Watch, eventually_async};
use crate::scene::{Scene, open_manifest};

pub(super) type Socket = WebSocketStream<TcpStream>;

pub(super) async fn connect(
    addr: SocketAddr,
    path: &str,
    fields: &[(&str, &str)],
) -> Result<Socket, Error> {
    let mut request = format!("ws://{addr}{path}").into_client_request()?;
    for (name, value) in fields {
        let name: http::HeaderName = name.parse().unwrap();
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    let stream = TcpStream::connect(addr).await.unwrap();
    let (socket, answer) = tokio_tungstenite::client_async(request, stream).await?;
    assert_eq!(answer.status(), 101);
    Ok(socket)
}

async fn echoing(scene: &Scene, id: &str) -> Socket {
    let fields = [("x-script", "ws-echo"), (ID_HEADER, id)];
    connect(scene.edge.addr(), "/ws/echo", &fields).await.unwrap()
}

async fn next(socket: &mut Socket) -> Message {
    let message = tokio::time::timeout(5 * SECOND, socket.next()).await;
    message.expect("a message in time").expect("a message").unwrap()
}

async fn exchange(socket: &mut Socket, message: Message) {
    socket.send(message.clone()).await.unwrap();
    let back = next(socket).await;
    assert!(back == message, "{} bytes came back", back.len());
}

/// Nothing was sent to a URL that cannot be reached, so the next one is tried, and one that fails
/// again and again is passed over.
#[tokio::test]
async fn a_dead_url_costs_no_upgrade() {
    let dead = plimsoll_testkit::free_addr().unwrap();
    let more = "[service.ejection]\nconsecutive_failures = 2\n";
    // Each node finds out by itself.
    let scene = Scene::start_on_one_node(|origin| {
        open_manifest(origin, "", more, PASSTHROUGH)
            .replacen("urls = [", &format!("urls = [\"http://{dead}\", "), 1)
            .replacen("cores = 2", "cores = 1", 1)
    });
    for n in 0..6 {
        echoing(&scene, &format!("upgrade-{n}")).await;
    }
    let metric = |series: &str| {
        scene.edge.metric(&format!("{series}{{service=\"app\"}}")).unwrap().unwrap_or(0.0)
    };
    assert_eq!(metric("plimsoll_upstream_retries_total"), 2.0);
    assert_eq!(metric("plimsoll_upstream_ejections_total"), 1.0);
}

#[tokio::test]
async fn messages_of_every_kind_and_size_come_back_as_they_went() {
    let scene = scene();
    let mut socket = echoing(&scene, "ws-echo").await;
    exchange(&mut socket, Message::text("hello")).await;
    exchange(&mut socket, Message::text("")).await;
    exchange(&mut socket, Message::text("grüße 🚢")).await;
    exchange(&mut socket, Message::binary(vec![0_u8, 255, 1, 254])).await;
    let large: Vec<u8> = (0..8_u32 << 20).map(|n| (n.wrapping_mul(31) >> 3) as u8).collect();
    exchange(&mut socket, Message::binary(large)).await;
    for n in 0..500 {
        exchange(&mut socket, Message::text(format!("message {n}"))).await;
    }
    socket.send(Message::Ping(vec![7; 100].into())).await.unwrap();
    assert_eq!(next(&mut socket).await, Message::Pong(vec![7; 100].into()));
    let seen = &scene.origin.log().with_id("ws-echo")[0];
    assert_eq!(seen.headers.get("upgrade"), Some("websocket"));
    assert_eq!(seen.headers.all("connection").len(), 1);
    assert_eq!(seen.headers.get("x-forwarded-for"), Some("127.0.0.1"));
}

#[tokio::test]
async fn no_deadline_of_ordinary_requests_ends_a_conversation() {
    let scene = Scene::open("header_timeout = \"300ms\"", super::SHORT, PASSTHROUGH);
    let mut socket = echoing(&scene, "ws-long").await;
    for n in 0..4 {
        tokio::time::sleep(Duration::from_millis(600)).await;
        exchange(&mut socket, Message::text(format!("after {n} pauses"))).await;
    }
}

#[tokio::test]
async fn a_close_goes_through_in_order_from_the_clients_side() {
    let scene = scene();
    let mut socket = echoing(&scene, "ws-close").await;
    exchange(&mut socket, Message::text("once")).await;
    let frame = CloseFrame { code: CloseCode::Library(4001), reason: "enough".into() };
    socket.close(Some(frame.clone())).await.unwrap();
    assert_eq!(next(&mut socket).await, Message::Close(Some(frame)));
    let after = tokio::time::timeout(5 * SECOND, socket.next()).await.expect("the end in time");
    assert!(after.is_none(), "{after:?}");
    eventually_async("the service's connection ends", 2 * SECOND, || {
        scene.origin.log().connections_open() == 0
    })
    .await;
}

#[tokio::test]
async fn a_close_goes_through_in_order_from_the_services_side() {
    let origin = HandOrigin::start(|stream| {
        let Ok(mut socket) = tokio_tungstenite::tungstenite::accept(stream) else { return };
        // Said before anybody asked, in one go with the handshake's answer.
        socket.send(Message::text("welcome")).unwrap();
        let frame = CloseFrame { code: CloseCode::Away, reason: "closing time".into() };
        socket.close(Some(frame)).unwrap();
        while socket.read().is_ok() {}
    });
    let scene = Scene::start(|_| open_manifest(&origin.url(), "", "", PASSTHROUGH));
    let mut socket = connect(scene.edge.addr(), "/ws", &[]).await.unwrap();
    assert_eq!(next(&mut socket).await, Message::text("welcome"));
    let Message::Close(Some(frame)) = next(&mut socket).await else { panic!("no close frame") };
    assert_eq!((frame.code, frame.reason.as_str()), (CloseCode::Away, "closing time"));
}

#[tokio::test]
async fn a_client_that_vanishes_frees_the_service() {
    let scene = scene();
    for polite in [true, false] {
        let socket = echoing(&scene, "ws-gone").await;
        let stream = socket.into_inner();
        if !polite {
            // A reset instead of an end.
            socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
        }
        drop(stream);
        eventually_async("the service's connection ends", 2 * SECOND, || {
            scene.origin.log().connections_open() == 0
        })
        .await;
    }
}

#[tokio::test]
async fn a_service_that_vanishes_ends_the_clients_connection() {
    let mut scene = scene();
    let mut socket = echoing(&scene, "ws-died").await;
    exchange(&mut socket, Message::text("still there")).await;
    let watch = Watch::start();
    scene.origin.stop();
    let after = tokio::time::timeout(5 * SECOND, socket.next()).await.expect("the end in time");
    assert!(after.is_none_or(|message| message.is_err()));
    assert!(watch.read() < 3 * SECOND);
}

#[tokio::test]
async fn a_conversation_needs_a_token_where_there_is_an_issuer() {
    let passthrough =
        "[[passthrough]]\nprefix = \"/ws\"\nservice = \"shop\"\nkinds = [\"websocket\"]\n";
    let scene = Scene::shop(passthrough);
    let refused = connect(scene.edge.addr(), "/ws", &[("x-script", "ws-echo")]).await;
    match refused {
        Err(Error::Http(answer)) => assert_eq!(answer.status(), 401),
        other => panic!("{other:?}"),
    }
    assert_eq!(scene.origin.log().requests(), 0);
    let bearer = scene.bearer("");
    let fields = [("x-script", "ws-echo"), ("authorization", bearer.as_str())];
    let mut socket = connect(scene.edge.addr(), "/ws", &fields).await.unwrap();
    exchange(&mut socket, Message::text("hello")).await;
}

#[tokio::test]
async fn an_open_conversation_lasts_until_the_drain_deadline_and_no_longer() {
    let mut scene = Scene::open("drain_deadline = \"1s\"", "", PASSTHROUGH);
    let mut socket = echoing(&scene, "ws-drain").await;
    exchange(&mut socket, Message::text("before")).await;
    scene.edge.signal(rustix::process::Signal::TERM).unwrap();
    tokio::time::sleep(SECOND / 2).await;
    exchange(&mut socket, Message::text("while it drains")).await;
    eventually_async("the tunnel does not hold the process past the deadline", 5 * SECOND, || {
        scene.edge.wait(Duration::ZERO).unwrap().is_some()
    })
    .await;
    let after = tokio::time::timeout(5 * SECOND, socket.next()).await.expect("the end in time");
    assert!(after.is_none_or(|message| message.is_err()));
}
