//! Client: what the app says it is, read once and bounded.

use http::HeaderMap;
use plimsoll_http_kit::hygiene::Fields;

use crate::config::Config;
use crate::exchange::Exchange;

/// Reads the client context (`Plimsoll-Client`, mapped headers, client hints, `User-Agent`).
pub(crate) fn read(
    config: &Config,
    exchange: &mut Exchange,
    headers: &HeaderMap,
    fields: &Fields<'_>,
) {
    exchange.client =
        exchange.context.client(|memo| config.client_rules.read_again(headers, fields, memo));
}
