//! Kept requests as OTLP spans: the request itself (SERVER) and the call to the service (CLIENT),
//! with the attributes of OpenTelemetry's HTTP conventions (stable, 1.23 and later).

use std::collections::HashMap;
use std::time::Duration;

use crate::histogram::nanos;
use crate::otlp::keep::{Detail, KeptSpan, UpstreamCall};
use crate::otlp::protobuf::Writer;
use crate::otlp::resource::{Resource, write_scope};
use crate::sample::Platform;

const SERVER: u64 = 2;
const CLIENT: u64 = 3;
const ERROR: u64 = 2;
/// Bit 8 says that bit 9 is known; bit 9 that the parent is in another process.
const PARENT_KNOWN: u32 = 1 << 8;
const PARENT_REMOTE: u32 = 1 << 9;

/// The methods the conventions know; every other is `_OTHER`, so that names stay few.
const METHODS: [&str; 10] =
    ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"];

/// What the configuration says of operations and services. Made anew at a reload.
#[derive(Clone, Debug, Default)]
pub struct SpanNames {
    /// By service, then operation: the path template.
    pub routes: HashMap<String, HashMap<String, String>>,
    /// By service: host and port of its URL, where it has exactly one.
    pub upstreams: HashMap<String, (String, u16)>,
}

impl SpanNames {
    /// The template of an operation, or what its generated name `GET /orders/{}` says.
    fn route<'a>(&'a self, service: &str, operation: &'a str) -> Option<&'a str> {
        let known = self.routes.get(service).and_then(|routes| routes.get(operation));
        known.map(String::as_str).or_else(|| {
            let (method, path) = operation.split_once(' ')?;
            (path.starts_with('/') && METHODS.contains(&method)).then_some(path)
        })
    }
}

/// `ExportTraceServiceRequest`.
pub(crate) fn encode(resource: &Resource, names: &SpanNames, spans: &[KeptSpan]) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.message(1, |resource_spans| {
        resource.write(resource_spans, 1);
        resource_spans.message(2, |scope_spans| {
            write_scope(scope_spans, 1);
            for (span, detail) in spans.iter().filter_map(|s| Some((s, s.detail.as_deref()?))) {
                scope_spans.message(2, |out| server(out, names, span, detail));
                if let Some(call) = detail.upstream {
                    scope_spans.message(2, |out| client(out, names, span, detail, call));
                }
            }
        });
    });
    writer.into_bytes()
}

/// How many spans [`encode`] makes of these.
pub(crate) fn count(spans: &[KeptSpan]) -> u64 {
    let of = |detail: &Detail| 1 + u64::from(detail.upstream.is_some());
    spans.iter().filter_map(|span| span.detail.as_deref().map(of)).sum()
}

/// What every span begins with.
fn head(out: &mut Writer, span: &KeptSpan, id: [u8; 8], parent: Option<[u8; 8]>) {
    out.bytes(1, &span.trace.trace_id().bytes());
    out.bytes(2, &id);
    out.bytes(4, &parent.unwrap_or_default());
}

fn times(out: &mut Writer, detail: &Detail, after: Duration, took: Duration) {
    let start = detail.started_unix_ms.saturating_mul(1_000_000).saturating_add(nanos(after));
    out.fixed64(7, start);
    out.fixed64(8, start.saturating_add(nanos(took)));
}

fn flags(out: &mut Writer, span: &KeptSpan, remote_parent: bool) {
    let remote = if remote_parent { PARENT_REMOTE } else { 0 };
    out.fixed32(16, u32::from(span.trace.sampled()) | PARENT_KNOWN | remote);
}

fn known_method(method: &str) -> Option<&'static str> {
    METHODS.into_iter().find(|known| *known == method)
}

fn server(out: &mut Writer, names: &SpanNames, span: &KeptSpan, detail: &Detail) {
    head(out, span, detail.span, detail.parent);
    let route = names.route(&span.service, &span.operation);
    let method = known_method(&detail.method);
    let verb = method.unwrap_or("HTTP");
    match route {
        Some(route) => out.text(5, &format!("{verb} {route}")),
        None => out.text(5, verb),
    }
    out.varint(6, SERVER);
    times(out, detail, Duration::ZERO, detail.latency);
    write_method(out, detail, method);
    if let Some(route) = route {
        out.attribute(9, "http.route", route);
    }
    out.attribute(9, "url.path", &detail.path);
    out.attribute(9, "url.scheme", detail.scheme);
    out.attribute_int(9, "http.response.status_code", u64::from(detail.status));
    out.attribute(9, "network.protocol.name", "http");
    out.attribute(9, "network.protocol.version", detail.protocol);
    if let Some(address) = detail.client_address {
        out.attribute(9, "client.address", &address.to_string());
    }
    for (key, value) in [
        ("plimsoll.operation", &*span.operation),
        ("plimsoll.service", &*span.service),
        ("plimsoll.release", &*detail.release),
    ] {
        out.attribute(9, key, value);
    }
    if let Some(problem) = detail.problem {
        out.attribute(9, "plimsoll.problem", problem);
    }
    if detail.platform != Platform::Unknown {
        out.attribute(9, "plimsoll.client.platform", detail.platform.as_str());
    }
    for (key, value) in
        [("app.version", &detail.app_version), ("device.model.identifier", &detail.device_model)]
    {
        if **value != *crate::label::UNKNOWN {
            out.attribute(9, key, value);
        }
    }
    if detail.status >= 500 {
        error(out, detail);
    }
    flags(out, span, detail.parent.is_some());
}

fn client(
    out: &mut Writer,
    names: &SpanNames,
    span: &KeptSpan,
    detail: &Detail,
    call: UpstreamCall,
) {
    head(out, span, span.trace.span_id(), Some(detail.span));
    let method = known_method(&detail.method);
    out.text(5, method.unwrap_or("HTTP"));
    out.varint(6, CLIENT);
    let took = call.took.unwrap_or_else(|| detail.latency.saturating_sub(call.after));
    times(out, detail, call.after, took);
    write_method(out, detail, method);
    if let Some((host, port)) = names.upstreams.get(&*span.service) {
        out.attribute(9, "server.address", host);
        out.attribute_int(9, "server.port", u64::from(*port));
    }
    out.attribute(9, "plimsoll.service", &span.service);
    out.attribute(9, "plimsoll.release", &detail.release);
    // Without an answer there is no status: the problem says what went wrong instead. The
    // conventions call a client's 4xx an error, too; this client only passes on what it was asked.
    if call.took.is_some() && detail.problem.is_none() && !detail.cut {
        out.attribute_int(9, "http.response.status_code", u64::from(detail.status));
    }
    if detail.status >= 500 {
        error(out, detail);
    }
    flags(out, span, false);
}

fn write_method(out: &mut Writer, detail: &Detail, known: Option<&str>) {
    out.attribute(9, "http.request.method", known.unwrap_or("_OTHER"));
    if known.is_none() {
        out.attribute(9, "http.request.method_original", &detail.method);
    }
}

fn error(out: &mut Writer, detail: &Detail) {
    let status = detail.status.to_string();
    let kind = match detail.problem {
        Some(code) => code,
        None if detail.cut => "cut",
        None => &status,
    };
    out.attribute(9, "error.type", kind);
    out.message(15, |out| out.varint(3, ERROR));
}
