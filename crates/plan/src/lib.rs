//! The 90 days: the plan in typed documents, the gates that are judged by dated evidence, and the
//! board that shows them.
//!
//! [`Gates`] are data (`gates.toml`); [`judge`] is a pure function of a gate, the evidence there
//! is, and the time. [`board`] reads the evidence from the ledger and judges every gate anew each
//! time it is asked.
//!
//! It never keeps a verdict, never takes a person's word for what can be measured, and never
//! measures anything itself: the capabilities bring the evidence.

mod board;
mod date;
pub mod documents;
mod error;
mod gates;
mod import;
mod judge;

pub use board::{
    Board, Judged, JudgedRisk, PlanFacts, Risk, RiskArea, Summary, Turn, WEEKS, board, history,
};
pub use date::Date;
pub use documents::DOCUMENTS;
pub use error::PlanError;
pub use gates::{Area, Condition, EvidenceShape, Gate, Gates};
pub use import::{
    ImportError, Imported, Place, REPORT_AGE_DAYS_MAX, REPORT_BYTES_MAX, REPORT_DEPTH_MAX,
    REPORT_ELEMENTS_MAX, REPORT_RULES_MAX, REPORT_TEXT_BYTES_MAX, REPORTS, ReportFormat,
    ReportKind, accept_report, read_report,
};
pub use judge::{Found, Light, Seen, Verdict, judge};

#[cfg(test)]
mod tests;
