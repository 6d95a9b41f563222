//! Entity tags of answers that are compressed (RFC 9110 §8.8.3): weak on the way out, and as the
//! service gave them on the way back.
//!
//! A client compares what it has in `If-None-Match` weakly, and a service that follows the letter
//! does, too. Many compare byte by byte, and `If-Match` has to be compared strongly: with the weak
//! tag they would never find a match again. The weakness is ours, so it is taken off before the
//! service sees it, but not where the service's own tags are weak.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use ahash::RandomState;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};

const WEAK: &[u8] = b"W/";

/// Paths whose form is known apart from their service's; two that share a place share it.
const PATHS: usize = 1 << 14;
const STRONG: u8 = 1;
const WEAK_FORM: u8 = 2;

/// Whether services give weak tags: what the last answer for a path said, else the last of its
/// service. Some services give both forms, each for resources of its own.
#[derive(Debug)]
pub(super) struct TagForms {
    services: Box<[(Box<str>, AtomicBool)]>,
    paths: Arc<Paths>,
}

#[derive(Debug)]
struct Paths {
    hasher: RandomState,
    forms: Box<[AtomicU8]>,
}

impl Paths {
    fn at(&self, service: &str, path: &str) -> &AtomicU8 {
        let hash = self.hasher.hash_one((service, path));
        &self.forms[usize::try_from(hash % PATHS as u64).unwrap_or(0)]
    }
}

impl TagForms {
    /// What was known of a service of the same name is known on.
    pub(super) fn new(services: &[&str], before: Option<&Self>) -> Self {
        let known = |name: &str| {
            let mut held = before.into_iter().flat_map(|before| &before.services);
            held.any(|(held, weak)| **held == *name && weak.load(Ordering::Relaxed))
        };
        let services =
            services.iter().map(|name| ((*name).into(), AtomicBool::new(known(name)))).collect();
        let fresh = || {
            let forms = (0..PATHS).map(|_| AtomicU8::new(0)).collect();
            Arc::new(Paths { hasher: RandomState::new(), forms })
        };
        Self { services, paths: before.map_or_else(fresh, |before| Arc::clone(&before.paths)) }
    }

    pub(super) fn note(&self, service: u16, path: &str, weak: bool) {
        let Some((name, known)) = self.services.get(usize::from(service)) else { return };
        if known.load(Ordering::Relaxed) != weak {
            known.store(weak, Ordering::Relaxed);
        }
        let (form, known) = (if weak { WEAK_FORM } else { STRONG }, self.paths.at(name, path));
        if known.load(Ordering::Relaxed) != form {
            known.store(form, Ordering::Relaxed);
        }
    }

    pub(super) fn are_weak(&self, service: u16, path: &str) -> bool {
        let Some((name, known)) = self.services.get(usize::from(service)) else { return false };
        match self.paths.at(name, path).load(Ordering::Relaxed) {
            STRONG => false,
            WEAK_FORM => true,
            _ => known.load(Ordering::Relaxed),
        }
    }
}

/// Makes the answer's tag weak.
pub(super) fn weaken(headers: &mut HeaderMap) {
    let Some(tag) = headers.get(header::ETAG) else { return };
    if !tag.as_bytes().starts_with(b"\"") {
        return;
    }
    let weak = [WEAK, tag.as_bytes()].concat();
    if let Ok(weak) = HeaderValue::from_maybe_shared(Bytes::from(weak)) {
        headers.insert(header::ETAG, weak);
    }
}

/// Whether a list of tags has a weak one.
pub(super) fn names_weak(list: &HeaderValue) -> bool {
    without_weakness(list.as_bytes()).is_some()
}

/// Takes every `W/` off the tags in the lines of a field.
pub(super) fn restore(headers: &mut HeaderMap, name: &HeaderName) {
    if !headers.get_all(name).iter().any(names_weak) {
        return;
    }
    let lines: Vec<HeaderValue> = headers.get_all(name).iter().cloned().collect();
    headers.remove(name);
    for line in lines {
        let strong = without_weakness(line.as_bytes())
            .and_then(|list| HeaderValue::from_maybe_shared(Bytes::from(list)).ok());
        headers.append(name, strong.unwrap_or(line));
    }
}

