//! `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-11) and `Retry-After`.
//!
//! Both fields are lists of strings with parameters (RFC 9651 §3.1), one member for each named
//! policy: `RateLimit-Policy: "burst";q=100;w=60` and `RateLimit: "burst";r=50;t=30`.

use http::{HeaderName, HeaderValue};

/// What is left of each policy.
pub const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
/// The policies themselves.
pub const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// The largest integer of a structured field (RFC 9651 §3.3.1).
const INTEGER_MAX: u64 = 999_999_999_999_999;

/// A policy's name as a structured string, quoted and escaped once, when the policy is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotedName(Box<str>);

impl QuotedName {
    /// Quotes a name. What a structured string cannot hold (RFC 9651 §3.3.3) becomes `_`.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let mut text = String::with_capacity(name.len() + 2);
        text.push('"');
        for c in name.chars() {
            match c {
                '"' | '\\' => text.extend(['\\', c]),
                ' '..='~' => text.push(c),
                _ => text.push('_'),
            }
        }
        text.push('"');
        Self(text.into())
    }
}

/// What a policy counts (`qu`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QuotaUnit {
    /// Requests, the default: the parameter is left out.
    #[default]
    Requests,
    /// Cost units, as the operations declare them.
    Cost,
}

/// One policy, for `RateLimit-Policy`.
#[derive(Clone, Copy, Debug)]
pub struct PolicyItem<'a> {
    /// Its name.
    pub name: &'a QuotedName,
    /// How much may be used in a window, in `unit` (`q`).
    pub quota: u64,
    /// The window, in whole seconds (`w`).
    pub window_seconds: u64,
    /// What is counted.
    pub unit: QuotaUnit,
}

/// What is left of one policy, for `RateLimit`.
#[derive(Clone, Copy, Debug)]
pub struct LimitItem<'a> {
    /// Its name.
    pub name: &'a QuotedName,
    /// How much may be used at once, now (`r`).
    pub remaining: u64,
    /// In how many seconds more may be used (`t`).
    pub reset_seconds: u64,
}

/// The value of `RateLimit-Policy`; none for no policy, because an empty list is no field (RFC
/// 9651 §3.1).
#[must_use]
pub fn policy_value<'a>(items: impl IntoIterator<Item = PolicyItem<'a>>) -> Option<HeaderValue> {
    let mut out = Vec::with_capacity(96);
    for item in items {
        begin(&mut out, item.name);
        parameter(&mut out, b";q=", item.quota);
        if item.unit == QuotaUnit::Cost {
            out.extend_from_slice(b";qu=\"cost\"");
        }
        parameter(&mut out, b";w=", item.window_seconds);
    }
    finish(out)
}

/// The value of `RateLimit`; none for no policy.
#[must_use]
pub fn limit_value<'a>(items: impl IntoIterator<Item = LimitItem<'a>>) -> Option<HeaderValue> {
    let mut out = Vec::with_capacity(64);
    for item in items {
        begin(&mut out, item.name);
        parameter(&mut out, b";r=", item.remaining);
        parameter(&mut out, b";t=", item.reset_seconds);
    }
    finish(out)
}

fn begin(out: &mut Vec<u8>, name: &QuotedName) {
    if !out.is_empty() {
        out.extend_from_slice(b", ");
    }
    out.extend_from_slice(name.0.as_bytes());
}

fn parameter(out: &mut Vec<u8>, key: &[u8], number: u64) {
    out.extend_from_slice(key);
    out.extend_from_slice(itoa::Buffer::new().format(number.min(INTEGER_MAX)).as_bytes());
}

fn finish(out: Vec<u8>) -> Option<HeaderValue> {
    if out.is_empty() {
        return None;
    }
    HeaderValue::from_maybe_shared(bytes::Bytes::from(out)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sfv::{BareItem, List, ListEntry, Parser};

    /// Name, integer parameters and unit of a member.
    type Member = (String, Vec<(String, i64)>, Option<String>);

    /// The members, by an independent parser.
    fn read(value: &HeaderValue) -> Vec<Member> {
        let list: List = Parser::new(value.as_bytes()).parse().unwrap();
        list.iter()
            .map(|member| {
                let ListEntry::Item(item) = member else { panic!("an inner list") };
                let name = item.bare_item.as_string().unwrap().as_str().to_owned();
                let mut unit = None;
                let mut numbers = Vec::new();
                for (key, value) in &item.params {
                    match value {
                        BareItem::Integer(n) => numbers.push((key.to_string(), i64::from(*n))),
                        BareItem::String(text) => unit = Some(text.as_str().to_owned()),
                        other => panic!("{other:?}"),
                    }
                }
                (name, numbers, unit)
            })
            .collect()
    }

    #[test]
    fn the_fields_are_written_as_the_draft_has_them() {
        let (burst, day) = (QuotedName::new("burst"), QuotedName::new("per-day"));
        let policy =
            |name, quota, window_seconds, unit| PolicyItem { name, quota, window_seconds, unit };
        let value = policy_value([
            policy(&burst, 100, 60, QuotaUnit::Requests),
            policy(&day, 5_000, 86_400, QuotaUnit::Cost),
        ]);
        assert_eq!(value.unwrap(), "\"burst\";q=100;w=60, \"per-day\";q=5000;qu=\"cost\";w=86400");
        let value = limit_value([
            LimitItem { name: &burst, remaining: 50, reset_seconds: 30 },
            LimitItem { name: &day, remaining: 0, reset_seconds: 7 },
        ]);
        assert_eq!(value.unwrap(), "\"burst\";r=50;t=30, \"per-day\";r=0;t=7");
        assert_eq!(limit_value([]), None);
        assert_eq!(policy_value([]), None);
    }

    proptest! {
        #[test]
        fn another_parser_reads_what_was_written(
            items in prop::collection::vec(
                (any::<String>(), any::<u64>(), any::<u64>(), any::<bool>()),
                1..5,
            ),
        ) {
            let names: Vec<_> = items.iter().map(|(name, ..)| QuotedName::new(name)).collect();
            let named = || items.iter().zip(&names);
            let limits = limit_value(named().map(|((_, r, t, _), name)| LimitItem {
                name, remaining: *r, reset_seconds: *t,
            })).unwrap();
            let policies = policy_value(named().map(|((_, q, w, cost), name)| PolicyItem {
                name, quota: *q, window_seconds: *w,
                unit: if *cost { QuotaUnit::Cost } else { QuotaUnit::Requests },
            })).unwrap();
            let clamp = |n: u64| i64::try_from(n.min(INTEGER_MAX)).unwrap();
            let clean = |name: &str| -> String {
                name.chars().map(|c| if (' '..='~').contains(&c) { c } else { '_' }).collect()
            };
            let found = read(&limits).into_iter().zip(read(&policies));
            for ((name, a, b, cost), (limit, policy)) in items.iter().zip(found) {
                prop_assert_eq!(&limit.0, &clean(name));
                prop_assert_eq!(limit.1, vec![("r".into(), clamp(*a)), ("t".into(), clamp(*b))]);
                prop_assert_eq!(&policy.0, &clean(name));
                prop_assert_eq!(policy.1, vec![("q".into(), clamp(*a)), ("w".into(), clamp(*b))]);
                prop_assert_eq!(policy.2.is_some(), *cost);
            }
        }
    }
}
