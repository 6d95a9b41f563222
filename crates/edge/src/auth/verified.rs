//! What is known of a caller once its token is verified.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::hmac;
use plimsoll_snapshot::RevocationKeys;
use smallvec::SmallVec;

use super::keys::Key;

/// A caller as a keyed hash. It stands for the caller in limits, logs and metrics, and says
/// nothing about it to whoever lacks the key.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CallerHash(u128);

impl CallerHash {
    /// 64 of its bits, for keyed state that bounds its own collisions.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "the low half is what is asked for")]
    pub fn low64(self) -> u64 {
        self.0 as u64
    }

    /// All 128 bits.
    #[must_use]
    pub fn as_u128(self) -> u128 {
        self.0
    }
}

impl fmt::Display for CallerHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for CallerHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Makes caller hashes: HMAC-SHA-256 cut to 128 bits. The same key gives the same caller the same
/// hash on every node and after every restart.
#[derive(Clone)]
pub struct CallerKey(Arc<hmac::Key>);

impl CallerKey {
    /// Takes the key.
    #[must_use]
    pub fn new(secret: &[u8; 32]) -> Self {
        Self(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, secret)))
    }

    /// The hash of `parts` within `domain`. No two different lists of parts, and no two domains,
    /// share an input.
    #[must_use]
    pub fn hash(&self, domain: &str, parts: &[&[u8]]) -> CallerHash {
        let mut context = hmac::Context::with_key(&self.0);
        for part in std::iter::once(domain.as_bytes()).chain(parts.iter().copied()) {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut half = [0; 16];
        half.copy_from_slice(&context.sign().as_ref()[..16]);
        CallerHash(u128::from_be_bytes(half))
    }
}

impl fmt::Debug for CallerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallerKey(..)")
    }
}

/// The scopes of a token, sorted and each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scopes(SmallVec<[Arc<str>; 4]>);

impl Scopes {
    pub(super) fn new(scopes: impl IntoIterator<Item = Arc<str>>) -> Self {
        let mut scopes: SmallVec<[Arc<str>; 4]> = scopes.into_iter().collect();
        scopes.sort_unstable();
        scopes.dedup();
        Self(scopes)
    }

    /// Whether `scope` is held.
    #[must_use]
    pub fn has(&self, scope: &str) -> bool {
        self.0.binary_search_by(|held| (**held).cmp(scope)).is_ok()
    }

    /// Whether every scope of at least one alternative is held. An empty alternative asks for
    /// nothing; no alternative at all can never be met.
    #[must_use]
    pub fn meet_any(&self, any_of: &[Vec<String>]) -> bool {
        any_of.iter().any(|all| all.iter().all(|scope| self.has(scope)))
    }

    /// The scopes in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|scope| &**scope)
    }
}

/// A caller whose token was verified: signature, issuer, audience and times.
pub struct Verified {
    pub(super) issuer: Arc<str>,
    pub(super) subject: Box<str>,
    pub(super) tenant: Arc<str>,
    pub(super) scopes: Scopes,
    pub(super) expires_unix_s: u64,
    pub(super) not_before_unix_s: Option<u64>,
    pub(super) token_id: Option<Box<str>>,
    pub(super) revocation: RevocationKeys,
    pub(super) caller: CallerHash,
    /// The rules the token was judged by; others may judge it otherwise.
    pub(super) rules_id: u64,
    /// `exp` and the skew.
    pub(super) good_until_unix_s: u64,
    /// `nbf` less the skew.
    pub(super) good_from_unix_s: u64,
    pub(super) key: Arc<Key>,
}

impl Verified {
    /// `iss`, exactly as configured.
    #[must_use]
    pub fn issuer(&self) -> &Arc<str> {
        &self.issuer
    }

    /// `sub`: personal data, never for a log. It holds no control character, but may hold any
    /// other, quotes and non-ASCII included.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The tenant, `default` where no claim names one. No control characters.
    #[must_use]
    pub fn tenant(&self) -> &Arc<str> {
        &self.tenant
    }

    /// The scopes.
    #[must_use]
    pub fn scopes(&self) -> &Scopes {
        &self.scopes
    }

    /// `exp` in seconds since 1970-01-01T00:00:00Z, without the skew.
    #[must_use]
    pub fn expires_unix_s(&self) -> u64 {
        self.expires_unix_s
    }

