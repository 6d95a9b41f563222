//! Who asks, as far as stored answers are concerned.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use plimsoll_base::failpoint;
use plimsoll_http_kit::caching::storing::{Audience, Credentials};

use super::key::{Keys, Partition, Subject, Writer};
use crate::auth::Verified;

/// Fields in which apps send what they are known by, beside those that are known to limits.
const CUSTOMARY: [&str; 5] =
    ["proxy-authorization", "x-access-token", "x-auth-token", "x-session-token", "x-user-token"];

/// The fields other than `Authorization` and `Cookie` in which credentials come.
pub(super) fn key_fields(known: &[HeaderName]) -> Vec<HeaderName> {
    let mut fields = known.to_vec();
    fields.extend(CUSTOMARY.map(HeaderName::from_static));
    fields.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
    fields.dedup();
    fields
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    /// Somebody who shows nothing.
    Nobody,
    /// Somebody whose token was verified.
    Verified {
        /// Everything their answers could depend on: subject, scopes, and what else they showed.
        subject: Subject,
        /// The caller, whatever token they came with.
        writer: Writer,
    },
    /// Somebody who showed what nobody here verified.
    Unverified {
        /// Whoever shows this, where it is `Authorization` and nothing else.
        bearer: Option<Subject>,
        /// All of what they showed.
        writer: Writer,
    },
}

impl Identity {
    pub(crate) fn of(
        keys: &Keys,
        key_fields: &[HeaderName],
        verified: Option<&Verified>,
        headers: &HeaderMap,
    ) -> Self {
        let others = || {
            let named = key_fields.iter().chain([&header::COOKIE]);
            named.flat_map(|name| headers.get_all(name)).map(HeaderValue::as_bytes)
        };
        if let Some(verified) = verified {
            let caller = verified.caller().as_u128().to_le_bytes();
            // A divider, so that a scope is not taken for a cookie.
            let scopes = verified.scopes().iter().map(str::as_bytes).chain([&b""[..]]);
            let subject = keys.subject([&caller[..]].into_iter().chain(scopes).chain(others()));
            return Self::Verified { subject, writer: keys.writer([&caller[..]].into_iter()) };
        }
        let authorization =
            || headers.get_all(header::AUTHORIZATION).iter().map(HeaderValue::as_bytes);
        let any_other = others().next().is_some();
        if !any_other && authorization().next().is_none() {
            return Self::Nobody;
        }
        let writer = keys.writer(authorization().chain([&b""[..]]).chain(others()));
        let bearer = (!any_other).then(|| keys.bearer(authorization()));
        Self::Unverified { bearer, writer }
    }

    pub(crate) fn credentials(self) -> Credentials {
        match self {
            Self::Nobody => Credentials::None,
            Self::Verified { .. } => Credentials::Verified,
            Self::Unverified { bearer: Some(_), .. } => Credentials::Authorization,
            Self::Unverified { bearer: None, .. } => Credentials::Other,
        }
    }

    /// Who is remembered to have written; nobody where nobody can be told from others.
    pub(crate) fn writer(self) -> Option<Writer> {
        match self {
            Self::Nobody => None,
            Self::Verified { writer, .. } | Self::Unverified { writer, .. } => Some(writer),
        }
    }

    /// Where answers for `audience` belong that this one was given. `None` where they are for
    /// nobody: an answer for one subject needs a subject.
    pub(crate) fn partition(self, audience: Audience) -> Option<Partition> {
        match (audience, self) {
            (Audience::Anyone, _) | (Audience::Anonymous, Self::Nobody) => Some(Partition::Shared),
            (Audience::Subject, Self::Verified { subject, .. })
            | (Audience::Subject, Self::Unverified { bearer: Some(subject), .. }) => {
                Some(Partition::Subject(subject))
            }
            (Audience::Anonymous | Audience::Subject, _) => None,
        }
    }

    /// The partition that is this one's alone.
    pub(crate) fn own(self) -> Option<Partition> {
        self.partition(Audience::Subject)
    }

    /// Whether a stored answer for `audience` answers this one, too, in the partition it was found
    /// in.
    pub(crate) fn is_among(self, audience: Audience) -> bool {
        self.partition(audience).is_some() || failpoint::hit("edge.cache.identity").is_err()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(fields: &[(&'static str, &'static str)]) -> Identity {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        let fields = key_fields(&[HeaderName::from_static("x-api-key")]);
        Identity::of(&Keys::new(&[7; 16]), &fields, None, &headers)
    }

    #[test]
    fn whoever_shows_anything_is_not_nobody() {
        assert_eq!(identity(&[("accept", "x")]), Identity::Nobody);
        for (field, only) in [
            ("authorization", true),
            ("cookie", false),
            ("x-api-key", false),
            ("x-auth-token", false),
            ("proxy-authorization", false),
        ] {
            let (shown, other) = (identity(&[(field, "a")]), identity(&[(field, "b")]));
            let Identity::Unverified { bearer, .. } = shown else { panic!("{field}: {shown:?}") };
            assert_eq!(bearer.is_some(), only, "{field}");
            assert_ne!(shown.writer(), other.writer(), "{field}");
            assert_eq!(shown.own().is_some(), only, "{field}");
            assert!(!only || shown.own() != other.own());
            assert_eq!(shown.own(), identity(&[(field, "a")]).own());
            assert!(!shown.is_among(Audience::Anonymous) && shown.is_among(Audience::Anyone));
        }
        let both = identity(&[("authorization", "a"), ("cookie", "b")]);
        assert!(matches!(both, Identity::Unverified { bearer: None, .. }));
        assert_ne!(both.writer(), identity(&[("authorization", "b"), ("cookie", "a")]).writer());
    }
}
