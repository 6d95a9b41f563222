//! What stored answers and invalidations are found by: keyed hashes that nobody outside can aim at
//! each other.

use std::hash::Hasher as _;

use plimsoll_http_kit::caching::storing::Audience;
use plimsoll_http_kit::caching::vary::Selection;
use siphasher::sip128::{Hasher128 as _, SipHasher13};

/// What a stored answer is found by. It can be made from a [`Place`] and a [`Partition`] alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key(u128);

impl Key {
    /// Bits to spread keys over shards by.
    pub(crate) fn spread(self) -> usize {
        half(self.0) as usize
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// A verified subject with the rights it showed, or whoever shows some credentials; made by
/// [`super::Identity`] alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Subject(u128);

/// Who wrote; made by [`super::Identity`] alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Writer(pub(super) u64);

/// What is invalidated: one target, or one group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark(pub(super) u64);

/// Whose answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Partition {
    /// Everybody's.
    Shared,
    /// One subject's.
    Subject(Subject),
}

/// Where an answer belongs. A service is one version of an API, so that the version is in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'p> {
    pub(crate) tenant: &'p str,
    pub(crate) service: &'p str,
    pub(crate) release: &'p str,
    pub(crate) secure: bool,
    pub(crate) host: &'p str,
    /// Path and query.
    pub(crate) target: &'p str,
}

/// Makes keys. The same on nodes with the same seed.
#[derive(Clone)]
pub(crate) struct Keys(SipHasher13);

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(..)")
    }
}

impl Keys {
    pub(crate) fn new(seed: &[u8; 16]) -> Self {
        Self(SipHasher13::new_with_key(seed))
    }

    /// The key of the answers at `place` in `partition`.
    pub(crate) fn key(&self, place: &Place<'_>, partition: Partition) -> Key {
        let mut parts = Parts::new(self, 1);
        parts.add(place.tenant.as_bytes());
        parts.add(place.service.as_bytes());
        parts.add(place.release.as_bytes());
        parts.add(&[u8::from(place.secure)]);
        parts.add_host(place.host);
        parts.add(place.target.as_bytes());
        match partition {
            Partition::Shared => parts.add(&[]),
            Partition::Subject(subject) => parts.add(&subject.0.to_le_bytes()),
        }
        Key(parts.finish())
    }

    /// The mark of a target, whoever asks for it and whatever release answers.
    pub(crate) fn target(&self, host: &str, target: &str) -> Mark {
        let mut parts = Parts::new(self, 2);
        parts.add_host(host);
        parts.add(target.as_bytes());
        Mark(half(parts.finish()))
    }

    /// The mark of a group of this host.
    pub(crate) fn group(&self, host: &str, group: &str) -> Mark {
        let mut parts = Parts::new(self, 3);
        parts.add_host(host);
        parts.add(group.as_bytes());
        Mark(half(parts.finish()))
    }

    /// A subject by everything that its answers could depend on.
    pub(super) fn subject<'p>(&self, shown: impl Iterator<Item = &'p [u8]>) -> Subject {
        Subject(self.all(4, shown))
    }

    /// Whoever shows this `Authorization`, which nobody verified.
    pub(super) fn bearer<'p>(&self, shown: impl Iterator<Item = &'p [u8]>) -> Subject {
        Subject(self.all(7, shown))
    }

    /// A writer by what it is told from others by.
    pub(super) fn writer<'p>(&self, shown: impl Iterator<Item = &'p [u8]>) -> Writer {
        Writer(half(self.all(5, shown)))
    }

    /// What tells the answers under one key apart that different requests select.
    pub(super) fn variant(&self, selection: &Selection, audience: Audience) -> Vec<u8> {
        let mut parts = Parts::new(self, 6);
        parts.add(&[match audience {
            Audience::Anyone => 0,
            Audience::Anonymous => 1,
            Audience::Subject => 2,
        }]);
        for (name, value) in selection.fields() {
            parts.add(name.as_str().as_bytes());
            parts.add(&[u8::from(value.is_some())]);
            parts.add(value.unwrap_or_default());
        }
        parts.finish().to_le_bytes().to_vec()
    }

    fn all<'p>(&self, domain: u8, shown: impl Iterator<Item = &'p [u8]>) -> u128 {
        let mut parts = Parts::new(self, domain);
        shown.for_each(|part| parts.add(part));
        parts.finish()
    }
}

#[expect(clippy::cast_possible_truncation, reason = "half of a hash is a hash")]
fn half(hash: u128) -> u64 {
    hash as u64
}

/// Each part with its length, so that parts cannot run into each other.
struct Parts(SipHasher13);

impl Parts {
    fn new(keys: &Keys, domain: u8) -> Self {
        let mut hasher = keys.0;
        hasher.write_u8(domain);
        Self(hasher)
    }

    fn add(&mut self, part: &[u8]) {
        self.0.write(&(part.len() as u64).to_le_bytes());
        self.0.write(part);
    }

    /// Hosts are the same in any letter case (RFC 9110 §4.2.3).
    fn add_host(&mut self, host: &str) {
        if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
            self.add(host.to_ascii_lowercase().as_bytes());
        } else {
            self.add(host.as_bytes());
        }
    }

    fn finish(self) -> u128 {
        self.0.finish128().as_u128()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn place() -> impl Strategy<Value = [String; 5]> {
        prop::array::uniform5("[ab/]{0,2}")
    }

    fn key(parts: &[String; 5], secure: bool, subject: Option<u8>) -> Key {
        let keys = Keys::new(&[7; 16]);
        let [tenant, service, release, host, target] = parts;
        let partition = subject.map_or(Partition::Shared, |subject| {
            Partition::Subject(keys.subject([&[subject][..]].into_iter()))
        });
        keys.key(&Place { tenant, service, release, secure, host, target }, partition)
    }

    proptest! {
        /// Two keys are one only where everything that must not be mixed up is the same.
        #[test]
        fn places_and_subjects_do_not_run_into_each_other(
            one in place(), other in place(),
            secure in any::<(bool, bool)>(),
            subjects in prop::option::of(0_u8..2),
            others in prop::option::of(0_u8..2),
        ) {
            let same = one == other && secure.0 == secure.1 && subjects == others;
            let keys = (key(&one, secure.0, subjects), key(&other, secure.1, others));
            prop_assert_eq!(keys.0 == keys.1, same);
        }
    }

    #[test]
    fn a_host_is_the_same_in_any_case() {
        let keys = Keys::new(&[7; 16]);
        assert_eq!(keys.target("A.example", "/x"), keys.target("a.EXAMPLE", "/x"));
        assert_ne!(keys.target("a.example", "/x"), keys.target("a.example", "/X"));
        assert_ne!(keys.target("a.example", "x"), keys.group("a.example", "x"));
        assert_ne!(keys.target("a", "x"), Keys::new(&[8; 16]).target("a", "x"));
    }
}
