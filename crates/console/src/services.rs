//! `services.sock`: the built-in services, to which the edge sends like to any other service.

mod page;
mod status;

use std::future::Future;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use plimsoll_base::SharedClock;
use tokio::net::UnixStream;
use tokio::sync::watch;

use crate::http::nothing;
use crate::model::Source;
use crate::socket::{Opened, Place, Serving, Takeover};
use status::Status;

/// Connections served at once, of all cores of one or two processes.
const CONNECTIONS_MAX: usize = 4_096;
/// How often the state is looked at, so that it is known since when it is so.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The socket of the built-in services, listened on.
pub struct ServicesSocket(Opened);

impl ServicesSocket {
    /// Takes that name in the data directory; what is asked from here on is answered when it is
    /// served.
    ///
    /// # Errors
    /// When the data directory cannot be opened.
    pub async fn open(data_dir: &Path, name: &'static str) -> io::Result<Self> {
        Ok(Self(Opened::at(Place::of(data_dir, name)?, Takeover::AtOnce).await))
    }
}

/// Serves the built-in services until `shutdown` is done.
pub async fn serve_services(
    socket: ServicesSocket,
    source: Arc<dyn Source>,
    clock: SharedClock,
    shutdown: impl Future<Output = ()> + Send,
) {
    let status = Arc::new(Status::new(source, clock));
    let router = Router::new()
        .route("/status.json", get(status::answer))
        .route("/.plimsoll/status", get(status::page))
        .fallback(nothing)
        .with_state(Arc::clone(&status));
    let serving = Serving {
        opened: socket.0,
        connections_max: CONNECTIONS_MAX,
        router: move |_: &UnixStream| Some(router.clone()),
        stop: watch::channel(false).0,
    };
    let looking = async {
        let mut tick = tokio::time::interval(LOOK_EVERY);
        loop {
            tick.tick().await;
            status.look();
        }
    };
    tokio::select! {
        () = serving.run(shutdown) => {}
        () = looking => {}
    }
}
