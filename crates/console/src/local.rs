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
use crate::socket::{Place, Serving, Takeover};

/// The name of the socket in the data directory.
pub const OPS_SOCKET: &str = "ops.sock";

/// Connections served at once.
const CONNECTIONS_MAX: usize = 16;
/// The longest body of a request, bytes.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// Serves the operator JSON on `{data-dir}/ops.sock` until `shutdown` is done. The data directory
/// is readable by its owner alone, and so is the socket. While the process before this one still
/// listens there, that one is asked: the database is still its own.
///
/// # Errors
/// When the data directory cannot be opened.
pub async fn serve_local(
    data_dir: &Path,
    source: Arc<dyn Source>,
    options: ConsoleOptions,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let place = Place::of(data_dir, OPS_SOCKET)?;
    let (stop, stopped) = watch::channel(false);
    let console = Console::new(source, &options, stopped);
    let router = api::questions()
        .merge(api::acts())
        .fallback(nothing)
        .layer(axum::extract::DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(console);
    let serving = Serving {
        place,
        takeover: Takeover::WhenFree,
        connections_max: CONNECTIONS_MAX,
        router: move |stream: &UnixStream| answering(&router, stream),
        stop,
    };
    serving.run(shutdown).await;
    Ok(())
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
