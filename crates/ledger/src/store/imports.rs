//! Entries in batches, with the place in the spool they came from.

use sqlx::PgConnection;
use uuid::Uuid;

use super::Ready;

/// The next record of this spool to be imported, locked until the transaction ends.
pub(crate) async fn next_record(conn: &mut PgConnection, spool: Uuid) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar!(
        "select next_record from ledger.spool_imports where spool = $1 for update",
        spool,
    )
    .fetch_optional(conn)
    .await
}

/// Stores how far a spool is imported.
pub(crate) async fn set_next_record(
    conn: &mut PgConnection,
    spool: Uuid,
    next: i64,
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into ledger.spool_imports (spool, next_record) values ($1, $2)
         on conflict (spool) do update set next_record = excluded.next_record",
        spool,
        next,
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Many entries by one statement.
pub(crate) async fn insert_all(conn: &mut PgConnection, all: &[Ready]) -> sqlx::Result<()> {
    let column = |of: fn(&Ready) -> String| all.iter().map(of).collect::<Vec<_>>();
    let ids: Vec<Uuid> = all.iter().map(|r| r.entry.id).collect();
    let at_us: Vec<i64> = all.iter().map(|r| r.entry.at_us).collect();
    let actors: Vec<Option<Vec<u8>>> =
        all.iter().map(|r| r.entry.actor.map(|actor| actor.as_bytes().to_vec())).collect();
    let changes: Vec<Option<Uuid>> = all.iter().map(|r| r.entry.change_id).collect();
    let personal: Vec<Option<Vec<u8>>> =
        all.iter().map(|r| r.entry.sealed_personal.clone()).collect();
    let hashes: Vec<Vec<u8>> = all.iter().map(|r| r.hash.to_vec()).collect();
    sqlx::query!(
        "insert into ledger.entries
            (id, at, action, actor_kind, actor, subject, outcome, change_id, detail,
             sealed_personal, hash)
         select e.id, timestamptz 'epoch' + e.at_us * interval '1 microsecond', e.action,
            e.actor_kind, e.actor, e.subject, e.outcome, e.change_id, e.detail::jsonb,
            e.sealed_personal, e.hash
         from unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::bytea[], $6::text[],
            $7::text[], $8::uuid[], $9::text[], $10::bytea[], $11::bytea[])
            as e (id, at_us, action, actor_kind, actor, subject, outcome, change_id, detail,
                sealed_personal, hash)",
        &ids,
        &at_us,
        &column(|r| r.entry.action.clone()),
        &column(|r| r.entry.actor_kind.clone()),
        &actors as &[Option<Vec<u8>>],
        &column(|r| r.entry.subject.clone()),
        &column(|r| r.entry.outcome.clone()),
        &changes as &[Option<Uuid>],
        &column(|r| r.detail.clone()),
        &personal as &[Option<Vec<u8>>],
        &hashes,
    )
    .execute(conn)
    .await
    .map(drop)
}
