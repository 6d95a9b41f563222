//! `ops.sock`: the operator JSON for the command line on the same machine. Who asks is known by the
//! kernel's word (`SO_PEERCRED`), so here something can be changed.

use std::future::Future;
use std::io;
use std::path::Path;
use std::sync::Arc;

use axum::{Extension, Router};
use tokio::net::UnixStream;
use tokio::sync::watch;

use crate::api::{self, Operator};
use crate::http::{Console, nothing};
use crate::model::Source;
use crate::server::ConsoleOptions;
use crate::socket::{Opened, Place, Serving, Takeover};

/// The name of the socket in the data directory.
pub const OPS_SOCKET: &str = "ops.sock";

/// Connections served at once.
const CONNECTIONS_MAX: usize = 16;
/// The longest body of a request, bytes.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// `{data-dir}/ops.sock`, listened on. The data directory is readable by its owner alone, and so is
/// the socket. While the process before this one still listens there, that one is asked: the
/// database is still its own.
pub struct LocalSocket(Opened);

impl LocalSocket {
    /// From here on commands find somebody; they are answered when it is served.
    ///
    /// # Errors
    /// When the data directory cannot be opened.
    pub async fn open(data_dir: &Path) -> io::Result<Self> {
        let place = Place::of(data_dir, OPS_SOCKET)?;
        Ok(Self(Opened::at(place, Takeover::WhenFree).await))
    }
}

/// Serves the operator JSON until `shutdown` is done.
pub async fn serve_local(
    socket: LocalSocket,
    source: Arc<dyn Source>,
    options: ConsoleOptions,
    shutdown: impl Future<Output = ()> + Send,
) {
    let (stop, stopped) = watch::channel(false);
    let console = Console::new(source, &options, stopped);
    let router = api::questions()
        .merge(api::acts())
        .fallback(nothing)
        .layer(axum::extract::DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(console);
    let serving = Serving {
        opened: socket.0,
        connections_max: CONNECTIONS_MAX,
        router: move |stream: &UnixStream| answering(&router, stream),
        stop,
    };
    serving.run(shutdown).await;
}

fn answering(router: &Router, stream: &UnixStream) -> Option<Router> {
    match stream.peer_cred() {
        Ok(peer) => {
            let operator = Operator(format!("local:{}", peer.uid()));
            Some(router.clone().layer(Extension(operator)))
        }
        Err(error) => {
            tracing::warn!(%error, "ops.sock cannot tell who asks, so nobody is answered");
            None
        }
    }
}
