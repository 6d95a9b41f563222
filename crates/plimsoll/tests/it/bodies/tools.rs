//! What these tests share: a watch, patience, an origin by hand, a socket that takes little.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use plimsoll_base::{Clock as _, Nanos, SystemClock};
use plimsoll_testkit::{Plimsoll, loopback_listener};
use socket2::{Domain, Socket, Type};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// Time since it was made.
#[derive(Clone, Copy)]
pub(crate) struct Watch {
    clock: SystemClock,
    since: Nanos,
}

impl Watch {
    pub(crate) fn start() -> Self {
        let clock = SystemClock::new();
        let since = clock.now();
        Self { clock, since }
    }

    pub(crate) fn read(&self) -> Duration {
        self.clock.now().since(self.since)
    }
}

/// Waits until something holds, and fails when it does not `within` that time.
#[track_caller]
pub(crate) fn eventually(what: &str, within: Duration, mut holds: impl FnMut() -> bool) {
    let watch = Watch::start();
    while !holds() {
        assert!(watch.read() < within, "not within {within:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The same in a test whose own client must go on meanwhile.
pub(crate) async fn eventually_async(
    what: &str,
    within: Duration,
    mut holds: impl FnMut() -> bool,
) {
    let watch = Watch::start();
    while !holds() {
        assert!(watch.read() < within, "not within {within:?}: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Waits until a gauge shows `value`. Gauges are brought up to date once a second, so a reading
/// counts only when that has happened since this was called.
#[track_caller]
pub(crate) fn gauge_settles(edge: &Plimsoll, gauge: &str, value: f64, within: Duration) {
    std::thread::sleep(Duration::from_millis(1_100));
    eventually(&format!("{gauge} is {value}"), within, || {
        edge.metric(gauge).unwrap() == Some(value)
    });
}

/// Waits until a count stands still for `quiet` and says where.
pub(crate) fn settled(count: &AtomicU64, quiet: Duration) -> u64 {
    loop {
        let before = count.load(Ordering::Relaxed);
        std::thread::sleep(quiet);
        if count.load(Ordering::Relaxed) == before {
            return before;
        }
    }
}

/// A connection whose receive buffer stays small, so that what nobody reads is soon held back.
pub(crate) fn narrow_stream(addr: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(32 * 1024).unwrap();
    socket.connect(&addr.into()).unwrap();
    socket.set_tcp_nodelay(true).unwrap();
    socket.into()
}

/// Reads up to the end of a head; what came with it follows.
pub(crate) fn read_head(stream: &mut TcpStream) -> (String, Vec<u8>) {
    let mut seen = Vec::new();
    let mut piece = [0; 4096];
    loop {
        if let Some(end) = seen.windows(4).position(|four| four == b"\r\n\r\n") {
            let rest = seen.split_off(end + 4);
            return (String::from_utf8_lossy(&seen).into_owned(), rest);
        }
        match stream.read(&mut piece) {
            Ok(n) if n > 0 => seen.extend_from_slice(&piece[..n]),
            _ => return (String::new(), seen),
        }
    }
}

/// Reads to the end and throws it away: how much came.
pub(crate) fn drain(stream: &mut TcpStream) -> u64 {
    let (mut piece, mut total) = (vec![0; 64 * 1024], 0);
    while let Ok(n @ 1..) = stream.read(&mut piece) {
        total += n as u64;
    }
    total
}

/// Writes `total` bytes and counts them as the kernel takes them; ends early when the peer is gone.
pub(crate) fn pour(stream: &mut TcpStream, total: u64, taken: &AtomicU64) {
    let piece = vec![b'x'; 64 * 1024];
    let mut left = total;
    while left > 0 {
        let some = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
        match stream.write(&piece[..some]) {
            Ok(n @ 1..) => {
                left -= n as u64;
                taken.fetch_add(n as u64, Ordering::Relaxed);
            }
            _ => return,
        }
    }
}

/// An origin that does what a closure says with each connection, in a thread of its own.
pub(crate) struct HandOrigin {
    addr: SocketAddr,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl HandOrigin {
    pub(crate) fn start(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        let listener = loopback_listener().unwrap();
        let addr = listener.local_addr().unwrap();
        let stopping = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stopping);
        let thread = std::thread::spawn(move || accept(&listener, &told, &Arc::new(serve)));
        Self { addr, stopping, thread: Some(thread) }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.addr)
    }
}

fn accept<F>(listener: &TcpListener, stopping: &AtomicBool, serve: &Arc<F>)
where
    F: Fn(TcpStream) + Send + Sync + 'static,
{
    for stream in listener.incoming() {
        if stopping.load(Ordering::Relaxed) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let serve = Arc::clone(serve);
        std::thread::spawn(move || serve(stream));
    }
}

impl Drop for HandOrigin {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        // One more connection wakes the thread that accepts.
        if TcpStream::connect(self.addr).is_ok()
            && let Some(thread) = self.thread.take()
        {
            thread.join().ok();
        }
    }
}
