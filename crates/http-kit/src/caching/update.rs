//! What is kept of an answer's head (RFC 9111 §3.1), and what a 304 changes of it (§3.2).

use http::{HeaderMap, HeaderName, header};

use super::PLIMSOLL_CACHE_CONTROL;
use super::control::Omitted;

/// Fields of one hop or one exchange.
fn is_passing(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "age"
            | "connection"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authentication-info"
            | "proxy-authorization"
            | "proxy-connection"
            | "set-cookie"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
            | "x-request-id"
    )
}

/// Fields that say what the stored bytes are; a 304 sends no other bytes.
fn is_of_the_bytes(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "content-encoding"
            | "content-length"
            | "content-md5"
            | "content-digest"
            | "content-range"
            | "etag"
            | "repr-digest"
    )
}

/// Takes out of a head what is not stored with it. `omitted` is what `no-cache` names.
pub fn strip(head: &mut HeaderMap, omitted: &Omitted) {
    let gone = |name: &HeaderName| is_passing(name) || omitted.contains(name);
    let doomed: Omitted = head.keys().filter(|name| gone(name)).cloned().collect();
    for name in doomed {
        head.remove(name);
    }
}

/// What clients do not get to see of a service's answer.
pub fn hide(head: &mut HeaderMap) {
    head.remove(PLIMSOLL_CACHE_CONTROL);
}

/// The stored head as a 304 says it is now.
#[must_use]
pub fn freshen(stored: &HeaderMap, not_modified: &HeaderMap) -> HeaderMap {
    let mut head = stored.clone();
    for name in not_modified.keys() {
        if is_passing(name) || is_of_the_bytes(name) || *name == header::WARNING {
            continue;
        }
        head.remove(name);
        for value in not_modified.get_all(name) {
            head.append(name, value.clone());
        }
    }
    head
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn a_304_changes_all_but_what_the_bytes_are() {
        let stored = headers(&[
            ("a", "1"),
            ("b", "1"),
            ("etag", "\"1\""),
            ("content-length", "5"),
            ("content-type", "x"),
        ]);
        let new = headers(&[
            ("a", "2"),
            ("a", "3"),
            ("etag", "\"2\""),
            ("content-length", "0"),
            ("content-type", "y"),
            ("set-cookie", "c=d"),
            ("c", "4"),
            ("age", "9"),
        ]);
        let expected = headers(&[
            ("b", "1"),
            ("etag", "\"1\""),
            ("content-length", "5"),
            ("a", "2"),
            ("a", "3"),
            ("content-type", "y"),
            ("c", "4"),
        ]);
        assert_eq!(freshen(&stored, &new), expected);
    }

    #[test]
    fn what_belongs_to_one_exchange_is_not_stored() {
        let mut head = headers(&[
            ("a", "1"),
            ("b", "2"),
            ("age", "3"),
            ("set-cookie", "c=d"),
            ("x-request-id", "1"),
            ("proxy-authentication-info", "x"),
        ]);
        strip(&mut head, &Omitted::from_iter([HeaderName::from_static("b")]));
        assert_eq!(head, headers(&[("a", "1")]));
    }
}
