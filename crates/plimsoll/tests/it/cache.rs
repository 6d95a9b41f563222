//! The response cache: what is answered without the service, to whom, and what a write changes.

mod backend;
mod fresh;
mod joined;
mod several;
mod users;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use plimsoll_testkit::{Plimsoll, PlimsollOptions, RawResponse, TestIssuer};
use serde_json::json;

use crate::bodies::tools::{SECOND, eventually};
use crate::scene::{AUDIENCE, ISSUER, claims, problem};

use backend::{Asked, Backend, Said};

/// One resource that anybody may read, with or without a token, and one that is written.
const CONTRACT: &str = r#"{
  "openapi": "3.1.0",
  "info": { "title": "Notes", "version": "1" },
  "security": [{ "bearer": [] }, { "key": [] }, {}],
  "paths": {
    "/notes/{id}": {
      "get": { "operationId": "getNote", "x-cache-groups": ["notes"], "responses": { "200": { "description": "ok" } } },
      "put": { "operationId": "putNote", "responses": { "200": { "description": "ok" } } }
    },
    "/all": { "post": { "operationId": "resetNotes", "x-invalidates": ["notes"], "responses": { "200": { "description": "ok" } } } },
    "/plain/{id}": { "get": { "operationId": "getPlain", "responses": { "200": { "description": "ok" } } } }
  },
  "components": { "securitySchemes": {
    "bearer": { "type": "http", "scheme": "bearer" },
    "key": { "type": "apiKey", "in": "header", "name": "X-Notes-Key" }
  } }
}"#;

/// A backend and the edge in front of it.
struct Kept {
    backend: Backend,
    edge: Plimsoll,
    issuer: TestIssuer,
}

impl Kept {
    fn start(more: &str, handler: impl Fn(&Asked) -> Said + Send + Sync + 'static) -> Self {
        let backend = Backend::start(handler);
        let issuer = TestIssuer::new("key-1").unwrap();
        let edge = Plimsoll::start(&PlimsollOptions {
            one_node: true,
            ..options(&backend, &issuer, more)
        })
        .unwrap();
        Self { backend, edge, issuer }
    }

    fn ask(&self, method: &str, target: &str, fields: &[(&str, &str)]) -> RawResponse {
        self.edge.client().unwrap().request(method, target, fields, b"").unwrap()
    }

    fn get(&self, target: &str) -> RawResponse {
        self.ask("GET", target, &[])
    }

    fn bearer(&self, subject: &str) -> String {
        bearer(&self.issuer, subject)
    }
}

/// An edge in front of `backend`.
fn options(backend: &Backend, issuer: &TestIssuer, more: &str) -> PlimsollOptions {
    PlimsollOptions {
        manifest: Some(manifest(backend, more)),
        files: vec![
            ("openapi.json".into(), CONTRACT.into()),
            ("jwks.json".into(), issuer.jwks().into_bytes()),
        ],
        ..PlimsollOptions::default()
    }
}

fn manifest(backend: &Backend, more: &str) -> String {
    format!(
        "[edge]\ncores = 2\n[[service]]\nname = \"notes\"\ncontract = \"openapi.json\"\n\
         urls = [\"{}\"]\n[[auth.issuer]]\nissuer = \"{ISSUER}\"\naudience = [\"{AUDIENCE}\"]\n\
         jwks_file = \"jwks.json\"\n{more}\n",
        backend.url()
    )
}

fn bearer(issuer: &TestIssuer, subject: &str) -> String {
    format!("Bearer {}", issuer.mint(&claims().with("sub", json!(subject))).unwrap())
}

fn status(answer: &RawResponse) -> &str {
    answer.headers.get("cache-status").unwrap_or_default()
}

fn is_hit(answer: &RawResponse) -> bool {
    status(answer).contains("; hit")
}

