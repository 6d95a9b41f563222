//! `[Options]`: how one step is run.

use std::time::Duration;

use plimsoll_manifest::closest;

use crate::journey::model::{Options, Text};
use crate::journey::scan::{Place, Read, Scanner, Wrong, shown};
use crate::journey::value::{is_name, plain};
use crate::journey::{LINES_MAX, RETRIES_MAX, TRY_MAX, WAIT_MAX};

use super::{entry, text};

const KNOWN: [&str; 7] =
    ["delay", "location", "max-time", "retry", "retry-interval", "skip", "variable"];

/// Those of Hurl 8 that are not of the subset, so that they are refused by name.
const OUTSIDE: [&str; 35] = [
    "aws-sigv4",
    "cacert",
    "cert",
    "compressed",
    "connect-timeout",
    "connect-to",
    "digest",
    "header",
    "http1.0",
    "http1.1",
    "http2",
    "http3",
    "insecure",
    "ipv4",
    "ipv6",
    "key",
    "limit-rate",
    "location-trusted",
    "max-redirs",
    "negotiate",
    "netrc",
    "netrc-file",
    "netrc-optional",
    "ntlm",
    "output",
    "path-as-is",
    "pinnedpubkey",
    "proxy",
    "repeat",
    "resolve",
    "unix-socket",
    "user",
    "verbose",
    "verbosity",
    "very-verbose",
];

pub(super) fn read(scan: &mut Scanner<'_>) -> Read<Options> {
    let mut options = Options::default();
    let mut lines = 0;
    while let Some(place) = entry::next_field(scan, true) {
        lines += 1;
        if lines > LINES_MAX {
            return Err(Wrong::new(place, format!("more than {LINES_MAX} lines")));
        }
        let name = text::key(scan)?.source;
        if !KNOWN.contains(&name.as_str()) {
            return Err(unknown(&name, place));
        }
        scan.spaces();
        if !scan.eat(":") {
            return Err(Wrong::new(scan.place(), "`:` is missing").expecting("`name: value`"));
        }
        scan.spaces();
        one(scan, &name, &mut options)?;
        scan.line_ends()?;
    }
    Ok(options)
}

fn unknown(name: &str, place: Place) -> Wrong {
    let known = KNOWN.join(", ");
    if OUTSIDE.contains(&name) {
        return Wrong::outside(place, &format!("the option `{name}`"), known);
    }
    let wrong = Wrong::new(place, format!("there is no option `{}`", shown(name)));
    wrong.expecting(known).suggesting(closest(name, KNOWN))
}

fn one(scan: &mut Scanner<'_>, name: &str, options: &mut Options) -> Read<()> {
    let place = scan.place();
    if name == "variable" {
        let variable = variable(scan)?;
        options.variables.push(variable);
        return Ok(());
    }
    let said = text::value(scan)?;
    let said = text::literal(&said, place, "an option")?;
    let wrong = |expected: &str| {
        Wrong::new(place, format!("`{}` is none for `{name}`", shown(&said))).expecting(expected)
    };
    let yes = |text: &str| match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(wrong("`true` or `false`")),
    };
    let ms = Duration::from_millis(1);
    match name {
        "delay" => options.delay = span(&said, ms, WAIT_MAX).ok_or_else(|| wrong("1ms to 60s"))?,
        "retry-interval" => {
            let span = span(&said, ms, WAIT_MAX).ok_or_else(|| wrong("1ms to 60s"))?;
            options.retry_interval = Some(span);
        }
        "max-time" => {
            let second = Duration::from_secs(1);
            let span = span(&said, second, TRY_MAX).filter(|span| !span.is_zero());
            options.max_time = Some(span.ok_or_else(|| wrong("1ms to 300s"))?);
        }
        "retry" => {
            let count = said.parse().ok().filter(|count| *count <= RETRIES_MAX);
            let expected = format!("0 to {RETRIES_MAX}; no journey is tried without an end");
            options.retry = count.ok_or_else(|| wrong(&expected))?;
        }
        "skip" => options.skip = yes(&said)?,
        _ => {
            if yes(&said)? {
                let instead =
                    "`location: false`; ask the address it points to in a step of its own";
                return Err(Wrong::outside(place, "following redirects", instead));
            }
        }
    }
    Ok(())
}

/// `500ms`, `2s`, `1m`, or a bare number of `unit`.
fn span(text: &str, unit: Duration, most: Duration) -> Option<Duration> {
    let digits = text.trim_end_matches(|one: char| one.is_ascii_alphabetic());
    let unit = match text.get(digits.len()..)? {
        "" => unit,
        "ms" => Duration::from_millis(1),
        "s" => Duration::from_secs(1),
        "m" => Duration::from_secs(60),
        _ => return None,
    };
    let count: u32 = digits.parse().ok()?;
    unit.checked_mul(count).filter(|span| *span <= most)
}

/// `name=value`; a value in quotes is a text, whatever it looks like.
fn variable(scan: &mut Scanner<'_>) -> Read<(String, Text, bool)> {
    let place = scan.place();
    let name = scan.while_it(|one| one.is_ascii_alphanumeric() || matches!(one, '_' | '-'));
    scan.spaces();
    if !is_name(name) || !scan.eat("=") {
        return Err(Wrong::new(place, "this sets no variable").expecting("`variable: name=value`"));
    }
    scan.spaces();
    if scan.peek() == Some('"') {
        return Ok((name.to_owned(), text::quoted(scan)?, false));
    }
    // What begins as a number or a word of its own has to be one.
    let place = scan.place();
    let digits = scan.rest().strip_prefix('-').unwrap_or(scan.rest());
    let is_plain = digits.starts_with(|one: char| one.is_ascii_digit())
        || ["true", "false", "null"].iter().any(|word| scan.rest().starts_with(word));
    let value = text::value(scan)?;
    if is_plain && value.literal().as_deref().and_then(plain).is_none() {
        let wrong = Wrong::new(place, format!("`{}` is no value", shown(&value.source)));
        return Err(wrong.expecting("a number, true, false or null, or a text in quotes"));
    }
    Ok((name.to_owned(), value, is_plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_has_its_unit_or_the_options_own() {
        let ms = Duration::from_millis(1);
        let of = |text: &str| span(text, ms, WAIT_MAX).map(|span| span.as_millis());
        assert_eq!(of("500"), Some(500));
        assert_eq!(of("500ms"), Some(500));
        assert_eq!(of("2s"), Some(2_000));
        assert_eq!(of("1m"), Some(60_000));
        for text in ["", "s", "1h", "61s", "-1s", "1.5s", "1 s", "99999999999"] {
            assert_eq!(of(text), None, "{text}");
        }
    }
}
