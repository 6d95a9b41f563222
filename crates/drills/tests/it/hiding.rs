//! What is never shown, wherever it turns up.

use plimsoll_drills::journey::{Ran, junit};

use crate::origin::{Origin, json, run};

/// The three forms in which a run is told.
fn told(ran: &Ran) -> [String; 3] {
    let json = serde_json::to_string(ran).unwrap();
    [ran.lines().join("\n"), json, junit(std::slice::from_ref(ran))]
}

/// Nothing of these stands in what is told, and something was hidden.
#[track_caller]
fn hidden(ran: &Ran, secrets: &[&str]) {
    for shown in told(ran) {
        for secret in secrets {
            assert!(!shown.contains(secret), "{secret} in {shown}");
        }
        assert!(shown.contains("***"), "{shown}");
    }
}

#[test]
fn no_secret_is_shown_wherever_it_turns_up() {
    let echo = json("400 Bad", "X-Echo: hunter2\r\n", r#"{"said": "hunter2", "pin": 4711}"#);
    let first = json("200 OK", "", r#"{"access_token": "ey.captured", "pin": 4711}"#);
    let origin = Origin::answering(&[&first, &echo]);
    let text = "GET {{base}}/a\nAuthorization: Bearer {{token}}\nHTTP 200\n[Captures]\n\
                access_token: jsonpath \"$.access_token\"\npin: jsonpath \"$.pin\" redact\n\n\
                POST {{base}}/b?t={{token}}\n{ \"t\": \"{{access_token}}\" }\nHTTP *\n[Asserts]\n\
                body == \"{{token}}{{access_token}}\"\nheader \"X-Echo\" == \"{{access_token}}\"\n\
                url == \"\"\njsonpath \"$.pin\" == 1\n";
    let ran = run(&origin, text, &[], &["token=hunter2"]);
    assert_eq!(ran.steps[1].failed.len(), 4, "{:?}", ran.lines());
    let json = serde_json::to_string(&ran).unwrap();
    for shown in [ran.lines().join("\n"), json, junit(std::slice::from_ref(&ran))] {
        for secret in ["hunter2", "ey.captured", "4711"] {
            assert!(!shown.contains(secret), "{secret} in {shown}");
        }
        assert!(shown.contains("***"), "{shown}");
    }
    assert!(origin.seen()[1].contains("hunter2") && origin.seen()[1].contains("ey.captured"));
}

#[test]
fn a_secret_is_hidden_before_anything_is_cut() {
    let secret: String = (0..250).map(|part| format!("k{part:03}")).collect();
    let parts: Vec<&str> = (0..secret.len() - 8).map(|at| &secret[at..at + 8]).collect();
    // It begins before the cut, and ends after it.
    let body = format!(r#"{{"before": "{:b<250}", "said": "{secret}", "{secret}": 1}}"#, "");
    let fields = format!("X-Echo: {secret}\r\n");
    let given = format!("token={secret}");
    for (expected, failed) in [
        ("HTTP 200\n", 1),
        ("HTTP *\nX-Echo: no\n", 1),
        ("HTTP *\nX-None: {{token}}\n", 1),
        ("HTTP *\n[Captures]\nall: body\nsaid: jsonpath \"$.said\" toInt\n", 1),
        ("HTTP *\n[Captures]\nall: jsonpath \"$\"\n[Asserts]\nstatus == 1\n", 1),
        (
            "HTTP *\n[Asserts]\nbody == \"no\"\nbody toInt == 1\njsonpath \"$\" == 1\n\
             jsonpath \"$.said\" == \"no\"\njsonpath \"$.said\" toFloat == 1\n\
             header \"X-Echo\" split \"x\" == \"no\"\nstatus == \"{{token}}\"\n\
             body startsWith \"a {{token}}\"\nbody endsWith \"{{token}}\"\nurl == \"\"\n\
             bytes == \"{{token}}\"\nvariable \"token\" count == 1\nheader \"{{token}}\" exists\n",
            13,
        ),
    ] {
        let origin = Origin::answering(&[&json("401 No", &fields, &body)]);
        let text = format!("GET {{{{base}}}}/a?t={{{{token}}}}\n{expected}");
        let ran = run(&origin, &text, &[], &[&given]);
        assert_eq!(ran.steps[0].failed.len(), failed, "{expected}{:?}", ran.lines());
        for shown in told(&ran) {
            let found: Vec<&&str> = parts.iter().filter(|part| shown.contains(**part)).collect();
            assert!(found.is_empty(), "{} parts in {shown}", found.len());
        }
    }
}

#[test]
fn what_would_have_been_captured_as_a_secret_is_hidden_in_an_answer_of_another_status() {
    let body = r#"{"access_token": "ey.captured", "pin": "4711", "state": "open"}"#;
    let text = "GET {{base}}/a\nHTTP 200\n[Captures]\nstate: jsonpath \"$.none\"\n\
                access_token: jsonpath \"$.access_token\"\npin: jsonpath \"$.pin\" redact\n";
    let origin = Origin::answering(&[&json("201 Created", "", body)]);
    let ran = run(&origin, text, &[], &[]);
    let came = &ran.first_failed().unwrap().1.came;
    assert_eq!(came, r#"201, {"access_token": "***", "pin": "***", "state": "open"}"#);
    hidden(&ran, &["ey.captured", "4711"]);
    // Nor does it matter that there is no such thing in the answer.
    let origin = Origin::answering(&[&json("503 No", "", r#"{"error": "busy"}"#)]);
    let ran = run(&origin, text, &[], &[]);
    assert_eq!(ran.first_failed().unwrap().1.came, r#"503, {"error": "busy"}"#);
}

#[test]
fn a_secret_that_a_filter_cannot_take_is_not_shown_either() {
    let body = r#"{"access_token": "ey.captured"}"#;
    let text = "GET {{base}}/a\nHTTP 200\n[Captures]\nbefore: jsonpath \"$.none\" toString\n\
                token: jsonpath \"$.access_token\" toInt\n";
    for text in [text.replace("before: jsonpath \"$.none\" toString\n", ""), text.to_owned()] {
        let origin = Origin::answering(&[&json("200 OK", "", body)]);
        let ran = run(&origin, &text, &[], &[]);
        for shown in told(&ran) {
            assert!(!shown.contains("ey.captured"), "{shown}");
        }
        assert!(!ran.passed());
    }
}

#[test]
fn a_variable_of_a_step_with_the_name_of_a_secret_is_one() {
    let text = "POST {{base}}/a\n[Options]\nvariable: password=hunter2\nvariable: \
                pin_token={{pin}}-{{pin}}\nvariable: api_key=471100\nvariable: handle=alice\n\
                {\"p\": \"{{password}}\", \"n\": {{api_key}}}\nHTTP 200\n";
    let echo = json("401 No", "", r#"{"p": "hunter2", "t": "81-81", "n": 471100, "h": "alice"}"#);
    let origin = Origin::answering(&[&echo]);
    let ran = run(&origin, text, &["pin=81"], &[]);
    hidden(&ran, &["hunter2", "81-81", "471100"]);
    assert!(told(&ran)[0].contains("alice"), "what has another name is shown");
    assert!(origin.seen()[0].ends_with(r#"{"p": "hunter2", "n": 471100}"#));
}

#[test]
fn basic_credentials_are_hidden_as_they_are_sent() {
    let text = "GET {{base}}/a\n[BasicAuth]\n{{user}}: {{pw}}\nHTTP 200\n";
    let echo = json("401 No", "", r#"{"said": "Basic bWU6aHVudGVyMg==", "for": "me:hunter2"}"#);
    for secret in [&["pw=hunter2"][..], &[]] {
        let plain = if secret.is_empty() { &["user=me", "pw=hunter2"][..] } else { &["user=me"] };
        let origin = Origin::answering(&[&echo]);
        let ran = run(&origin, text, plain, secret);
        hidden(&ran, &["bWU6aHVudGVyMg", "hunter2"]);
        assert!(origin.seen()[0].contains("authorization: Basic bWU6aHVudGVyMg==\r\n"));
    }
}

#[test]
fn a_secret_is_hidden_as_json_and_urls_write_it() {
    let body = r#"{"php": "a\/b c\u00e4", "net": "a/b c\u00E4", "url": "a/b%20c%C3%A4"}"#;
    let origin = Origin::answering(&[&json("400 No", "", body)]);
    let text = "GET {{base}}/a?t={{token}}\nHTTP *\n[Asserts]\nurl == \"\"\nbody == \"\"\n\
                status == 200\n";
    let ran = run(&origin, text, &[], &["token=a/b cä"]);
    assert_eq!(ran.steps[0].failed.len(), 3, "{:?}", ran.lines());
    hidden(&ran, &["a/b", "a\\/b", "a\\\\/b", "00e4", "00E4", "%C3"]);
}
