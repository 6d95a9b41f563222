//! Conditional requests (RFC 9110 §13): what a stored answer says to a client's condition, and the
//! condition under which the service is asked whether a stored answer still holds.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::date;

/// Entity tags that one `If-None-Match` is searched for.
const TAGS_MAX: usize = 64;

/// The conditions on reads.
const CONDITIONS: [HeaderName; 5] = [
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_RANGE,
    header::IF_MATCH,
    header::IF_UNMODIFIED_SINCE,
];

/// Whether a request states any condition.
#[must_use]
pub fn is_conditional(request: &HeaderMap) -> bool {
    CONDITIONS.iter().any(|name| request.contains_key(name))
}

/// Whether a request states a condition that only the service can judge.
#[must_use]
pub fn is_for_the_service(request: &HeaderMap) -> bool {
    request.contains_key(header::IF_MATCH) || request.contains_key(header::IF_UNMODIFIED_SINCE)
}

/// Whether the client holds the stored answer already, so that 304 says all. `If-None-Match` is
/// compared weakly and alone counts where it is there (RFC 9110 §13.2.2).
#[must_use]
pub fn is_not_modified(request: &HeaderMap, stored: &HeaderMap) -> bool {
    if request.contains_key(header::IF_NONE_MATCH) {
        let held = stored.get(header::ETAG).map(HeaderValue::as_bytes);
        return names_tag(request, held);
    }
    let Some(since) = date::of(request, &header::IF_MODIFIED_SINCE) else { return false };
    let modified = date::of(stored, &header::LAST_MODIFIED);
    modified.or_else(|| date::of(stored, &header::DATE)).is_some_and(|modified| modified <= since)
}

fn names_tag(request: &HeaderMap, held: Option<&[u8]>) -> bool {
    let lines = request.get_all(header::IF_NONE_MATCH).iter().map(HeaderValue::as_bytes);
    let held = held.map(opaque);
    let mut tags = lines.flat_map(Tags).take(TAGS_MAX);
    tags.any(|tag| tag == b"*" || held.is_some_and(|held| held == opaque(tag)))
}

/// The tag without its weakness.
fn opaque(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

/// The entity tags of one line, as they stand there.
struct Tags<'v>(&'v [u8]);

impl<'v> Iterator for Tags<'v> {
    type Item = &'v [u8];

    fn next(&mut self) -> Option<&'v [u8]> {
        self.0 = self.0.trim_ascii_start();
        while let Some(rest) = self.0.strip_prefix(b",") {
            self.0 = rest.trim_ascii_start();
        }
        if self.0.is_empty() {
            return None;
        }
        let mut quoted = false;
        let end = self.0.iter().position(|byte| {
            quoted ^= *byte == b'"';
            *byte == b',' && !quoted
        });
        let (tag, rest) = self.0.split_at(end.unwrap_or(self.0.len()));
        self.0 = rest;
        Some(tag.trim_ascii_end())
    }
}

/// Puts the stored answer's validators in the place of the client's conditions. True where there
/// are any, so that the service can say that it still holds.
pub fn ask_whether_it_holds(request: &mut HeaderMap, stored: &HeaderMap) -> bool {
    request.remove(header::IF_NONE_MATCH);
    request.remove(header::IF_MODIFIED_SINCE);
    request.remove(header::IF_RANGE);
    let mut any = false;
    for (condition, validator) in
        [(header::IF_NONE_MATCH, header::ETAG), (header::IF_MODIFIED_SINCE, header::LAST_MODIFIED)]
    {
        if let Some(value) = stored.get(validator) {
            request.insert(condition, value.clone());
            any = true;
        }
    }
    any
}

/// Takes out of a stored head what a 304 does not say (RFC 9110 §15.4.5).
pub fn make_not_modified(head: &mut HeaderMap) {
    for name in [
        header::CONTENT_LENGTH,
        header::CONTENT_TYPE,
        header::CONTENT_ENCODING,
        header::CONTENT_LANGUAGE,
        header::CONTENT_RANGE,
    ] {
        head.remove(name);
    }
    if head.contains_key(header::ETAG) {
        head.remove(header::LAST_MODIFIED);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn asked(name: &HeaderName, lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(name, HeaderValue::from_str(line).unwrap());
        }
        headers
    }

    #[test]
    fn tags_are_compared_weakly_and_whole() {
        for (lines, held, is) in [
            (&["\"a\""][..], "\"a\"", true),
            (&["W/\"a\""], "\"a\"", true),
            (&["\"a\""], "W/\"a\"", true),
            (&["\"x\", \"a\",\"y\""], "\"a\"", true),
            (&["\"x\"", "\"a\""], "\"a\"", true),
            (&["*"], "\"a\"", true),
            (&["\"x, \\\"a\""], "\"a\"", false),
            (&["\"b,a\""], "\"b,a\"", true),
            (&["\"A\""], "\"a\"", false),
            (&["a"], "\"a\"", false),
            (&[""], "\"a\"", false),
        ] {
            let request = asked(&header::IF_NONE_MATCH, lines);
            let stored = asked(&header::ETAG, &[held]);
            assert_eq!(is_not_modified(&request, &stored), is, "{lines:?} {held}");
        }
        assert!(!is_not_modified(&asked(&header::IF_NONE_MATCH, &["\"a\""]), &HeaderMap::new()));
    }

    #[test]
    fn a_tag_counts_before_a_date() {
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        let earlier = "Sun, 06 Nov 1994 08:49:36 GMT";
        let mut stored = asked(&header::LAST_MODIFIED, &[date]);
        stored.insert(header::ETAG, HeaderValue::from_static("\"a\""));
        let mut request = asked(&header::IF_MODIFIED_SINCE, &[date]);
        assert!(is_not_modified(&request, &stored));
        assert!(!is_not_modified(&asked(&header::IF_MODIFIED_SINCE, &[earlier]), &stored));
        request.insert(header::IF_NONE_MATCH, HeaderValue::from_static("\"b\""));
        assert!(!is_not_modified(&request, &stored));
        assert!(!is_not_modified(&asked(&header::IF_MODIFIED_SINCE, &["x"]), &stored));
        let dated = asked(&header::DATE, &[date]);
        assert!(is_not_modified(&asked(&header::IF_MODIFIED_SINCE, &[date]), &dated));
    }

    #[test]
    fn the_service_is_asked_about_what_is_stored_and_nothing_else() {
        let mut request = asked(&header::IF_NONE_MATCH, &["\"theirs\"", "\"too\""]);
        let stored = asked(&header::ETAG, &["\"ours\""]);
        assert!(ask_whether_it_holds(&mut request, &stored));
        assert_eq!(request, asked(&header::IF_NONE_MATCH, &["\"ours\""]));
        assert!(!ask_whether_it_holds(&mut request, &HeaderMap::new()));
        assert!(request.is_empty());
    }

    proptest! {
        #[test]
        fn a_tag_is_found_wherever_it_stands(
            before in prop::collection::vec("[a-z,]{0,4}", 0..4),
            after in prop::collection::vec("[a-z,]{0,4}", 0..4),
        ) {
            let all = before.iter().map(String::as_str).chain(["THE"]);
            let all = all.chain(after.iter().map(String::as_str));
            let all: Vec<String> = all.map(|tag| format!("\"{tag}\"")).collect();
            let request = asked(&header::IF_NONE_MATCH, &[&all.join(", ")]);
            prop_assert!(is_not_modified(&request, &asked(&header::ETAG, &["\"THE\""])));
            prop_assert!(!is_not_modified(&request, &asked(&header::ETAG, &["\"NOT\""])));
        }
    }
}
