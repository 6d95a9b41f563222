//! Figures as people read them. One unit a column, so that digits stand under digits.

use time::OffsetDateTime;
use time::macros::format_description;

/// What stands where there is no figure.
pub(crate) const NONE: &str = "–";

/// A count with thousands told apart: `12,840`.
pub(crate) fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A rate or another real number: one decimal below a thousand, none above.
pub(crate) fn real(value: f64) -> String {
    if value <= 0.0 || !value.is_finite() {
        return "0".into();
    }
    if value < 0.05 {
        return "<0.1".into();
    }
    if value < 999.95 { format!("{value:.1}") } else { whole(value) }
}

fn whole(value: f64) -> String {
    // `as` saturates; a figure that large has lost its last digits anyway.
    count(value.round() as u64)
}

/// Seconds as milliseconds, without the unit: one decimal below 10, none above, where the buckets
/// behind a quantile are coarser than that.
pub(crate) fn ms(seconds: Option<f64>) -> String {
    let Some(seconds) = seconds else { return NONE.into() };
    let ms = seconds * 1_000.0;
    if ms < 0.05 {
        "<0.1".into()
    } else if ms < 9.95 {
        format!("{ms:.1}")
    } else {
        whole(ms)
    }
}

/// A share as a percentage without the sign. What is neither nothing nor all never looks so.
pub(crate) fn percent(share: f64) -> String {
    if share <= 0.0 {
        "0".into()
    } else if share >= 1.0 {
        "100".into()
    } else {
        format!("{:.2}", (share * 100.0).clamp(0.01, 99.99))
    }
}

/// A figure for a column: filled with blanks as wide as a point and digits, so that points stand
/// under points.
pub(crate) fn aligned(text: &str, decimals: usize) -> String {
    let given = text.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    let mut out = text.to_owned();
    if given == 0 && decimals > 0 {
        out.push('\u{2008}');
    }
    out.extend(std::iter::repeat_n('\u{2007}', decimals.saturating_sub(given)));
    out
}

/// Bytes in the largest binary unit that leaves at least one: `16 MiB`.
pub(crate) fn bytes(value: u64) -> String {
    const UNITS: [(&str, u32); 4] = [("GiB", 30), ("MiB", 20), ("KiB", 10), ("B", 0)];
    let (unit, shift) =
        UNITS.into_iter().find(|(_, shift)| value >= 1 << shift).unwrap_or(("B", 0));
    let scaled = value as f64 / (1u64 << shift) as f64;
    let digits = usize::from(scaled.fract() > 0.0 && scaled < 100.0);
    format!("{scaled:.digits$} {unit}")
}

/// A time span in its largest unit: `9 s`, `4 min`, `3 h`, `12 d`.
pub(crate) fn span(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        7_200..=172_799 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// Milliseconds as a time-out is written: `250 ms`, `30 s`.
pub(crate) fn timeout(ms: u64) -> String {
    if ms.is_multiple_of(1_000) { format!("{} s", ms / 1_000) } else { format!("{} ms", count(ms)) }
}

/// A moment in UTC, to the second.
pub(crate) fn moment(unix_ms: u64) -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second] UTC");
    utc(unix_ms).and_then(|at| at.format(&format).ok()).unwrap_or_else(|| NONE.into())
}

/// A day in UTC.
pub(crate) fn day(unix_ms: u64) -> String {
    let format = format_description!("[year]-[month]-[day]");
    utc(unix_ms).and_then(|at| at.format(&format).ok()).unwrap_or_else(|| NONE.into())
}

/// A day in UTC where there is little room: `16 Nov`.
pub(crate) fn short_day(unix_ms: u64) -> String {
    let format = format_description!("[day padding:none] [month repr:short]");
    utc(unix_ms).and_then(|at| at.format(&format).ok()).unwrap_or_else(|| NONE.into())
}

/// A moment in UTC as a form's field takes it: with seconds only where there are some.
pub(crate) fn field_time(unix_ms: u64) -> String {
    let minutes = format_description!("[year]-[month]-[day]T[hour]:[minute]");
    let seconds = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]");
    let whole = unix_ms.is_multiple_of(60_000);
    let text = utc(unix_ms)
        .and_then(|at| if whole { at.format(&minutes) } else { at.format(&seconds) }.ok());
    text.unwrap_or_default()
}

fn utc(unix_ms: u64) -> Option<OffsetDateTime> {
    let seconds = i64::try_from(unix_ms / 1_000).unwrap_or(i64::MAX);
    OffsetDateTime::from_unix_timestamp(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        let reals = [0.0, 0.01, 0.26, 8.44, 99.96, 999.96, 1_283.6].map(real);
        assert_eq!(reals, ["0", "<0.1", "0.3", "8.4", "100.0", "1,000", "1,284"]);
        let times = [0.000_01, 0.000_42, 0.008_4, 0.084, 1.24].map(|seconds| ms(Some(seconds)));
        assert_eq!(times, ["<0.1", "0.4", "8.4", "84", "1,240"]);
        assert_eq!(ms(None), "–");
        assert_eq!(aligned("84", 1), "84\u{2008}\u{2007}");
        assert_eq!(["8.4", "0.42", "<0.1"].map(|text| aligned(text, 1)), ["8.4", "0.42", "<0.1"]);
        assert_eq!(bytes(16 << 20), "16 MiB");
        assert_eq!(bytes(1_536), "1.5 KiB");
        assert_eq!(bytes(0), "0 B");
        assert_eq!([119, 120, 7_200, 172_800].map(span), ["119 s", "2 min", "2 h", "2 d"]);
        assert_eq!([250, 30_000].map(timeout), ["250 ms", "30 s"]);
        assert_eq!(moment(1_795_335_000_123), "2026-11-22 08:10:00 UTC");
        assert_eq!(day(1_795_335_000_123), "2026-11-22");
        assert_eq!(short_day(1_796_112_000_000), "1 Dec");
    }

    #[test]
    fn a_share_is_never_rounded_to_nothing_or_all() {
        let shares = [0.0, 0.000_01, 0.001_2, 0.123, 0.995, 0.999_95, 0.999_999, 1.0].map(percent);
        assert_eq!(shares, ["0", "0.01", "0.12", "12.30", "99.50", "99.99", "99.99", "100"]);
    }
}
