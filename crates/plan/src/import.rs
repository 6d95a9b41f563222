//! Reports of other tools, read into evidence: SARIF 2.1.0, JUnit XML, checkov's JSON and the JSON
//! of OpenSSF Scorecard.
//!
//! Pure functions over bytes. What is kept of a report are counts, the names of rules and of the
//! tool, a commit, a day and the hash of the file; never a path, a message or a line of code, which
//! may hold personal data.
//!
//! [`read_report`] reads a file; [`accept_report`] takes the facts that came of one, on the other
//! side of a socket, and trusts none of them more than their form.

mod checkov;
mod error;
mod facts;
mod junit;
mod kind;
mod sarif;
mod scorecard;
mod text;
mod walk;
mod xml;

use plimsoll_ledger::{Evidence, How};
use plimsoll_protection::sha256;
use serde_json::{Map, Value};

use crate::date::Date;
use crate::gates::Gates;

pub use error::{ImportError, Place};
pub use kind::{REPORTS, ReportFormat, ReportKind};

use facts::Report;

/// The longest report, bytes.
pub const REPORT_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Values in a JSON report, elements in an XML report.
pub const REPORT_ELEMENTS_MAX: usize = 4_000_000;
/// How deep lists, objects and elements stand inside each other.
pub const REPORT_DEPTH_MAX: usize = 64;
/// The longest single text in a JSON report, bytes.
pub const REPORT_TEXT_BYTES_MAX: usize = 1024 * 1024;
/// Rules that one run of a tool may name.
pub const REPORT_RULES_MAX: usize = 50_000;
/// A report that says it is older than this is not taken, days.
pub const REPORT_AGE_DAYS_MAX: u32 = 90;

/// A report that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Imported {
    /// What it is evidence of.
    pub kind: ReportKind,
    report: Report,
}

impl Imported {
    /// What is sent on: everything but `says`, which whoever writes it down makes anew.
    ///
    /// # Errors
    /// Never in practice: the facts are plain numbers and texts.
    pub fn facts(&self) -> Result<Map<String, Value>, ImportError> {
        self.report.facts()
    }

    /// One sentence about it.
    #[must_use]
    pub fn says(&self) -> String {
        self.report.says()
    }

    /// The day on which it says it was made, in UTC.
    #[must_use]
    pub fn dated(&self) -> Option<Date> {
        self.report.dated()?.parse().ok()
    }

    /// As it is written down.
    ///
    /// # Errors
    /// [`ImportError::Refused`] where it says that it was made in the future or more than 90 days
    /// ago.
    pub fn evidence(&self, now_unix_ms: u64) -> Result<Evidence, ImportError> {
        if let Some(dated) = self.dated() {
            timely(dated, Date::of_unix_ms(now_unix_ms))?;
        }
        let mut facts = self.facts()?;
        facts.insert("says".to_owned(), Value::String(self.says()));
        Ok(Evidence { kind: self.kind.kind().to_owned(), how: How::Imported, facts })
    }
}

/// One day ahead is a clock in another time zone, where the report does not say in which.
fn timely(dated: Date, today: Date) -> Result<(), ImportError> {
    let age_days = dated.days_to(today);
    if age_days < -1 {
        let says = format!(
            "the report says that it was made on {dated}, and today is {today}: set the clock of \
             the machine that makes it"
        );
        return Err(ImportError::Refused(says));
    }
    if age_days > i64::from(REPORT_AGE_DAYS_MAX) {
        let says = format!(
            "the report says that it was made on {dated}, {age_days} days ago; make a new one: \
             after {REPORT_AGE_DAYS_MAX} days it answers no question"
        );
        return Err(ImportError::Refused(says));
    }
    Ok(())
}

/// Reads a report. Its format is known by its content; `wanted` says what it is evidence of, where
/// the format leaves that open.
///
/// # Errors
/// [`ImportError`] says what was expected, and where.
pub fn read_report(bytes: &[u8], wanted: Option<ReportKind>) -> Result<Imported, ImportError> {
    let text = text::decoded(bytes)?;
    let hash: String = sha256(&[bytes]).iter().map(|byte| format!("{byte:02x}")).collect();
    let format = format_of(text)?;
    if let Some(wanted) = wanted.filter(|wanted| wanted.format() != format) {
        let says = format!(
            "`{}` is read from {}; this is {}",
            wanted.name(),
            wanted.format().title(),
            format.title()
        );
        return Err(ImportError::Refused(says));
    }
    let report = match format {
        ReportFormat::Sarif => Report::Findings(sarif::read(text, hash)?),
        ReportFormat::Junit => Report::Tests(junit::read(text, hash)?),
        ReportFormat::Checkov => Report::Infrastructure(checkov::read(text, hash)?),
        ReportFormat::Scorecard => Report::Scorecard(scorecard::read(text, hash)?),
    };
    let kind = match &report {
        Report::Findings(findings) => kind::of_tool(&findings.tool, wanted)?,
        _ => wanted.unwrap_or(format.usual()),
    };
    report.check(kind)?;
    Ok(Imported { kind, report })
}

fn format_of(text: &str) -> Result<ReportFormat, ImportError> {
    let begins = text.trim_start();
    if begins.starts_with('<') {
        return Ok(ReportFormat::Junit);
    }
    if !begins.starts_with(['{', '[']) {
        let says = format!(
            "the report is neither JSON nor XML; what is read: {}",
            ReportFormat::ALL.map(ReportFormat::title).join(", ")
        );
        return Err(ImportError::Refused(says));
    }
    let shape = walk::shape(text)?;
    let has = |key: &str| shape.keys.iter().any(|one| one == key);
    if shape.list || has("check_type") || has("checkov_version") {
        Ok(ReportFormat::Checkov)
    } else if has("runs") {
        Ok(ReportFormat::Sarif)
    } else if has("scorecard") && has("checks") {
        Ok(ReportFormat::Scorecard)
    } else {
        let says = "it is JSON, but neither SARIF (`runs`), nor checkov's (`check_type`), nor that \
                    of OpenSSF Scorecard (`scorecard` and `checks`)";
        Err(ImportError::Refused(says.to_owned()))
    }
}

/// Takes the facts that somebody says a report had, by the name of their kind of evidence.
///
/// # Errors
/// [`ImportError::Refused`]: a kind that nobody can add, or facts that no report has.
pub fn accept_report(kind: &str, facts: Map<String, Value>) -> Result<Imported, ImportError> {
    let Some(kind) = ReportKind::ALL.into_iter().find(|one| one.kind() == kind) else {
        return Err(ImportError::Refused(not_by_hand(kind)));
    };
    let report = Report::from_facts(kind.format(), facts)?;
    if let Report::Findings(findings) = &report {
        kind::of_tool(&findings.tool, Some(kind))?;
    }
    report.check(kind)?;
    Ok(Imported { kind, report })
}

/// Why evidence of this kind cannot be added.
fn not_by_hand(kind: &str) -> String {
    let gates = Gates::shipped().ok();
    let how = gates.iter().flat_map(Gates::iter).find(|gate| gate.evidence == kind);
    match how.map(|gate| gate.how) {
        Some(How::Measured) => {
            format!(
                "`{kind}` is measured by Plimsoll itself and by nobody else: it cannot be added"
            )
        }
        Some(How::Declared) => format!(
            "`{kind}` is declared in the manifest or in a document of the plan, and Plimsoll reads \
             it there: it cannot be added"
        ),
        Some(How::Imported) | None => {
            let kinds = ReportKind::ALL.map(ReportKind::kind).join(", ");
            format!("there is no such kind of report; there are {kinds}")
        }
    }
}
