//! Appending and looking things up.

use std::fmt;
use std::sync::Arc;

use plimsoll_base::{SharedClock, failpoint};
use plimsoll_protection::{ActorHash, Keyring};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::canonical::canonical;
use crate::error::LedgerError;
use crate::evidence::put_mark;
use crate::facts::Fact;
use crate::ids::Ids;
use crate::model::{
    ActorKind, DETAIL_BYTES_MAX, Entry, Hash, Outcome, PERSONAL_BYTES_MAX, SUBJECT_BYTES_MAX,
};
use crate::spool::StoredOwn;
use crate::store::{self, Narrow, Ready};

/// The most entries on one page.
pub const PAGE_ENTRIES_MAX: u32 = 500;
/// What the sealed part of an entry is sealed for.
const PERSONAL: &str = "ledger.personal";

/// Who acts.
#[derive(Clone, Copy)]
pub enum Actor<'a> {
    /// Plimsoll itself.
    System,
    /// Somebody of this kind whom nobody can name: a client without credentials.
    Unnamed(ActorKind),
    /// Somebody, by kind and name; only the keyed hash of the name is written.
    Named(ActorKind, &'a str),
    /// Somebody, by kind and a keyed hash made before.
    Hashed(ActorKind, ActorHash),
}

impl fmt::Debug for Actor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Actor::System => f.write_str("System"),
            Actor::Unnamed(kind) => f.debug_tuple("Unnamed").field(kind).finish(),
            // The name is a person's.
            Actor::Named(kind, _) => f.debug_tuple("Named").field(kind).finish(),
            Actor::Hashed(kind, hash) => f.debug_tuple("Hashed").field(kind).field(hash).finish(),
        }
    }
}

/// What is to be appended.
#[derive(Clone)]
pub struct Append<'a> {
    /// Who acts.
    pub actor: Actor<'a>,
    /// What happened.
    pub fact: Fact,
    /// How it ended.
    pub outcome: Outcome,
    /// The change it belongs to.
    pub change_id: Option<Uuid>,
    /// Free text and personal data: written encrypted.
    pub personal: Option<&'a str>,
    /// When it happened, in milliseconds since 1970-01-01T00:00:00Z; now where it is `None`.
    pub at_unix_ms: Option<u64>,
}

impl fmt::Debug for Append<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (actor, action) = (&self.actor, self.fact.action());
        f.debug_struct("Append")
            .field("actor", actor)
            .field("action", &action)
            .finish_non_exhaustive()
    }
}

impl<'a> Append<'a> {
    /// By `actor`, done, now, with nothing personal.
    #[must_use]
    pub fn ok(actor: Actor<'a>, fact: Fact) -> Self {
        let outcome = Outcome::Ok;
        Self { actor, fact, outcome, change_id: None, personal: None, at_unix_ms: None }
    }
}

/// An entry before it is checked.
struct Parts<'a> {
    actor: Actor<'a>,
    action: String,
    subject: String,
    detail: Value,
    outcome: Outcome,
    change_id: Option<Uuid>,
    personal: Option<&'a str>,
    at_unix_ms: Option<u64>,
    /// Whether it carries the mark of evidence.
    marked: bool,
}

/// Which entries are asked for. All that is given must hold.
#[derive(Clone, Default)]
pub struct Filter {
    /// A name of the catalogue.
    pub action: Option<String>,
    /// Who acted, by name; compared as a keyed hash.
    pub actor: Option<String>,
    /// What was acted on.
    pub subject: Option<String>,
    /// See [`Outcome`].
    pub outcome: Option<String>,
    /// From this time on, in milliseconds since 1970-01-01T00:00:00Z.
    pub from_unix_ms: Option<u64>,
    /// Before this time.
    pub to_unix_ms: Option<u64>,
    /// The page after this entry: [`Page::next`] of the one before.
    pub before: Option<Uuid>,
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Filter").field("action", &self.action).finish_non_exhaustive()
    }
}

/// An entry as it is listed.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The entry.
    pub entry: Entry,
    /// Its hash, as it is stored.
    pub hash: Hash,
    /// Its place in the chain; `None` until it is sealed.
    pub position: Option<u64>,
}

/// Entries, newest first.
#[derive(Clone, Debug)]
pub struct Page {
    /// The entries.
    pub entries: Vec<Listed>,
    /// Where the next page begins; `None` where there is none.
    pub next: Option<Uuid>,
}

/// The ledger of one node. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Ledger {
    clock: SharedClock,
    keyring: Arc<Keyring>,
    ids: Arc<Ids>,
}

impl Ledger {
    /// With the node's clock and keys.
    #[must_use]
    pub fn new(clock: SharedClock, keyring: Arc<Keyring>) -> Self {
        Self { clock, keyring, ids: Arc::default() }
    }

    /// Appends one entry in the caller's transaction: it stands when the effect stands.
    ///
    /// # Errors
    /// A field beyond its bound, or the database.
    pub async fn append(
        &self,
        conn: &mut PgConnection,
        append: Append<'_>,
    ) -> Result<Uuid, LedgerError> {
        let ready = self.ready(append)?;
        failpoint::hit("ledger.append").map_err(LedgerError::Failpoint)?;
        store::insert(conn, &ready).await?;
        Ok(ready.entry.id)
    }

    /// Checks and completes an entry.
    pub(crate) fn ready(&self, append: Append<'_>) -> Result<Ready, LedgerError> {
        let action = append.fact.action();
        let marked = match &append.fact {
            Fact::Evidence { evidence } => evidence.check().map(|()| true)?,
            _ => false,
        };
        let (subject, detail) = append.fact.into_parts();
        self.complete(Parts {
            actor: append.actor,
            action: action.to_owned(),
            subject,
            detail,
            outcome: append.outcome,
            change_id: append.change_id,
            personal: append.personal,
            at_unix_ms: append.at_unix_ms,
            marked,
        })
    }

