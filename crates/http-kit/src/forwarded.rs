//! Whose request it is by address: the peer's, or what trusted proxies say (RFC 7239 `Forwarded`,
//! `X-Forwarded-For`), and the forwarding fields for the service.
//!
//! Nothing a client writes is believed. Only when the peer itself lies in a trusted network are the
//! fields read, from right to left, as long as each address is again a trusted proxy; the first
//! that is not is the client. Garbage, an obfuscated id (`_hidden`) or `unknown` ends the walk at
//! the last address that was believed. When `Forwarded` and `X-Forwarded-For` are both present and
//! name different clients, one of them came through a proxy that does not maintain it, and nobody
//! can tell which: the walk ends at the peer.

mod node;

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use http::header::FORWARDED;
use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;
use smallvec::SmallVec;

use crate::hygiene::check_host;

/// `X-Forwarded-For`.
pub const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// `X-Forwarded-Proto`.
pub const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// `X-Forwarded-Host`.
pub const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// The most proxies before us that are believed in one request.
pub const HOPS_MAX: usize = 16;

/// The networks whose forwarding fields are believed.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Arc<[IpNet]>);

impl TrustedProxies {
    /// From the networks that the manifest names.
    #[must_use]
    pub fn new(networks: impl IntoIterator<Item = IpNet>) -> Self {
        Self(networks.into_iter().collect())
    }

    /// Whether the address lies in one of the networks. An IPv4 address written as IPv6
    /// (`::ffff:10.0.0.1`) counts as the IPv4 address.
    #[must_use]
    pub fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// The scheme a client used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `http`
    Http,
    /// `https`
    Https,
}

impl Scheme {
    /// `http` or `https`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }

    fn parse(text: &[u8]) -> Option<Self> {
        match text.trim_ascii() {
            text if text.eq_ignore_ascii_case(b"https") => Some(Scheme::Https),
            text if text.eq_ignore_ascii_case(b"http") => Some(Scheme::Http),
            _ => None,
        }
    }
}

/// What an address counts as where addresses are limited: an IPv4 address, or the /64 of an IPv6
/// address, because one subscriber has at least that much.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum IpPrefix {
    /// A whole IPv4 address.
    V4([u8; 4]),
    /// The first 64 bits of an IPv6 address.
    V6([u8; 8]),
}

impl From<IpAddr> for IpPrefix {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self::V4(v4.octets()),
            IpAddr::V6(v6) => {
                let [a, b, c, d, e, f, g, h, ..] = v6.octets();
                Self::V6([a, b, c, d, e, f, g, h])
            }
        }
    }
}

impl IpPrefix {
    /// The prefix as it is hashed and stored.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            IpPrefix::V4(bytes) => bytes,
            IpPrefix::V6(bytes) => bytes,
        }
    }
}

impl std::fmt::Display for IpPrefix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            IpPrefix::V4(bytes) => IpAddr::from(*bytes).fmt(f),
            IpPrefix::V6(bytes) => {
                let mut whole = [0; 16];
                whole[..8].copy_from_slice(bytes);
                write!(f, "{}/64", Ipv6Addr::from(whole))
            }
        }
    }
}

/// The other end of a connection, made once per connection, with the fields
/// that most of its requests are passed on with.
#[derive(Clone, Debug)]
pub struct Peer {
    address: IpAddr,
    scheme: Scheme,
    fields: Fields,
}

/// The client of one request.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its address; IPv4 is never written as IPv6.
    pub address: IpAddr,
    /// The scheme it used.
    pub scheme: Scheme,
    /// Set only where a trusted proxy had something to say.
    fields: Option<Box<Fields>>,
}

#[derive(Clone, Debug)]
struct Fields {
    forwarded: HeaderValue,
    x_forwarded_for: HeaderValue,
    x_forwarded_host: Option<HeaderValue>,
}

impl Client {
    /// What the client counts as where addresses are limited.
    #[must_use]
    pub fn prefix(&self) -> IpPrefix {
        self.address.into()
    }
}

impl Peer {
    /// The other end of a new connection.
    #[must_use]
    pub fn new(address: IpAddr, scheme: Scheme) -> Self {
        let address = address.to_canonical();
        Self { address, scheme, fields: Fields::new(&[address], scheme, None) }
    }

    /// Its address.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// The other end as the client of a request, before anything is read of what proxies say.
    #[must_use]
    pub fn itself(&self) -> Client {
        Client { address: self.address, scheme: self.scheme, fields: None }
    }

