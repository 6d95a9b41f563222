//! Ten thousand connections that are open and say nothing.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::{Mutex, PoisonError};

use plimsoll_testkit::{RawClient, expected_body};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Socket, Type};

use crate::bodies::tools::{SECOND, Watch, eventually};
use crate::scene::Scene;

const WANTED: usize = 10_000;

/// Descriptors that the test needs beside its connections.
const SPARE: u64 = 1_000;

/// What an idle connection may cost the edge, in bytes of resident memory. More than half of it is
/// the two buffers that hyper keeps for as long as a connection is open.
const BYTES_PER_CONNECTION_MAX: u64 = 32 * 1024;

/// What holding all of them may cost, in processor time a second of doing nothing.
const IDLE_CPU_MAX: f64 = 0.2;

/// Connections from one source address: far below the ports that one has.
const PER_ADDRESS: usize = 2_000;

/// Raises the limit on open files as far as it may go. The edge inherits it. A machine that does
/// not allow as many as the test is about cannot say that it passes.
fn raise_the_limit() {
    static ONCE: Mutex<()> = Mutex::new(());
    let _one = ONCE.lock().unwrap_or_else(PoisonError::into_inner);
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    setrlimit(Resource::Nofile, raised).unwrap();
    let needed = WANTED as u64 + SPARE;
    let allowed = limit.maximum.unwrap_or(u64::MAX);
    assert!(
        allowed >= needed,
        "the hard limit on open files is {allowed}, and this test needs {needed}: raise it \
         (ulimit -Hn, LimitNOFILE=, --ulimit nofile=)"
    );
}

/// Connects from 127.0.1.1, 127.0.1.2 and so on, so that no address runs out of ports.
fn connect(addr: SocketAddr, number: usize) -> RawClient {
    let from = Ipv4Addr::new(127, 0, 1, u8::try_from(1 + number / PER_ADDRESS).unwrap());
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
    socket.connect(&addr.into()).unwrap();
    let stream: TcpStream = socket.into();
    RawClient::over(stream)
}

fn ask(client: &mut RawClient, id: &str) {
    let answer = client.get("/x", &[("x-test-id", id), ("x-script", "body=20")]).unwrap();
    assert_eq!((answer.status, &answer.body), (200, &expected_body(id, 20)), "{id}");
}

/// Opens so many connections, each of which has been answered once.
fn open(addr: SocketAddr, count: usize) -> Vec<RawClient> {
    const THREADS: usize = 4;
    let some = |first: usize| {
        let opened = (first..count).step_by(THREADS).map(|n| {
            let mut client = connect(addr, n);
            ask(&mut client, &format!("held-{n}"));
            client
        });
        opened.collect::<Vec<_>>()
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|n| scope.spawn(move || some(n))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

/// The most that one request took.
fn slowest(scene: &Scene, count: usize) -> std::time::Duration {
    (0..count)
        .map(|n| {
            let watch = Watch::start();
            ask(&mut scene.client(), &format!("other-{n}"));
            watch.read()
        })
        .max()
        .unwrap_or_default()
}

#[test]
fn ten_thousand_idle_connections_are_held_while_others_are_served() {
    raise_the_limit();
    let count = WANTED;
    let scene = Scene::open("", "", "");
    for _ in 0..50 {
        ask(&mut scene.client(), "warm");
    }
    let before = scene.edge.facts().rss_bytes().unwrap();
    let watch = Watch::start();
    let mut held = open(scene.edge.addr(), count);
    let opened = watch.read();
    let after = scene.edge.facts().rss_bytes().unwrap();
    let each = after.saturating_sub(before) / count as u64;
    let cpu = scene.edge.facts().cpu().unwrap();
    std::thread::sleep(2 * SECOND);
    let idle_cpu = (scene.edge.facts().cpu().unwrap() - cpu).as_secs_f64() / 2.0;
    let worst = slowest(&scene, 200);
    println!(
        "{count} idle connections: {each} bytes each ({} KiB before, {} KiB after), opened in \
         {:.1} s; idle CPU {:.1} %; slowest other request {worst:?}",
        before >> 10,
        after >> 10,
        opened.as_secs_f64(),
        idle_cpu * 100.0
    );
    assert!(each < BYTES_PER_CONNECTION_MAX, "{each} bytes a connection");
    assert!(idle_cpu < IDLE_CPU_MAX, "{idle_cpu:.3} s of processor time a second for nothing");
    assert!(worst < SECOND, "{worst:?}");
    let open = "plimsoll_connections_open";
    eventually("the gauge counts them", 3 * SECOND, || {
        scene.edge.metric(open).unwrap().is_some_and(|open| open >= count as f64)
    });
    // Held means alive: they answer on.
    for (n, client) in held.iter_mut().enumerate().step_by(7) {
        ask(client, &format!("again-{n}"));
    }
    drop(held);
    eventually("all of them are let go", 10 * SECOND, || {
        scene.edge.metric(open).unwrap().is_some_and(|open| open < 100.0)
    });
}

#[test]
fn one_connection_too_many_is_closed_at_once_and_the_rest_go_on() {
    let scene = Scene::open("connections_max = 12", "", "");
    let mut held: Vec<RawClient> = (0..12).map(|_| scene.client()).collect();
    for client in &mut held {
        ask(client, "held");
    }
    for _ in 0..3 {
        let mut one_more = scene.client();
        // Closed before a byte was read: where it says anything at all, it is a reset.
        one_more.send("GET /x HTTP/1.1\r\nhost: a\r\n\r\n").ok();
        one_more.expect_closed(2 * SECOND).unwrap();
    }
    for client in &mut held {
        ask(client, "held");
    }
    assert_eq!(scene.edge.ops_get("/readyz").unwrap().0, 200);
    let refused = "plimsoll_connections_refused_total{reason=\"connections_max\"}";
    eventually("refusals are counted", 3 * SECOND, || {
        scene.edge.metric(refused).unwrap() == Some(3.0)
    });
    drop(held.pop());
    eventually("a place that became free is given", 2 * SECOND, || {
        scene.client().get("/x", &[]).is_ok_and(|answer| answer.status == 200)
    });
}
