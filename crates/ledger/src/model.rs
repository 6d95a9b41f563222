//! An entry, its hash, and the chain over entries. Pure: no I/O, no clock.
//!
//! `docs/ledger-format.md` says the same for those who write a verifier of their own.

use plimsoll_protection::{ActorHash, Sha256, sha256};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::canonical::canonical;
use crate::error::DetailError;

/// The longest canonical form of an entry's detail, in bytes.
pub const DETAIL_BYTES_MAX: usize = 8 * 1024;
/// The longest text that is sealed with an entry, in bytes.
pub const PERSONAL_BYTES_MAX: usize = 8 * 1024;
/// The longest subject, in bytes.
pub const SUBJECT_BYTES_MAX: usize = 256;

const ENTRY_DOMAIN: &[u8] = b"plimsoll.ledger.entry.v1";
const CHAIN_DOMAIN: &[u8] = b"plimsoll.ledger.chain.v1";

/// SHA-256, of an entry or of the chain.
pub type Hash = [u8; 32];

/// The chain before the first entry.
pub const CHAIN_START: Hash = [0; 32];

/// Who acts, as far as anybody may read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ActorKind {
    /// Plimsoll itself; has no hash.
    System,
    /// A person with access to the machine or the console, such as `local:1000`.
    Operator,
    /// A client of the team's app.
    Caller,
    /// The team's own backend, or whoever it names.
    Team,
}

impl ActorKind {
    /// As it is stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            ActorKind::System => "system",
            ActorKind::Operator => "operator",
            ActorKind::Caller => "caller",
            ActorKind::Team => "team",
        }
    }
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Done.
    Ok,
    /// Not allowed.
    Refused,
    /// Tried, and it did not work.
    Failed,
    /// Nobody can say.
    Unknown,
}

impl Outcome {
    /// As it is stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Outcome::Ok => "ok",
            Outcome::Refused => "refused",
            Outcome::Failed => "failed",
            Outcome::Unknown => "unknown",
        }
    }
}

/// One entry as it stands in the database, its hash left out.
///
/// Kinds and outcomes are texts here: an older verifier reads what a newer version wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// UUID version 7.
    pub id: Uuid,
    /// When it happened, in microseconds since 1970-01-01T00:00:00Z.
    pub at_us: i64,
    /// A name of the catalogue, such as `manifest.change`.
    pub action: String,
    /// See [`ActorKind`].
    pub actor_kind: String,
    /// The keyed hash of who acted.
    pub actor: Option<ActorHash>,
    /// What was acted on; may be empty.
    pub subject: String,
    /// See [`Outcome`].
    pub outcome: String,
    /// The change it belongs to.
    pub change_id: Option<Uuid>,
    /// What else is known. No personal data.
    pub detail: Value,
    /// What only a holder of the key-encrypting key may read.
    pub sealed_personal: Option<Vec<u8>>,
}

impl Entry {
    /// The entry's hash: SHA-256 over a domain and all fields, each with its length or a mark of
    /// absence, so that no two entries have the same bytes.
    ///
    /// # Errors
    /// When the detail has no canonical form.
    pub fn hash(&self) -> Result<Hash, DetailError> {
        let detail = canonical(&self.detail)?;
        let mut hash = Sha256::new();
        hash.update(ENTRY_DOMAIN);
        hash.update(self.id.as_bytes());
        hash.update(&self.at_us.to_be_bytes());
        field(&mut hash, Some(self.action.as_bytes()));
        field(&mut hash, Some(self.actor_kind.as_bytes()));
        field(&mut hash, self.actor.as_ref().map(|actor| actor.as_bytes().as_slice()));
        field(&mut hash, Some(self.subject.as_bytes()));
        field(&mut hash, Some(self.outcome.as_bytes()));
        field(&mut hash, self.change_id.as_ref().map(|id| id.as_bytes().as_slice()));
        field(&mut hash, Some(detail.as_bytes()));
        field(&mut hash, self.sealed_personal.as_deref());
        Ok(hash.finish())
    }
}

