//! Whether an answer may be stored, for whom, and on which terms it is used later (RFC 9111 §3,
//! RFC 5861).

use std::time::Duration;

use http::{HeaderMap, StatusCode, header};

use super::control::{Omitted, ResponseControl};
use super::freshness::{self, Lifetime};
use super::{targeted, vary};

/// What a request showed of its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// Nothing.
    None,
    /// A token that was verified here, so that its subject is known.
    Verified,
    /// `Authorization` and nothing else, verified by nobody here.
    Authorization,
    /// A cookie, an API key, or several things, verified by nobody here.
    Other,
}

/// What the operator declared of an operation's answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sharing {
    /// Nothing: they go by their own fields.
    #[default]
    AsSaid,
    /// They are the same for everybody.
    Declared,
    /// They are each caller's own, whatever they say.
    Apart,
}

/// The operator's rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Nobody declared anything of the service, so that its answers are taken by their word: what
    /// says `must-revalidate` is for all (RFC 9111 §3.5), not only for the same `Authorization`.
    pub to_the_letter: bool,
    /// `Last-Modified` alone makes an answer fresh for a while (RFC 9111 §4.2.2).
    pub heuristic: bool,
    /// How long answers are fresh that do not say so themselves.
    pub ttl: Option<Duration>,
    /// How long a stale answer stands in for a failing service where the answer does not say.
    pub stale_if_error: Duration,
    /// Who may share them.
    pub sharing: Sharing,
}

/// What was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// What the request showed.
    pub credentials: Credentials,
    /// It said `no-store`.
    pub no_store: bool,
    /// It wanted a part.
    pub range: bool,
}

/// When the answer came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// From the request sent to the answer's head.
    pub delay: Duration,
    /// Wall time then, seconds since 1970-01-01T00:00:00Z.
    pub now_unix_s: u64,
}

/// Whom a stored answer answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Everybody of its tenant.
    Anyone,
    /// Those who show nothing.
    Anonymous,
    /// The subject who asked, or whoever shows the same `Authorization`.
    Subject,
}

/// The terms on which an answer is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Whom it answers.
    pub audience: Audience,
    /// How old it was when it came.
    pub age: Duration,
    /// Up to which age it is fresh.
    pub fresh: Duration,
    /// It is never used stale, whatever the client or the operator would take.
    pub strict: bool,
    /// It is not used stale on the client's word alone: it has `s-maxage`, which holds what
    /// `proxy-revalidate` says (RFC 9111 §5.2.2.10).
    pub revalidates: bool,
    /// How long beyond it is used while a newer one is fetched.
    pub while_revalidating: Duration,
    /// How long beyond it stands in for a failing service.
    pub if_error: Duration,
    /// Fields that are not kept with it.
    pub omitted: Omitted,
}

/// Why an answer is not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unstored {
    /// Its status, or a part that nobody asked for.
    Status,
    /// It or the request says `no-store`.
    NoStore,
    /// It says `private`.
    Private,
    /// It sets a cookie.
    SetCookie,
    /// It answers somebody unverified and does not say that it is for all.
    Credentials,
    /// It varies by everything, or by more fields than are looked at.
    Vary,
    /// Nothing says how long it is fresh.
    NoFreshness,
    /// It is stale already and cannot be validated.
    Stale,
    /// Its body is too large.
    TooLarge,
    /// It is a stream without an end of its own.
    Stream,
}

impl Unstored {
    /// The word for it in `Cache-Status`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::NoStore => "no-store",
            Self::Private => "private",
            Self::SetCookie => "set-cookie",
            Self::Credentials => "credentials",
            Self::Vary => "vary",
            Self::NoFreshness => "no-freshness",
            Self::Stale => "stale",
            Self::TooLarge => "too-large",
            Self::Stream => "stream",
        }
    }
}

