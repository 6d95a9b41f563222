//! `Plimsoll-Status` on ordinary answers (RFC 9651 dictionary): `degraded=?0, epoch=1764000000`.
//!
//! An app that sees another epoch than before asks `/status.json` what has changed; one that does
//! not has nothing to ask. So nobody polls.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::config::Config;
use crate::core::Core;

const PLIMSOLL_STATUS: HeaderName = HeaderName::from_static("plimsoll-status");

/// The largest integer of a structured field (RFC 9651 §3.3.1).
const INTEGER_MAX: u64 = 999_999_999_999_999;

pub(crate) fn header_value(degraded: bool, epoch: u64) -> Option<HeaderValue> {
    let degraded = u8::from(degraded);
    let epoch = epoch.min(INTEGER_MAX);
    HeaderValue::try_from(format!("degraded=?{degraded}, epoch={epoch}")).ok()
}

/// Says it, where the manifest wants it said.
pub(crate) fn write(config: &Config, core: &Core, headers: &mut HeaderMap) {
    if !config.manifest.status.header {
        return;
    }
    if let Some(value) = &*core.shared.status.load() {
        headers.insert(PLIMSOLL_STATUS, HeaderValue::clone(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_structured_dictionary() {
        assert_eq!(header_value(false, 1_764_000_000).unwrap(), "degraded=?0, epoch=1764000000");
        assert_eq!(header_value(true, u64::MAX).unwrap(), "degraded=?1, epoch=999999999999999");
    }
}
