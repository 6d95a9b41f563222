//! `[edge]`: the listeners that clients reach.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use plimsoll_base::{ByteSize, HumanDuration};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Cidr, ListenAddr};

/// The listeners that clients reach, and the bounds on what they may send.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EdgeSection {
    /// Addresses to listen on, as IP and port. Sockets passed in by `LISTEN_FDS` replace them. A
    /// change needs a restart. Since 0.1.
    #[schemars(length(min = 1, max = 64))]
    pub listen: Vec<ListenAddr>,
    /// How many cores serve requests, each with a runtime of its own; 0 means one for each CPU. A
    /// change needs a restart. Unit: cores. Since 0.1.
    #[schemars(range(max = 1024))]
    pub cores: u16,
    /// Networks whose `Forwarded` and `X-Forwarded-*` headers are believed. From all others these
    /// headers are dropped and the address of the connection counts. Since 0.1.
    #[schemars(length(max = 1024))]
    pub trusted_proxies: Vec<Cidr>,
    /// What happens to a path that no operation owns: `refuse` answers 404, `pass` sends it to the
    /// backend. Default: `refuse` once any service has a contract, else `pass`. Since 0.1.
    pub unknown_paths: Option<UnknownPaths>,
    /// The largest request body; more is answered 413. An operation may say otherwise. Since 0.1.
    #[schemars(extend("x-min" = "1KiB", "x-max" = "1024GiB"))]
    pub body_bytes_max: ByteSize,
    /// The largest request head (request line and headers together); more is answered 431.
    /// Since 0.1.
    #[schemars(extend("x-min" = "8KiB", "x-max" = "1MiB"))]
    pub header_bytes_max: ByteSize,
    /// The most headers in one request; more is answered 431. Unit: headers. Since 0.1.
    #[schemars(range(min = 16, max = 1000))]
    pub headers_max: u16,
    /// The most open connections of the whole process; one more is closed at once.
    /// Unit: connections. Since 0.1.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub connections_max: u32,
    /// The most open connections from one address (IPv6: one /64). Loopback and `trusted_proxies`
    /// are exempt. Unit: connections. Since 0.1.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub connections_per_ip_max: u32,
    /// How long an idle connection is kept. At least 30s, because mobile clients reuse
    /// connections after pauses of that order. Since 0.1.
    #[schemars(extend("x-min" = "30s", "x-max" = "1h"))]
    pub keep_alive: HumanDuration,
    /// How long a client may take to send a request head (and to finish a TLS handshake).
    /// Since 0.1.
    #[schemars(extend("x-min" = "100ms", "x-max" = "5m"))]
    pub header_timeout: HumanDuration,
    /// How long a client may pause inside a request body. Since 0.1.
    #[schemars(extend("x-min" = "100ms", "x-max" = "1h"))]
    pub body_idle_timeout: HumanDuration,
    /// How long a client may leave an answer unread before the connection is cut. Since 0.1.
    #[schemars(extend("x-min" = "100ms", "x-max" = "1h"))]
    pub write_stall_timeout: HumanDuration,
    /// The most concurrent HTTP/2 streams of one connection. Unit: streams. Since 0.1.
    #[schemars(range(min = 1, max = 10_000))]
    pub http2_streams_max: u32,
    /// How long requests in flight may take to finish after SIGTERM. Streams of events, gRPC calls
    /// and WebSockets have no end to wait for: they are ended a second before it (a quarter of it
    /// before, where that is less). Since 0.1.
    #[schemars(extend("x-min" = "1s", "x-max" = "1h"))]
    pub drain_deadline: HumanDuration,
    /// TLS for every listener of the edge; without it they speak plain HTTP. Since 0.1.
    pub tls: Option<TlsSection>,
}

impl Default for EdgeSection {
    fn default() -> Self {
        Self {
            listen: vec![ListenAddr(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080))],
            cores: 0,
            trusted_proxies: Vec::new(),
            unknown_paths: None,
            body_bytes_max: ByteSize(16 << 20),
            header_bytes_max: ByteSize(32 << 10),
            headers_max: 100,
            connections_max: 20_000,
            connections_per_ip_max: 1_024,
            keep_alive: HumanDuration::from_secs(75),
            header_timeout: HumanDuration::from_secs(10),
            body_idle_timeout: HumanDuration::from_secs(30),
            write_stall_timeout: HumanDuration::from_secs(30),
            http2_streams_max: 200,
            drain_deadline: HumanDuration::from_secs(30),
            tls: None,
        }
    }
}

/// What happens to a path that no operation owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnknownPaths {
    /// Answered with a 404 problem.
    Refuse,
    /// Sent to the backend as it came.
    Pass,
}

/// The certificate of the edge's listeners. Both files are read again when they change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TlsSection {
    /// The certificate chain, leaf first, as PEM; the path is relative to the manifest. Since 0.1.
    pub certificate_file: PathBuf,
    /// The private key of the leaf, as PEM; the path is relative to the manifest. Since 0.1.
    pub key_file: PathBuf,
}
