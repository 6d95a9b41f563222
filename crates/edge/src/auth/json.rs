//! One JSON object of untrusted origin, taken apart one level deep.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// Most members of a JOSE header or a claims set.
const MEMBERS_MAX: usize = 128;

/// Why the text is no such object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JsonFault {
    /// Not a JSON object in UTF-8, or one with too many members.
    NotAnObject,
    /// A member stands in it twice (RFC 7515 §4, RFC 7519 §4: the reader may refuse, and two
    /// readers that pick different ones is how checks are slipped past).
    Duplicate,
}

/// The members by name; each value is still text, so that an unknown one of any depth costs
/// nothing but a scan.
#[derive(Debug)]
pub(super) struct Object<'a>(BTreeMap<String, &'a RawValue>);

impl<'a> Object<'a> {
    /// Reads the whole of `bytes` as one object. The caller bounds its length.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, JsonFault> {
        let text = std::str::from_utf8(bytes).map_err(|_| JsonFault::NotAnObject)?;
        let members: Members<'a> =
            serde_json::from_str(text).map_err(|_| JsonFault::NotAnObject)?;
        if members.duplicate { Err(JsonFault::Duplicate) } else { Ok(Self(members.by_name)) }
    }

    /// The member of that name, whatever its type. A `null` is a member.
    pub(super) fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.get(name).copied()
    }

    /// The member of that name as `T`: `Ok(None)` when it is absent, `Err` when it is not a `T`.
    pub(super) fn read<T: Deserialize<'a>>(&self, name: &str) -> Result<Option<T>, WrongType> {
        self.get(name).map(|raw| serde_json::from_str(raw.get()).map_err(|_| WrongType)).transpose()
    }
}

/// A member is there but not of the type it has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WrongType;

struct Members<'a> {
    by_name: BTreeMap<String, &'a RawValue>,
    duplicate: bool,
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer
            .deserialize_map(MembersVisitor)
            .map(|m| Members { by_name: m.by_name, duplicate: m.duplicate })
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Members { by_name: BTreeMap::new(), duplicate: false };
        while let Some((name, value)) = map.next_entry::<String, &'de RawValue>()? {
            members.duplicate |= members.by_name.insert(name, value).is_some();
            if members.by_name.len() > MEMBERS_MAX {
                return Err(A::Error::custom("too many members"));
            }
        }
        Ok(members)
    }
}

/// A string, or an array of strings (`aud`, and scopes by most issuers).
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

/// A point in time in seconds since 1970-01-01T00:00:00Z, which may have a fraction (RFC 7519 §2,
/// NumericDate).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct NumericDate(f64);

/// Beyond this a double does not hold whole seconds any more; no clock of ours gets there.
const SECONDS_MAX: f64 = 9_007_199_254_740_992.0;

impl NumericDate {
    /// The last whole second that does not lie after it.
    pub(super) fn floor(self) -> u64 {
        whole(self.0.floor())
    }

    /// The first whole second that does not lie before it.
    pub(super) fn ceil(self) -> u64 {
        whole(self.0.ceil())
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the only constructor admits 0 ..= 2^53"
)]
fn whole(seconds: f64) -> u64 {
    seconds as u64
}

impl<'de> Deserialize<'de> for NumericDate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seconds = f64::deserialize(deserializer)?;
        if (0.0..=SECONDS_MAX).contains(&seconds) {
            Ok(Self(seconds))
        } else {
            Err(D::Error::custom("not a date"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Object<'_>, JsonFault> {
        Object::parse(text.as_bytes())
    }

    #[test]
    fn members_are_found_and_duplicates_refused_however_they_are_spelt() {
        let object = parse(r#" {"a": 1, "b": {"a": 2, "a": 3}, "c": null} "#).unwrap();
        assert_eq!(object.read::<u8>("a"), Ok(Some(1)));
        assert_eq!(object.read::<u8>("b"), Err(WrongType));
        assert_eq!(object.read::<u8>("x"), Ok(None));
        assert_eq!(object.get("c").map(RawValue::get), Some("null"));
        for twice in [r#"{"a":1,"a":1}"#, r#"{"exp":1,"\u0065xp":2}"#, r#"{"":1,"":2}"#] {
            assert_eq!(parse(twice).unwrap_err(), JsonFault::Duplicate, "{twice}");
        }
    }

    #[test]
    fn only_one_whole_object_will_do() {
        for bad in [
            "",
            "null",
            "[]",
            "1",
            "\"a\"",
            "{",
            "{}{}",
            "{} x",
            "{\"a\":}",
            "{'a':1}",
            "{a:1}",
            "\u{feff}{}",
            "{\"a\":1,}",
            "{\"a\":01}",
            "{\"a\":NaN}",
            "// c\n{}",
        ] {
            assert_eq!(parse(bad).unwrap_err(), JsonFault::NotAnObject, "{bad}");
        }
        assert_eq!(Object::parse(b"{\"a\":\"\xff\"}").unwrap_err(), JsonFault::NotAnObject);
        let members = |n: usize| {
            format!("{{{}}}", (0..n).map(|i| format!("\"{i}\":0")).collect::<Vec<_>>().join(","))
        };
        assert!(parse(&members(128)).is_ok());
        assert_eq!(parse(&members(129)).unwrap_err(), JsonFault::NotAnObject);
    }

    #[test]
    fn depth_costs_no_stack() {
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(parse(&deep).is_ok());
    }

    #[test]
    fn dates_are_numbers_in_range() {
        let date = |text: &str| serde_json::from_str::<NumericDate>(text).ok();
        assert_eq!(date("1700000000").map(NumericDate::floor), Some(1_700_000_000));
        assert_eq!(date("1700000000.9").map(NumericDate::floor), Some(1_700_000_000));
        assert_eq!(date("1700000000.1").map(NumericDate::ceil), Some(1_700_000_001));
        assert_eq!(date("1.7e9").map(NumericDate::ceil), Some(1_700_000_000));
        assert_eq!(date("0").map(NumericDate::floor), Some(0));
        for bad in ["-1", "-0.5", "1e300", "1e999", "\"1700000000\"", "null", "true", "[1]"] {
            assert_eq!(date(bad), None, "{bad}");
        }
    }
}
