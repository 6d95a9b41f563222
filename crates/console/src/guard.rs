//! Who may ask: loopback by name, so that a page of another site cannot read this one through a
//! name it has pointed here (DNS rebinding); and the headers every answer carries.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, HeaderName, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderValue, Method};

use crate::api;
use crate::otlp::{self, IngestToken, Refused};
use crate::problem::{OpsCode, Problem};

/// Nothing loads from elsewhere, nothing frames it, nothing is sent from it.
const POLICY: &str = "default-src 'self'; base-uri 'none'; form-action 'self'; \
                      frame-ancestors 'none'; object-src 'none'";

const HEADERS: [(HeaderName, &str); 6] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// Paths that say no more than a load balancer needs.
const HEALTH: [&str; 2] = ["/healthz", "/readyz"];

/// Where the listener is, and what opens `/otlp`.
#[derive(Clone, Debug)]
pub(crate) struct Guard {
    pub(crate) bound: SocketAddr,
    pub(crate) ingest_token: Option<IngestToken>,
}

/// Who may send telemetry: whoever shows the token where there is one; else whoever names loopback
/// on a listener bound there. A page of another site cannot: it may send neither the token nor a
/// media type that is taken here.
fn check_ingest<B>(guard: &Guard, request: &http::Request<B>) -> Result<(), Refused> {
    let refused = |status, says| Err(Refused::new(request.headers(), status, says));
    match &guard.ingest_token {
        Some(token) if token.is_shown(request.headers()) => {}
        Some(_) => return refused(401, "Send Authorization: Bearer with the ingest token."),
        None if !guard.bound.ip().to_canonical().is_loopback() => {
            return refused(403, "Off loopback /otlp is served only with PLIMSOLL_INGEST_TOKEN.");
        }
        None if !names_loopback(guard.bound, request) => {
            return refused(421, "The Host must be localhost, 127.0.0.1, [::1] or the address.");
        }
        None => {}
    }
    if *request.method() != Method::POST {
        return refused(405, "Use POST.");
    }
    Ok(())
}

/// Who may append to the ledger: whoever shows the token, and nobody where there is none. What
/// stands in the ledger was said by somebody who is known.
fn check_append<B>(guard: &Guard, request: &http::Request<B>) -> Result<(), Problem> {
    let Some(token) = &guard.ingest_token else {
        return Err(Problem::new(
            OpsCode::TokenNeeded,
            "Set PLIMSOLL_INGEST_TOKEN, and send it as Authorization: Bearer.",
        ));
    };
    if !token.is_shown(request.headers()) {
        let says = "Send Authorization: Bearer with the ingest token.";
        return Err(Problem::new(OpsCode::TokenNeeded, says));
    }
    if *request.method() != Method::POST {
        return Err(Problem::new(OpsCode::MethodNotAllowed, "Use POST."));
    }
    Ok(())
}

/// Refuses who may not ask; sets the headers of every answer.
pub(crate) async fn guard(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let checked = if otlp::is_path(request.uri().path()) {
        check_ingest(&guard, &request).map_err(IntoResponse::into_response)
    } else if request.uri().path() == api::APPEND {
        check_append(&guard, &request).map_err(IntoResponse::into_response)
    } else {
        check(guard.bound, &request).map_err(IntoResponse::into_response)
    };
    let mut response = match checked {
        Ok(()) => next.run(request).await,
        Err(response) => response,
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

fn check<B>(bound: SocketAddr, request: &http::Request<B>) -> Result<(), Problem> {
    let health = HEALTH.contains(&request.uri().path());
    if !bound.ip().to_canonical().is_loopback() {
        // A load balancer's probe names whatever it likes, and health has nothing to protect.
        if !health {
            return Err(Problem::new(
                OpsCode::HealthOnly,
                "The ops listener is bound off loopback, so it serves /healthz and /readyz, and \
                 with an ingest token /otlp and /api/v1/ledger/entries. Bind it to 127.0.0.1 and \
                 reach the rest through a tunnel.",
            ));
        }
    } else if !names_loopback(bound, request) {
        return Err(Problem::new(
            OpsCode::WrongHost,
            "The Host must be localhost, 127.0.0.1, [::1] or the bound address, with any port.",
        ));
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Err(Problem::new(
            OpsCode::MethodNotAllowed,
            "Use GET; nothing here can be changed.",
        ));
    }
    Ok(())
}

fn names_loopback<B>(bound: SocketAddr, request: &http::Request<B>) -> bool {
    let mut hosts = request.headers().get_all(HOST).iter();
    let (host, second) = (hosts.next(), hosts.next());
    let host = host.and_then(|host| host.to_str().ok());
    let target = request.uri().host();
    second.is_none()
        && host.is_some_and(|host| is_ours(bound.ip(), without_port(host)))
        && target.is_none_or(|target| is_ours(bound.ip(), target))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !name.is_empty() => name,
        _ => host,
    }
}

fn is_ours(bound: IpAddr, name: &str) -> bool {
    if name.eq_ignore_ascii_case("localhost") {
        return true;
    }
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    bare.parse::<IpAddr>()
        .is_ok_and(|address| address.to_canonical().is_loopback() || address == bound)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::StatusCode;

    fn status(bound: &str, hosts: &[&str], uri: &str, method: Method) -> u16 {
        let mut request = http::Request::builder().uri(uri).method(method);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        let result = check(bound.parse().unwrap(), &request.body(()).unwrap());
        let answer =
            result.map_or_else(IntoResponse::into_response, |()| StatusCode::OK.into_response());
        answer.status().as_u16()
    }

    #[test]
    fn only_loopback_names_are_answered() {
        for host in [
            "localhost",
            "LOCALHOST:8081",
            "127.0.0.1",
            "127.0.0.1:9000",
            "[::1]:8081",
            "[::1]",
            "127.0.0.2:80",
        ] {
            assert_eq!(status("127.0.0.1:8081", &[host], "/", Method::GET), 200, "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:8081",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "127.0.0.1@evil.example",
            "192.0.2.1",
            "",
            ":8081",
            "0.0.0.0",
            "localhost:x",
        ] {
            assert_eq!(status("127.0.0.1:8081", &[host], "/", Method::GET), 421, "{host}");
        }
        assert_eq!(status("127.0.0.1:8081", &[], "/", Method::GET), 421);
        assert_eq!(status("127.0.0.1:8081", &["localhost", "localhost"], "/", Method::GET), 421);
        let absolute = "http://evil.example/";
        assert_eq!(status("127.0.0.1:8081", &["localhost"], absolute, Method::GET), 421);
    }

    #[test]
    fn off_loopback_only_health_is_served() {
        for bound in ["0.0.0.0:8081", "192.0.2.1:8081", "[::]:8081"] {
            assert_eq!(status(bound, &["pod:1"], "/healthz", Method::GET), 200);
            assert_eq!(status(bound, &[], "/readyz", Method::HEAD), 200);
            for path in ["/", "/metrics", "/healthz/", "/live", "/assets/console.css"] {
                assert_eq!(status(bound, &["localhost"], path, Method::GET), 403, "{path}");
            }
        }
        assert_eq!(status("[::1]:8081", &["localhost"], "/", Method::GET), 200);
    }

    #[test]
    fn nothing_can_be_changed() {
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS, Method::TRACE] {
            assert_eq!(status("127.0.0.1:8081", &["localhost"], "/", method), 405);
        }
    }
}
