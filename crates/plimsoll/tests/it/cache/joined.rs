//! The cache beside the steps around it: keys of writes, breakers, compression.

use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::backend::{Asked, Said};
use super::{Kept, counting, is_hit, status};
use crate::scene::problem;

#[test]
fn a_write_with_a_key_changes_what_is_kept_and_its_replay_does_not() {
    let kept = Kept::start("", counting());
    assert_eq!(kept.get("/notes/1").text(), "answer 1");
    assert!(is_hit(&kept.get("/notes/1")));
    let write = || kept.ask("PUT", "/notes/1", &[("idempotency-key", "k-1")]);
    let first = write();
    assert_eq!((first.status, first.text().as_str()), (200, "answer 2"));
    let after = kept.get("/notes/1");
    assert_eq!(after.text(), "answer 3", "{}", status(&after));
    let again = write();
    assert_eq!(again.headers.get("idempotent-replayed"), Some("true"));
    assert_eq!(again.text(), "answer 2");
    let still = kept.get("/notes/1");
    assert!(is_hit(&still) && still.text() == "answer 3", "{}", status(&still));
}

#[test]
fn what_is_kept_is_compressed_for_whoever_can_read_it() {
    let text = "a line like any other. ".repeat(500);
    let said = text.clone();
    let kept = Kept::start("", move |_: &Asked| {
        let fields = Said::ok(said.clone()).with("cache-control", "max-age=60");
        fields.with("content-type", "text/plain").with("etag", "\"one\"")
    });
    let gzip = [("accept-encoding", "gzip")];
    for number in 0..2 {
        let small = kept.ask("GET", "/notes/1", &gzip);
        assert_eq!(small.headers.get("content-encoding"), Some("gzip"));
        assert_eq!(small.headers.get("vary"), Some("accept-encoding"));
        assert_eq!(small.headers.get("etag"), Some("W/\"one\""));
        assert_eq!(is_hit(&small), number > 0);
        let mut whole = String::new();
        flate2::read::GzDecoder::new(&small.body[..]).read_to_string(&mut whole).unwrap();
        assert!(whole == text && small.body.len() < text.len() / 4);
    }
    let plain = kept.get("/notes/1");
    assert!(is_hit(&plain) && plain.text() == text);
    assert_eq!(plain.headers.get("content-encoding"), None);
    let held = [("accept-encoding", "gzip"), ("if-none-match", "W/\"one\"")];
    let held = kept.ask("GET", "/notes/1", &held);
    assert_eq!((held.status, held.headers.get("etag")), (304, Some("W/\"one\"")));
    assert_eq!(kept.backend.many(), 1);
}

const BREAKER: &str = "[service.breaker]\nconsecutive_failures = 2\nopen = \"1s\"\n\
                       slow_start = \"0s\"\n[service.retries]\nmethods = \"off\"\n";

/// A backend that can be broken, with one answer that may stand in for a while.
fn breakable() -> (Kept, Arc<AtomicBool>) {
    let broken = Arc::new(AtomicBool::new(false));
    let is_broken = Arc::clone(&broken);
    let kept = Kept::start(BREAKER, move |_: &Asked| match is_broken.load(Ordering::SeqCst) {
        true => Said::ok("no").status(500),
        false => Said::ok("good").with("cache-control", "max-age=0, stale-if-error=60"),
    });
    (kept, broken)
}

#[test]
fn while_a_breaker_is_open_what_is_kept_stands_in() {
    let (kept, broken) = breakable();
    assert_eq!(kept.get("/notes/1").text(), "good");
    broken.store(true, Ordering::SeqCst);
    for _ in 0..2 {
        assert_eq!(kept.get("/notes/2").status, 500);
    }
    let asked = kept.backend.many();
    let stale = kept.get("/notes/1");
    assert_eq!((stale.status, stale.text().as_str()), (200, "good"), "{}", status(&stale));
    problem(&kept.get("/notes/2"), 503, "PLM-EDGE-0409");
    assert_eq!(kept.backend.many(), asked, "the service is left alone");
}

#[test]
fn a_key_that_met_an_open_breaker_is_still_good() {
    let (kept, broken) = breakable();
    broken.store(true, Ordering::SeqCst);
    for number in 0..2 {
        let key = format!("failed-{number}");
        assert_eq!(kept.ask("PUT", "/notes/1", &[("idempotency-key", &key)]).status, 500);
    }
    let asked = kept.backend.many();
    let write = || kept.ask("PUT", "/notes/1", &[("idempotency-key", "k-1")]);
    problem(&write(), 503, "PLM-EDGE-0409");
    assert_eq!(kept.backend.many(), asked, "the service is left alone");
    broken.store(false, Ordering::SeqCst);
    std::thread::sleep(Duration::from_millis(1_100));
    let done = write();
    assert_eq!((done.status, done.headers.get("idempotent-replayed")), (200, None));
    assert_eq!(write().headers.get("idempotent-replayed"), Some("true"));
    assert_eq!(kept.backend.many(), asked + 1);
}

#[test]
fn a_resumed_download_is_not_given_a_part_of_something_newer() {
    let kept = Kept::start("", counting());
    let target = "/notes/1?cc=max-age=0";
    assert_eq!(kept.get(target).text(), "answer 1");
    let rest = [("range", "bytes=2-"), ("if-range", "\"one\"")];
    let answer = kept.ask("GET", target, &rest);
    let asked = kept.backend.last();
    assert_eq!((asked.field("range"), asked.field("if-range")), (None, None));
    assert_eq!(asked.field("if-none-match"), Some("\"one\""));
    assert_eq!(answer.text(), "answer 2", "whole: {}", answer.status);
}

#[test]
fn what_one_client_does_not_want_stored_stays_for_the_others() {
    let kept = Kept::start("", counting());
    assert_eq!(kept.get("/notes/1").text(), "answer 1");
    for control in ["no-store", "no-cache, no-store"] {
        assert_ne!(kept.ask("GET", "/notes/1", &[("cache-control", control)]).text(), "answer 1");
    }
    let after = kept.get("/notes/1");
    assert!(is_hit(&after) && after.text() == "answer 1", "{}", status(&after));
}
