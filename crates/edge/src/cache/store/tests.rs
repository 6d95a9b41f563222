use bytes::Bytes;
use http::StatusCode;
use plimsoll_base::Nanos;
use plimsoll_http_kit::caching::storing::{Audience, Terms};
use plimsoll_http_kit::caching::vary::Selection;

use super::super::entry::{Asked, Kept};
use super::super::key::{Keys, Partition, Place};
use super::super::stamps::Stamps;
use super::super::tally::Tally;
use super::*;

fn key() -> Key {
    let (tenant, service, release, host, target) = ("t", "s", "r", "h", "/");
    let place = Place { tenant, service, release, secure: false, host, target };
    Keys::new(&[7; 16]).key(&place, Partition::Shared)
}

fn language(language: &'static str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(http::header::ACCEPT_LANGUAGE, HeaderValue::from_static(language));
    headers
}

/// An answer to whoever reads a language.
fn entry(reads: &'static str, asked: Asked, body: &'static str) -> Arc<Entry> {
    let mut head = HeaderMap::new();
    head.insert(http::header::VARY, HeaderValue::from_static("accept-language"));
    let zero = Duration::ZERO;
    let terms = Terms {
        audience: Audience::Anyone,
        age: zero,
        fresh: Duration::from_secs(60),
        strict: false,
        revalidates: false,
        while_revalidating: zero,
        if_error: zero,
        omitted: SmallVec::new(),
    };
    let kept = Kept {
        status: StatusCode::OK,
        selection: Selection::of(&head, &language(reads)).unwrap(),
        head,
        range: None,
        terms,
        asked,
        came: Nanos(0),
        marks: SmallVec::new(),
        tally: Arc::new(Tally::new("x".into())),
    };
    Arc::new(Entry::new(kept, Bytes::from_static(body.as_bytes())))
}

fn held(store: &Store, reads: &'static str) -> Option<Bytes> {
    match store.find(key(), &language(reads), Identity::Nobody) {
        Found::Entry(entry) => Some(entry.body.clone()),
        Found::Others | Found::Nothing => None,
    }
}

#[test]
fn what_comes_from_elsewhere_replaces_only_what_was_asked_for_before_it() {
    let (store, stamps) = (Store::new(1 << 20), Stamps::default());
    let at = |unix_ms| Asked { ordinal: stamps.now(), unix_ms, own: None };
    store.put(key(), &entry("de", at(100), "here"));
    assert!(!store.take_over(key(), &entry("de", at(99), "older")));
    assert!(!store.take_over(key(), &entry("de", at(100), "as old")));
    assert_eq!(held(&store, "de").as_deref(), Some(&b"here"[..]));
    // For others it takes no place.
    assert!(store.take_over(key(), &entry("fr", at(50), "other")));
    assert_eq!(held(&store, "de").as_deref(), Some(&b"here"[..]));
    assert_eq!(held(&store, "fr").as_deref(), Some(&b"other"[..]));
    assert!(store.take_over(key(), &entry("de", at(101), "newer")));
    assert_eq!(held(&store, "de").as_deref(), Some(&b"newer"[..]));
    // After an event that the other was asked for before, whatever the clocks say.
    stamps.write([], None);
    assert!(store.take_over(key(), &entry("de", at(7), "after a write")));
    assert_eq!(held(&store, "de").as_deref(), Some(&b"after a write"[..]));
}
