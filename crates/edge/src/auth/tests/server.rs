//! An issuer on loopback: one thread, documents that can be changed, delays and outages.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

#[derive(Default)]
struct State {
    documents: Mutex<HashMap<String, (u16, String)>>,
    hits: Mutex<HashMap<String, usize>>,
    down: AtomicBool,
    delay_ms: AtomicU64,
    stop: AtomicBool,
}

pub(super) struct IssuerServer {
    address: SocketAddr,
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

impl IssuerServer {
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State::default());
        let thread = std::thread::spawn({
            let state = Arc::clone(&state);
            move || {
                for stream in listener.incoming().flatten() {
                    if state.stop.load(Ordering::SeqCst) {
                        return;
                    }
                    answer(stream, &state);
                }
            }
        });
        Self { address, state, thread: Some(thread) }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(super) fn serve(&self, path: &str, document: impl Into<String>) {
        self.serve_status(path, 200, document);
    }

    pub(super) fn serve_status(&self, path: &str, status: u16, document: impl Into<String>) {
        let mut documents = self.state.documents.lock().unwrap();
        documents.insert(path.to_owned(), (status, document.into()));
    }

    /// While it is down every connection is closed unanswered.
    pub(super) fn set_down(&self, down: bool) {
        self.state.down.store(down, Ordering::SeqCst);
    }

    pub(super) fn set_delay(&self, delay: Duration) {
        let ms = u64::try_from(delay.as_millis()).unwrap();
        self.state.delay_ms.store(ms, Ordering::SeqCst);
    }

    /// How often a path was asked for, outages included.
    pub(super) fn hits(&self, path: &str) -> usize {
        self.state.hits.lock().unwrap().get(path).copied().unwrap_or(0)
    }
}

impl Drop for IssuerServer {
    fn drop(&mut self) {
        self.state.stop.store(true, Ordering::SeqCst);
        let _wake = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

fn answer(mut stream: TcpStream, state: &State) {
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let Some(Ok(first)) = lines.next() else {
        return;
    };
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    while let Some(Ok(line)) = lines.next() {
        if line.is_empty() {
            break;
        }
    }
    *state.hits.lock().unwrap().entry(path.clone()).or_default() += 1;
    std::thread::sleep(Duration::from_millis(state.delay_ms.load(Ordering::SeqCst)));
    if state.down.load(Ordering::SeqCst) {
        return;
    }
    let document = state.documents.lock().unwrap().get(&path).cloned();
    let (status, body) = document.unwrap_or((404, String::new()));
    let _gone = write!(
        stream,
        "HTTP/1.1 {status} X\r\nLocation: /elsewhere\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
}
