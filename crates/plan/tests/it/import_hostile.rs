//! Reports that are wrong, or mean harm: each is refused in a sentence that says where and why.

use std::fmt::Write as _;

use plimsoll_plan::{REPORT_BYTES_MAX, read_report};

use crate::import::{CHECKOV, NEXTEST, SCORECARD, SEMGREP};

#[track_caller]
fn refused(bytes: &[u8], words: &[&str]) {
    let error = read_report(bytes, None).unwrap_err().to_string();
    for word in words {
        assert!(error.contains(word), "{word}: {error}");
    }
    assert!(error.len() < 700 && !error.contains('\u{1b}'), "{error}");
}

fn run(results: &str) -> String {
    format!(
        r#"{{"version": "2.1.0", "runs": [{{"tool": {{"driver": {{"name": "ruff"}}}}, "results": {results}}}]}}"#
    )
}

#[test]
fn what_is_no_report_at_all() {
    refused(b"", &["empty"]);
    refused(b" \n\t", &["empty"]);
    refused(b"\xef\xbb\xbf", &["empty"]);
    refused(b"results: 3", &["neither JSON nor XML", "SARIF 2.1.0", "JUnit XML"]);
    refused(b"{}", &["neither SARIF", "`runs`", "`check_type`", "`scorecard`"]);
    refused(b"{\"a\": 1} {}", &["line 1, column 10", "trailing characters"]);
    refused(b"\x1f\x8b\x08\x00", &["gzip"]);
    refused(b"{\"runs\": \"\xff\"}", &["line 1, column 11", "no UTF-8"]);
    refused(b"<html><body/></html>", &["line 1, column 1", "<testsuite>", "<html>"]);
}

#[test]
fn utf16_is_named() {
    for text in [SEMGREP, NEXTEST] {
        let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        for bytes in [&little, &big, &[&[0xff, 0xfe][..], &little].concat()] {
            refused(bytes, &["UTF-16", "UTF-8"]);
        }
    }
    let marked = ["\u{feff}", NEXTEST].concat();
    assert!(read_report(marked.as_bytes(), None).is_ok(), "a mark before UTF-8 is harmless");
}

