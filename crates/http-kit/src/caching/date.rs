//! HTTP dates (RFC 9110 §5.6.7) as seconds since 1970-01-01T00:00:00Z.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue};

/// A date in any of the three forms; `None` for what is none.
#[must_use]
pub fn parse(value: &HeaderValue) -> Option<u64> {
    let time = httpdate::parse_http_date(value.to_str().ok()?).ok()?;
    time.duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs())
}

/// The only line of a date field: two dates are none.
pub(super) fn of(headers: &HeaderMap, name: &HeaderName) -> Option<u64> {
    let mut lines = headers.get_all(name).iter();
    let first = lines.next()?;
    if lines.next().is_some() { None } else { parse(first) }
}

/// The latest second that the form can say, in the year 9999.
const LATEST: u64 = 253_402_300_799;

/// A date as a field.
#[must_use]
pub fn http_date(unix_s: u64) -> HeaderValue {
    let time: SystemTime = UNIX_EPOCH + Duration::from_secs(unix_s.min(LATEST));
    let text = httpdate::fmt_http_date(time);
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_form_is_read_and_nothing_else() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(parse(&HeaderValue::from_static(text)), Some(784_111_777), "{text}");
        }
        for text in ["", "0", "-1", "foo", "Sun, 06 Nov 1994 08:49:37", "1994-11-06T08:49:37Z"] {
            assert_eq!(parse(&HeaderValue::from_static(text)), None, "{text}");
        }
        assert_eq!(http_date(u64::MAX), http_date(LATEST));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(second in 0..=LATEST) {
            prop_assert_eq!(parse(&http_date(second)), Some(second));
        }
    }
}
