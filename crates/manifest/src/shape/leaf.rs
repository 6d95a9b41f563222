//! Single values: text, numbers, choices and forms such as durations, with their bounds.

use std::fmt::Display;
use std::str::FromStr;

use plimsoll_base::{ByteSize, HumanDuration, Name};

use crate::schema::{Kind, Shape, choices};
use crate::similar::closest;
use crate::tree::{Node, Value};
use crate::values::{ValueError, has_credentials, shown};
use crate::{
    Cidr, HeaderName, HttpUrl, ListenAddr, OriginUrl, PathPrefix, PathTemplate, WebOrigin,
};

/// A text longer than this is no sensible value of any key.
const TEXT_BYTES_MAX: usize = 4096;

/// What is wrong with a value.
pub(super) struct Wrong {
    pub(super) message: String,
    pub(super) expected: String,
    pub(super) suggestion: Option<String>,
}

impl Wrong {
    fn new(message: impl Into<String>, expected: impl Into<String>) -> Self {
        Self { message: message.into(), expected: expected.into(), suggestion: None }
    }

    fn suggesting(mut self, suggestion: Option<impl Into<String>>) -> Self {
        self.suggestion = suggestion.map(Into::into);
        self
    }
}

/// Whether a value fits its shape.
pub(super) fn check(node: &Node, shape: Shape) -> Result<(), Wrong> {
    match (shape.kind(), &node.value) {
        (Kind::Integer, Value::Integer(number)) => check_integer(*number, shape),
        (Kind::Form("ByteSize"), Value::Integer(number)) => check_bytes_number(*number, shape),
        (Kind::Number, Value::Integer(number)) => check_number(*number as f64, shape),
        (Kind::Number, Value::Float(number)) => check_number(*number, shape),
        (Kind::Boolean, Value::Boolean(_)) => Ok(()),
        (kind, Value::Text(text)) => check_text(text, kind, shape),
        _ => Err(wrong_kind(node, shape)),
    }
}

fn check_text(text: &str, kind: Kind<'_>, shape: Shape) -> Result<(), Wrong> {
    if has_credentials(text) {
        let message = "a URL must not hold credentials (`user:pass@`): secrets never stand here";
        return Err(Wrong::new(message, expected(shape)));
    }
    if text.is_empty() {
        return Err(Wrong::new("the text is empty", expected(shape)));
    }
    if text.len() > TEXT_BYTES_MAX || text.chars().any(char::is_control) {
        let message = "the text has a control character or is longer than 4096 bytes";
        return Err(Wrong::new(message, expected(shape)));
    }
    match kind {
        Kind::OneOf(all) => check_choice(text, choices(all).map(|(word, _)| word), shape),
        Kind::Form(name) => check_form(text, name, shape),
        Kind::Text => check_length(text, shape),
        Kind::Integer | Kind::Number | Kind::Boolean | Kind::Table | Kind::ListOf(_) => {
            let mended = text.trim();
            let right = match kind {
                Kind::Integer => mended.parse::<i64>().is_ok(),
                Kind::Number => mended.parse::<f64>().is_ok(),
                Kind::Boolean => mended == "true" || mended == "false",
                _ => false,
            };
            let wrong = Wrong::new("this is text in quotes", expected(shape));
            Err(wrong.suggesting(right.then_some(mended)))
        }
    }
}

fn wrong_kind(node: &Node, shape: Shape) -> Wrong {
    let wrong = Wrong::new(format!("this is {}", found(node)), expected(shape));
    let suggestion = match (shape.kind(), &node.value) {
        (Kind::Form("Duration"), Value::Integer(seconds)) if *seconds >= 0 => {
            Some(format!("\"{seconds}s\""))
        }
        (Kind::Text | Kind::Form("Name"), Value::Integer(number)) => Some(format!("\"{number}\"")),
        (Kind::Text | Kind::OneOf(_), Value::Boolean(value)) => {
            let word = value.to_string();
            let allowed = match shape.kind() {
                Kind::OneOf(all) => choices(all).any(|(choice, _)| choice == word),
                _ => true,
            };
            allowed.then(|| format!("\"{word}\""))
        }
        _ => None,
    };
    wrong.suggesting(suggestion)
}

