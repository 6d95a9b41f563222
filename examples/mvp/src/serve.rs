//! The backend as a process: its two listeners, and its end.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::api::{self, App};
use crate::otlp;
use crate::store::{OpenError, Store, WallClock};
use crate::switches::{self, Switches};
use crate::trace::{Exporter, Tracer};

/// How long requests in flight may take after the end was asked for.
const DRAIN_MAX: Duration = Duration::from_secs(8);
/// How long the last spans may take after that.
const FLUSH_MAX: Duration = Duration::from_secs(2);

/// Where and how the backend runs.
#[derive(Clone)]
pub struct Options {
    /// Its database, as libpq writes it; it may hold a password.
    pub database_url: String,
    /// Where its spans go; `None`: nowhere.
    pub otlp: Option<otlp::Url>,
    /// Is told what an operator should know while it runs.
    pub say: fn(&str),
    /// Where the API listens; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Where the switches listen; loopback only. `None`: there are no switches.
    pub switches_listen: Option<SocketAddr>,
    /// How long a typical answer takes beside what its database takes.
    pub pace: Duration,
    /// The seed of the dice that switches and pace throw.
    pub seed: u64,
}

/// Why the backend could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The switches would be open to others.
    #[error(
        "--switches-listen {0} is refused: whoever reaches the switches can crash the backend, \
             so they listen on loopback alone"
    )]
    SwitchesNotLoopback(SocketAddr),
    /// A listener could not be opened.
    #[error("cannot listen on {address}: {source}; {flag} chooses another address")]
    Listen {
        /// What was asked for.
        address: SocketAddr,
        /// The flag that set it.
        flag: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// There is no database.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// Serving failed.
    #[error("serving stopped: {0}")]
    Serve(#[from] io::Error),
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options").field("listen", &self.listen).finish_non_exhaustive()
    }
}

/// A backend that listens and does not serve yet.
#[derive(Debug)]
pub struct Bound {
    api: (TcpListener, Router),
    switches: Option<(TcpListener, Router)>,
    exporter: Option<Exporter>,
    /// Where the API listens.
    pub address: SocketAddr,
    /// Where the switches listen.
    pub switches_address: Option<SocketAddr>,
}

/// Opens the listeners, then the database.
pub async fn bind(options: &Options, unix_ms: WallClock) -> Result<Bound, ServeError> {
    let listener = listen(options.listen, "--listen").await?;
    let address = listener.local_addr()?;
    let switches_listener = match options.switches_listen {
        Some(wanted) if !wanted.ip().is_loopback() => {
            return Err(ServeError::SwitchesNotLoopback(wanted));
        }
        Some(wanted) => Some(listen(wanted, "--switches-listen").await?),
        None => None,
    };
    let store = Store::open(&options.database_url, unix_ms).await?;
    let (tracer, exporter) = match &options.otlp {
        Some(to) => {
            let (tracer, exporter) = Tracer::new(store.name(), to.clone(), unix_ms, options.say);
            (Some(tracer), Some(exporter))
        }
        None => (None, None),
    };
    let dice = fastrand::Rng::with_seed(options.seed);
    let switches = Arc::new(Switches::new(api::operation_ids(), options.pace, dice));
    let app = App { store, switches: Arc::clone(&switches), tracer };
    let switches_address = match &switches_listener {
        Some(listener) => Some(listener.local_addr()?),
        None => None,
    };
    Ok(Bound {
        api: (listener, api::router(app)),
        switches: switches_listener.map(|listener| (listener, switches::router(switches))),
        exporter,
        address,
        switches_address,
    })
}

async fn listen(address: SocketAddr, flag: &'static str) -> Result<TcpListener, ServeError> {
    let refused = |source| ServeError::Listen { address, flag, source };
    TcpListener::bind(address).await.map_err(refused)
}

impl Bound {
    /// Serves until `end` comes; then answers what is in flight, for eight seconds at most, and
    /// sends the last spans, for two at most.
    pub async fn run(self, end: impl Future<Output = ()>) -> Result<(), ServeError> {
        let (ending, _) = watch::channel(false);
        let (mut servers, mut exporting) = (JoinSet::new(), JoinSet::new());
        if let Some(exporter) = self.exporter {
            exporting.spawn(exporter.run());
        }
        for (listener, router) in [Some(self.api), self.switches].into_iter().flatten() {
            let mut ended = ending.subscribe();
            let until = async move {
                // An error means that the sender is gone, which is an end too.
                drop(ended.wait_for(|end| *end).await);
            };
            servers.spawn(async move {
                axum::serve(listener, router).with_graceful_shutdown(until).await
            });
        }
        tokio::select! {
            () = end => {}
            Some(early) = servers.join_next() => {
                return early.map_err(io::Error::other)?.map_err(ServeError::Serve);
            }
        }
        ending.send_replace(true);
        let drained = async {
            while let Some(server) = servers.join_next().await {
                server.map_err(io::Error::other)??;
            }
            Ok::<(), ServeError>(())
        };
        // Past the deadline what is still open is cut.
        let drained = tokio::time::timeout(DRAIN_MAX, drained).await.unwrap_or(Ok(()));
        servers.shutdown().await;
        // It ends when the last request is gone; what is not sent by then is lost.
        drop(tokio::time::timeout(FLUSH_MAX, exporting.join_next()).await);
        drained
    }
}
