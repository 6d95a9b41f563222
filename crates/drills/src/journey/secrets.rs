//! What is never shown.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value as Json;
use url::Url;
use url::form_urlencoded::byte_serialize;

use super::JSON_DEPTH_MAX;
use super::render::percent_encoded;
use super::value::Value;

/// What stands in the place of a secret.
const HIDDEN: &str = "***";

/// From how many digits on a number that was captured as a secret is hidden.
const NUMBER_HIDDEN_CHARS_MIN: usize = 4;

/// Words in the name of a variable by which its value is taken for a secret.
const TELLING: [&str; 10] = [
    "token",
    "secret",
    "password",
    "passwd",
    "passphrase",
    "credential",
    "authorization",
    "apikey",
    "api_key",
    "api-key",
];

/// Whether a variable's value is a secret by its name.
#[must_use]
pub fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    TELLING.iter().any(|word| name.contains(word))
}

/// How writers of JSON escape what they need not (RFC 8259 §7): the characters beside `"`, `\` and
/// controls, whether all that is not ASCII too, whether `/` by a backslash, whether in capitals.
const WRITERS: [(&str, bool, bool, bool); 6] = [
    ("", false, false, false),
    ("", false, true, false),
    ("", true, false, false),
    ("", true, true, false),
    ("<>&", false, false, false),
    ("<>&'+`\"", true, false, true),
];

/// Texts that no output may hold. Nothing here shows them.
#[derive(Clone, Default)]
pub struct Secrets(BTreeSet<Form>);

/// A form of a secret. The longest comes first, since one secret may hold another.
type Form = (Reverse<usize>, String);

impl Secrets {
    /// Hides a text from now on, also where it stands escaped for a URL, a form or JSON, or as
    /// Basic credentials are written.
    pub fn hide(&mut self, secret: &str) {
        let escaped = percent_encoded(secret).to_string();
        let form = byte_serialize(secret.as_bytes()).collect();
        let json = WRITERS.iter().map(|writer| json_text(secret, *writer));
        let all = [secret.to_owned(), escaped, form, in_query(secret), STANDARD.encode(secret)];
        for form in all.into_iter().chain(json) {
            if !form.is_empty() {
                self.0.insert((Reverse(form.len()), form));
            }
        }
    }

    /// Hides every text in a value, and every number of some length.
    pub fn hide_value(&mut self, value: &Value) {
        self.hide_to(&value.to_json(), JSON_DEPTH_MAX);
    }

    fn hide_to(&mut self, json: &Json, depth: usize) {
        match json {
            Json::String(text) => self.hide(text),
            Json::Array(items) if depth > 0 => {
                items.iter().for_each(|one| self.hide_to(one, depth - 1));
            }
            Json::Object(map) if depth > 0 => {
                map.values().for_each(|one| self.hide_to(one, depth - 1));
            }
            // A short number stands in too many places that say nothing of it.
            Json::Number(number) => {
                let text = number.to_string();
                if text.len() >= NUMBER_HIDDEN_CHARS_MIN {
                    self.hide(&text);
                }
            }
            _ => {}
        }
    }

    /// The text without them.
    #[must_use]
    pub fn hidden(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (_, secret)| {
            if text.contains(secret.as_str()) { text.replace(secret, HIDDEN) } else { text }
        })
    }

    /// The value without them, at every depth.
    pub(super) fn hidden_json(&self, json: Json) -> Json {
        match json {
            Json::String(text) => Json::String(self.hidden(&text)),
            Json::Array(items) => items.into_iter().map(|one| self.hidden_json(one)).collect(),
            Json::Object(map) => map
                .into_iter()
                .map(|(name, one)| (self.hidden(&name), self.hidden_json(one)))
                .collect(),
            Json::Number(number) => {
                let text = number.to_string();
                let hidden = self.hidden(&text);
                if hidden == text { Json::Number(number) } else { Json::String(hidden) }
            }
            other => other,
        }
    }
}

/// As a URL has it that a text was put into as it is (WHATWG URL, query percent-encode set).
fn in_query(text: &str) -> String {
    let Ok(mut url) = Url::parse("http://a/") else { return String::new() };
    url.set_query(Some(text));
    url.query().unwrap_or_default().to_owned()
}

/// Between the quotes of a JSON string.
fn json_text(text: &str, (also, ascii, slash, capitals): (&str, bool, bool, bool)) -> String {
    let mut out = String::with_capacity(text.len());
    for one in text.chars() {
        if one == '/' && slash {
            out.push_str("\\/");
        } else if also.contains(one) || (ascii && !one.is_ascii()) {
            for unit in one.encode_utf16(&mut [0; 2]) {
                let unit =
                    if capitals { format!("\\u{unit:04X}") } else { format!("\\u{unit:04x}") };
                out.push_str(&unit);
            }
        } else {
            let quoted = Json::from(one.to_string()).to_string();
            out.push_str(quoted.get(1..quoted.len() - 1).unwrap_or_default());
        }
    }
    out
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secrets").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_hidden_in_every_form() {
        let mut secrets = Secrets::default();
        secrets.hide("a b\"c");
        secrets.hide("a b");
        secrets.hide("");
        for (text, hidden) in [
            ("x a b\"c y", "x *** y"),
            ("q=a%20b%22c", "q=***"),
            (r#"{"t":"a b\"c"}"#, r#"{"t":"***"}"#),
            ("Basic YSBiImM=", "Basic ***"),
            ("q=a+b%22c", "q=***"),
            ("a b!", "***!"),
            ("nothing", "nothing"),
        ] {
            assert_eq!(secrets.hidden(text), hidden);
        }
        assert!(!format!("{secrets:?}").contains("a b"));
        let json = serde_json::json!({ "a": ["a b", 1] });
        assert_eq!(secrets.hidden_json(json), serde_json::json!({ "a": ["***", 1] }));
    }

    #[test]
    fn a_secret_is_hidden_however_json_writes_it() {
        let mut secrets = Secrets::default();
        secrets.hide("a/b<\u{e4}+\u{1f511}\"");
        for written in [
            r#"a/b<ä+🔑\""#,
            r#"a\/b<ä+🔑\""#,
            r#"a/b<\u00e4+\ud83d\udd11\""#,
            r#"a\/b<\u00e4+\ud83d\udd11\""#,
            r#"a/b\u003cä+🔑\""#,
            r#"a/b\u003C\u00E4\u002B\uD83D\uDD11\u0022"#,
            // In the path or query of a URL, as it was put there and as it was escaped.
            "a/b%3C%C3%A4+%F0%9F%94%91%22",
            "a%2Fb%3C%C3%A4%2B%F0%9F%94%91%22",
        ] {
            assert_eq!(secrets.hidden(&format!("x{written}y")), "x***y", "{written}");
        }
    }

    #[test]
    fn names_and_numbers_of_a_value_are_hidden() {
        let mut secrets = Secrets::default();
        let value = serde_json::json!([{ "pin": 471_100, "short": 7, "t": ["word"] }]);
        secrets.hide_value(&Value::of_json(&value));
        let shown = secrets.hidden_json(serde_json::json!({ "a word": -471_100, "n": 7 }));
        assert_eq!(shown, serde_json::json!({ "a ***": "-***", "n": 7 }));
    }

    #[test]
    fn a_name_may_tell() {
        for name in ["token", "AccessToken", "db_password", "X-Api-Key", "client_secret"] {
            assert!(is_secret_name(name), "{name}");
        }
        assert!(!is_secret_name("handle") && !is_secret_name("monkey"));
    }
}
