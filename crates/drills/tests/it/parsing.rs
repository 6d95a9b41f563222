//! What is read, and where and how each fault is told.

use std::path::Path;

use plimsoll_drills::journey::{FILE_BYTES_MAX, STEPS_MAX, parse};
use proptest::prelude::*;

const EVERY_FORM: &str = include_str!("../../../../fuzz/seeds/journey_file/every-form");

fn faults(text: &str) -> Vec<(usize, usize, String)> {
    let Err(faults) = parse(text, Path::new("a.hurl")) else { panic!("no fault in:\n{text}") };
    let place = |fault: plimsoll_manifest::Fault| {
        let shown = fault.to_string();
        (fault.line.unwrap_or_default(), fault.column.unwrap_or_default(), shown)
    };
    faults.into_iter().map(place).collect()
}

/// The only fault, at that line and column, with these words in it.
#[track_caller]
fn fault(text: &str, line: usize, column: usize, words: &[&str]) {
    let found = faults(text);
    assert_eq!(found.len(), 1, "{found:?}\n{text}");
    assert_eq!((found[0].0, found[0].1), (line, column), "{}\n{text}", found[0].2);
    for word in words {
        assert!(found[0].2.contains(word), "`{word}` is not in {}", found[0].2);
    }
}

#[test]
fn every_form_of_the_subset_is_read() {
    let journey = parse(EVERY_FORM, Path::new("a.hurl")).unwrap_or_else(|f| panic!("{f:?}"));
    assert_eq!(journey.steps.len(), 1);
    let step = &journey.steps[0];
    assert_eq!((step.line, step.method.as_str(), step.url()), (2, "POST", "{{base}}/a?x=1"));
    let names: Vec<&str> = journey.names.iter().map(String::as_str).collect();
    assert_eq!(names, ["base", "n", "newUuid", "password", "user"]);
}

#[test]
fn answers_fields_and_sections_may_stand_apart_and_crlf_is_a_line_end() {
    let text = "\n# first\nGET {{base}}/a\r\n\r\n  X: y # why\n\n[Query]\na: b\n\nHTTP *\n\n\
                Content-Type: a/b\n\n[Asserts]\n\nstatus == 200\n\nGET {{base}}/b\nHTTP 200";
    let journey = parse(text, Path::new("a.hurl")).unwrap_or_else(|f| panic!("{f:?}"));
    let lines: Vec<usize> = journey.steps.iter().map(|step| step.line).collect();
    assert_eq!(lines, [3, 18]);
}

#[test]
fn a_name_in_capitals_before_a_colon_is_no_request() {
    let text = "GET {{base}}/a\nDNT : 1\n[Query]\nID : 7\n[Options]\n[Cookies]\nSID\t: b\n\
                HTTP 200\nETAG : x\n[Captures]\nID : jsonpath \"$.id\"\n\nGET {{base}}/{{ID}}\n";
    let journey = parse(text, Path::new("a.hurl")).unwrap_or_else(|f| panic!("{f:?}"));
    let lines: Vec<usize> = journey.steps.iter().map(|step| step.line).collect();
    assert_eq!(lines, [1, 13]);
}

