//! The facts of each format: what is sent from where the report lies to where it is written down,
//! and what has to hold of them on both sides.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::date::Date;
use crate::import::error::ImportError;
use crate::import::kind::{ReportFormat, ReportKind};
use crate::import::text::{is_name, shown};

/// More than a report that is read can hold.
const COUNT_MAX: u64 = 100_000_000;
/// Hexadecimal digits of a SHA-256.
const SHA256_DIGITS: usize = 64;

/// What a report says.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Report {
    Findings(Findings),
    Tests(Tests),
    Infrastructure(Infrastructure),
    Scorecard(Scorecard),
}

/// Of SARIF. Suppressed results and those that a baseline says are gone are in no other count.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Findings {
    pub(super) tool: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) version: Option<String>,
    pub(super) results: u64,
    pub(super) errors: u64,
    pub(super) warnings: u64,
    pub(super) notes: u64,
    pub(super) suppressed: u64,
    /// What the tool says went wrong while it looked.
    pub(super) tool_errors: u64,
    /// The rule with the most results of the worst level.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) worst_rule: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) dated: Option<String>,
    pub(super) sha256: String,
}

/// Of JUnit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tests {
    pub(super) tests: u64,
    pub(super) failures: u64,
    pub(super) errors: u64,
    pub(super) skipped: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) dated: Option<String>,
    pub(super) sha256: String,
}

/// Of checkov.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Infrastructure {
    pub(super) tool: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) version: Option<String>,
    pub(super) passed: u64,
    pub(super) failed: u64,
    pub(super) skipped: u64,
    /// Files that it could not read.
    pub(super) unread: u64,
    /// The check that failed most often.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) worst_rule: Option<String>,
    pub(super) sha256: String,
}

/// Of OpenSSF Scorecard.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Scorecard {
    /// Tenths of a point, 0 to 100.
    pub(super) score_tenths: u64,
    pub(super) checks: u64,
    /// Checks with fewer than five points.
    pub(super) low: u64,
    /// Checks that came to no result.
    pub(super) inconclusive: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) version: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) commit: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) dated: Option<String>,
    pub(super) sha256: String,
}

impl Report {
    pub(super) fn facts(&self) -> Result<Map<String, Value>, ImportError> {
        let value = match self {
            Self::Findings(facts) => serde_json::to_value(facts),
            Self::Tests(facts) => serde_json::to_value(facts),
            Self::Infrastructure(facts) => serde_json::to_value(facts),
            Self::Scorecard(facts) => serde_json::to_value(facts),
        };
        match value {
            Ok(Value::Object(facts)) => Ok(facts),
            Ok(_) => Err(ImportError::Refused("the facts are no object".to_owned())),
            Err(error) => Err(ImportError::Refused(error.to_string())),
        }
    }

    pub(super) fn from_facts(
        format: ReportFormat,
        facts: Map<String, Value>,
    ) -> Result<Self, ImportError> {
        Ok(match format {
            ReportFormat::Sarif => Self::Findings(typed(facts)?),
            ReportFormat::Junit => Self::Tests(typed(facts)?),
            ReportFormat::Checkov => Self::Infrastructure(typed(facts)?),
            ReportFormat::Scorecard => Self::Scorecard(typed(facts)?),
        })
    }

    pub(super) fn dated(&self) -> Option<&str> {
        match self {
            Self::Findings(facts) => facts.dated.as_deref(),
            Self::Tests(facts) => facts.dated.as_deref(),
            Self::Infrastructure(_) => None,
            Self::Scorecard(facts) => facts.dated.as_deref(),
        }
    }

    fn sha256(&self) -> &str {
        match self {
            Self::Findings(facts) => &facts.sha256,
            Self::Tests(facts) => &facts.sha256,
            Self::Infrastructure(facts) => &facts.sha256,
            Self::Scorecard(facts) => &facts.sha256,
        }
    }

    /// Whether the counts fit together and the texts are such as are kept.
    pub(super) fn check(&self, kind: ReportKind) -> Result<(), ImportError> {
        let named = |wrong: &str| {
            let says = format!("the facts of `{}` do not hold: {wrong}", kind.kind());
            ImportError::Refused(says)
        };
        let hash = self.sha256();
        let hex = |one: u8| one.is_ascii_digit() || (b'a'..=b'f').contains(&one);
        if hash.len() != SHA256_DIGITS || !hash.bytes().all(hex) {
            return Err(named("`sha256` has to be 64 digits of 0-9 and a-f"));
        }
        if let Some(dated) = self.dated() {
            dated.parse::<Date>().map_err(|error| named(&format!("`dated`: {error}")))?;
        }
        let fits = match self {
            Self::Findings(facts) => facts.fits(),
            Self::Tests(facts) => facts.fits(),
            Self::Infrastructure(facts) => facts.fits(),
            Self::Scorecard(facts) => facts.fits(),
        };
        fits.map_err(|wrong| named(&wrong))
    }

    pub(super) fn says(&self) -> String {
        match self {
            Self::Findings(facts) => facts.says(),
            Self::Tests(facts) => facts.says(),
            Self::Infrastructure(facts) => facts.says(),
            Self::Scorecard(facts) => facts.says(),
        }
    }
}