/// What a value is, in words.
pub(super) fn found(node: &Node) -> &'static str {
    match &node.value {
        Value::Text(_) => "text",
        Value::Integer(_) => "a whole number",
        Value::Float(number) if number.is_infinite() => "a number beyond 64 bits",
        Value::Float(_) => "a number with a fraction",
        Value::Boolean(_) => "true or false",
        Value::Datetime => "a date or time without quotes",
        Value::Array(_) => "a list",
        Value::Table(_) => "a table",
    }
}

/// What a single value of this shape looks like, in words.
pub(super) fn expected(shape: Shape) -> String {
    match shape.kind() {
        Kind::OneOf(all) => {
            let words: Vec<&str> = choices(all).map(|(word, _)| word).collect();
            format!("one of: {}", words.join(", "))
        }
        Kind::Integer => match bounds(shape, "minimum", "maximum") {
            None => "a whole number".to_owned(),
            Some(bounds) => format!("a whole number, {bounds}"),
        },
        Kind::Number => match bounds(shape, "minimum", "maximum") {
            None => "a number".to_owned(),
            Some(bounds) => format!("a number, {bounds}"),
        },
        Kind::Boolean => "true or false".to_owned(),
        Kind::Form(name) => form_expected(name).to_owned(),
        Kind::Text | Kind::Table | Kind::ListOf(_) => "text in quotes".to_owned(),
    }
}

/// What a form looks like, in words.
pub(crate) fn form_expected(name: &str) -> &'static str {
    match name {
        "ByteSize" => "a size such as 512, \"64KiB\" or \"16MiB\"",
        "Duration" => "a duration such as \"250ms\", \"30s\", \"5m\", \"24h\" or \"7d\"",
        "Name" => "a name of 1 to 64 letters, digits, `.`, `_` or `-`, a letter or digit first",
        "ListenAddr" => "IP and port, such as \"127.0.0.1:8080\" or \"[::]:443\"",
        "Cidr" => "a network such as \"10.0.0.0/8\" or \"2001:db8::/32\"",
        "HeaderName" => "a header name such as \"X-App-Version\"",
        "OriginUrl" => "scheme, host and port, such as \"http://127.0.0.1:3000\"",
        "HttpUrl" => "a URL such as \"https://id.example/keys\"",
        "PathPrefix" => "a path prefix such as \"/ws\"",
        "PathTemplate" => "a path template such as \"/orders/{id}\"",
        "WebOrigin" => "an origin such as \"https://app.example\", or \"*\"",
        _ => "text in quotes",
    }
}

/// The bounds of a shape in words: `1 to 10`, `at least 1`, `at most 10`.
pub(crate) fn bounds(shape: Shape, least: &str, most: &str) -> Option<String> {
    let written = |key: &str| {
        shape.facet(key).map(|value| value.as_str().map_or(value.to_string(), str::to_owned))
    };
    match (written(least), written(most)) {
        (Some(least), Some(most)) => Some(format!("{least} to {most}")),
        (Some(least), None) => Some(format!("at least {least}")),
        (None, Some(most)) => Some(format!("at most {most}")),
        (None, None) => None,
    }
}

fn check_integer(number: i64, shape: Shape) -> Result<(), Wrong> {
    let bound = |key: &str| shape.facet(key).and_then(serde_json::Value::as_i64);
    let low = bound("minimum").is_some_and(|least| number < least);
    let high = bound("maximum").is_some_and(|most| number > most);
    if low || high {
        let what = if low { "too small" } else { "too large" };
        return Err(Wrong::new(format!("{number} is {what}"), expected(shape)));
    }
    Ok(())
}

fn check_number(number: f64, shape: Shape) -> Result<(), Wrong> {
    let bound = |key: &str| shape.facet(key).and_then(serde_json::Value::as_f64);
    let low = bound("minimum").is_some_and(|least| number < least);
    let high = bound("maximum").is_some_and(|most| number > most);
    if low || high || !number.is_finite() {
        let what = if low { "too small" } else { "too large" };
        return Err(Wrong::new(format!("{number} is {what}"), expected(shape)));
    }
    Ok(())
}

