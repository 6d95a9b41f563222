//! What is never shown.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::render::percent_encoded;

/// What stands in the place of a secret.
const HIDDEN: &str = "***";

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

/// Texts that no output may hold. Nothing here shows them.
#[derive(Clone, Default)]
pub struct Secrets(Vec<String>);

impl Secrets {
    /// Hides a text from now on, also where it stands escaped for a URL or for JSON, or as Basic
    /// credentials are written.
    pub fn hide(&mut self, secret: &str) {
        if secret.is_empty() {
            return;
        }
        let json = serde_json::Value::from(secret).to_string();
        let json = json.trim_matches('"').to_owned();
        let escaped = percent_encoded(secret).to_string();
        for form in [secret.to_owned(), escaped, json, STANDARD.encode(secret)] {
            if !self.0.contains(&form) {
                self.0.push(form);
            }
        }
        // One secret may hold another.
        self.0.sort_by_key(|one| std::cmp::Reverse(one.len()));
    }

    /// The text without them.
    #[must_use]
    pub fn hidden(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| {
            if text.contains(secret.as_str()) { text.replace(secret, HIDDEN) } else { text }
        })
    }

    /// The value without them, at every depth.
    pub(super) fn hidden_json(&self, json: serde_json::Value) -> serde_json::Value {
        use serde_json::Value;
        match json {
            Value::String(text) => Value::String(self.hidden(&text)),
            Value::Array(items) => items.into_iter().map(|one| self.hidden_json(one)).collect(),
            Value::Object(map) => {
                map.into_iter().map(|(name, one)| (name, self.hidden_json(one))).collect()
            }
            Value::Number(number) if self.hidden(&number.to_string()) == HIDDEN => {
                Value::String(HIDDEN.to_owned())
            }
            other => other,
        }
    }
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
    fn a_name_may_tell() {
        for name in ["token", "AccessToken", "db_password", "X-Api-Key", "client_secret"] {
            assert!(is_secret_name(name), "{name}");
        }
        assert!(!is_secret_name("handle") && !is_secret_name("monkey"));
    }
}