fn typed<T: DeserializeOwned>(facts: Map<String, Value>) -> Result<T, ImportError> {
    serde_json::from_value(Value::Object(facts))
        .map_err(|error| ImportError::Refused(format!("the facts: {}", shown(&error.to_string()))))
}

fn counts(named: &[(&str, u64)]) -> Result<(), String> {
    match named.iter().find(|(_, count)| *count > COUNT_MAX) {
        Some((name, _)) => Err(format!("`{name}` is more than {COUNT_MAX}")),
        None => Ok(()),
    }
}

fn names(named: &[(&str, Option<&str>)]) -> Result<(), String> {
    let wrong = |(_, text): &&(&str, Option<&str>)| text.is_some_and(|text| !is_name(text));
    match named.iter().find(wrong) {
        Some((name, _)) => Err(format!("`{name}` has to be a text of 1 to 64 bytes on one line")),
        None => Ok(()),
    }
}

/// A sum that cannot overflow: each part was counted or is checked by [`counts`] first.
fn sum(parts: &[u64]) -> u64 {
    parts.iter().fold(0, |all, part| all.saturating_add(*part))
}

impl Findings {
    fn fits(&self) -> Result<(), String> {
        counts(&[
            ("results", self.results),
            ("suppressed", self.suppressed),
            ("tool_errors", self.tool_errors),
        ])?;
        let rule = self.worst_rule.as_deref();
        names(&[
            ("tool", Some(&self.tool)),
            ("version", self.version.as_deref()),
            ("worst_rule", rule),
        ])?;
        if sum(&[self.errors, self.warnings, self.notes]) != self.results {
            return Err("`results` has to be `errors`, `warnings` and `notes` together".to_owned());
        }
        Ok(())
    }

    fn says(&self) -> String {
        let mut out = format!(
            "{}: {}, {}, {}",
            tool(&self.tool, self.version.as_deref()),
            counted(self.errors, "error"),
            counted(self.warnings, "warning"),
            counted(self.notes, "note"),
        );
        if self.suppressed > 0 {
            out.push_str(&format!("; {} suppressed", self.suppressed));
        }
        if self.tool_errors > 0 {
            out.push_str(&format!("; {} of the tool itself", counted(self.tool_errors, "error")));
        }
        out.push('.');
        out
    }
}

impl Tests {
    fn fits(&self) -> Result<(), String> {
        counts(&[("tests", self.tests)])?;
        if sum(&[self.failures, self.errors, self.skipped]) > self.tests {
            let says = "`failures`, `errors` and `skipped` together are more than `tests`";
            return Err(says.to_owned());
        }
        Ok(())
    }

    fn says(&self) -> String {
        format!(
            "{}: {} failed, {} broke off, {} skipped.",
            counted(self.tests, "test"),
            self.failures,
            self.errors,
            self.skipped
        )
    }
}

impl Infrastructure {
    fn fits(&self) -> Result<(), String> {
        counts(&[
            ("passed", self.passed),
            ("failed", self.failed),
            ("skipped", self.skipped),
            ("unread", self.unread),
        ])?;
        names(&[
            ("tool", Some(&self.tool)),
            ("version", self.version.as_deref()),
            ("worst_rule", self.worst_rule.as_deref()),
        ])
    }

    fn says(&self) -> String {
        let mut out = format!(
            "{}: {} passed, {} failed, {} skipped",
            tool(&self.tool, self.version.as_deref()),
            counted(self.passed, "check"),
            self.failed,
            self.skipped
        );
        if self.unread > 0 {
            out.push_str(&format!("; {} not read", counted(self.unread, "file")));
        }
        out.push('.');
        out
    }
}

impl Scorecard {
    fn fits(&self) -> Result<(), String> {
        counts(&[("checks", self.checks)])?;
        names(&[("version", self.version.as_deref())])?;
        if self.score_tenths > 100 {
            return Err("`score_tenths` is more than 100".to_owned());
        }
        if sum(&[self.low, self.inconclusive]) > self.checks {
            return Err("`low` and `inconclusive` together are more than `checks`".to_owned());
        }
        match &self.commit {
            Some(commit) if !is_commit(commit) => {
                Err("`commit` has to be the hash of a commit".to_owned())
            }
            _ => Ok(()),
        }
    }

    fn says(&self) -> String {
        let (points, tenths) = (self.score_tenths / 10, self.score_tenths % 10);
        let at = match self.commit.as_deref().and_then(|commit| commit.get(..7)) {
            Some(short) => format!(" at {short}"),
            None => String::new(),
        };
        let mut out = format!(
            "{points}.{tenths} of 10 points{at}; {} of {} below 5",
            self.low,
            counted(self.checks, "check")
        );
        if self.inconclusive > 0 {
            out.push_str(&format!(", {} without a result", self.inconclusive));
        }
        out.push('.');
        out
    }
}

/// The hash of a commit in SHA-1 or SHA-256.
pub(super) fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|one| one.is_ascii_hexdigit())
}

fn tool(name: &str, version: Option<&str>) -> String {
    version.map_or_else(|| name.to_owned(), |version| format!("{name} {version}"))
}

fn counted(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
