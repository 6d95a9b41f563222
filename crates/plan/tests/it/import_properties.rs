//! Whatever bytes come: an answer, never a panic, and no count without something that was counted.

use plimsoll_plan::{Imported, ReportKind, read_report};
use proptest::prelude::*;
use serde_json::Value;

use crate::import::ALL;

fn sum(report: &Imported, names: &[&str]) -> u64 {
    let facts = report.facts().unwrap();
    names.iter().map(|name| facts.get(*name).and_then(Value::as_u64).unwrap_or(0)).sum()
}

/// How many results, cases or checks a text could have at most: each begins with one of these.
fn elements(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.iter().filter(|byte| matches!(byte, b'{' | b'<')).count()).unwrap()
}

fn judged(bytes: &[u8]) -> Result<(), TestCaseError> {
    for wanted in [None, Some(ReportKind::Dast), Some(ReportKind::SmokeTests)] {
        let Ok(report) = read_report(bytes, wanted) else { continue };
        let counted = ["errors", "warnings", "notes", "suppressed", "tool_errors"];
        let counted = match report.kind {
            ReportKind::Tests | ReportKind::SmokeTests => sum(&report, &["tests"]),
            ReportKind::Infrastructure => sum(&report, &["passed", "failed", "skipped"]),
            ReportKind::Scorecard => sum(&report, &["checks"]),
            _ => sum(&report, &counted),
        };
        prop_assert!(counted <= elements(bytes), "{counted}: {}", report.says());
        prop_assert!(report.says().len() <= 256);
        if let Some(wanted) = wanted {
            prop_assert_eq!(report.kind, wanted);
        }
    }
    Ok(())
}

/// A sample with pieces of it replaced, moved or doubled.
fn bent() -> impl Strategy<Value = Vec<u8>> {
    let cut = (any::<prop::sample::Index>(), any::<prop::sample::Index>());
    let change = (cut, prop::collection::vec(any::<u8>(), 0..4), any::<bool>());
    let changes = prop::collection::vec(change, 0..4);
    (prop::sample::select(ALL.to_vec()), changes).prop_map(|(text, changes)| {
        let mut bytes = text.as_bytes().to_vec();
        for ((from, to), put, double) in changes {
            let (from, to) = (from.index(bytes.len() + 1), to.index(bytes.len() + 1));
            let range = from.min(to)..from.max(to).min(from.min(to) + 200);
            let piece = if double { bytes[range.clone()].repeat(2) } else { put };
            bytes.splice(range, piece);
            bytes.push(b' ');
        }
        bytes
    })
}

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(2_000))]

    #[test]
    fn arbitrary_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        judged(&bytes)?;
    }

    #[test]
    fn arbitrary_text(text in "[<{\\[]?[ -~\\n]{0,200}") {
        judged(text.as_bytes())?;
    }

    #[test]
    fn samples_that_were_bent(bytes in bent()) {
        judged(&bytes)?;
    }
}

proptest! {
    #![proptest_config(cases(200))]

    /// Suites within suites, counted again by hand.
    #[test]
    fn cases_are_counted_however_they_are_nested(
        ends in prop::collection::vec(0..4_usize, 0..40),
        depth in 1..20_usize,
    ) {
        let marks = ["", "<failure/>", "<error/>", "<skipped/>"];
        let mut text = "<testsuite>".repeat(depth);
        for (n, end) in ends.iter().enumerate() {
            if n % 3 == 2 {
                text.push_str("<testsuite>");
            }
            text.push_str(&format!("<testcase>{}</testcase>", marks[*end]));
            if n % 3 == 2 {
                text.push_str("</testsuite>");
            }
        }
        text.push_str(&"</testsuite>".repeat(depth));
        let report = read_report(text.as_bytes(), None).unwrap();
        let number = |count: usize| u64::try_from(count).unwrap();
        let count = |end: usize| number(ends.iter().filter(|one| **one == end).count());
        prop_assert_eq!(sum(&report, &["tests"]), number(ends.len()));
        for (name, end) in [("failures", 1), ("errors", 2), ("skipped", 3)] {
            prop_assert_eq!(sum(&report, &[name]), count(end), "{}", name);
        }
    }
}
