//! `Host` and the authority of the request target (RFC 9112 §3.2, RFC 9113 §8.3.1).

use http::header::HOST;
use http::uri::Scheme;
use http::{HeaderMap, Uri, Version};

use super::{Lines, Refusal};
use crate::codes::Code;

/// The longest name that DNS allows, in text form.
const NAME_BYTES_MAX: usize = 253;

pub(super) fn check(uri: &Uri, version: Version, host: Lines<'_>) -> Result<(), Refusal> {
    if host.count() > 1 {
        return refuse("Host must be sent once.");
    }
    let host = host.first();
    if let Some(host) = host
        && !check_host(host.as_bytes())
    {
        return refuse("Host must be a name or address with an optional port.");
    }
    let Some(authority) = uri.authority() else {
        return match host {
            Some(_) => Ok(()),
            // RFC 9112 §3.2: only HTTP/1.0 may leave it out.
            None if version <= Version::HTTP_10 => Ok(()),
            None => refuse("A Host is needed."),
        };
    };
    if uri.scheme().is_some_and(|scheme| *scheme != Scheme::HTTP && *scheme != Scheme::HTTPS) {
        return Err(Refusal::new(Code::BadPath, "The target's scheme must be http or https."));
    }
    if !check_host(authority.as_str().as_bytes()) {
        return refuse("The target's authority must be a name or address with an optional port.");
    }
    match host {
        None if version == Version::HTTP_11 => refuse("A Host is needed."),
        // RFC 9112 §3.2.2 would ignore Host here; a service behind us might not.
        Some(host) if !host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes()) => {
            refuse("Host and the target's authority differ.")
        }
        _ => Ok(()),
    }
}

/// The host, with its port, that a checked request is for: the target's authority, else `Host`.
#[must_use]
pub fn host_of<'r>(uri: &'r Uri, headers: &'r HeaderMap) -> Option<&'r str> {
    match uri.authority() {
        Some(authority) => Some(authority.as_str()),
        None => headers.get(HOST)?.to_str().ok(),
    }
}

/// Whether the bytes are a host as RFC 3986 §3.2.2 has it, with an optional port: a DNS-like name
/// (letters, digits, `-`, `.`, `_`, `~`), an IPv4 address, or an IPv6 address in brackets.
/// Sub-delimiters, percent escapes, user information and an empty port are not accepted: no real
/// host has them and servers differ on them.
#[must_use]
pub fn check_host(host: &[u8]) -> bool {
    let (name_ok, port) = match host.strip_prefix(b"[") {
        Some(rest) => match rest.iter().position(|byte| *byte == b']') {
            Some(end) => (is_ipv6(&rest[..end]), &rest[end + 1..]),
            None => return false,
        },
        None => {
            let end = host.iter().position(|byte| *byte == b':').unwrap_or(host.len());
            (is_name(&host[..end]), &host[end..])
        }
    };
    name_ok && is_port(port)
}

fn is_name(name: &[u8]) -> bool {
    // As if a dot stood before it: neither a first dot nor two in a row.
    let mut before = b'.';
    !name.is_empty()
        && name.len() <= NAME_BYTES_MAX
        && name.iter().all(|byte| {
            let good = NAME[usize::from(*byte)] && (*byte != b'.' || before != b'.');
            before = *byte;
            good
        })
}

/// What a name may hold.
const NAME: [bool; 256] = {
    let mut name = [false; 256];
    let mut byte = 0u8;
    while byte.is_ascii() {
        name[byte as usize] =
            byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
        byte += 1;
    }
    name
};

fn is_ipv6(address: &[u8]) -> bool {
    std::str::from_utf8(address).is_ok_and(|text| text.parse::<std::net::Ipv6Addr>().is_ok())
}

fn is_port(port: &[u8]) -> bool {
    let Some(digits) = port.strip_prefix(b":") else {
        return port.is_empty();
    };
    (1..=5).contains(&digits.len())
        && digits.iter().all(u8::is_ascii_digit)
        && digits.iter().fold(0u32, |sum, digit| sum * 10 + u32::from(digit - b'0')) <= 65_535
}

fn refuse(detail: &'static str) -> Result<(), Refusal> {
    Err(Refusal::new(Code::BadHost, detail))
}
