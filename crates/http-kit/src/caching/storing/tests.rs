use http::{HeaderName, HeaderValue};
use proptest::prelude::*;

use super::super::http_date;
use super::*;

const NOW: u64 = 1_800_000_000;
const RULES: Rules = Rules {
    heuristic: true,
    ttl: None,
    stale_if_error: Duration::from_secs(600),
    to_the_letter: false,
    sharing: Sharing::AsSaid,
};

fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    }
    headers
}

fn judged(
    credentials: Credentials,
    rules: &Rules,
    status: u16,
    fields: &[(&'static str, &str)],
) -> Result<Terms, Unstored> {
    let asked = Asked { credentials, no_store: false, range: false };
    let times = Times { delay: Duration::ZERO, now_unix_s: NOW };
    judge(&asked, rules, times, StatusCode::from_u16(status).unwrap(), &headers(fields))
}

fn anonymous(fields: &[(&'static str, &str)]) -> Result<Terms, Unstored> {
    judged(Credentials::None, &RULES, 200, fields)
}

#[test]
fn nobody_gets_what_was_not_said_to_be_for_all() {
    use Audience::{Anonymous, Anyone, Subject};
    let who = |credentials, sharing, control| {
        let rules = Rules { sharing, ..RULES };
        judged(credentials, &rules, 200, &[("cache-control", control)]).map(|terms| terms.audience)
    };
    let (said, declared, apart) = (Sharing::AsSaid, Sharing::Declared, Sharing::Apart);
    for (credentials, sharing, control, expected) in [
        (Credentials::None, said, "max-age=9", Ok(Anonymous)),
        (Credentials::None, said, "max-age=9, public", Ok(Anyone)),
        (Credentials::None, said, "s-maxage=9", Ok(Anyone)),
        (Credentials::None, apart, "max-age=9, public", Ok(Anonymous)),
        (Credentials::None, declared, "max-age=9", Ok(Anyone)),
        (Credentials::Verified, said, "max-age=9", Ok(Subject)),
        (Credentials::Verified, said, "max-age=9, must-revalidate", Ok(Subject)),
        (Credentials::Verified, said, "max-age=9, public", Ok(Anyone)),
        (Credentials::Verified, apart, "s-maxage=9, public", Ok(Subject)),
        (Credentials::Verified, declared, "max-age=9", Ok(Anyone)),
        (Credentials::Authorization, said, "max-age=9", Err(Unstored::Credentials)),
        (Credentials::Authorization, said, "max-age=9, must-revalidate", Ok(Subject)),
        (
            Credentials::Authorization,
            said,
            "max-age=9, proxy-revalidate",
            Err(Unstored::Credentials),
        ),
        (Credentials::Authorization, said, "s-maxage=9", Ok(Anyone)),
        (
            Credentials::Authorization,
            apart,
            "max-age=9, must-revalidate",
            Err(Unstored::Credentials),
        ),
        (Credentials::Other, said, "max-age=9, must-revalidate", Err(Unstored::Credentials)),
        (Credentials::Other, said, "max-age=9, public", Ok(Anyone)),
        (Credentials::Other, declared, "max-age=9", Ok(Anyone)),
        (Credentials::Other, declared, "max-age=9, private", Err(Unstored::Private)),
    ] {
        let found = who(credentials, sharing, control);
        assert_eq!(found, expected, "{credentials:?} {sharing:?} {control}");
    }
    let letter = Rules { to_the_letter: true, ..RULES };
    for (credentials, expected) in [
        (Credentials::Authorization, Ok(Anyone)),
        (Credentials::Verified, Ok(Subject)),
        (Credentials::Other, Err(Unstored::Credentials)),
    ] {
        let control = [("cache-control", "max-age=9, must-revalidate")];
        let found = judged(credentials, &letter, 200, &control).map(|terms| terms.audience);
        assert_eq!(found, expected, "{credentials:?}");
    }
}

#[test]
fn what_is_not_stored_says_why() {
    let fresh = ("cache-control", "max-age=9");
    for (fields, expected) in [
        (&[][..], Unstored::NoFreshness),
        (&[("etag", "\"a\"")], Unstored::NoFreshness),
        (&[("cache-control", "max-age=9, no-store")], Unstored::NoStore),
        (&[("cache-control", "private, max-age=9")], Unstored::Private),
        (&[fresh, ("set-cookie", "a=b")], Unstored::SetCookie),
        (&[("cache-control", "public, max-age=9"), ("set-cookie", "a=b")], Unstored::SetCookie),
        (&[fresh, ("vary", "*")], Unstored::Vary),
        (&[fresh, ("vary", "accept"), ("vary", ", *")], Unstored::Vary),
        (&[("cache-control", "max-age=0")], Unstored::Stale),
        (&[("cache-control", "no-cache")], Unstored::Stale),
        (&[fresh, ("age", "abc")], Unstored::Stale),
        (&[fresh, ("cdn-cache-control", "no-store")], Unstored::NoStore),
    ] {
        assert_eq!(anonymous(fields), Err(expected), "{fields:?}");
    }
    let rude =
        judged(Credentials::None, &RULES, 599, &[("cache-control", "max-age=9, must-understand")]);
    assert_eq!(rude, Err(Unstored::Status));
    assert!(judged(Credentials::None, &RULES, 599, &[fresh]).is_ok());
    assert!(anonymous(&[("cache-control", "max-age=9, no-store, must-understand")]).is_ok());
    assert_eq!(judged(Credentials::None, &RULES, 206, &[fresh]), Err(Unstored::Status));
    assert_eq!(judged(Credentials::None, &RULES, 304, &[fresh]), Err(Unstored::Status));
    assert_eq!(judged(Credentials::None, &RULES, 416, &[fresh]), Err(Unstored::Status));
}

#[test]
fn stale_is_used_only_where_nothing_forbids_it() {
    let seconds = |control: &str| {
        let terms = anonymous(&[("cache-control", control), ("etag", "\"a\"")]).unwrap();
        (terms.while_revalidating.as_secs(), terms.if_error.as_secs(), terms.strict)
    };
    assert_eq!(seconds("max-age=9"), (0, 600, false));
    assert_eq!(seconds("max-age=9, stale-while-revalidate=5"), (5, 600, false));
    assert_eq!(seconds("max-age=9, stale-if-error=7"), (0, 7, false));
    assert_eq!(seconds("max-age=9, stale-if-error=0"), (0, 0, false));
    assert_eq!(seconds("s-maxage=9"), (0, 0, false));
    assert_eq!(seconds("s-maxage=9, stale-while-revalidate=5, stale-if-error=7"), (5, 7, false));
    for strict in ["must-revalidate", "proxy-revalidate", "no-cache"] {
        let control = format!("max-age=9, stale-while-revalidate=5, stale-if-error=7, {strict}");
        assert_eq!(seconds(&control), (0, 0, true), "{strict}");
    }
}

#[test]
fn a_declared_time_stands_in_where_the_answer_is_silent() {
    let rules = Rules { ttl: Some(Duration::from_secs(30)), ..RULES };
    let fresh = |status, fields: &[(&'static str, &str)]| {
        judged(Credentials::None, &rules, status, fields).map(|terms| terms.fresh.as_secs())
    };
    assert_eq!(fresh(200, &[]), Ok(30));
    assert_eq!(fresh(200, &[("cache-control", "max-age=5")]), Ok(5));
    let old = http_date(NOW - 10_000);
    assert_eq!(fresh(200, &[("last-modified", old.to_str().unwrap())]), Ok(30));
    assert_eq!(fresh(500, &[]), Err(Unstored::NoFreshness));
    assert_eq!(fresh(200, &[("cache-control", "no-store")]), Err(Unstored::NoStore));
    assert_eq!(fresh(200, &[("cache-control", "no-cache"), ("etag", "\"a\"")]), Ok(0));
    let exact = Rules { heuristic: false, ..RULES };
    let silent =
        judged(Credentials::None, &exact, 200, &[("last-modified", old.to_str().unwrap())]);
    assert_eq!(silent, Err(Unstored::NoFreshness));
}

fn control() -> impl Strategy<Value = String> {
    let directive = prop::sample::select(vec![
        "max-age=60",
        "max-age=0",
        "s-maxage=60",
        "public",
        "private",
        "no-store",
        "no-cache",
        "must-revalidate",
        "proxy-revalidate",
        "stale-while-revalidate=9",
        "stale-if-error=9",
        "must-understand",
        "private=\"x\"",
        "no-cache=\"x\"",
    ]);
    prop::collection::vec(directive, 0..5).prop_map(|all| all.join(", "))
}

fn credentials() -> impl Strategy<Value = Credentials> {
    prop::sample::select(vec![
        Credentials::None,
        Credentials::Verified,
        Credentials::Authorization,
        Credentials::Other,
    ])
}

proptest! {
    /// Whatever stands there: never for all without a word that says so, never a cookie, never
    /// stale beyond what is forbidden.
    #[test]
    fn the_rules_hold(
        control in control(),
        targeted in prop::option::of(control()),
        credentials in credentials(),
        cookie in any::<bool>(),
        status in 100_u16..600,
    ) {
        let mut fields = vec![("cache-control", control.as_str()), ("etag", "\"a\"")];
        if let Some(targeted) = &targeted {
            fields.push(("cdn-cache-control", targeted));
        }
        if cookie {
            fields.push(("set-cookie", "a=b"));
        }
        let Ok(terms) = judged(credentials, &RULES, status, &fields) else { return Ok(()) };
        prop_assert!(!cookie);
        let all = format!("{control}, {}", targeted.unwrap_or_default());
        let says = |word: &str| all.contains(word);
        if credentials != Credentials::None && terms.audience == Audience::Anyone {
            prop_assert!(says("public") || says("s-maxage") || says("must-revalidate"));
        }
        if credentials == Credentials::Other {
            prop_assert!(says("public") || says("s-maxage"));
        }
        let beyond = terms.if_error.max(terms.while_revalidating);
        prop_assert!(!terms.strict || beyond.is_zero());
        prop_assert!(terms.fresh <= Duration::from_secs(super::super::control::SECONDS_MAX));
    }
}
