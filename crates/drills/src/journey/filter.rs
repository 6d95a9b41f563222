//! What is made of a value before it is kept or compared.

use percent_encoding::percent_decode_str;

use super::model::{Filter, Pattern};
use super::path::at;
use super::render::{Scope, percent_encoded};
use super::value::Value;

pub(super) fn apply(
    filter: &Filter,
    value: Value,
    scope: &mut Scope<'_>,
) -> Result<Option<Value>, String> {
    let secrets = scope.secrets;
    let refused = |filter: &str, value: &Value| {
        format!("`{filter}` makes nothing of {}", value.shown(secrets))
    };
    Ok(match (filter, value) {
        (Filter::Count, Value::List(items)) => Some(length(items.len())),
        (Filter::Count, Value::Bytes(bytes)) => Some(length(bytes.len())),
        (Filter::First, Value::List(items)) => Some(nth(items, 0)?),
        (Filter::Last, Value::List(items)) => Some(nth(items, -1)?),
        (Filter::Nth(index), Value::List(items)) => Some(nth(items, *index)?),
        (Filter::JsonPath(path), Value::Text(text)) => {
            let json = serde_json::from_str(&text);
            path.find(&json.map_err(|error| format!("the text is no JSON: {error}"))?)
        }
        (Filter::Regex(pattern), Value::Text(text)) => first_group(pattern, &text),
        (Filter::Replace(from, to), Value::Text(text)) => {
            let (from, to) = (scope.text(from)?, scope.text(to)?);
            Some(Value::Text(text.replace(&from, &to)))
        }
        (Filter::Split(by), Value::Text(text)) => {
            let by = scope.text(by)?;
            let parts = text.split(by.as_str()).map(|part| Value::Text(part.to_owned()));
            Some(Value::List(parts.collect()))
        }
        (Filter::ToInt, value) => Some(to_int(&value).ok_or_else(|| refused("toInt", &value))?),
        (Filter::ToFloat, value) => {
            Some(to_float(&value).ok_or_else(|| refused("toFloat", &value))?)
        }
        (Filter::ToText, value) => {
            let text = value.rendered().ok_or_else(|| refused("toString", &value))?;
            Some(Value::Text(text))
        }
        // Of a path the slashes stay.
        (Filter::UrlEncode, Value::Text(text)) => {
            let part = |part| percent_encoded(part).to_string();
            let parts: Vec<String> = text.split('/').map(part).collect();
            Some(Value::Text(parts.join("/")))
        }
        (Filter::UrlDecode, Value::Text(text)) => {
            let decoded = percent_decode_str(&text).decode_utf8_lossy();
            Some(Value::Text(decoded.into_owned()))
        }
        (filter, value) => return Err(refused(name(filter), &value)),
    })
}

fn nth(mut items: Vec<Value>, index: i64) -> Result<Value, String> {
    let length = items.len();
    let at =
        at(length, index).ok_or_else(|| format!("there is no {index} in a list of {length}"))?;
    Ok(items.swap_remove(at))
}

/// What is said where nothing was found that a filter could take.
pub(super) fn missing(filter: &Filter) -> String {
    format!("nothing was found that `{}` could take", name(filter))
}

fn length(length: usize) -> Value {
    Value::Integer(i64::try_from(length).unwrap_or(i64::MAX))
}

/// The first group of the first match, as `regex` means it; a pattern without a group finds
/// nothing that it could give.
pub(super) fn first_group(pattern: &Pattern, text: &str) -> Option<Value> {
    let group = pattern.regex.captures(text)?.get(1)?;
    Some(Value::Text(group.as_str().to_owned()))
}

fn to_int(value: &Value) -> Option<Value> {
    match value {
        Value::Integer(whole) => Some(Value::Integer(*whole)),
        #[expect(clippy::cast_possible_truncation, reason = "that is what is asked for")]
        Value::Float(number) => Some(Value::Integer(*number as i64)),
        Value::Text(text) => text.parse().ok().map(Value::Integer),
        _ => None,
    }
}

fn to_float(value: &Value) -> Option<Value> {
    match value {
        #[expect(clippy::cast_precision_loss, reason = "that is what is asked for")]
        Value::Integer(whole) => Some(Value::Float(*whole as f64)),
        Value::Float(number) => Some(Value::Float(*number)),
        Value::Text(text) => text.parse().ok().map(Value::Float),
        _ => None,
    }
}

const fn name(filter: &Filter) -> &'static str {
    match filter {
        Filter::Count => "count",
        Filter::First => "first",
        Filter::Last => "last",
        Filter::Nth(_) => "nth",
        Filter::JsonPath(_) => "jsonpath",
        Filter::Regex(_) => "regex",
        Filter::Replace(..) => "replace",
        Filter::Split(_) => "split",
        Filter::ToInt => "toInt",
        Filter::ToFloat => "toFloat",
        Filter::ToText => "toString",
        Filter::UrlEncode => "urlEncode",
        Filter::UrlDecode => "urlDecode",
    }
}
