//! Values: what is captured, compared and put into templates.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::Value as Json;

use super::VARIABLES_MAX;
use super::secrets::Secrets;

/// The longest name of a variable, bytes.
const NAME_BYTES_MAX: usize = 64;

/// The most characters of a value that are shown.
const SHOWN_CHARS_MAX: usize = 200;

/// A value. Numbers are 64 bits wide, as Hurl's are.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// JSON's null.
    Null,
    /// A truth value.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// Another number.
    Float(f64),
    /// A text.
    Text(String),
    /// A body as it came.
    Bytes(Bytes),
    /// A list.
    List(Vec<Value>),
    /// A JSON object; of Hurl's queries only whole.
    Object(serde_json::Map<String, Json>),
}

impl Value {
    pub(super) fn of_json(json: &Json) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(value) => Self::Boolean(*value),
            Json::Number(number) => match number.as_i64() {
                Some(whole) => Self::Integer(whole),
                None => Self::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            Json::String(text) => Self::Text(text.clone()),
            Json::Array(items) => Self::List(items.iter().map(Self::of_json).collect()),
            Json::Object(map) => Self::Object(map.clone()),
        }
    }

    pub(super) fn to_json(&self) -> Json {
        match self {
            Self::Null => Json::Null,
            Self::Boolean(value) => Json::Bool(*value),
            Self::Integer(whole) => Json::from(*whole),
            Self::Float(number) => Json::from(*number),
            Self::Text(text) => Json::String(text.clone()),
            Self::Bytes(bytes) => Json::String(String::from_utf8_lossy(bytes).into_owned()),
            Self::List(items) => Json::Array(items.iter().map(Self::to_json).collect()),
            Self::Object(map) => Json::Object(map.clone()),
        }
    }

    /// As a template has it; none for what is no single value.
    pub(super) fn rendered(&self) -> Option<String> {
        match self {
            Self::Null => Some("null".to_owned()),
            Self::Boolean(value) => Some(value.to_string()),
            Self::Integer(whole) => Some(whole.to_string()),
            // With its point, so that it reads as what it is.
            Self::Float(number) => Some(format!("{number:?}")),
            Self::Text(text) => Some(text.clone()),
            Self::Bytes(_) | Self::List(_) | Self::Object(_) => None,
        }
    }

    /// For people: the kind, and not more than they can read. A secret is hidden before it could be
    /// cut: the half of it would not be known again.
    pub(super) fn shown(&self, secrets: &Secrets) -> String {
        let whole = match self {
            Self::Bytes(bytes) => return format!("{} bytes", bytes.len()),
            other => secrets.hidden(&secrets.hidden_json(other.to_json()).to_string()),
        };
        let mut short: String = whole.chars().take(SHOWN_CHARS_MAX).collect();
        if short.len() < whole.len() {
            short.push('…');
        }
        format!("{short} ({})", self.kind())
    }

    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean(_) => "boolean",
            Self::Integer(_) => "integer",
            Self::Float(_) => "float",
            Self::Text(_) => "string",
            Self::Bytes(_) => "bytes",
            Self::List(_) => "list",
            Self::Object(_) => "object",
        }
    }

    /// Whether the two are the same; a whole number equals a float of the same size.
    pub(super) fn equals(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Integer(_) | Self::Float(_), Self::Integer(_) | Self::Float(_)) => {
                self.compare(other) == Some(std::cmp::Ordering::Equal)
            }
            _ => self == other,
        }
    }

    /// Which is greater, where both are numbers or both are texts.
    pub(super) fn compare(&self, other: &Self) -> Option<std::cmp::Ordering> {
        match (self, other) {
            (Self::Integer(one), Self::Integer(other)) => Some(one.cmp(other)),
            (Self::Text(one), Self::Text(other)) => Some(one.cmp(other)),
            _ => self.as_float()?.partial_cmp(&other.as_float()?),
        }
    }

    fn as_float(&self) -> Option<f64> {
        match self {
            #[expect(clippy::cast_precision_loss, reason = "compared with another float")]
            Self::Integer(whole) => Some(*whole as f64),
            Self::Float(number) => Some(*number),
            _ => None,
        }
    }
}