fn check_bytes_number(number: i64, shape: Shape) -> Result<(), Wrong> {
    match u64::try_from(number) {
        Ok(bytes) => check_bounds(&ByteSize(bytes), ["too small", "too large"], shape),
        Err(_) => Err(Wrong::new(format!("{number} is below zero"), form_expected("ByteSize"))),
    }
}

fn check_length(text: &str, shape: Shape) -> Result<(), Wrong> {
    let most = shape.facet("maxLength").and_then(serde_json::Value::as_u64);
    let count = text.chars().count() as u64;
    match most.filter(|most| count > *most) {
        None => Ok(()),
        Some(most) => {
            Err(Wrong::new(format!("{count} characters"), format!("at most {most} characters")))
        }
    }
}

fn check_choice<'s>(
    text: &str,
    words: impl Iterator<Item = &'s str> + Clone,
    shape: Shape,
) -> Result<(), Wrong> {
    if words.clone().any(|word| word == text) {
        return Ok(());
    }
    let upper = text.to_ascii_uppercase();
    if shape.name == "Algorithm" && (upper == "NONE" || upper.starts_with("HS")) {
        let why = if upper == "NONE" {
            "a token without a signature proves nothing"
        } else {
            "whoever can check a shared-secret signature can also make one"
        };
        let message = format!("`{}` is never accepted: {why}", shown(text));
        return Err(Wrong::new(message, expected(shape)));
    }
    let wrong = Wrong::new(format!("`{}` is not known here", shown(text)), expected(shape));
    Err(wrong.suggesting(closest(text, words)))
}

fn check_form(text: &str, name: &str, shape: Shape) -> Result<(), Wrong> {
    match name {
        "ByteSize" => {
            let size = human::<ByteSize>(text, "size", name)?;
            check_bounds(&size, ["too small", "too large"], shape)
        }
        "Duration" => {
            let span = human::<HumanDuration>(text, "duration", name)?;
            check_bounds(&span, ["too short", "too long"], shape)
        }
        "Name" => Name::new(text)
            .map(drop)
            .map_err(|_| Wrong::new(format!("`{}` is no name", shown(text)), form_expected(name))),
        "ListenAddr" => read::<ListenAddr>(text),
        "Cidr" => read::<Cidr>(text),
        "HeaderName" => read::<HeaderName>(text),
        "OriginUrl" => read::<OriginUrl>(text),
        "HttpUrl" => read::<HttpUrl>(text),
        "PathPrefix" => read::<PathPrefix>(text),
        "PathTemplate" => read::<PathTemplate>(text),
        "WebOrigin" => read::<WebOrigin>(text),
        // A form without a reader here is refused, so that a test notices the omission.
        _ => Err(Wrong::new(format!("`{name}` has no reader"), expected(shape))),
    }
}

fn read<T: FromStr<Err = ValueError>>(text: &str) -> Result<(), Wrong> {
    text.parse::<T>()
        .map(drop)
        .map_err(|error| Wrong::new(error.message, error.expected).suggesting(error.suggestion))
}

fn human<T: FromStr>(text: &str, word: &str, name: &str) -> Result<T, Wrong> {
    text.parse::<T>().map_err(|_| {
        let wrong = Wrong::new(format!("`{}` is no {word}", shown(text)), form_expected(name));
        wrong.suggesting(mend_unit(text, name).filter(|mended| mended.parse::<T>().is_ok()))
    })
}

/// The same number with the unit that was probably meant.
fn mend_unit(text: &str, name: &str) -> Option<String> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = match (name, unit.trim().to_ascii_lowercase().as_str()) {
        ("Duration", "" | "s" | "sec" | "secs" | "second" | "seconds") => "s",
        ("Duration", "ms" | "msec" | "millis" | "millisecond" | "milliseconds") => "ms",
        ("Duration", "m" | "min" | "mins" | "minute" | "minutes") => "m",
        ("Duration", "h" | "hr" | "hrs" | "hour" | "hours") => "h",
        ("Duration", "d" | "day" | "days") => "d",
        ("ByteSize", "b" | "byte" | "bytes") => "B",
        ("ByteSize", "k" | "kib" | "kb") => "KiB",
        ("ByteSize", "m" | "mib" | "mb") => "MiB",
        ("ByteSize", "g" | "gib" | "gb") => "GiB",
        _ => return None,
    };
    (!number.is_empty()).then(|| format!("{number}{unit}"))
}

