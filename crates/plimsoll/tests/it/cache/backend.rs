//! A backend that answers what a test says, and counts.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// A request as it came.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) fields: Vec<(String, String)>,
}

impl Asked {
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(held, _)| held == name).map(|(_, value)| value.as_str())
    }

    /// What stands in the query under `name`, with `+` for spaces.
    pub(super) fn query(&self, name: &str) -> Option<String> {
        let query = self.target.split_once('?')?.1;
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(held, _)| *held == name).map(|(_, value)| value.replace('+', " "))
    }
}

/// An answer; its length is said for it.
#[derive(Clone, Debug)]
pub(super) struct Said {
    /// 0: the connection is closed without an answer.
    pub(super) status: u16,
    pub(super) fields: Vec<(String, String)>,
    pub(super) body: String,
    /// The connection breaks off after so many bytes of the body.
    pub(super) broken_after: Option<usize>,
}

impl Said {
    pub(super) fn ok(body: impl Into<String>) -> Self {
        Self { status: 200, fields: Vec::new(), body: body.into(), broken_after: None }
    }

    pub(super) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.fields.push((name.to_owned(), value.into()));
        self
    }

    pub(super) fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }
}

type Handler = Arc<dyn Fn(&Asked) -> Said + Send + Sync>;

/// See the module's page.
pub(super) struct Backend {
    addr: SocketAddr,
    seen: Arc<Mutex<Vec<Asked>>>,
    many: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
}

impl Backend {
    pub(super) fn start(handler: impl Fn(&Asked) -> Said + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let backend = Self {
            addr: listener.local_addr().unwrap(),
            seen: Arc::default(),
            many: Arc::default(),
            over: Arc::default(),
        };
        let handler: Handler = Arc::new(handler);
        let (seen, many) = (Arc::clone(&backend.seen), Arc::clone(&backend.many));
        let over = Arc::clone(&backend.over);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let (seen, many) = (Arc::clone(&seen), Arc::clone(&many));
                let handler = Arc::clone(&handler);
                std::thread::spawn(move || serve(&stream, &handler, &seen, &many));
            }
        });
        backend
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// How many requests came.
    pub(super) fn many(&self) -> usize {
        self.many.load(Ordering::SeqCst)
    }

    /// The last request that came.
    pub(super) fn last(&self) -> Asked {
        self.seen.lock().unwrap().last().cloned().unwrap_or_default()
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        // So that it notices.
        drop(TcpStream::connect(self.addr));
    }
}

/// Requests whose heads are kept.
const SEEN_MAX: usize = 1_000;

fn serve(stream: &TcpStream, handler: &Handler, seen: &Mutex<Vec<Asked>>, many: &AtomicUsize) {
    let mut reader = BufReader::new(stream);
    while let Some(asked) = read(&mut reader) {
        many.fetch_add(1, Ordering::SeqCst);
        {
            let mut seen = seen.lock().unwrap();
            if seen.len() < SEEN_MAX {
                seen.push(asked.clone());
            } else if let Some(last) = seen.last_mut() {
                *last = asked.clone();
            }
        }
        let said = handler(&asked);
        if said.status == 0 {
            return;
        }
        let mut text = format!("HTTP/1.1 {} Said\r\n", said.status);
        for (name, value) in &said.fields {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        let has_body = !matches!(said.status, 204 | 304);
        if has_body {
            text.push_str(&format!("content-length: {}\r\n", said.body.len()));
        }
        text.push_str("\r\n");
        if has_body && asked.method != "HEAD" {
            let end = said.broken_after.unwrap_or(said.body.len());
            text.push_str(&said.body[..end]);
        }
        let mut stream = stream;
        if stream.write_all(text.as_bytes()).is_err() || said.broken_after.is_some() {
            return;
        }
    }
}

fn read(reader: &mut BufReader<&TcpStream>) -> Option<Asked> {
    let mut line = String::new();
    if reader.read_line(&mut line).ok()? == 0 {
        return None;
    }
    let mut words = line.split_whitespace();
    let mut asked = Asked {
        method: words.next()?.to_owned(),
        target: words.next()?.to_owned(),
        fields: Vec::new(),
    };
    let mut length = 0_usize;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        let (name, value) = (name.to_ascii_lowercase(), value.trim().to_owned());
        if name == "content-length" {
            length = value.parse().ok()?;
        }
        asked.fields.push((name, value));
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(asked)
}
