//! One request and its answer, as the steps and the record see it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Version};
use plimsoll_base::{Deadline, Nanos};
use plimsoll_http_kit::forwarded::Client as ForwardedClient;
use plimsoll_http_kit::request_id::Id;
use plimsoll_http_kit::{ClientContext, Code};
use plimsoll_telemetry::TraceContext;

use crate::auth::Verified;
use crate::body::InboundState;
use crate::config::Config;
use crate::conn::ConnContext;
use crate::limit::Standings;

/// What stands in figures and logs for a request that no route took.
const UNROUTED: &str = "unrouted";
const NOBODY: &str = "none";

/// What is known of a request so far. Steps fill it in; [`crate::record`] writes it down.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) context: Arc<ConnContext>,
    pub(crate) id: Id,
    pub(crate) trace: TraceContext,
    pub(crate) trace_continued: bool,
    /// The client's own span, where it said one.
    pub(crate) trace_parent: Option<[u8; 8]>,
    pub(crate) started: Nanos,
    pub(crate) started_unix_ms: u64,
    pub(crate) method: Method,
    pub(crate) target: Option<PathAndQuery>,
    pub(crate) version: Version,
    pub(crate) operation: Arc<str>,
    pub(crate) service: Arc<str>,
    pub(crate) release: Arc<str>,
    pub(crate) client: ClientContext,
    pub(crate) from: ForwardedClient,
    pub(crate) verified: Option<Arc<Verified>>,
    pub(crate) deadline: Option<Deadline>,
    pub(crate) standings: Standings,
    pub(crate) body: Option<Arc<InboundState>>,
    /// The request's body was not read, so that no request can follow it on its connection.
    pub(crate) body_in_the_way: bool,
    pub(crate) problem: Option<Code>,
    pub(crate) upstream_sent: Option<Nanos>,
    pub(crate) upstream_latency: Option<Duration>,
}

impl Exchange {
    /// Accept: id, trace, clock.
    pub(crate) fn begin(context: &Arc<ConnContext>, config: &Config, head: &Parts) -> Self {
        let core = &context.core;
        context.state.request_begins();
        core.load().begin();
        let unix_ms = core.clock.unix_ms();
        let headers = &head.headers;
        let parent = traceparent(headers).and_then(|value| TraceContext::parse(value.as_bytes()));
        let names = &core.names;
        let (random, span) = (core.random(), core.random_u64());
        Self {
            id: Id::accept_or_make(headers, unix_ms, random),
            trace: core.shard.sample(parent.map_or_else(
                || TraceContext::new(core.random(), span, false),
                |parent| parent.child(span, false),
            )),
            trace_continued: parent.is_some(),
            trace_parent: parent.map(|parent| parent.span_id()),
            started: core.clock.now(),
            started_unix_ms: unix_ms,
            method: head.method.clone(),
            target: head.uri.path_and_query().cloned(),
            version: head.version,
            operation: Arc::clone(&names.unrouted),
            service: Arc::clone(&names.nobody),
            release: Arc::clone(&names.nobody),
            client: ClientContext::default(),
            from: context.peer.client(headers, &config.trusted),
            verified: None,
            deadline: None,
            standings: Standings::default(),
            body: None,
            body_in_the_way: false,
            problem: None,
            upstream_sent: None,
            upstream_latency: None,
            context: Arc::clone(context),
        }
    }

    /// The client's address, as far as proxies are trusted.
    pub(crate) fn address(&self) -> IpAddr {
        self.from.address
    }

    /// The path without the query: a query may hold secrets and is never written down.
    pub(crate) fn path(&self) -> &str {
        self.target.as_ref().map_or("*", PathAndQuery::path)
    }
}

/// Exactly one `traceparent`: two would be two parents (W3C Trace Context §3.2).
fn traceparent(headers: &HeaderMap) -> Option<&HeaderValue> {
    let mut values = headers.get_all("traceparent").iter();
    let only = values.next()?;
    if values.next().is_some() { None } else { Some(only) }
}

/// Names that every core hands out without making them anew.
#[derive(Debug)]
pub(crate) struct Names {
    pub(crate) unrouted: Arc<str>,
    pub(crate) nobody: Arc<str>,
}

impl Default for Names {
    fn default() -> Self {
        Self { unrouted: UNROUTED.into(), nobody: NOBODY.into() }
    }
}
