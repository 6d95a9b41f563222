use http::header::HOST;
use http::{HeaderName, HeaderValue};

use super::*;

mod target;

const BOUNDS: Bounds = Bounds { headers_max: 100, header_bytes_max: 32 * 1024 };

fn map(pairs: &[(&str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in pairs {
        let name: HeaderName = name.parse().unwrap();
        map.append(name, HeaderValue::from_str(value).unwrap());
    }
    map
}

fn look(method: &str, target: &str, version: Version, pairs: &[(&str, &str)]) -> Checked {
    let mut headers = map(pairs);
    let uri: Uri = target.parse().unwrap();
    if uri.authority().is_none() && !headers.contains_key(HOST) {
        headers.insert(HOST, HeaderValue::from_static("shop.example"));
    }
    let fields = Fields::of(&headers);
    check_request(&method.parse().unwrap(), &uri, version, &headers, &fields, &BOUNDS)
        .map_err(|refusal| refusal.code)
}

type Checked = Result<RequestFacts, Code>;

fn post(pairs: &[(&str, &str)]) -> Checked {
    look("POST", "/orders", Version::HTTP_11, pairs)
}

#[test]
fn framing_is_one_plain_statement() {
    for (pairs, expected) in [
        (&[][..], Framing::Empty),
        (&[("content-length", "0")], Framing::Length(0)),
        (&[("content-length", "9223372036854775807")], Framing::Length(i64::MAX as u64)),
        (&[("transfer-encoding", "chunked")], Framing::Chunked),
        (&[("transfer-encoding", "Chunked")], Framing::Chunked),
    ] {
        assert_eq!(post(pairs).unwrap().framing, expected, "{pairs:?}");
    }
    let h2 = look("POST", "http://a.example/x", Version::HTTP_2, &[]);
    assert_eq!(h2.unwrap().framing, Framing::Stream);
}

#[test]
fn framing_that_two_servers_may_read_differently_is_refused() {
    for pairs in [
        &[("content-length", "5"), ("content-length", "5")][..],
        &[("content-length", "5"), ("content-length", "6")],
        &[("content-length", "5, 5")],
        &[("content-length", "5,6")],
        &[("content-length", "+5")],
        &[("content-length", "-0")],
        &[("content-length", "05")],
        &[("content-length", "00")],
        &[("content-length", "0x5")],
        &[("content-length", "5 ")],
        &[("content-length", "5\t6")],
        &[("content-length", "")],
        &[("content-length", "5.0")],
        &[("content-length", "9223372036854775808")],
        &[("content-length", "18446744073709551616")],
        &[("content-length", "5"), ("transfer-encoding", "chunked")],
        &[("transfer-encoding", "chunked"), ("content-length", "5")],
        &[("transfer-encoding", "chunked, chunked")],
        &[("transfer-encoding", "gzip, chunked")],
        &[("transfer-encoding", "chunked, identity")],
        &[("transfer-encoding", "identity")],
        &[("transfer-encoding", "xchunked")],
        &[("transfer-encoding", "chunked;q=1")],
        &[("transfer-encoding", "\"chunked\"")],
        &[("transfer-encoding", "")],
        &[("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")],
        &[("transfer-encoding", "identity"), ("transfer-encoding", "chunked")],
    ] {
        assert_eq!(post(pairs), Err(Code::BadFraming), "{pairs:?}");
    }
    for version in [Version::HTTP_10, Version::HTTP_2] {
        let target = "http://shop.example/x";
        let checked = look("POST", target, version, &[("transfer-encoding", "chunked")]);
        assert_eq!(checked, Err(Code::BadFraming), "{version:?}");
    }
}

#[test]
fn connection_may_name_only_what_can_be_spared() {
    for good in ["keep-alive", "close", "Keep-Alive, X-Hop", "close,,te", "x_custom", "trailer"] {
        assert!(post(&[("connection", good)]).is_ok(), "{good}");
    }
    for bad in [
        "Host",
        "close, content-length",
        "Transfer-Encoding",
        "forwarded",
        "x-forwarded-for",
        "X-Forwarded-Anything",
        "x-real-ip",
        "authorization",
        "Cookie",
        "x-user-id",
        "x_user_id",
        "Plimsoll-Client",
        "x-auth-request-email",
        "content-type",
        "idempotency-key",
        "x-api-key",
        "traceparent",
        "not a token",
        "\"quoted\"",
        "x(y)",
    ] {
        assert_eq!(post(&[("connection", bad)]), Err(Code::BadConnection), "{bad}");
    }
    let many = vec!["x-a"; 33].join(",");
    assert_eq!(post(&[("connection", &many)]), Err(Code::BadConnection));
    let long = "x".repeat(129);
    assert_eq!(post(&[("connection", &long)]), Err(Code::BadConnection));
    let h2 = look("GET", "http://a.example/", Version::HTTP_2, &[("connection", "close")]);
    assert_eq!(h2, Err(Code::BadConnection));
}

#[test]
fn an_upgrade_needs_its_connection_option_and_no_body() {
    let upgrade = |pairs: &[(&str, &str)]| post(pairs).map(|facts| facts.upgrade);
    let (asks, protocol) = (("connection", "Upgrade"), ("upgrade", "websocket"));
    assert_eq!(upgrade(&[asks, protocol]), Ok(Some(Upgrade::WebSocket)));
    assert_eq!(upgrade(&[asks, ("upgrade", "WebSocket")]), Ok(Some(Upgrade::WebSocket)));
    assert_eq!(upgrade(&[asks, ("upgrade", "foo/2")]), Ok(Some(Upgrade::Other)));
    assert_eq!(upgrade(&[asks, ("upgrade", "foo, websocket")]), Ok(Some(Upgrade::Other)));
    assert_eq!(upgrade(&[asks, ("upgrade", "h2c")]), Ok(None));
    assert_eq!(upgrade(&[asks, ("upgrade", "h2c, websocket")]), Ok(Some(Upgrade::WebSocket)));
    assert_eq!(upgrade(&[protocol]), Ok(None));
    assert_eq!(upgrade(&[asks]), Ok(None));
    assert_eq!(upgrade(&[asks, protocol, ("content-length", "0")]), Ok(Some(Upgrade::WebSocket)));
    for body in [("content-length", "5"), ("transfer-encoding", "chunked")] {
        assert_eq!(upgrade(&[asks, protocol, body]), Err(Code::BadFraming));
    }
}

#[test]
fn sizes_expectations_and_credentials_have_rules() {
    let bounds = Bounds { headers_max: 3, header_bytes_max: 64 };
    let check = |pairs: &[(&str, &str)]| {
        let (uri, headers) = (Uri::from_static("/"), map(pairs));
        let fields = Fields::of(&headers);
        check_request(&Method::GET, &uri, Version::HTTP_11, &headers, &fields, &bounds)
            .map(|facts| facts.expects_continue)
            .map_err(|refusal| refusal.code)
    };
    let host = ("host", "a");
    assert_eq!(check(&[host, ("a", "b"), ("c", "d")]), Ok(false));
    assert_eq!(check(&[host, ("a", "b"), ("a", "b"), ("a", "b")]), Err(Code::HeadersTooLarge));
    // 4 + 1 + 4 bytes for Host leave 55 for the other: name, value and 4.
    assert_eq!(check(&[host, ("a", &"x".repeat(50))]), Ok(false));
    assert_eq!(check(&[host, ("a", &"x".repeat(51))]), Err(Code::HeadersTooLarge));
    assert_eq!(check(&[host, ("expect", "100-Continue")]), Ok(true));
    assert_eq!(check(&[host, ("expect", "200-ok")]), Err(Code::BadExpectation));
    let twice = [host, ("expect", "100-continue"), ("expect", "100-continue")];
    assert_eq!(check(&twice), Err(Code::BadExpectation));
    let twice = [host, ("authorization", "Bearer a"), ("authorization", "Bearer b")];
    assert_eq!(check(&twice), Err(Code::CredentialsAmbiguous));
}

fn stripped(pairs: &[(&str, &str)]) -> Vec<String> {
    let mut headers = map(&[&[("host", "a")], pairs].concat());
    let uri = Uri::from_static("/");
    let fields = Fields::of(&headers);
    let version = Version::HTTP_11;
    let facts = check_request(&Method::GET, &uri, version, &headers, &fields, &BOUNDS).unwrap();
    drop(fields);
    strip_request(&mut headers, &facts);
    let mut left: Vec<_> =
        headers.iter().map(|(n, v)| format!("{n}: {}", v.to_str().unwrap())).collect();
    left.sort();
    left
}

#[test]
fn a_request_keeps_what_is_for_the_service() {
    assert_eq!(
        stripped(&[
            ("connection", "keep-alive, x-hop, upgrade"),
            ("x-hop", "1"),
            ("x-hop", "2"),
            ("keep-alive", "timeout=5"),
            ("proxy-authorization", "Basic x"),
            ("upgrade", "websocket"),
            ("te", "gzip;q=0.5, trailers"),
            ("trailer", "x-checksum"),
            ("expect", "100-continue"),
            ("x-forwarded-for", "6.6.6.6"),
            ("forwarded", "for=6.6.6.6"),
            ("x-real-ip", "6.6.6.6"),
            ("x-original-url", "/admin"),
            ("x-user-id", "root"),
            ("x_user_id", "root"),
            ("plimsoll-client", "platform=ios"),
            ("plimsoll-subject", "root"),
            ("authorization", "Bearer t"),
            ("cookie", "a=b"),
            ("x-api-key", "k"),
            ("x_custom", "1"),
        ]),
        [
            "authorization: Bearer t",
            "cookie: a=b",
            "host: a",
            "te: trailers",
            "trailer: x-checksum",
            "x-api-key: k",
            "x_custom: 1",
        ]
    );
    assert_eq!(stripped(&[("te", "gzip")]), ["host: a"]);
}

#[test]
fn an_answer_loses_the_fields_of_its_connection_only() {
    let mut headers = map(&[
        ("connection", "keep-alive, content-type, x-hop, set-cookie"),
        ("keep-alive", "timeout=5"),
        ("transfer-encoding", "chunked"),
        ("x-hop", "1"),
        ("content-type", "text/html"),
        ("set-cookie", "a=b"),
        ("trailer", "x"),
        ("via", "1.1 x"),
    ]);
    let facts = ResponseFacts::of(&headers);
    strip_response(&mut headers, &facts);
    let mut left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
    left.sort_unstable();
    assert_eq!(left, ["content-type", "set-cookie", "trailer", "via"]);
}

#[test]
fn an_answer_that_says_of_storing_is_noticed() {
    for (name, says) in [
        ("cache-control", true),
        ("cdn-cache-control", true),
        ("plimsoll-cache-control", true),
        ("expires", true),
        ("last-modified", true),
        ("etag", false),
        ("date", false),
        ("content-type", false),
        ("x-cache-control", false),
    ] {
        let facts = ResponseFacts::of(&map(&[(name, "0")]));
        assert_eq!(facts.says_of_storing, says, "{name}");
    }
}

#[test]
fn trailers_may_not_change_what_was_decided() {
    let mut trailers = map(&[
        ("grpc-status", "0"),
        ("x-checksum", "1"),
        ("content-length", "5"),
        ("transfer-encoding", "chunked"),
        ("authorization", "Bearer x"),
        ("x-user-id", "root"),
        ("plimsoll-subject", "root"),
        ("set-cookie", "a=b"),
        ("host", "b"),
    ]);
    strip_trailers(&mut trailers);
    let mut left: Vec<_> = trailers.keys().map(HeaderName::as_str).collect();
    left.sort_unstable();
    assert_eq!(left, ["grpc-status", "x-checksum"]);
}
