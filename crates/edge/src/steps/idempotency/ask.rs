//! Finding out what became of a write: by the read operation that the manifest names.

use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use http::{Method, StatusCode, Uri, Version, header};
use plimsoll_http_kit::hygiene::RequestFacts;
use plimsoll_writes::Answer;

use super::execute::{Collected, collect};
use super::policy;
use crate::body::Unasked;
use crate::config::Config;
use crate::conn::ConnContext;
use crate::exchange::Exchange;
use crate::router::Operation;
use crate::steps::forward::{self, Passed};
use crate::steps::route::Route;

/// What was found out.
pub(super) enum Found {
    /// It was executed, and this is what there is of it.
    Executed(Answer),
    /// It was not, and will not be.
    NotExecuted,
    /// Nothing that could be relied on.
    Nothing,
}

/// The read operation of that name in the route's service.
pub(super) fn operation<'c>(
    config: &'c Config,
    route: Route<'_>,
    id: &str,
) -> Option<&'c Arc<Operation>> {
    let service = route.service()?;
    let mut operations = config.router.operations().iter();
    operations.find(|operation| operation.service == service && *operation.id == *id)
}

/// Asks, with the credentials of the write. The read's own rules for callers are not applied: what
/// it says of this write is its caller's to know.
#[expect(clippy::too_many_arguments, reason = "a request of its own needs all that one needs")]
pub(super) async fn find_out(
    context: &Arc<ConnContext>,
    config: &Config,
    exchange: &mut Exchange,
    route: Route<'_>,
    facts: &RequestFacts,
    write: &Parts,
    key: &[u8],
    unknown_for: Duration,
) -> Found {
    let id = policy(route).and_then(|policy| policy.find_out.as_deref());
    let Some(read) = id.and_then(|id| operation(config, route, id)) else { return Found::Nothing };
    let Some(service) = route.destination(config) else { return Found::Nothing };
    // What the service was told before this may still be under way.
    let settled = unknown_for >= forward::total_timeout(route, service);
    let Some(uri) = filled(&read.template, key).and_then(|path| path.parse::<Uri>().ok()) else {
        return Found::Nothing;
    };
    let (mut head, ()) = http::Request::new(()).into_parts();
    (head.method, head.uri, head.version) = (Method::GET, uri, Version::HTTP_11);
    head.headers = write.headers.clone();
    for of_the_write in [
        header::CONTENT_LENGTH,
        header::CONTENT_TYPE,
        header::CONTENT_ENCODING,
        header::EXPECT,
        header::IF_MATCH,
        header::IF_NONE_MATCH,
        header::IF_MODIFIED_SINCE,
        header::IF_UNMODIFIED_SINCE,
        header::IF_RANGE,
        header::RANGE,
    ] {
        head.headers.remove(of_the_write);
    }
    let mut body = Unasked::none();
    let read = Route::Operation(read);
    let asked = forward::forward(context, config, exchange, read, facts, &mut head, &mut body);
    let Ok(Passed::Upstream { answer, limits, .. }) = asked.await else { return Found::Nothing };
    let status = answer.response.status();
    match collect(context, config, answer, limits, true).await {
        Collected::Whole(answer) if status.is_success() => Found::Executed(answer),
        Collected::TooLong { head, .. } if status.is_success() => Found::Executed(head),
        _ if settled && matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE) => {
            Found::NotExecuted
        }
        _ => Found::Nothing,
    }
}

/// A template with its parameter filled: what may not stand in a path is percent-encoded (RFC 3986
/// §3.3), so that a key is one segment. `None` for a key that a path cannot hold in any way.
fn filled(template: &str, key: &[u8]) -> Option<String> {
    let Some((before, rest)) = template.split_once('{') else { return Some(template.to_owned()) };
    if matches!(key, b"." | b"..") {
        return None;
    }
    let after = rest.split_once('}').map_or("", |(_, after)| after);
    let mut out = before.to_owned();
    for byte in key {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(*byte));
            }
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out.push_str(after);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_one_segment_of_a_path() {
        let path = |template, key: &[u8]| filled(template, key).unwrap();
        assert_eq!(path("/payments/by-key/{key}", b"a-1"), "/payments/by-key/a-1");
        assert_eq!(path("/p/{key}/state", b"../x?y"), "/p/..%2Fx%3Fy/state");
        assert_eq!(path("/payments/last", b"a"), "/payments/last");
        assert_eq!(filled("/p/{key}/state", b".."), None);
    }
}
