//! One client connection: admitted, greeted (TLS), told apart (HTTP/1.1 or HTTP/2), served.

use std::future::{Future as _, poll_fn};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use plimsoll_http_kit::forwarded::{Peer, Scheme};
use plimsoll_http_kit::{ClientContext, ClientMemo};
use plimsoll_telemetry::{Counter, SlowClient};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::config::Bounds;
use crate::connections::Admitted;
use crate::core::{Core, Phase};
use crate::guard::{ConnState, GuardLimits, Guarded};
use crate::lazy_timer::LazyTimer;
use crate::refusal::RefusalWriter;
use crate::stack;
use crate::stall::StreamExecutor;

/// What HTTP/2 opens with (RFC 9113 §3.4). Its first three bytes are no method of HTTP/1.1.
const PREFACE_START: &[u8] = b"PRI";

/// How long to wait before looking again when a client's first bytes do not tell the protocol: at
/// first, and at most.
const PEEK_AGAIN: Duration = Duration::from_millis(5);
const PEEK_AGAIN_MAX: Duration = Duration::from_millis(320);

/// Bytes of answers that the kernel holds of one connection before it has sent them. Without a
/// bound it takes megabytes, and a slow client looks dead until a third of them has left.
const UNSENT_MAX: u32 = 128 * 1024;

/// Flow-control windows of HTTP/2 (RFC 9113 §5.2), bytes: what one stream and one connection may
/// send us before we have passed it on. They bound the memory of an upload whose service is slow.
const H2_STREAM_WINDOW: u32 = 256 * 1024;
const H2_CONNECTION_WINDOW: u32 = 1024 * 1024;

/// Bytes by which the library's own bound on a field section lies above ours: what is too large
/// gets a problem document from us and not a bare status from it.
const H2_HEADER_SLACK: u32 = 256 * 1024;

/// Header fields that hyper reads without memory of their own; it asks for it once more are
/// allowed.
const HEADERS_INLINE: usize = 100;

/// Bytes of an answer that wait in a stream for the client.
const H2_SEND_BUFFER: usize = 64 * 1024;

/// What every request of a connection knows about it.
#[derive(Debug)]
pub(crate) struct ConnContext {
    pub(crate) core: Arc<Core>,
    pub(crate) state: Arc<ConnState>,
    pub(crate) peer: Peer,
    /// The timer that ends the wait for an answer. It outlives a request, so that the next one
    /// finds it armed; a second request at the same time makes its own.
    answer_timer: Mutex<LazyTimer>,
    /// What its last request said of its client.
    client: Mutex<ClientMemo>,
    /// No client is at the other end: see [`crate::rehearse`] and [`crate::itself`].
    pub(crate) rehearsal: bool,
    /// The place among the open connections: held by a tunnel, too, after the connection has left
    /// HTTP.
    _admitted: Admitted,
}

impl ConnContext {
    /// A connection that nobody opened, on a core for rehearsals.
    pub(crate) fn for_rehearsals(core: Arc<Core>) -> Self {
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        Self {
            _admitted: core.shared.connections.admit_always(),
            core,
            state: Arc::default(),
            peer: Peer::new(address, Scheme::Http),
            answer_timer: Mutex::default(),
            client: Mutex::default(),
            rehearsal: true,
        }
    }

