//! Connecting to a URL of the manifest: name resolution, TCP, TLS.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use http::Uri;
use http::uri::Authority;
use rustix::io::Errno;
use rustix::net::RecvFlags;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::sent_head::Ends;

/// The longest path that is an address on every system (Linux allows 107 bytes, macOS 103).
const SOCKET_PATH_BYTES_MAX: usize = 103;

/// TLS towards services: made once, when the first `https` URL needs it.
#[derive(Debug, Clone, Default)]
pub(crate) struct UpstreamTls {
    config: Arc<OnceLock<Arc<ClientConfig>>>,
    /// Certificates as PEM that are trusted beside the machine's own.
    extra: Option<Arc<[u8]>>,
}

/// Why a URL cannot be a target.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// No host in it.
    #[error("`{0}` has no host; write http://HOST:PORT")]
    NoHost(String),
    /// The host is no name a certificate could carry.
    #[error("`{0}` is no valid server name for TLS")]
    ServerName(String),
    /// The certificates that the manifest names could not be used.
    #[error("ca_file: {0}")]
    Authority(String),
    /// The machine's root certificates could not be read.
    #[error("no root certificates found for https: {0}; install the package ca-certificates")]
    Roots(String),
}

impl UpstreamTls {
    pub(crate) fn trusting(pem: &Arc<[u8]>) -> Self {
        Self { config: Arc::default(), extra: Some(Arc::clone(pem)) }
    }

    fn config(&self) -> Result<Arc<ClientConfig>, TargetError> {
        if let Some(config) = self.config.get() {
            return Ok(Arc::clone(config));
        }
        let extra: Vec<Vec<u8>> = self.extra.iter().map(|pem| pem.to_vec()).collect();
        let config = plimsoll_outbound::client_config(&extra)
            .map_err(|error| match self.extra {
                Some(_) => TargetError::Authority(error.to_string()),
                None => TargetError::Roots(error.to_string()),
            })?
            .ok_or_else(|| TargetError::Roots("there is none on this machine".to_owned()))?;
        Ok(Arc::clone(self.config.get_or_init(|| config)))
    }
}

/// Where a URL leads.
#[derive(Debug)]
pub(crate) enum Target {
    /// A host and a port, with TLS or without.
    Tcp { host: String, port: u16, tls: Option<Secure> },
    /// A socket of this machine.
    Unix(PathBuf),
}

/// What TLS is made from, and the name that the certificate must carry.
type Secure = (Arc<ClientConfig>, ServerName<'static>);

impl Target {
    pub(crate) fn new(url: &Uri, tls: &UpstreamTls) -> Result<Self, TargetError> {
        let host = url.host().ok_or_else(|| TargetError::NoHost(url.to_string()))?;
        // The resolver wants IPv6 addresses without brackets.
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let secure = url.scheme_str() == Some("https");
        let tls = if secure {
            let name = ServerName::try_from(host.clone())
                .map_err(|_| TargetError::ServerName(host.clone()))?;
            Some((tls.config()?, name))
        } else {
            None
        };
        let port = url.port_u16().unwrap_or(if secure { 443 } else { 80 });
        Ok(Self::Tcp { host, port, tls })
    }

    pub(crate) fn is_secure(&self) -> bool {
        matches!(self, Self::Tcp { tls: Some(_), .. })
    }

    /// Host and port, where they make an authority.
    pub(crate) fn authority(&self) -> Option<Authority> {
        match self {
            Self::Tcp { host, port, .. } => Authority::try_from(format!("{host}:{port}")).ok(),
            Self::Unix(_) => Some(Authority::from_static("localhost")),
        }
    }

    /// Connects to the first address of the host that answers, to speak HTTP/1.1.
    pub(crate) async fn connect(&self) -> io::Result<Stream> {
        self.connect_with(b"http/1.1").await
    }

    /// The same, to speak HTTP/2.
    pub(crate) async fn connect_h2(&self) -> io::Result<Stream> {
        self.connect_with(b"h2").await
    }

    async fn connect_with(&self, protocol: &[u8]) -> io::Result<Stream> {
        let (host, port, tls) = match self {
            Self::Tcp { host, port, tls } => (host.as_str(), *port, tls),
            Self::Unix(path) => return connect_unix(path).await.map(Stream::Unix),
        };
        let tcp = TcpStream::connect((host, port)).await?;
        tcp.set_nodelay(true)?;
        match tls {
            None => Ok(Stream::Plain(tcp)),
            Some((config, name)) => {
                let mut config = ClientConfig::clone(config);
                config.alpn_protocols = vec![protocol.to_vec()];
                let connected =
                    TlsConnector::from(Arc::new(config)).connect(name.clone(), tcp).await;
                connected.map(|stream| Stream::Tls(Box::new(stream)))
            }
        }
    }
}

/// A path may be longer than an address can be; on Linux it is reached by way of its folder then.
async fn connect_unix(path: &Path) -> io::Result<UnixStream> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    if path.as_os_str().len() <= SOCKET_PATH_BYTES_MAX || !cfg!(target_os = "linux") {
        return UnixStream::connect(path).await;
    }
    let folder = File::open(folder)?;
    let short = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd())).join(name);
    UnixStream::connect(short).await
}

/// A connection to a service.
pub(crate) enum Stream {
    Unix(UnixStream),
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Ends for Stream {
    fn has_ended(&self) -> bool {
        match self {
            Self::Plain(io) => has_ended(io, true),
            Self::Unix(io) => has_ended(io, true),
            // What lies there may be TLS's own, such as a ticket.
            Self::Tls(io) => has_ended(io.get_ref().0, false),
        }
    }
}

/// Looks at what lies in a socket, without taking it. Where nothing was asked, bytes of an answer
/// end the connection as well as its end does (RFC 9112 §9.2).
fn has_ended(io: &impl AsFd, bytes_end_it: bool) -> bool {
    let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
    match rustix::net::recv(io, &mut [0_u8; 1][..], flags) {
        Ok((_, 0)) => true,
        Ok(_) => bytes_end_it || hung_up(io),
        Err(Errno::WOULDBLOCK | Errno::INTR) => false,
        Err(_) => true,
    }
}

/// Whether the other side has closed, whatever lies before that.
#[cfg(target_os = "linux")]
fn hung_up(io: &impl AsFd) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let ended = PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR;
    let mut asked = [PollFd::new(io, PollFlags::RDHUP)];
    poll(&mut asked, Some(&Timespec::default())).is_ok() && asked[0].revents().intersects(ended)
}

#[cfg(not(target_os = "linux"))]
fn hung_up(_io: &impl AsFd) -> bool {
    false
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_read(cx, buf),
            Self::Unix(io) => Pin::new(io).poll_read(cx, buf),
            Self::Tls(io) => Pin::new(io).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_write(cx, buf),
            Self::Unix(io) => Pin::new(io).poll_write(cx, buf),
            Self::Tls(io) => Pin::new(io).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_write_vectored(cx, bufs),
            Self::Unix(io) => Pin::new(io).poll_write_vectored(cx, bufs),
            Self::Tls(io) => Pin::new(io).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(io) => io.is_write_vectored(),
            Self::Unix(io) => io.is_write_vectored(),
            Self::Tls(io) => io.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_flush(cx),
            Self::Unix(io) => Pin::new(io).poll_flush(cx),
            Self::Tls(io) => Pin::new(io).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_shutdown(cx),
            Self::Unix(io) => Pin::new(io).poll_shutdown(cx),
            Self::Tls(io) => Pin::new(io).poll_shutdown(cx),
        }
    }
}
