//! How long a request's body is (RFC 9112 §6, RFC 9113 §8.1.1), read in the one way that every
//! server shares.

use http::Version;

use super::{Fields, Framing, Refusal};
use crate::codes::Code;

/// The longest body that can be stated: what fits a signed 64-bit number, so that no service
/// overflows.
const LENGTH_MAX: u64 = i64::MAX as u64;

pub(super) fn of_request(version: Version, fields: &Fields<'_>) -> Result<Framing, Refusal> {
    if fields.transfer_encoding.count() > 0 {
        return chunked(version, fields);
    }
    if fields.content_length.count() > 0 {
        return length(fields).map(Framing::Length);
    }
    Ok(if version >= Version::HTTP_2 { Framing::Stream } else { Framing::Empty })
}

fn chunked(version: Version, fields: &Fields<'_>) -> Result<Framing, Refusal> {
    if version != Version::HTTP_11 {
        return refuse("Transfer-Encoding is allowed in HTTP/1.1 only.");
    }
    if fields.content_length.count() > 0 {
        return refuse("Content-Length and Transfer-Encoding must not be sent together.");
    }
    let is_chunked =
        |value: &http::HeaderValue| value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked");
    if fields.transfer_encoding.only().is_some_and(is_chunked) {
        return Ok(Framing::Chunked);
    }
    refuse("The only Transfer-Encoding accepted is exactly `chunked`.")
}

/// One line, digits only, no leading zero (some parsers read those as octal), within bounds. RFC
/// 9110 §8.6 would let equal repetitions pass; two servers that disagree on that are a smuggled
/// request, so none passes.
fn length(fields: &Fields<'_>) -> Result<u64, Refusal> {
    if fields.content_length.count() > 1 {
        return refuse("Content-Length must be sent once.");
    }
    let digits = fields.content_length.first().map_or(&b""[..], |value| value.as_bytes());
    let plain = !digits.is_empty()
        && digits.iter().all(u8::is_ascii_digit)
        && (digits[0] != b'0' || digits.len() == 1);
    if plain && digits.len() <= 19 {
        let length = digits.iter().fold(0u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
        if length <= LENGTH_MAX {
            return Ok(length);
        }
    }
    refuse("Content-Length must be one decimal number without sign, list or leading zero.")
}

fn refuse<T>(detail: &'static str) -> Result<T, Refusal> {
    Err(Refusal::new(Code::BadFraming, detail))
}
