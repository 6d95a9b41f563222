//! Why a report is not taken.

use std::fmt;

use crate::import::REPORT_BYTES_MAX;

/// Where in a report something is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Line and column, both from 1.
    Line {
        /// The line.
        line: usize,
        /// The character in it.
        column: usize,
    },
    /// A JSON pointer (RFC 6901).
    Pointer(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line { line, column } => write!(f, "line {line}, column {column}"),
            Self::Pointer(pointer) => f.write_str(pointer),
        }
    }
}

/// Why a report is not taken. Its text may name keys of the report: it is for whoever holds the
/// file, and is never kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// Longer than [`REPORT_BYTES_MAX`].
    #[error(
        "the report has more than {} MiB; have the tool write it without code and fixes, or a \
         report for each part of the code", REPORT_BYTES_MAX / 1024 / 1024
    )]
    TooLong,
    /// Something in it is not as it has to be.
    #[error("{place}: {says}")]
    At {
        /// Where.
        place: Place,
        /// What is wrong, and what was expected.
        says: String,
    },
    /// The whole of it is not what was asked for, or is no evidence.
    #[error("{0}")]
    Refused(String),
}

impl ImportError {
    /// Wrong at a JSON pointer.
    pub(super) fn at(pointer: impl Into<String>, says: impl Into<String>) -> Self {
        Self::At { place: Place::Pointer(pointer.into()), says: says.into() }
    }
}