    /// The same for an entry that waited in the spool.
    pub(crate) fn ready_own(&self, own: StoredOwn) -> Result<Ready, LedgerError> {
        let named = own.operator.as_deref();
        self.complete(Parts {
            actor: named.map_or(Actor::System, |name| Actor::Named(ActorKind::Operator, name)),
            action: own.action,
            subject: own.subject,
            detail: own.detail,
            outcome: Outcome::Ok,
            change_id: None,
            personal: None,
            at_unix_ms: Some(own.at_unix_ms),
            marked: false,
        })
    }

    fn complete(&self, parts: Parts<'_>) -> Result<Ready, LedgerError> {
        let now = self.clock.unix_ms();
        let id = self.ids.next(now)?;
        let (actor_kind, actor) = match parts.actor {
            Actor::System => (ActorKind::System, None),
            Actor::Unnamed(kind) => (kind, None),
            Actor::Named(kind, name) => (kind, Some(self.keyring.actor(name))),
            Actor::Hashed(kind, hash) => (kind, Some(hash)),
        };
        let Parts { subject, detail, .. } = parts;
        bounded("subject", subject.len(), SUBJECT_BYTES_MAX)?;
        if subject.contains('\0') {
            return Err(LedgerError::Invalid { field: "subject", expected: "holds a NUL" });
        }
        let sealed_personal = match parts.personal {
            None => None,
            Some(plain) => {
                bounded("personal", plain.len(), PERSONAL_BYTES_MAX)?;
                Some(self.keyring.seal(PERSONAL, id.as_bytes(), plain.as_bytes())?)
            }
        };
        let mut entry = Entry {
            id,
            at_us: micros(parts.at_unix_ms.unwrap_or(now)),
            action: parts.action,
            actor_kind: actor_kind.as_str().to_owned(),
            actor,
            subject,
            outcome: parts.outcome.as_str().to_owned(),
            change_id: parts.change_id,
            detail,
            sealed_personal,
        };
        if parts.marked {
            put_mark(&self.keyring, &mut entry)?;
        }
        let text = canonical(&entry.detail)?;
        bounded("detail", text.len(), DETAIL_BYTES_MAX)?;
        let hash = entry.hash()?;
        Ok(Ready { entry, detail: text, hash })
    }

    /// One page of entries, newest first; at most [`PAGE_ENTRIES_MAX`].
    ///
    /// # Errors
    /// The database.
    pub async fn tail(
        &self,
        conn: &mut PgConnection,
        filter: &Filter,
        limit: u32,
    ) -> Result<Page, LedgerError> {
        let limit = limit.clamp(1, PAGE_ENTRIES_MAX);
        let actor = filter.actor.as_deref().map(|actor| self.keyring.actor(actor));
        let narrow = Narrow {
            action: filter.action.clone(),
            actor: actor.map(|actor| actor.as_bytes().to_vec()),
            subject: filter.subject.clone(),
            outcome: filter.outcome.clone(),
            from_us: filter.from_unix_ms.map(micros),
            to_us: filter.to_unix_ms.map(micros),
            // An entry is never written before it happened, give or take clocks that differ.
            id_from: filter.from_unix_ms.map(|ms| first_id(ms.saturating_sub(60_000))),
            before: filter.before,
        };
        let mut rows = store::page(conn, &narrow, i64::from(limit) + 1).await?;
        let more = rows.len() > limit as usize;
        rows.truncate(limit as usize);
        let mut entries = Vec::with_capacity(rows.len());
        for placed in rows {
            let id = placed.row.id.unwrap_or_default();
            let why = "a column holds what no version wrote; run `plimsoll ledger verify`";
            let (entry, hash) = placed.row.into_entry().ok_or(LedgerError::Row { id, why })?;
            let position = placed.position.and_then(|position| u64::try_from(position).ok());
            entries.push(Listed { entry, hash, position });
        }
        let next = entries.last().filter(|_| more).map(|listed| listed.entry.id);
        Ok(Page { entries, next })
    }

    /// What was sealed with an entry, in clear. Whoever calls this appends an entry of its own that
    /// says so, in the same transaction.
    ///
    /// # Errors
    /// It was changed, or sealed under another key.
    pub fn open_personal(&self, entry: &Entry) -> Result<Option<String>, LedgerError> {
        let Some(sealed) = &entry.sealed_personal else { return Ok(None) };
        let plain = self.keyring.open_sealed(PERSONAL, entry.id.as_bytes(), sealed)?;
        Ok(Some(String::from_utf8_lossy(&plain).into_owned()))
    }

    pub(crate) fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// The keyed hash under which a name stands in the ledger.
    #[must_use]
    pub fn actor(&self, name: &str) -> ActorHash {
        self.keyring.actor(name)
    }
}

pub(crate) fn bounded(
    field: &'static str,
    bytes: usize,
    bytes_max: usize,
) -> Result<(), LedgerError> {
    if bytes > bytes_max {
        return Err(LedgerError::TooLong { field, bytes, bytes_max });
    }
    Ok(())
}

fn micros(unix_ms: u64) -> i64 {
    i64::try_from(unix_ms).unwrap_or(i64::MAX).saturating_mul(1_000).min(AT_US_MAX)
}

/// The end of the year 9999, beyond which Postgres and people write dates differently.
const AT_US_MAX: i64 = 253_402_214_400_000_000;

fn first_id(unix_ms: u64) -> Uuid {
    uuid::Builder::from_unix_timestamp_millis(unix_ms, &[0; 10]).into_uuid()
}
