//! The access log: one line a request, written off the request path.
//!
//! A core serialises into a buffer of its own; full or due buffers go through a bounded channel to
//! one thread that writes. When the channel is full the buffer is dropped and its lines counted: a
//! request never waits for a log. A line holds what [`AccessEntry`] has and nothing else: no
//! header, no query, no credential.

mod format;
mod writer;

use std::net::IpAddr;

use crate::sample::Platform;
use crate::trace::TraceId;

pub use writer::{
    ACCESS_CHUNK_BYTES_MAX, ACCESS_FLUSH_EVERY, ACCESS_QUEUE_CHUNKS_MAX, AccessLog,
    AccessLogOptions, AccessLogStop, AccessWriter, StillWriting,
};

/// How a line is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AccessFormat {
    /// One JSON object a line.
    #[default]
    Json,
    /// One line for people, with columns.
    Human,
    /// Nothing.
    Off,
}

impl AccessFormat {
    /// What `auto` means: for people on a terminal, else JSON.
    #[must_use]
    pub const fn auto(is_terminal: bool) -> Self {
        if is_terminal { AccessFormat::Human } else { AccessFormat::Json }
    }
}

/// One answered request, as it is written down.
#[derive(Clone, Copy, Debug)]
pub struct AccessEntry<'a> {
    /// When the answer was complete, in milliseconds since 1970-01-01T00:00:00Z.
    pub time_unix_ms: u64,
    /// The request's id.
    pub request_id: &'a str,
    /// The trace it belongs to.
    pub trace_id: TraceId,
    /// The method.
    pub method: &'a str,
    /// The path. Anything from a `?` or `#` on is left out, whatever is given here.
    pub path: &'a str,
    /// The protocol, such as `HTTP/1.1`.
    pub protocol: &'a str,
    /// The service; empty where no route was found.
    pub service: &'a str,
    /// The operation; empty where no route was found.
    pub operation: &'a str,
    /// The release that answered; empty where the edge answered.
    pub release: &'a str,
    /// The status code.
    pub status: u16,
    /// The problem's code, where the edge made the answer.
    pub problem: Option<&'a str>,
    /// From the head read to the answer's end, in microseconds.
    pub latency_us: u64,
    /// The upstream's part of it, in microseconds.
    pub upstream_latency_us: Option<u64>,
    /// Bytes of the request's body.
    pub bytes_in: u64,
    /// Bytes of the answer's body.
    pub bytes_out: u64,
    /// The client's address, trusted proxies resolved.
    pub client_ip: IpAddr,
    /// The client's platform.
    pub platform: Platform,
    /// The app's version; empty when unknown.
    pub app_version: &'a str,
    /// A keyed hash of the caller.
    pub caller: Option<u64>,
}

impl AccessEntry<'_> {
    fn path_only(&self) -> &str {
        self.path.split(['?', '#']).next().unwrap_or_default()
    }
}
