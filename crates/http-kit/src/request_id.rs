//! The id a request goes by: the client's own when it is well-formed, else one of ours.

use std::fmt;

use http::{HeaderName, HeaderValue};
use plimsoll_base::RequestId;

use crate::hygiene::{Fields, Lines};

/// The field in which the id is taken, passed on to the service and given back to the client.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The second field in which a client may send its own id.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");

const ID_BYTES_MIN: usize = 8;
const ID_BYTES_MAX: usize = 64;

/// The id of one request, as text, held inline.
///
/// A client's id is taken when it is 8 to 64 unreserved characters of RFC 3986 (`A-Z a-z 0-9 - . _
/// ~`) and came once: that covers UUIDs, ULIDs and hexadecimal ids, and can stand in a URI, a log
/// line and a header as it is. It is a help for finding a request and proves nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Id {
    bytes: [u8; ID_BYTES_MAX],
    len: u8,
}

impl Default for Id {
    /// No id yet.
    fn default() -> Self {
        Self { bytes: [0; ID_BYTES_MAX], len: 0 }
    }
}

impl Id {
    /// The client's own id, if it sent a well-formed one in `X-Request-Id`, or failing that in
    /// `Request-Id`.
    #[must_use]
    pub fn from_fields(fields: &Fields<'_>) -> Option<Self> {
        let parse = |lines: Lines<'_>| lines.only().and_then(|id| Self::parse(id.as_bytes()));
        parse(fields.x_request_id).or_else(|| parse(fields.request_id))
    }

    /// The client's own id, else a UUID version 7 from the wall time in milliseconds and 74 of the
    /// `random` bits.
    #[must_use]
    pub fn accept_or_make(
        fields: &Fields<'_>,
        unix_ms: u64,
        random: impl FnOnce() -> u128,
    ) -> Self {
        Self::from_fields(fields).unwrap_or_else(|| RequestId::new(unix_ms, random()).into())
    }

    /// A text as an id; none when it is not well-formed.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        if !(ID_BYTES_MIN..=ID_BYTES_MAX).contains(&text.len()) || !text.iter().all(is_unreserved) {
            return None;
        }
        let mut bytes = [0; ID_BYTES_MAX];
        bytes[..text.len()].copy_from_slice(text);
        Some(Self { bytes, len: u8::try_from(text.len()).ok()? })
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Only ASCII is ever stored, so the default is never seen.
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// The id as a header value.
    #[must_use]
    pub fn header_value(&self) -> HeaderValue {
        HeaderValue::from_bytes(self.as_bytes()).unwrap_or(HeaderValue::from_static(""))
    }

    /// Writes the id as a URI (RFC 9457 `instance`): `urn:uuid:` for a UUID (RFC 9562 §4), else a
    /// `tag:` URI (RFC 4151).
    pub fn write_uri(&self, out: &mut Vec<u8>) {
        let scheme: &[u8] =
            if self.is_uuid() { b"urn:uuid:" } else { b"tag:plimsoll.dev,2026:request/" };
        out.extend_from_slice(scheme);
        out.extend_from_slice(self.as_bytes());
    }

    /// Whether the id is a UUID in its 36-character form.
    #[must_use]
    pub fn is_uuid(&self) -> bool {
        self.len == 36
            && self.as_bytes().iter().enumerate().all(|(at, byte)| match at {
                8 | 13 | 18 | 23 => *byte == b'-',
                _ => byte.is_ascii_hexdigit(),
            })
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

fn is_unreserved(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

impl From<RequestId> for Id {
    fn from(id: RequestId) -> Self {
        let mut text = [0; 36];
        id.write(&mut text);
        let mut bytes = [0; ID_BYTES_MAX];
        bytes[..36].copy_from_slice(&text);
        Self { bytes, len: 36 }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Id").field(&self.as_str()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderMap;
    use proptest::prelude::*;

    fn accept_or_make(map: &HeaderMap, unix_ms: u64, random: u128) -> Id {
        Id::accept_or_make(&Fields::of(map), unix_ms, || random)
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).fold(
            HeaderMap::new(),
            |mut map, (name, value)| {
                map.append(name, value);
                map
            },
        )
    }

    #[test]
    fn a_well_formed_id_of_the_client_is_kept() {
        let map = headers(&[("x-request-id", "01HZX3J8T4Q5W6E7R8T9Y0UIOP")]);
        assert_eq!(accept_or_make(&map, 0, 0).as_str(), "01HZX3J8T4Q5W6E7R8T9Y0UIOP");
        let map = headers(&[("request-id", "abcdef-12")]);
        assert_eq!(accept_or_make(&map, 0, 0).as_str(), "abcdef-12");
    }

    #[test]
    fn anything_else_is_replaced_by_a_uuid() {
        let twice = headers(&[("x-request-id", "aaaaaaaa"), ("x-request-id", "bbbbbbbb")]);
        for map in [
            twice,
            headers(&[]),
            headers(&[("x-request-id", "short")]),
            headers(&[("x-request-id", "with space in it")]),
            headers(&[("x-request-id", "\"quotes\",\"lists\"")]),
        ] {
            let id = accept_or_make(&map, 1_700_000_000_000, 7);
            assert!(id.is_uuid(), "{id}");
            assert_eq!(id.as_str().as_bytes()[14], b'7');
        }
    }

    #[test]
    fn the_uri_names_what_the_id_is() {
        let mut out = Vec::new();
        Id::from(RequestId::new(1, 2)).write_uri(&mut out);
        assert!(out.starts_with(b"urn:uuid:0000"));
        out.clear();
        Id::parse(b"order-4711").unwrap().write_uri(&mut out);
        assert_eq!(out, b"tag:plimsoll.dev,2026:request/order-4711");
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken_whole_or_not_at_all(
            bytes in prop::collection::vec(any::<u8>(), 0..80),
        ) {
            if let Some(id) = Id::parse(&bytes) {
                prop_assert_eq!(id.as_str().as_bytes(), &bytes[..]);
                let value = id.header_value();
                prop_assert_eq!(value.as_bytes(), &bytes[..]);
            }
        }
    }
}
