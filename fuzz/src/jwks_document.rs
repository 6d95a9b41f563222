//! Parser: the JWK sets of `plimsoll_edge::auth` (RFC 7517), by `inspect_key_set`. Input: the set.

use plimsoll_edge::auth::inspect_key_set;

/// Feeds the parser.
pub fn run(data: &[u8]) {
    if let Ok(report) = inspect_key_set(data) {
        assert!(report.usable + report.skipped.len() <= data.len(), "more keys than bytes");
        let again = inspect_key_set(data).expect("the same bytes, refused the second time");
        assert_eq!(again, report);
    }
}
