//! Reports as their tools write them: what is counted, what is left out, and what is never kept.

use plimsoll_plan::{Imported, ReportKind, accept_report, read_report};
use serde_json::{Map, Value, json};

pub(crate) const SEMGREP: &str = include_str!("../samples/semgrep.sarif");
pub(crate) const EXTENSIONS: &str = include_str!("../samples/extensions.sarif");
pub(crate) const NEXTEST: &str = include_str!("../samples/nextest.xml");
pub(crate) const PYTEST: &str = include_str!("../samples/pytest.xml");
pub(crate) const NESTED: &str = include_str!("../samples/nested.xml");
pub(crate) const CHECKOV: &str = include_str!("../samples/checkov.json");
pub(crate) const SCORECARD: &str = include_str!("../samples/scorecard.json");
pub(crate) const ALL: [&str; 7] =
    [SEMGREP, EXTENSIONS, NEXTEST, PYTEST, NESTED, CHECKOV, SCORECARD];

/// 2026-11-29T12:00:00Z.
pub(crate) const NOW_MS: u64 = 1_795_953_600_000;

#[track_caller]
pub(crate) fn read(text: &str) -> Imported {
    read_report(text.as_bytes(), None).unwrap()
}

/// Without the hash, which is looked at by itself.
#[track_caller]
pub(crate) fn facts(report: &Imported) -> Value {
    let mut facts = report.facts().unwrap();
    let hash = facts.remove("sha256").unwrap();
    assert_eq!(hash.as_str().unwrap().len(), 64);
    facts.into()
}

#[test]
fn sarif_is_counted_by_the_level_in_force() {
    let report = read(SEMGREP);
    assert_eq!(report.kind, ReportKind::Sast);
    assert_eq!(
        facts(&report),
        json!({
            "tool": "Semgrep OSS", "version": "1.185.0", "results": 6, "errors": 3, "warnings": 2,
            "notes": 1, "suppressed": 1, "tool_errors": 1, "worst_rule": "no-eval",
        })
    );
    assert_eq!(
        report.says(),
        "Semgrep OSS 1.185.0: 3 errors, 2 warnings, 1 note; 1 suppressed; 1 error of the tool itself."
    );
}

#[test]
fn rules_of_extensions_names_within_names_and_several_runs_are_followed() {
    let report = read_report(EXTENSIONS.as_bytes(), Some(ReportKind::Sast)).unwrap();
    assert_eq!(
        facts(&report),
        json!({
            "tool": "CodeQL, ruff", "version": "2.20.0, 0.17.5", "results": 7, "errors": 3,
            "warnings": 2, "notes": 2, "suppressed": 0, "tool_errors": 0, "worst_rule": "js/b",
            "dated": "2026-11-26",
        })
    );
}

#[test]
fn junit_is_counted_from_its_cases() {
    let report = read(NEXTEST);
    assert_eq!(report.kind, ReportKind::Tests);
    let wanted =
        json!({ "tests": 4, "failures": 1, "errors": 0, "skipped": 0, "dated": "2026-11-28" });
    assert_eq!(facts(&report), wanted);
    assert_eq!(report.says(), "4 tests: 1 failed, 0 broke off, 0 skipped.");
    // Listed twice, claimed once: as pytest does where a test fails and its tear-down breaks off.
    let wanted =
        json!({ "tests": 4, "failures": 1, "errors": 1, "skipped": 1, "dated": "2026-11-29" });
    assert_eq!(facts(&read(PYTEST)), wanted, "23:30 two hours behind is the next day in UTC");
    let wanted = json!({ "tests": 4, "failures": 1, "errors": 1, "skipped": 1 });
    assert_eq!(facts(&read(NESTED)), wanted);
}

#[test]
fn checkov_and_scorecard_are_counted() {
    let report = read(CHECKOV);
    assert_eq!(report.kind, ReportKind::Infrastructure);
    assert_eq!(
        facts(&report),
        json!({
            "tool": "checkov", "version": "3.3.30", "passed": 3, "failed": 3, "skipped": 1,
            "unread": 1, "worst_rule": "CKV_AWS_20",
        })
    );
    assert_eq!(
        report.says(),
        "checkov 3.3.30: 3 checks passed, 3 failed, 1 skipped; 1 file not read."
    );
    let alone = r#"{"passed": 0, "failed": 0, "skipped": 0, "checkov_version": "3.3.30"}"#;
    assert_eq!(facts(&read(alone))["passed"], 0);
    let report = read(SCORECARD);
    assert_eq!(report.kind, ReportKind::Scorecard);
    assert_eq!(
        facts(&report),
        json!({
            "score_tenths": 73, "checks": 5, "low": 2, "inconclusive": 1, "version": "v5.3.0",
            "commit": "4ad1ff2a5d7c9be0f1a2b3c4d5e6f708192a3b4c", "dated": "2026-11-28",
        })
    );
    assert_eq!(
        report.says(),
        "7.3 of 10 points at 4ad1ff2; 2 of 5 checks below 5, 1 without a result."
    );
}

