//! Asking our own listener, as a client on this machine would, to see what clients are told.
//!
//! The connection is known by its port on this machine, so that such requests are charged to no
//! limit and stand in no figure and no log: nobody's quota pays for being looked at.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Mutex;
use std::sync::PoisonError;

use http::{HeaderMap, Request, StatusCode, header};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpSocket;

/// An answer of our own listener.
#[derive(Clone, Debug)]
pub struct Told {
    /// The status.
    pub status: StatusCode,
    /// The fields.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Vec<u8>,
}

/// The connection by which the edge asks itself, while there is one.
#[derive(Debug, Default)]
pub(crate) struct OwnConnection(Mutex<Option<SocketAddr>>);

impl OwnConnection {
    /// Whether the other end is ourselves.
    pub(crate) fn is(&self, peer: SocketAddr) -> bool {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) == Some(peer)
    }

    fn set(&self, own: Option<SocketAddr>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = own;
    }

    /// GETs `path` from the listener at `address`, which speaks plain HTTP. One at a time; the
    /// caller bounds the time.
    pub(crate) async fn ask(
        &self,
        address: SocketAddr,
        path: &str,
        bytes_max: usize,
    ) -> io::Result<Told> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.bind(SocketAddr::new(address.ip(), 0))?;
        self.set(Some(socket.local_addr()?));
        let told = exchange(socket, address, path, bytes_max).await;
        self.set(None);
        told
    }
}

async fn exchange(
    socket: TcpSocket,
    address: SocketAddr,
    path: &str,
    bytes_max: usize,
) -> io::Result<Told> {
    let stream = socket.connect(address).await?;
    let request = Request::get(path)
        .header(header::HOST, address.to_string())
        .header(header::CONNECTION, "close")
        .body(String::new())
        .map_err(io::Error::other)?;
    let shaken = http1::handshake::<_, String>(TokioIo::new(stream)).await;
    let (mut sender, connection) = shaken.map_err(io::Error::other)?;
    let mut connection = pin!(connection);
    let mut asking = pin!(async move {
        let answer = sender.send_request(request).await.map_err(io::Error::other)?;
        let (head, body) = answer.into_parts();
        let body = read(body, bytes_max).await?;
        Ok(Told { status: head.status, headers: head.headers, body })
    });
    let mut open = true;
    loop {
        tokio::select! {
            told = &mut asking => return told,
            _ended = &mut connection, if open => open = false,
        }
    }
}

async fn read(mut body: Incoming, bytes_max: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let Ok(data) = frame.map_err(io::Error::other)?.into_data() else { continue };
        if data.len() > bytes_max - bytes.len() {
            return Err(io::Error::other(format!("the answer is longer than {bytes_max} bytes")));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}
