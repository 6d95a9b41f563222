//! `Connection`, `TE` and `Upgrade` (RFC 9110 §7.6.1, §10.1.4, §7.8).

use http::header::{CONNECTION, TE, UPGRADE};
use http::{HeaderMap, HeaderValue, Version};

use super::{Fields, Refusal, Upgrade, names};
use crate::codes::Code;

/// The most options that the `Connection` fields of one message may list.
pub(super) const OPTIONS_MAX: usize = 32;

/// What the `Connection` fields say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Connection {
    wants_upgrade: bool,
}

pub(super) fn of_request(
    version: Version,
    headers: &HeaderMap,
    fields: &Fields<'_>,
) -> Result<Connection, Refusal> {
    let mut found = Connection::default();
    if fields.connection.count() == 0 {
        return Ok(found);
    }
    if version >= Version::HTTP_2 {
        // RFC 9113 §8.2.2: a message with a connection-specific field is malformed.
        return refuse("Connection has no meaning in this version of HTTP.");
    }
    let mut count = 0usize;
    for value in headers.get_all(CONNECTION) {
        for option in options(value) {
            count += 1;
            if count > OPTIONS_MAX {
                return refuse("Connection lists too many options.");
            }
            let mut buffer = [0u8; OPTION_BYTES_MAX];
            let Some(option) = lower_token(option, &mut buffer) else {
                return refuse("Connection is not a list of tokens.");
            };
            if option == "upgrade" {
                found.wants_upgrade = true;
            } else if names::is_protected(option) {
                return refuse("Connection names a field that must reach the service.");
            }
        }
    }
    Ok(found)
}

impl Connection {
    /// The protocol asked for. A lone `Upgrade` without the connection option is for some other
    /// hop and means nothing.
    pub(super) fn upgrade(self, headers: &HeaderMap, fields: &Fields<'_>) -> Option<Upgrade> {
        if !self.wants_upgrade || fields.upgrade.count() == 0 {
            return None;
        }
        let mut wanted = None;
        for protocol in headers.get_all(UPGRADE).iter().flat_map(options) {
            if protocol.eq_ignore_ascii_case(b"h2c") {
                continue;
            }
            wanted = match wanted {
                None if protocol.eq_ignore_ascii_case(b"websocket") => Some(Upgrade::WebSocket),
                _ => Some(Upgrade::Other),
            };
        }
        wanted
    }
}

/// Whether `TE` lists `trailers`, with no weight (RFC 9110 §10.1.4 gives it none).
pub(super) fn te_has_trailers(headers: &HeaderMap) -> bool {
    headers
        .get_all(TE)
        .iter()
        .flat_map(options)
        .any(|coding| coding.eq_ignore_ascii_case(b"trailers"))
}

/// The elements of a comma-separated list, without the white space around them; empty ones are
/// skipped (RFC 9110 §5.6.1.2).
pub(super) fn options(value: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    value
        .as_bytes()
        .split(|byte| *byte == b',')
        .map(|option| option.trim_ascii())
        .filter(|option| !option.is_empty())
}

/// No field name that matters is longer; hyper refuses names over 64 KiB.
pub(super) const OPTION_BYTES_MAX: usize = 128;

/// A token (RFC 9110 §5.6.2) in lower case; none when it is no token, or too long.
pub(super) fn lower_token<'b>(token: &[u8], buffer: &'b mut [u8]) -> Option<&'b str> {
    let lower = buffer.get_mut(..token.len())?;
    for (to, from) in lower.iter_mut().zip(token) {
        if !is_token_byte(*from) {
            return None;
        }
        *to = from.to_ascii_lowercase();
    }
    std::str::from_utf8(lower).ok()
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn refuse<T>(detail: &'static str) -> Result<T, Refusal> {
    Err(Refusal::new(Code::BadConnection, detail))
}
