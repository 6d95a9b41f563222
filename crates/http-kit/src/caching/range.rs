//! Parts of a stored answer (RFC 9110 §14): one range of bytes.

use std::ops::Range;

use http::{HeaderMap, HeaderValue, header};

/// What of a stored body is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it: no range was asked for, or one that may be left unheeded.
    Whole,
    /// These bytes.
    Bytes(Range<u64>),
    /// None of the bytes asked for exist.
    Unsatisfiable,
}

/// What `request` wants of the `length` bytes of `stored`. Several ranges are answered whole, and
/// so is a range of another answer than the stored one (`If-Range`).
#[must_use]
pub fn wanted(request: &HeaderMap, stored: &HeaderMap, length: u64) -> Part {
    let mut lines = request.get_all(header::RANGE).iter();
    let (Some(range), None) = (lines.next(), lines.next()) else { return Part::Whole };
    if let Some(same) = request.get(header::IF_RANGE)
        && !is_strongly(same, stored.get(header::ETAG))
    {
        return Part::Whole;
    }
    part(range.as_bytes(), length).unwrap_or(Part::Whole)
}

/// How many of the last bytes of a stored part `request` wants, where the part is the end of its
/// whole, and no fewer than that: whoever was sent the last five bytes has the last one.
#[must_use]
pub fn shorter_end(request: &HeaderMap, stored_range: &HeaderValue, length: u64) -> Option<u64> {
    let mut lines = request.get_all(header::RANGE).iter();
    let (Some(range), None) = (lines.next(), lines.next()) else { return None };
    let held = suffix(stored_range)?;
    let wanted = suffix(range)?;
    // A whole shorter than what was asked for would have been sent whole.
    (held == length && (1..=length).contains(&wanted) && !request.contains_key(header::IF_RANGE))
        .then_some(wanted)
}

fn suffix(range: &HeaderValue) -> Option<u64> {
    let set = range.to_str().ok()?.strip_prefix("bytes=-")?;
    if set.is_empty() { None } else { number(set) }
}

/// The whole's length, where `Content-Range` says that a part reaches to its end.
#[must_use]
pub fn length_of_whole(stored: &HeaderMap) -> Option<u64> {
    let text = stored.get(header::CONTENT_RANGE)?.to_str().ok()?.strip_prefix("bytes ")?;
    let (part, whole) = text.split_once('/')?;
    let (_, last) = part.split_once('-')?;
    let whole = number(whole)?;
    (number(last)?.checked_add(1)? == whole).then_some(whole)
}

fn is_strongly(same: &HeaderValue, held: Option<&HeaderValue>) -> bool {
    held == Some(same) && same.as_bytes().starts_with(b"\"")
}

fn part(range: &[u8], length: u64) -> Option<Part> {
    let text = std::str::from_utf8(range).ok()?;
    let (unit, set) = text.split_once('=')?;
    let (first, last) = set.trim().split_once('-')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    if first.is_empty() {
        let suffix = number(last)?;
        return Some(match suffix.min(length) {
            0 => Part::Unsatisfiable,
            many => Part::Bytes(length - many..length),
        });
    }
    let first = number(first)?;
    let last = if last.is_empty() { u64::MAX } else { number(last)? };
    if last < first {
        return None;
    }
    Some(if first >= length {
        Part::Unsatisfiable
    } else {
        Part::Bytes(first..last.saturating_add(1).min(length))
    })
}