fn check_bounds<T: FromStr + PartialOrd + Display>(
    value: &T,
    words: [&str; 2],
    shape: Shape,
) -> Result<(), Wrong> {
    let bound = |key: &str| shape.text(key).and_then(|text| text.parse::<T>().ok());
    let low = bound("x-min").is_some_and(|least| *value < least);
    let high = bound("x-max").is_some_and(|most| *value > most);
    let [small, large] = words;
    match bounds(shape, "x-min", "x-max") {
        Some(bounds) if low => Err(Wrong::new(format!("`{value}` is {small}"), bounds)),
        Some(bounds) if high => Err(Wrong::new(format!("`{value}` is {large}"), bounds)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_the_schema_has_a_reader_and_words() {
        let all = crate::schema::shared()["$defs"].as_object().unwrap();
        for name in all.keys() {
            let property = serde_json::json!({ "$ref": format!("#/$defs/{name}") });
            let Kind::Form(form) = Shape::of(&property).kind() else {
                continue;
            };
            if let Err(wrong) = check_form("?", form, Shape::of(&property)) {
                assert!(!wrong.message.contains("has no reader"), "{name}");
            }
            assert_ne!(form_expected(form), "text in quotes", "{name}");
        }
    }

    /// Editors know the pattern, we know the reader: what the reader takes, the pattern must take,
    /// and what is plainly wrong neither of them does.
    #[test]
    fn patterns_agree_with_readers() {
        let right = [
            ("Duration", vec!["250ms", "30s", "5m", "24h", "7d", "30 s"]),
            ("ByteSize", vec!["0", "512", "64KiB", "16 MiB", "1kB", "7B"]),
            ("Name", vec!["a", "2026-11-22", "v1.2_x"]),
            ("ListenAddr", vec!["127.0.0.1:80", "[::]:443", "[::ffff:10.0.0.1]:1"]),
            ("Cidr", vec!["10.0.0.0/8", "2001:db8::/32", "::1", "10.0.0.1"]),
            ("HeaderName", vec!["X-App-Version", "x_y", "a!"]),
            ("OriginUrl", vec!["http://a", "https://a.b:1/", "http://[::1]:1"]),
            ("HttpUrl", vec!["https://a/b?c=d@e", "http://a", "https://a/@b"]),
            ("PathPrefix", vec!["/", "/a", "/a.b/c:d@e"]),
            ("PathTemplate", vec!["/", "/a/{b}.json", "/a%20b", "/a/"]),
            ("WebOrigin", vec!["*", "https://a", "capacitor://localhost", "http://[::1]:1"]),
        ];
        let wrong = ["", " ", "ä ö", "?", "http://u:p@h", "a b\n"];
        for (name, examples) in right {
            let property = serde_json::json!({ "$ref": format!("#/$defs/{name}") });
            let shape = Shape::of(&property);
            let of_choice = || {
                let choices = shape.facet("anyOf")?.as_array()?;
                choices.iter().find_map(|choice| choice.get("pattern")?.as_str())
            };
            let pattern = shape.text("pattern").or_else(of_choice).unwrap();
            let pattern = regex::Regex::new(pattern).unwrap();
            for text in examples {
                assert!(check_form(text, name, shape).is_ok(), "{name} reads {text}");
                assert!(pattern.is_match(text), "{name} has a pattern for {text}");
            }
            for text in wrong {
                assert!(check_form(text, name, shape).is_err(), "{name} refuses {text}");
                assert!(!pattern.is_match(text), "{name} has no pattern for {text}");
            }
        }
    }

    #[test]
    fn units_are_put_right() {
        for (text, name, mended) in [
            ("30", "Duration", Some("30s")),
            ("5 minutes", "Duration", Some("5m")),
            ("1S", "Duration", Some("1s")),
            ("16mib", "ByteSize", Some("16MiB")),
            ("4K", "ByteSize", Some("4KiB")),
            ("x", "Duration", None),
            ("s", "Duration", None),
        ] {
            assert_eq!(mend_unit(text, name).as_deref(), mended, "{text}");
        }
    }
}