/// Answers with the number of the request, on the terms that the query names.
fn counting() -> impl Fn(&Asked) -> Said + Send + Sync + 'static {
    let count = AtomicU64::new(0);
    move |asked| {
        let number = count.fetch_add(1, Ordering::SeqCst) + 1;
        let control = asked.query("cc").unwrap_or_else(|| "max-age=60".to_owned());
        Said::ok(format!("answer {number}")).with("cache-control", control).with("etag", "\"one\"")
    }
}

#[test]
fn what_is_fresh_is_answered_without_the_service() {
    let kept = Kept::start("", counting());
    let first = kept.get("/notes/1");
    assert_eq!(
        (first.text().as_str(), status(&first)),
        ("answer 1", "plimsoll; fwd=uri-miss; stored")
    );
    let again = kept.get("/notes/1");
    assert_eq!(again.text(), "answer 1");
    assert!(is_hit(&again) && status(&again).contains("ttl=60"), "{}", status(&again));
    assert_eq!(again.headers.get("age"), Some("0"));
    assert!(again.headers.get("date").is_some());

    let head = kept.ask("HEAD", "/notes/1", &[]);
    assert_eq!((head.status, head.headers.get("content-length")), (200, Some("8")));
    let part = kept.ask("GET", "/notes/1", &[("range", "bytes=0-2")]);
    assert_eq!((part.status, part.text().as_str()), (206, "ans"));
    assert_eq!(part.headers.get("content-range"), Some("bytes 0-2/8"));
    let held = kept.ask("GET", "/notes/1", &[("if-none-match", "\"one\"")]);
    assert_eq!((held.status, held.body.len()), (304, 0));
    assert_eq!(kept.backend.many(), 1);

    assert_eq!(kept.get("/notes/2").text(), "answer 2");
    assert_eq!(kept.ask("GET", "/notes/1", &[("host", "other.example")]).text(), "answer 3");
    let asked = kept.ask("GET", "/notes/1", &[("cache-control", "no-cache")]);
    assert_eq!(asked.text(), "answer 4");
    assert_eq!(kept.backend.last().field("if-none-match"), Some("\"one\""));
}

#[test]
fn only_if_cached_leaves_the_service_alone() {
    let kept = Kept::start("", counting());
    let fields = [("cache-control", "only-if-cached")];
    problem(&kept.ask("GET", "/notes/1", &fields), 504, "PLM-EDGE-0701");
    assert_eq!(kept.backend.many(), 0);
    kept.get("/notes/1");
    assert_eq!(kept.ask("GET", "/notes/1", &fields).text(), "answer 1");
}

#[test]
fn a_write_takes_what_it_changed_out_of_the_cache() {
    let kept = Kept::start("", counting());
    kept.get("/notes/1");
    kept.get("/notes/2");
    assert!(is_hit(&kept.get("/notes/1")));
    assert_eq!(kept.ask("PUT", "/notes/1", &[]).status, 200);
    assert!(!is_hit(&kept.get("/notes/1")) && is_hit(&kept.get("/notes/2")));
    // The group that the contract declares.
    assert_eq!(kept.ask("POST", "/all", &[]).status, 200);
    assert!(!is_hit(&kept.get("/notes/1")) && !is_hit(&kept.get("/notes/2")));
    assert!(is_hit(&kept.get("/notes/1")) && is_hit(&kept.get("/notes/2")));
}

#[test]
fn groups_of_answers_are_invalidated_by_answers() {
    let kept = Kept::start("", |asked| {
        let said = Said::ok("x").with("cache-control", "max-age=60");
        let said = said.with("cache-groups", format!("\"{}\", \"all\"", asked.target.len()));
        match (asked.method.as_str(), asked.target.as_str()) {
            ("GET", "/plain/1" | "/plain/22") => said,
            _ => said.with("cache-group-invalidation", "\"8\""),
        }
    });
    kept.get("/plain/1");
    kept.get("/plain/22");
    assert_eq!(kept.get("/notes/7").status, 200);
    assert!(is_hit(&kept.get("/plain/1")), "a safe method invalidates nothing");
    kept.ask("PUT", "/notes/9", &[]);
    assert!(!is_hit(&kept.get("/plain/1")) && is_hit(&kept.get("/plain/22")));
}

