//! A checkpoint: one signed statement about the chain, in a line of its own. Pure.

use plimsoll_protection::{Keyring, PublicKey, SIGNATURE_BYTES, Signature, sha256};
use serde::{Deserialize, Serialize};

use crate::hex;
use crate::model::Hash;

/// What checkpoints are signed for.
pub const CHECKPOINT_DOMAIN: &str = "plimsoll.ledger.checkpoint.v1";
/// The longest note, in bytes.
pub(crate) const NOTE_BYTES_MAX: usize = 512;

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The chain has this size and this head.
    Checkpoint,
    /// An operator accepted that the chain differs from what earlier checkpoints say, because a
    /// backup was restored; the note says why. Later checkpoints are held against this one.
    Accepted,
}

/// One record. Each holds the hash of the one before, so that none can be taken out unseen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Counts the records of one key from 1.
    pub sequence: u64,
    /// What it says.
    pub kind: Kind,
    /// How many entries are sealed.
    pub size: u64,
    /// The chain at that size.
    pub head: Hash,
    /// When it was signed, in milliseconds since 1970-01-01T00:00:00Z.
    pub at_unix_ms: u64,
    /// SHA-256 over message and signature of the record before; zeros before the first.
    pub before: Hash,
    /// Why, where an operator accepted something.
    pub note: String,
    /// The id of the key that signed.
    pub key_id: String,
    /// The signature over [`Checkpoint::message`].
    pub signature: [u8; SIGNATURE_BYTES],
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    v: u8,
    seq: u64,
    kind: Kind,
    size: u64,
    head: String,
    at_ms: u64,
    prev: String,
    note: String,
    key: String,
    sig: String,
}

impl Checkpoint {
    /// Signs what follows `last`.
    #[must_use]
    pub(crate) fn sign(
        keyring: &Keyring,
        last: Option<&Checkpoint>,
        kind: Kind,
        (size, head): (u64, Hash),
        at_unix_ms: u64,
        note: &str,
    ) -> Self {
        let mut checkpoint = Self {
            sequence: last.map_or(1, |last| last.sequence + 1),
            kind,
            size,
            head,
            at_unix_ms,
            before: last.map_or([0; 32], Checkpoint::hash),
            note: note.to_owned(),
            key_id: keyring.public_key().id().to_owned(),
            signature: [0; SIGNATURE_BYTES],
        };
        checkpoint.signature = keyring.sign(CHECKPOINT_DOMAIN, &checkpoint.message()).0;
        checkpoint
    }

    /// What is signed: kind (0, 1), sequence, size, head, time, hash of the record before, and the
    /// note with its length. Numbers are eight bytes, the length four, the greatest byte first.
    #[must_use]
    pub fn message(&self) -> Vec<u8> {
        let note = self.note.as_bytes();
        let mut out = Vec::with_capacity(93 + note.len());
        out.push(match self.kind {
            Kind::Checkpoint => 0,
            Kind::Accepted => 1,
        });
        out.extend_from_slice(&self.sequence.to_be_bytes());
        out.extend_from_slice(&self.size.to_be_bytes());
        out.extend_from_slice(&self.head);
        out.extend_from_slice(&self.at_unix_ms.to_be_bytes());
        out.extend_from_slice(&self.before);
        out.extend_from_slice(&u32::try_from(note.len()).unwrap_or(u32::MAX).to_be_bytes());
        out.extend_from_slice(note);
        out
    }

    /// What the next record holds of this one.
    #[must_use]
    pub fn hash(&self) -> Hash {
        sha256(&[&self.message(), &self.signature])
    }

    /// Whether one of `keys` signed it.
    #[must_use]
    pub fn is_signed_by(&self, keys: &[PublicKey]) -> bool {
        let signature = Signature(self.signature);
        keys.iter().any(|key| {
            key.id() == self.key_id
                && key.verify(CHECKPOINT_DOMAIN, &self.message(), &signature).is_ok()
        })
    }

    /// As one line, without its end.
    #[must_use]
    pub fn to_line(&self) -> String {
        let line = Line {
            v: 1,
            seq: self.sequence,
            kind: self.kind,
            size: self.size,
            head: hex::encode(&self.head),
            at_ms: self.at_unix_ms,
            prev: hex::encode(&self.before),
            note: self.note.clone(),
            key: self.key_id.clone(),
            sig: hex::encode(&self.signature),
        };
        // Numbers and texts have no value that JSON cannot hold.
        serde_json::to_string(&line).unwrap_or_default()
    }

    /// Reads a line.
    #[must_use]
    pub fn from_line(line: &str) -> Option<Self> {
        let line: Line = serde_json::from_str(line).ok()?;
        if line.v != 1 || line.note.len() > NOTE_BYTES_MAX {
            return None;
        }
        Some(Self {
            sequence: line.seq,
            kind: line.kind,
            size: line.size,
            head: hex::array(&line.head)?,
            at_unix_ms: line.at_ms,
            before: hex::array(&line.prev)?,
            note: line.note,
            key_id: line.key,
            signature: hex::array(&line.sig)?,
        })
    }
}
