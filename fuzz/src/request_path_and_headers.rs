//! Parser: `plimsoll_http_kit::hygiene` (target, path rule, framing, `Connection`, strip) and
//! `request_id::Id::parse`. Input: `METHOD TARGET VERSION`, then header lines.

use http::{HeaderMap, Method, Uri, Version};
use plimsoll_http_kit::hygiene::{Bounds, Fields, Framing, ResponseFacts};
use plimsoll_http_kit::hygiene::{check_path, check_request, strip_request};
use plimsoll_http_kit::hygiene::{is_identity_header, strip_response, strip_trailers};
use plimsoll_http_kit::request_id::Id;

use crate::head::decode;

const BOUNDS: Bounds = Bounds { headers_max: 100, header_bytes_max: 32 << 10 };
const ONE_CONNECTION: [&str; 7] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authorization",
    "transfer-encoding",
    "upgrade",
    "expect",
];
const FORWARDING: [&str; 5] =
    ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip"];

/// Feeds the parser.
pub fn run(data: &[u8]) {
    let (first, headers) = crate::head::split(data);
    let line = String::from_utf8_lossy(first);
    let mut words = line.split(' ');
    let (method, target) = (words.next().unwrap_or("GET"), words.next().unwrap_or("/"));
    let version = if words.next() == Some("HTTP/2") { Version::HTTP_2 } else { Version::HTTP_11 };
    path_alone(target);
    if let Some(id) = Id::parse(target.as_bytes()) {
        assert_eq!(id.as_str(), target, "an accepted id was changed");
        assert!(target.bytes().all(|b| b.is_ascii_graphic()), "an id that cannot be logged");
    }
    let (Ok(method), Ok(uri)) = (Method::from_bytes(method.as_bytes()), target.parse::<Uri>())
    else {
        return;
    };
    let fields = Fields::of(&headers);
    let Ok(facts) = check_request(&method, &uri, version, &headers, &fields, &BOUNDS) else {
        return;
    };
    if uri.path() != "*" {
        assert!(check_path(uri.path()).is_ok(), "checked as a request, refused as a path");
    }
    framing_is_single(&headers, facts.framing);
    drop(fields);
    let mut stripped = headers.clone();
    strip_request(&mut stripped, &facts);
    for name in stripped.keys() {
        let name = name.as_str();
        assert!(!ONE_CONNECTION.contains(&name), "{name} was passed on");
        assert!(!FORWARDING.contains(&name), "{name} of a client was passed on");
        assert!(!is_identity_header(name), "{name} of a client was passed on");
        assert!(!name.starts_with("plimsoll-"), "{name} of a client was passed on");
    }
    for name in ["host", "content-length"] {
        let count = |map: &HeaderMap| map.get_all(name).iter().count();
        assert_eq!(count(&headers), count(&stripped), "{name} was lost");
    }
    let mut answer = headers.clone();
    let facts = ResponseFacts::of(&answer);
    strip_response(&mut answer, &facts);
    let mut trailers = headers;
    strip_trailers(&mut trailers);
    for name in ["content-length", "transfer-encoding", "host", "authorization", "connection"] {
        assert!(!trailers.contains_key(name), "{name} as a trailer");
    }
    assert!(!answer.contains_key("connection") && !answer.contains_key("keep-alive"));
}

/// The path rule against the slowest reading of it: decode everything, cut at slashes.
fn path_alone(path: &str) {
    if check_path(path).is_err() {
        return;
    }
    assert!(path.starts_with('/'), "{path:?}");
    assert!(path.bytes().all(|b| (0x21..0x7f).contains(&b) && b != b'\\'), "{path:?}");
    let decoded = decode(path.as_bytes());
    assert!(!decoded.contains(&0) && !decoded.contains(&b'\\'), "{path:?}");
    for segment in decoded.split(|byte| *byte == b'/') {
        let name = segment.split(|byte| *byte == b';').next().unwrap_or(segment);
        assert!(name != b"." && name != b"..", "{path:?}");
    }
}

fn framing_is_single(headers: &HeaderMap, framing: Framing) {
    let lengths = headers.get_all("content-length").iter().count();
    let codings = headers.get_all("transfer-encoding").iter().count();
    assert!(lengths + codings <= 1, "two ways to frame one body were taken");
    match framing {
        Framing::Chunked => assert_eq!((lengths, codings), (0, 1)),
        Framing::Length(n) => {
            assert_eq!((lengths, codings), (1, 0));
            let text = headers["content-length"].to_str().unwrap_or("");
            assert!(text.bytes().all(|b| b.is_ascii_digit()) && text.parse() == Ok(n));
        }
        Framing::Empty | Framing::Stream => assert_eq!(codings, 0),
    }
}