fn number(digits: &str) -> Option<u64> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// `Content-Range` of a part, or of none where the range cannot be satisfied.
#[must_use]
pub fn content_range(part: Option<&Range<u64>>, length: u64) -> HeaderValue {
    let text = match part {
        Some(part) => format!("bytes {}-{}/{length}", part.start, part.end.saturating_sub(1)),
        None => format!("bytes */{length}"),
    };
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("bytes */*"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(range: &str, length: u64) -> Part {
        let mut request = HeaderMap::new();
        request.insert(header::RANGE, HeaderValue::from_str(range).unwrap());
        wanted(&request, &HeaderMap::new(), length)
    }

    #[test]
    fn one_range_is_served_and_anything_else_whole() {
        assert_eq!(of("bytes=0-1", 10), Part::Bytes(0..2));
        assert_eq!(of("bytes=1-", 10), Part::Bytes(1..10));
        assert_eq!(of("bytes=-1", 10), Part::Bytes(9..10));
        assert_eq!(of("bytes=-99", 10), Part::Bytes(0..10));
        assert_eq!(of("bytes=8-99", 10), Part::Bytes(8..10));
        assert_eq!(of("bytes=0-18446744073709551615", 10), Part::Bytes(0..10));
        assert_eq!(of("bytes=10-", 10), Part::Unsatisfiable);
        assert_eq!(of("bytes=-0", 10), Part::Unsatisfiable);
        assert_eq!(of("bytes=-5", 0), Part::Unsatisfiable);
        for whole in ["bytes=0-1,3-4", "bytes=2-1", "lines=0-1", "bytes=+1-2", "bytes=-", "x", ""] {
            assert_eq!(of(whole, 10), Part::Whole, "{whole}");
        }
    }

    #[test]
    fn a_part_of_another_answer_is_not_sent() {
        let mut request = HeaderMap::new();
        request.insert(header::RANGE, HeaderValue::from_static("bytes=0-1"));
        let mut stored = HeaderMap::new();
        for (same, held, part) in [
            ("\"a\"", Some("\"a\""), Part::Bytes(0..2)),
            ("\"a\"", Some("\"b\""), Part::Whole),
            ("W/\"a\"", Some("W/\"a\""), Part::Whole),
            ("\"a\"", None, Part::Whole),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some("\"a\""), Part::Whole),
        ] {
            request.insert(header::IF_RANGE, HeaderValue::from_static(same));
            stored.clear();
            if let Some(held) = held {
                stored.insert(header::ETAG, HeaderValue::from_static(held));
            }
            assert_eq!(wanted(&request, &stored, 10), part, "{same} {held:?}");
        }
        assert_eq!(content_range(Some(&(0..2)), 10), "bytes 0-1/10");
        assert_eq!(content_range(None, 10), "bytes */10");
    }

    #[test]
    fn the_end_of_an_end_is_an_end() {
        let shorter = |wanted: &str, held: &str, length| {
            let mut request = HeaderMap::new();
            request.insert(header::RANGE, HeaderValue::from_str(wanted).unwrap());
            shorter_end(&request, &HeaderValue::from_str(held).unwrap(), length)
        };
        assert_eq!(shorter("bytes=-1", "bytes=-5", 5), Some(1));
        assert_eq!(shorter("bytes=-5", "bytes=-5", 5), Some(5));
        for (wanted, held, length) in [
            ("bytes=-6", "bytes=-5", 5),
            ("bytes=-0", "bytes=-5", 5),
            ("bytes=-1", "bytes=-5", 4),
            ("bytes=6-8", "bytes=-5", 5),
            ("bytes=-1", "bytes=0-4", 5),
            ("bytes=-1,-2", "bytes=-5", 5),
            ("bytes=-", "bytes=-5", 5),
        ] {
            assert_eq!(shorter(wanted, held, length), None, "{wanted} {held}");
        }
        let whole = |text: &'static str| {
            let mut stored = HeaderMap::new();
            stored.insert(header::CONTENT_RANGE, HeaderValue::from_static(text));
            length_of_whole(&stored)
        };
        assert_eq!(whole("bytes 4-9/10"), Some(10));
        for text in ["bytes 4-8/10", "bytes 4-9/*", "bytes */10", "4-9/10", "bytes x"] {
            assert_eq!(whole(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_part_lies_inside(
            range in "bytes=[0-9]{0,3}-[0-9]{0,3}|[ -~]{0,20}",
            length in 0_u64..500,
        ) {
            if let Part::Bytes(part) = of(&range, length) {
                prop_assert!(part.start < part.end && part.end <= length);
            }
        }
    }
}
