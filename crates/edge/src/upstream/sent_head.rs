//! What a kept connection was sent, as it was sent, so that a request which is safe to repeat can
//! be made anew when the connection turns out to have been closed under it; and one that must not
//! be repeated, where nothing of it was sent.
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

use super::message::Care;
use crate::body::InboundBody;

/// A buffer that grew beyond this is given up when its request is over, bytes.
const KEPT_BYTES_MAX: usize = 4 * 1024;

/// The head of one connection's request; shared by the connection's owner and its socket.
#[derive(Debug, Default)]
pub(super) struct SentHead {
    /// The next write is a head, and it is wanted.
    wanted: AtomicBool,
    /// Before it is written, it is looked whether the peer has closed.
    looks: AtomicBool,
    /// It had closed, and nothing was written.
    refused: AtomicBool,
    bytes: Mutex<Vec<u8>>,
}

/// A socket of which can be said, without waiting, whether its peer has ended the connection.
pub(super) trait Ends {
    /// True where the peer has closed or reset it, or said something unasked.
    fn has_ended(&self) -> bool;
}

impl SentHead {
    /// From now on: what is written next is to be kept, or nothing is.
    pub(super) fn want(&self, care: Care) {
        let mut bytes = self.bytes();
        bytes.clear();
        bytes.shrink_to(KEPT_BYTES_MAX);
        self.refused.store(false, Ordering::Relaxed);
        self.looks.store(care == Care::Once, Ordering::Relaxed);
        self.wanted.store(care != Care::None, Ordering::Relaxed);
    }

    /// Nothing of what was wanted was written, because the peer had closed before.
    pub(super) fn is_unwritten(&self) -> bool {
        self.refused.load(Ordering::Relaxed)
    }

    /// The request anew. `None` where none was wanted, or none got as far as the socket.
    pub(super) fn request(&self) -> Option<Request<InboundBody>> {
        read(&self.bytes())
    }

    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// hyper hands a head over whole, in its first write: what the socket does not take of it comes
    /// again and is not looked at. True where nothing must be written any more: a service may close
    /// an idle connection just as we write (RFC 9112 §9.3), and what lies there unread says so.
    fn note<'b>(&self, io: &impl Ends, pieces: impl Iterator<Item = &'b [u8]>) -> bool {
        if !self.wanted.load(Ordering::Relaxed) {
            return self.is_unwritten();
        }
        self.wanted.store(false, Ordering::Relaxed);
        let mut bytes = self.bytes();
        pieces.for_each(|piece| bytes.extend_from_slice(piece));
        drop(bytes);
        let refused = self.looks.load(Ordering::Relaxed) && io.has_ended();
        self.refused.store(refused, Ordering::Relaxed);
        refused
    }
}

fn closed_before() -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::NotConnected, "the peer had closed before")
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

impl<S: AsyncWrite + Ends + Unpin> AsyncWrite for Noted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        if self.head.note(&self.io, std::iter::once(buf)) {
            return Poll::Ready(Err(closed_before()));
        }
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        if self.head.note(&self.io, bufs.iter().map(|piece| &**piece)) {
            return Poll::Ready(Err(closed_before()));
        }
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

    use super::super::connect::Stream;
    use super::*;

    impl Ends for tokio::io::DuplexStream {
        fn has_ended(&self) -> bool {
            false
        }
    }

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
            head.want(Care::Head);
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

    struct Peer(bool);

    impl Ends for Peer {
        fn has_ended(&self) -> bool {
            self.0
        }
    }

    #[test]
    fn only_what_is_wanted_is_kept() {
        let (head, peer) = (SentHead::default(), Peer(false));
        let get = || [&b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"[..]].into_iter();
        assert!(!head.note(&peer, get()));
        assert!(head.request().is_none());
        head.want(Care::Head);
        assert!(head.request().is_none());
        head.note(&peer, get());
        head.note(&peer, [&b"what comes after it"[..]].into_iter());
        assert_eq!(head.request().unwrap().headers()["host"], "a");
        head.want(Care::None);
        head.note(&peer, get());
        assert!(head.request().is_none());
        head.want(Care::Head);
        head.note(&peer, [&vec![b'x'; 100_000][..]].into_iter());
        head.want(Care::Head);
        assert!(head.bytes().capacity() <= KEPT_BYTES_MAX);
    }

    #[test]
    fn only_what_may_be_sent_once_is_refused_by_a_peer_that_has_closed() {
        let (head, gone) = (SentHead::default(), Peer(true));
        let post = || [&b"POST / HTTP/1.1\r\nhost: a\r\n\r\n"[..]].into_iter();
        for care in [Care::None, Care::Head] {
            head.want(care);
            assert!(!head.note(&gone, post()) && !head.is_unwritten(), "{care:?}");
        }
        head.want(Care::Once);
        assert!(head.note(&gone, post()) && head.is_unwritten());
        assert!(head.note(&gone, post()), "and nothing after it");
        assert_eq!(head.request().unwrap().method(), Method::POST);
        head.want(Care::Once);
        assert!(!head.is_unwritten());
        assert!(!head.note(&Peer(false), post()));
        assert!(!head.note(&gone, post()), "something was written");
        assert!(!head.is_unwritten());
    }

    /// The service closes just before the write, and nobody has seen it yet: hyper would write.
    #[tokio::test]
    async fn what_a_real_peer_has_closed_is_not_written_to() {
        for says in [&b""[..], b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\n\r\n"] {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let at = listener.local_addr().unwrap();
            let io = tokio::net::TcpStream::connect(at).await.unwrap();
            let (mut peer, _) = listener.accept().unwrap();
            let raw = std::os::fd::AsFd::as_fd(&io).try_clone_to_owned().unwrap();
            let watched = std::net::TcpStream::from(raw);
            let head = Arc::new(SentHead::default());
            let io = TokioIo::new(Noted::new(Stream::Plain(io), Arc::clone(&head)));
            let (mut sender, connection) = http1::handshake(io).await.unwrap();
            let mut connection = std::pin::pin!(connection);
            let idle = std::future::poll_fn(|cx| Poll::Ready(connection.as_mut().poll(cx)));
            assert!(idle.await.is_pending());
            std::io::Write::write_all(&mut peer, says).unwrap();
            peer.shutdown(std::net::Shutdown::Write).unwrap();
            // In the kernel, and not yet in the reactor, which has no turn here.
            while watched.peek(&mut [0; 1]).is_err() {
                std::thread::yield_now();
            }
            head.want(Care::Once);
            let answer = sender.try_send_request(sent("/", Method::POST));
            let (_, answer) = tokio::join!(connection, answer);
            assert!(answer.is_err());
            assert!(head.is_unwritten() || answer.unwrap_err().take_message().is_some());
            peer.set_nonblocking(true).unwrap();
            let read = std::io::Read::read(&mut peer, &mut [0; 9]);
            assert!(matches!(read, Ok(0) | Err(_)), "it was sent {read:?}");
        }
    }
}
