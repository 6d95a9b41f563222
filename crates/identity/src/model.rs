//! What a revocation asks for. Pure.

use std::time::Duration;

use serde::Deserialize;

use crate::error::IdentityError;

/// A revocation is kept at least so long.
pub const REVOCATION_KEPT_MIN: Duration = Duration::from_secs(60 * 60);
/// A revocation is kept at most so long; no access token should live longer.
pub const REVOCATION_KEPT_MAX: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// The longest subject, token id and issuer, bytes (OpenID Connect Core §2 bounds `sub` at 255).
const NAME_BYTES_MAX: usize = 512;
/// The longest reason, bytes.
const REASON_BYTES_MAX: usize = 1_024;

/// Whom or what a revocation names.
#[derive(Clone, PartialEq, Eq)]
pub enum RevokedName {
    /// Everything issued to this subject until now (`sub`, RFC 7519 §4.1.2).
    Sub(String),
    /// One token (`jti`, RFC 7519 §4.1.7).
    Jti(String),
}

/// A revocation as it is asked for.
#[derive(Clone, Deserialize)]
#[serde(try_from = "Form")]
pub struct Revoke {
    /// Whom or what.
    pub name: RevokedName,
    /// Only tokens of this issuer; of every one where it is `None`.
    pub issuer: Option<String>,
    /// Why, in words; written sealed.
    pub reason: Option<String>,
    /// How long it is kept, in seconds: as long as the longest-lived access token.
    pub kept_seconds: u64,
}

/// The form in JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    sub: Option<String>,
    jti: Option<String>,
    issuer: Option<String>,
    reason: Option<String>,
    kept_seconds: u64,
}

impl TryFrom<Form> for Revoke {
    type Error = &'static str;

    fn try_from(form: Form) -> Result<Self, Self::Error> {
        let name = match (form.sub, form.jti) {
            (Some(sub), None) => RevokedName::Sub(sub),
            (None, Some(jti)) => RevokedName::Jti(jti),
            _ => return Err("exactly one of `sub` and `jti` is expected"),
        };
        let Form { issuer, reason, kept_seconds, .. } = form;
        Ok(Self { name, issuer, reason, kept_seconds })
    }
}

impl std::fmt::Debug for Revoke {
    /// Names stay out: they are people's.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let claim = self.claim();
        f.debug_struct("Revoke").field("claim", &claim).finish_non_exhaustive()
    }
}

impl Revoke {
    /// `sub` or `jti`.
    #[must_use]
    pub const fn claim(&self) -> &'static str {
        match self.name {
            RevokedName::Sub(_) => "sub",
            RevokedName::Jti(_) => "jti",
        }
    }

    /// The claim's value.
    #[must_use]
    pub fn value(&self) -> &str {
        match &self.name {
            RevokedName::Sub(value) | RevokedName::Jti(value) => value,
        }
    }

    pub(crate) fn check(&self) -> Result<(), IdentityError> {
        let is_name = |text: &str| {
            !text.is_empty() && text.len() <= NAME_BYTES_MAX && !text.chars().any(char::is_control)
        };
        let expected = "holds 1 to 512 bytes and no control character";
        if !is_name(self.value()) {
            return Err(IdentityError::Invalid { field: self.claim(), expected });
        }
        if self.issuer.as_deref().is_some_and(|issuer| !is_name(issuer)) {
            return Err(IdentityError::Invalid { field: "issuer", expected });
        }
        if self.reason.as_ref().is_some_and(|reason| reason.len() > REASON_BYTES_MAX) {
            let expected = "holds at most 1024 bytes";
            return Err(IdentityError::Invalid { field: "reason", expected });
        }
        let kept = Duration::from_secs(self.kept_seconds);
        if !(REVOCATION_KEPT_MIN..=REVOCATION_KEPT_MAX).contains(&kept) {
            let expected = "is 3600 (an hour) to 34560000 (400 days)";
            return Err(IdentityError::Invalid { field: "kept_seconds", expected });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revoke(text: &str) -> Result<Revoke, serde_json::Error> {
        serde_json::from_str(text)
    }

    #[test]
    fn exactly_one_name_is_asked_for() {
        assert!(revoke(r#"{"sub":"alice","kept_seconds":7200}"#).unwrap().check().is_ok());
        assert_eq!(revoke(r#"{"jti":"t","kept_seconds":7200}"#).unwrap().claim(), "jti");
        assert!(revoke(r#"{"kept_seconds":7200}"#).is_err());
        assert!(revoke(r#"{"sub":"a","jti":"b","kept_seconds":7200}"#).is_err());
        assert!(revoke(r#"{"sub":"a","kept_seconds":7200,"odd":1}"#).is_err());
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for text in [
            r#"{"sub":"","kept_seconds":7200}"#,
            r#"{"sub":"a\u0000","kept_seconds":7200}"#,
            r#"{"sub":"a","issuer":"","kept_seconds":7200}"#,
            r#"{"sub":"a","kept_seconds":1}"#,
            r#"{"sub":"a","kept_seconds":99999999999}"#,
        ] {
            assert!(revoke(text).unwrap().check().is_err(), "{text}");
        }
    }

    #[test]
    fn whom_it_names_is_never_shown() {
        let shown = format!("{:?}", revoke(r#"{"sub":"alice","kept_seconds":7200}"#).unwrap());
        assert!(!shown.contains("alice"), "{shown}");
    }
}
