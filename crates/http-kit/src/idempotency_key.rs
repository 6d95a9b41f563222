//! `Idempotency-Key`: a quoted string (draft-ietf-httpapi-idempotency-key-header, RFC 9651 §3.3.3)
//! or, as widely used clients send it, the plain value.

use std::borrow::Cow;

/// The field's name.
pub const IDEMPOTENCY_KEY: http::HeaderName = http::HeaderName::from_static("idempotency-key");

/// The longest key, bytes; the plain form's own bound where it comes from.
pub const KEY_BYTES_MAX: usize = 255;

/// The key in a field's value; `None` where there is none to be read. `"a-b"` and `a-b` are the
/// same key. Parameters of the quoted form mean nothing and are passed over.
#[must_use]
pub fn parse(value: &[u8]) -> Option<Cow<'_, [u8]>> {
    let value = value.trim_ascii();
    let key = match value.split_first() {
        Some((b'"', rest)) => quoted(rest)?,
        _ if value.iter().all(|byte| matches!(byte, b' '..=b'~')) => Cow::Borrowed(value),
        _ => return None,
    };
    (1..=KEY_BYTES_MAX).contains(&key.len()).then_some(key)
}

/// What follows an opening quote: the string, and behind it nothing or parameters.
fn quoted(rest: &[u8]) -> Option<Cow<'_, [u8]>> {
    let mut unescaped: Option<Vec<u8>> = None;
    let mut at = 0;
    loop {
        match *rest.get(at)? {
            b'"' => break,
            b'\\' => {
                let escaped = *rest.get(at + 1).filter(|byte| matches!(byte, b'"' | b'\\'))?;
                unescaped.get_or_insert_with(|| rest[..at].to_vec()).push(escaped);
                at += 2;
            }
            byte @ b' '..=b'~' => {
                if let Some(unescaped) = &mut unescaped {
                    unescaped.push(byte);
                }
                at += 1;
            }
            _ => return None,
        }
    }
    let behind = &rest[at + 1..];
    if !behind.is_empty() && behind.first() != Some(&b';') {
        return None;
    }
    Some(unescaped.map_or(Cow::Borrowed(&rest[..at]), Cow::Owned))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sfv::Parser;

    use super::*;

    fn read(value: &str) -> Option<String> {
        parse(value.as_bytes()).map(|key| String::from_utf8(key.into_owned()).unwrap())
    }

    #[test]
    fn both_forms_of_a_key_are_one_key() {
        let uuid = "8e03978e-40d5-43dd-bc93-6894a57f9324";
        assert_eq!(read(uuid).as_deref(), Some(uuid));
        assert_eq!(read(&format!("\"{uuid}\"")).as_deref(), Some(uuid));
        assert_eq!(read(&format!(" \"{uuid}\";a=1 ")).as_deref(), Some(uuid));
        assert_eq!(read(r#""a\"b\\c""#).as_deref(), Some(r#"a"b\c"#));
        assert_eq!(read(&"k".repeat(255)), Some("k".repeat(255)));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let long = "k".repeat(256);
        for value in ["", "  ", "\"\"", "\"a", "\"a\"b", "\"a\\b\"", "a\tb", "ü", "\"ü\"", &*long]
        {
            assert_eq!(read(value), None, "{value}");
        }
    }

    proptest! {
        #[test]
        fn a_quoted_key_is_what_the_library_reads(text in "\"[ -~]{0,12}\"?") {
            let library = Parser::new(text.trim_ascii()).parse::<sfv::Item>().ok().and_then(|item| {
                item.bare_item.as_string().map(|s| s.as_str().to_owned())
            });
            match library.filter(|key| !key.is_empty()) {
                Some(key) => prop_assert_eq!(read(&text), Some(key)),
                None if text.contains(';') => {}
                None => prop_assert_eq!(read(&text), None),
            }
        }
    }
}
