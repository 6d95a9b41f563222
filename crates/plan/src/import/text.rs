//! Texts of reports: how they are decoded, where something stands in them, and what of them may be
//! shown or kept.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::date::Date;
use crate::import::error::{ImportError, Place};
use crate::import::{REPORT_BYTES_MAX, REPORT_TEXT_BYTES_MAX};

/// The most of a message that is shown, bytes.
const SHOWN_BYTES_MAX: usize = 300;
/// The longest name of a tool, version or rule that is kept, bytes.
pub(super) const NAME_BYTES_MAX: usize = 64;

/// As UTF-8, without what may stand before it.
pub(super) fn decoded(bytes: &[u8]) -> Result<&str, ImportError> {
    if bytes.len() > REPORT_BYTES_MAX {
        return Err(ImportError::TooLong);
    }
    let utf16 = matches!(bytes, [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, _, ..] | [_, 0, ..]);
    if utf16 {
        let says = "the report is UTF-16 and has to be UTF-8: have the tool write the file itself, \
                    or in PowerShell end with `| Out-File -Encoding utf8 FILE`";
        return Err(ImportError::Refused(says.to_owned()));
    }
    if bytes.starts_with(&[0x1f, 0x8b]) {
        let says = "the report is compressed by gzip: unpack it first";
        return Err(ImportError::Refused(says.to_owned()));
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let before = std::str::from_utf8(before).unwrap_or_default();
        let says = "this is no UTF-8, which a report has to be".to_owned();
        ImportError::At { place: place(before, before.len()), says }
    })?;
    if text.trim_start().is_empty() {
        return Err(ImportError::Refused("the report is empty".to_owned()));
    }
    Ok(text)
}

/// Line and column of a place in a text.
pub(super) fn place(text: &str, offset: usize) -> Place {
    let before = text.get(..text.floor_char_boundary(offset)).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
    Place::Line { line: before.matches('\n').count() + 1, column }
}

/// What a reader of JSON says, with its place taken out of its words.
pub(super) fn json_fault(error: &serde_json::Error) -> ImportError {
    let (line, column) = (error.line(), error.column());
    let whole = error.to_string();
    let suffix = format!(" at line {line} column {column}");
    let says = shown(whole.strip_suffix(&suffix).unwrap_or(&whole));
    let says = if error.is_eof() { format!("the report breaks off here: {says}") } else { says };
    ImportError::At { place: Place::Line { line, column }, says }
}

/// Fit for a terminal: without control characters, and not endless.
pub(super) fn shown(text: &str) -> String {
    let cut = text.get(..text.floor_char_boundary(SHOWN_BYTES_MAX)).unwrap_or(text);
    let mut out: String = cut.chars().map(|one| if one.is_control() { '?' } else { one }).collect();
    if cut.len() < text.len() {
        out.push('…');
    }
    out
}

/// Whether a single text of the report is longer than is read.
pub(super) fn too_long(text: &str) -> Option<String> {
    let long = text.len() > REPORT_TEXT_BYTES_MAX;
    long.then(|| format!("a text is longer than {} KiB", REPORT_TEXT_BYTES_MAX / 1024))
}

/// Whether something can be kept as the name of a tool, a version or a rule.
pub(super) fn is_name(text: &str) -> bool {
    let plain = |one: char| !one.is_control();
    !text.trim().is_empty() && text.len() <= NAME_BYTES_MAX && text.chars().all(plain)
}

/// A rule by its last part: what stands before it may name a folder, as semgrep makes it of where
/// the file with the rules lies.
pub(super) fn rule_name(id: &str) -> Option<String> {
    let last = id.rsplit('.').next().unwrap_or(id);
    is_name(last).then(|| last.to_owned())
}

/// The day in UTC of an ISO 8601 time; without an offset the day as it is written.
pub(super) fn day(text: &str) -> Result<Date, String> {
    let wrong = || format!("`{}` is no time as 2026-11-30T08:15:00Z", shown(text));
    if let Ok(time) = OffsetDateTime::parse(text, &Rfc3339) {
        let ms = u64::try_from(time.unix_timestamp()).ok().and_then(|s| s.checked_mul(1_000));
        return ms.map(Date::of_unix_ms).ok_or_else(wrong);
    }
    let (written, rest) = text.split_at_checked(10).ok_or_else(wrong)?;
    let clock = rest.chars().all(|one| one.is_ascii_digit() || "T :.,+-Z".contains(one));
    let whole = rest.is_empty() || (rest.starts_with(['T', ' ']) && clock);
    if !whole {
        return Err(wrong());
    }
    written.parse().map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_taken_in_utc_where_the_time_says_its_offset() {
        for (text, wanted) in [
            ("2026-11-29T23:30:00-02:00", "2026-11-30"),
            ("2026-11-29T23:30:00.123456789Z", "2026-11-29"),
            ("2026-11-29T23:30:00", "2026-11-29"),
            ("2026-11-29 23:30:00.5", "2026-11-29"),
            ("2026-11-29", "2026-11-29"),
        ] {
            assert_eq!(day(text).unwrap().to_string(), wanted, "{text}");
        }
        for text in ["", "29.11.2026", "Sun Nov 29 2026", "2026-13-01", "2026-11-29X", "1769-01-01"]
        {
            assert!(day(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_place_is_counted_in_lines_and_characters() {
        let text = "a\nüb\nc";
        assert_eq!(place(text, 0), Place::Line { line: 1, column: 1 });
        assert_eq!(place(text, 4), Place::Line { line: 2, column: 2 });
        assert_eq!(place(text, 99), Place::Line { line: 3, column: 2 });
    }

    #[test]
    fn what_is_shown_rings_no_bell_and_has_an_end() {
        assert_eq!(shown("a\u{1b}[31mb"), "a?[31mb");
        assert!(shown(&"x".repeat(9_000)).len() < 310);
    }

    #[test]
    fn of_a_rule_no_folder_is_kept() {
        assert_eq!(rule_name("home.alice.rules.no-eval").as_deref(), Some("no-eval"));
        assert_eq!(rule_name("js/sql-injection").as_deref(), Some("js/sql-injection"));
        assert_eq!(rule_name(""), None);
        assert_eq!(rule_name(&"x".repeat(65)), None);
    }
}
