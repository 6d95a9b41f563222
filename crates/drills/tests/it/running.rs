//! What is sent, what is held against the answers, and what is said of it.

use plimsoll_drills::journey::{Runner, RunnerOptions, Word};
use plimsoll_outbound::{Outbound, OutboundOptions};

use crate::origin::{Origin, json, run, run_on};

#[test]
fn values_and_cookies_go_from_step_to_step() {
    let created = json("201 Created", "Set-Cookie: sid=abc; Path=/; HttpOnly\r\n", r#"{"id": 7}"#);
    let origin = Origin::answering(&[&created, &json("200 OK", "", r#"{"state": "paid"}"#)]);
    let text = "POST {{base}}/orders\nIdempotency-Key: {{key}}\n[Options]\nvariable: \
                key={{newUuid}}\n{ \"sku\": \"{{sku}}\" }\nHTTP 201\n[Captures]\nid: jsonpath \
                \"$.id\"\nsid: cookie \"sid\"\n[Asserts]\nheader \"Set-Cookie\" contains \
                \"HttpOnly\"\n\nGET {{base}}/orders/{{id}}\n[Query]\nkey: {{key}}\nHTTP 200\n\
                [Asserts]\njsonpath \"$.state\" == \"paid\"\nvariable \"id\" == 7\n";
    let ran = run(&origin, text, &["sku=tea \"green\""], &[]);
    assert!(ran.passed(), "{:?}", ran.lines());
    let seen = origin.seen();
    assert!(seen[0].starts_with("POST /orders HTTP/1.1\r\n"), "{}", seen[0]);
    let key = "00000000-0000-4000-8000-000000000001";
    assert!(seen[0].contains(&format!("idempotency-key: {key}\r\n")), "{}", seen[0]);
    assert!(seen[0].contains("content-type: application/json\r\n"), "{}", seen[0]);
    assert!(seen[0].ends_with(r#"{ "sku": "tea \"green\"" }"#), "{}", seen[0]);
    assert!(seen[1].starts_with(&format!("GET /orders/7?key={key} HTTP/1.1\r\n")), "{}", seen[1]);
    assert!(seen[1].contains("cookie: sid=abc\r\n"), "{}", seen[1]);
    let captured: Vec<String> =
        ran.steps[0].captures.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(captured, ["id=7", "sid=\"abc\""]);
}

#[test]
fn the_first_step_that_fails_ends_it_and_says_what_came() {
    let refused = json("503 Service Unavailable", "", r#"{"error": "busy"}"#);
    let origin = Origin::answering(&[&json("200 OK", "", "{}"), &refused]);
    let text = "GET {{base}}/a\nHTTP 200\nGET {{base}}/b\nHTTP 200\n[Asserts]\nstatus < 300\n\
                GET {{base}}/c\n";
    let ran = run(&origin, text, &[], &[]);
    let words: Vec<Word> = ran.steps.iter().map(|step| step.word).collect();
    assert_eq!(words, [Word::Passed, Word::Failed, Word::NotRun]);
    assert_eq!(ran.word, Word::Failed);
    let (step, failed) = ran.first_failed().unwrap();
    assert_eq!((step.status, failed.line, failed.what.as_str()), (Some(503), 4, "status"));
    assert_eq!(failed.expected.as_deref(), Some("200"));
    assert_eq!(failed.came, r#"503, {"error": "busy"}"#);
    assert_eq!(step.failed.len(), 1, "an answer of another status has other things in it");
    assert_eq!(origin.seen().len(), 2);
}

#[test]
fn every_assert_is_judged_and_each_that_fails_is_told() {
    let body = r#"{"n": 7, "f": 1.5, "t": "Tea", "b": true, "z": null, "l": [1, 2], "o": {"a": []},
                  "d": "2026-11-29T18:00:00Z"}"#;
    let answer = json("200 OK", "X-A: 1\r\nX-A: 2\r\n", body);
    let holds = "status == 200\nversion == \"1.1\"\nurl endsWith \"/a\"\n\
        header \"x-a\" count == 2\n\
        header \"X-A\" contains \"2\"\nheader \"X-B\" not exists\nbody contains \"Tea\"\n\
        bytes count > 100\njsonpath \"$.n\" == 7\njsonpath \"$.n\" == 7.0\njsonpath \"$.n\" != 8\n\
        jsonpath \"$.n\" isInteger\njsonpath \"$.n\" not isString\njsonpath \"$.f\" isFloat\n\
        jsonpath \"$.f\" <= 1.5\njsonpath \"$.f\" isNumber\njsonpath \"$.t\" startsWith \"T\"\n\
        jsonpath \"$.t\" matches /^T.a$/\njsonpath \"$.t\" > \"Sea\"\njsonpath \"$.b\" == true\n\
        jsonpath \"$.b\" isBoolean\njsonpath \"$.z\" == null\njsonpath \"$.z\" exists\n\
        jsonpath \"$.l\" count == 2\njsonpath \"$.l\" includes 2\njsonpath \"$.l\" last == 2\n\
        jsonpath \"$.l\" nth -2 == 1\njsonpath \"$.l\" isList\njsonpath \"$.o\" isObject\n\
        jsonpath \"$.o.a\" isEmpty\njsonpath \"$.o\" isCollection\njsonpath \"$.d\" isIsoDate\n\
        jsonpath \"$.x\" not exists\njsonpath \"$.x\" not == 1\njsonpath \"$.n\" toString == \"7\"\n\
        jsonpath \"$.t\" replace \"ea\" \"wo\" == \"Two\"\njsonpath \"$.d\" split \"T\" nth 1 \
        startsWith \"18:\"\nregex /\"t\": \"(\\w+)\"/ == \"Tea\"\nregex \"none (.)\" not exists\n\
        jsonpath \"$.d\" regex /^(\\d+)-/ toInt == 2026\njsonpath \"$.t\" urlEncode == `Tea`\n\
        duration >= 0\nvariable \"v\" == {{v}}\n";
    let origin = Origin::answering(&[&answer]);
    let text = format!("GET {{{{base}}}}/a\nHTTP/1.1 200\nX-A: 2\n[Asserts]\n{holds}");
    let ran = run(&origin, &text, &["v=7"], &[]);
    assert!(ran.passed(), "{}", ran.lines().join("\n"));

    let fails = [
        ("jsonpath \"$.n\" == \"7\"", "== \"7\" (string)", "7 (integer)"),
        ("jsonpath \"$.n\" not == 7", "not == 7 (integer)", "7 (integer)"),
        ("jsonpath \"$.x\" == 1", "== 1 (integer)", "nothing"),
        ("jsonpath \"$.x\" exists", "exists", "nothing"),
        ("jsonpath \"$.x\" != 1", "!= 1 (integer)", "nothing"),
        ("jsonpath \"$.t\" includes \"T\"", "includes \"T\" (string)", "\"Tea\" (string)"),
        ("jsonpath \"$.t\" not exists", "not exists", "\"Tea\" (string)"),
        ("jsonpath \"$.n\" matches /7/", "matches /7/", "7 (integer)"),
        ("jsonpath \"$.n\" not matches /8/", "not matches /8/", "7 (integer)"),
        ("jsonpath \"$.n\" > \"a\"", "> \"a\" (string)", "7 (integer)"),
        ("jsonpath \"$.n\" isString", "is string", "7 (integer)"),
        ("jsonpath \"$.l\" count == 3", "== 3 (integer)", "2 (integer)"),
        ("jsonpath \"$.d\" contains \"2027\"", "contains \"2027\" (string)", "2026"),
    ];
    let origin = Origin::answering(&[&answer]);
    let lines: Vec<&str> = fails.iter().map(|(line, ..)| *line).collect();
    let text = format!("GET {{{{base}}}}/a\nHTTP 200\n[Asserts]\n{}\n", lines.join("\n"));
    let ran = run(&origin, &text, &[], &[]);
    let told = &ran.steps[0].failed;
    assert_eq!(told.len(), fails.len(), "{}", ran.lines().join("\n"));
    for (failed, (line, expected, came)) in told.iter().zip(fails) {
        assert_eq!(failed.what, line);
        assert_eq!(failed.expected.as_deref(), Some(expected), "{line}");
        assert!(failed.came.contains(came), "{line}: {}", failed.came);
    }
}

#[test]
fn what_cannot_be_asked_of_an_answer_says_why() {
    let text = "GET {{base}}/a\nHTTP 200\n[Asserts]\njsonpath \"$.a\" not exists\n\
                status count == 1\nheader \"X\" count not exists\n\
                body toInt == 1\nheader \"{{nobody}}\" exists\n";
    let origin = Origin::answering(&["HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno"]);
    let ran = run(&origin, text, &[], &[]);
    let came: Vec<&str> = ran.steps[0].failed.iter().map(|one| one.came.as_str()).collect();
    for (came, part) in came.iter().zip([
        "the body is no JSON",
        "`count` makes nothing of 200 (integer)",
        "nothing was found that `count` could take",
        "`toInt` makes nothing of \"no\" (string)",
        "there is no variable `nobody`; known are base",
    ]) {
        assert!(came.contains(part), "{came}");
    }
    assert_eq!(came.len(), 5);
}

#[test]
fn a_step_is_tried_again_until_it_holds_and_no_more_often_than_it_says() {
    let (no, yes) = (json("503 No", "", "{}"), json("200 OK", "", "{}"));
    let text = "GET {{base}}/a\n[Options]\nretry: 2\nretry-interval: 1ms\nHTTP 200\n";
    let origin = Origin::answering(&[&no, &no, &yes]);
    let ran = run(&origin, text, &[], &[]);
    assert!(ran.passed(), "{:?}", ran.lines());
    assert_eq!(ran.steps[0].tries, 3);
    let origin = Origin::answering(&[&no, &no, &no, &yes]);
    let ran = run(&origin, text, &[], &[]);
    assert_eq!((ran.word, ran.steps[0].tries), (Word::Failed, 3));
    assert_eq!(origin.seen().len(), 3);
}

#[test]
fn a_redirect_is_an_answer_and_a_skipped_step_is_not_sent() {
    let moved =
        "HTTP/1.1 302 Found\r\nLocation: http://elsewhere.invalid/\r\nContent-Length: 0\r\n\r\n";
    let origin = Origin::answering(&[moved]);
    let text = "GET {{base}}/skipped\n[Options]\nskip: true\nHTTP 200\n\nGET {{base}}/a\nHTTP 302\n\
                Location: http://elsewhere.invalid/\n";
    let ran = run(&origin, text, &[], &[]);
    assert!(ran.passed(), "{:?}", ran.lines());
    assert_eq!(ran.steps[0].word, Word::Skipped);
    assert_eq!(origin.seen().len(), 1);
}

#[test]
fn nobody_there_a_deadline_and_a_place_that_is_not_ours_break_it_off() {
    let broken = |text: &str| {
        let ran = run_on("http://127.0.0.1:9", text, &[], &[]);
        assert_eq!(ran.word, Word::Broken, "{:?}", ran.lines());
        ran.first_failed().unwrap().1.came.clone()
    };
    assert!(broken("GET {{base}}/a\n").contains("no connection to 127.0.0.1:9"));
    let other = broken("GET http://127.0.0.1:10/a\n");
    assert!(other.contains("is 127.0.0.1, a loopback address"), "{other}");
    assert!(broken("GET http://169.254.169.254/a\n").contains("never called"));
    assert!(broken("GET {{nobody}}/a\n").contains("there is no variable `nobody`"));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let ran = run_on(&base, "GET {{base}}/a\n[Options]\nmax-time: 50ms\n", &[], &[]);
    let came = &ran.first_failed().unwrap().1.came;
    assert!(came.contains("did not finish within 50ms"), "{came}");
}

#[test]
fn a_base_is_a_url_and_nothing_else() {
    for base in ["", "localhost", "ftp://a", "http://a/?x", "http://u:p@a/", "http://a/#b"] {
        let options = RunnerOptions {
            base: base.to_owned(),
            private_elsewhere: false,
            outbound: Outbound::new(OutboundOptions::default()).unwrap(),
            clock: plimsoll_base::SystemClock::shared(),
        };
        let error = Runner::new(options).unwrap_err();
        assert!(error.to_string().contains("no place for a journey"), "{error}");
    }
}
