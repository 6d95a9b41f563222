//! One HTTP/1.1 connection to an address on this machine, kept alive between requests.
//!
//! `mvp traffic`, `mvp break` and `mvp mend` use it, and whatever sends telemetry. It speaks to
//! loopback alone: a simulator that could be pointed anywhere is a weapon.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How long a connection may take to open.
const CONNECT_MAX: Duration = Duration::from_secs(2);
/// How long a whole exchange may take; longer than the edge's own deadlines.
const EXCHANGE_MAX: Duration = Duration::from_secs(40);
/// The largest answer that is read. Unit: bytes.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// A server on this machine, from `http://127.0.0.1:8080`, `http://localhost:8080` or
/// `http://[::1]:8080`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalUrl(pub SocketAddr);

/// Why a URL was refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not http://HOST:PORT with HOST one of 127.0.0.1, localhost, [::1]: this speaks to \
         this machine alone"
)]
pub struct NotLocal(String);

impl NotLocal {
    pub(crate) fn new(text: &str) -> Self {
        Self(text.chars().take(100).collect())
    }
}

impl FromStr for LocalUrl {
    type Err = NotLocal;

    fn from_str(text: &str) -> Result<Self, NotLocal> {
        let refused = || NotLocal::new(text);
        let rest = text.strip_prefix("http://").ok_or_else(refused)?;
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = authority.rsplit_once(':').ok_or_else(refused)?;
        let port: u16 = port.parse().map_err(|_| refused())?;
        let ip = match host {
            "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
            "[::1]" => IpAddr::V6(Ipv6Addr::LOCALHOST),
            v4 => v4.parse::<Ipv4Addr>().map(IpAddr::V4).map_err(|_| refused())?,
        };
        if !ip.is_loopback() || port == 0 {
            return Err(refused());
        }
        Ok(Self(SocketAddr::new(ip, port)))
    }
}

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The connection could not be opened.
    #[error("cannot connect to {0}: {1}")]
    Connect(SocketAddr, io::Error),
    /// The connection ended, or something on it was not HTTP.
    #[error("the connection failed: {0}")]
    Http(#[from] hyper::Error),
    /// The answer could not be read to its end.
    #[error("the answer could not be read: {0}")]
    Answer(Box<dyn std::error::Error + Send + Sync>),
    /// The time was up.
    #[error("no answer within {} s", .0.as_secs())]
    Timeout(Duration),
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// A connection that opens when it is needed.
#[derive(Debug)]
pub struct Connection {
    server: LocalUrl,
    sender: Option<SendRequest<Full<Bytes>>>,
    /// Drives the open connection; aborted with this value.
    driver: JoinSet<()>,
}

impl Connection {
    /// No connection yet.
    #[must_use]
    pub fn to(server: LocalUrl) -> Self {
        Self { server, sender: None, driver: JoinSet::new() }
    }

    /// Sends a request, whose URI is a path, and reads the whole answer. `Host` is set here. A
    /// kept connection that the server has closed in the meantime is opened again.
    pub async fn send(&mut self, request: Request<Bytes>) -> Result<Answer, ClientError> {
        let exchange = timeout(EXCHANGE_MAX, self.exchange(request)).await;
        let answer = exchange.unwrap_or(Err(ClientError::Timeout(EXCHANGE_MAX)));
        if answer.is_err() {
            self.close();
        }
        answer
    }

    /// Closes the connection, as an app does that goes to the background.
    pub fn close(&mut self) {
        self.sender = None;
        self.driver.abort_all();
        // Reaps what has ended, so that the set does not grow.
        while self.driver.try_join_next().is_some() {}
    }

    async fn exchange(&mut self, request: Request<Bytes>) -> Result<Answer, ClientError> {
        let mut sender = self.ready().await?;
        let (mut parts, body) = request.into_parts();
        if let Ok(host) = self.server.0.to_string().parse() {
            parts.headers.insert(header::HOST, host);
        }
        let response = sender.send_request(Request::from_parts(parts, Full::new(body))).await?;
        let answer = read(response).await?;
        self.sender = Some(sender);
        Ok(answer)
    }

    async fn ready(&mut self) -> Result<SendRequest<Full<Bytes>>, ClientError> {
        if let Some(mut open) = self.sender.take()
            && open.ready().await.is_ok()
        {
            return Ok(open);
        }
        self.close();
        let address = self.server.0;
        let stream = match timeout(CONNECT_MAX, TcpStream::connect(address)).await {
            Ok(connected) => connected.map_err(|e| ClientError::Connect(address, e))?,
            Err(_) => return Err(ClientError::Timeout(CONNECT_MAX)),
        };
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        self.driver.spawn(async move {
            // What goes wrong on the connection reaches the request that waits for its answer.
            drop(connection.await);
        });
        Ok(sender)
    }
}

async fn read(response: Response<hyper::body::Incoming>) -> Result<Answer, ClientError> {
    let (parts, body) = response.into_parts();
    let limited = Limited::new(body, ANSWER_BYTES_MAX);
    #[expect(clippy::disallowed_methods, reason = "the body is limited one line above")]
    let collected = limited.collect().await.map_err(|error| {
        if error.is::<LengthLimitError>() {
            ClientError::Answer(format!("more than {ANSWER_BYTES_MAX} bytes").into())
        } else {
            ClientError::Answer(error)
        }
    })?;
    Ok(Answer { status: parts.status, headers: parts.headers, body: collected.to_bytes() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_spoken_to() {
        for good in ["http://127.0.0.1:8080", "http://localhost:8080/", "http://[::1]:8080"] {
            assert!(good.parse::<LocalUrl>().is_ok(), "{good}");
        }
        let bad = [
            "https://127.0.0.1:8080",
            "http://127.0.0.1",
            "http://127.0.0.1:0",
            "http://10.0.0.1:80",
            "http://example.org:80",
            "http://127.0.0.1.example.org:80",
            "http://user@127.0.0.1:80",
            "http://127.0.0.1:80/path",
        ];
        for bad in bad {
            assert!(bad.parse::<LocalUrl>().is_err(), "{bad}");
        }
    }
}
