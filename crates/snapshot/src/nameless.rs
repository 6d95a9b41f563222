//! Names for requests that no contract names: method + path with id-like segments as `{}`.
//!
//! A name becomes a metric label and a log field, so it must be the same for `/orders/17` and
//! `/orders/18`, and there must not be many of them, whatever a client sends. [`nameless()`] makes
//! the name, [`NamelessNames`] bounds how many there are.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

/// The name of every request after the first [`NAMES_MAX`] distinct names.
pub const NAMELESS_OTHER: &str = "other";

/// Most distinct names that one [`NamelessNames`] hands out, [`NAMELESS_OTHER`] not counted.
pub const NAMES_MAX: usize = 200;

/// Longest name in bytes; a longer one is [`NAMELESS_OTHER`].
const NAME_BYTES_MAX: usize = 160;

/// Table slots: a power of two, so that a full table is under half used and probes stay short.
const SLOTS: usize = 512;

/// Digits that make a segment a number, a date or an id rather than a word: `v2` and `sha256` are
/// words, `2026` and `ord_1234` are not.
const DIGITS_MIN: usize = 4;
/// From this length on, hexadecimal digits are an id.
const HEX_MIN: usize = 8;
/// From this length on, letters and digits mixed are a token.
const MIXED_TOKEN_MIN: usize = 16;
/// From this length on, anything is a token or a slug: one name each would be one too many.
const LONG_TOKEN_MIN: usize = 24;

/// The name of a request: `GET /orders/{}/lines`. The path is without its query.
///
/// ```
/// use plimsoll_snapshot::nameless;
///
/// assert_eq!(nameless("GET", "/orders/17/lines"), "GET /orders/{}/lines");
/// assert_eq!(nameless("GET", "/v2/users/9b2e4f8a"), "GET /v2/users/{}");
/// ```
#[must_use]
pub fn nameless(method: &str, path: &str) -> String {
    let mut buffer = NameBuffer::new();
    buffer.write(method, path).map_or_else(|| NAMELESS_OTHER.to_owned(), str::to_owned)
}

/// At most [`NAMES_MAX`] names, shared by all cores without a lock.
///
/// A name that was seen before costs one hash and a comparison, and no allocation. A slot is
/// written once and never changes, so a reader needs no lock and no reference count.
#[derive(Debug)]
pub struct NamelessNames {
    slots: Box<[OnceLock<Arc<str>>]>,
    taken: AtomicUsize,
    other: Arc<str>,
    hasher: std::hash::RandomState,
}

impl Default for NamelessNames {
    fn default() -> Self {
        Self::new()
    }
}

impl NamelessNames {
    /// An empty table.
    #[must_use]
    pub fn new() -> Self {
        Self {
            slots: (0..SLOTS).map(|_| OnceLock::new()).collect(),
            taken: AtomicUsize::new(0),
            other: NAMELESS_OTHER.into(),
            hasher: std::hash::RandomState::new(),
        }
    }

    /// The name of a request, learnt if it is new and there is room, else [`NAMELESS_OTHER`].
    pub fn name(&self, method: &str, path: &str) -> &Arc<str> {
        self.lookup(method, path, true)
    }

    /// The name of a request if it was learnt before, else [`NAMELESS_OTHER`]. For requests that
    /// came to nothing (404), so that a scan for paths cannot use the names up.
    pub fn known(&self, method: &str, path: &str) -> &Arc<str> {
        self.lookup(method, path, false)
    }

    /// How many names were learnt.
    pub fn len(&self) -> usize {
        self.taken.load(Ordering::Relaxed).min(NAMES_MAX)
    }

    /// Whether no name was learnt yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lookup(&self, method: &str, path: &str, learn: bool) -> &Arc<str> {
        let mut buffer = NameBuffer::new();
        let Some(name) = buffer.write(method, path) else {
            return &self.other;
        };
        // Truncating the hash is fine: only its low bits choose a slot.
        let start = usize::try_from(self.hasher.hash_one(name) & (SLOTS as u64 - 1)).unwrap_or(0);
        let (before, from) = self.slots.split_at(start);
        for slot in from.iter().chain(before) {
            let Some(held) = slot.get() else {
                match self.take(slot, name, learn) {
                    Some(held) if **held == *name => return held,
                    // Another core wrote another name here in between.
                    Some(_) => continue,
                    None => return &self.other,
                }
            };
            if **held == *name {
                return held;
            }
        }
        &self.other
    }

    /// Fills an empty slot, unless the names are used up.
    fn take<'s>(
        &self,
        slot: &'s OnceLock<Arc<str>>,
        name: &str,
        learn: bool,
    ) -> Option<&'s Arc<str>> {
        if !learn || self.taken.load(Ordering::Relaxed) >= NAMES_MAX {
            return None;
        }
        // The place is taken before the slot is written, so that two cores that learn at once
        // cannot go over the bound; it is given back when the other one won the slot.
        if self.taken.fetch_add(1, Ordering::Relaxed) >= NAMES_MAX {
            self.taken.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let mut written = false;
        let held = slot.get_or_init(|| {
            written = true;
            name.into()
        });
        if !written {
            self.taken.fetch_sub(1, Ordering::Relaxed);
        }
        Some(held)
    }
}

/// A name under construction, on the stack.
struct NameBuffer {
    bytes: [u8; NAME_BYTES_MAX],
    length: usize,
}

impl NameBuffer {
    const fn new() -> Self {
        Self { bytes: [0; NAME_BYTES_MAX], length: 0 }
    }

