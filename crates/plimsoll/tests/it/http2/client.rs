//! A client of HTTP/2 on the `h2` crate, which shows what libraries hide: trailers, windows,
//! resets.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use h2::client::{Builder, ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request, Response, StatusCode};
use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Option<HeaderMap>,
}

/// One connection.
pub(crate) struct Client {
    sender: SendRequest<Bytes>,
    driver: JoinHandle<Result<(), h2::Error>>,
}

impl Client {
    /// By prior knowledge (RFC 9113 §3.3).
    pub(crate) async fn connect(addr: SocketAddr) -> Self {
        Self::with(addr, &Builder::new()).await
    }

    /// The same with settings of its own.
    pub(crate) async fn with(addr: SocketAddr, builder: &Builder) -> Self {
        let stream = TcpStream::connect(addr).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self::over(stream, builder).await
    }

    /// By ALPN (RFC 9113 §3.2).
    pub(crate) async fn secure(addr: SocketAddr, config: Arc<ClientConfig>) -> Self {
        let stream = TcpStream::connect(addr).await.unwrap();
        let name = crate::slow::localhost();
        let stream = TlsConnector::from(config).connect(name, stream).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        Self::over(stream, &Builder::new()).await
    }

    pub(crate) async fn over<S>(stream: S, builder: &Builder) -> Self
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (sender, connection) = builder.handshake(stream).await.unwrap();
        let driver = tokio::runtime::Handle::current().spawn(connection);
        Self { sender, driver }
    }

    /// Sends a request's head.
    pub(crate) async fn open(
        &mut self,
        request: Request<()>,
        ends: bool,
    ) -> Result<(ResponseFuture, SendStream<Bytes>), h2::Error> {
        let mut ready = self.sender.clone().ready().await?;
        ready.send_request(request, ends)
    }

    /// Sends a request and reads its answer whole. The answer is read while the body is sent.
    pub(crate) async fn request(
        &mut self,
        request: Request<()>,
        body: Option<Bytes>,
    ) -> Result<Answer, h2::Error> {
        let (response, mut stream) = self.open(request, body.is_none()).await?;
        let sending = async move {
            match body {
                // The service may answer before it has it all, and reset the rest.
                Some(body) => drop(send_whole(&mut stream, body).await),
                None => drop(stream),
            }
        };
        let (answer, ()) = tokio::join!(async { read(response.await?).await }, sending);
        answer
    }

    /// `GET` with these fields.
    pub(crate) async fn get(
        &mut self,
        path: &str,
        fields: &[(&str, &str)],
    ) -> Result<Answer, h2::Error> {
        self.request(get(path, fields), None).await
    }

    /// How the connection ended.
    pub(crate) async fn ended(self) -> Result<(), h2::Error> {
        drop(self.sender);
        self.driver.await.unwrap()
    }
}

/// A `GET` request to the host `a`.
pub(crate) fn get(path: &str, fields: &[(&str, &str)]) -> Request<()> {
    let mut request = Request::get(format!("http://a{path}"));
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap()
}

/// Reads an answer to its end.
pub(crate) async fn read(response: Response<RecvStream>) -> Result<Answer, h2::Error> {
    let (head, mut stream) = response.into_parts();
    let mut body = Vec::new();
    while let Some(piece) = stream.data().await {
        let piece = piece?;
        stream.flow_control().release_capacity(piece.len())?;
        body.extend_from_slice(&piece);
    }
    let trailers = stream.trailers().await?;
    Ok(Answer { status: head.status, headers: head.headers, body, trailers })
}

/// Sends bytes as the windows allow.
pub(crate) async fn send_all(
    stream: &mut SendStream<Bytes>,
    mut bytes: Bytes,
) -> Result<(), h2::Error> {
    while !bytes.is_empty() {
        stream.reserve_capacity(bytes.len().min(64 * 1024));
        let room = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await;
        let room = room.ok_or_else(|| h2::Error::from(h2::Reason::STREAM_CLOSED))??;
        let piece = bytes.split_to(room.min(bytes.len()));
        stream.send_data(piece, false)?;
    }
    Ok(())
}

/// The same, and the end of the stream.
pub(crate) async fn send_whole(
    stream: &mut SendStream<Bytes>,
    bytes: Bytes,
) -> Result<(), h2::Error> {
    send_all(stream, bytes).await?;
    stream.send_data(Bytes::new(), true)
}
