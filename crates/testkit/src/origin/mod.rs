//! A scripted HTTP/1.1 origin that reads strictly and forgets nothing.

mod answer;
mod connection;
mod reader;
mod upgrade;

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::log::OriginLog;
use crate::script::Script;

/// Request header that names the exchange; the answer repeats it and its body is the id's.
pub const ID_HEADER: &str = "x-test-id";
/// Request header that holds a [`Script`].
pub const SCRIPT_HEADER: &str = "x-script";

/// How an origin is started. `Default` is a free port, no file, 64 MiB of log.
#[derive(Clone, Debug)]
pub struct OriginOptions {
    /// Where it listens; a free port of 127.0.0.1 when `None`.
    pub listen: Option<SocketAddr>,
    /// A file the log is appended to as well.
    pub log_file: Option<PathBuf>,
    /// Received bytes kept in memory at most, over all connections.
    pub log_bytes_max: usize,
    /// Bytes of one request body kept in the log at most, beside those that came in one read with
    /// its head (64 KiB); the rest is counted.
    pub log_body_bytes_max: u64,
    /// An idle connection is closed without a word after this time; never when `None`.
    pub idle: Option<Duration>,
    /// The script of requests that bring none, in force from the first connection on.
    pub default_script: Script,
}

impl Default for OriginOptions {
    fn default() -> Self {
        Self {
            listen: None,
            log_file: None,
            log_bytes_max: 64 << 20,
            log_body_bytes_max: 64 << 10,
            idle: None,
            default_script: Script::default(),
        }
    }
}

/// What every connection of an origin shares.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) log: OriginLog,
    pub(crate) options: OriginOptions,
    scripts: RwLock<Scripts>,
}

#[derive(Debug, Default)]
struct Scripts {
    default: Script,
    paths: BTreeMap<String, Script>,
}

impl Shared {
    /// The script of a request: its header, else its path (without query), else the default.
    ///
    /// # Errors
    /// The item of the header that is not understood.
    pub(crate) fn script(&self, header: Option<&str>, target: &str) -> Result<Script, String> {
        if let Some(text) = header {
            return Script::parse(text);
        }
        let scripts = self.scripts.read().unwrap_or_else(PoisonError::into_inner);
        let path = target.split('?').next().unwrap_or(target);
        Ok(scripts.paths.get(path).unwrap_or(&scripts.default).clone())
    }
}

/// A running origin on a thread and a runtime of its own, so that neither a blocked test nor a
/// test's runtime holds it up. It stops, and its connections break, when it is dropped.
#[derive(Debug)]
pub struct Origin {
    addr: SocketAddr,
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Origin {
    /// Starts one with default options.
    ///
    /// # Errors
    /// When no socket or thread can be had.
    pub fn start() -> io::Result<Self> {
        Self::start_with(OriginOptions::default())
    }

    /// Starts one.
    ///
    /// # Errors
    /// When the address is taken, the log file cannot be opened, or no thread can be had.
    pub fn start_with(options: OriginOptions) -> io::Result<Self> {
        let listener = match options.listen {
            Some(addr) => TcpListener::bind(addr)?,
            None => crate::ports::loopback_listener()?,
        };
        Self::serve(listener, options)
    }

    /// Serves on a socket that is bound already.
    ///
    /// # Errors
    /// When the log file cannot be opened or no thread can be had.
    pub fn serve(listener: TcpListener, options: OriginOptions) -> io::Result<Self> {
        let addr = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        let log = OriginLog::new(options.log_bytes_max, options.log_file.as_deref())?;
        let scripts = Scripts { default: options.default_script.clone(), ..Scripts::default() };
        let shared = Arc::new(Shared { log, options, scripts: RwLock::new(scripts) });
        let (stop, stopped) = watch::channel(false);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let served = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("test-origin".into())
            .spawn(move || runtime.block_on(accept(listener, served, stopped)))?;
        Ok(Self { addr, shared, stop, thread: Some(thread) })
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// `http://ADDR`, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// What arrived.
    #[must_use]
    pub fn log(&self) -> &OriginLog {
        &self.shared.log
    }

    /// The script of every request that brings none and whose path has none.
    pub fn set_default(&self, script: Script) {
        self.scripts().default = script;
    }

    /// The script of requests to exactly this path (the query does not count).
    pub fn set_path(&self, path: &str, script: Script) {
        self.scripts().paths.insert(path.to_owned(), script);
    }

    fn scripts(&self) -> std::sync::RwLockWriteGuard<'_, Scripts> {
        self.shared.scripts.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stops listening and breaks every connection. The log stays readable.
    pub fn stop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            // The thread only ends by itself; a panic in it has been printed already.
            thread.join().ok();
        }
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, mut stopped: watch::Receiver<bool>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
        return;
    };
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection::serve(stream, Arc::clone(&shared)));
                }
                // Out of descriptors: wait for one instead of spinning.
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            _ = stopped.wait_for(|stop| *stop) => break,
        }
    }
    connections.shutdown().await;
}
