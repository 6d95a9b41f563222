//! HTTP/2 to a service, for gRPC: one connection a core and URL, shared by its requests. With
//! `http://` by prior knowledge, with `https://` by ALPN (RFC 9113 §3).

use std::pin::pin;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use http::uri::{Authority, Scheme, Uri};
use http::{HeaderMap, Request, header};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioIo, TokioTimer};
use plimsoll_telemetry::Counter;

use super::endpoint::Endpoint;
use super::{Answer, Failed, Message, Sending, UpstreamError};
use crate::body::InboundBody;
use crate::core::Core;
use crate::lazy_timer::LazyTimer;
use crate::tasks::{Executor, Kind};

/// What one answer may send ahead of its client, bytes (RFC 9113 §5.2).
const STREAM_WINDOW: u32 = 256 * 1024;

/// The largest there is: the bound is the stream's. A shared window below the sum of the streams'
/// would be used up by a few clients that do not read, and then nobody's answer moved.
const CONNECTION_WINDOW: u32 = (1 << 31) - 1;

/// A silent connection is asked whether it lives, because every gRPC call of a core goes over it.
const PING_AFTER: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// The shared connection.
pub(crate) type Multiplexed = http2::SendRequest<InboundBody>;

/// Sends one request over the shared connection, or a new one in its place.
pub(super) async fn attempt(
    core: &Arc<Core>,
    endpoint: &Arc<Endpoint>,
    sending: &Sending<'_>,
    timer: &mut LazyTimer,
    message: &mut Message<'_>,
) -> Result<Answer, Failed> {
    let mut connection = match alive(core, endpoint) {
        Some(connection) => connection,
        None => {
            let left = sending.within(sending.timeouts.connect, core.clock.now())?;
            tokio::time::timeout(left, open(core, endpoint, sending.service))
                .await
                .unwrap_or(Err(UpstreamError::ConnectTimeout))?
        }
    };
    let Some(mut request) = message.request() else { return Err(None) };
    make_absolute(endpoint, &mut request);
    let (now, answer) = (core.clock.now(), connection.try_send_request(request));
    match sending.wait(core, timer, now, pin!(answer)).await {
        Err(error) => Err(Some(error)),
        Ok(Ok(response)) => Ok(Answer::new(response, None)),
        Ok(Err(mut failed)) => {
            let slot = endpoint.multiplexed(core);
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = None;
            if message.take_back_unsent(failed.take_message()) {
                return Err(None);
            }
            Err(Some(UpstreamError::Answer(failed.into_error())))
        }
    }
}

fn alive(core: &Core, endpoint: &Endpoint) -> Option<Multiplexed> {
    let slot = endpoint.multiplexed(core).lock().unwrap_or_else(PoisonError::into_inner);
    slot.as_ref().filter(|connection| !connection.is_closed()).cloned()
}

async fn open(
    core: &Core,
    endpoint: &Endpoint,
    service: &str,
) -> Result<Multiplexed, UpstreamError> {
    // One at a time: whoever waited for another's connection takes that.
    let _alone = endpoint.opening_multiplexed(core).lock().await;
    if let Some(connection) = alive(core, endpoint) {
        return Ok(connection);
    }
    let io = endpoint.target().connect_h2().await.map_err(UpstreamError::Connect)?;
    core.shard.count(Counter::UpstreamConnect { service });
    let executor = Executor { tasks: core.tasks.clone(), kind: Kind::Upstream };
    let (sender, connection) = http2::Builder::new(executor)
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_AFTER)
        .keep_alive_timeout(PING_TIMEOUT)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .handshake(TokioIo::new(io))
        .await
        .map_err(UpstreamError::Answer)?;
    core.tasks.spawn(Kind::Upstream, async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "upstream HTTP/2 connection ended");
        }
    });
    let slot = endpoint.multiplexed(core);
    *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender.clone());
    Ok(sender)
}

/// HTTP/2 carries scheme and authority in pseudo-headers: the client's `Host` becomes the latter.
fn make_absolute(endpoint: &Endpoint, request: &mut Request<InboundBody>) {
    let authority = host(request.headers()).or_else(|| endpoint.target().authority());
    let mut parts = request.uri().clone().into_parts();
    parts.scheme = Some(if endpoint.target().is_secure() { Scheme::HTTPS } else { Scheme::HTTP });
    parts.authority = authority;
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
        request.headers_mut().remove(header::HOST);
    }
    *request.version_mut() = http::Version::HTTP_2;
}

fn host(headers: &HeaderMap) -> Option<Authority> {
    Authority::try_from(headers.get(header::HOST)?.as_bytes()).ok()
}
