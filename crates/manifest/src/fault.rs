//! What is wrong with a manifest, and where.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

/// One fault: where it is, what is wrong, what was expected, and the likely intent.
///
/// Shown, it is one line:
/// `FILE:LINE:COLUMN: KEY: MESSAGE; expected EXPECTED; did you mean SUGGESTION?`
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Fault {
    /// The file as it was named to us; `command line` for a fault in an argument.
    pub file: PathBuf,
    /// The line, from 1; none where the fault has no place in the text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// The column in characters, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
    /// The key, such as `edge.keep_alive` or `service[0].urls[1]` (counted from 0); empty for a
    /// fault of the text itself.
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// What was probably meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suggestion: Option<String>,
}

impl Fault {
    /// A fault of a whole file.
    #[must_use]
    pub fn of_file(file: impl Into<PathBuf>, message: impl Into<String>) -> Self {
        Self {
            file: file.into(),
            line: None,
            column: None,
            key: String::new(),
            message: message.into(),
            expected: None,
            suggestion: None,
        }
    }

    /// The same fault with what would be right.
    #[must_use]
    pub fn expecting(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        for place in [self.line, self.column].into_iter().flatten() {
            write!(f, ":{place}")?;
        }
        f.write_str(": ")?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)?;
        if let Some(expected) = &self.expected {
            write!(f, "; expected {expected}")?;
        }
        if let Some(suggestion) = &self.suggestion {
            write!(f, "; did you mean `{suggestion}`?")?;
        }
        Ok(())
    }
}

impl std::error::Error for Fault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_one_line_that_an_editor_can_follow() {
        let mut fault = Fault::of_file("plimsoll.toml", "`urll` is not a key");
        assert_eq!(fault.to_string(), "plimsoll.toml: `urll` is not a key");
        fault.line = Some(3);
        fault.column = Some(1);
        fault.key = "service[0].urll".to_owned();
        fault.suggestion = Some("urls".to_owned());
        let fault = fault.expecting("a key of [[service]]");
        assert_eq!(
            fault.to_string(),
            "plimsoll.toml:3:1: service[0].urll: `urll` is not a key; expected a key of \
             [[service]]; did you mean `urls`?"
        );
    }

    #[test]
    fn for_scripts_what_is_not_known_is_left_out() {
        let json = serde_json::to_value(Fault::of_file("a", "b")).unwrap();
        assert_eq!(json, serde_json::json!({ "file": "a", "key": "", "message": "b" }));
    }
}
