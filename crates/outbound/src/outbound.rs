//! The call: check, resolve once, judge every address, connect to a judged one, ask.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, StatusCode};
use http_body_util::Full;
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use url::Host;

use crate::address::{AddressClass, classify};
use crate::call::{Answered, Call, CallOptions};
use crate::error::{OutboundError, Phase};
use crate::exchange::Rules;
use crate::target::Target;
use crate::{exchange, tls};

const CALLS_MAX: usize = 64;
/// A name may have many addresses; this many are judged, and more is refused as odd.
const ADDRESSES_MAX: usize = 32;
const CONNECT_ATTEMPTS_MAX: usize = 4;

/// Turns a name and port into addresses.
pub type Lookup =
    dyn Fn(String, u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync;

/// Who resolves names. What comes back is judged either way.
#[derive(Clone, Default)]
pub enum Resolver {
    /// The machine's own resolver.
    #[default]
    System,
    /// The caller's: pinned names, or a test's.
    Custom(Arc<Lookup>),
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::System => "System",
            Self::Custom(_) => "Custom",
        })
    }
}

/// What all calls share.
#[derive(Clone, Debug, Default)]
pub struct OutboundOptions {
    /// Certificates of further authorities, each PEM with one or more. They are believed beside
    /// the machine's own roots.
    pub extra_roots_pem: Vec<Vec<u8>>,
    /// Who resolves names.
    pub resolver: Resolver,
}

/// What one call may do.
#[derive(Clone, Copy, Debug)]
pub struct FetchOptions {
    /// Total time, from asking for a place among the calls to the last byte of the body.
    pub deadline: Duration,
    /// Largest body taken, bytes.
    pub bytes_max: usize,
    /// Lets the call go to loopback and private networks, and there (only there) without TLS.
    /// Link-local, multicast and metadata addresses stay refused.
    pub allow_private: bool,
    /// The `Accept` header.
    pub accept: &'static str,
}

/// An answer. Its status may be any but a redirect: the caller judges it.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The status.
    pub status: StatusCode,
    /// `Content-Type` as sent, when it was text.
    pub content_type: Option<String>,
    /// The whole body.
    pub body: Bytes,
    /// `Retry-After`, where it says seconds (RFC 9110 §10.2.3).
    pub retry_after: Option<Duration>,
}

/// What is sent with a POST.
#[derive(Clone, Default)]
pub struct Post {
    /// `Content-Type`.
    pub content_type: &'static str,
    /// `Content-Encoding`; none for a body as it is.
    pub content_encoding: Option<&'static str>,
    /// Further fields. They may hold secrets: no error and no `Debug` shows a value.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

impl fmt::Debug for Post {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Post")
            .field("content_type", &self.content_type)
            .field("headers", &headers)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// Makes calls. Cheap to clone; all clones share their bound of 64 calls at once.
#[derive(Clone, Debug)]
pub struct Outbound {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    tls: Option<Arc<ClientConfig>>,
    resolver: Resolver,
    places: Semaphore,
}

/// How long a call may take, and where it may go.
#[derive(Clone, Copy)]
struct Reach {
    deadline: Duration,
    allow_private: bool,
}

/// How far a call has come, told to whoever has to say where the deadline hit.
#[derive(Debug)]
pub(crate) struct Progress(AtomicU8);

impl Progress {
    pub(crate) fn enter(&self, phase: Phase) {
        self.0.store(phase as u8, Ordering::Relaxed);
    }

    fn phase(&self) -> Phase {
        const ORDER: [Phase; 6] = [
            Phase::Queue,
            Phase::Resolve,
            Phase::Connect,
            Phase::Handshake,
            Phase::Answer,
            Phase::Body,
        ];
        let at = usize::from(self.0.load(Ordering::Relaxed));
        ORDER.get(at).copied().unwrap_or(Phase::Queue)
    }
}

impl Outbound {
    /// Reads the machine's root certificates and the extra ones.
    ///
    /// # Errors
    /// [`OutboundError::ExtraRoots`] when an extra root is no certificate.
    pub fn new(options: OutboundOptions) -> Result<Self, OutboundError> {
        let tls = tls::client_config(&options.extra_roots_pem)?;
        let places = Semaphore::new(CALLS_MAX);
        let shared = Arc::new(Shared { tls, resolver: options.resolver, places });
        Ok(Self { shared })
    }

    /// GETs `url` and reads the whole answer.
    ///
    /// # Errors
    /// Whatever stood in the way: see [`OutboundError`]. A status other than a redirect is no
    /// error.
    pub async fn fetch(&self, url: &str, options: FetchOptions) -> Result<Fetched, OutboundError> {
        self.ask(url, None, options).await
    }

    /// POSTs to `url` and reads the whole answer.
    ///
    /// # Errors
    /// Whatever stood in the way: see [`OutboundError`]. A status other than a redirect is no
    /// error.
    pub async fn post(
        &self,
        url: &str,
        post: &Post,
        options: FetchOptions,
    ) -> Result<Fetched, OutboundError> {
        self.ask(url, Some(post), options).await
    }

