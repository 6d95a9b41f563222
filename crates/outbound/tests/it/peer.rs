//! A scripted peer on loopback: one thread, one script for every connection, stopped on drop.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use plimsoll_outbound::{FetchOptions, Outbound, OutboundOptions, Resolver};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

pub(crate) trait Wire: Read + Write {}
impl<T: Read + Write> Wire for T {}

type Script = dyn Fn(&mut dyn Wire) + Send + Sync;

pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
    names: Arc<Mutex<Vec<Option<String>>>>,
    connections: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Peer {
    /// Answers every request with these bytes and closes.
    pub(crate) fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::scripted(move |wire| {
            let _gone = wire.write_all(&answer);
        })
    }

    pub(crate) fn scripted(script: impl Fn(&mut dyn Wire) + Send + Sync + 'static) -> Self {
        Self::start(None, Box::new(script))
    }

    pub(crate) fn encrypted(config: ServerConfig, answer: &'static str) -> Self {
        let script = move |wire: &mut dyn Wire| {
            let _gone = wire.write_all(answer.as_bytes());
        };
        Self::start(Some(Arc::new(config)), Box::new(script))
    }

    fn start(tls: Option<Arc<ServerConfig>>, script: Box<Script>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, names) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
        let (connections, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let thread = std::thread::spawn({
            let (seen, names) = (Arc::clone(&seen), Arc::clone(&names));
            let (connections, stop) = (Arc::clone(&connections), Arc::clone(&stop));
            move || {
                for tcp in listener.incoming().flatten() {
                    if stop.load(Ordering::SeqCst) {
                        return;
                    }
                    connections.fetch_add(1, Ordering::SeqCst);
                    converse(tcp, tls.as_ref(), &script, &seen, &names);
                }
            }
        });
        Self { address, seen, names, connections, stop, thread: Some(thread) }
    }

    /// The request heads that came, in order.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    /// The server names TLS clients asked for.
    pub(crate) fn server_names(&self) -> Vec<Option<String>> {
        self.names.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _wake = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

fn converse(
    tcp: TcpStream,
    tls: Option<&Arc<ServerConfig>>,
    script: &Script,
    seen: &Mutex<Vec<String>>,
    names: &Mutex<Vec<Option<String>>>,
) {
    tcp.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    tcp.set_write_timeout(Some(Duration::from_secs(5))).unwrap();
    let Some(config) = tls else {
        let mut tcp = tcp;
        if let Some(head) = read_head(&mut tcp) {
            seen.lock().unwrap().push(head);
            script(&mut tcp);
        }
        return;
    };
    let connection = ServerConnection::new(Arc::clone(config)).unwrap();
    let mut stream = StreamOwned::new(connection, tcp);
    if let Some(head) = read_head(&mut stream) {
        names.lock().unwrap().push(stream.conn.server_name().map(str::to_owned));
        seen.lock().unwrap().push(head);
        script(&mut stream);
        stream.conn.send_close_notify();
        let _gone = stream.flush();
    }
}

fn read_head(wire: &mut dyn Read) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match wire.read(&mut byte) {
            Ok(1) if head.len() < 16_384 => head.push(byte[0]),
            _ => return None,
        }
    }
    String::from_utf8(head).ok()
}

/// Calls that resolve every name to `addresses` and count how often they were asked.
pub(crate) fn outbound_to(
    addresses: Vec<SocketAddr>,
    roots: Vec<Vec<u8>>,
) -> (Outbound, Arc<AtomicUsize>) {
    let lookups = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&lookups);
    let resolver = Resolver::Custom(Arc::new(move |_name, _port| {
        counter.fetch_add(1, Ordering::SeqCst);
        let addresses = addresses.clone();
        Box::pin(async move { Ok(addresses) })
    }));
    let options = OutboundOptions { extra_roots_pem: roots, resolver };
    (Outbound::new(options).unwrap(), lookups)
}

pub(crate) const PATIENT: FetchOptions = FetchOptions {
    deadline: Duration::from_secs(20),
    bytes_max: 1_000,
    allow_private: true,
    accept: "application/json",
};

pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}