#[test]
fn what_is_wrong_is_told_with_its_place_and_what_is_expected() {
    for (text, line, column, words) in [
        ("", 0, 0, &["there is no request", "GET {{base}}/feed"][..]),
        ("# only this\n", 0, 0, &["there is no request"]),
        ("get /a\n", 1, 1, &["`get /a` is no request", "a method in capitals"]),
        ("GET\n", 1, 1, &["is no request"]),
        ("GET \n", 1, 5, &["there is no URL"]),
        ("HTTP 200\n", 1, 1, &["an answer is expected before anything"]),
        ("GET a\nHTTP two\n", 2, 6, &["`two` is no status", "`*` for any"]),
        ("GET a\nHTTP/1.2 200\n", 2, 1, &["`HTTP/1.2` is no version"]),
        ("GET a\nX\n", 2, 2, &["`:` is missing behind `X`"]),
        ("GET a\n: b\n", 2, 1, &["starts with no name"]),
        ("GET {{a b}}\n", 1, 9, &["a filter inside `{{ }}`"]),
        ("GET {{}}\n", 1, 7, &["no name of a variable"]),
        ("GET {{a\n", 1, 8, &["not closed"]),
        ("GET a\\q\n", 1, 6, &["nothing is written so"]),
        ("GET a\n[Qury]\n", 2, 1, &["no section [Qury]", "did you mean `Query`?"]),
        ("GET a\n[Query]\n[Query]\n", 3, 1, &["[Query] is there already"]),
        ("GET a\n[Query]\n[QueryStringParams]\n", 3, 1, &["is there already"]),
        ("GET a\n[Asserts]\n", 2, 1, &["said of an answer", "HTTP 200"]),
        ("GET a\n[BasicAuth]\n", 2, 1, &["[BasicAuth] has one line"]),
        ("POST a\n[Form]\na: b\n`x`\n", 4, 1, &["a body beside [Form]"]),
        ("POST a\n{\"a\": 1,}\n", 2, 9, &["no JSON here", "a name in double quotes"]),
        ("POST a\n{\"a\" 1}\n", 2, 6, &["`:` and a value"]),
        ("POST a\n[01]\n", 2, 2, &["`01` is no number"]),
        ("POST a\n{\"a\": \"\\x\"}\n", 2, 8, &["no such escape"]),
        ("POST a\n{\"a\": \"b\n", 2, 7, &["this string is not closed"]),
        ("POST a\n{} x\n", 2, 4, &["`x` is too much on this line"]),
        ("POST a\n```\nabc", 2, 1, &["this text is not closed"]),
        ("GET a\nHTTP 200\n[Asserts]\nbody > true\n", 4, 8, &["not said of this", "a number"]),
        ("GET a\nHTTP 200\n[Asserts]\nbody startsWith {{a}}\n", 4, 17, &["a text in quotes"]),
        ("GET a\n[Options]\nvariable: n=007\n", 3, 13, &["`007` is no value", "in quotes"]),
        ("GET a\n[Options]\nvariable: n=1e3\n", 3, 13, &["`1e3` is no value"]),
        ("GET a\n[Options]\nvariable: n=-1{{b}}\n", 3, 13, &["is no value"]),
        ("GET a\n[Options]\nvariable: n=trueish\n", 3, 13, &["`trueish` is no value"]),
        ("GET a\nHTTP 200\n[Asserts]\nstatus == 0200\n", 4, 11, &["`0200` is no value"]),
        ("GET a\nHTTP 200\n[Query]\na: b\n", 3, 1, &["no section [Query] here"]),
        ("GET a\nHTTP 200\n[Captures]\n1a: status\n", 4, 1, &["cannot be a variable"]),
        ("GET a\nHTTP 200\n[Captures]\na status\n", 4, 3, &["`:` is missing"]),
        ("GET a\nHTTP 200\n[Asserts]\nstatus\n", 4, 7, &["nothing that has to hold"]),
        ("GET a\nHTTP 200\n[Asserts]\nstats == 1\n", 4, 1, &["did you mean `status`?"]),
        ("GET a\nHTTP 200\n[Asserts]\nstatus = 1\n", 4, 8, &["neither a filter nor"]),
        ("GET a\nHTTP 200\n[Asserts]\nstatus == x\n", 4, 11, &["`x` is no value"]),
        ("GET a\nHTTP 200\n[Asserts]\nbody contain \"a\"\n", 4, 6, &["mean `contains`?"]),
        ("GET a\nHTTP 200\n[Asserts]\nbody matches /(/\n", 4, 14, &["no regular expression"]),
        ("GET a\nHTTP 200\n[Asserts]\nbody matches /a\n", 4, 14, &["pattern is not closed"]),
        ("GET a\nHTTP 200\n[Asserts]\nbody == \"a\n", 4, 9, &["text is not closed"]),
        ("GET a\nHTTP 200\n[Asserts]\njsonpath \"a\" exists\n", 4, 10, &["start with `$`"]),
        ("GET a\n[Options]\nretry: 101\n", 3, 8, &["0 to 100"]),
        ("GET a\n[Options]\nretry: -1\n", 3, 8, &["without an end"]),
        ("GET a\n[Options]\ndelay: 2h\n", 3, 8, &["1ms to 60s"]),
        ("GET a\n[Options]\nskip: yes\n", 3, 7, &["`true` or `false`"]),
        ("GET a\n[Options]\nretries: 1\n", 3, 1, &["did you mean `retry`?"]),
        ("GET a\n[Options]\nvariable: a\n", 3, 11, &["sets no variable"]),
    ] {
        fault(text, line, column, words);
    }
}

