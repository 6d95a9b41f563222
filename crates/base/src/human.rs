//! Sizes and durations as people write them in the manifest: `16MiB`, `250ms`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Why a size or a duration could not be read. The text says what would have been right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is not {expected}")]
pub struct ParseHumanError {
    given: String,
    expected: &'static str,
}

/// A number of bytes, written `512`, `64KiB`, `16MiB`, `1GiB` (powers of 1,024) or `1kB`, `1MB`,
/// `1GB` (powers of 1,000).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ByteSize(pub u64);

const BYTE_UNITS: [(&str, u64); 8] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
    ("", 1),
];
const BYTES_EXPECTED: &str = "a size such as 512, \"64KiB\" or \"16MiB\"";

impl FromStr for ByteSize {
    type Err = ParseHumanError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text, &BYTE_UNITS).map(Self).ok_or_else(|| refusal(text, BYTES_EXPECTED))
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_human(f, self.0, &BYTE_UNITS[..3], "B")
    }
}

/// A length of time, written `250ms`, `30s`, `5m`, `24h` or `7d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct HumanDuration(pub Duration);

const TIME_UNITS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
const TIME_EXPECTED: &str = "a duration such as \"250ms\", \"30s\", \"5m\", \"24h\" or \"7d\"";

impl HumanDuration {
    /// From whole milliseconds.
    #[must_use]
    pub const fn from_millis(ms: u64) -> Self {
        Self(Duration::from_millis(ms))
    }

    /// From whole seconds.
    #[must_use]
    pub const fn from_secs(s: u64) -> Self {
        Self(Duration::from_secs(s))
    }
}

impl FromStr for HumanDuration {
    type Err = ParseHumanError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text, &TIME_UNITS).map(Self::from_millis).ok_or_else(|| refusal(text, TIME_EXPECTED))
    }
}

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        let mut descending = TIME_UNITS;
        descending.reverse();
        write_human(f, ms, &descending[..4], "ms")
    }
}

fn refusal(given: &str, expected: &'static str) -> ParseHumanError {
    ParseHumanError { given: given.chars().take(64).collect(), expected }
}

fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let unit = unit.trim_start();
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.checked_mul(*factor)
}

fn write_human(
    f: &mut fmt::Formatter<'_>,
    value: u64,
    descending: &[(&str, u64)],
    smallest: &str,
) -> fmt::Result {
    match descending.iter().find(|(_, size)| value >= *size && value.is_multiple_of(*size)) {
        Some((unit, size)) => write!(f, "{}{unit}", value / size),
        None => write!(f, "{value}{smallest}"),
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for HumanDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum NumberOrText<'a> {
    Number(u64),
    Text(#[serde(borrow)] Cow<'a, str>),
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match NumberOrText::deserialize(deserializer) {
            Ok(NumberOrText::Number(bytes)) => Ok(Self(bytes)),
            Ok(NumberOrText::Text(text)) => text.parse().map_err(D::Error::custom),
            Err(_) => Err(D::Error::custom(format!("expected {BYTES_EXPECTED}"))),
        }
    }
}

impl<'de> Deserialize<'de> for HumanDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match NumberOrText::deserialize(deserializer) {
            Ok(NumberOrText::Text(text)) => text.parse().map_err(D::Error::custom),
            _ => Err(D::Error::custom(format!("expected {TIME_EXPECTED}"))),
        }
    }
}

impl JsonSchema for ByteSize {
    fn schema_name() -> Cow<'static, str> {
        "ByteSize".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A number of bytes: 512, \"64KiB\", \"16MiB\", \"1GiB\".",
            "anyOf": [
                { "type": "integer", "minimum": 0 },
                { "type": "string", "pattern": "^[0-9]+ *(GiB|MiB|KiB|GB|MB|kB|B)?$" }
            ]
        })
    }
}

impl JsonSchema for HumanDuration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A length of time: \"250ms\", \"30s\", \"5m\", \"24h\", \"7d\".",
            "type": "string",
            "pattern": "^[0-9]+ *(ms|s|m|h|d)$"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_read_as_people_write_them() {
        for (text, bytes) in
            [("0", 0), ("512", 512), ("64KiB", 65_536), ("16 MiB", 16_777_216), ("1kB", 1_000)]
        {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
        }
        for bad in ["", "KiB", "-1", "1.5MiB", "1 mib", "99999999999GiB"] {
            assert!(bad.parse::<ByteSize>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_bare_number_is_no_duration() {
        for bad in ["30", "", "s", "1y", "1.5s"] {
            let error = bad.parse::<HumanDuration>().unwrap_err().to_string();
            assert!(error.contains("250ms"), "{error}");
        }
    }

    #[test]
    fn they_read_from_numbers_and_text() {
        assert_eq!(serde_json::from_str::<ByteSize>("7").unwrap(), ByteSize(7));
        assert_eq!(serde_json::from_str::<ByteSize>("\"1KiB\"").unwrap(), ByteSize(1024));
        assert!(serde_json::from_str::<HumanDuration>("7").is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(n in 0u64..1 << 50) {
            prop_assert_eq!(ByteSize(n).to_string().parse(), Ok(ByteSize(n)));
            let span = HumanDuration::from_millis(n);
            prop_assert_eq!(span.to_string().parse(), Ok(span));
        }
    }
}
