//! What a spool holds: audited operations, and what Plimsoll has to say of itself.

use plimsoll_protection::ActorHash;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::facts::Fact;
use crate::hex;
use crate::model::{ActorKind, Outcome};

/// One audited operation: who, what, outcome; never a body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRecord {
    /// What kind of actor.
    pub actor_kind: ActorKind,
    /// Who, as a keyed hash.
    #[serde(with = "actor_hex", default)]
    pub actor: Option<ActorHash>,
    /// The service; at most 64 bytes.
    pub service: String,
    /// The operation; at most 128 bytes.
    pub operation: String,
    /// The request's id; at most 128 bytes.
    pub request_id: String,
    /// The status it was answered with.
    pub status: u16,
    /// How it ended.
    pub outcome: Outcome,
    /// When, in milliseconds since 1970-01-01T00:00:00Z.
    pub at_unix_ms: u64,
}

/// An entry of our own that waits for the database: a start, a stop, another manifest, an act of an
/// operator that no server was there to write down.
#[derive(Clone, Debug)]
pub struct OwnEntry {
    /// Which operator acted, such as `local:1000`; none where it is Plimsoll itself.
    pub operator: Option<String>,
    /// What happened.
    pub fact: Fact,
    /// When, in milliseconds since 1970-01-01T00:00:00Z.
    pub at_unix_ms: u64,
}

/// The same as it is stored. The name of the operator stands there in clear, as the directory's
/// owner is alone in reading it, until it becomes a keyed hash in the ledger.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StoredOwn {
    pub(crate) action: String,
    pub(crate) operator: Option<String>,
    pub(crate) subject: String,
    pub(crate) detail: Value,
    pub(crate) at_unix_ms: u64,
}

impl From<OwnEntry> for StoredOwn {
    fn from(own: OwnEntry) -> Self {
        let OwnEntry { operator, fact, at_unix_ms } = own;
        let action = fact.action().to_owned();
        let (subject, detail) = fact.into_parts();
        Self { action, operator, subject, detail, at_unix_ms }
    }
}

/// A record's payload.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Payload {
    Own { own: Box<StoredOwn> },
    Audit(AuditRecord),
}

/// As an own entry is written.
#[derive(Debug, Serialize)]
pub(super) struct Own {
    pub(super) own: StoredOwn,
}

mod actor_hex {
    use super::{ActorHash, hex};
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    #[expect(clippy::ref_option, reason = "serde's signature")]
    pub(super) fn serialize<S: Serializer>(
        actor: &Option<ActorHash>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match actor {
            None => serializer.serialize_none(),
            Some(actor) => serializer.serialize_str(&actor.to_string()),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<ActorHash>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| {
            let bytes = hex::array(&text).ok_or_else(|| D::Error::custom("no keyed hash"))?;
            Ok(ActorHash::from_bytes(bytes))
        })
        .transpose()
    }
}
