//! Age (RFC 9111 §4.2.3) and freshness lifetime (§4.2.1, §4.2.2) of an answer that came now.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::control::{ResponseControl, seconds};
use super::date;

/// An answer of which only `Last-Modified` is known counts as fresh for this share of its age.
const HEURISTIC_PART: u64 = 10;
/// And for no longer than this, seconds.
const HEURISTIC_MAX_S: u64 = 60 * 60;

/// How long an answer is fresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lifetime {
    /// As it says itself.
    Explicit(Duration),
    /// As guessed from `Last-Modified`.
    Heuristic(Duration),
    /// Nothing says so.
    Unsaid,
}

/// How old the answer was when it came; `None` where `Age` is not to be understood, so that it may
/// be any age.
pub(super) fn initial_age(
    headers: &HeaderMap,
    delay: Duration,
    now_unix_s: u64,
) -> Option<Duration> {
    let stated = Duration::from_secs(stated_age(headers)?);
    let dated = date::of(headers, &header::DATE).unwrap_or(now_unix_s);
    let apparent = Duration::from_secs(now_unix_s.saturating_sub(dated));
    Some(apparent.max(stated.saturating_add(delay)))
}

/// `Age`, zero where there is none. Of a list the first member counts (RFC 9111 §5.1). Two lines,
/// or two that somebody joined as lines are joined (with a space), are two caches that do not know
/// of each other: neither figure is the age.
fn stated_age(headers: &HeaderMap) -> Option<u64> {
    let mut lines = headers.get_all(header::AGE).iter().map(HeaderValue::as_bytes);
    let Some(line) = lines.next() else { return Some(0) };
    if lines.next().is_some() {
        return None;
    }
    let comma = line.iter().position(|byte| *byte == b',').unwrap_or(line.len());
    if line.get(comma + 1).is_some_and(u8::is_ascii_whitespace) {
        return None;
    }
    seconds(line[..comma].trim_ascii())
}

/// What the answer says, `targeted` fields before all others (RFC 9213 §2.2).
pub(super) fn lifetime(
    control: &ResponseControl,
    targeted: bool,
    status: StatusCode,
    headers: &HeaderMap,
    now_unix_s: u64,
) -> Lifetime {
    if let Some(seconds) = control.s_maxage.or(control.max_age) {
        return Lifetime::Explicit(Duration::from_secs(seconds));
    }
    if !targeted && headers.contains_key(header::EXPIRES) {
        // What is no date lies in the past (RFC 9111 §5.3).
        let expires = date::of(headers, &header::EXPIRES).unwrap_or(0);
        let dated = date::of(headers, &header::DATE).unwrap_or(now_unix_s);
        return Lifetime::Explicit(Duration::from_secs(expires.saturating_sub(dated)));
    }
    if !control.public && !is_heuristic(status) {
        return Lifetime::Unsaid;
    }
    let Some(modified) = date::of(headers, &header::LAST_MODIFIED) else {
        return Lifetime::Unsaid;
    };
    let dated = date::of(headers, &header::DATE).unwrap_or(now_unix_s);
    let guessed = (dated.saturating_sub(modified) / HEURISTIC_PART).min(HEURISTIC_MAX_S);
    Lifetime::Heuristic(Duration::from_secs(guessed))
}

/// Statuses whose answers may be kept without being told so (RFC 9110 §15.1).
pub(super) fn is_heuristic(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200 | 203 | 204 | 206 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501)
}

#[cfg(test)]
mod tests {
    use super::super::http_date;
    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn an_age_that_cannot_be_read_may_be_any_age() {
        for (lines, expected) in [
            (&[][..], Some(0)),
            (&["30"], Some(30)),
            (&["0,7200"], Some(0)),
            (&["7200,0"], Some(7200)),
            (&["0, 0"], None),
            (&["0", "0"], None),
            (&["0", "7200"], None),
            (&["abc"], None),
            (&["-7200"], None),
            (&["7200.0"], None),
            (&["7200;foo=bar"], None),
            (&[""], None),
        ] {
            let fields: Vec<(&'static str, &str)> =
                lines.iter().map(|line| ("age", *line)).collect();
            let age = initial_age(&headers(&fields), Duration::ZERO, NOW);
            assert_eq!(age, expected.map(Duration::from_secs), "{lines:?}");
        }
    }

    #[test]
    fn an_old_date_is_an_age_too() {
        let dated = http_date(NOW - 50);
        let held = headers(&[("date", dated.to_str().unwrap()), ("age", "10")]);
        assert_eq!(initial_age(&held, Duration::ZERO, NOW), Some(Duration::from_secs(50)));
        let delayed = initial_age(&held, Duration::from_secs(45), NOW);
        assert_eq!(delayed, Some(Duration::from_secs(55)));
        let ahead = http_date(NOW + 50);
        let held = headers(&[("date", ahead.to_str().unwrap())]);
        assert_eq!(initial_age(&held, Duration::ZERO, NOW), Some(Duration::ZERO));
    }

    fn said(fields: &[(&'static str, &str)], status: u16) -> Lifetime {
        let headers = headers(fields);
        let status = StatusCode::from_u16(status).unwrap();
        lifetime(&ResponseControl::of(&headers), false, status, &headers, NOW)
    }

    #[test]
    fn what_it_says_comes_before_what_is_guessed() {
        let explicit = |seconds| Lifetime::Explicit(Duration::from_secs(seconds));
        let (now, later) = (http_date(NOW), http_date(NOW + 100));
        let (now, later) = (now.to_str().unwrap(), later.to_str().unwrap());
        let old = http_date(NOW - 1000);
        let old = old.to_str().unwrap();
        assert_eq!(said(&[("cache-control", "max-age=5, s-maxage=7")], 599), explicit(7));
        assert_eq!(said(&[("cache-control", "max-age=5"), ("expires", later)], 200), explicit(5));
        assert_eq!(said(&[("expires", later), ("date", now)], 500), explicit(100));
        assert_eq!(said(&[("expires", later), ("date", "foo")], 200), explicit(100));
        assert_eq!(said(&[("expires", "0"), ("last-modified", old)], 200), explicit(0));
        assert_eq!(said(&[("expires", later), ("expires", later)], 200), explicit(0));
        let guessed = Lifetime::Heuristic(Duration::from_secs(100));
        assert_eq!(said(&[("last-modified", old)], 200), guessed);
        assert_eq!(said(&[("last-modified", old)], 201), Lifetime::Unsaid);
        assert_eq!(said(&[("last-modified", old), ("cache-control", "public")], 599), guessed);
        assert_eq!(said(&[("etag", "\"a\"")], 200), Lifetime::Unsaid);
        let ancient = "Thu, 01 Jan 1970 00:00:01 GMT";
        let most = Lifetime::Heuristic(Duration::from_secs(HEURISTIC_MAX_S));
        assert_eq!(said(&[("last-modified", ancient)], 200), most);
    }
}
