//! The hygiene of the crate against the same rules told slowly. Every decision must be the same,
//! code by code.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version};
use plimsoll_http_kit::hygiene::{Fields, check_path, check_request, strip_request};
use proptest::prelude::*;

use crate::naive::{
    BOUNDS, FORWARDING, Facts, HOP_BY_HOP, IDENTITY, Lines, naive, naive_strip, path,
};

fn any_path() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "/", "/", ".", "..", "%2e", "%2E", "%2f", "%2F", "%5c", "\\", "%00", "a", "b-c", ";",
        "%3b", "%", "%2", "%c0", "%C1", "%e2", "%25", "2e", "\u{e9}", "//", "...", "x=1", "%zz",
        "%+1",
    ]);
    let pieces = prop::collection::vec(piece, 0..9).prop_map(|pieces| pieces.concat());
    (any::<bool>(), pieces).prop_map(|(slash, rest)| if slash { format!("/{rest}") } else { rest })
}

fn any_target() -> impl Strategy<Value = String> {
    let other = prop::sample::select(vec![
        "*",
        "a.example:443",
        "http://a.example",
        "http://a.example/x",
        "https://A.example/..",
        "http://u@a.example/",
        "ftp://a.example/x",
        "http://[::1]:80/",
        "/x?y=/../",
        "/",
    ]);
    prop_oneof![3 => any_path(), 2 => other.prop_map(str::to_owned)]
}

fn any_line() -> impl Strategy<Value = (String, Vec<u8>)> {
    let name = prop::sample::select(vec![
        "host",
        "host",
        "content-length",
        "transfer-encoding",
        "connection",
        "connection",
        "upgrade",
        "te",
        "expect",
        "authorization",
        "forwarded",
        "x-forwarded-for",
        "x-user-id",
        "x_user_id",
        "content_length",
        "plimsoll-subject",
        "plimsoll_x",
        "x-hop",
        "keep-alive",
        "proxy-authorization",
        "cookie",
        "x-real-ip",
        "accept",
        "x_custom",
        "remote-user",
        "fastly-client-ip",
        "host_",
        "te_",
        "x-consumer-id",
        "http2_settings",
    ]);
    let value = prop::sample::select(vec![
        "a.example",
        "A.Example",
        "a.example:80",
        "a.example:",
        "[::1]",
        "[::1]:99999",
        "",
        "b",
        "5",
        "05",
        "5,5",
        "+5",
        "0",
        "99999999999999999999",
        "9223372036854775807",
        "chunked",
        " Chunked",
        "chunked, gzip",
        "close",
        "keep-alive, x-hop",
        "x-hop,Upgrade",
        "upgrade",
        "host",
        "x_user_id",
        "cookie",
        "close, te, accept",
        "websocket",
        "h2c",
        "h2c, websocket",
        "websocket, foo",
        "trailers",
        "gzip;q=1, Trailers",
        "100-continue",
        "100-Continue",
        "200",
        "a b",
        ",,",
        "content_length",
        "plimsoll-x, x-hop",
    ]);
    let bytes = prop_oneof![
        9 => value.prop_map(|value| value.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..30),
    ];
    (name.prop_map(str::to_owned), bytes)
}

/// Lines that are not refused, with every name that stripping knows and some it does not.
fn strippable_line() -> impl Strategy<Value = (String, Vec<u8>)> {
    let more = [
        "x-hop",
        "x-hop-b",
        "x_custom",
        "accept",
        "cookie",
        "trailer",
        "user-agent",
        "plimsoll-a",
        "plimsoll_a",
        "x-forwarded-proto",
        "x_forwarded_proto",
        "x-user",
        "x-user-agent",
        "expect_",
        "fastly-client-ip",
        "x-ssl-client-dn",
        "x-consumer-id",
        "x-amzn-oidc-data",
        "x-auth-request-user",
        "x-goog-authenticated-user-id",
        "x-ms-client-principal",
        "x-ms-client-principal-id",
        "x-forwarded-for-me",
        "x-forwardedx",
        "x-a",
        "x-",
        "x",
        "x_ssl_client_dn",
        "true_client_ip",
        "keep_alive",
    ];
    let names: Vec<&str> = HOP_BY_HOP
        .iter()
        .chain(&FORWARDING)
        .chain(&IDENTITY)
        .chain(&more)
        .copied()
        .filter(|name| *name != "connection" && *name != "transfer-encoding")
        .collect();
    let named = prop::sample::subsequence(
        vec![
            "close",
            "x-hop",
            "X-Hop-B",
            "te",
            "keep-alive",
            "trailer",
            "x_custom",
            "",
            "x-absent",
        ],
        0..6,
    );
    let value = prop::sample::select(vec!["", "x", "trailers", "gzip, trailers", "websocket"]);
    prop_oneof![
        1 => named.prop_map(|names| ("connection".to_owned(), names.join(", ").into_bytes())),
        6 => (prop::sample::select(names), value)
            .prop_map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec())),
    ]
}

