//! The request's head as the service gets it.

use std::borrow::Cow;

use http::request::Parts;
use http::uri::{PathAndQuery, Uri};
use http::{HeaderMap, HeaderName, HeaderValue, Version, header};
use plimsoll_http_kit::hygiene::{RequestFacts, strip_request};
use plimsoll_http_kit::request_id::X_REQUEST_ID;
use plimsoll_http_kit::{Code, Problem};
use plimsoll_manifest::ForwardPrincipal;
use plimsoll_telemetry::tracestate_passes;

use crate::config::{Config, Service};
use crate::exchange::Exchange;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The principal as headers (`forward_principal = "headers"`).
const SUBJECT: HeaderName = HeaderName::from_static("plimsoll-subject");
const TENANT: HeaderName = HeaderName::from_static("plimsoll-tenant");
const ISSUER: HeaderName = HeaderName::from_static("plimsoll-issuer");
const SCOPE: HeaderName = HeaderName::from_static("plimsoll-scope");

/// Turns the client's head into the one the service gets: what concerned only the client's
/// connection goes, what the edge vouches for comes.
pub(crate) fn prepare(
    config: &Config,
    exchange: &Exchange,
    service: &Service,
    facts: &RequestFacts,
    head: &mut Parts,
) -> Result<(), Problem> {
    let headers = &mut head.headers;
    let mut host = facts.host.clone();
    if head.version == Version::HTTP_2 {
        if let Some(authority) = head.uri.authority()
            && let Ok(authority) = HeaderValue::from_str(authority.as_str())
        {
            host = Some(authority.clone());
            headers.insert(header::HOST, authority);
        }
        join_cookies(headers);
    }
    if facts.has_tracestate {
        let passes =
            |value: &HeaderValue| tracestate_passes(exchange.trace_continued, value.as_bytes());
        if !headers.get(&TRACESTATE).is_some_and(passes) {
            headers.remove(&TRACESTATE);
        }
    }
    strip_request(headers, facts);
    if host.is_none() {
        // HTTP/1.0 may come without; HTTP/1.1 must not go without.
        headers.insert(header::HOST, service.authority.clone());
    }
    exchange.context.peer.write_fields(&exchange.from, host, headers);
    headers.insert(X_REQUEST_ID, exchange.id.header_value());
    let traceparent = HeaderValue::from_bytes(&exchange.trace.format());
    headers.insert(TRACEPARENT, traceparent.unwrap_or(HeaderValue::from_static("")));
    if config.forward_principal == ForwardPrincipal::Headers {
        write_principal(exchange, headers);
    }
    if let Some(target) = origin_form(service, &head.uri)? {
        head.uri = target;
    }
    Ok(())
}

/// HTTP/2 may split one `Cookie` into several; HTTP/1.1 has exactly one (RFC 9113 §8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    if headers.get_all(header::COOKIE).iter().nth(1).is_none() {
        return;
    }
    let crumbs: Vec<&[u8]> =
        headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(whole) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])) {
        headers.insert(header::COOKIE, whole);
    }
}

fn write_principal(exchange: &Exchange, headers: &mut HeaderMap) {
    let Some(verified) = &exchange.verified else { return };
    let mut put = |name: HeaderName, value: &str| {
        if let Ok(value) = HeaderValue::from_str(&escaped(value)) {
            headers.insert(name, value);
        }
    };
    put(SUBJECT, verified.subject());
    put(TENANT, verified.tenant());
    put(ISSUER, verified.issuer());
    let scopes: Vec<&str> = verified.scopes().iter().collect();
    put(SCOPE, &scopes.join(" "));
}

/// A text as a field can hold it: what is not printable ASCII is percent-encoded as UTF-8 (RFC 3986
/// §2.1), and so are `%` itself and spaces at either end, so that decoding gives the very text.
fn escaped(text: &str) -> Cow<'_, str> {
    let plain = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'%';
    if text.bytes().all(plain) && text.trim_matches(' ').len() == text.len() {
        return Cow::Borrowed(text);
    }
    let inner = text.len() - text.trim_start_matches(' ').len()..text.trim_end_matches(' ').len();
    let mut out = String::with_capacity(text.len() * 3);
    for (at, byte) in text.bytes().enumerate() {
        if plain(byte) && (byte != b' ' || inner.contains(&at)) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    Cow::Owned(out)
}

/// The request target towards the service: the very path that was routed, without the version
/// prefix where the service does not want it. `None` where that is the client's own.
fn origin_form(service: &Service, uri: &Uri) -> Result<Option<Uri>, Problem> {
    let Some(target) = uri.path_and_query() else { return Ok(None) };
    let stripped = service
        .strip_prefix
        .as_deref()
        .and_then(|prefix| target.as_str().strip_prefix(prefix))
        .filter(|rest| rest.is_empty() || rest.starts_with(['/', '?']));
    match stripped {
        None if uri.scheme().is_none() => Ok(None),
        None => Ok(Some(Uri::from(target.clone()))),
        Some(rest) => {
            let slash = if rest.starts_with('/') { "" } else { "/" };
            PathAndQuery::try_from(format!("{slash}{rest}"))
                .map(|target| Some(Uri::from(target)))
                .map_err(|_| Problem::new(Code::BadPath))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_any_script_fits_a_field_and_comes_back() {
        for (name, expected) in [
            ("alice", "alice"),
            ("auth0|5f7c8ec7", "auth0|5f7c8ec7"),
            ("Acme Corp", "Acme Corp"),
            ("jürgen", "j%C3%BCrgen"),
            ("東京", "%E6%9D%B1%E4%BA%AC"),
            ("100%", "100%25"),
            ("%41", "%2541"),
            (" a b ", "%20a b%20"),
            ("  ", "%20%20"),
        ] {
            assert_eq!(escaped(name), expected);
            assert!(HeaderValue::from_str(&escaped(name)).is_ok());
        }
    }
}
