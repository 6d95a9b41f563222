//! Who calls, by the bearer token that the edge forwarded.
//!
//! The signature is **not** checked here: the edge has verified issuer, audience, expiry and scopes
//! before it passed the request on, and this backend is reachable through the edge alone (it
//! listens on loopback). A backend that can be reached in other ways must verify tokens itself.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use serde::Deserialize;

/// The longest token that is read. Unit: bytes.
const TOKEN_BYTES_MAX: usize = 8 * 1024;

#[derive(Deserialize)]
struct Claims {
    sub: String,
}

/// The `sub` of the request's bearer token, unverified; `None` without a readable one.
#[must_use]
pub fn subject(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| subject_of(token.trim()))?
}

/// The `sub` of a JWT (RFC 7519 section 4.1.2), unverified; `None` when it cannot be read.
#[must_use]
pub fn subject_of(token: &str) -> Option<String> {
    if token.len() > TOKEN_BYTES_MAX {
        return None;
    }
    let mut parts = token.split('.');
    let (_header, payload, _signature) = (parts.next()?, parts.next()?, parts.next()?);
    let json = URL_SAFE_NO_PAD.decode(payload).ok()?;
    serde_json::from_slice::<Claims>(&json).ok().map(|claims| claims.sub)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(claims: &str) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn the_subject_is_read_from_the_payload() {
        assert_eq!(subject_of(&token(r#"{"sub":"alice","exp":1}"#)).as_deref(), Some("alice"));
    }

    #[test]
    fn what_is_no_token_has_no_subject() {
        for bad in ["", "a.b", "a.!.c", &token("{}"), &token("[]"), &"a".repeat(9_000)] {
            assert_eq!(subject_of(bad), None, "{bad:.40}");
        }
    }

    #[test]
    fn the_scheme_is_bearer_in_any_case_and_nothing_else() {
        let mut headers = HeaderMap::new();
        let set = |headers: &mut HeaderMap, scheme: &str| {
            let value = format!("{scheme} {}", token(r#"{"sub":"alice"}"#));
            headers.insert(AUTHORIZATION, value.parse().unwrap());
        };
        set(&mut headers, "bearer");
        assert_eq!(subject(&headers).as_deref(), Some("alice"));
        set(&mut headers, "Basic");
        assert_eq!(subject(&headers), None);
    }
}
