//! Parsers: everything in `plimsoll_http_kit::caching`. Input: a status (the first line), the
//! fields of an answer, an empty line, the fields of the request.

use std::time::Duration;

use http::{HeaderMap, StatusCode, header};
use plimsoll_http_kit::caching::range::{Part, wanted};
use plimsoll_http_kit::caching::storing::{
    Asked, Audience, Credentials, Rules, Sharing, Times, judge,
};
use plimsoll_http_kit::caching::vary::Selection;
use plimsoll_http_kit::caching::{RequestControl, conditional, groups, update};

const CREDENTIALS: [Credentials; 4] =
    [Credentials::None, Credentials::Verified, Credentials::Authorization, Credentials::Other];

/// Feeds the parsers.
pub fn run(data: &[u8]) {
    let cut = data.windows(2).position(|two| two == b"\n\n").unwrap_or(data.len());
    let (first, answer) = crate::head::split(&data[..cut]);
    let (_, request) = crate::head::split(&data[cut.min(data.len())..]);
    let status = std::str::from_utf8(first).ok().and_then(|text| text.trim().parse().ok());
    let status = status.and_then(|code| StatusCode::from_u16(code).ok()).unwrap_or(StatusCode::OK);
    for credentials in CREDENTIALS {
        judged(credentials, status, &answer);
    }
    if let Some(selection) = Selection::of(&answer, &request) {
        assert!(selection.matches(&request, &answer), "a request does not select its own answer");
    }
    if let Part::Bytes(part) = wanted(&request, &answer, 1000) {
        assert!(part.start < part.end && part.end <= 1000, "{part:?}");
    }
    assert!(groups::read(&answer, &groups::CACHE_GROUPS).len() <= groups::GROUPS_MAX);
    asked(&request, &answer);
}

fn judged(credentials: Credentials, status: StatusCode, answer: &HeaderMap) {
    let rules = Rules {
        to_the_letter: status.as_u16().is_multiple_of(2),
        heuristic: true,
        ttl: None,
        stale_if_error: Duration::from_secs(600),
        sharing: Sharing::AsSaid,
    };
    let asked = Asked { credentials, no_store: false, range: true };
    let times = Times { delay: Duration::ZERO, now_unix_s: 1_800_000_000 };
    let Ok(terms) = judge(&asked, &rules, times, status, answer) else { return };
    assert!(!answer.contains_key(header::SET_COOKIE), "a cookie is stored");
    let said = |word: &str| {
        answer.iter().any(|(_, value)| {
            let text = String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
            text.contains(word)
        })
    };
    let for_all = said("public") || said("s-maxage");
    match credentials {
        Credentials::None => assert_ne!(terms.audience, Audience::Subject),
        Credentials::Verified => assert!(for_all || terms.audience == Audience::Subject),
        Credentials::Authorization => assert!(for_all || said("must-revalidate")),
        Credentials::Other => assert!(for_all),
    }
    assert!(!terms.strict || (terms.if_error.is_zero() && terms.while_revalidating.is_zero()));
    let mut kept = answer.clone();
    update::strip(&mut kept, &terms.omitted);
    assert!(terms.omitted.iter().all(|name| !kept.contains_key(name)));
    assert!(!kept.contains_key(header::AGE) && !kept.contains_key(header::CONNECTION));
}

fn asked(request: &HeaderMap, answer: &HeaderMap) {
    let control = RequestControl::of(request);
    assert!(control.max_age.is_none_or(|seconds| seconds <= 1 << 31));
    let mut sent = request.clone();
    conditional::ask_whether_it_holds(&mut sent, answer);
    for (condition, validator) in
        [(header::IF_NONE_MATCH, header::ETAG), (header::IF_MODIFIED_SINCE, header::LAST_MODIFIED)]
    {
        assert_eq!(sent.get(condition), answer.get(validator), "asked about what the client holds");
    }
    let fresher = update::freshen(answer, request);
    assert_eq!(fresher.get(header::ETAG), answer.get(header::ETAG), "a 304 changed the bytes' tag");
}
