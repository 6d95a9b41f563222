//! Label values that a client chose, made safe to keep and to show.

use std::borrow::Cow;

/// The longest label value kept, in bytes.
pub(crate) const VALUE_BYTES_MAX: usize = 64;

/// What stands for a value nobody gave.
pub(crate) const UNKNOWN: &str = "unknown";

/// What stands for values beyond a bound.
pub(crate) const OTHER: &str = "other";

/// A value trimmed to 64 bytes, with every character that is neither letter, digit, ASCII
/// punctuation nor space replaced by `_`: control and direction characters never reach a terminal,
/// a page or a metric. Borrows when there is nothing to change.
#[inline]
pub(crate) fn clean(value: &str) -> Cow<'_, str> {
    let short = value.len() <= VALUE_BYTES_MAX;
    let plain = value.bytes().all(|byte| (0x21..0x7f).contains(&byte));
    if short && plain {
        return Cow::Borrowed(if value.is_empty() { UNKNOWN } else { value });
    }
    clean_slowly(value)
}

#[cold]
fn clean_slowly(value: &str) -> Cow<'_, str> {
    let value = value.trim();
    if value.is_empty() {
        return Cow::Borrowed(UNKNOWN);
    }
    let end = floor_char_boundary(value, VALUE_BYTES_MAX);
    let value = value[..end].trim_end();
    if value.chars().all(is_shown) {
        return Cow::Borrowed(value);
    }
    // `_` is one byte and what it replaces at least one, so the bound still holds.
    Cow::Owned(value.chars().map(|c| if is_shown(c) { c } else { '_' }).collect())
}

fn is_shown(c: char) -> bool {
    c == ' ' || c.is_ascii_graphic() || (!c.is_ascii() && c.is_alphanumeric())
}

/// The largest character boundary that is at most `at`.
pub(crate) fn floor_char_boundary(text: &str, at: usize) -> usize {
    if text.len() <= at {
        return text.len();
    }
    (0..=at).rev().find(|index| text.is_char_boundary(*index)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn usual_values_are_borrowed_as_they_are() {
        for value in ["3.1.0", "iPhone15,2", "SM-S918B/DS"] {
            assert!(matches!(clean(value), Cow::Borrowed(same) if same == value));
        }
        assert_eq!(clean("Pixel 8 Pro"), "Pixel 8 Pro");
        assert_eq!(clean(""), "unknown");
        assert_eq!(clean("  \t"), "unknown");
        assert_eq!(clean("a\nb\u{202e}c\u{1b}[2J"), "a_b_c_[2J");
    }

    proptest! {
        #[test]
        fn any_value_becomes_short_and_harmless(value in any::<String>()) {
            let cleaned = clean(&value);
            prop_assert!(!cleaned.is_empty() && cleaned.len() <= VALUE_BYTES_MAX);
            prop_assert!(cleaned.chars().all(is_shown));
            prop_assert_eq!(clean(&cleaned), cleaned.as_ref(), "cleaning twice changes nothing");
        }
    }
}
