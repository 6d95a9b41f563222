//! `Cache-Status` (RFC 9211): what this cache did with a request.

use std::fmt::Write as _;

use http::{HeaderName, HeaderValue};

use super::storing::Unstored;

/// The field.
pub const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// The name this cache has in it.
const NAME: &str = "plimsoll";

/// Why a request went on to the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forward {
    /// Nothing is stored under its URI.
    UriMiss,
    /// What is stored was selected by other requests.
    VaryMiss,
    /// What is stored is stale, invalidated, or older than the caller's own last write.
    Stale,
    /// The client would not take what is stored.
    Request,
    /// The cache was not asked.
    Bypass,
}

impl Forward {
    const fn word(self) -> &'static str {
        match self {
            Self::UriMiss => "uri-miss",
            Self::VaryMiss => "vary-miss",
            Self::Stale => "stale",
            Self::Request => "request",
            Self::Bypass => "bypass",
        }
    }
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheStatus {
    /// Answered from the store; how many seconds it is still fresh, below zero where it is stale.
    Hit {
        /// The seconds.
        ttl: i64,
        /// It stands in for a service that fails, or while a newer one is fetched.
        detail: Option<&'static str>,
    },
    /// Sent on.
    Forwarded {
        /// Why.
        why: Forward,
        /// What the service answered, where the client is answered otherwise.
        status: Option<u16>,
        /// The answer is stored once it is whole.
        stored: bool,
        /// It waited for another request's answer.
        collapsed: bool,
        /// Why it is not stored.
        unstored: Option<Unstored>,
    },
}

impl CacheStatus {
    /// What most answers say that nobody may store.
    const SILENT: HeaderValue =
        HeaderValue::from_static("plimsoll; fwd=uri-miss; detail=no-freshness");

    /// The field's member for this cache.
    #[must_use]
    pub fn to_value(self) -> HeaderValue {
        let mut text = String::with_capacity(64);
        text.push_str(NAME);
        // Writing into a string does not fail.
        let _written = match self {
            Self::Forwarded {
                why: Forward::UriMiss,
                status: None,
                stored: false,
                collapsed: false,
                unstored: Some(Unstored::NoFreshness),
            } => return Self::SILENT,
            Self::Hit { ttl, detail } => {
                let hit = write!(text, "; hit; ttl={ttl}");
                detail.map_or(hit, |detail| hit.and(write!(text, "; detail={detail}")))
            }
            Self::Forwarded { why, status, stored, collapsed, unstored } => {
                let mut written = write!(text, "; fwd={}", why.word());
                if let Some(status) = status {
                    written = written.and(write!(text, "; fwd-status={status}"));
                }
                if stored {
                    text.push_str("; stored");
                }
                if collapsed {
                    text.push_str("; collapsed");
                }
                if let Some(unstored) = unstored {
                    written = written.and(write!(text, "; detail={}", unstored.word()));
                }
                written
            }
        };
        HeaderValue::from_str(&text).unwrap_or(Self::SILENT)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sfv::{List, Parser};

    use super::*;

    #[test]
    fn it_says_what_was_done() {
        let hit = CacheStatus::Hit { ttl: -5, detail: Some("service-fails") };
        assert_eq!(hit.to_value(), "plimsoll; hit; ttl=-5; detail=service-fails");
        let sent = |why, status, stored, collapsed, unstored| {
            CacheStatus::Forwarded { why, status, stored, collapsed, unstored }.to_value()
        };
        assert_eq!(
            sent(Forward::UriMiss, None, true, true, None),
            "plimsoll; fwd=uri-miss; stored; collapsed"
        );
        assert_eq!(
            sent(Forward::Stale, Some(304), true, false, None),
            "plimsoll; fwd=stale; fwd-status=304; stored"
        );
        let silent = sent(Forward::UriMiss, None, false, false, Some(Unstored::NoFreshness));
        assert_eq!(silent, "plimsoll; fwd=uri-miss; detail=no-freshness");
        let cookie = sent(Forward::Request, None, false, false, Some(Unstored::SetCookie));
        assert_eq!(cookie, "plimsoll; fwd=request; detail=set-cookie");
    }

    proptest! {
        #[test]
        fn it_is_a_list_of_one(
            ttl in any::<i32>(),
            status in prop::option::of(100_u16..600),
            stored in any::<bool>(),
        ) {
            for value in [
                CacheStatus::Hit { ttl: i64::from(ttl), detail: None },
                CacheStatus::Forwarded {
                    why: Forward::VaryMiss, status, stored, collapsed: stored,
                    unstored: (!stored).then_some(Unstored::NoStore),
                },
            ] {
                let list: List = Parser::new(value.to_value().as_bytes()).parse().unwrap();
                prop_assert_eq!(list.len(), 1);
            }
        }
    }
}
