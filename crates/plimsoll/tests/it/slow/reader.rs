//! Slow-read: a client that asks for much and takes nothing.

use std::time::Duration;

use plimsoll_testkit::{Outcome, RawClient};

use super::TlsScene;
use crate::bodies::tools::{SECOND, Watch, eventually, gauge_settles, narrow_stream};
use crate::scene::Scene;

const EDGE: &str = "write_stall_timeout = \"800ms\"";
const STALL: Duration = Duration::from_millis(800);
const LARGE: &str =
    "GET /x HTTP/1.1\r\nhost: a\r\nx-test-id: large\r\nx-script: body=268435456\r\n\r\n";

#[test]
fn a_client_that_stops_reading_is_cut_off_and_the_service_is_freed() {
    let scene = Scene::open(EDGE, "", "");
    let mut client = RawClient::over(narrow_stream(scene.edge.addr()));
    client.send(LARGE).unwrap();
    assert_eq!(client.read_head_to("GET").unwrap().status, 200);
    let watch = Watch::start();
    eventually("the service is freed", 10 * SECOND, || scene.origin.log().connections_open() == 0);
    assert!(watch.read() >= STALL - Duration::from_millis(100), "{:?}", watch.read());
    assert_eq!(scene.origin.log().with_id("large")[0].outcome, Outcome::Broken);
    eventually("the connection is gone and counted", 3 * SECOND, || {
        let open = scene.edge.metric("plimsoll_connections_open").unwrap();
        let cut = scene.edge.metric("plimsoll_slow_clients_cut_total{held=\"write\"}").unwrap();
        open == Some(0.0) && cut == Some(1.0)
    });
}

#[test]
fn a_client_that_reads_slowly_but_steadily_gets_everything() {
    // A balancer's buffers would turn the trickle into bursts.
    let scene = Scene::open_on_one_node(EDGE, "", "");
    let mut client = RawClient::over(narrow_stream(scene.edge.addr()));
    client.set_patience(30 * SECOND);
    let large = LARGE.replace("268435456", "25165824");
    client.send(large).unwrap();
    let mut response = client.read_head_to("GET").unwrap();
    let (mut received, mut pauses) = (0, 0);
    client
        .read_body(&mut response, &mut |piece| {
            received += piece.len();
            // For three seconds, far longer than a stall may last, a trickle.
            if pauses < 30 {
                pauses += 1;
                std::thread::sleep(SECOND / 10);
            }
            true
        })
        .unwrap();
    assert_eq!((received, pauses), (25_165_824, 30));
}

/// Many small answers that nobody reads: each is finished for the service and waits in the edge.
/// More requests wait behind them, so the client never looks idle.
#[test]
fn unread_small_answers_do_not_hold_a_connection_either() {
    const PIPELINE: &str = "GET /x HTTP/1.1\r\nhost: a\r\nx-script: body=20000\r\n\r\n";
    let plain = Scene::open(EDGE, "", "");
    let mut client = RawClient::over(narrow_stream(plain.edge.addr()));
    client.set_patience(SECOND / 4);
    for _ in 0..2_000 {
        if client.send(PIPELINE).is_err() {
            break;
        }
    }
    gauge_settles(&plain.edge, "plimsoll_connections_open", 0.0, 15 * SECOND);
    drop(client);

    let secure = TlsScene::start(EDGE, "");
    let mut client = secure.client_over(narrow_stream(secure.addr()));
    client.set_patience(SECOND / 4);
    for _ in 0..2_000 {
        if client.send(PIPELINE).is_err() {
            break;
        }
    }
    gauge_settles(&secure.edge, "plimsoll_connections_open", 0.0, 15 * SECOND);
    drop(client);
}
