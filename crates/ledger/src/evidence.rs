//! Evidence: what was seen, when, and by whom. Readiness gates are judged by it and by nothing
//! else.
//!
//! It stands in the ledger as `evidence.add` and carries a keyed mark over the whole entry, its id
//! and who brought it included: so an entry that was edited, put there by somebody with all rights
//! on the database, or put there a second time as if it were newer, is told from one that this
//! Plimsoll wrote. No verdict is ever kept.

use plimsoll_protection::{ActorHash, Keyring, SealError};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::error::LedgerError;
use crate::facts::Fact;
use crate::hex;
use crate::model::Entry;
use crate::service::{Actor, Append, Filter, Ledger};
use crate::store;

/// Facts in one piece of evidence.
pub const EVIDENCE_FACTS_MAX: usize = 32;
/// A text among them, bytes.
pub const EVIDENCE_TEXT_BYTES_MAX: usize = 256;

/// What the mark of evidence is made for.
const MARK: &str = "ledger.evidence.v1";

/// How evidence came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum How {
    /// Plimsoll watched, asked or tried it itself.
    Measured,
    /// Another tool measured it, and an operator brought its report.
    Imported,
    /// A person said so, in a document with an owner and a date, or a manifest says so.
    Declared,
}

impl How {
    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            How::Measured => "measured",
            How::Imported => "imported",
            How::Declared => "declared",
        }
    }
}

/// A kind of evidence that a capability brings, so that a gate can be judged by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EvidenceKind {
    /// Its name, such as `edge.authentication`.
    pub kind: &'static str,
    /// The crate that brings it.
    pub room: &'static str,
    /// How it comes to be.
    pub how: How,
}

/// One observation.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    /// What was looked at, such as `edge.authentication` or `document.product-brief`.
    pub kind: String,
    /// How it came to be.
    pub how: How,
    /// Whole numbers, truths and short texts by name. Never personal data.
    pub facts: Map<String, Value>,
}

impl Evidence {
    /// A measurement.
    #[must_use]
    pub fn measured(kind: &str, facts: Map<String, Value>) -> Self {
        Self { kind: kind.to_owned(), how: How::Measured, facts }
    }

    /// # Errors
    /// A fact that is no whole number, truth or short text, or too many of them.
    pub(crate) fn check(&self) -> Result<(), LedgerError> {
        let invalid = |expected| Err(LedgerError::Invalid { field: "evidence", expected });
        if self.facts.len() > EVIDENCE_FACTS_MAX {
            return invalid("has more than 32 facts");
        }
        for value in self.facts.values() {
            match value {
                Value::Number(number) if number.is_i64() || number.is_u64() => {}
                Value::Bool(_) => {}
                Value::String(text) if text.len() <= EVIDENCE_TEXT_BYTES_MAX => {}
                _ => {
                    return invalid(
                        "has a fact that is no whole number, truth or text of 256 bytes",
                    );
                }
            }
        }
        Ok(())
    }
}

/// Evidence as it stands in the ledger.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The entry.
    pub id: Uuid,
    /// When it was seen, in milliseconds since 1970-01-01T00:00:00Z.
    pub at_unix_ms: u64,
    /// What was seen.
    pub evidence: Evidence,
    /// Who brought it, by kind.
    pub actor_kind: String,
    /// And by keyed hash; none where Plimsoll itself did.
    pub actor: Option<ActorHash>,
    /// Whether the mark is ours and the entry is as it was written.
    pub genuine: bool,
    /// Its place in the chain; `None` until it is sealed.
    pub position: Option<u64>,
}

impl Ledger {
    /// Writes evidence down, in the caller's transaction.
    ///
    /// # Errors
    /// A fact beyond its bound, or the database.
    pub async fn add_evidence(
        &self,
        conn: &mut PgConnection,
        actor: Actor<'_>,
        evidence: Evidence,
    ) -> Result<Uuid, LedgerError> {
        let append = Append::ok(actor, Fact::Evidence { evidence });
        self.append(conn, append).await
    }

    /// The newest evidence of each kind; kinds without any are left out.
    ///
    /// # Errors
    /// The database.
    pub async fn newest_evidence(
        &self,
        conn: &mut PgConnection,
        kinds: &[String],
    ) -> Result<Vec<Recorded>, LedgerError> {
        let rows = store::evidence::newest(conn, ACTION, kinds).await?;
        Ok(rows.into_iter().filter_map(|placed| self.recorded(placed)).collect())
    }

    /// Evidence of a kind from a time on, newest first, 500 at most.
    ///
    /// # Errors
    /// The database.
    pub async fn evidence_since(
        &self,
        conn: &mut PgConnection,
        kind: &str,
        from_unix_ms: u64,
    ) -> Result<Vec<Recorded>, LedgerError> {
        let filter = Filter {
            action: Some(ACTION.to_owned()),
            subject: Some(kind.to_owned()),
            from_unix_ms: Some(from_unix_ms),
            ..Filter::default()
        };
        let page = self.tail(conn, &filter, crate::service::PAGE_ENTRIES_MAX).await?;
        let listed = page.entries.into_iter();
        Ok(listed.map(|one| self.judged(one.entry, &one.hash, one.position)).collect())
    }

    /// A row that no version of ours wrote is no evidence; `verify` names it.
    fn recorded(&self, placed: store::Placed) -> Option<Recorded> {
        let position = placed.position.and_then(|position| u64::try_from(position).ok());
        let (entry, hash) = placed.row.into_entry()?;
        Some(self.judged(entry, &hash, position))
    }

    fn judged(&self, entry: Entry, hash: &crate::Hash, position: Option<u64>) -> Recorded {
        let whole = entry.hash().is_ok_and(|made| made == *hash);
        let ours = marked(self.keyring(), &entry);
        let how = entry.detail.get("how").and_then(|how| How::deserialize(how).ok());
        let facts = entry.detail.get("facts").and_then(Value::as_object).cloned();
        let known = how.is_some() && facts.is_some();
        Recorded {
            id: entry.id,
            at_unix_ms: u64::try_from(entry.at_us / 1_000).unwrap_or_default(),
            evidence: Evidence {
                kind: entry.subject,
                how: how.unwrap_or(How::Declared),
                facts: facts.unwrap_or_default(),
            },
            actor_kind: entry.actor_kind,
            actor: entry.actor,
            genuine: whole && known && ours,
            position,
        }
    }
}

/// The name in the catalogue of actions.
const ACTION: &str = "evidence.add";

/// Where the mark stands in an entry's detail.
const MARKED: &str = "mark";

/// Puts on an entry what only a holder of the keys can make.
pub(crate) fn put_mark(keyring: &Keyring, entry: &mut Entry) -> Result<(), LedgerError> {
    let mark = mark(keyring, entry)?;
    if let Some(detail) = entry.detail.as_object_mut() {
        detail.insert(MARKED.to_owned(), mark.into());
    }
    Ok(())
}

/// Whether the entry, as it is, carries its mark.
fn marked(keyring: &Keyring, entry: &Entry) -> bool {
    let mut bare = entry.clone();
    let said = bare.detail.as_object_mut().and_then(|detail| detail.remove(MARKED));
    let made = mark(keyring, &bare);
    made.is_ok_and(|made| said.as_ref().and_then(Value::as_str) == Some(made.as_str()))
}

/// In hex; over the hash of the entry without its mark.
fn mark(keyring: &Keyring, bare: &Entry) -> Result<String, LedgerError> {
    let mark = keyring.mark(MARK, &bare.hash()?).map_err(|_| SealError::Crypto)?;
    Ok(hex::encode(&mark))
}
