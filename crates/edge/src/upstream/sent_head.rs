//! What a kept connection was sent, as it was sent, so that a request which is safe to repeat can
//! be made anew when the connection turns out to have been closed under it.
//!
//! hyper keeps a request once it has begun to write it. A copy of its head beforehand would cost
//! every request an allocation and a reference count a field, and hardly one in a million needs it.
//! The bytes that go to the socket are all there is to copy, and only then are they read.

use std::io::IoSlice;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use http::{HeaderName, HeaderValue, Method, Request, Uri, header};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::body::InboundBody;

/// A buffer that grew beyond this is given up when its request is over, bytes.
const KEPT_BYTES_MAX: usize = 4 * 1024;

/// The head of one connection's request; shared by the connection's owner and its socket.
#[derive(Debug, Default)]
pub(super) struct SentHead {
    /// The next write is a head, and it is wanted.
    wanted: AtomicBool,
    bytes: Mutex<Vec<u8>>,
}

impl SentHead {
    /// From now on: what is written next is to be kept, or nothing is.
    pub(super) fn want(&self, wanted: bool) {
        let mut bytes = self.bytes();
        bytes.clear();
        bytes.shrink_to(KEPT_BYTES_MAX);
        self.wanted.store(wanted, Ordering::Relaxed);
    }

    /// The request anew. `None` where none was wanted, or none got as far as the socket.
    pub(super) fn request(&self) -> Option<Request<InboundBody>> {
        read(&self.bytes())
    }

    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// hyper hands a head over whole, in its first write: what the socket does not take of it comes
    /// again and is not looked at.
    fn note<'b>(&self, pieces: impl Iterator<Item = &'b [u8]>) {
        if self.wanted.load(Ordering::Relaxed) {
            self.wanted.store(false, Ordering::Relaxed);
            let mut bytes = self.bytes();
            pieces.for_each(|piece| bytes.extend_from_slice(piece));
        }
    }
}

/// A request without its body, as hyper writes it. What follows the head in the same write is the
/// body's.
fn read(head: &[u8]) -> Option<Request<InboundBody>> {
    let text = &head[..memchr::memmem::find(head, b"\r\n\r\n")?];
    let mut lines = text.split(|byte| *byte == b'\n').map(|l| l.strip_suffix(b"\r").unwrap_or(l));
    let mut start = lines.next()?.split(|byte| *byte == b' ');
    let mut request = Request::new(InboundBody::Empty);
    *request.method_mut() = Method::from_bytes(start.next()?).ok()?;
    *request.uri_mut() = Uri::try_from(start.next()?).ok()?;
    for line in lines {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = (&line[..colon], line[colon..].strip_prefix(b": ")?);
        let name = HeaderName::from_bytes(name).ok()?;
        // hyper's own word to a server of HTTP/1.0; the edge never sends it.
        if name != header::CONNECTION {
            request.headers_mut().append(name, HeaderValue::from_bytes(value).ok()?);
        }
    }
    Some(request)
}

/// A socket whose heads can be kept.
pub(super) struct Noted<S> {
    io: S,
    head: Arc<SentHead>,
}

impl<S> Noted<S> {
    pub(super) fn new(io: S, head: Arc<SentHead>) -> Self {
        Self { io, head }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Noted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Noted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        self.head.note(std::iter::once(buf));
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        self.head.note(bufs.iter().map(|piece| &**piece));
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use hyper::client::conn::http1;
    use hyper_util::rt::TokioIo;
    use tokio::io::AsyncReadExt as _;

    use super::*;

    fn sent(uri: &str, method: Method) -> Request<InboundBody> {
        let mut request = Request::new(InboundBody::Empty);
        *request.method_mut() = method;
        *request.uri_mut() = uri.parse().unwrap();
        let headers = request.headers_mut();
        headers.append("host", HeaderValue::from_static("a.example:8080"));
        headers.append("cookie", HeaderValue::from_static("a=b; c=\"d: e\""));
        headers.append("accept", HeaderValue::from_static("a/b"));
        headers.append("accept", HeaderValue::from_static("c/d"));
        headers.append("x-empty", HeaderValue::from_static(""));
        headers.append("x-bytes", HeaderValue::from_bytes(b"\xc3\xa4\x80\tx").unwrap());
        request
    }

    /// What hyper itself writes is read back as what it was given.
    #[tokio::test]
    async fn a_head_comes_back_as_it_was_sent() {
        for (uri, method) in [
            ("/v1/items/4%2F2?a=b&c=%20", Method::GET),
            ("/", Method::HEAD),
            ("*", Method::OPTIONS),
        ] {
            let (io, mut server) = tokio::io::duplex(4096);
            let head = Arc::new(SentHead::default());
            let io = TokioIo::new(Noted::new(io, Arc::clone(&head)));
            let (mut sender, connection) = http1::handshake(io).await.unwrap();
            head.want(true);
            let answer = sender.try_send_request(sent(uri, method.clone()));
            let gone = async {
                assert!(server.read(&mut [0; 4096]).await.unwrap() > 0);
                drop(server);
            };
            let (_, answer, ()) = tokio::join!(connection, answer, gone);
            assert!(answer.unwrap_err().take_message().is_none(), "hyper keeps what it wrote");
            let (expected, back) = (sent(uri, method), head.request().unwrap());
            assert_eq!(back.method(), expected.method());
            assert_eq!(back.uri(), expected.uri());
            assert_eq!(back.headers(), expected.headers());
        }
    }

    #[test]
    fn only_what_is_wanted_is_kept() {
        let head = SentHead::default();
        let get = || [&b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"[..]].into_iter();
        head.note(get());
        assert!(head.request().is_none());
        head.want(true);
        assert!(head.request().is_none());
        head.note(get());
        head.note([&b"what comes after it"[..]].into_iter());
        assert_eq!(head.request().unwrap().headers()["host"], "a");
        head.want(false);
        head.note(get());
        assert!(head.request().is_none());
        head.want(true);
        head.note([&vec![b'x'; 100_000][..]].into_iter());
        head.want(true);
        assert!(head.bytes().capacity() <= KEPT_BYTES_MAX);
    }
}
