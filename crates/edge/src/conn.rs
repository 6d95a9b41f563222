//! One client connection: admitted, greeted (TLS), told apart (HTTP/1.1 or HTTP/2), served.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use plimsoll_http_kit::forwarded::{Peer, Scheme};
use plimsoll_telemetry::Counter;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::config::Bounds;
use crate::core::{Core, Phase};
use crate::guard::{ConnState, GuardLimits, Guarded};
use crate::refusal::RefusalWriter;
use crate::stack;
use crate::tasks::{Executor, Kind};

/// What HTTP/2 opens with (RFC 9113 §3.4). Its first three bytes are no method of HTTP/1.1.
const PREFACE_START: &[u8] = b"PRI";

/// How long to wait before looking again when a client's first bytes do not tell the protocol.
const PEEK_AGAIN: Duration = Duration::from_millis(5);

/// Flow-control windows of HTTP/2 (RFC 9113 §5.2), bytes: what one stream and one connection may
/// send us before we have passed it on. They bound the memory of an upload whose service is slow.
const H2_STREAM_WINDOW: u32 = 256 * 1024;
const H2_CONNECTION_WINDOW: u32 = 1024 * 1024;

/// Bytes of an answer that wait in a stream for the client.
const H2_SEND_BUFFER: usize = 64 * 1024;

/// What every request of a connection knows about it.
#[derive(Debug)]
pub(crate) struct ConnContext {
    pub(crate) core: Arc<Core>,
    pub(crate) state: Arc<ConnState>,
    pub(crate) peer: Peer,
}

/// Serves a connection that was just accepted, to its end.
pub(crate) async fn serve(
    core: Arc<Core>,
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<Arc<ServerConfig>>,
) {
    let bounds = core.config().bounds;
    let exempt = core.config().is_exempt_from_connection_limit(peer.ip());
    let _admitted = match core.shared.connections.admit(peer.ip(), exempt, &bounds) {
        Ok(admitted) => admitted,
        Err(reason) => {
            core.shard.count(Counter::ConnectionRefused(reason));
            return;
        }
    };
    core.shard.count(Counter::ConnectionAccepted);
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "nodelay refused");
    }
    let ended = match tls {
        None => {
            let prior = tokio::time::timeout(bounds.keep_alive, speaks_http2(&stream)).await;
            match prior {
                Ok(Ok(multiplexed)) => serve_http(core, stream, peer, multiplexed, false).await,
                Ok(Err(error)) => Err(error.into()),
                Err(_elapsed) => Ok(()),
            }
        }
        Some(config) => {
            let greeting = TlsAcceptor::from(config).accept(stream);
            match tokio::time::timeout(bounds.header_timeout, greeting).await {
                Ok(Ok(io)) => {
                    let multiplexed = io.get_ref().1.alpn_protocol() == Some(b"h2");
                    serve_http(core, io, peer, multiplexed, true).await
                }
                Ok(Err(error)) => {
                    core.shard.count(Counter::TlsHandshakeFailed);
                    Err(error.into())
                }
                Err(_elapsed) => {
                    core.shard.count(Counter::TlsHandshakeFailed);
                    Ok(())
                }
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "client connection ended");
    }
}

/// Looks at a connection's first bytes without taking them.
async fn speaks_http2(stream: &TcpStream) -> io::Result<bool> {
    let mut first = [0u8; PREFACE_START.len()];
    loop {
        let seen = stream.peek(&mut first).await?;
        if seen == PREFACE_START.len() || seen == 0 {
            return Ok(first == PREFACE_START);
        }
        if !PREFACE_START.starts_with(&first[..seen]) {
            return Ok(false);
        }
        tokio::time::sleep(PEEK_AGAIN).await;
    }
}

type Ended = Result<(), Box<dyn std::error::Error + Send + Sync>>;

async fn serve_http<S>(
    core: Arc<Core>,
    io: S,
    peer: SocketAddr,
    multiplexed: bool,
    secure: bool,
) -> Ended
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let bounds = core.config().bounds;
    let state = Arc::new(ConnState::default());
    let limits = GuardLimits {
        keep_alive: bounds.keep_alive,
        header_timeout: bounds.header_timeout,
        write_stall: bounds.write_stall,
    };
    let guarded = Guarded::new(io, Arc::clone(&state), limits, Arc::clone(&core.clock));
    let scheme = if secure { Scheme::Https } else { Scheme::Http };
    let peer = Peer::new(peer.ip(), scheme, &core.config().trusted);
    let context = Arc::new(ConnContext { core, state, peer });
    if multiplexed {
        serve_h2(context, guarded, bounds).await
    } else {
        serve_h1(context, guarded, bounds).await
    }
}

async fn serve_h1<S>(context: Arc<ConnContext>, io: Guarded<S>, bounds: Bounds) -> Ended
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let io = RefusalWriter::new(io, Arc::clone(&context.state));
    let service = service_fn(move |request| {
        let context = Arc::clone(&context);
        async move { Ok::<_, Infallible>(stack::serve(&context, request).await) }
    });
    http1::Builder::new()
        .header_read_timeout(None)
        .max_headers(bounds.headers_max)
        .max_header_size(bounds.header_bytes_max)
        .serve_connection(TokioIo::new(io), service)
        .with_upgrades()
        .await
        .map_err(Into::into)
}

/// No pings: they would wake a phone's radio for nothing. A client that is gone shows when an
/// answer is not taken (`guard`), and an idle connection is closed after `keep_alive`.
async fn serve_h2<S>(context: Arc<ConnContext>, io: Guarded<S>, bounds: Bounds) -> Ended
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    context.state.set_multiplexed();
    let mut phase = context.core.phase.clone();
    let tasks = context.core.tasks.clone();
    let service = service_fn(move |request| {
        let context = Arc::clone(&context);
        async move { Ok::<_, Infallible>(stack::serve(&context, request).await) }
    });
    let header_list_max = u32::try_from(bounds.header_bytes_max).unwrap_or(u32::MAX);
    let connection = http2::Builder::new(Executor { tasks, kind: Kind::Stream })
        .max_concurrent_streams(bounds.http2_streams_max)
        .max_header_list_size(header_list_max)
        .initial_stream_window_size(H2_STREAM_WINDOW)
        .initial_connection_window_size(H2_CONNECTION_WINDOW)
        .max_send_buf_size(H2_SEND_BUFFER)
        .serve_connection(TokioIo::new(io), service);
    let mut connection = pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => return ended.map_err(Into::into),
        _ = phase.wait_for(|phase| *phase != Phase::Serving) => {}
    }
    connection.as_mut().graceful_shutdown();
    connection.await.map_err(Into::into)
}
