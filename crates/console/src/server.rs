//! The listener itself: connections bounded in number, in age and in how slow a head may be.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use plimsoll_base::SharedClock;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

use crate::api::RoomsCell;
use crate::guard::Guard;
use crate::http::{Console, router};
use crate::model::Source;
use crate::otlp::IngestToken;

/// Connections served at once; one more waits to be accepted.
pub const CONNECTIONS_MAX: usize = 128;
/// Live pages served at once; one more is refused with a problem.
pub const LIVE_MAX: usize = 16;

/// A head must be there within this, and an idle connection asks again within it.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// Bytes of a request's head.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Fields of a request's head.
const HEADERS_MAX: usize = 64;
/// A connection ends after this, a live page's too (it opens another): whoever stopped reading
/// cannot hold a place for good.
const CONNECTION_AGE_MAX: Duration = Duration::from_secs(3_600);
/// What open connections get at the end to finish an answer.
const GOODBYE: Duration = Duration::from_secs(1);
/// A pause after the system refused a connection, so that a full table of descriptors is no loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How the ops listener is served.
#[derive(Clone, Debug)]
pub struct ConsoleOptions {
    /// Where time comes from.
    pub clock: SharedClock,
    /// Connections at once; [`CONNECTIONS_MAX`] is a good bound.
    pub connections_max: usize,
    /// Live pages at once; [`LIVE_MAX`] is a good bound.
    pub live_max: usize,
    /// Whether there are pages, or only metrics and health.
    pub pages: bool,
    /// What the operator JSON answers from.
    pub rooms: RoomsCell,
    /// What `/otlp` asks for; without one it is open on loopback and closed elsewhere.
    pub ingest_token: Option<IngestToken>,
}

impl ConsoleOptions {
    /// The usual bounds.
    #[must_use]
    pub fn new(clock: SharedClock) -> Self {
        Self {
            clock,
            connections_max: CONNECTIONS_MAX,
            live_max: LIVE_MAX,
            pages: true,
            rooms: RoomsCell::default(),
            ingest_token: None,
        }
    }
}

/// Serves the console on `listener` until `shutdown` is done, then ends live pages and gives open
/// answers a second. HTTP/1.1 only.
///
/// # Errors
/// When the listener does not know its own address.
pub async fn serve(
    listener: TcpListener,
    source: Arc<dyn Source>,
    options: ConsoleOptions,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let bound = listener.local_addr()?;
    let (stop, stopped) = watch::channel(false);
    let places = Arc::new(Semaphore::new(options.connections_max.max(1)));
    let console = Console::new(source, &options, stopped.clone());
    let guarded = Guard { bound, ingest_token: options.ingest_token };
    let router = router(console, guarded, options.pages);
    let mut connections = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => {}
            accepted = accept(&listener, &places) => match accepted {
                Ok((stream, place)) => {
                    connections.spawn(connection(stream, place, router.clone(), stopped.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "the ops listener could not accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
    drop(listener);
    stop.send_replace(true);
    let ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(GOODBYE, ended).await.is_err() {
        connections.shutdown().await;
    }
    Ok(())
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    // A second's figures are small and must not wait for the next ones.
    stream.set_nodelay(true)?;
    Ok((stream, place))
}

async fn connection(
    stream: TcpStream,
    place: OwnedSemaphorePermit,
    router: Router,
    mut stopped: watch::Receiver<bool>,
) {
    let _place = place;
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::pin!(served);
    let ended = tokio::time::timeout(CONNECTION_AGE_MAX, async {
        let ended = tokio::select! {
            ended = &mut served => Some(ended),
            _ = stopped.wait_for(|stopped| *stopped) => None,
        };
        match ended {
            Some(ended) => ended,
            None => {
                served.as_mut().graceful_shutdown();
                served.await
            }
        }
    });
    if let Ok(Err(error)) = ended.await {
        // A browser that went away, a head that was none: the client's business.
        tracing::debug!(%error, "a connection of the ops listener ended");
    }
}
