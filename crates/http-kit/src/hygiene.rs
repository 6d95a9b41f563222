//! Header, framing, target and path hygiene: what is refused before anything looks at a request,
//! and what is taken out before it is passed on.
//!
//! The rule behind every rule here: two servers must not read the same bytes in two ways. Where a
//! standard lets a recipient choose between mending and refusing, the edge refuses; clients that
//! follow the standards never notice.
//!
//! 1. [`check_request`] looks at a request once and answers with its [`RequestFacts`] or the
//!    [`Refusal`]. It allocates
//!    nothing for what apps send.
//! 2. Whoever needs forwarding, client or identity fields reads them.
//! 3. [`strip_request`] takes out what concerns only this connection and what only the edge may
//!    say. **Trusted fields are inserted after it, never before.**
//! 4. [`strip_response`] and [`strip_trailers`] do the same on the way back.

mod connection;
mod fields;
mod framing;
mod host;
mod names;
mod path;
mod strip;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version};
use smallvec::SmallVec;

use crate::codes::Code;
use crate::problem::Problem;

pub use fields::{Fields, Lines, ResponseFacts};
pub use host::{check_host, host_of};
pub use names::{is_identity_header, is_written_by_the_edge};
pub use path::{TARGET_BYTES_MAX, check_path};
pub use strip::{strip_request, strip_response, strip_trailers};

/// Why a request is refused: a code and what to tell the client. Never holds bytes of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The code of the answer.
    pub code: Code,
    /// The `detail` of the answer.
    pub detail: &'static str,
}

impl Refusal {
    pub(crate) const fn new(code: Code, detail: &'static str) -> Self {
        Self { code, detail }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Problem::new(refusal.code).with_detail(refusal.detail)
    }
}

/// How large a header section may be. What hyper enforces itself ends in a bare answer; with these
/// a little below, the client gets a problem instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The most header fields, counting each line.
    pub headers_max: usize,
    /// The most bytes of names and values together, counting 4 a line for `: ` and CR LF.
    pub header_bytes_max: usize,
}

/// How the body of a request is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// HTTP/1: no body.
    Empty,
    /// As many bytes as `Content-Length` says.
    Length(u64),
    /// HTTP/1.1: `Transfer-Encoding: chunked`.
    Chunked,
    /// HTTP/2 without `Content-Length`: until the stream ends, perhaps at once.
    Stream,
}

impl Framing {
    /// The body's length in bytes where the header section tells.
    #[must_use]
    pub const fn length(self) -> Option<u64> {
        match self {
            Framing::Empty => Some(0),
            Framing::Length(bytes) => Some(bytes),
            Framing::Chunked | Framing::Stream => None,
        }
    }
}

/// The change of protocol that a request asks for (RFC 9110 §7.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upgrade {
    /// `Upgrade: websocket` (RFC 6455).
    WebSocket,
    /// Any other protocol. `h2c` is not one: it is ignored, as RFC 9113 §3.1 wants.
    Other,
}

/// What one look at a request's head found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestFacts {
    /// How the body is delimited.
    pub framing: Framing,
    /// The change of protocol asked for, over HTTP/1.1 with `Connection: upgrade`.
    pub upgrade: Option<Upgrade>,
    /// `TE: trailers` was sent: the client can take a trailer section, which gRPC needs.
    pub te_trailers: bool,
    /// `Expect: 100-continue` was sent.
    pub expects_continue: bool,
    /// `tracestate` was sent.
    pub has_tracestate: bool,
    /// `Host`, where it was sent.
    pub host: Option<HeaderValue>,
    /// The fields that [`strip_request`] takes out.
    doomed: SmallVec<[HeaderName; 2]>,
}

/// Looks at a request's head once: target, header sizes, `Host`, framing, `Connection`. `fields`
/// are those of `headers`.
///
/// What hyper has already mended cannot be seen here: over HTTP/1.1 it drops `Content-Length`
/// beside `Transfer-Encoding` and closes the connection after the answer (RFC 9112 §6.3 item 3),
/// and folds equal repetitions of `Content-Length` into one. Both are safe; whoever wants them
/// refused looks at the raw head.
///
/// # Errors
/// The first rule broken, as a [`Refusal`].
pub fn check_request(
    method: &Method,
    uri: &Uri,
    version: Version,
    headers: &HeaderMap,
    fields: &Fields<'_>,
    bounds: &Bounds,
) -> Result<RequestFacts, Refusal> {
    path::check_target(method, uri)?;
    check_size(fields, bounds)?;
    host::check(uri, version, fields.host)?;
    check_credentials(fields)?;
    let framing = framing::of_request(version, fields)?;
    let connection = connection::of_request(version, headers, fields)?;
    let upgrade = connection.upgrade(headers, fields);
    if upgrade.is_some() && !matches!(framing, Framing::Empty | Framing::Length(0)) {
        return Err(Refusal::new(
            Code::BadFraming,
            "A request that asks for another protocol must have no body.",
        ));
    }
    Ok(RequestFacts {
        framing,
        upgrade,
        te_trailers: fields.te.count() > 0 && connection::te_has_trailers(headers),
        expects_continue: expects_continue(fields)?,
        has_tracestate: fields.tracestate.count() > 0,
        host: fields.host.first().cloned(),
        doomed: fields.doomed.iter().map(|name| (*name).clone()).collect(),
    })
}

/// Two `Authorization` fields: the edge would verify one and the service might believe the other.
fn check_credentials(fields: &Fields<'_>) -> Result<(), Refusal> {
    if fields.authorization.count() > 1 {
        let code = Code::CredentialsAmbiguous;
        return Err(Refusal::new(code, code.detail()));
    }
    Ok(())
}

fn check_size(fields: &Fields<'_>, bounds: &Bounds) -> Result<(), Refusal> {
    if fields.count > bounds.headers_max {
        return Err(Refusal::new(Code::HeadersTooLarge, TOO_MANY_FIELDS));
    }
    if fields.bytes > bounds.header_bytes_max {
        return Err(Refusal::new(Code::HeadersTooLarge, TOO_MANY_BYTES));
    }
    Ok(())
}

fn expects_continue(fields: &Fields<'_>) -> Result<bool, Refusal> {
    if fields.expect.count() == 0 {
        return Ok(false);
    }
    let known = |value: &http::HeaderValue| {
        value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"100-continue")
    };
    if fields.expect.only().is_some_and(known) {
        return Ok(true);
    }
    Err(Refusal::new(Code::BadExpectation, Code::BadExpectation.detail()))
}

const TOO_MANY_FIELDS: &str =
    "The request has more header fields than the edge accepts (headers_max).";
const TOO_MANY_BYTES: &str =
    "The request's header fields are larger than the edge accepts (header_bytes_max).";

#[cfg(test)]
mod tests;