#[test]
fn what_is_not_whole_or_too_large_or_sets_a_cookie_is_not_stored() {
    let count = AtomicUsize::new(0);
    let kept = Kept::start("[cache]\nentry_bytes_max = \"1KiB\"", move |asked| {
        let number = count.fetch_add(1, Ordering::SeqCst);
        let said = Said::ok("x".repeat(900)).with("cache-control", "public, max-age=60");
        match asked.query("kind").as_deref() {
            Some("broken") if number == 0 => Said { broken_after: Some(500), ..said },
            Some("large") => Said { body: "x".repeat(1_100), ..said },
            Some("cookie") => said.with("set-cookie", "a=b"),
            _ => said,
        }
    });
    let broken = kept.edge.client().unwrap().request("GET", "/notes/1?kind=broken", &[], b"");
    assert!(broken.is_err(), "it broke off: {broken:?}");
    let whole = kept.get("/notes/1?kind=broken");
    assert_eq!((whole.body.len(), is_hit(&whole)), (900, false));
    assert!(is_hit(&kept.get("/notes/1?kind=broken")));
    for (kind, word) in [("large", "too-large"), ("cookie", "set-cookie")] {
        let target = format!("/notes/1?kind={kind}");
        for _ in 0..2 {
            let answer = kept.get(&target);
            assert!(status(&answer).ends_with(&format!("detail={word}")), "{}", status(&answer));
        }
    }
}

#[test]
fn many_who_ask_at_once_are_answered_by_one_request_and_never_by_anothers() {
    let kept = Kept::start("", |asked| {
        std::thread::sleep(Duration::from_millis(300));
        let owner = asked.field("authorization").unwrap_or("nobody").to_owned();
        Said::ok(owner).with("cache-control", "max-age=60")
    });
    let kept = Arc::new(kept);
    let (alice, bob) = (kept.bearer("alice"), kept.bearer("bob"));
    let asking: Vec<_> = (0..60)
        .map(|number| {
            let kept = Arc::clone(&kept);
            let who = [None, Some(alice.clone()), Some(bob.clone())][number % 3].clone();
            std::thread::spawn(move || {
                let fields: Vec<(&str, &str)> =
                    who.iter().map(|bearer| ("authorization", bearer.as_str())).collect();
                let answer = kept.ask("GET", "/notes/1", &fields);
                assert_eq!(answer.text(), who.as_deref().unwrap_or("nobody"));
                status(&answer).contains("collapsed")
            })
        })
        .collect();
    let collapsed = asking.into_iter().filter_map(|one| one.join().unwrap().then_some(())).count();
    assert_eq!(kept.backend.many(), 3, "one for nobody, one for each subject");
    assert!(collapsed > 30, "{collapsed}");
    let counted = kept.edge.metric("plimsoll_cache_requests_total{result=\"collapsed\"}").unwrap();
    assert_eq!(counted.unwrap_or_default() as usize, collapsed);
}

#[test]
fn stale_is_answered_at_once_while_a_newer_one_is_fetched() {
    let kept = Kept::start("", counting());
    let target = "/notes/1?cc=max-age=1,+stale-while-revalidate=60";
    assert_eq!(kept.get(target).text(), "answer 1");
    std::thread::sleep(2 * SECOND);
    let stale = kept.get(target);
    assert_eq!(stale.text(), "answer 1");
    assert!(status(&stale).contains("while-revalidating"), "{}", status(&stale));
    eventually("a newer one", 5 * SECOND, || {
        kept.backend.many() == 2 && kept.get(target).text() == "answer 2"
    });
}

