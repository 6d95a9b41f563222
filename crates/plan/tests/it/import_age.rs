//! The report's own time: how old it may say it is, and what it means for its gate.

use plimsoll_plan::{Date, ReportKind, read_report};
use serde_json::Value;

use crate::import::{NESTED, NEXTEST, NOW_MS, read};

/// A report of tests that says when it was made.
fn dated(time: &str) -> String {
    format!(r#"<testsuite timestamp="{time}"><testcase name="a"/></testsuite>"#)
}

#[test]
fn a_report_of_the_future_or_of_last_quarter_is_refused() {
    let today = Date::of_unix_ms(NOW_MS);
    let verdict = |time: &str| read(&dated(time)).evidence(NOW_MS).map(|_| ());
    assert_eq!(today.to_string(), "2026-11-29");
    for taken in ["2026-11-29T23:59:59", "2026-11-30T12:00:00", "2026-08-31T00:00:00Z"] {
        verdict(taken).unwrap_or_else(|error| panic!("{taken}: {error}"));
    }
    let future = verdict("2026-12-01T00:00:00Z").unwrap_err().to_string();
    assert!(future.contains("2026-12-01") && future.contains("today is 2026-11-29"), "{future}");
    let old = verdict("2026-08-30T00:00:00Z").unwrap_err().to_string();
    assert!(old.contains("91 days ago") && old.contains("make a new one"), "{old}");
}

#[test]
fn the_oldest_part_is_its_age() {
    let text = r#"<testsuites timestamp="2026-11-28T00:00:00Z">
        <testsuite timestamp="2026-11-20T00:00:00Z"/><testsuite timestamp=""/></testsuites>"#;
    assert_eq!(read(text).dated().unwrap().to_string(), "2026-11-20");
    assert_eq!(read(NEXTEST).dated().unwrap().to_string(), "2026-11-28");
    assert_eq!(read(NESTED).dated(), None);
}

#[test]
fn a_time_that_cannot_be_read_is_not_passed_over() {
    let error = read_report(dated("yesterday").as_bytes(), None).unwrap_err().to_string();
    assert!(error.contains("`yesterday`") && error.contains("line 1, column 1"), "{error}");
    let report = read_report(dated("2026-11-29").as_bytes(), Some(ReportKind::Tests)).unwrap();
    assert_eq!(report.evidence(NOW_MS).unwrap().facts["dated"], Value::from("2026-11-29"));
}
