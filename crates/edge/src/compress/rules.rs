//! Which answers are compressed, and what their head says then.

use http::{HeaderMap, HeaderValue, header};
use plimsoll_http_kit::coding::Coding;
use smallvec::SmallVec;

use super::{tags, text};

const ACCEPT_ENCODING: HeaderValue = HeaderValue::from_static("accept-encoding");

/// What one pass over an answer's head found. Lines are looked into only where it comes to them:
/// most answers are too short.
#[derive(Debug, Default)]
pub(super) struct Facts<'h> {
    /// The body's length where it is known.
    pub(super) length: Option<u64>,
    pub(super) sets_cookie: bool,
    /// Whether its entity tag is weak, where it has one.
    pub(super) tag_is_weak: Option<bool>,
    content_type: Option<&'h HeaderValue>,
    cache_control: SmallVec<[&'h HeaderValue; 1]>,
    /// It has a coding already, is a part, or says what its bytes are.
    is_closed: bool,
}

impl<'h> Facts<'h> {
    pub(super) fn of(headers: &'h HeaderMap, length: Option<u64>) -> Self {
        let mut facts = Self { length, ..Self::default() };
        for (name, value) in headers {
            let name = name.as_str();
            match name.as_bytes().first() {
                Some(b'c') => match name {
                    "content-type" => facts.content_type = Some(value),
                    "content-length" => facts.length = text(value).trim().parse().ok(),
                    "cache-control" => facts.cache_control.push(value),
                    "content-encoding" | "content-range" | "content-digest" | "content-md5" => {
                        facts.is_closed = true;
                    }
                    _ => {}
                },
                Some(b'd') if name == "digest" => facts.is_closed = true,
                Some(b'e') if name == "etag" => {
                    facts.tag_is_weak = Some(value.as_bytes().starts_with(b"W/"));
                }
                Some(b'r') if name == "repr-digest" => facts.is_closed = true,
                Some(b's') if name == "signature" => facts.is_closed = true,
                Some(b's') if name == "set-cookie" => facts.sets_cookie = true,
                _ => {}
            }
        }
        facts
    }

    /// Whether it is one to compress, `bytes_min` long at least where it says its length.
    pub(super) fn is_compressible(&self, bytes_min: u64) -> bool {
        !self.is_closed
            && self.length.is_none_or(|length| length >= bytes_min.max(1))
            && self.content_type.is_some_and(|line| is_open(text(line)))
            && !self.cache_control.iter().any(|line| says_no_transform(text(line)))
    }
}

