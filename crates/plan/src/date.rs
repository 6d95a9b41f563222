//! A day of the calendar, as documents write it.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

const DAY_MS: u64 = 86_400_000;

/// A day in UTC (RFC 3339 `full-date`), from 1970 to 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    days: u32,
}

impl Date {
    /// The day of an instant, in milliseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn of_unix_ms(unix_ms: u64) -> Self {
        Self { days: u32::try_from(unix_ms / DAY_MS).unwrap_or(u32::MAX).min(LAST_DAY) }
    }

    /// Its first instant, in milliseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn unix_ms(self) -> u64 {
        u64::from(self.days) * DAY_MS
    }

    /// So many days later.
    #[must_use]
    pub fn plus_days(self, days: u32) -> Self {
        Self { days: self.days.saturating_add(days).min(LAST_DAY) }
    }

    /// How many days `other` is after it; negative where it is before.
    #[must_use]
    pub fn days_to(self, other: Self) -> i64 {
        i64::from(other.days) - i64::from(self.days)
    }

    /// Year, month, day (H. Hinnant, "chrono-Compatible Low-Level Date Algorithms",
    /// `civil_from_days`).
    fn civil(self) -> (u32, u32, u32) {
        let z = self.days + 719_468;
        let (era, day_of_era) = (z / 146_097, z % 146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted + 2) / 5 + 1;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        (year_of_era + era * 400 + u32::from(month <= 2), month, day)
    }

    /// The reverse, `days_from_civil`.
    fn from_civil(year: u32, month: u32, day: u32) -> Option<Self> {
        if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || day == 0 {
            return None;
        }
        let years = year - u32::from(month <= 2);
        let (era, year_of_era) = (years / 400, years % 400);
        let shifted = if month > 2 { month - 3 } else { month + 9 };
        let day_of_year = (153 * shifted + 2) / 5 + day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        let made = Self { days: era * 146_097 + day_of_era - 719_468 };
        (made.civil() == (year, month, day)).then_some(made)
    }
}

/// 9999-12-31.
const LAST_DAY: u32 = 2_932_896;

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.civil();
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

impl FromStr for Date {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let part = |from: usize, to: usize| {
            let digits = text.get(from..to)?;
            digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())?
        };
        let dashed = text.len() == 10 && text.get(4..5) == Some("-") && text.get(7..8) == Some("-");
        let made =
            dashed.then(|| Self::from_civil(part(0, 4)?, part(5, 7)?, part(8, 10)?)).flatten();
        made.ok_or_else(|| format!("`{text}` is no day: write it as 2026-11-30"))
    }
}

impl Serialize for Date {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_read_and_written_as_the_calendar_has_them() {
        for text in ["1970-01-01", "2000-02-29", "2026-11-29", "9999-12-31"] {
            assert_eq!(text.parse::<Date>().unwrap().to_string(), text);
        }
        for text in
            ["2026-02-29", "2026-13-01", "26-1-1", "2026-00-10", "1969-12-31", "2026-1-011", ""]
        {
            assert!(text.parse::<Date>().is_err(), "{text}");
        }
        assert_eq!("2026-11-29".parse::<Date>().unwrap().unix_ms(), 1_795_910_400_000);
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let mut before = "1970-01-01".parse::<Date>().unwrap();
        for _ in 0..60_000 {
            let next = before.plus_days(1);
            assert_eq!(next.to_string().parse::<Date>().unwrap(), next);
            assert!(next.to_string() > before.to_string());
            assert_eq!(before.days_to(next), 1);
            before = next;
        }
    }
}
