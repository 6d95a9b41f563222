//! The backend as a process: its two listeners, and its end.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::api::{self, App};
use crate::store::{Store, WallClock};
use crate::switches::{self, Switches};

/// How long requests in flight may take after the end was asked for.
const DRAIN_MAX: Duration = Duration::from_secs(10);

/// Where and how the backend runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the API listens; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Where the switches listen; loopback only. `None`: there are no switches.
    pub switches_listen: Option<SocketAddr>,
    /// How long a typical answer takes, as if a database stood behind.
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
    /// Serving failed.
    #[error("serving stopped: {0}")]
    Serve(#[from] io::Error),
}

/// A backend that listens and does not serve yet.
#[derive(Debug)]
pub struct Bound {
    api: (TcpListener, Router),
    switches: Option<(TcpListener, Router)>,
    /// Where the API listens.
    pub address: SocketAddr,
    /// Where the switches listen.
    pub switches_address: Option<SocketAddr>,
}

/// Opens the listeners.
pub async fn bind(options: &Options, unix_ms: WallClock) -> Result<Bound, ServeError> {
    let dice = fastrand::Rng::with_seed(options.seed);
    let switches = Arc::new(Switches::new(api::operation_ids(), options.pace, dice));
    let app = App { store: Arc::new(Store::seeded(unix_ms)), switches: Arc::clone(&switches) };
    let listener = listen(options.listen, "--listen").await?;
    let address = listener.local_addr()?;
    let mut bound = Bound {
        api: (listener, api::router(app)),
        switches: None,
        address,
        switches_address: None,
    };
    if let Some(wanted) = options.switches_listen {
        if !wanted.ip().is_loopback() {
            return Err(ServeError::SwitchesNotLoopback(wanted));
        }
        let listener = listen(wanted, "--switches-listen").await?;
        bound.switches_address = Some(listener.local_addr()?);
        bound.switches = Some((listener, switches::router(switches)));
    }
    Ok(bound)
}

async fn listen(address: SocketAddr, flag: &'static str) -> Result<TcpListener, ServeError> {
    let refused = |source| ServeError::Listen { address, flag, source };
    TcpListener::bind(address).await.map_err(refused)
}

impl Bound {
    /// Serves until `end` comes; then answers what is in flight, for ten seconds at most.
    pub async fn run(self, end: impl Future<Output = ()>) -> Result<(), ServeError> {
        let (ending, _) = watch::channel(false);
        let mut servers = tokio::task::JoinSet::new();
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
            Ok(())
        };
        // Past the deadline what is still open is cut: the set aborts its tasks when it goes.
        tokio::time::timeout(DRAIN_MAX, drained).await.unwrap_or(Ok(()))
    }
}
