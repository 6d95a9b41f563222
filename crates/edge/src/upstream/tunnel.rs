//! A connection that leaves HTTP (RFC 9110 §7.8), for WebSocket: after 101 the bytes of both sides
//! are copied until one ends, nothing moves for too long, or the edge has to stop.
//!
//! Nothing of what a client sends behind its upgrade request reaches the service before the
//! service has agreed with 101: hyper hands the bytes over only then. (The opposite was
//! CVE-2026-2833 elsewhere: a smuggled second request.)

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use plimsoll_base::{Nanos, SharedClock};
use plimsoll_telemetry::Counter;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connect::Stream;
use super::endpoint::Endpoint;
use super::{Outcome, Release, Timeouts, UNSENT_TRIES_MAX, UpstreamError};
use crate::body::InboundBody;
use crate::conn::ConnContext;
use crate::core::{Core, Phase};
use crate::tasks::Kind;

/// A tunnel in which nothing moves for so long is closed.
const TUNNEL_IDLE_MAX: Duration = Duration::from_secs(60 * 60);

/// How often a tunnel is looked at.
const TUNNEL_LOOK: Duration = Duration::from_secs(30);

/// Bytes copied at once, each way.
const COPY_BYTES: usize = 16 * 1024;

/// Where an upgrade request goes, and how long it may take.
pub(crate) struct Upgrading<'u> {
    pub(crate) release: &'u Release,
    pub(crate) timeouts: Timeouts,
    /// For figures.
    pub(crate) service: &'u str,
}

/// Sends an upgrade request over a connection of its own and, on 101, joins both sides. A tunnel
/// keeps its client's place among the open connections, so `connections_max` bounds tunnels, too.
/// `reached` becomes true before anything of the request goes out.
pub(crate) async fn tunnel(
    context: &Arc<ConnContext>,
    upgrading: &Upgrading<'_>,
    client: OnUpgrade,
    request: Request<InboundBody>,
    reached: &mut bool,
) -> Result<Response<Incoming>, UpstreamError> {
    let core = &context.core;
    let (endpoint, io) = upgrading.connect(core).await?;
    *reached = true;
    let begun = core.clock.now();
    let answered = upgrade(context, upgrading.timeouts, io, request, client).await;
    let outcome = match &answered {
        Ok(response) => Outcome::of_status(response.status()),
        Err(_) => Outcome::Failed,
    };
    if endpoint.ended(core.index, outcome, begun, || core.clock.now()) {
        core.shard.count(Counter::UpstreamEjected { service: upgrading.service });
    }
    answered
}

impl Upgrading<'_> {
    /// A connection to one of the URLs. Nothing has been sent, so where one cannot be reached the
    /// next one is tried.
    async fn connect(&self, core: &Core) -> Result<(&Arc<Endpoint>, Stream), UpstreamError> {
        let service = self.service;
        let (mut tries, mut failed) = (0, None);
        loop {
            tries += 1;
            let begun = core.clock.now();
            let endpoint = self.release.pick(core, begun, failed);
            let connecting = endpoint.target().connect();
            let error = match tokio::time::timeout(self.timeouts.connect, connecting).await {
                Ok(Ok(io)) => {
                    core.shard.count(Counter::UpstreamConnect { service });
                    return Ok((endpoint, io));
                }
                Ok(Err(error)) => UpstreamError::Connect(error),
                Err(_elapsed) => UpstreamError::ConnectTimeout,
            };
            failed = Some(endpoint);
            if endpoint.ended(core.index, Outcome::Failed, begun, || core.clock.now()) {
                core.shard.count(Counter::UpstreamEjected { service });
            }
            if self.release.endpoints.len() < 2 || tries >= UNSENT_TRIES_MAX {
                return Err(error);
            }
            core.shard.count(Counter::UpstreamRetry { service });
        }
    }
}

async fn upgrade(
    context: &Arc<ConnContext>,
    timeouts: Timeouts,
    io: Stream,
    request: Request<InboundBody>,
    client: OnUpgrade,
) -> Result<Response<Incoming>, UpstreamError> {
    let core = &context.core;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(io)).await.map_err(UpstreamError::Answer)?;
    core.tasks.spawn(Kind::Upstream, async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "upstream connection ended");
        }
    });
    let mut response = tokio::time::timeout(timeouts.first_byte, sender.send_request(request))
        .await
        .map_err(|_| UpstreamError::FirstByteTimeout)?
        .map_err(UpstreamError::Answer)?;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let service = hyper::upgrade::on(&mut response);
        core.tasks.spawn(Kind::Tunnel, join(Arc::clone(context), client, service));
    }
    Ok(response)
}

/// Holds the connection's place among the open ones. Copies both ways until one side ends, nothing
/// moves any more, or the edge stops.
async fn join(context: Arc<ConnContext>, client: OnUpgrade, service: OnUpgrade) {
    let (Ok(client), Ok(service)) = tokio::join!(client, service) else { return };
    let (core, clock) = (&context.core, &context.core.clock);
    let moved = Arc::new(AtomicU64::new(clock.now().0));
    let mut client = Watched::new(client, &moved, clock);
    let mut service = Watched::new(service, &moved, clock);
    let idle = async {
        loop {
            tokio::time::sleep(TUNNEL_LOOK).await;
            let last = Nanos(moved.load(Ordering::Relaxed));
            if clock.now().since(last) > TUNNEL_IDLE_MAX {
                return;
            }
        }
    };
    let copy =
        tokio::io::copy_bidirectional_with_sizes(&mut client, &mut service, COPY_BYTES, COPY_BYTES);
    let mut phase = core.phase.clone();
    tokio::select! {
        ended = copy => {
            if let Err(error) = ended {
                tracing::debug!(%error, "tunnel ended");
            }
        }
        () = idle => tracing::debug!("tunnel closed: nothing moved"),
        _ = phase.wait_for(|phase| *phase >= Phase::Ending) => {}
    }
}

/// One side of a tunnel; notes when something moved.
struct Watched {
    io: TokioIo<Upgraded>,
    moved: Arc<AtomicU64>,
    clock: SharedClock,
}

impl Watched {
    fn new(io: Upgraded, moved: &Arc<AtomicU64>, clock: &SharedClock) -> Self {
        Self { io: TokioIo::new(io), moved: Arc::clone(moved), clock: Arc::clone(clock) }
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.io).poll_read(cx, buf);
        if polled.is_ready() {
            self.moved.store(self.clock.now().0, Ordering::Relaxed);
        }
        polled
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
