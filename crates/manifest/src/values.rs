//! Values that have a form of their own: addresses, networks, header names, paths.
//!
//! Each is read by `FromStr`, whose error says what was expected; serde, the JSON Schema and the
//! command line all use that one reader.

mod net;
mod origin;
mod path;
mod url;

pub use net::{Cidr, HeaderName, ListenAddr};
pub use origin::WebOrigin;
pub use path::{PathPrefix, PathTemplate};
pub use url::{HttpUrl, OriginUrl};

pub(crate) use url::has_credentials;

/// Why a value could not be read, and what would have been right. It never repeats a text that may
/// hold a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}; expected {expected}")]
pub struct ValueError {
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub expected: &'static str,
    /// The same value put right, where it can be told.
    pub suggestion: Option<String>,
}

impl ValueError {
    pub(crate) fn new(message: impl Into<String>, expected: &'static str) -> Self {
        Self { message: message.into(), expected, suggestion: None }
    }

    fn suggest(mut self, suggestion: impl Into<String>) -> Self {
        self.suggestion = Some(suggestion.into());
        self
    }
}

/// A text cut to a length that fits a line, for messages.
pub(crate) fn shown(text: &str) -> String {
    const CHARS_MAX: usize = 64;
    let mut cut: String = text.chars().take(CHARS_MAX).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    cut
}

/// Serde and JSON Schema for a type that is read by `FromStr` and written by `Display`.
macro_rules! text_value {
    ($type:ident, $description:literal, $pattern:expr) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "description": $description,
                    "type": "string",
                    "pattern": $pattern
                })
            }
        }
    };
}
use text_value;