/// The list with every weak tag strong; `None` where none is weak. What is inside of quotes is
/// never looked at.
fn without_weakness(list: &[u8]) -> Option<Vec<u8>> {
    let mut out: Option<Vec<u8>> = None;
    let (mut quoted, mut at) = (false, 0);
    while let Some(&byte) = list.get(at) {
        if !quoted && list[at..].starts_with(b"W/\"") {
            out.get_or_insert_with(|| list[..at].to_vec());
            at += WEAK.len();
            continue;
        }
        quoted ^= byte == b'"';
        if let Some(out) = &mut out {
            out.push(byte);
        }
        at += 1;
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn restored(lines: &[&'static str]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::IF_NONE_MATCH, HeaderValue::from_static(line));
        }
        restore(&mut headers, &header::IF_NONE_MATCH);
        let lines = headers.get_all(header::IF_NONE_MATCH);
        lines.iter().map(|line| line.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn a_weak_tag_comes_back_as_it_was_given() {
        for (sent, got) in [
            (&["W/\"v1\""][..], &["\"v1\""][..]),
            (&["\"v1\""], &["\"v1\""]),
            (&["*"], &["*"]),
            (&["W/\"a\", \"b\",W/\"c\""], &["\"a\", \"b\",\"c\""]),
            (&["W/\"a\"", "W/\"b\""], &["\"a\"", "\"b\""]),
            (&["\"W/\""], &["\"W/\""]),
            (&["\"a,W/\", W/\"W/\""], &["\"a,W/\", \"W/\""]),
            (&["W/", "w/\"a\""], &["W/", "w/\"a\""]),
        ] {
            assert_eq!(restored(sent), got, "{sent:?}");
        }
    }

    #[test]
    fn a_reload_forgets_no_services_form_wherever_it_stands_then() {
        let before = TagForms::new(&["shop", "feed"], None);
        before.note(1, "/a", true);
        let after = TagForms::new(&["feed", "new", "shop"], Some(&before));
        assert_eq!([0, 1, 2, 3].map(|at| after.are_weak(at, "/b")), [true, false, false, false]);
        assert!(after.are_weak(0, "/a") && !after.are_weak(2, "/a"));
    }

    /// One form must not undo what is known of the other: with its tag still weak an `If-Match`
    /// would never be met again.
    #[test]
    fn a_service_may_give_both_forms() {
        let forms = TagForms::new(&["shop"], None);
        forms.note(0, "/strong", false);
        forms.note(0, "/weak", true);
        assert!(!forms.are_weak(0, "/strong") && forms.are_weak(0, "/weak"));
        assert!(forms.are_weak(0, "/unseen"), "as the last of the service");
        forms.note(0, "/strong", false);
        assert!(!forms.are_weak(0, "/unseen") && forms.are_weak(0, "/weak"));
    }

    #[test]
    fn only_a_strong_tag_is_made_weak() {
        for (given, said) in
            [("\"v1\"", "W/\"v1\""), ("W/\"v1\"", "W/\"v1\""), ("v1", "v1"), ("\"\"", "W/\"\"")]
        {
            let mut headers = HeaderMap::new();
            headers.insert(header::ETAG, HeaderValue::from_static(given));
            weaken(&mut headers);
            assert_eq!(headers[header::ETAG], said);
        }
    }

    proptest! {
        #[test]
        fn out_and_back_is_where_it_was(tags in prop::collection::vec("\"[!#-~]{0,9}\"", 1..5)) {
            let mut sent = Vec::new();
            for tag in &tags {
                let mut headers = HeaderMap::new();
                headers.insert(header::ETAG, tag.parse().unwrap());
                weaken(&mut headers);
                sent.push(headers[header::ETAG].to_str().unwrap().to_owned());
            }
            let back = without_weakness(sent.join(", ").as_bytes()).unwrap();
            prop_assert_eq!(String::from_utf8(back).unwrap(), tags.join(", "));
        }
    }
}
