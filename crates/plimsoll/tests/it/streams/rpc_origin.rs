//! A service that speaks gRPC's shape of HTTP/2, made with the `h2` crate.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use plimsoll_testkit::loopback_listener;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::http2::client::send_all;

/// Bytes that `/echo.Echo/Pour` sends.
pub(crate) const POURED: usize = 24 << 20;

/// What the service saw, in order.
#[derive(Clone, Default)]
pub(crate) struct Seen {
    /// Method, path, authority and fields of each request.
    pub(crate) requests: Arc<Mutex<Vec<Request<()>>>>,
    /// The reasons of streams that were reset.
    pub(crate) resets: Arc<Mutex<Vec<Reason>>>,
}

impl Seen {
    pub(crate) fn requests(&self) -> Vec<Request<()>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn resets(&self) -> Vec<Reason> {
        self.resets.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn reset(&self, reason: Reason) {
        self.resets.lock().unwrap_or_else(PoisonError::into_inner).push(reason);
    }
}

/// The service on a thread and a runtime of its own; it ends when it is dropped.
pub(crate) struct RpcOrigin {
    addr: SocketAddr,
    pub(crate) seen: Seen,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl RpcOrigin {
    pub(crate) fn start() -> Self {
        Self::serve(loopback_listener().unwrap())
    }

    /// Another one where this one was.
    pub(crate) fn restart(self) -> Self {
        let addr = self.addr;
        drop(self);
        Self::serve(std::net::TcpListener::bind(addr).unwrap())
    }

    fn serve(listener: std::net::TcpListener) -> Self {
        let addr = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let (stop, stopped) = oneshot::channel();
        let seen = Seen::default();
        let book = seen.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = accept(listener, book) => {}
                    _ = stopped => {}
                }
            });
        });
        Self { addr, seen, stop: Some(stop), thread: Some(thread) }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.addr)
    }
}

impl Drop for RpcOrigin {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

async fn accept(listener: std::net::TcpListener, seen: Seen) {
    let listener = TcpListener::from_std(listener).unwrap();
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(connection(stream, seen.clone()));
    }
}

async fn connection(stream: TcpStream, seen: Seen) {
    stream.set_nodelay(true).unwrap();
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    let mut streams = JoinSet::new();
    while let Some(Ok((request, respond))) = connection.accept().await {
        streams.spawn(serve(request, respond, seen.clone()));
    }
}

fn head() -> Response<()> {
    let mut head = Response::new(());
    head.headers_mut().insert("content-type", http::HeaderValue::from_static("application/grpc"));
    head
}

fn trailers(status: &'static str) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", http::HeaderValue::from_static(status));
    trailers.insert("grpc-message", http::HeaderValue::from_static("said%20so"));
    trailers
}

async fn serve(request: Request<RecvStream>, mut respond: SendResponse<Bytes>, seen: Seen) {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let mut book = Request::new(());
    (*book.method_mut(), *book.uri_mut(), *book.headers_mut()) =
        (parts.method, parts.uri, parts.headers);
    seen.requests.lock().unwrap_or_else(PoisonError::into_inner).push(book);
    let answered = match path.as_str() {
        "/echo.Echo/Unary" => unary(body, &mut respond).await,
        "/echo.Echo/Chat" => chat(body, &mut respond).await,
        "/echo.Echo/Pour" => pour(&mut respond).await,
        "/echo.Echo/Unavailable" => unavailable(&mut respond).await,
        "/echo.Echo/Wait" => wait(&mut respond, &seen).await,
        "/echo.Echo/Closed" => trailers_only(&mut respond, "14"),
        _ => trailers_only(&mut respond, "12"),
    };
    if let Err(reason) = answered.map_err(|error| error.reason().unwrap_or(Reason::NO_ERROR)) {
        seen.reset(reason);
    }
}

fn trailers_only(respond: &mut SendResponse<Bytes>, status: &'static str) -> Result<(), h2::Error> {
    let mut head = head();
    head.headers_mut().extend(trailers(status));
    respond.send_response(head, true).map(drop)
}

/// A message, and then that it did not work out.
async fn unavailable(respond: &mut SendResponse<Bytes>) -> Result<(), h2::Error> {
    let mut stream = respond.send_response(head(), false)?;
    send_all(&mut stream, Bytes::from_static(b"half")).await?;
    stream.send_trailers(trailers("14"))
}

/// One message in, the same out, and the trailers.
async fn unary(mut body: RecvStream, respond: &mut SendResponse<Bytes>) -> Result<(), h2::Error> {
    let mut message = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece?;
        body.flow_control().release_capacity(piece.len())?;
        message.extend_from_slice(&piece);
    }
    let mut stream = respond.send_response(head(), false)?;
    send_all(&mut stream, message.into()).await?;
    stream.send_trailers(trailers("0"))
}

/// The head at once, and each message back as it comes.
async fn chat(mut body: RecvStream, respond: &mut SendResponse<Bytes>) -> Result<(), h2::Error> {
    let mut stream = respond.send_response(head(), false)?;
    while let Some(piece) = body.data().await {
        let piece = piece?;
        body.flow_control().release_capacity(piece.len())?;
        send_all(&mut stream, piece).await?;
    }
    stream.send_trailers(trailers("0"))
}

async fn pour(respond: &mut SendResponse<Bytes>) -> Result<(), h2::Error> {
    let mut stream = respond.send_response(head(), false)?;
    for _ in 0..POURED / (64 << 10) {
        send_all(&mut stream, vec![b'p'; 64 << 10].into()).await?;
    }
    stream.send_trailers(trailers("0"))
}

/// The head, and then nothing until the other side gives up.
async fn wait(respond: &mut SendResponse<Bytes>, seen: &Seen) -> Result<(), h2::Error> {
    let mut stream: SendStream<Bytes> = respond.send_response(head(), false)?;
    let reason = std::future::poll_fn(|cx| stream.poll_reset(cx)).await?;
    seen.reset(reason);
    Ok(())
}
