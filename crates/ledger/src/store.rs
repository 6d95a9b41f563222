//! The ledger's SQL. Nothing else in the crate speaks to the database.
//!
//! Rows are read as somebody with all rights may have left them: every column may be missing or
//! absurd, and saying so is the business of `verify`, not an error of a query.

use plimsoll_protection::ActorHash;
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::model::{Entry, Hash};

pub(crate) mod evidence;
pub(crate) mod imports;
pub(crate) mod migrations;
pub(crate) mod pages;
pub(crate) mod seals;

/// An entry with its hash, ready to be written; the detail in its canonical form.
#[derive(Clone, Debug)]
pub(crate) struct Ready {
    pub(crate) entry: Entry,
    pub(crate) detail: String,
    pub(crate) hash: Hash,
}

/// An entry as a row holds it.
#[derive(Debug, Default)]
pub(crate) struct Row {
    pub(crate) id: Option<Uuid>,
    pub(crate) at_us: Option<i64>,
    pub(crate) action: Option<String>,
    pub(crate) actor_kind: Option<String>,
    pub(crate) actor: Option<Vec<u8>>,
    pub(crate) subject: Option<String>,
    pub(crate) outcome: Option<String>,
    pub(crate) change_id: Option<Uuid>,
    pub(crate) detail: Option<String>,
    pub(crate) sealed_personal: Option<Vec<u8>>,
    pub(crate) hash: Option<Vec<u8>>,
}

impl Row {
    /// The entry and the hash beside it; or `None` where a column cannot have been written by us.
    pub(crate) fn into_entry(self) -> Option<(Entry, Hash)> {
        let actor = match self.actor {
            None => None,
            Some(bytes) => Some(ActorHash::from_bytes(bytes.try_into().ok()?)),
        };
        let entry = Entry {
            id: self.id?,
            at_us: self.at_us?,
            action: self.action?,
            actor_kind: self.actor_kind?,
            actor,
            subject: self.subject?,
            outcome: self.outcome?,
            change_id: self.change_id,
            detail: serde_json::from_str::<Value>(&self.detail?).ok()?,
            sealed_personal: self.sealed_personal,
        };
        Some((entry, self.hash?.try_into().ok()?))
    }
}

/// One entry, in the caller's transaction.
pub(crate) async fn insert(conn: &mut PgConnection, ready: &Ready) -> sqlx::Result<()> {
    let entry = &ready.entry;
    sqlx::query!(
        "insert into ledger.entries
            (id, at, action, actor_kind, actor, subject, outcome, change_id, detail,
             sealed_personal, hash)
         values ($1, timestamptz 'epoch' + $2::bigint * interval '1 microsecond', $3, $4, $5, $6,
             $7, $8, $9::text::jsonb, $10, $11)",
        entry.id,
        entry.at_us,
        entry.action,
        entry.actor_kind,
        entry.actor.as_ref().map(|actor| actor.as_bytes().as_slice()),
        entry.subject,
        entry.outcome,
        entry.change_id,
        ready.detail,
        entry.sealed_personal.as_deref(),
        ready.hash.as_slice(),
    )
    .execute(conn)
    .await
    .map(drop)
}

/// What a page of entries is narrowed to.
#[derive(Debug, Default)]
pub(crate) struct Narrow {
    pub(crate) action: Option<String>,
    pub(crate) actor: Option<Vec<u8>>,
    pub(crate) subject: Option<String>,
    pub(crate) outcome: Option<String>,
    pub(crate) from_us: Option<i64>,
    pub(crate) to_us: Option<i64>,
    pub(crate) id_from: Option<Uuid>,
    pub(crate) before: Option<Uuid>,
}

/// A row with its place in the chain.
#[derive(Debug)]
pub(crate) struct Placed {
    pub(crate) row: Row,
    pub(crate) position: Option<i64>,
}

/// Entries, newest first.
pub(crate) async fn page(
    conn: &mut PgConnection,
    narrow: &Narrow,
    limit: i64,
) -> sqlx::Result<Vec<Placed>> {
    let rows = sqlx::query!(
        r#"select e.id, (extract(epoch from e.at) * 1000000)::bigint as "at_us!", e.action,
            e.actor_kind, e.actor, e.subject, e.outcome, e.change_id,
            e.detail::text as "detail!", e.sealed_personal, e.hash, s.position as "position?"
         from ledger.entries e left join ledger.seals s on s.entry_id = e.id
         where ($1::text is null or e.action = $1)
            and ($2::bytea is null or e.actor = $2)
            and ($3::text is null or e.subject = $3)
            and ($4::text is null or e.outcome = $4)
            and ($5::bigint is null
                or e.at >= timestamptz 'epoch' + $5::bigint * interval '1 microsecond')
            and ($6::bigint is null
                or e.at < timestamptz 'epoch' + $6::bigint * interval '1 microsecond')
            and ($7::uuid is null or e.id >= $7)
            and ($8::uuid is null or e.id < $8)
         order by e.id desc
         limit $9"#,
        narrow.action,
        narrow.actor,
        narrow.subject,
        narrow.outcome,
        narrow.from_us,
        narrow.to_us,
        narrow.id_from,
        narrow.before,
        limit,
    )
    .fetch_all(conn)
    .await?;
    let placed = rows.into_iter().map(|r| Placed {
        row: Row {
            id: Some(r.id),
            at_us: Some(r.at_us),
            action: Some(r.action),
            actor_kind: Some(r.actor_kind),
            actor: r.actor,
            subject: Some(r.subject),
            outcome: Some(r.outcome),
            change_id: r.change_id,
            detail: Some(r.detail),
            sealed_personal: r.sealed_personal,
            hash: Some(r.hash),
        },
        position: r.position,
    });
    Ok(placed.collect())
}

/// Claims a caller's id for an entry; `None` when it is new, else what it was used for.
pub(crate) async fn claim_team_id(
    conn: &mut PgConnection,
    id: &str,
    entry_id: Uuid,
    fingerprint: &Hash,
) -> sqlx::Result<Option<(Uuid, Vec<u8>)>> {
    let done = sqlx::query!(
        "insert into ledger.team_actions (id, entry_id, fingerprint) values ($1, $2, $3)
         on conflict (id) do nothing",
        id,
        entry_id,
        fingerprint.as_slice(),
    )
    .execute(&mut *conn)
    .await?;
    if done.rows_affected() == 1 {
        return Ok(None);
    }
    let there =
        sqlx::query!("select entry_id, fingerprint from ledger.team_actions where id = $1", id,)
            .fetch_one(conn)
            .await?;
    Ok(Some((there.entry_id, there.fingerprint)))
}