    /// `None` when the name does not fit.
    fn write(&mut self, method: &str, path: &str) -> Option<&str> {
        self.push(method)?;
        self.push(" ")?;
        for (index, segment) in path.split('/').enumerate() {
            if index > 0 {
                self.push("/")?;
            }
            let (stem, extension) = split_extension(segment);
            if is_id(segment) {
                self.push("{}")?;
            } else if is_id(stem) {
                self.push("{}")?;
                self.push(extension)?;
            } else {
                self.push(segment)?;
            }
        }
        std::str::from_utf8(self.bytes.get(..self.length)?).ok()
    }

    fn push(&mut self, text: &str) -> Option<()> {
        let end = self.length + text.len();
        self.bytes.get_mut(self.length..end)?.copy_from_slice(text.as_bytes());
        self.length = end;
        Some(())
    }
}

/// `17.json` is `17` and `.json`.
fn split_extension(segment: &str) -> (&str, &str) {
    let Some(dot) = segment.rfind('.') else {
        return (segment, "");
    };
    let (stem, extension) = segment.split_at(dot);
    let plain = extension.len() <= 6 && extension[1..].bytes().all(|b| b.is_ascii_lowercase());
    if plain { (stem, extension) } else { (segment, "") }
}

fn is_id(segment: &str) -> bool {
    let length = segment.len();
    let (mut digits, mut hex) = (0, 0);
    for byte in segment.bytes() {
        // Escapes, `@` inside (an e-mail address) and the like stand in data, not in route names.
        if matches!(byte, b'%' | b',' | b';' | b'=' | b':' | b'*') || byte >= 0x80 {
            return true;
        }
        digits += usize::from(byte.is_ascii_digit());
        hex += usize::from(byte.is_ascii_hexdigit());
    }
    (length > 0 && digits == length)
        || digits >= DIGITS_MIN
        || (length >= HEX_MIN && hex == length && digits > 0)
        || (length >= MIXED_TOKEN_MIN && digits > 0)
        || length >= LONG_TOKEN_MIN
        || segment.find('@').is_some_and(|at| at > 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ids_become_braces_and_words_stay() {
        for (path, name) in [
            ("/", "/"),
            ("/orders/17", "/orders/{}"),
            ("/orders/17/lines/3", "/orders/{}/lines/{}"),
            ("/v2/oauth2/token", "/v2/oauth2/token"),
            ("/u/9b2e4f8a-1c3d-4e5f-8a9b-0c1d2e3f4a5b", "/u/{}"),
            ("/u/9B2E4F8A", "/u/{}"),
            ("/u/deadbeef", "/u/deadbeef"),
            ("/o/ord_1234", "/o/{}"),
            ("/posts/how-to-write-a-good-readme-file", "/posts/{}"),
            ("/t/abcdefghij12345x", "/t/{}"),
            ("/files/17.json", "/files/{}.json"),
            ("/files/report.json", "/files/report.json"),
            ("/mail/a@example.org", "/mail/{}"),
            ("/@scope%2fname", "/{}"),
            ("/@scope", "/@scope"),
            ("/a//b/", "/a//b/"),
            ("/2026-11-22", "/{}"),
        ] {
            assert_eq!(nameless("GET", path), format!("GET {name}"), "{path}");
        }
    }

    #[test]
    fn a_name_that_does_not_fit_is_other() {
        assert_eq!(nameless("GET", &"/word".repeat(40)), NAMELESS_OTHER);
        assert_eq!(nameless(&"M".repeat(500), "/"), NAMELESS_OTHER);
    }

    #[test]
    fn after_the_bound_new_names_are_other_and_old_ones_stay() {
        let names = NamelessNames::new();
        let word = |i: usize| {
            let letter = |n: usize| char::from(b'a' + u8::try_from(n % 26).unwrap());
            format!("/w{}{}", letter(i / 26), letter(i))
        };
        for i in 0..NAMES_MAX {
            assert_eq!(&**names.name("GET", &word(i)), format!("GET {}", word(i)));
        }
        assert_eq!(&**names.name("GET", &word(NAMES_MAX)), NAMELESS_OTHER);
        assert_eq!(&**names.name("GET", &word(0)), "GET /waa");
        assert_eq!(names.len(), NAMES_MAX);
    }

    #[test]
    fn a_scan_that_finds_nothing_learns_nothing() {
        let names = NamelessNames::new();
        assert_eq!(&**names.known("GET", "/wp-admin"), NAMELESS_OTHER);
        assert!(names.is_empty());
        names.name("GET", "/feed");
        assert_eq!(&**names.known("GET", "/feed"), "GET /feed");
    }

    #[test]
    fn cores_that_learn_at_once_agree_and_stay_inside_the_bound() {
        let names = NamelessNames::new();
        let paths: Vec<String> = (0..26 * 26)
            .map(|i| {
                let letter = |n: usize| char::from(b'a' + u8::try_from(n % 26).unwrap());
                format!("/{}{}", letter(i / 26), letter(i))
            })
            .collect();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for path in &paths {
                        names.name("GET", path);
                    }
                });
            }
        });
        let learnt: std::collections::BTreeSet<&str> = paths
            .iter()
            .map(|path| &**names.known("GET", path))
            .filter(|name| *name != NAMELESS_OTHER)
            .collect();
        assert_eq!(learnt.len(), names.len());
        assert!((NAMES_MAX - 4..=NAMES_MAX).contains(&learnt.len()), "{}", learnt.len());
    }

    proptest! {
        #[test]
        fn any_path_has_a_bounded_name_without_its_numbers(
            method in "[A-Z]{1,7}",
            path in ".{0,300}",
        ) {
            let name = nameless(&method, &path);
            prop_assert!(name.len() <= NAME_BYTES_MAX);
            for segment in name.split('/').skip(1) {
                prop_assert!(segment.is_empty() || !segment.bytes().all(|b| b.is_ascii_digit()));
            }
        }
    }
}