/// `0` for what is absent; `1`, the length as four bytes, and the bytes for what is there.
fn field(hash: &mut Sha256, bytes: Option<&[u8]>) {
    match bytes {
        None => hash.update(&[0]),
        Some(bytes) => {
            hash.update(&[1]);
            hash.update(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
            hash.update(bytes);
        }
    }
}

/// The chain at `position`, which starts at 1: SHA-256 over a domain, the chain before, the
/// position as eight bytes, and the hash of the entry there.
#[must_use]
pub fn link(before: &Hash, position: u64, entry: &Hash) -> Hash {
    sha256(&[CHAIN_DOMAIN, before, &position.to_be_bytes(), entry])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn entry() -> Entry {
        Entry {
            id: Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_0001),
            at_us: 1_795_000_000_000_000,
            action: "operator.act".into(),
            actor_kind: "operator".into(),
            actor: Some(ActorHash::from_bytes([7; 32])),
            subject: "flag checkout".into(),
            outcome: "ok".into(),
            change_id: None,
            detail: json!({ "b": 1, "a": ["x", null] }),
            sealed_personal: Some(vec![1, 2, 3]),
        }
    }

    #[test]
    fn the_hash_is_what_the_page_says() {
        // Computed by docs/ledger-format.md's own example in Python.
        let hash = entry().hash().unwrap();
        let expected = "c12bb0ef6545aa6742ad16744f1fcc62568bdd5eb840fa08b1b60ab3e2c465c7";
        assert_eq!(ActorHash::from_bytes(hash).to_string(), expected);
        let chain = link(&CHAIN_START, 1, &hash);
        let expected = "ca8fddab78a47975ff96e5307241d4cbd9033555221c33579d567d311c8c05cc";
        assert_eq!(ActorHash::from_bytes(chain).to_string(), expected);
    }

    #[test]
    fn the_order_of_names_in_the_detail_does_not_matter() {
        let other = Entry { detail: json!({ "a": ["x", null], "b": 1 }), ..entry() };
        assert_eq!(other.hash(), entry().hash());
    }

    #[test]
    fn every_field_counts() {
        let change = |act: fn(&mut Entry)| {
            let mut other = entry();
            act(&mut other);
            other
        };
        let others = [
            change(|e| e.id = Uuid::nil()),
            change(|e| e.at_us += 1),
            change(|e| e.action.push('x')),
            change(|e| e.actor_kind = "team".into()),
            change(|e| e.actor = None),
            change(|e| e.actor = Some(ActorHash::from_bytes([8; 32]))),
            change(|e| e.subject.clear()),
            change(|e| e.outcome = "failed".into()),
            change(|e| e.change_id = Some(Uuid::nil())),
            change(|e| e.detail = json!({})),
            change(|e| e.sealed_personal = None),
            change(|e| e.sealed_personal = Some(vec![])),
        ];
        let mut hashes: Vec<_> = others.iter().map(|e| e.hash().unwrap()).collect();
        hashes.push(entry().hash().unwrap());
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), others.len() + 1);
    }

    proptest! {
        #[test]
        fn bytes_cannot_move_from_one_field_to_the_next(a in ".{0,8}", b in ".{0,8}", c in ".{0,8}") {
            let one = Entry { subject: format!("{a}{b}"), outcome: c.clone(), ..entry() };
            let two = Entry { subject: a, outcome: format!("{b}{c}"), ..entry() };
            prop_assert_eq!(one.hash() == two.hash(), one == two);
        }
    }

    #[test]
    fn the_chain_binds_position_order_and_entry() {
        let (a, b) = ([1; 32], [2; 32]);
        let straight = link(&link(&CHAIN_START, 1, &a), 2, &b);
        assert_ne!(straight, link(&link(&CHAIN_START, 1, &b), 2, &a));
        assert_ne!(link(&CHAIN_START, 1, &a), link(&CHAIN_START, 2, &a));
    }
}