#[test]
fn the_kind_is_narrowed_and_never_bent() {
    let smoke = read_report(NEXTEST.as_bytes(), Some(ReportKind::SmokeTests)).unwrap();
    assert_eq!(smoke.kind.kind(), "report.smoke-tests");
    let bent = [
        (NEXTEST, ReportKind::Sast, "`sast` is read from SARIF 2.1.0; this is JUnit XML"),
        (SEMGREP, ReportKind::Tests, "`tests` is read from JUnit XML; this is SARIF 2.1.0"),
        (SEMGREP, ReportKind::Dast, "`Semgrep OSS` makes no report of `dast`"),
        (CHECKOV, ReportKind::Scorecard, "this is checkov's JSON"),
    ];
    for (text, kind, words) in bent {
        let error = read_report(text.as_bytes(), Some(kind)).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
    let unknown = SEMGREP.replace("Semgrep OSS", "Our Scanner");
    let error = read_report(unknown.as_bytes(), None).unwrap_err().to_string();
    assert!(error.contains("`Our Scanner`") && error.contains("--as dast"), "{error}");
    let told = read_report(unknown.as_bytes(), Some(ReportKind::Dast)).unwrap();
    assert_eq!(told.kind, ReportKind::Dast);
}

#[test]
fn no_path_no_message_and_no_person_is_kept() {
    for text in ALL {
        let report = read(text);
        let evidence = report.evidence(NOW_MS).unwrap();
        let kept = Value::from(evidence.facts).to_string();
        for part in ["alice", ".py", ".tf", "home", "orders", "hostname", "example", "pinned"] {
            assert!(!kept.contains(part), "{part}: {kept}");
        }
    }
}

#[test]
fn what_is_sent_is_taken_as_it_was_read() {
    for text in ALL {
        let report = read(text);
        let sent = report.facts().unwrap();
        assert!(!sent.contains_key("says"), "made where it is written down");
        let taken = accept_report(report.kind.kind(), sent).unwrap();
        assert_eq!(taken, report);
        let evidence = taken.evidence(NOW_MS).unwrap();
        assert_eq!(evidence.facts["says"], report.says());
        assert!(report.says().len() <= 256);
    }
}

fn changed(text: &str, name: &str, value: Value) -> Map<String, Value> {
    let mut facts = read(text).facts().unwrap();
    facts.insert(name.to_owned(), value);
    facts
}

#[test]
fn facts_that_no_report_has_are_refused() {
    let long = "x".repeat(65);
    let wrong = [
        ("report.sast", changed(SEMGREP, "errors", json!(2)), "`errors`, `warnings` and `notes`"),
        ("report.sast", changed(SEMGREP, "errors", json!(-1)), "-1"),
        ("report.sast", changed(SEMGREP, "errors", json!(0.5)), "0.5"),
        ("report.sast", changed(SEMGREP, "says", json!("all is well")), "says"),
        ("report.sast", changed(SEMGREP, "tool", json!(long)), "`tool`"),
        ("report.sast", changed(SEMGREP, "tool", json!("a\nb")), "`tool`"),
        ("report.sast", changed(SEMGREP, "sha256", json!("abc")), "64 digits"),
        ("report.sast", changed(SEMGREP, "dated", json!("soon")), "`dated`"),
        ("report.sast", changed(SEMGREP, "suppressed", json!(u64::MAX)), "more than"),
        ("report.dast", changed(SEMGREP, "errors", json!(3)), "no report of `dast`"),
        ("report.tests", changed(SEMGREP, "errors", json!(3)), "unknown field"),
        ("report.tests", changed(NEXTEST, "failures", json!(5)), "together are more than `tests`"),
        ("report.tests", changed(NEXTEST, "tests", json!(u64::MAX)), "more than"),
        ("report.tests", Map::new(), "missing field"),
        ("report.infrastructure", changed(CHECKOV, "passed", json!(u64::MAX)), "more than"),
        ("report.scorecard", changed(SCORECARD, "score_tenths", json!(101)), "more than 100"),
        (
            "report.scorecard",
            changed(SCORECARD, "low", json!(5)),
            "together are more than `checks`",
        ),
        ("report.scorecard", changed(SCORECARD, "commit", json!("main")), "hash of a commit"),
    ];
    for (kind, facts, words) in wrong {
        let error = accept_report(kind, facts).unwrap_err().to_string();
        assert!(error.contains(words), "{words}: {error}");
    }
}

#[test]
fn what_is_measured_or_declared_cannot_be_added() {
    let facts = read(NEXTEST).facts().unwrap();
    let error = accept_report("edge.authentication", facts.clone()).unwrap_err().to_string();
    assert!(error.contains("measured by Plimsoll itself"), "{error}");
    for unknown in ["", "report.", "report.everything", "nothing"] {
        let error = accept_report(unknown, facts.clone()).unwrap_err().to_string();
        assert!(error.contains("no such kind") && error.contains("report.sast"), "{error}");
    }
}
