//! Parser: `plimsoll_http_kit::installation::Presented::parse` (`Plimsoll-Installation`). Input:
//! the field's value.

use plimsoll_http_kit::installation::Presented;

/// Feeds the parser.
pub fn run(data: &[u8]) {
    if let Some(read) = Presented::parse(data) {
        assert_eq!(read.header_value().as_bytes(), data, "one installation in two texts");
    }
}
