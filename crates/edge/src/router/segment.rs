//! Comparing a request's path with literal text and with mixed segments, escapes decoded as they
//! are met, so that nothing is allocated.

use std::cmp::Ordering;

use plimsoll_snapshot::template::{Piece, next_byte};

/// Compares literal text with a segment of a path, the segment's escapes decoded.
pub(super) fn compare(literal: &[u8], mut segment: &[u8]) -> Ordering {
    for &expected in literal {
        let Some((byte, rest)) = next_byte(segment) else {
            return Ordering::Greater;
        };
        match expected.cmp(&byte) {
            Ordering::Equal => segment = rest,
            unequal => return unequal,
        }
    }
    if segment.is_empty() { Ordering::Equal } else { Ordering::Less }
}

/// What follows literal text at the start of a segment.
fn strip<'s>(literal: &[u8], mut segment: &'s [u8]) -> Option<&'s [u8]> {
    for &expected in literal {
        let (byte, rest) = next_byte(segment)?;
        if byte != expected {
            return None;
        }
        segment = rest;
    }
    Some(segment)
}

/// Whether a segment matches literals and parameters mixed, a parameter being one byte or more.
///
/// The leftmost place of each literal is taken, which leaves the most for what follows, and the
/// last literal must end the segment: that finds a match wherever there is one, without
/// backtracking. Cost: the segment's length times the longest literal.
pub(super) fn matches_mixed(pieces: &[Piece], segment: &[u8]) -> bool {
    let mut rest = segment;
    let mut after_parameter = false;
    for (index, piece) in pieces.iter().enumerate() {
        match piece {
            Piece::Parameter => {
                let Some((_, after)) = next_byte(rest) else {
                    return false;
                };
                rest = after;
                after_parameter = true;
            }
            Piece::Literal(literal) => {
                let last = index + 1 == pieces.len();
                let found = if after_parameter {
                    find(literal, rest, last)
                } else {
                    strip(literal, rest).filter(|after| !last || after.is_empty())
                };
                let Some(after) = found else { return false };
                rest = after;
                after_parameter = false;
            }
        }
    }
    after_parameter || rest.is_empty()
}

/// What follows the leftmost place of a literal, or, for the last one, of the place that ends the
/// segment.
fn find<'s>(literal: &[u8], mut segment: &'s [u8], last: bool) -> Option<&'s [u8]> {
    loop {
        match strip(literal, segment) {
            Some(after) if !last || after.is_empty() => return Some(after),
            _ => segment = next_byte(segment)?.1,
        }
    }
}

/// What follows a path prefix, where it ends at a segment's end: empty, or starting with `/`.
/// Slashes must be slashes; other bytes may be escaped.
pub(super) fn after_prefix<'p>(prefix: &[u8], mut path: &'p [u8]) -> Option<&'p [u8]> {
    for &expected in prefix {
        let (byte, rest) = next_byte(path)?;
        if byte != expected || (byte == b'/' && path[0] != b'/') {
            return None;
        }
        path = rest;
    }
    (path.is_empty() || path[0] == b'/').then_some(path)
}

#[cfg(test)]
mod tests {
    use plimsoll_snapshot::template::{Segment, Template};

    use super::*;

    fn mixed(template: &str, segment: &str) -> bool {
        let parsed = Template::parse(&format!("/{template}")).unwrap();
        let [Segment::Mixed(pieces)] = parsed.segments() else { panic!("{template} is not mixed") };
        matches_mixed(pieces, segment.as_bytes())
    }

    #[test]
    fn mixed_segments() {
        for (template, yes, no) in [
            (
                "{id}.json",
                &["1.json", "a.json.json", "%2e.json", ".json.json"][..],
                &[".json", "1.jso", "1.json5", ""][..],
            ),
            ("a.{ext}", &["a.b", "%61.b", "a.."], &["a.", "b.c", "a"]),
            (
                "{a}..{b}",
                &["1..2", "1...2", "....", "1..2..3"],
                &["..", "1..", "..2", "1.2", "..."],
            ),
            ("{id}:cancel", &["7:cancel", "7%3Acancel", ":cancel:cancel"], &[":cancel", "7:cance"]),
            ("v{major}.{minor}", &["v1.2", "v1.2.3", "v..."], &["v1.", "v.1", "v1", "1.2"]),
            ("{a}{b}", &["ab", "%61%62", "abc"], &["a", "%61", ""]),
            ("{a}ab{b}ab", &["xabyab", "ababcabab", "xababab"], &["xabab", "abab", "xabyabz"]),
        ] {
            for segment in yes {
                assert!(mixed(template, segment), "{template} should match {segment}");
            }
            for segment in no {
                assert!(!mixed(template, segment), "{template} should not match {segment}");
            }
        }
    }

    #[test]
    fn a_prefix_ends_where_a_segment_ends() {
        let after = |prefix: &str, path: &'static str| {
            after_prefix(prefix.as_bytes(), path.as_bytes())
                .map(|rest| std::str::from_utf8(rest).unwrap())
        };
        assert_eq!(after("/ws", "/ws"), Some(""));
        assert_eq!(after("/ws", "/ws/chat"), Some("/chat"));
        assert_eq!(after("/ws", "/%77s/chat"), Some("/chat"));
        assert_eq!(after("", "/any"), Some("/any"));
        for path in ["/wsx", "/w", "/ws%2Fchat", "%2Fws", "/"] {
            assert_eq!(after("/ws", path), None, "{path}");
        }
    }

    #[test]
    fn order_is_that_of_the_decoded_text() {
        assert_eq!(compare(b"abc", b"a%62c"), Ordering::Equal);
        assert_eq!(compare(b"abc", b"ab"), Ordering::Greater);
        assert_eq!(compare(b"ab", b"abc"), Ordering::Less);
        assert_eq!(compare(b"b", b"%61"), Ordering::Greater);
        assert_eq!(compare(b"", b""), Ordering::Equal);
    }
}