/// Why a variable cannot be set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameFault {
    /// It is no `NAME=VALUE`.
    #[error("`{0}` is no NAME=VALUE")]
    NoValue(String),
    /// The value.
    #[error("the value has no quote at its end")]
    Quote,
    /// The name.
    #[error("`{0}` is no name of a variable; expected a letter, then letters, digits, `_` and `-`")]
    Name(String),
    /// It is one of the functions.
    #[error("`{0}` is a function of its own, and no variable")]
    Function(String),
    /// There are too many.
    #[error("more than {VARIABLES_MAX} variables")]
    TooMany,
}

/// What may stand between `{{` and `}}`, by name.
#[derive(Clone, Debug, Default)]
pub struct Variables(BTreeMap<String, Value>);

impl Variables {
    /// Sets one.
    ///
    /// # Errors
    /// A name that no template could say, or one variable too many.
    pub fn set(&mut self, name: &str, value: Value) -> Result<(), NameFault> {
        if matches!(name, "newUuid" | "newDate") {
            return Err(NameFault::Function(name.to_owned()));
        }
        if !is_name(name) {
            return Err(NameFault::Name(super::scan::shown(name)));
        }
        if self.0.len() >= VARIABLES_MAX && !self.0.contains_key(name) {
            return Err(NameFault::TooMany);
        }
        self.0.insert(name.to_owned(), value);
        Ok(())
    }

    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// Reads `NAME=VALUE` as Hurl does: `true`, `null` and numbers are what they look like, all else is
/// a text; quotes make a text of anything. Whole numbers of more than 64 bits are texts.
///
/// # Errors
/// A text without `=`, a name that no template could say, or a quote that is not closed.
pub fn variable(text: &str) -> Result<(String, Value), NameFault> {
    let (name, value) = named(text)?;
    let value = match value {
        "null" => Value::Null,
        "true" => Value::Boolean(true),
        "false" => Value::Boolean(false),
        _ => match value.strip_prefix('"') {
            Some(rest) => {
                let quoted = rest.strip_suffix('"').ok_or(NameFault::Quote)?;
                Value::Text(quoted.to_owned())
            }
            None => by_looks(value),
        },
    };
    Ok((name.to_owned(), value))
}

/// Reads `NAME=VALUE` of a secret: always a text, quotes and all, as with Hurl.
///
/// # Errors
/// A text without `=`, which is not shown, or a name that no template could say.
pub fn secret(text: &str) -> Result<(String, Value), NameFault> {
    let (name, value) = match named(text) {
        Err(NameFault::NoValue(_)) => return Err(NameFault::NoValue("***".to_owned())),
        other => other?,
    };
    Ok((name.to_owned(), self::text(value)))
}

fn named(text: &str) -> Result<(&str, &str), NameFault> {
    let Some((name, value)) = text.split_once('=') else {
        return Err(NameFault::NoValue(super::scan::shown(text)));
    };
    if is_name(name) { Ok((name, value)) } else { Err(NameFault::Name(super::scan::shown(name))) }
}

/// A number in any form that arguments may have, with more of them than files have: `+7`, `007`,
/// `1.`, `.5`, `1e3`.
fn by_looks(text: &str) -> Value {
    let is_whole = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    match (text.parse(), text.parse()) {
        (Ok(whole), _) => Value::Integer(whole),
        (_, Ok(number)) if !is_whole(text) => Value::Float(number),
        _ => Value::Text(text.to_owned()),
    }
}

/// A text as a value, whatever it looks like.
#[must_use]
pub fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// A value as a file has it: true, false, null or a number.
pub(super) fn plain(text: &str) -> Option<Value> {
    match text {
        "null" => Some(Value::Null),
        "true" => Some(Value::Boolean(true)),
        "false" => Some(Value::Boolean(false)),
        _ => number(text),
    }
}

/// A number as files have them: digits without a zero before them, perhaps a sign before and a
/// fraction behind.
fn number(text: &str) -> Option<Value> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let is_whole = |part: &str| is_digits(part) && (part == "0" || !part.starts_with('0'));
    match digits.split_once('.') {
        None if is_whole(digits) => text.parse().ok().map(Value::Integer),
        Some((whole, part)) if is_whole(whole) && is_digits(part) => {
            text.parse().ok().map(Value::Float)
        }
        _ => None,
    }
}

