//! `Priority` (RFC 9218): how urgent a client says that a request is.

use http::{HeaderMap, HeaderName, HeaderValue};
use sfv::{BareItem, Dictionary, ListEntry, Parser};

/// The field's name.
pub const PRIORITY: HeaderName = HeaderName::from_static("priority");

/// The longest field that is read, bytes; two short members is all there is.
const BYTES_MAX: usize = 256;

/// The least urgent (RFC 9218 §4.1).
const URGENCY_MAX: i64 = 7;

/// The urgency that a request states: 0, the most urgent, to 7. `None` where it states none that
/// is one, which means 3.
#[must_use]
pub fn urgency(headers: &HeaderMap) -> Option<u8> {
    let mut lines = headers.get_all(PRIORITY).iter();
    let (value, None) = (lines.next()?, lines.next()) else { return None };
    urgency_of(value)
}

fn urgency_of(value: &HeaderValue) -> Option<u8> {
    if value.len() > BYTES_MAX {
        return None;
    }
    let members: Dictionary = Parser::new(value.as_bytes()).parse().ok()?;
    let ListEntry::Item(item) = members.get("u")? else { return None };
    let BareItem::Integer(urgency) = item.bare_item else { return None };
    let urgency = i64::from(urgency);
    (0..=URGENCY_MAX).contains(&urgency).then_some(urgency as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_urgency_is_one() {
        for (text, urgency) in [
            ("u=5", Some(5)),
            ("u=0, i", Some(0)),
            ("i, u=7;x=1", Some(7)),
            ("u=1, u=6", Some(6)),
            ("i", None),
            ("", None),
            ("u=8", None),
            ("u=-1", None),
            ("u=3.0", None),
            ("u=\"5\"", None),
            ("u", None),
            ("u=(5)", None),
            ("U=5", None),
            ("u=5 i", None),
        ] {
            assert_eq!(urgency_of(&HeaderValue::from_static(text)), urgency, "{text}");
        }
        let long = format!("u=5, x=\"{}\"", "a".repeat(BYTES_MAX));
        assert_eq!(urgency_of(&HeaderValue::try_from(long).unwrap()), None);
    }

    #[test]
    fn a_field_that_stands_twice_says_nothing() {
        let mut headers = HeaderMap::new();
        headers.append(PRIORITY, HeaderValue::from_static("u=5"));
        assert_eq!(urgency(&headers), Some(5));
        headers.append(PRIORITY, HeaderValue::from_static("u=1"));
        assert_eq!(urgency(&headers), None);
    }
}
