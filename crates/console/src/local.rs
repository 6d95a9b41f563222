//! `ops.sock`: the operator JSON for the command line on the same machine. Who asks is known by the
//! kernel's word (`SO_PEERCRED`), so here something can be changed.

use std::fs::{self, File, Permissions};
use std::future::Future;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::api::{self, Operator};
use crate::http::{Console, nothing};
use crate::model::Source;
use crate::server::ConsoleOptions;

/// The name of the socket in the data directory.
pub const OPS_SOCKET: &str = "ops.sock";

/// Connections served at once.
const CONNECTIONS_MAX: usize = 16;
/// A head must be there within this.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// The longest body of a request, bytes.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// What open connections get at the end to finish an answer.
const GOODBYE: Duration = Duration::from_secs(1);
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The socket of a data directory, whose path may be longer than an address can be (107 bytes): on
/// Linux it is reached by way of the open directory.
#[derive(Debug)]
pub(crate) struct Place {
    _directory: File,
    address: PathBuf,
}

impl Place {
    pub(crate) fn of(data_dir: &Path) -> io::Result<Self> {
        let directory = File::open(data_dir)?;
        let address = if cfg!(target_os = "linux") {
            PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd())).join(OPS_SOCKET)
        } else {
            data_dir.join(OPS_SOCKET)
        };
        Ok(Self { _directory: directory, address })
    }

    pub(crate) async fn connect(&self) -> io::Result<UnixStream> {
        UnixStream::connect(&self.address).await
    }

    /// Binds the socket for the owner alone. One that nobody listens on any more is replaced.
    fn bind(&self) -> io::Result<UnixListener> {
        if std::os::unix::net::UnixStream::connect(&self.address).is_err() {
            match fs::remove_file(&self.address) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _removed_or_not_there => {}
            }
        }
        let listener = UnixListener::bind(&self.address)?;
        fs::set_permissions(&self.address, Permissions::from_mode(0o600))?;
        Ok(listener)
    }
}

/// Serves the operator JSON on `{data-dir}/ops.sock` until `shutdown` is done. The data directory
/// is readable by its owner alone, and so is the socket.
///
/// # Errors
/// When the socket cannot be bound; another process may listen there.
pub async fn serve_local(
    data_dir: &Path,
    source: Arc<dyn Source>,
    options: ConsoleOptions,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let place = Place::of(data_dir)?;
    let listener = place.bind()?;
    let (stop, stopped) = watch::channel(false);
    let console = Console::new(source, &options, stopped);
    let router = api::questions()
        .merge(api::acts())
        .fallback(nothing)
        .layer(axum::extract::DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(console);
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let Ok(held) = Arc::clone(&places).try_acquire_owned() else { continue };
                let router = router.clone();
                connections.spawn(async move {
                    let _held = held;
                    connection(stream, router).await;
                });
            }
            Err(error) => {
                tracing::warn!(%error, "ops.sock could not accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
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

async fn connection(stream: UnixStream, router: Router) {
    let operator = match stream.peer_cred() {
        Ok(peer) => Operator(format!("local:{}", peer.uid())),
        Err(error) => {
            tracing::warn!(%error, "ops.sock cannot tell who asks, so nobody is answered");
            return;
        }
    };
    let service = TowerToHyperService::new(router.layer(Extension(operator)));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection of ops.sock ended");
    }
}