pub(super) fn is_name(name: &str) -> bool {
    name.len() <= NAME_BYTES_MAX
        && name.bytes().next().is_some_and(|first| first.is_ascii_alphabetic())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_what_it_looks_like() {
        for (text, name, value) in [
            ("id=7", "id", Value::Integer(7)),
            ("id=-7", "id", Value::Integer(-7)),
            ("x=1.50", "x", Value::Float(1.5)),
            ("ok=true", "ok", Value::Boolean(true)),
            ("no=null", "no", Value::Null),
            ("a=b=c", "a", Value::Text("b=c".into())),
            ("t=\"7\"", "t", Value::Text("7".into())),
            ("e=", "e", Value::Text(String::new())),
            ("z=012345", "z", Value::Integer(12_345)),
            ("p=+7", "p", Value::Integer(7)),
            ("v=1.", "v", Value::Float(1.0)),
            ("k=1e3", "k", Value::Float(1_000.0)),
            ("d=v1.2", "d", Value::Text("v1.2".into())),
            ("l=9223372036854775808", "l", Value::Text("9223372036854775808".into())),
        ] {
            assert_eq!(variable(text), Ok((name.to_owned(), value)), "{text}");
        }
        assert_eq!(variable("t=\"7"), Err(NameFault::Quote));
        for written in ["012345", "true", "\"7\"", ""] {
            let read = secret(&format!("otp={written}"));
            assert_eq!(read, Ok(("otp".to_owned(), Value::Text(written.to_owned()))));
        }
        let refused = secret("hunter2").unwrap_err().to_string();
        assert!(!refused.contains("hunter2") && refused.contains("NAME=VALUE"), "{refused}");
        assert_eq!(variable("id"), Err(NameFault::NoValue("id".into())));
        for name in ["", "1a", "a b", "ä"] {
            assert_eq!(variable(&format!("{name}=1")), Err(NameFault::Name(name.into())));
        }
        let mut variables = Variables::default();
        let refused = variables.set("newUuid", Value::Null);
        assert_eq!(refused, Err(NameFault::Function("newUuid".into())));
        for index in 0..VARIABLES_MAX {
            variables.set(&format!("v{index}"), Value::Null).unwrap();
        }
        assert_eq!(variables.set("one", Value::Null), Err(NameFault::TooMany));
        assert_eq!(variables.set("v0", Value::Integer(1)), Ok(()));
    }

    #[test]
    fn numbers_are_compared_by_size_and_texts_by_letters() {
        assert!(Value::Integer(1).equals(&Value::Float(1.0)));
        assert!(!Value::Integer(1).equals(&Value::Text("1".into())));
        assert!(Value::Float(1.5).compare(&Value::Integer(1)).unwrap().is_gt());
        assert!(Value::Text("b".into()).compare(&Value::Text("a".into())).unwrap().is_gt());
        assert_eq!(Value::Text("1".into()).compare(&Value::Integer(1)), None);
    }

    #[test]
    fn a_float_keeps_its_point_and_a_list_has_no_form_in_a_template() {
        assert_eq!(Value::Float(2.0).rendered().as_deref(), Some("2.0"));
        assert_eq!(Value::Null.rendered().as_deref(), Some("null"));
        assert_eq!(Value::List(Vec::new()).rendered(), None);
    }
}