fn sorted(headers: &HeaderMap) -> Lines {
    let mut lines: Lines = headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
        .collect();
    lines.sort();
    lines
}

/// Lines as a parser hands them over: legal values only.
fn header_map(lines: &[(String, Vec<u8>)]) -> Option<(HeaderMap, Lines)> {
    let mut map = HeaderMap::new();
    for (name, value) in lines {
        let name: HeaderName = name.parse().ok()?;
        map.append(name, HeaderValue::from_bytes(value).ok()?);
    }
    Some((map, lines.to_vec()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn paths_are_decided_alike(text in any_path()) {
        let decided = check_path(&text).map_err(|refusal| refusal.code);
        prop_assert_eq!(decided, path(&text), "{:?}", text);
    }

    #[test]
    fn any_text_is_survived_as_a_path(text in any::<String>()) {
        prop_assert_eq!(check_path(&text).is_ok(), path(&text).is_ok(), "{:?}", text);
    }

    #[test]
    fn requests_are_decided_and_stripped_alike(
        method in prop::sample::select(vec!["GET", "POST", "OPTIONS", "CONNECT", "TRACE", "PURGE"]),
        target in any_target(),
        version in prop::sample::select(vec![
            Version::HTTP_10, Version::HTTP_11, Version::HTTP_11, Version::HTTP_2,
        ]),
        with_host in any::<bool>(),
        mut lines in prop::collection::vec(any_line(), 0..8),
    ) {
        if with_host {
            lines.retain(|(name, _)| name != "host");
            lines.push(("host".to_owned(), b"a.example".to_vec()));
        }
        let made = (target.parse::<Uri>(), header_map(&lines));
        let (Ok(uri), Some((mut headers, lines))) = made else {
            return Ok(());
        };
        let method: Method = method.parse().unwrap();
        let expected = naive(&method, &uri, version, &lines);
        let fields = Fields::of(&headers);
        let decided = check_request(&method, &uri, version, &headers, &fields, &BOUNDS);
        let shown = decided
            .as_ref()
            .map(|facts| Facts {
                framing: facts.framing,
                upgrade: facts.upgrade,
                trailers: facts.te_trailers,
                expects: facts.expects_continue,
            })
            .map_err(|refusal| refusal.code);
        prop_assert_eq!(&shown, &expected, "{} {} {:?} {:?}", method, uri, version, lines);
        if let (Ok(facts), Ok(expected)) = (decided, expected) {
            drop(fields);
            strip_request(&mut headers, &facts);
            prop_assert_eq!(sorted(&headers), naive_strip(&lines, &expected));
        }
    }

    #[test]
    fn what_is_accepted_is_stripped_alike(
        mut lines in prop::collection::vec(strippable_line(), 0..10),
    ) {
        lines.push(("host".to_owned(), b"a.example".to_vec()));
        let uri = Uri::from_static("/");
        let (mut headers, lines) = header_map(&lines).unwrap();
        let expected = naive(&Method::GET, &uri, Version::HTTP_11, &lines).unwrap();
        let (fields, version) = (Fields::of(&headers), Version::HTTP_11);
        let facts =
            check_request(&Method::GET, &uri, version, &headers, &fields, &BOUNDS).unwrap();
        drop(fields);
        strip_request(&mut headers, &facts);
        prop_assert_eq!(sorted(&headers), naive_strip(&lines, &expected));
    }
}
