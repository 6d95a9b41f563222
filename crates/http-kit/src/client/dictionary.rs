//! `Plimsoll-Client` as an RFC 9651 dictionary.

use std::borrow::Cow;

use http::{HeaderMap, HeaderValue};
use plimsoll_telemetry::Platform;

use super::draft::{Draft, FIELDS};
use super::structured::{self, Malformed};
use super::{AppState, ClientContext, Field, PLIMSOLL_CLIENT};

/// The longest field that is read, in bytes, all lines together.
const DICTIONARY_BYTES_MAX: usize = 1024;

/// Reads the field into the draft. A field that does not parse as a whole says nothing (RFC 9651
/// §4.2).
pub(super) fn read<'h>(line: Option<&'h HeaderValue>, draft: &mut Draft<'h>) {
    if let Some(line) = line
        && line.len() <= DICTIONARY_BYTES_MAX
        && let Ok(text) = std::str::from_utf8(line.as_bytes())
        && let Ok(entries) = Entries::read(text)
    {
        entries.offer_to(draft);
    }
}

/// Several lines are one dictionary (RFC 9651 §4.2); rare enough to pay for copies.
#[cold]
pub(super) fn read_lines(headers: &HeaderMap, draft: &mut Draft<'_>) {
    let mut joined = String::new();
    for line in headers.get_all(PLIMSOLL_CLIENT).iter().map(HeaderValue::to_str) {
        let Ok(line) = line else { return };
        if joined.len() + line.len() > DICTIONARY_BYTES_MAX {
            return;
        }
        if !joined.is_empty() {
            joined.push_str(", ");
        }
        joined.push_str(line);
    }
    if let Ok(entries) = Entries::read(&joined) {
        entries.into_owned().offer_to(draft);
    }
}

/// The entries known by name, the last of each kept, as RFC 9651 §4.2.2 wants. A version may come
/// as a string, a token or a number: apps are not written by people who read RFC 9651.
#[derive(Default)]
struct Entries<'h> {
    platform: Option<Cow<'h, str>>,
    state: Option<Cow<'h, str>>,
    values: [Option<Cow<'h, str>>; Field::COUNT],
}

impl<'h> Entries<'h> {
    fn read(text: &'h str) -> Result<Self, Malformed> {
        let mut entries = Self::default();
        structured::read(text, |key, value| {
            if let Some(slot) = entries.slot(key) {
                *slot = value;
            }
        })?;
        Ok(entries)
    }

    fn slot(&mut self, key: &str) -> Option<&mut Option<Cow<'h, str>>> {
        let field = match key {
            "platform" => return Some(&mut self.platform),
            "state" => return Some(&mut self.state),
            "version" => Field::Version,
            "build" => Field::Build,
            "os" => Field::Os,
            "model" => Field::Model,
            "network" => Field::Network,
            "installation" => Field::Installation,
            _ => return None,
        };
        Some(&mut self.values[field as usize])
    }

    fn offer_to(self, draft: &mut Draft<'h>) {
        if let Some(name) = self.platform {
            draft.offer_platform(Platform::from_name(&name));
        }
        if let Some(name) = self.state {
            draft.offer_state(AppState::from_name(&name));
        }
        for (field, value) in FIELDS.into_iter().zip(self.values) {
            if let Some(value) = value {
                draft.offer(field, value);
            }
        }
    }

    fn into_owned<'o>(self) -> Entries<'o> {
        let own = |value: Option<Cow<'h, str>>| value.map(|text| Cow::Owned(text.into_owned()));
        Entries {
            platform: own(self.platform),
            state: own(self.state),
            values: self.values.map(own),
        }
    }
}

fn key_of(field: Field) -> &'static str {
    match field {
        Field::Version => "version",
        Field::Build => "build",
        Field::Os => "os",
        Field::Model => "model",
        Field::Network => "network",
        Field::Installation => "installation",
    }
}

pub(super) fn write(context: &ClientContext) -> String {
    let mut out = String::with_capacity(128);
    let mut entry = |key: &str, value: &str, quote: &str| {
        if !out.is_empty() {
            out.push_str(", ");
        }
        // Kept values hold neither quotes nor backslashes.
        out.extend([key, "=", quote, value, quote]);
    };
    if context.platform != Platform::Unknown {
        entry("platform", context.platform.as_str(), "");
    }
    for field in FIELDS {
        if let Some(value) = context.text_of(field) {
            entry(key_of(field), value, "\"");
        }
    }
    if context.state != AppState::Unknown {
        entry("state", context.state.as_str(), "");
    }
    out
}
