//! A client context while it is gathered from several sources.

use std::borrow::Cow;

use plimsoll_telemetry::Platform;

use super::{AppState, ClientContext, Field, INSTALLATION_BYTES_MAX, UNKNOWN, VALUE_BYTES_MAX};

pub(super) const FIELDS: [Field; Field::COUNT] =
    [Field::Version, Field::Build, Field::Os, Field::Model, Field::Network, Field::Installation];

/// Values as the sources have them, borrowed from the headers where possible. The first value
/// offered for a field stays.
#[derive(Default)]
pub(super) struct Draft<'h> {
    platform: Platform,
    state: AppState,
    values: [Option<Cow<'h, str>>; Field::COUNT],
}

impl<'h> Draft<'h> {
    pub(super) fn offer(&mut self, field: Field, value: impl Into<Cow<'h, str>>) {
        let slot = &mut self.values[field as usize];
        if slot.is_none() {
            let value = value.into();
            let text = trimmed(&value);
            if !text.is_empty() && !text.eq_ignore_ascii_case(UNKNOWN) {
                *slot = Some(value);
            }
        }
    }

    pub(super) fn offer_platform(&mut self, platform: Platform) {
        if self.platform == Platform::Unknown {
            self.platform = platform;
        }
    }

    pub(super) fn offer_state(&mut self, state: AppState) {
        if self.state == AppState::Unknown {
            self.state = state;
        }
    }

    /// Whether everything a `User-Agent` could add is known already.
    pub(super) fn is_told(&self) -> bool {
        self.platform != Platform::Unknown
            && [Field::Version, Field::Build, Field::Os, Field::Model]
                .iter()
                .all(|field| self.values[*field as usize].is_some())
    }

    pub(super) fn finish(self) -> ClientContext {
        let mut ends = [0u16; Field::COUNT];
        let upper: usize = self.values.iter().flatten().map(|value| value.len()).sum();
        // The sum of the bounds of all fields fits 16 bits many times over.
        let mut text = String::with_capacity(
            upper.min(VALUE_BYTES_MAX * Field::COUNT + INSTALLATION_BYTES_MAX),
        );
        for field in FIELDS {
            if let Some(value) = &self.values[field as usize] {
                let value = trimmed(value);
                match field {
                    Field::Installation => push_installation(&mut text, value),
                    Field::Network => push_clean(&mut text, value, true),
                    _ => push_clean(&mut text, value, false),
                }
            }
            ends[field as usize] = u16::try_from(text.len()).unwrap_or(u16::MAX);
        }
        ClientContext {
            platform: self.platform,
            state: self.state,
            ends,
            text: text.into_boxed_str(),
        }
    }
}

/// At most [`VALUE_BYTES_MAX`] characters; what is not plain becomes `_`.
fn push_clean(out: &mut String, value: &str, lower: bool) {
    let start = out.len();
    if value.len() <= VALUE_BYTES_MAX && value.bytes().all(is_plain) {
        out.push_str(value);
    } else {
        let clean = |c: char| {
            if c.is_ascii() && is_plain(c as u8) { c } else { '_' }
        };
        out.extend(value.chars().take(VALUE_BYTES_MAX).map(clean));
        // A cut may leave a blank at the end.
        out.truncate(out.trim_end_matches(' ').len());
    }
    if lower && let Some(pushed) = out.get_mut(start..) {
        pushed.make_ascii_lowercase();
    }
}

fn is_plain(byte: u8) -> bool {
    CLASSES[usize::from(byte)] & PLAIN != 0
}

const PLAIN: u8 = 1;
const INSTALLATION: u8 = 2;

/// What values and installations may hold. Looked up, because it is asked of every byte of them.
const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0u8;
    while byte.is_ascii() {
        let common = byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b':');
        if common || matches!(byte, b' ' | b',' | b'+' | b'(' | b')' | b'/') {
            classes[byte as usize] |= PLAIN;
        }
        if common || byte == b'~' {
            classes[byte as usize] |= INSTALLATION;
        }
        byte += 1;
    }
    classes
};

/// The text without the white space around it, which it hardly ever has.
pub(super) fn trimmed(text: &str) -> &str {
    match text.as_bytes() {
        [b'!'..=b'~'] | [b'!'..=b'~', .., b'!'..=b'~'] => text,
        _ => text.trim(),
    }
}

fn push_installation(out: &mut String, value: &str) {
    let plain = |byte: u8| CLASSES[usize::from(byte)] & INSTALLATION != 0;
    if value.len() <= INSTALLATION_BYTES_MAX && value.bytes().all(plain) {
        out.push_str(value);
    }
}
