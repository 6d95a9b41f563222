//! Read your writes: whoever has been told that their write was done never reads what was before
//! it, while everybody else may.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::{Kept, Said, is_hit, status};
use crate::bodies::tools::{SECOND, eventually};

/// How often each writer writes.
const WRITES: u64 = 60;

/// A register: a write counts it up, at another address than it is read from, so that nothing but
/// the writer's own stamp can tell that what is stored is old.
pub(super) fn register(
    value: &Arc<AtomicU64>,
) -> impl Fn(&super::Asked) -> Said + Send + Sync + 'static {
    let value = Arc::clone(value);
    move |asked| {
        let pause = || std::thread::sleep(Duration::from_micros(fastrand::u64(..3_000)));
        if asked.method == "GET" {
            // What it says was so when it began: an answer under way while others write.
            let held = value.load(Ordering::SeqCst);
            pause();
            let control = "public, max-age=60, stale-while-revalidate=60";
            return Said::ok(held.to_string()).with("cache-control", control);
        }
        pause();
        let written = value.fetch_add(1, Ordering::SeqCst) + 1;
        pause();
        Said::ok(written.to_string())
    }
}

#[test]
fn nobody_reads_what_was_before_their_own_write() {
    let value = Arc::new(AtomicU64::new(0));
    let kept = Kept::start("", register(&value));
    let number = |answer: &plimsoll_testkit::RawResponse| answer.text().parse::<u64>().unwrap();
    std::thread::scope(|scope| {
        for who in 0..6 {
            let kept = &kept;
            scope.spawn(move || {
                // Some are verified, some show a cookie, and some say what they were told.
                let bearer = kept.bearer(&format!("writer-{who}"));
                let cookie = format!("session={who}");
                let shown: Vec<(&str, &str)> = match who % 3 {
                    0 => vec![("authorization", &bearer)],
                    1 => vec![("cookie", &cookie)],
                    _ => Vec::new(),
                };
                let mut client = kept.edge.client().unwrap();
                let (mut least, mut token) = (0, String::new());
                for _ in 0..WRITES {
                    let answer = client.request("PUT", "/notes/w", &shown, b"").unwrap();
                    least = number(&answer).max(least);
                    token = answer.headers.get("plimsoll-fresh").unwrap().to_owned();
                    for _ in 0..3 {
                        let mut fields = shown.clone();
                        if who % 3 == 2 {
                            fields.push(("plimsoll-fresh", token.as_str()));
                        }
                        let read =
                            number(&client.request("GET", "/notes/r", &fields, b"").unwrap());
                        assert!(read >= least, "writer {who} wrote {least} and read {read}");
                    }
                }
                assert!(!token.is_empty());
            });
        }
        // Everybody else may have what is stored.
        let kept = &kept;
        scope.spawn(move || {
            let mut client = kept.edge.client().unwrap();
            let hits = (0..300)
                .filter(|_| {
                    std::thread::sleep(Duration::from_millis(2));
                    is_hit(&client.request("GET", "/notes/r", &[], b"").unwrap())
                })
                .count();
            assert!(hits > 0, "nothing was ever answered from the store, so this proves nothing");
        });
    });
    assert_eq!(value.load(Ordering::SeqCst), 6 * WRITES);
}

/// A write that was under way when the cache was made anew is known to the new one, too.
#[test]
fn a_write_that_outlives_a_reload_is_read_after_it() {
    let (value, held) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(true)));
    let (read, holds) = (Arc::clone(&value), Arc::clone(&held));
    let kept = Kept::start("", move |asked| {
        if asked.method == "GET" {
            let now = read.load(Ordering::SeqCst);
            return Said::ok(now.to_string()).with("cache-control", "public, max-age=60");
        }
        while holds.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(2));
        }
        Said::ok((read.fetch_add(1, Ordering::SeqCst) + 1).to_string())
    });
    let bearer = kept.bearer("writer");
    let shown = [("authorization", bearer.as_str())];
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| kept.ask("PUT", "/notes/w", &shown));
        eventually("it is under way", 10 * SECOND, || kept.backend.many() == 1);
        let smaller = super::manifest(&kept.backend, "[cache]\nbytes_max = \"2MiB\"\n");
        kept.edge.write_manifest(&smaller).unwrap();
        kept.edge.reload().unwrap();
        let reloads = "plimsoll_reloads_total{outcome=\"ok\"}";
        eventually("it is reloaded", 10 * SECOND, || {
            kept.edge.metric(reloads).unwrap().unwrap_or_default() >= 1.0
        });
        assert_eq!(kept.ask("GET", "/notes/r", &shown).text(), "0");
        assert!(is_hit(&kept.ask("GET", "/notes/r", &shown)));
        held.store(false, Ordering::SeqCst);
        assert_eq!(writing.join().unwrap().text(), "1");
    });
    assert_eq!(kept.ask("GET", "/notes/r", &shown).text(), "1");
}

/// An app keeps the token it was given last. A replay gives it none that is older.
#[test]
fn a_replay_moves_nobodys_token_backwards() {
    let value = Arc::new(AtomicU64::new(0));
    let kept = Kept::start("", register(&value));
    let token = |answer: &plimsoll_testkit::RawResponse| -> u64 {
        answer.headers.get("plimsoll-fresh").unwrap().parse().unwrap()
    };
    let keyed = || kept.ask("PUT", "/notes/1", &[("idempotency-key", "k-1")]);
    let first = token(&keyed());
    std::thread::sleep(Duration::from_millis(5));
    let second = token(&kept.ask("PUT", "/notes/2", &[]));
    std::thread::sleep(Duration::from_millis(5));
    let replayed = keyed();
    assert_eq!(replayed.headers.get("idempotent-replayed"), Some("true"));
    assert!(first < second && second < token(&replayed));
}

/// What one node told is obeyed by another that knows nothing of the write.
#[test]
fn a_token_of_another_node_is_obeyed_for_as_long_as_anything_older_is_stored() {
    let value = Arc::new(AtomicU64::new(0));
    let (here, there) = (Kept::start("", register(&value)), Kept::start("", register(&value)));
    assert_eq!(there.get("/notes/r").text(), "0");
    assert!(is_hit(&there.get("/notes/r")));
    let told = here.ask("PUT", "/notes/w", &[]);
    let token = told.headers.get("plimsoll-fresh").unwrap();
    let fields = [("plimsoll-fresh", token)];
    assert_eq!(there.get("/notes/r").text(), "0", "others may have what is stored");
    assert_eq!(there.ask("GET", "/notes/r", &fields).text(), "1");
    // Beyond what the clocks of two nodes may differ by, what is stored since is used again.
    std::thread::sleep(3 * SECOND);
    there.ask("GET", "/notes/r", &[("cache-control", "no-cache")]);
    let again = there.ask("GET", "/notes/r", &fields);
    assert!(is_hit(&again), "{}", status(&again));
    let future = there.ask("GET", "/notes/r", &[("plimsoll-fresh", "99999999999999")]);
    assert!(!is_hit(&future));
}
