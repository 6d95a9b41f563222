//! Parsers: `plimsoll_plan::read_report` (SARIF, JUnit XML, checkov's and Scorecard's JSON) and
//! `accept_report`. Input: the file. What is read must also be taken, and counts nothing that is
//! not there.

use plimsoll_plan::{ReportKind, accept_report, read_report};
use serde_json::Value;

/// Feeds the parsers.
pub fn run(data: &[u8]) {
    for wanted in [None, Some(ReportKind::Dast), Some(ReportKind::ContractTests)] {
        let report = match read_report(data, wanted) {
            Ok(report) => report,
            Err(error) => {
                let said = error.to_string();
                assert!(!said.is_empty() && said.len() < 1_000, "{said}");
                assert!(!said.contains(|one: char| one.is_control()), "{said:?}");
                continue;
            }
        };
        let facts = report.facts().expect("facts cannot be written");
        let count = |name: &str| facts.get(name).and_then(Value::as_u64).unwrap_or(0);
        let begun = data.iter().filter(|byte| matches!(byte, b'{' | b'<')).count() as u64;
        for names in [&["tests"][..], &["results", "suppressed"], &["passed", "failed", "skipped"]]
        {
            assert!(
                names.iter().map(|name| count(name)).sum::<u64>() <= begun,
                "{}",
                report.says()
            );
        }
        assert!(count("failures") + count("errors") + count("skipped") <= begun);
        assert!(report.says().len() <= 256, "{}", report.says());
        let taken = accept_report(report.kind.kind(), facts).expect("what was read is not taken");
        assert_eq!(taken, report);
    }
}
