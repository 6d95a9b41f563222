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

use crate::problem::{OpsCode, Problem};

/// Nothing loads from elsewhere, nothing frames it, nothing is sent from it.
const POLICY: &str = "default-src 'self'; base-uri 'none'; form-action 'none'; \
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

/// Refuses who may not ask; sets the headers of every answer.
pub(crate) async fn guard(
    State(bound): State<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    let mut response = match check(bound, &request) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
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
                "The ops listener is bound off loopback, so it serves /healthz and /readyz only. \
                 Bind it to 127.0.0.1 and reach it through a tunnel.",
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
