//! Fallback: what stands in for an operation that is not sent on because its breaker is open.
//! Another operation that the manifest names, else the document that it names.
//!
//! The other operation is asked as if the caller had asked for it: its scopes, its limits, its
//! cache, its breaker and its deadline hold, so that nobody is given what he may not read. What it
//! answers is the client's only where it succeeds. It has no fallback operation of its own, so that
//! one request asks two operations at most.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::uri::{PathAndQuery, Uri};
use http::{HeaderMap, HeaderName, HeaderValue, Response, header};
use plimsoll_http_kit::hygiene::{Fields, RequestFacts};
use plimsoll_snapshot::template::filled;

use crate::auth::Verified;
use crate::body::Unasked;
use crate::compress;
use crate::config::Config;
use crate::conn::ConnContext;
use crate::exchange::Exchange;
use crate::router::Operation;
use crate::stack;
use crate::steps::authenticate::{self, Credentials};
use crate::steps::forward::Passed;
use crate::steps::limit;
use crate::steps::route::{self, Route};

/// Says that something stands in for the answer, and what (RFC 9651 item): `document`, or
/// `operation` with its id.
const PLIMSOLL_FALLBACK: HeaderName = HeaderName::from_static("plimsoll-fallback");

/// It stands in for an answer only as long as there is none.
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// What the client said of the first operation's answers, and what must not reach another's.
const OF_THE_FIRST: [HeaderName; 6] = [
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_UNMODIFIED_SINCE,
    header::IF_RANGE,
    header::RANGE,
];

/// By which a client, or a cache before it, would keep the other's answer as the first one's.
const KEPT_BY: [HeaderName; 5] = [
    header::ETAG,
    header::LAST_MODIFIED,
    header::EXPIRES,
    header::AGE,
    HeaderName::from_static("cdn-cache-control"),
];

/// What stands in for `route`; `None` where nothing does. A box, because this is rare, and because
/// the other operation goes the same way through the [stack](crate::stack).
pub(crate) fn stand_in<'r>(
    context: &'r Arc<ConnContext>,
    config: &'r Config,
    exchange: &'r mut Exchange,
    route: Route<'r>,
    facts: &'r RequestFacts,
    head: &'r Parts,
) -> Pin<Box<dyn Future<Output = Option<Passed>> + Send + 'r>> {
    Box::pin(async move {
        let guard = config.guard(route)?;
        if let (Some(other), Route::Operation(first)) = (&guard.operation, route) {
            let asked = by_operation(context, config, exchange, (first, other), facts, head);
            if let Some(passed) = asked.await {
                return Some(passed);
            }
        }
        guard.document.as_ref().map(|(kind, document)| Passed::Own(by_document(kind, document)))
    })
}

fn by_document(kind: &HeaderValue, document: &Bytes) -> Response<Bytes> {
    let mut response = Response::new(document.clone());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, kind.clone());
    headers.insert(header::CACHE_CONTROL, NO_STORE);
    headers.insert(PLIMSOLL_FALLBACK, HeaderValue::from_static("document"));
    response
}

/// What is put back when the other operation has been asked, or was not.
struct Before {
    operation: Option<Arc<str>>,
    service: Option<Arc<str>>,
    release: Option<Arc<str>>,
    verified: Option<Arc<Verified>>,
    verifies: bool,
}

async fn by_operation(
    context: &Arc<ConnContext>,
    config: &Config,
    exchange: &mut Exchange,
    (first, other): (&Arc<Operation>, &Arc<Operation>),
    facts: &RequestFacts,
    head: &Parts,
) -> Option<Passed> {
    let mut head = head.clone();
    head.uri = target(first, other, &head.uri)?;
    for name in OF_THE_FIRST {
        head.headers.remove(name);
    }
    let before = Before {
        operation: exchange.operation.clone(),
        service: exchange.service.clone(),
        release: exchange.release.clone(),
        verified: exchange.verified.clone(),
        verifies: exchange.verifies,
    };
    let passed = if may(config, exchange, first, other, &head).await {
        exchange.operation = Some(Arc::clone(&other.id));
        if let Some(service) = config.service(other.service) {
            route::name_service(exchange, service);
        }
        let (route, mut body) = (Route::Operation(other), Unasked::none());
        let asked =
            stack::send_on(context, config, exchange, route, facts, &mut head, &mut body).await;
        asked.ok().filter(|passed| passed.status().is_success())
    } else {
        None
    };
    // Figures and logs say what was asked for.
    (exchange.operation, exchange.service) = (before.operation, before.service);
    exchange.release = before.release;
    if passed.is_none() {
        (exchange.verified, exchange.verifies) = (before.verified, before.verifies);
    } else if other.compression == Some(false) {
        exchange.compression = compress::Asked::default();
    }
    passed.map(|passed| marked(passed, other))
}

/// Whether this caller may read the other operation, and has not read it too often. A token that
/// was not verified yet is not verified for this.
async fn may(
    config: &Config,
    exchange: &mut Exchange,
    first: &Operation,
    other: &Arc<Operation>,
    head: &Parts,
) -> bool {
    let route = Route::Operation(other);
    let fields = Fields::of(&head.headers);
    let credentials = match authenticate::credentials(config, exchange, route, &fields) {
        Ok(Credentials::Token(_)) | Err(_) => return false,
        Ok(credentials) => credentials,
    };
    let verified = authenticate::verify(config, exchange, route, head, credentials).await;
    verified.is_ok() && limit::beyond(config, exchange, first, other, &head.headers)
}

/// Where the other operation is, for this request. The query goes along.
fn target(first: &Operation, other: &Operation, asked: &Uri) -> Option<Uri> {
    let path = filled(&first.template, asked.path(), &other.template)?;
    let target = match asked.query() {
        Some(query) => format!("{path}?{query}"),
        None => path,
    };
    let mut parts = asked.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(target).ok()?);
    Uri::from_parts(parts).ok()
}

fn marked(mut passed: Passed, other: &Operation) -> Passed {
    let headers: &mut HeaderMap = match &mut passed {
        Passed::Own(response) | Passed::Stored(response) => response.headers_mut(),
        Passed::Upstream { answer, .. } => answer.response.headers_mut(),
        Passed::Switched(_) | Passed::Granted(_) => return passed,
    };
    // The document that stands in for the other operation stands in for this one, too.
    if headers.contains_key(PLIMSOLL_FALLBACK) {
        return passed;
    }
    for name in KEPT_BY {
        headers.remove(name);
    }
    headers.insert(header::CACHE_CONTROL, NO_STORE);
    headers.insert(PLIMSOLL_FALLBACK, said(&other.id));
    passed
}

/// `operation;id="topFeed"`; an id that no string of a structured field can hold is left out.
fn said(id: &str) -> HeaderValue {
    let plain = |byte: u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
    let text = match id.bytes().all(plain) {
        true => format!("operation;id=\"{id}\""),
        false => "operation".to_owned(),
    };
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("operation"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_field_is_a_structured_item() {
        assert_eq!(said("topFeed"), "operation;id=\"topFeed\"");
        assert_eq!(said("top\"Feed"), "operation");
        assert_eq!(said("фид"), "operation");
    }
}
