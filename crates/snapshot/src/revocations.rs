//! RevocationKeys tokens: by subject, for all that was issued until then, or one by its `jti`.
//!
//! Only hashes stand in the snapshot: who was revoked is nobody's business who reads a file.

use std::collections::HashMap;

use plimsoll_protection::Sha256;
use serde::{Deserialize, Serialize};

use crate::Dynamic;

/// The room whose items revocations are.
pub const REVOCATIONS_ROOM: &str = "identity";

const PREFIX: &str = "revoked:";
const DOMAIN: &[u8] = b"plimsoll revocation 1";

/// Whom or what a revocation names, as 128 bits of a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RevocationKey(u128);

impl RevocationKey {
    /// A subject, of one issuer or of every one.
    #[must_use]
    pub fn subject(issuer: Option<&str>, subject: &str) -> Self {
        Self::of(&[b"sub", issuer.unwrap_or("").as_bytes(), subject.as_bytes()])
    }

    /// One token by its `jti` (RFC 7519 §4.1.7), of one issuer or of every one.
    #[must_use]
    pub fn token(issuer: Option<&str>, token_id: &str) -> Self {
        Self::of(&[b"jti", issuer.unwrap_or("").as_bytes(), token_id.as_bytes()])
    }

    fn of(parts: &[&[u8]]) -> Self {
        let mut hash = Sha256::new();
        for part in std::iter::once(DOMAIN).chain(parts.iter().copied()) {
            hash.update(&(part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let mut half = [0; 16];
        half.copy_from_slice(&hash.finish()[..16]);
        Self(u128::from_be_bytes(half))
    }

    /// The key of its item.
    #[must_use]
    pub fn item_key(self) -> String {
        format!("{PREFIX}{:032x}", self.0)
    }

    fn from_item_key(key: &str) -> Option<Self> {
        let digits = key.strip_prefix(PREFIX).filter(|digits| digits.len() == 32)?;
        u128::from_str_radix(digits, 16).ok().map(Self)
    }
}

/// What one revocation says: the body of its item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// Tokens issued at or before this are refused, in seconds since 1970-01-01T00:00:00Z. A token
    /// that does not say when it was issued counts as issued before.
    pub issued_until_unix_s: u64,
}

/// The revocations in force, as an edge looks them up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Revocations {
    by_key: HashMap<RevocationKey, Revocation>,
}

/// What of a token revocations are looked up by: made once, when the token is verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RevocationKeys {
    keys: [Option<RevocationKey>; 4],
    issued_unix_s: Option<u64>,
}

impl RevocationKeys {
    /// Of a verified token.
    #[must_use]
    pub fn of_token(
        issuer: &str,
        subject: &str,
        token_id: Option<&str>,
        issued_unix_s: Option<u64>,
    ) -> Self {
        Self {
            keys: [
                Some(RevocationKey::subject(None, subject)),
                Some(RevocationKey::subject(Some(issuer), subject)),
                token_id.map(|id| RevocationKey::token(None, id)),
                token_id.map(|id| RevocationKey::token(Some(issuer), id)),
            ],
            issued_unix_s,
        }
    }
}

impl Revocations {
    /// Those that count at `now_unix_s`. An item that cannot be read is left out and counted.
    #[must_use]
    pub fn of(dynamic: &Dynamic, now_unix_s: u64) -> (Self, usize) {
        let mut unread = 0;
        let mut by_key = HashMap::new();
        for item in dynamic.of_room(REVOCATIONS_ROOM, now_unix_s) {
            let Some(key) = RevocationKey::from_item_key(&item.key) else { continue };
            match item.body.as_ref().map(Revocation::deserialize) {
                Some(Ok(revocation)) => drop(by_key.insert(key, revocation)),
                _ => unread += 1,
            }
        }
        (Self { by_key }, unread)
    }

    /// Whether the token is revoked.
    #[must_use]
    pub fn names(&self, token: &RevocationKeys) -> bool {
        !self.by_key.is_empty()
            && token.keys.iter().flatten().any(|key| {
                self.by_key.get(key).is_some_and(|revocation| {
                    token.issued_unix_s.is_none_or(|at| at <= revocation.issued_until_unix_s)
                })
            })
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Item;

    fn revocations(keys: &[(RevocationKey, u64)]) -> Revocations {
        let items = keys.iter().map(|(key, until)| Item {
            room: REVOCATIONS_ROOM.into(),
            key: key.item_key(),
            epoch: 1,
            body: serde_json::to_value(Revocation { issued_until_unix_s: *until }).ok(),
            expires_unix_s: Some(1_000),
        });
        let (revocations, unread) = Revocations::of(&Dynamic::whole(1, items.collect()), 10);
        assert_eq!(unread, 0);
        revocations
    }

    fn token(issuer: &str, subject: &str, id: Option<&str>, issued: Option<u64>) -> RevocationKeys {
        RevocationKeys::of_token(issuer, subject, id, issued)
    }

    #[test]
    fn a_subject_is_revoked_for_what_was_issued_until_then() {
        let all = revocations(&[(RevocationKey::subject(None, "alice"), 100)]);
        assert!(all.names(&token("https://a", "alice", None, Some(100))));
        assert!(all.names(&token("https://b", "alice", None, None)), "no iat counts as before");
        assert!(!all.names(&token("https://a", "alice", None, Some(101))));
        assert!(!all.names(&token("https://a", "bob", None, Some(1))));
        let one = revocations(&[(RevocationKey::subject(Some("https://a"), "alice"), 100)]);
        assert!(one.names(&token("https://a", "alice", None, Some(1))));
        assert!(!one.names(&token("https://b", "alice", None, Some(1))));
    }

    #[test]
    fn a_token_is_revoked_by_its_id_and_no_other_kind_of_name() {
        let all = revocations(&[(RevocationKey::token(None, "t1"), u64::MAX)]);
        assert!(all.names(&token("https://a", "x", Some("t1"), Some(5))));
        assert!(!all.names(&token("https://a", "t1", None, Some(5))));
        assert!(!all.names(&token("https://a", "x", Some("t2"), Some(5))));
    }

    #[test]
    fn what_is_no_revocation_is_left_out_and_counted() {
        let odd = Item {
            room: REVOCATIONS_ROOM.into(),
            key: RevocationKey::token(None, "x").item_key(),
            epoch: 1,
            body: Some("odd".into()),
            expires_unix_s: None,
        };
        let (revocations, unread) = Revocations::of(&Dynamic::whole(1, vec![odd]), 0);
        assert!(revocations.is_empty());
        assert_eq!(unread, 1);
    }
}
