//! One thing that a check found.

use std::fmt;

/// Whether a finding fails the check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Severity {
    /// Fails the check.
    Error,
    /// Is said, and does not fail it.
    Warning,
}

/// One thing found: where, what, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) severity: Severity,
    /// Relative to the root of the workspace, with `/` between its parts.
    pub(crate) file: String,
    /// Counted from one.
    pub(crate) line: Option<usize>,
    pub(crate) what: String,
    /// What mends it, as an order.
    pub(crate) todo: String,
}

impl Finding {
    pub(crate) fn error(
        file: impl Into<String>,
        line: Option<usize>,
        what: impl Into<String>,
        todo: impl Into<String>,
    ) -> Self {
        let severity = Severity::Error;
        Self { severity, file: file.into(), line, what: what.into(), todo: todo.into() }
    }

    pub(crate) fn warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{severity}: {}", self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}\n  {}", self.what, self.todo)
    }
}

/// The first line of `text`, counted from one, that starts with `start` after its indent.
pub(crate) fn line_starting(text: &str, start: &str) -> Option<usize> {
    text.lines().position(|line| line.trim_start().starts_with(start)).map(|index| index + 1)
}