#[test]
fn a_failing_service_is_stood_in_for_unless_that_is_forbidden() {
    let failing = Arc::new(AtomicUsize::new(0));
    let mode = Arc::clone(&failing);
    let kept = Kept::start("", move |asked| match mode.load(Ordering::SeqCst) {
        0 => {
            Said::ok("good").with("cache-control", asked.query("cc").unwrap()).with("etag", "\"e\"")
        }
        1 => Said::ok("bad").status(503),
        // No byte of an answer.
        _ => Said { status: 0, ..Said::ok("") },
    });
    let target = |id: u8, control: &str| format!("/notes/{id}?cc=max-age=1{control}");
    let strict = ["must-revalidate", "proxy-revalidate", "no-cache", "s-maxage=1"];
    let strict: Vec<String> =
        (1..).zip(strict).map(|(id, c)| target(id, &format!(",+{c}"))).collect();
    let usual = [target(8, ""), target(9, ",+s-maxage=1,+stale-if-error=60")];
    for target in strict.iter().chain(&usual) {
        assert_eq!(kept.get(target).text(), "good");
    }
    std::thread::sleep(2 * SECOND);
    for (mode, status_of) in [(1, 503), (2, 502)] {
        failing.store(mode, Ordering::SeqCst);
        for target in &usual {
            let stale = kept.get(target);
            assert_eq!((stale.status, stale.text().as_str()), (200, "good"), "{target}");
            assert!(status(&stale).contains("detail=service-fails"), "{}", status(&stale));
            assert!(stale.headers.get("warning").unwrap().starts_with("110 "));
        }
        for target in &strict {
            assert_eq!(kept.get(target).status, status_of, "{target}");
        }
    }
}

#[test]
fn an_operation_says_otherwise_in_the_manifest() {
    let off = "[[operation]]\nid = \"getNote\"\ncache = \"off\"\n\
               [[operation]]\nid = \"getPlain\"\ncache = \"shared\"\ncache_ttl = \"30s\"\n";
    let kept = Kept::start(off, |asked| {
        let said = Said::ok("x");
        if asked.target.starts_with("/notes") {
            said.with("cache-control", "max-age=9")
        } else {
            said
        }
    });
    kept.get("/notes/1");
    assert_eq!(status(&kept.get("/notes/1")), "");
    let alice = kept.bearer("alice");
    kept.ask("GET", "/plain/1", &[("authorization", &alice)]);
    let nobody = kept.get("/plain/1");
    assert!(is_hit(&nobody) && status(&nobody).contains("ttl=30"), "{}", status(&nobody));
}

#[test]
fn it_is_switched_off_whole() {
    let kept = Kept::start("[cache]\nenabled = false", counting());
    for number in 1..3 {
        let answer = kept.get("/notes/1");
        assert_eq!((answer.text(), status(&answer)), (format!("answer {number}"), ""));
    }
    assert!(kept.ask("PUT", "/notes/1", &[]).headers.get("plimsoll-fresh").is_none());
}

/// An operation that never answered what may be stored is left alone until it does.
#[test]
fn an_operation_wakes_when_it_has_something_to_store() {
    let count = AtomicUsize::new(0);
    let kept = Kept::start("", move |_| {
        let said = Said::ok("x");
        match count.fetch_add(1, Ordering::SeqCst) {
            0..100 => said,
            _ => said.with("cache-control", "max-age=60"),
        }
    });
    let mut client = kept.edge.client().unwrap();
    let mut said = Vec::new();
    for _ in 0..103 {
        let answer = client.request("GET", "/notes/1", &[], b"").unwrap();
        said.push(status(&answer).to_owned());
    }
    assert_eq!(said[0], "plimsoll; fwd=uri-miss; detail=no-freshness");
    assert_eq!(said[99], "", "it is left alone");
    assert!(said[102].contains("; hit"), "{:?}", &said[98..]);
}
