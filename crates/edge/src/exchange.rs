//! One request and its answer, as the steps and the record see it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Version};
use plimsoll_base::{Deadline, Nanos};
use plimsoll_http_kit::forwarded::Client as ForwardedClient;
use plimsoll_http_kit::hygiene::Fields;
use plimsoll_http_kit::request_id::Id;
use plimsoll_http_kit::{ClientContext, Code};
use plimsoll_snapshot::Audit;
use plimsoll_telemetry::{NO_SERVICE, TraceContext};

use crate::auth::Verified;
use crate::body::InboundState;
use crate::cache::Telling;
use crate::compress;
use crate::config::Config;
use crate::conn::ConnContext;
use crate::cors;
use crate::installation;
use crate::limit::Standings;

/// What stands in figures and logs for a request that no route took.
const UNROUTED: &str = "unrouted";

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
    pub(crate) operation: Option<Arc<str>>,
    pub(crate) service: Option<Arc<str>>,
    pub(crate) release: Option<Arc<str>>,
    pub(crate) client: ClientContext,
    pub(crate) from: ForwardedClient,
    /// The page that asks, where `[cors]` wants to know.
    pub(crate) origin: Option<HeaderValue>,
    /// The signed installation that asks.
    pub(crate) installation: installation::Held,
    pub(crate) verified: Option<Arc<Verified>>,
    /// The route verifies whoever shows a token.
    pub(crate) verifies: bool,
    /// The call leaves an entry in the ledger.
    pub(crate) audit: Option<Audit>,
    /// What the client said of compressed answers.
    pub(crate) compression: compress::Asked,
    pub(crate) deadline: Option<Deadline>,
    /// Its client sent it before.
    pub(crate) again: bool,
    pub(crate) standings: Standings,
    pub(crate) body: Option<Arc<InboundState>>,
    /// The request's body was not read, so that no request can follow it on its connection.
    pub(crate) body_in_the_way: bool,
    pub(crate) problem: Option<Code>,
    /// When it was to be sent to the service.
    pub(crate) upstream_sent: Option<Nanos>,
    /// The service may have had something of it.
    pub(crate) upstream_reached: bool,
    pub(crate) upstream_latency: Option<Duration>,
    /// How often it was tried to be sent.
    pub(crate) upstream_tries: u32,
    /// It is a write without a key, by its mark.
    pub(crate) unkeyed: Option<u64>,
    /// Its answer is recorded before its client has it.
    pub(crate) is_recorded: bool,
    /// A write that other nodes are being told of.
    pub(crate) telling: Option<Telling>,
}

impl Exchange {
    /// A request begins: the clock, and what needs no header field.
    pub(crate) fn begin(context: &Arc<ConnContext>, head: &Parts) -> Self {
        let core = &context.core;
        context.state.request_begins();
        core.load().begin();
        Self {
            id: Id::default(),
            trace: TraceContext::new(0, 0, false),
            trace_continued: false,
            trace_parent: None,
            started: core.clock.now(),
            started_unix_ms: core.clock.unix_ms(),
            method: head.method.clone(),
            target: head.uri.path_and_query().cloned(),
            version: head.version,
            operation: None,
            service: None,
            release: None,
            client: ClientContext::default(),
            from: context.peer.itself(),
            origin: None,
            installation: installation::Held::No,
            verified: None,
            verifies: false,
            audit: None,
            compression: compress::Asked::default(),
            deadline: None,
            again: false,
            standings: Standings::default(),
            body: None,
            body_in_the_way: false,
            problem: None,
            upstream_sent: None,
            upstream_reached: false,
            upstream_latency: None,
            upstream_tries: 0,
            unkeyed: None,
            is_recorded: false,
            telling: None,
            context: Arc::clone(context),
        }
    }

    /// Accept: the request's id, its trace and its client's address.
    pub(crate) fn identify(&mut self, config: &Config, headers: &HeaderMap, fields: &Fields<'_>) {
        let core = &self.context.core;
        self.id = Id::accept_or_make(fields, self.started_unix_ms, || core.random());
        // Exactly one `traceparent`: two would be two parents (W3C Trace Context §3.2).
        let parent = fields.traceparent.only();
        let parent = parent.and_then(|value| TraceContext::parse(value.as_bytes()));
        let span = core.random_u64();
        self.trace_continued = parent.is_some();
        self.trace_parent = parent.map(|parent| parent.span_id());
        self.trace = core.shard.sample(parent.map_or_else(
            || TraceContext::new(core.random(), span, false),
            |parent| parent.child(span, false),
        ));
        self.from = self.context.peer.client(headers, &config.trusted);
        if config.cors.is_some() {
            self.origin = cors::origin(headers);
        }
    }

    /// The operation, or what stands for it in figures and logs.
    pub(crate) fn operation(&self) -> &Arc<str> {
        self.operation.as_ref().unwrap_or(&self.context.core.names.unrouted)
    }

    /// The service, or what stands for it.
    pub(crate) fn service(&self) -> &Arc<str> {
        self.service.as_ref().unwrap_or(&self.context.core.names.nobody)
    }

    /// The release, or what stands for it.
    pub(crate) fn release(&self) -> &Arc<str> {
        self.release.as_ref().unwrap_or(&self.context.core.names.nobody)
    }

    /// The verified caller, where the route verifies whoever shows a token. Elsewhere it is chance
    /// whether one is known, and nothing that is kept may hang on that.
    pub(crate) fn subject(&self) -> Option<&Arc<Verified>> {
        self.verified.as_ref().filter(|_| self.verifies)
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

/// Names that every core hands out without making them anew.
#[derive(Debug)]
pub(crate) struct Names {
    pub(crate) unrouted: Arc<str>,
    pub(crate) nobody: Arc<str>,
}

impl Default for Names {
    fn default() -> Self {
        Self { unrouted: UNROUTED.into(), nobody: NO_SERVICE.into() }
    }
}
