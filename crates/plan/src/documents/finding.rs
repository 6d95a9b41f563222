//! What is wrong at a place of a text.

use std::path::Path;

use plimsoll_manifest::Fault;

/// What is shown of what somebody wrote, characters.
const GIVEN_CHARS_MAX: usize = 60;

/// A fault that does not know its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The line, from 1; none where something is missing.
    pub line: Option<usize>,
    /// The key of the front matter, the column of a table, or the heading; may be empty.
    pub key: String,
    /// What is wrong. It never quotes the document, so that evidence may say it.
    pub says: String,
    /// What stands there, shortened, on one line.
    pub given: Option<String>,
    /// What would be right.
    pub expected: Option<String>,
    /// What was probably meant.
    pub suggestion: Option<String>,
}

impl Finding {
    pub(super) fn at(line: usize, key: &str, says: impl Into<String>) -> Self {
        Self { line: Some(line), ..Self::nowhere(key, says) }
    }

    /// Of a whole document.
    pub(super) fn nowhere(key: &str, says: impl Into<String>) -> Self {
        Self {
            line: None,
            key: shown(key),
            says: says.into(),
            given: None,
            expected: None,
            suggestion: None,
        }
    }

    pub(super) fn given(mut self, text: &str) -> Self {
        self.given = Some(shown(text));
        self
    }

    pub(super) fn expecting(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    pub(super) fn perhaps(mut self, suggestion: Option<&str>) -> Self {
        self.suggestion = suggestion.map(shown);
        self
    }

    /// The same with its file.
    pub(super) fn in_file(&self, file: &Path) -> Fault {
        let message = match &self.given {
            Some(given) => format!("`{given}` {}", self.says),
            None => self.says.clone(),
        };
        Fault {
            line: self.line,
            key: self.key.clone(),
            expected: self.expected.clone(),
            suggestion: self.suggestion.clone(),
            ..Fault::of_file(file, message)
        }
    }
}

/// One line that fits one: a hostile text has neither length nor escape codes.
fn shown(text: &str) -> String {
    let plain = |one: char| if one.is_control() { '\u{fffd}' } else { one };
    let mut out: String = text.chars().take(GIVEN_CHARS_MAX).map(plain).collect();
    if text.chars().nth(GIVEN_CHARS_MAX).is_some() {
        out.push('…');
    }
    out
}
