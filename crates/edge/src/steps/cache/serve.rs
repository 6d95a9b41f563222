//! An answer made from a stored one.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use plimsoll_base::Nanos;
use plimsoll_http_kit::caching::range::{self, Part};
use plimsoll_http_kit::caching::status::{CACHE_STATUS, CacheStatus};
use plimsoll_http_kit::caching::{conditional, update};

use crate::cache::Entry;
use crate::steps::forward::Passed;

/// What older caches are told of a stale answer (RFC 7234 §5.5.1); new ones read `Cache-Status`.
const STALE: HeaderValue = HeaderValue::from_static("110 - \"Response is Stale\"");

/// Answers `request` from `entry`: with all of it, the part that was asked for, or the word that
/// the client has it.
pub(super) fn entry(
    entry: &Entry,
    request: &HeaderMap,
    is_head: bool,
    now: Nanos,
    status: CacheStatus,
) -> Passed {
    let mut head = entry.kept.head.clone();
    let (code, body) = represent(entry, request, is_head, &mut head);
    update::hide(&mut head);
    let age = entry.age(now);
    head.insert(header::AGE, HeaderValue::from(age.as_secs()));
    if age >= entry.kept.terms.fresh && !entry.kept.terms.fresh.is_zero()
        || matches!(status, CacheStatus::Hit { detail: Some(_), .. })
    {
        head.append(header::WARNING, STALE);
    }
    head.append(CACHE_STATUS, status.to_value());
    let mut response = Response::new(body);
    *response.status_mut() = code;
    *response.headers_mut() = head;
    Passed::Stored(response)
}

fn represent(
    entry: &Entry,
    request: &HeaderMap,
    is_head: bool,
    head: &mut HeaderMap,
) -> (StatusCode, Bytes) {
    let code = entry.kept.status;
    if let Some(part) = &entry.kept.range {
        return (code, end_of_part(entry, request, part, head));
    }
    if code != StatusCode::OK {
        return (code, entry.body.clone());
    }
    if conditional::is_not_modified(request, head) {
        conditional::make_not_modified(head);
        return (StatusCode::NOT_MODIFIED, Bytes::new());
    }
    let length = entry.body.len() as u64;
    let part = if is_head { Part::Whole } else { range::wanted(request, head, length) };
    match part {
        Part::Whole => (code, entry.body.clone()),
        Part::Bytes(part) => {
            head.remove(header::CONTENT_LENGTH);
            head.insert(header::CONTENT_RANGE, range::content_range(Some(&part), length));
            let within = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
            let body = entry.body.slice(within(part.start)..within(part.end));
            (StatusCode::PARTIAL_CONTENT, body)
        }
        Part::Unsatisfiable => {
            conditional::make_not_modified(head);
            head.insert(header::CONTENT_RANGE, range::content_range(None, length));
            (StatusCode::RANGE_NOT_SATISFIABLE, Bytes::new())
        }
    }
}

/// The bytes of a stored part that were asked for: all, or its end.
fn end_of_part(
    entry: &Entry,
    request: &HeaderMap,
    part: &HeaderValue,
    head: &mut HeaderMap,
) -> Bytes {
    let all = entry.body.len() as u64;
    let wanted = range::shorter_end(request, part, all).filter(|wanted| *wanted < all);
    let (Some(wanted), Some(whole)) = (wanted, range::length_of_whole(head)) else {
        return entry.body.clone();
    };
    let end = whole.saturating_sub(wanted)..whole;
    head.insert(header::CONTENT_RANGE, range::content_range(Some(&end), whole));
    head.remove(header::CONTENT_LENGTH);
    entry.body.slice(usize::try_from(all - wanted).unwrap_or(0)..)
}
