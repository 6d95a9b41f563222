//! Canonical JSON: RFC 8785 over values whose numbers are integers of at most 2^53 - 1, so that
//! every language writes the same bytes and Postgres gives back what it was given.

use serde_json::{Map, Value};

use crate::error::DetailError;

/// The greatest integer that every JSON reader keeps (RFC 8785 §3.2.2.3).
const INTEGER_MAX: u64 = (1 << 53) - 1;
/// How deep values may lie in each other.
const DEPTH_MAX: usize = 16;

/// The canonical bytes of `value`.
///
/// # Errors
/// What cannot be written the same way everywhere: see [`DetailError`].
pub(crate) fn canonical(value: &Value) -> Result<String, DetailError> {
    let mut out = String::new();
    write(value, 0, &mut out)?;
    Ok(out)
}

fn write(value: &Value, depth: usize, out: &mut String) -> Result<(), DetailError> {
    if depth > DEPTH_MAX {
        return Err(DetailError::TooDeep { depth_max: DEPTH_MAX });
    }
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => {
            let whole = number.as_i64().map(i64::unsigned_abs).or_else(|| number.as_u64());
            if whole.is_none_or(|whole| whole > INTEGER_MAX) {
                return Err(DetailError::Number(number.to_string()));
            }
            out.push_str(&number.to_string());
        }
        Value::String(text) => string(text, out)?,
        Value::Array(items) => {
            out.push('[');
            for (n, item) in items.iter().enumerate() {
                if n > 0 {
                    out.push(',');
                }
                write(item, depth + 1, out)?;
            }
            out.push(']');
        }
        Value::Object(members) => object(members, depth, out)?,
    }
    Ok(())
}

fn object(members: &Map<String, Value>, depth: usize, out: &mut String) -> Result<(), DetailError> {
    let mut sorted: Vec<_> = members.iter().collect();
    // By UTF-16 code units, which differs from bytes beyond the basic plane.
    sorted.sort_unstable_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
    out.push('{');
    for (n, (name, value)) in sorted.into_iter().enumerate() {
        if n > 0 {
            out.push(',');
        }
        string(name, out)?;
        out.push(':');
        write(value, depth + 1, out)?;
    }
    out.push('}');
    Ok(())
}

fn string(text: &str, out: &mut String) -> Result<(), DetailError> {
    use std::fmt::Write as _;
    out.push('"');
    for c in text.chars() {
        match c {
            // Postgres cannot keep it.
            '\0' => return Err(DetailError::Nul),
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            c if c < ' ' => write!(out, "\\u{:04x}", u32::from(c)).map_err(|_| DetailError::Nul)?,
            c => out.push(c),
        }
    }
    out.push('"');
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_are_sorted_as_rfc_8785_says() {
        // §3.2.3: by UTF-16, so that a supplementary character comes before U+FB33.
        let value = json!({
            "\u{20ac}": 1, "\r": 2, "\u{fb33}": 3, "1": 4, "\u{1f600}": 5, "\u{80}": 6, "\u{f6}": 7,
        });
        let expected = "{\"\\r\":2,\"1\":4,\"\u{80}\":6,\"\u{f6}\":7,\"\u{20ac}\":1,\
                        \"\u{1f600}\":5,\"\u{fb33}\":3}";
        assert_eq!(canonical(&value).unwrap(), expected);
    }

    #[test]
    fn strings_are_escaped_as_rfc_8785_says() {
        let value = json!("\u{20ac}$\u{f}\nA'B\"\\\\\"/\u{7f}");
        let expected = "\"\u{20ac}$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\u{7f}\"";
        assert_eq!(canonical(&value).unwrap(), expected);
    }

    #[test]
    fn what_differs_between_readers_is_refused() {
        let big =
            json!({ "a": [9_007_199_254_740_991_i64, -9_007_199_254_740_991_i64, null, true] });
        assert_eq!(
            canonical(&big).unwrap(),
            r#"{"a":[9007199254740991,-9007199254740991,null,true]}"#
        );
        for bad in [json!(0.5), json!(1.0), json!(9_007_199_254_740_992_i64), json!(u64::MAX)] {
            assert!(matches!(canonical(&bad), Err(DetailError::Number(_))), "{bad}");
        }
        assert_eq!(canonical(&json!("\0")), Err(DetailError::Nul));
        let mut deep = json!(1);
        for _ in 0..DEPTH_MAX {
            deep = json!([deep]);
        }
        assert!(canonical(&deep).is_ok());
        assert!(matches!(canonical(&json!([deep])), Err(DetailError::TooDeep { .. })));
    }
}
