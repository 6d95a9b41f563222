//! `Plimsoll-Installation`: one installed copy of the app on one device, as an edge signed it.
//!
//! `id.first_seen.mac`: 32 hexadecimal digits, seconds since 1970 in decimal, 32 hexadecimal
//! digits. There is one way to write each, so that one installation is one text. Whether the mark
//! is right only a holder of the key can tell.

use http::{HeaderName, HeaderValue};

/// The field in which an edge gives an installation, and an app gives it back.
pub const PLIMSOLL_INSTALLATION: HeaderName = HeaderName::from_static("plimsoll-installation");

/// Bytes of an id, and of a mark.
pub const ID_BYTES: usize = 16;

/// The largest time that can be said: the year 2286.
const SECONDS_MAX: u64 = 9_999_999_999;

/// What a request presents, or an answer gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Presented {
    /// The installation's id.
    pub id: [u8; ID_BYTES],
    /// When an edge first saw it, in seconds since 1970.
    pub first_seen_unix_s: u64,
    /// The mark on both.
    pub mac: [u8; ID_BYTES],
}

impl Presented {
    /// Reads a field's value; `None` for anything but the one way to write it.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let (id, rest) = value.split_at_checked(ID_BYTES * 2)?;
        let (rest, mac) = rest.split_at_checked(rest.len().checked_sub(ID_BYTES * 2)?)?;
        let digits = rest.strip_prefix(b".")?.strip_suffix(b".")?;
        let first_seen_unix_s = decimal(digits)?;
        Some(Self { id: from_hex(id)?, first_seen_unix_s, mac: from_hex(mac)? })
    }

    /// The field's value.
    #[must_use]
    pub fn header_value(&self) -> HeaderValue {
        let mut text = Vec::with_capacity(ID_BYTES * 4 + 12);
        push_hex(&mut text, &self.id);
        text.push(b'.');
        let seconds = self.first_seen_unix_s.min(SECONDS_MAX);
        text.extend_from_slice(itoa::Buffer::new().format(seconds).as_bytes());
        text.push(b'.');
        push_hex(&mut text, &self.mac);
        // Digits and points are a value whatever they say.
        HeaderValue::from_maybe_shared(bytes::Bytes::from(text))
            .unwrap_or(HeaderValue::from_static(""))
    }
}

fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 10 || (digits[0] == b'0' && digits.len() > 1) {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, digit| {
        digit.is_ascii_digit().then(|| number * 10 + u64::from(digit - b'0'))
    })
}

fn from_hex(digits: &[u8]) -> Option<[u8; ID_BYTES]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut out = [0; ID_BYTES];
    for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    (digits.len() == ID_BYTES * 2).then_some(out)
}

fn push_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        out.push(DIGITS[usize::from(byte >> 4)]);
        out.push(DIGITS[usize::from(byte & 15)]);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str =
        "000102030405060708090a0b0c0d0e0f.1764000000.ffeeddccbbaa99887766554433221100";

    #[test]
    fn it_is_written_in_one_way() {
        let read = Presented::parse(TEXT.as_bytes()).unwrap();
        assert_eq!((read.id[15], read.first_seen_unix_s, read.mac[0]), (15, 1_764_000_000, 0xff));
        assert_eq!(read.header_value(), TEXT);
        let [id, seen, mac] = TEXT.split('.').collect::<Vec<_>>()[..] else { panic!() };
        for bad in [
            String::new(),
            TEXT.to_uppercase(),
            format!(" {TEXT}"),
            format!("{TEXT} "),
            format!("{id}.0{seen}.{mac}"),
            format!("{id}.+{seen}.{mac}"),
            format!("{id}..{mac}"),
            format!("{id}.99999999999.{mac}"),
            format!("{id}.{seen}.{}", &mac[1..]),
            format!("{}.{seen}.{mac}", &id[1..]),
            format!("{id}.{seen}{mac}"),
            format!("{id}.{seen}.{mac}.{mac}"),
            format!("{id},{seen},{mac}"),
            id.to_owned(),
        ] {
            assert!(Presented::parse(bad.as_bytes()).is_none(), "{bad}");
        }
        assert!(Presented::parse(format!("{id}.0.{mac}").as_bytes()).is_some());
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(id: [u8; 16], seen in 0..=SECONDS_MAX, mac: [u8; 16]) {
            let given = Presented { id, first_seen_unix_s: seen, mac };
            prop_assert_eq!(Presented::parse(given.header_value().as_bytes()), Some(given));
        }

        #[test]
        fn what_reads_is_written_so(text in "[0-9a-f]{30,34}\\.[0-9]{0,11}\\.[0-9a-f]{30,34}") {
            if let Some(read) = Presented::parse(text.as_bytes()) {
                prop_assert_eq!(read.header_value(), text.as_str());
            }
        }

        #[test]
        fn nothing_is_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            prop_assert!(Presented::parse(&bytes).is_none());
        }
    }
}
