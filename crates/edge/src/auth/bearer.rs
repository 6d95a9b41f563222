//! The `Authorization` field in, the `WWW-Authenticate` field out (RFC 6750 §2.1 and §3).

use http::HeaderValue;
use plimsoll_http_kit::hygiene::Lines;

use super::error::{AuthError, Refusal};

/// What credentials a request presents in `Authorization`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presented<'a> {
    /// None.
    None,
    /// A bearer token: at least one character, all of the b64token set.
    Bearer(Token<'a>),
    /// Credentials of another scheme; they are not ours to read.
    Other,
}

/// A token as presented. It has no `Debug` that shows it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Token<'a>(&'a str);

impl<'a> Token<'a> {
    /// The text, for verifying; never for a log.
    #[must_use]
    pub fn as_str(self) -> &'a str {
        self.0
    }
}

impl std::fmt::Debug for Token<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Token({} bytes)", self.0.len())
    }
}

/// Reads the credentials of a request. Tokens in the query or the body are never looked for
/// (RFC 9700 §4.3.2).
///
/// # Errors
/// [`AuthError::Ambiguous`] on a second `Authorization` field: the backend might read the other
/// one. [`Refusal::NotAJwt`] on a `Bearer` that is followed by anything but one b64token.
pub fn presented(authorization: Lines<'_>) -> Result<Presented<'_>, AuthError> {
    let Some(field) = authorization.first() else {
        return Ok(Presented::None);
    };
    if authorization.count() > 1 {
        return Err(AuthError::Ambiguous);
    }
    let bytes = field.as_bytes();
    let scheme_end = bytes.iter().position(|b| !is_token(*b)).unwrap_or(bytes.len());
    let (scheme, rest) = bytes.split_at(scheme_end);
    if !scheme.eq_ignore_ascii_case(b"Bearer") {
        return Ok(Presented::Other);
    }
    let text = rest.trim_ascii_start();
    let gap = &rest[..rest.len() - text.len()];
    match b64token(text) {
        Some(token) if !gap.is_empty() && gap.iter().all(|b| *b == b' ') => {
            Ok(Presented::Bearer(Token(token)))
        }
        _ => Err(Refusal::NotAJwt.into()),
    }
}

/// What follows `Bearer ` in the one `Authorization` field, not looked over: good for finding a
/// token that is known, and for nothing else. `None` where the field is written in any other way.
pub(crate) fn bearer_text(authorization: Lines<'_>) -> Option<&str> {
    let text = authorization.only()?.as_bytes().strip_prefix(b"Bearer ")?;
    std::str::from_utf8(text).ok()
}

/// A `tchar` (RFC 9110 §5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// `1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="`
fn b64token(bytes: &[u8]) -> Option<&str> {
    let end = bytes.iter().rposition(|b| *b != b'=').map(|at| at + 1)?;
    // Without an early way out, and without a look-up, the compiler looks at sixteen bytes at once.
    let foreign =
        bytes[..end].iter().fold(0u8, |found, byte| found | u8::from(!in_b64token(*byte)));
    if foreign == 0 { std::str::from_utf8(bytes).ok() } else { None }
}

/// Which bytes a b64token is made of, `=` aside. It is asked of every byte of every token.
#[inline]
fn in_b64token(byte: u8) -> bool {
    // `-`, `.` and `/` stand before the digits.
    let digit_or_sign = byte.wrapping_sub(b'-') <= b'9' - b'-';
    let letter = (byte | 0x20).wrapping_sub(b'a') <= b'z' - b'a';
    letter | digit_or_sign | (byte == b'_') | (byte == b'~') | (byte == b'+')
}

/// Builds challenges for one realm.
#[derive(Clone, Debug)]
pub(super) struct Challenger {
    /// `Bearer realm="..."`
    opening: Box<str>,
}

impl Challenger {
    /// `None` when the realm cannot stand in a quoted string of ASCII.
    pub(super) fn new(realm: &str) -> Option<Self> {
        if realm.is_empty() || !realm.bytes().all(|b| (0x20..0x7f).contains(&b)) {
            return None;
        }
        let quoted = realm.replace('\\', "\\\\").replace('"', "\\\"");
        Some(Self { opening: format!("Bearer realm=\"{quoted}\"").into() })
    }

    /// The challenge that goes with `error`; none with a 503, which is not the client's doing.
    /// `scope` is named where the scope is what is missing. A request that sent no credentials is
    /// told no error (RFC 6750 §3.1).
    pub(super) fn challenge(&self, error: AuthError, scope: &[String]) -> Option<HeaderValue> {
        let kind = match error {
            AuthError::Missing => return HeaderValue::from_str(&self.opening).ok(),
            AuthError::Unavailable { .. } | AuthError::RevocationsUnknown { .. } => return None,
            AuthError::Ambiguous => "invalid_request",
            AuthError::Refused(_) | AuthError::Revoked => "invalid_token",
            AuthError::InsufficientScope => "insufficient_scope",
        };
        let description = error.description();
        let mut text =
            format!("{}, error=\"{kind}\", error_description=\"{description}\"", self.opening);
        if error == AuthError::InsufficientScope {
            let known: Vec<&str> =
                scope.iter().map(String::as_str).filter(|s| is_scope_token(s)).collect();
            if !known.is_empty() {
                text.push_str(&format!(", scope=\"{}\"", known.join(" ")));
            }
        }
        HeaderValue::from_str(&text).ok()
    }
}

/// `scope-token` (RFC 6749 §3.3): what a scope may be made of.
pub(super) fn is_scope_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::HeaderMap;
    use http::header::AUTHORIZATION;
    use plimsoll_http_kit::hygiene::Fields;

    use super::*;

    fn with(values: &[&[u8]]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_bytes(value).unwrap());
        }
        headers
    }

    fn presented_in(headers: &HeaderMap) -> Result<Presented<'_>, AuthError> {
        presented(Fields::of(headers).authorization)
    }

    #[test]
    fn a_b64token_is_made_of_what_rfc_6750_says() {
        for byte in 0..=u8::MAX {
            let expected = byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
            assert_eq!(in_b64token(byte), expected, "{byte:#x}");
        }
    }

    #[test]
    fn the_quick_look_sees_no_token_that_the_closer_one_does_not() {
        for value in ["Bearer a.b", "Bearer  a.b", "bearer a.b", "Bearer", "Basic Bearer a", ""] {
            let headers = with(&[value.as_bytes()]);
            let quick = bearer_text(Fields::of(&headers).authorization);
            let found = quick.filter(|text| !text.starts_with(' '));
            assert_eq!(
                found,
                bearer(&headers).filter(|_| value.starts_with("Bearer a")),
                "{value}"
            );
        }
        let twice = with(&[b"Bearer a", b"Bearer a"]);
        assert_eq!(bearer_text(Fields::of(&twice).authorization), None);
    }

    fn bearer(headers: &HeaderMap) -> Option<&str> {
        match presented_in(headers) {
            Ok(Presented::Bearer(token)) => Some(token.as_str()),
            _ => None,
        }
    }

    #[test]
    fn the_scheme_is_read_in_any_case() {
        for value in
            ["Bearer a.b-c_d~e+f/g==", "bearer a.b-c_d~e+f/g==", "BEARER   a.b-c_d~e+f/g=="]
        {
            let headers = with(&[value.as_bytes()]);
            assert_eq!(bearer(&headers), Some("a.b-c_d~e+f/g=="), "{value}");
        }
        assert_eq!(presented_in(&HeaderMap::new()), Ok(Presented::None));
        for other in ["Basic YTpi", "DPoP abc", "Bearerx abc", "", "=", "Digest a=\"b\""] {
            assert_eq!(presented_in(&with(&[other.as_bytes()])), Ok(Presented::Other), "{other}");
        }
    }

    #[test]
    fn anything_but_one_b64token_after_bearer_is_refused() {
        for bad in [
            &b"Bearer"[..],
            b"Bearer ",
            b"Bearer =",
            b"Bearer a=b",
            b"Bearer a b",
            b"Bearer a, Bearer b",
            b"Bearer a,b",
            b"Bearer \"a\"",
            b"Bearer a\xc3\xa4",
            b"Bearer a\x80",
            b"Bearer\ta",
            b"Bearer \ta",
            b"Bearer,a",
            b"Bearer a%2e",
        ] {
            let headers = with(&[bad]);
            assert_eq!(
                presented_in(&headers),
                Err(AuthError::Refused(Refusal::NotAJwt)),
                "{}",
                String::from_utf8_lossy(bad)
            );
        }
    }

    #[test]
    fn a_second_field_is_never_ignored() {
        for pair in [[&b"Bearer a"[..], b"Bearer a"], [b"Bearer a", b"Basic b"], [b"Basic b", b""]]
        {
            assert_eq!(presented_in(&with(&pair)), Err(AuthError::Ambiguous));
        }
    }

    #[test]
    fn a_token_does_not_show_itself() {
        let headers = with(&[b"Bearer secret"]);
        let shown = format!("{:?}", presented_in(&headers));
        assert!(!shown.contains("secret"), "{shown}");
    }

    #[test]
    fn challenges_follow_rfc_6750() {
        let challenger = Challenger::new("pl\"im\\soll").unwrap();
        let text = |error, scope: &[&str]| {
            let scope: Vec<String> = scope.iter().map(|s| (*s).to_owned()).collect();
            challenger.challenge(error, &scope).map(|v| v.to_str().unwrap().to_owned())
        };
        let realm = r#"Bearer realm="pl\"im\\soll""#;
        assert_eq!(text(AuthError::Missing, &["a"]).as_deref(), Some(realm));
        assert_eq!(
            text(Refusal::Expired.into(), &["a"]).unwrap(),
            format!(
                "{realm}, error=\"invalid_token\", error_description=\"the token has expired\""
            )
        );
        let scoped = text(AuthError::InsufficientScope, &["a:b", "c", "bad\"one"]).unwrap();
        assert!(scoped.ends_with(", scope=\"a:b c\""), "{scoped}");
        assert!(!text(AuthError::InsufficientScope, &[]).unwrap().contains("scope=\""));
        assert!(text(AuthError::Ambiguous, &[]).unwrap().contains("invalid_request"));
        let unavailable = AuthError::Unavailable { retry_after: Duration::from_secs(5) };
        assert_eq!(text(unavailable, &[]), None);
        for bad in ["", "a\r\nb", "ä", "a\u{7f}"] {
            assert!(Challenger::new(bad).is_none());
        }
    }
}
