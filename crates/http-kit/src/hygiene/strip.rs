//! Taking out what must not be passed on.

use http::header::{CONNECTION, TE};
use http::{HeaderMap, HeaderName, HeaderValue};
use smallvec::SmallVec;

use super::connection::{OPTION_BYTES_MAX, OPTIONS_MAX, lower_token, options};
use super::names::{self, Kind};
use super::{RequestFacts, ResponseFacts};

type Names = SmallVec<[HeaderName; 8]>;

const TRAILERS: HeaderValue = HeaderValue::from_static("trailers");

/// Takes out of a request, before the edge adds its own fields:
/// - what `Connection` names, and the fields of one connection (RFC 9110 §7.6.1);
/// - `Expect` (the edge answers it), `Transfer-Encoding` (the edge frames anew) and `Upgrade` (put
///   back by whoever carries the upgrade out);
/// - everything that says where the request came from or who is asking;
/// - every `Plimsoll-*` field, and every name that a service could mistake for one of these.
///
/// `TE: trailers` stays, as exactly that: gRPC needs it. `Host` and `Content-Length` stay.
pub fn strip_request(headers: &mut HeaderMap, facts: &RequestFacts) {
    if facts.doomed.contains(&CONNECTION) {
        remove(headers, &nominated(headers));
    }
    remove(headers, &facts.doomed);
    if facts.te_trailers {
        headers.insert(TE, TRAILERS);
    }
}

/// Takes out of a service's answer what `Connection` names and the fields of one connection. A
/// `Connection` that names a field every recipient needs, such as `Content-Type`, is not obeyed in
/// that.
pub fn strip_response(headers: &mut HeaderMap, facts: &ResponseFacts) {
    if !facts.is_for_this_connection {
        return;
    }
    let mut doomed = nominated(headers);
    doomed.extend(headers.keys().filter(|name| is_hop_by_hop(name.as_str())).cloned());
    remove(headers, &doomed);
}

/// Takes out of a trailer section every field that frames, routes, authenticates or identifies
/// (RFC 9110 §6.5.1): merged into the header section by a careless recipient it would undo all
/// that hygiene did.
pub fn strip_trailers(trailers: &mut HeaderMap) {
    let refused = |name: &HeaderName| {
        names::classify(name.as_str()) != Kind::Plain || names::is_protected(name.as_str())
    };
    let doomed: Names = trailers.keys().filter(|name| refused(name)).cloned().collect();
    remove(trailers, &doomed);
}

pub(super) fn is_hop_by_hop(name: &str) -> bool {
    match name.as_bytes().first() {
        Some(b'c') => name == "connection",
        Some(b'h') => name == "http2-settings",
        Some(b'k') => name == "keep-alive",
        Some(b'p') => {
            matches!(name, "proxy-connection" | "proxy-authenticate" | "proxy-authorization")
        }
        Some(b't') => matches!(name, "te" | "transfer-encoding"),
        Some(b'u') => name == "upgrade",
        _ => false,
    }
}

/// What `Connection` names and a message can do without.
fn nominated(headers: &HeaderMap) -> Names {
    let mut found = Names::new();
    for option in headers.get_all(CONNECTION).iter().flat_map(options).take(OPTIONS_MAX) {
        let mut buffer = [0u8; OPTION_BYTES_MAX];
        let Some(option) = lower_token(option, &mut buffer) else {
            continue;
        };
        if matches!(option, "close" | "keep-alive" | "upgrade") || names::is_protected(option) {
            continue;
        }
        if let Ok(name) = HeaderName::from_bytes(option.as_bytes()) {
            found.push(name);
        }
    }
    found
}

fn remove(headers: &mut HeaderMap, doomed: &[HeaderName]) {
    for name in doomed {
        headers.remove(name);
    }
}
