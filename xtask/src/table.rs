//! The rules, which are data: `doors.toml` and `tidy.toml`.

use std::path::Path;

use serde::Deserialize;

use crate::CheckError;

/// `doors.toml`: floors, what stands beside them, and drivers.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DoorsTable {
    /// From the ground up.
    #[serde(rename = "floor")]
    pub(crate) floors: Vec<Floor>,
    pub(crate) beside: Beside,
    #[serde(rename = "driver")]
    pub(crate) drivers: Vec<Driver>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Floor {
    pub(crate) name: String,
    pub(crate) inside: Inside,
    /// From left to right.
    pub(crate) crates: Vec<String>,
}

/// Which doors a floor has inside itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Inside {
    /// To every crate further left.
    Leftward,
    /// None.
    Never,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Beside {
    pub(crate) dev_only: Vec<String>,
    pub(crate) alone: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Driver {
    #[serde(rename = "crate")]
    pub(crate) package: String,
    pub(crate) only: Vec<String>,
    pub(crate) reason: String,
}

/// `tidy.toml`: limits, words, and what is left alone.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TidyTable {
    pub(crate) skip: Vec<String>,
    pub(crate) skip_names: Vec<String>,
    pub(crate) as_is: Vec<String>,
    pub(crate) limits: Limits,
    #[serde(rename = "word")]
    pub(crate) words: Vec<Word>,
    #[serde(rename = "machine_path")]
    pub(crate) machine_paths: Vec<MachinePath>,
    pub(crate) exempt: Exempt,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Limits {
    pub(crate) file_lines_warn: usize,
    pub(crate) file_lines_max: usize,
    pub(crate) function_lines_max: usize,
    pub(crate) columns_max: usize,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Word {
    pub(crate) text: String,
    pub(crate) instead: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MachinePath {
    pub(crate) text: String,
    /// Whether what follows is a person's name, of which one letter is nobody's.
    #[serde(default)]
    pub(crate) person_follows: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Exempt {
    pub(crate) words: Vec<String>,
}

/// Reads one of the tables.
pub(crate) fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, CheckError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| CheckError::Io { path: path.to_owned(), source })?;
    toml::from_str(&text)
        .map_err(|source| CheckError::Toml { path: path.to_owned(), source: Box::new(source) })
}
