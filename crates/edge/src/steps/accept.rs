//! Accept: what every request must keep to before anything else looks at it.

use http::request::Parts;
use plimsoll_http_kit::hygiene::{Fields, RequestFacts, check_request};
use plimsoll_http_kit::{Code, Problem};

use crate::config::Config;
use crate::conn::ConnContext;
use crate::steps::route::Route;

/// Framing, target, `Host`, `Connection` and header sizes (RFC 9110, RFC 9112, RFC 9113).
pub(crate) fn check(
    context: &ConnContext,
    config: &Config,
    head: &Parts,
    fields: &Fields<'_>,
) -> Result<RequestFacts, Problem> {
    if context.state.is_ambiguous() {
        return Err(Problem::new(Code::BadFraming));
    }
    let bounds = &config.head_bounds;
    check_request(&head.method, &head.uri, head.version, &head.headers, fields, bounds)
        .map_err(|refusal| Problem::new(refusal.code).with_detail(refusal.detail))
}

/// A body that says how long it is and is too long is refused before it is read; one that does not
/// say is cut when it has become too long.
pub(crate) fn check_size(
    config: &Config,
    route: Route<'_>,
    facts: &RequestFacts,
) -> Result<(), Problem> {
    let bytes_max = body_bytes_max(config, route);
    match facts.framing.length() {
        Some(bytes) if bytes > bytes_max => Err(too_large(bytes_max)),
        _ => Ok(()),
    }
}

/// The largest body this route takes.
pub(crate) fn body_bytes_max(config: &Config, route: Route<'_>) -> u64 {
    match route {
        Route::Operation(operation) => operation.body_bytes_max,
        _ => None,
    }
    .unwrap_or(config.bounds.body_bytes_max)
}

pub(crate) fn too_large(bytes_max: u64) -> Problem {
    Problem::new(Code::BodyTooLarge).with("body_bytes_max", bytes_max)
}