    /// What a request says of its client, read with what the last one said at hand.
    pub(crate) fn client(
        &self,
        read: impl FnOnce(&mut ClientMemo) -> ClientContext,
    ) -> ClientContext {
        read(&mut self.client.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn take_timer(&self) -> LazyTimer {
        std::mem::take(&mut *self.answer_timer.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn keep_timer(&self, timer: LazyTimer) {
        *self.answer_timer.lock().unwrap_or_else(PoisonError::into_inner) = timer;
    }
}

/// What is known of a connection before its first request.
struct Told {
    multiplexed: bool,
    secure: bool,
    admitted: Admitted,
}

/// Serves a connection that was just accepted, to its end.
///
/// Every way it can go is a box of its own, so that a connection takes the memory of the one it
/// went and not of the largest: what is idle by the ten thousand is plain HTTP/1.1 or says nothing.
pub(crate) async fn serve(
    core: Arc<Core>,
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<Arc<ServerConfig>>,
) {
    let bounds = core.config().bounds;
    let exempt = core.config().is_exempt_from_connection_limit(peer.ip());
    let admitted = match core.shared.connections.admit(peer.ip(), exempt, &bounds) {
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
    #[cfg(target_os = "linux")]
    if let Err(error) = socket2::SockRef::from(&stream).set_tcp_notsent_lowat(UNSENT_MAX) {
        tracing::debug!(%error, "bound on unsent bytes refused");
    }
    let ended = match tls {
        None => match speaks_http2(&stream, &bounds).await {
            Ok(Ok(multiplexed)) => {
                Box::pin(serve_http(
                    core,
                    stream,
                    peer,
                    Told { multiplexed, secure: false, admitted },
                ))
                .await
            }
            Ok(Err(error)) => Err(error.into()),
            Err(held) => {
                core.shard.count(Counter::SlowClientCut(held));
                Ok(())
            }
        },
        Some(config) => {
            let greeting = Box::pin(TlsAcceptor::from(config).accept(stream));
            match tokio::time::timeout(bounds.header_timeout, greeting).await {
                Ok(Ok(io)) => {
                    let multiplexed = io.get_ref().1.alpn_protocol() == Some(b"h2");
                    Box::pin(serve_http(
                        core,
                        io,
                        peer,
                        Told { multiplexed, secure: true, admitted },
                    ))
                    .await
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

/// Looks at a connection's first bytes without taking them. For the first byte there is as much
/// time as between two requests, for the others as much as for a head.
async fn speaks_http2(stream: &TcpStream, bounds: &Bounds) -> Result<io::Result<bool>, SlowClient> {
    let mut first = [0u8; PREFACE_START.len()];
    let begun = tokio::time::timeout(bounds.keep_alive, stream.peek(&mut first)).await;
    let mut seen = match begun {
        Ok(Ok(seen)) => seen,
        Ok(Err(error)) => return Ok(Err(error)),
        Err(_elapsed) => return Err(SlowClient::KeepAlive),
    };
    let rest = async {
        let mut pause = PEEK_AGAIN;
        while (1..PREFACE_START.len()).contains(&seen) && PREFACE_START.starts_with(&first[..seen])
        {
            tokio::time::sleep(pause).await;
            pause = PEEK_AGAIN_MAX.min(pause * 2);
            seen = stream.peek(&mut first).await?;
        }
        Ok(first == PREFACE_START)
    };
    tokio::time::timeout(bounds.header_timeout, rest).await.map_err(|_elapsed| SlowClient::Header)
}

type Ended = Result<(), Box<dyn std::error::Error + Send + Sync>>;

async fn serve_http<S>(core: Arc<Core>, io: S, peer: SocketAddr, told: Told) -> Ended
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
    let (clock, shard) = (Arc::clone(&core.clock), Arc::clone(&core.shard));
    let unflushed = Arc::clone(&core.shared.unflushed);
    let guarded = Guarded::new(io, Arc::clone(&state), limits, clock, shard, unflushed);
    let scheme = if told.secure { Scheme::Https } else { Scheme::Http };
    let rehearsal = core.shared.own.is(peer);
    let peer = Peer::new(peer.ip(), scheme);
    let context = Arc::new(ConnContext {
        core,
        state,
        peer,
        answer_timer: Mutex::default(),
        client: Mutex::default(),
        rehearsal,
        _admitted: told.admitted,
    });
    if told.multiplexed {
        Box::pin(serve_h2(context, guarded, bounds)).await
    } else {
        Box::pin(serve_h1(context, guarded, bounds)).await
    }
}

async fn serve_h1<S>(context: Arc<ConnContext>, io: Guarded<S>, bounds: Bounds) -> Ended
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let io = RefusalWriter::new(io, Arc::clone(&context.state));
    // A box, because hyper keeps room for a request's whole future while none is under way.
    let service = service_fn(move |request| Box::pin(stack::serve(Arc::clone(&context), request)));
    let mut builder = http1::Builder::new();
    if bounds.headers_max > HEADERS_INLINE {
        builder.max_headers(bounds.headers_max);
    }
    builder
        .header_read_timeout(None)
        .max_header_size(bounds.header_bytes_max)
        .serve_connection(TokioIo::new(io), service)
        .with_upgrades()
        .await
        .map_err(Into::into)
}

/// No pings: they would wake a phone's radio for nothing. A client that is gone shows when an
/// answer is not taken (`guard`), and an idle connection is told to go (GOAWAY) after `keep_alive`.
async fn serve_h2<S>(context: Arc<ConnContext>, io: Guarded<S>, bounds: Bounds) -> Ended
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    context.state.set_multiplexed();
    let mut phase = context.core.phase.clone();
    let executor = StreamExecutor::new(&context.core, bounds.write_stall);
    let state = Arc::clone(&context.state);
    let service = service_fn(move |request| stack::serve(Arc::clone(&context), request));
    let header_list_max = u32::try_from(bounds.header_bytes_max).unwrap_or(u32::MAX);
    let connection = http2::Builder::new(executor)
        .max_concurrent_streams(bounds.http2_streams_max)
        .max_header_list_size(header_list_max.saturating_add(H2_HEADER_SLACK))
        .initial_stream_window_size(H2_STREAM_WINDOW)
        .initial_connection_window_size(H2_CONNECTION_WINDOW)
        .max_send_buf_size(H2_SEND_BUFFER)
        .serve_connection(TokioIo::new(io), service);
    let mut connection = pin!(connection);
    let mut draining = pin!(phase.wait_for(|phase| *phase != Phase::Serving));
    let mut leaving = false;
    poll_fn(|cx| {
        loop {
            if let Poll::Ready(ended) = connection.as_mut().poll(cx) {
                return Poll::Ready(ended.map_err(Into::into));
            }
            // The guard sees that the idle time is over while the connection is polled.
            if leaving || !(state.is_idle_over() || draining.as_mut().poll(cx).is_ready()) {
                return Poll::Pending;
            }
            leaving = true;
            connection.as_mut().graceful_shutdown();
        }
    })
    .await
}
