//! Every fault with every kind of request: what the client sees, and how often the origin had the
//! request. The table in `docs/resilience.md` is what is asserted here.

use plimsoll_testkit::{Plimsoll, PlimsollOptions, free_addr};

use crate::scene::{Scene, open_manifest};

const PAGE: &str = include_str!("../../../../../docs/resilience.md");

const SERVICE: &str = "[service.timeouts]\nfirst_byte = \"300ms\"\n\
                       [service.retries]\nbackoff = \"1ms\"\nbudget_min = 1000\n";

/// The fault, as the table calls it, and the script; none: nobody listens.
const FAULTS: [(&str, Option<&str>); 8] = [
    ("reset before anything was sent", None),
    ("reset after it was sent", Some("reset")),
    ("reset in the middle of the answer", Some("body=100000;reset-after=50000")),
    ("502", Some("status=502")),
    ("503", Some("status=503")),
    ("504", Some("status=504")),
    ("slow, within the timeouts", Some("delay=150")),
    ("black hole", Some("never")),
];

/// `/obeyed` is an operation whose service obeys keys itself.
const OBEYED: &str = "[[operation]]\nmethod = \"POST\"\npath = \"/obeyed\"\n\
                      unknown_outcome = \"retry-upstream-with-key\"\n";

/// Method, path, and whether it carries a key.
type Kind = (&'static str, &'static str, bool);

/// In the order of the table.
const REQUESTS: [Kind; 4] =
    [("GET", "/x", false), ("POST", "/x", false), ("POST", "/x", true), ("POST", "/obeyed", true)];

/// What a client sees of one request.
fn seen(edge: &Plimsoll, (method, path, keyed): Kind, id: &str, script: &str) -> String {
    let mut client = edge.client().unwrap();
    let body = if method == "POST" { "content-length: 3\r\n\r\none" } else { "\r\n" };
    let key = if keyed { format!("idempotency-key: {id}\r\n") } else { String::new() };
    let head = format!("host: a\r\nx-test-id: {id}\r\nx-script: {script}\r\n{key}");
    client.send(format!("{method} {path} HTTP/1.1\r\n{head}{body}")).unwrap();
    let mut answer = client.read_head_to(method).unwrap();
    let mut body = Vec::new();
    let read = client.read_body(&mut answer, &mut |piece| {
        body.extend_from_slice(piece);
        true
    });
    if read.is_err() {
        return format!("{}, cut off", answer.status);
    }
    let document = serde_json::from_slice::<serde_json::Value>(&body).ok();
    let code = document.as_ref().and_then(|document| document["code"].as_str());
    match (code, answer.status) {
        (Some(code), status) => format!("{status} {code}"),
        (None, 200) => "200".to_owned(),
        (None, status) => format!("the service's {status}"),
    }
}

#[test]
fn every_fault_is_seen_as_the_table_says() {
    let scene = Scene::open_on_one_node("", SERVICE, OBEYED);
    let nobody = format!("http://{}", free_addr().unwrap());
    let alone = Plimsoll::start(&PlimsollOptions {
        manifest: Some(open_manifest(&nobody, "", SERVICE, OBEYED)),
        one_node: true,
        ..PlimsollOptions::default()
    })
    .unwrap();
    for (fault, script) in FAULTS {
        let cell = |(number, kind)| {
            let id = format!("{number}-{}", fault.replace([' ', ','], "-"));
            let edge = if script.is_some() { &scene.edge } else { &alone };
            let seen = seen(edge, kind, &id, script.unwrap_or_default());
            format!("{seen}; {}×", scene.origin.log().with_id(&id).len())
        };
        let cells: Vec<String> = REQUESTS.into_iter().enumerate().map(cell).collect();
        let row = format!("| {fault} | {} |", cells.join(" | "));
        assert!(PAGE.lines().any(|line| line == row), "docs/resilience.md has not: {row}");
    }
}