#[test]
fn more_than_is_read() {
    refused(&vec![b' '; REPORT_BYTES_MAX + 1], &["more than 32 MiB"]);
    let long = run(&format!(r#"[{{"message": {{"text": "{}"}}}}]"#, "x".repeat(1_048_577)));
    refused(long.as_bytes(), &["/runs/0/results/0/message/text", "longer than 1024 KiB"]);
    let many = format!("[{}1]", "1,".repeat(4_000_000));
    refused(many.as_bytes(), &["more than 4000000 values"]);
    let many = format!("<testsuite>{}</testsuite>", "<a/>".repeat(4_000_000));
    refused(many.as_bytes(), &["more than 4000000 elements"]);
    let mut element = String::from("<testsuite");
    for n in 0..65 {
        write!(element, " a{n}=''").unwrap();
    }
    refused(format!("{element}/>").as_bytes(), &["more than 64 attributes"]);
}

#[test]
fn a_hundred_thousand_inside_each_other() {
    for open in ["[", "{\"a\":"] {
        refused(open.repeat(100_000).as_bytes(), &["more than 64 lists and objects"]);
    }
    let hidden = run(&format!(r#"[{{"properties": {}{}}}]"#, "[".repeat(99), "]".repeat(99)));
    refused(hidden.as_bytes(), &["more than 64", "line 1"]);
    let deep = format!("<testsuite>{}", "<a>".repeat(100_000));
    refused(deep.as_bytes(), &["more than 64 elements inside each other"]);
}

#[test]
fn keys_and_attributes_that_stand_twice() {
    let twice = run(r#"[{"level": "error", "level": "none"}]"#);
    refused(twice.as_bytes(), &["/runs/0/results/0", "`level` stands there twice"]);
    // Where nobody looks, too: two readers of it could see two reports.
    let hidden = run(r#"[{"properties": {"a~/b": {"x": 1, "\u0078": 2}}}]"#);
    refused(hidden.as_bytes(), &["/properties/a~0~1b", "`x` stands there twice"]);
    refused(b"{\"runs\": [], \"runs\": []}", &["on top", "`runs`"]);
    refused(b"<testsuite tests='1' tests='0'/>", &["`tests` stands there twice"]);
}

#[test]
fn a_report_that_breaks_off() {
    for text in [SEMGREP, CHECKOV, SCORECARD] {
        for part in [text.len() / 3, text.len() / 2, text.trim_end().len() - 1] {
            refused(&text.as_bytes()[..part], &["breaks off here", "line"]);
        }
    }
    let cut = NEXTEST.find("</testsuites>").unwrap();
    refused(&NEXTEST.as_bytes()[..cut], &["breaks off here", "line 17"]);
    refused(b"<testsuite><testcase name='a'", &["no XML"]);
    refused(b"<testsuite></testcase></testsuite>", &["no XML"]);
}

#[test]
fn a_billion_laughs() {
    let mut bomb = String::from("<?xml version=\"1.0\"?>\n<!DOCTYPE lolz [<!ENTITY lol \"lol\">");
    for n in 1..10 {
        write!(bomb, "<!ENTITY lol{n} \"{}\">", format!("&lol{};", n - 1).repeat(10)).unwrap();
    }
    bomb.push_str("]>\n<testsuite name=\"&lol9;\">&lol9;</testsuite>");
    refused(bomb.as_bytes(), &["line 2", "document type", "<!DOCTYPE"]);
    let outside = "<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><testsuite/>";
    refused(outside.as_bytes(), &["document type"]);
    refused(b"<testsuite>&xxe;</testsuite>", &["`&xxe;` is not known"]);
    refused(b"<testsuite name='&xxe;'/>", &["`&xxe;` is not known"]);
    refused(b"<testsuite name='a & b'/>", &["`&` stands alone"]);
    refused(b"<testsuite/><testsuite/>", &["a second element"]);
    refused(b"<testsuite/>tail", &["text outside"]);
    refused(b"<!-- nothing -->", &["no element"]);
    let latin = "<?xml version='1.0' encoding='ISO-8859-1'?><testsuite/>";
    refused(latin.as_bytes(), &["`ISO-8859-1`", "UTF-8"]);
}

#[test]
fn sarif_of_another_shape() {
    refused(br#"{"version": "2.0.0", "runs": []}"#, &["/version", "`2.1.0`", "`2.0.0`"]);
    refused(br#"{"runs": []}"#, &["/version", "found none"]);
    refused(br#"{"version": 2.1, "runs": []}"#, &["line 1, column", "2.1", "a string"]);
    refused(br#"{"version": "2.1.0", "runs": []}"#, &["/runs", "no run"]);
    refused(br#"{"version": "2.1.0", "runs": null}"#, &["/runs", "no run"]);
    refused(br#"{"version": "2.1.0", "runs": [{}]}"#, &["missing field `tool`"]);
    refused(run("null").as_bytes(), &["/runs/0", "did not look"]);
    refused(run("{}").as_bytes(), &["expected a list of results"]);
    refused(run(r#"[{"level": "critical"}]"#).as_bytes(), &["critical", "`warning`", "line 1"]);
    refused(run(r#"[{"ruleIndex": 0}]"#).as_bytes(), &["/runs/0", "rule 0", "there are 0"]);
    let beyond = run(r#"[{"rule": {"toolComponent": {"index": 7}}}]"#);
    refused(beyond.as_bytes(), &["extension 7", "the tool has 0"]);
    let nameless = run("[]").replace("ruff", " ");
    refused(nameless.as_bytes(), &["/runs/0/tool/driver/name"]);
    let elsewhere = r#""externalPropertyFileReferences": {"results": [{}]}, "results""#;
    refused(run("[]").replace("\"results\"", elsewhere).as_bytes(), &["in another file"]);
}

#[test]
fn sarif_of_a_run_that_failed() {
    let failed = SEMGREP.replace("\"executionSuccessful\": true", "\"executionSuccessful\": false");
    refused(failed.as_bytes(), &["/runs/0/invocations/0/executionSuccessful", "failed"]);
    let changed = SEMGREP.replace(
        "\"executionSuccessful\": true",
        r#""ruleConfigurationOverrides": [{"configuration": {"level": "none"}}]"#,
    );
    refused(changed.as_bytes(), &["/runs/0/invocations", "`level` with each result"]);
}

#[test]
fn junit_whose_claims_do_not_agree() {
    let suite = |claims: &str| {
        let cases = "<testcase/><testcase><failure/></testcase><testcase><skipped/></testcase>";
        format!("<testsuites><testsuite {claims}>{cases}</testsuite></testsuites>")
    };
    let fine = ["", "tests='3' failures='1' skipped='1'", "tests='3' skipped='0'"];
    for claims in fine {
        read_report(suite(claims).as_bytes(), None).unwrap_or_else(|e| panic!("{claims}: {e}"));
    }
    for (claims, words) in [
        ("tests='4'", "says 4 `tests`, and 3 are listed"),
        ("tests='2'", "says 2 `tests`, and 3 are listed"),
        ("failures='0'", "says 0 `failures`, and 1 are listed"),
        ("errors='1'", "says 1 `errors`, and 0 are listed"),
        ("tests='-3'", "`tests` is `-3`"),
        ("tests='three'", "`tests` is `three`"),
        ("tests='18446744073709551616'", "a count is expected"),
    ] {
        refused(suite(claims).as_bytes(), &[words, "line 1"]);
    }
    let hidden = "<testsuite><properties><testcase/></properties></testsuite>";
    refused(hidden.as_bytes(), &["inside of what is no suite"]);
    refused(b"<testsuite><failure/></testsuite>", &["of no <testcase>"]);
    refused(b"<testcase/>", &["<testsuite> is expected"]);
}

#[test]
fn checkov_and_scorecard_of_another_shape() {
    let quiet = CHECKOV.replace("\"passed_checks\"", "\"other\"");
    refused(quiet.as_bytes(), &["/0/results/passed_checks", "--quiet"]);
    let changed = CHECKOV.replace("\"failed\": 3", "\"failed\": 0");
    refused(changed.as_bytes(), &["/0/summary/failed", "says 0, and 3 are listed"]);
    refused(CHECKOV.replace("\"passed\": 2", "\"passed\": -2").as_bytes(), &["-2", "u64"]);
    refused(b"[]", &["looked at nothing"]);
    refused(b"[1]", &["line 1, column", "integer `1`"]);
    refused(br#"{"check_type": "terraform"}"#, &["`results` and `summary`"]);
    refused(br#"{"checkov_version": "3", "passed": 9, "failed": 0, "skipped": 0}"#, &["zeros"]);
    refused(SCORECARD.replace("7.3", "-1").as_bytes(), &["/score", "-1"]);
    refused(SCORECARD.replace("7.3", "10.1").as_bytes(), &["/score", "0 to 10"]);
    refused(SCORECARD.replace("\"score\": 4", "\"score\": 11").as_bytes(), &["/checks/1/score"]);
    refused(SCORECARD.replace("2026-11-28T10", "28.11.").as_bytes(), &["/date", "2026-11-30T"]);
    let empty = br#"{"scorecard": {}, "score": 10, "checks": []}"#;
    refused(empty, &["/checks", "1 to 500"]);
}

#[test]
fn what_is_shown_cannot_reach_the_terminal() {
    refused(run("[{\"level\": \"\\u001b[2J\"}]").as_bytes(), &["?[2J"]);
    refused(b"<\x1b[2J/>", &["line 1"]);
    let long = run(&format!(r#"[{{"level": "{}"}}]"#, "x".repeat(100_000)));
    refused(long.as_bytes(), &["line 1"]);
}