    /// `nbf`, likewise.
    #[must_use]
    pub fn not_before_unix_s(&self) -> Option<u64> {
        self.not_before_unix_s
    }

    /// `jti`.
    #[must_use]
    pub fn token_id(&self) -> Option<&str> {
        self.token_id.as_deref()
    }

    /// What revocations are looked up by.
    #[must_use]
    pub fn revocation(&self) -> &RevocationKeys {
        &self.revocation
    }

    /// Issuer, tenant and subject as a keyed hash.
    #[must_use]
    pub fn caller(&self) -> CallerHash {
        self.caller
    }

    /// Whether it still holds: by its own times, and by its key, which its issuer may have taken
    /// back or which may be too old to be believed.
    #[must_use]
    pub fn holds(&self, now_unix_s: u64) -> bool {
        self.good_from_unix_s <= now_unix_s
            && now_unix_s < self.good_until_unix_s
            && self.key.usable(now_unix_s)
    }
}

impl fmt::Debug for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verified")
            .field("issuer", &self.issuer)
            .field("caller", &self.caller)
            .field("expires_unix_s", &self.expires_unix_s)
            .finish_non_exhaustive()
    }
}

/// Keeps one copy of strings that many tokens share. Bounded: once full, new strings are simply
/// not shared.
#[derive(Debug, Default)]
pub(super) struct Interner(Mutex<HashSet<Arc<str>>>);

const INTERNED_MAX: usize = 1_024;
const INTERNED_BYTES_MAX: usize = 128;

impl Interner {
    pub(super) fn get(&self, text: &str) -> Arc<str> {
        if text.len() > INTERNED_BYTES_MAX {
            return text.into();
        }
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shared) = known.get(text) {
            return Arc::clone(shared);
        }
        let shared: Arc<str> = text.into();
        if known.len() < INTERNED_MAX {
            known.insert(Arc::clone(&shared));
        }
        shared
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scopes(list: &[&str]) -> Scopes {
        Scopes::new(list.iter().map(|s| Arc::from(*s)))
    }

    fn any_of(alternatives: &[&[&str]]) -> Vec<Vec<String>> {
        let owned = |all: &&[&str]| all.iter().map(|s| (*s).to_owned()).collect();
        alternatives.iter().map(owned).collect()
    }

    #[test]
    fn scopes_are_sorted_once_each_and_found() {
        let held = scopes(&["write", "read", "write"]);
        assert_eq!(held.iter().collect::<Vec<_>>(), ["read", "write"]);
        assert!(held.has("read") && held.has("write"));
        for not in ["", "rea", "reader", "READ"] {
            assert!(!held.has(not), "{not}");
        }
    }

    #[test]
    fn one_whole_alternative_has_to_be_met() {
        let held = scopes(&["a", "b"]);
        assert!(held.meet_any(&any_of(&[&["a", "b"]])));
        assert!(held.meet_any(&any_of(&[&["c"], &["b"]])));
        assert!(held.meet_any(&any_of(&[&[]])));
        assert!(!held.meet_any(&any_of(&[&["a", "c"], &["d"]])));
        assert!(!held.meet_any(&[]));
        assert!(!scopes(&[]).meet_any(&any_of(&[&["a"]])));
    }

    #[test]
    fn hashes_do_not_run_parts_together() {
        let key = CallerKey::new(&[7; 32]);
        let base = key.hash("d", &[b"ab", b"c"]);
        assert_eq!(base, key.hash("d", &[b"ab", b"c"]));
        for other in [
            key.hash("d", &[b"a", b"bc"]),
            key.hash("d", &[b"abc"]),
            key.hash("d", &[b"ab", b"c", b""]),
            key.hash("e", &[b"ab", b"c"]),
            CallerKey::new(&[8; 32]).hash("d", &[b"ab", b"c"]),
        ] {
            assert_ne!(base, other);
        }
        assert_eq!(base.to_string().len(), 32);
        assert_eq!(u128::from(base.low64()), base.as_u128() & u128::from(u64::MAX));
    }

    #[test]
    fn interned_strings_are_shared_and_bounded() {
        let interner = Interner::default();
        assert!(Arc::ptr_eq(&interner.get("orders:write"), &interner.get("orders:write")));
        for n in 0..3_000 {
            interner.get(&n.to_string());
        }
        assert_eq!(interner.0.lock().unwrap().len(), INTERNED_MAX);
        assert_eq!(&*interner.get("2999"), "2999");
    }
}