    /// Sends any request and hands over the answer as it came, redirects and refusals too: for
    /// whoever wants to see what a client would see.
    ///
    /// # Errors
    /// Whatever stood in the way: see [`OutboundError`]. No status is an error.
    pub async fn send(
        &self,
        url: &str,
        call: &Call,
        options: CallOptions,
    ) -> Result<Answered, OutboundError> {
        let target = Target::parse(url)?;
        let request = call.request(&target)?;
        let rules = Rules { bytes_max: options.bytes_max, plain: false };
        let reach = Reach { deadline: options.deadline, allow_private: options.allow_private };
        self.within(target, request, rules, reach).await
    }

    async fn ask(
        &self,
        url: &str,
        post: Option<&Post>,
        options: FetchOptions,
    ) -> Result<Fetched, OutboundError> {
        let target = Target::parse(url)?;
        let request = exchange::request(&target, post, &options)?;
        let rules = Rules { bytes_max: options.bytes_max, plain: true };
        let reach = Reach { deadline: options.deadline, allow_private: options.allow_private };
        self.within(target, request, rules, reach).await.map(exchange::fetched)
    }

    async fn within(
        &self,
        target: Target,
        request: Request<Full<Bytes>>,
        rules: Rules,
        reach: Reach,
    ) -> Result<Answered, OutboundError> {
        let progress = Progress(AtomicU8::new(Phase::Queue as u8));
        let call = Box::pin(self.call(&target, request, rules, reach, &progress));
        match timeout(reach.deadline, call).await {
            Ok(result) => result,
            Err(_) => Err(OutboundError::Deadline {
                host: target.label,
                deadline: reach.deadline,
                phase: progress.phase(),
            }),
        }
    }

    async fn call(
        &self,
        target: &Target,
        request: Request<Full<Bytes>>,
        rules: Rules,
        reach: Reach,
        progress: &Progress,
    ) -> Result<Answered, OutboundError> {
        // The semaphore is never closed; were it, the call would go on unbounded, not fail.
        let _place = self.shared.places.acquire().await.ok();
        progress.enter(Phase::Resolve);
        let addresses = self.resolve(target).await?;
        judge(target, &addresses, reach.allow_private)?;
        progress.enter(Phase::Connect);
        let tcp = connect(target, &addresses, reach.deadline).await?;
        if !target.tls {
            return exchange::ask(tcp, target, request, rules, progress).await;
        }
        let config = self.shared.tls.as_ref();
        let config = config.ok_or_else(|| OutboundError::NoRoots { host: target.label.clone() })?;
        progress.enter(Phase::Handshake);
        let io = TlsConnector::from(Arc::clone(config))
            .connect(target.server_name()?, tcp)
            .await
            .map_err(|source| OutboundError::Tls { host: target.label.clone(), source })?;
        exchange::ask(io, target, request, rules, progress).await
    }

    async fn resolve(&self, target: &Target) -> Result<Vec<SocketAddr>, OutboundError> {
        let name = match &target.host {
            Host::Ipv4(v4) => return Ok(vec![SocketAddr::from((*v4, target.port))]),
            Host::Ipv6(v6) => return Ok(vec![SocketAddr::from((*v6, target.port))]),
            Host::Domain(name) => name,
        };
        let found = match &self.shared.resolver {
            Resolver::System => tokio::net::lookup_host((name.as_str(), target.port))
                .await
                .map(|found| found.take(ADDRESSES_MAX + 1).collect::<Vec<_>>()),
            Resolver::Custom(lookup) => lookup(name.clone(), target.port).await,
        };
        let fault = |source| OutboundError::Resolve { host: target.label.clone(), source };
        match found.map_err(fault)? {
            found if found.is_empty() => Err(fault(io::Error::other("it has no address"))),
            found if found.len() > ADDRESSES_MAX => {
                Err(fault(io::Error::other("it has more than 32 addresses")))
            }
            found => Ok(found),
        }
    }
}

/// Every address has to pass, not only the one that is used: a name with one foot inside the
/// network is an attack or a mistake, and trying the others would hide it.
fn judge(
    target: &Target,
    addresses: &[SocketAddr],
    allow_private: bool,
) -> Result<(), OutboundError> {
    let forbidden = |address: &SocketAddr, why, advice| OutboundError::Forbidden {
        host: target.label.clone(),
        address: address.ip(),
        why,
        advice,
    };
    for address in addresses {
        match classify(address.ip()) {
            AddressClass::Public if target.tls => {}
            AddressClass::Public => {
                return Err(OutboundError::PlainHttp { host: target.label.clone() });
            }
            AddressClass::Private(_) if allow_private => {}
            AddressClass::Private(why) => {
                let advice = "allow private addresses for this URL if it is meant to be there";
                return Err(forbidden(address, why, advice));
            }
            AddressClass::Never(why) => {
                return Err(forbidden(address, why, "such an address is never called"));
            }
        }
    }
    Ok(())
}

/// Tries the addresses in the resolver's order. Each gets an equal part of the deadline, so that a
/// first address that swallows packets leaves time for the next.
async fn connect(
    target: &Target,
    addresses: &[SocketAddr],
    deadline: Duration,
) -> Result<TcpStream, OutboundError> {
    let attempts = addresses.len().min(CONNECT_ATTEMPTS_MAX);
    let share = u32::try_from(attempts + 1).map_or(deadline, |parts| deadline / parts);
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in addresses.iter().take(attempts) {
        match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(fault)) => last = fault,
            Err(_) => last = io::Error::from(io::ErrorKind::TimedOut),
        }
    }
    Err(OutboundError::Connect { host: target.label.clone(), source: last })
}