    /// The client of a request on this connection. Reads the request's forwarding fields, so it
    /// comes before they are stripped.
    #[must_use]
    pub fn client(&self, headers: &HeaderMap, trusted: &TrustedProxies) -> Client {
        let own = self.itself();
        // Asked anew each time: connections live longer than manifests.
        if !trusted.trusts(self.address) {
            return own;
        }
        let walk = self.walk(headers, trusted);
        let host = single_host(headers);
        if walk.believed.len() == 1 && host.is_none() && walk.scheme.is_none() {
            return own;
        }
        let scheme = walk.scheme.unwrap_or(self.scheme);
        let address = walk.believed.last().copied().unwrap_or(self.address);
        let fields = Fields::new(&walk.believed, scheme, host);
        Client { address, scheme, fields: Some(Box::new(fields)) }
    }

    /// Writes `Forwarded`, `X-Forwarded-For`, `X-Forwarded-Proto` and `X-Forwarded-Host` into a
    /// request that [`crate::hygiene::strip_request`] has been over. `host` is what the client
    /// asked for; a trusted proxy's `X-Forwarded-Host` comes before it.
    pub fn write_fields(&self, client: &Client, host: Option<HeaderValue>, out: &mut HeaderMap) {
        let fields = client.fields.as_deref().unwrap_or(&self.fields);
        out.insert(FORWARDED, fields.forwarded.clone());
        out.insert(X_FORWARDED_FOR, fields.x_forwarded_for.clone());
        out.insert(X_FORWARDED_PROTO, HeaderValue::from_static(client.scheme.as_str()));
        if let Some(host) = fields.x_forwarded_host.clone().or(host) {
            out.insert(X_FORWARDED_HOST, host);
        }
    }

    fn walk(&self, headers: &HeaderMap, trusted: &TrustedProxies) -> Walk {
        let standard = headers
            .contains_key(FORWARDED)
            .then(|| Walk::along(self.address, trusted, node::forwarded(headers)));
        let common = headers
            .contains_key(X_FORWARDED_FOR)
            .then(|| Walk::along(self.address, trusted, node::x_forwarded_for(headers)));
        match (standard, common) {
            (Some(standard), Some(common)) if standard.believed != common.believed => {
                Walk::at(self.address)
            }
            (Some(walk), _) | (None, Some(walk)) => {
                let scheme = walk.scheme.or_else(|| last_proto(headers));
                Walk { scheme, ..walk }
            }
            (None, None) => Walk { scheme: last_proto(headers), ..Walk::at(self.address) },
        }
    }
}

/// The addresses believed so far, nearest first, and the scheme said at the last of them.
struct Walk {
    believed: SmallVec<[IpAddr; 4]>,
    scheme: Option<Scheme>,
}

impl Walk {
    fn at(peer: IpAddr) -> Self {
        Self { believed: SmallVec::from_slice(&[peer]), scheme: None }
    }

    fn along(
        peer: IpAddr,
        trusted: &TrustedProxies,
        nodes: impl Iterator<Item = Option<node::Node>>,
    ) -> Self {
        let mut walk = Self::at(peer);
        for node in nodes.take(HOPS_MAX).map_while(|node| node) {
            walk.believed.push(node.address);
            walk.scheme = node.scheme;
            if !trusted.trusts(node.address) {
                break;
            }
        }
        walk
    }
}

/// `X-Forwarded-Proto` as the nearest proxy wrote it.
fn last_proto(headers: &HeaderMap) -> Option<Scheme> {
    let last = headers.get_all(X_FORWARDED_PROTO).iter().next_back()?;
    Scheme::parse(last.as_bytes().rsplit(|byte| *byte == b',').next()?)
}

fn single_host(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut values = headers.get_all(X_FORWARDED_HOST).iter();
    let only = values.next().filter(|value| check_host(value.as_bytes()))?;
    if values.next().is_some() { None } else { Some(only.clone()) }
}

impl Fields {
    /// `believed` is nearest first; the fields list the client first.
    fn new(believed: &[IpAddr], scheme: Scheme, host: Option<HeaderValue>) -> Self {
        let (mut forwarded, mut common) = (String::new(), String::new());
        for (at, address) in believed.iter().rev().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            let text = address.to_string();
            let (open, close) = if address.is_ipv6() { ("\"[", "]\"") } else { ("", "") };
            forwarded.extend([comma, "for=", open, &text, close]);
            if at == 0 {
                forwarded.extend([";proto=", scheme.as_str()]);
            }
            common.extend([comma, &text]);
        }
        Self { forwarded: ascii(forwarded), x_forwarded_for: ascii(common), x_forwarded_host: host }
    }
}

/// Addresses and fixed words are always valid; the default is never seen.
fn ascii(text: String) -> HeaderValue {
    HeaderValue::from_maybe_shared(bytes::Bytes::from(text))
        .unwrap_or(HeaderValue::from_static("unknown"))
}

#[cfg(test)]
mod tests;
