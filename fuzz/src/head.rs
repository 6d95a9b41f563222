//! A request head out of fuzz bytes: a first line, then `name: value` lines. Lines that the `http`
//! crate would not carry are left out, because hyper never hands them on either.

use http::{HeaderMap, HeaderName, HeaderValue};

/// The first line, and the header lines.
pub(crate) fn split(data: &[u8]) -> (&[u8], HeaderMap) {
    let mut lines = data.split(|byte| *byte == b'\n');
    let first = lines.next().unwrap_or(b"");
    let mut headers = HeaderMap::new();
    for line in lines.take(200) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            continue;
        };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    (first, headers)
}

/// Percent-decoding, the slow way.
pub(crate) fn decode(bytes: &[u8]) -> Vec<u8> {
    let digit = |at: usize| bytes.get(at).and_then(|b| char::from(*b).to_digit(16));
    let mut out = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        match (bytes[at], digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                at += 3;
            }
            (byte, _, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    out
}
