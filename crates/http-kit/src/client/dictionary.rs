//! `Plimsoll-Client` as an RFC 9651 dictionary.

use std::borrow::Cow;
use std::convert::Infallible;

use http::HeaderMap;
use plimsoll_telemetry::Platform;
use sfv::visitor::{DictionaryVisitor, EntryVisitor, Ignored, InnerListVisitor, ItemVisitor};
use sfv::{BareItemFromInput, KeyRef, Parser};

use super::draft::{Draft, FIELDS};
use super::{AppState, ClientContext, Field, PLIMSOLL_CLIENT};

/// The longest field that is read, in bytes, all lines together.
const DICTIONARY_BYTES_MAX: usize = 1024;

/// Reads the field into the draft. A field that does not parse as a whole says nothing (RFC 9651
/// §4.2).
pub(super) fn read<'h>(headers: &'h HeaderMap, draft: &mut Draft<'h>) {
    let mut lines = headers.get_all(PLIMSOLL_CLIENT).iter();
    let Some(first) = lines.next() else {
        return;
    };
    if lines.next().is_some() {
        return read_lines(headers, draft);
    }
    if first.len() <= DICTIONARY_BYTES_MAX
        && let Ok(entries) =
            Parser::new(first.as_bytes()).parse_dictionary_with_visitor(Entries::default())
    {
        entries.offer_to(draft);
    }
}

/// Several lines are one dictionary (RFC 9651 §4.2); rare enough to pay for copies.
#[cold]
fn read_lines(headers: &HeaderMap, draft: &mut Draft<'_>) {
    let mut joined = Vec::new();
    for line in headers.get_all(PLIMSOLL_CLIENT) {
        if joined.len() + line.len() > DICTIONARY_BYTES_MAX {
            return;
        }
        if !joined.is_empty() {
            joined.extend_from_slice(b", ");
        }
        joined.extend_from_slice(line.as_bytes());
    }
    if let Ok(entries) = Parser::new(&joined).parse_dictionary_with_visitor(Entries::default()) {
        entries.into_owned().offer_to(draft);
    }
}

/// The entries known by name, the last of each kept, as RFC 9651 §4.2.2 wants.
#[derive(Default)]
struct Entries<'h> {
    platform: Option<Cow<'h, str>>,
    state: Option<Cow<'h, str>>,
    values: [Option<Cow<'h, str>>; Field::COUNT],
}

impl<'h> Entries<'h> {
    fn slot(&mut self, key: &str) -> Option<&mut Option<Cow<'h, str>>> {
        Some(match key {
            "platform" => &mut self.platform,
            "state" => &mut self.state,
            _ => {
                let field = FIELDS.into_iter().find(|field| key_of(*field) == key)?;
                &mut self.values[field as usize]
            }
        })
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

impl<'de> DictionaryVisitor<'de> for Entries<'de> {
    type Out = Self;
    type Error = Infallible;

    fn entry(&mut self, key: &'de KeyRef) -> Result<impl EntryVisitor<'de>, Infallible> {
        Ok(self.slot(key.as_str()).map(Slot))
    }

    fn finish(self) -> Result<Self, Infallible> {
        Ok(self)
    }
}

struct Slot<'s, 'h>(&'s mut Option<Cow<'h, str>>);

impl<'de> EntryVisitor<'de> for Slot<'_, 'de> {
    type Error = Infallible;

    fn item(self) -> Result<impl ItemVisitor<'de>, Infallible> {
        Ok(|item: BareItemFromInput<'de>| {
            *self.0 = text_of(item);
            Ok::<_, Infallible>(Ignored)
        })
    }

    fn inner_list(self) -> Result<impl InnerListVisitor<'de>, Infallible> {
        *self.0 = None;
        Ok(Ignored)
    }
}

/// A version may come as a string, a token or a number: apps are not written by people who read
/// RFC 9651.
fn text_of(item: BareItemFromInput<'_>) -> Option<Cow<'_, str>> {
    match item {
        BareItemFromInput::String(Cow::Borrowed(text)) => Some(Cow::Borrowed(text.as_str())),
        BareItemFromInput::String(Cow::Owned(text)) => Some(Cow::Owned(text.as_str().to_owned())),
        BareItemFromInput::Token(token) => Some(Cow::Borrowed(token.as_str())),
        BareItemFromInput::Integer(number) => Some(Cow::Owned(number.to_string())),
        BareItemFromInput::Decimal(number) => Some(Cow::Owned(number.to_string())),
        BareItemFromInput::DisplayString(text) => Some(text),
        _ => None,
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