#[test]
fn what_is_hurls_and_not_ours_is_refused_by_name() {
    for (text, what) in [
        ("POST a\n[Multipart]\na: b\n", "[Multipart]"),
        ("POST a\n<a/>\n", "a body of XML"),
        ("POST a\nbase64,AAAA;\n", "a body of base64"),
        ("POST a\nhex,ff;\n", "a body of hex"),
        ("POST a\nfile,a.bin;\n", "a body of a file"),
        ("POST a\n```graphql\nquery\n```\n", "a text of kind `graphql`"),
        ("GET a\n[Options]\nlocation: true\n", "following redirects"),
        ("GET a\n[Options]\ninsecure: true\n", "the option `insecure`"),
        ("GET a\n[Options]\nhttp2: true\n", "the option `http2`"),
        ("GET a\n[Options]\nretry: {{n}}\n", "a variable in an option"),
        ("GET a\nHTTP 200\n{\"a\": 1}\n", "a whole body that is expected"),
        ("GET a\nHTTP 200\n```\na\n```\n", "a whole body that is expected"),
        ("GET a\nHTTP 200\n[Asserts]\nxpath \"//a\" exists\n", "`xpath`"),
        ("GET a\nHTTP 200\n[Asserts]\nsha256 == hex,ff;\n", "`sha256`"),
        ("GET a\nHTTP 200\n[Asserts]\nbytes startsWith hex,ff;\n", "a value of `hex,…;`"),
        ("GET a\nHTTP 200\n[Asserts]\nbody htmlEscape == \"\"\n", "the filter `htmlEscape`"),
        ("GET a\nHTTP 200\n[Asserts]\nbody isUuid\n", "`isUuid`"),
        ("GET a\nHTTP 200\n[Asserts]\ncookie \"a[Path]\" exists\n", "an attribute of a cookie"),
        (
            "GET a\nHTTP 200\n[Asserts]\njsonpath \"$..a\" exists\n",
            "a search at every depth (`..`)",
        ),
        (
            "GET a\nHTTP 200\n[Asserts]\njsonpath \"$[?(@.a)]\" exists\n",
            "a filter in a JSONPath (`[?`)",
        ),
        ("GET a\nHTTP 200\n[Asserts]\njsonpath \"$.{{a}}\" exists\n", "a variable in a JSONPath"),
        ("GET a\nHTTP 200\n[Asserts]\nbody matches \"{{a}}\"\n", "a variable in a pattern"),
    ] {
        let found = faults(text);
        assert_eq!(found.len(), 1, "{found:?}\n{text}");
        let said = format!("{what} is Hurl's, but not of the subset");
        assert!(found[0].2.contains(&said), "{}\n{text}", found[0].2);
    }
}

#[test]
fn after_a_fault_reading_goes_on_with_the_next_request() {
    let text = "GET a\nHTTP 2\nX: y\nGET b\nHTTP 200\nGET c\n[Nothing]\na: b\n";
    let lines: Vec<usize> = faults(text).into_iter().map(|(line, ..)| line).collect();
    assert_eq!(lines, [2, 7]);
}

#[test]
fn every_bound_holds() {
    let at = |text: &str| faults(text).pop().unwrap().2;
    assert!(at(&"#".repeat(FILE_BYTES_MAX + 1)).contains("larger than 256 KiB"));
    assert!(at(&"GET a\n".repeat(STEPS_MAX + 1)).contains("more than 200 requests"));
    assert!(parse(&"GET a\n".repeat(STEPS_MAX), Path::new("a")).is_ok());
    let fields = format!("GET a\n{}", "X: y\n".repeat(201));
    assert!(at(&fields).contains("more than 200 lines"));
    let asserts = format!("GET a\nHTTP 200\n[Asserts]\n{}", "status == 1\n".repeat(201));
    assert!(at(&asserts).contains("more than 200 lines"));
    let deep = format!("POST a\n{}1{}\n", "[".repeat(70), "]".repeat(70));
    assert!(at(&deep).contains("more than 64 deep"));
    assert_eq!(faults(&"get a\nGET b\nHTTP x\n".repeat(40)).len(), 20);
}

proptest! {
    /// Whatever is cut off, changed or put in: the reader ends, and tells each fault at a line
    /// that is there.
    #[test]
    fn no_text_breaks_the_reader(at in 0_usize..700, cut in 0_usize..20, put in "[\\PC\\n]{0,6}") {
        let mut text: Vec<char> = EVERY_FORM.chars().collect();
        let from = at.min(text.len());
        let to = (from + cut).min(text.len());
        text.splice(from..to, put.chars());
        let text: String = text.into_iter().collect();
        if let Err(faults) = parse(&text, Path::new("a.hurl")) {
            let lines = text.split('\n').count();
            prop_assert!(!faults.is_empty());
            for fault in faults {
                prop_assert!(fault.line.is_none_or(|line| (1..=lines).contains(&line)), "{fault}");
                prop_assert!(!fault.to_string().contains('\n'), "{fault}");
            }
        }
    }
}