/// Whether a media type is text, or made of it, and not compressed by nature.
fn is_open(value: &str) -> bool {
    let essence = value.split(';').next().unwrap_or_default().trim();
    let is = |known: &str| essence.eq_ignore_ascii_case(known);
    let ends = |suffix: &str| {
        let start = essence.len().checked_sub(suffix.len());
        start.and_then(|at| essence.get(at..)).is_some_and(|end| end.eq_ignore_ascii_case(suffix))
    };
    let starts = |prefix: &str| {
        essence.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    if starts("application/grpc") || is("text/event-stream") {
        return false;
    }
    starts("text/")
        || is("application/json")
        || ends("+json")
        || ends("+xml")
        || OPEN_TYPES.iter().any(|known| is(known))
}

const OPEN_TYPES: [&str; 15] = [
    "application/javascript",
    "application/x-javascript",
    "application/xml",
    "application/x-ndjson",
    "application/ndjson",
    "application/json-seq",
    "application/x-www-form-urlencoded",
    "application/protobuf",
    "application/x-protobuf",
    "application/vnd.google.protobuf",
    "application/wasm",
    "application/yaml",
    "font/ttf",
    "font/otf",
    "image/bmp",
];

fn says_no_transform(value: &str) -> bool {
    value.split(',').any(|directive| directive.trim().eq_ignore_ascii_case("no-transform"))
}

/// `Vary` names `Accept-Encoding` once, in one line, beside what was there.
pub(super) fn vary_on_accept_encoding(headers: &mut HeaderMap) {
    let mut lines = headers.get_all(header::VARY).iter();
    let Some(first) = lines.next() else {
        headers.insert(header::VARY, ACCEPT_ENCODING);
        return;
    };
    let is_one_line = lines.next().is_none();
    let members = || headers.get_all(header::VARY).iter().flat_map(|line| text(line).split(','));
    let named = |name: &str| members().any(|member| member.trim().eq_ignore_ascii_case(name));
    if named("*") || (is_one_line && named("accept-encoding")) {
        return;
    }
    let mut whole = Vec::with_capacity(first.len() + 64);
    let mut seen: Vec<&str> = Vec::new();
    for member in members().map(str::trim).chain(["accept-encoding"]) {
        if member.is_empty() || seen.iter().any(|before| before.eq_ignore_ascii_case(member)) {
            continue;
        }
        if !whole.is_empty() {
            whole.extend_from_slice(b", ");
        }
        whole.extend_from_slice(member.as_bytes());
        seen.push(member);
    }
    if let Ok(whole) = HeaderValue::from_maybe_shared(bytes::Bytes::from(whole)) {
        headers.insert(header::VARY, whole);
    }
}

/// The head of an answer that is compressed. Its length is not known, its ranges would be others,
/// and its tag must not promise the bytes of the answer as it was.
pub(super) fn say(headers: &mut HeaderMap, coding: Coding) {
    headers.insert(header::CONTENT_ENCODING, coding.header_value());
    headers.remove(header::CONTENT_LENGTH);
    headers.remove(header::ACCEPT_RANGES);
    tags::weaken(headers);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    fn compressible(lines: &[(&'static str, &'static str)]) -> bool {
        Facts::of(&head(lines), None).is_compressible(1_400)
    }

    #[test]
    fn media_types_are_told_apart() {
        for open in [
            "application/json",
            "application/json; charset=utf-8",
            "APPLICATION/JSON",
            "text/html",
            "text/plain;charset=utf-8",
            "application/problem+json",
            "application/vnd.api+json ; v=2",
            "image/svg+xml",
            "application/graphql-response+json",
            "application/x-protobuf",
            "application/wasm",
        ] {
            assert!(is_open(open), "{open}");
        }
        for closed in [
            "",
            "text",
            "json",
            "+jso",
            "text/event-stream",
            "text/event-stream; charset=utf-8",
            "image/png",
            "image/jpeg",
            "video/mp4",
            "application/zip",
            "application/gzip",
            "application/pdf",
            "application/octet-stream",
            "application/grpc",
            "application/grpc+proto",
            "application/grpc-web-text",
            "font/woff2",
            "multipart/mixed",
            "é",
        ] {
            assert!(!is_open(closed), "{closed}");
        }
        // gRPC in JSON is still framed messages.
        assert!(!compressible(&[("content-type", "application/grpc+json")]));
    }

    #[test]
    fn what_must_stay_as_it_is() {
        const JSON: (&str, &str) = ("content-type", "application/json");
        assert!(compressible(&[JSON]));
        assert!(compressible(&[JSON, ("content-length", "1400")]));
        for line in [
            ("content-length", "1399"),
            ("content-length", "0"),
            ("content-encoding", "gzip"),
            ("content-encoding", "identity"),
            ("content-range", "bytes 0-9/10"),
            ("cache-control", "public, No-Transform"),
            ("content-digest", "sha-256=:AA==:"),
            ("repr-digest", "sha-256=:AA==:"),
            ("digest", "SHA-256=AA=="),
            ("content-md5", "AA=="),
            ("signature", "sig1=:AA==:"),
        ] {
            assert!(!compressible(&[JSON, line]), "{line:?}");
        }
        assert!(compressible(&[JSON, ("cache-control", "no-transformation, max-age=1")]));
        assert!(!compressible(&[("content-length", "5000")]));
    }

    #[test]
    fn vary_is_one_line_that_names_each_field_once() {
        for (before, after) in [
            (&[][..], "accept-encoding"),
            (&["Origin"], "Origin, accept-encoding"),
            (&["Origin", "X-Tenant"], "Origin, X-Tenant, accept-encoding"),
            (&["Accept-Encoding"], "Accept-Encoding"),
            (&["origin,ACCEPT-ENCODING"], "origin,ACCEPT-ENCODING"),
            (&["Accept-Encoding", "Origin", "Accept-Encoding"], "Accept-Encoding, Origin"),
            (&["*"], "*"),
            (&["", " , "], "accept-encoding"),
            (&["x-accept-encoding"], "x-accept-encoding, accept-encoding"),
        ] {
            let mut headers = HeaderMap::new();
            for line in before {
                headers.append(header::VARY, HeaderValue::from_static(line));
            }
            vary_on_accept_encoding(&mut headers);
            let lines: Vec<_> = headers.get_all(header::VARY).iter().collect();
            assert_eq!(lines, [after], "{before:?}");
        }
    }

    #[test]
    fn the_head_of_a_compressed_answer() {
        let mut headers = head(&[
            ("content-length", "5000"),
            ("accept-ranges", "bytes"),
            ("etag", "\"v1\""),
            ("content-type", "text/css"),
        ]);
        say(&mut headers, Coding::Brotli);
        let expected =
            head(&[("etag", "W/\"v1\""), ("content-type", "text/css"), ("content-encoding", "br")]);
        assert_eq!(headers, expected);
    }
}