/// Judges an answer to a GET.
///
/// # Errors
/// Says why it is not stored.
pub fn judge(
    asked: &Asked,
    rules: &Rules,
    times: Times,
    status: StatusCode,
    headers: &HeaderMap,
) -> Result<Terms, Unstored> {
    let targeted = targeted::of(headers);
    let is_targeted = targeted.is_some();
    let control = targeted.unwrap_or_else(|| ResponseControl::of(headers));
    refuse(asked, &control, status, headers)?;
    let now = times.now_unix_s;
    let fresh = match freshness::lifetime(&control, is_targeted, status, headers, now) {
        Lifetime::Explicit(fresh) => fresh,
        Lifetime::Unsaid if control.no_cache => Duration::ZERO,
        Lifetime::Heuristic(_) | Lifetime::Unsaid
            if rules.ttl.is_some() && freshness::is_heuristic(status) =>
        {
            rules.ttl.unwrap_or_default()
        }
        Lifetime::Heuristic(guessed) if rules.heuristic => guessed,
        Lifetime::Heuristic(_) | Lifetime::Unsaid => return Err(Unstored::NoFreshness),
    };
    let audience = audience(asked.credentials, rules, &control)?;
    let age = freshness::initial_age(headers, times.delay, now);
    let strict = control.forbids_stale();
    let beyond = |seconds: Option<u64>| Duration::from_secs(seconds.unwrap_or(0));
    let terms = Terms {
        audience,
        age: age.unwrap_or_default(),
        // An age that cannot be read may be any age.
        fresh: if control.no_cache || age.is_none() { Duration::ZERO } else { fresh },
        strict,
        revalidates: control.s_maxage.is_some(),
        while_revalidating: match strict {
            true => Duration::ZERO,
            false => beyond(control.stale_while_revalidate),
        },
        if_error: match control.stale_if_error {
            _ if strict => Duration::ZERO,
            Some(seconds) => Duration::from_secs(seconds),
            // It holds what `proxy-revalidate` says (RFC 9111 §5.2.2.10).
            None if control.s_maxage.is_some() => Duration::ZERO,
            None => rules.stale_if_error,
        },
        omitted: control.omitted,
    };
    let validates =
        headers.contains_key(header::ETAG) || headers.contains_key(header::LAST_MODIFIED);
    let said_stale = control.stale_if_error.or(control.stale_while_revalidate).is_some() && !strict;
    if terms.age >= terms.fresh && !validates && !said_stale {
        return Err(Unstored::Stale);
    }
    Ok(terms)
}

fn refuse(
    asked: &Asked,
    control: &ResponseControl,
    status: StatusCode,
    headers: &HeaderMap,
) -> Result<(), Unstored> {
    if status.is_informational()
        || matches!(status, StatusCode::NOT_MODIFIED | StatusCode::RANGE_NOT_SATISFIABLE)
        || (status == StatusCode::PARTIAL_CONTENT && !asked.range)
        || (control.must_understand && !is_understood(status))
    {
        return Err(Unstored::Status);
    }
    // `must-understand` on a status that is understood takes `no-store` back (RFC 9111 §5.2.2.3).
    if asked.no_store || (control.no_store && !control.must_understand) {
        return Err(Unstored::NoStore);
    }
    if control.private {
        return Err(Unstored::Private);
    }
    if headers.contains_key(header::SET_COOKIE) {
        return Err(Unstored::SetCookie);
    }
    if !vary::is_selectable(headers) {
        return Err(Unstored::Vary);
    }
    Ok(())
}

/// Whom an answer is for: for all only where it, or the operator, says so; for a verified subject
/// alone else. What somebody unverified was answered is for nobody else, and is stored only where
/// it says `must-revalidate` (RFC 9111 §3.5).
fn audience(
    credentials: Credentials,
    rules: &Rules,
    control: &ResponseControl,
) -> Result<Audience, Unstored> {
    let sharing = rules.sharing;
    let said = match sharing {
        Sharing::Apart => false,
        Sharing::Declared => true,
        Sharing::AsSaid => control.public || control.s_maxage.is_some(),
    };
    match credentials {
        _ if said => Ok(Audience::Anyone),
        Credentials::None => Ok(Audience::Anonymous),
        Credentials::Verified => Ok(Audience::Subject),
        // The third of the three ways in RFC 9111 §3.5. Services that say so mean "not stale", and
        // seldom "for all": where anything is declared, whoever shows the very same gets it.
        Credentials::Authorization if control.must_revalidate && sharing == Sharing::AsSaid => {
            Ok(if rules.to_the_letter { Audience::Anyone } else { Audience::Subject })
        }
        Credentials::Authorization | Credentials::Other => Err(Unstored::Credentials),
    }
}

/// Statuses whose caching rules are known here (RFC 9110 §15).
fn is_understood(status: StatusCode) -> bool {
    matches!(
        status.as_u16(),
        200..=206 | 300..=303 | 305 | 307 | 308 | 400..=417 | 421 | 422 | 426 | 428 | 429 | 431
            | 451 | 500..=505 | 511
    )
}

#[cfg(test)]
mod tests;
