//! What the sealer and those who check its work ask.

use sqlx::PgConnection;
use uuid::Uuid;

use super::Row;

/// How far the sealer has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// The cluster whose transaction numbers these are.
    pub(crate) cluster: i64,
    /// Everything up to this transaction and entry is sealed.
    pub(crate) xid: String,
    pub(crate) entry_id: Uuid,
}

/// An entry whose transaction has ended.
#[derive(Debug)]
pub(crate) struct Settled {
    pub(crate) id: Uuid,
    pub(crate) xid: String,
    pub(crate) hash: Vec<u8>,
    /// Restored entries were sealed in the cluster they came from.
    pub(crate) sealed: bool,
}

/// What a round of the sealer found: the entries, and the transaction below which there is no more.
#[derive(Debug)]
pub(crate) struct Round {
    pub(crate) settled: Vec<Settled>,
    pub(crate) horizon: String,
}

/// The cluster's identifier, which `initdb` made; 0 where a provider hides it.
pub(crate) async fn cluster(conn: &mut PgConnection) -> sqlx::Result<i64> {
    let asked = sqlx::query_scalar!(
        r#"select system_identifier as "system_identifier!" from pg_control_system()"#
    );
    match asked.fetch_one(conn).await {
        Err(sqlx::Error::Database(refused)) if refused.code().as_deref() == Some("42501") => Ok(0),
        other => other,
    }
}

/// Tries to become the one sealer of this database. The session holds the lock until it ends.
pub(crate) async fn try_lock(conn: &mut PgConnection, key: i64) -> sqlx::Result<bool> {
    sqlx::query_scalar!(r#"select pg_try_advisory_lock($1) as "held!""#, key).fetch_one(conn).await
}

/// Gives the lock back at once: a session that was closed still holds it until the server has
/// ended it.
pub(crate) async fn unlock(conn: &mut PgConnection, key: i64) -> sqlx::Result<bool> {
    let query = sqlx::query_scalar!(r#"select pg_advisory_unlock($1) as "released!""#, key);
    query.fetch_one(conn).await
}

/// A node that vanished without a word must not keep the lock for hours.
pub(crate) async fn notice_dead_peers(conn: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query_scalar!(
        r#"select set_config('tcp_keepalives_idle', '5', false)
            || set_config('tcp_keepalives_interval', '2', false)
            || set_config('tcp_keepalives_count', '3', false) as "set!""#
    )
    .fetch_one(conn)
    .await
    .map(drop)
}

/// The last position and its chain.
pub(crate) async fn head(conn: &mut PgConnection) -> sqlx::Result<Option<(i64, Vec<u8>)>> {
    let last =
        sqlx::query!("select position, chain from ledger.seals order by position desc limit 1")
            .fetch_optional(conn)
            .await?;
    Ok(last.map(|row| (row.position, row.chain)))
}

/// The chain at a position.
pub(crate) async fn chain_at(
    conn: &mut PgConnection,
    position: i64,
) -> sqlx::Result<Option<Vec<u8>>> {
    sqlx::query_scalar!("select chain from ledger.seals where position = $1", position)
        .fetch_optional(conn)
        .await
}

/// How far the sealer has come, if ever one ran.
pub(crate) async fn cursor(conn: &mut PgConnection) -> sqlx::Result<Option<Cursor>> {
    let row = sqlx::query!(
        r#"select cluster, xid::text as "xid!", entry_id from ledger.sealer where only_row"#
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|r| Cursor { cluster: r.cluster, xid: r.xid, entry_id: r.entry_id }))
}

/// Entries after the cursor whose transactions can no longer change.
///
/// One statement, so that `pg_current_snapshot()` is the very snapshot that decides which rows are
/// seen: below its xmin every transaction has ended, and what it wrote is seen or never will be.
pub(crate) async fn after(
    conn: &mut PgConnection,
    cursor: &Cursor,
    limit: i64,
) -> sqlx::Result<Round> {
    let rows = sqlx::query!(
        r#"with now as materialized (select pg_current_snapshot() as snapshot)
         select pg_snapshot_xmin(now.snapshot)::text as "horizon!", e.id as "id?",
            e.xid::text as "xid?", e.hash as "hash?",
            exists (select from ledger.seals s where s.entry_id = e.id) as "sealed!"
         from now left join lateral (
            select e.id, e.xid, e.hash from ledger.entries e
            where (e.xid, e.id) > ($1::text::xid8, $2::uuid)
                and e.xid < pg_snapshot_xmin(now.snapshot)
            order by e.xid, e.id
            limit $3
         ) e on true
         order by e.xid, e.id"#,
        cursor.xid,
        cursor.entry_id,
        limit,
    )
    .fetch_all(conn)
    .await?;
    let horizon = rows.first().map(|row| row.horizon.clone()).unwrap_or_default();
    let settled = rows.into_iter().filter_map(|row| {
        Some(Settled { id: row.id?, xid: row.xid?, hash: row.hash?, sealed: row.sealed })
    });
    Ok(Round { settled: settled.collect(), horizon })
}

/// Entries without a seal wherever they stand: after a restore into another cluster the numbers of
/// restored transactions say nothing. A row that is seen though its number lies ahead of this
/// cluster was restored.
pub(crate) async fn anywhere(conn: &mut PgConnection, limit: i64) -> sqlx::Result<Round> {
    let rows = sqlx::query!(
        r#"with now as materialized (select pg_current_snapshot() as snapshot)
         select pg_snapshot_xmin(now.snapshot)::text as "horizon!", e.id as "id?",
            e.xid::text as "xid?", e.hash as "hash?"
         from now left join lateral (
            select e.id, e.xid, e.hash from ledger.entries e
            where not exists (select from ledger.seals s where s.entry_id = e.id)
                and (e.xid < pg_snapshot_xmin(now.snapshot)
                    or e.xid >= pg_snapshot_xmax(now.snapshot))
            order by e.xid, e.id
            limit $1
         ) e on true
         order by e.xid, e.id"#,
        limit,
    )
    .fetch_all(conn)
    .await?;
    let horizon = rows.first().map(|row| row.horizon.clone()).unwrap_or_default();
    let settled = rows.into_iter().filter_map(|row| {
        Some(Settled { id: row.id?, xid: row.xid?, hash: row.hash?, sealed: false })
    });
    Ok(Round { settled: settled.collect(), horizon })
}

/// Writes seals and moves the cursor, in one statement and so in one transaction.
pub(crate) async fn seal(
    conn: &mut PgConnection,
    positions: &[i64],
    ids: &[Uuid],
    chains: &[Vec<u8>],
    cursor: &Cursor,
) -> sqlx::Result<()> {
    sqlx::query!(
        "with sealed as (
            insert into ledger.seals (position, entry_id, chain)
            select * from unnest($1::bigint[], $2::uuid[], $3::bytea[])
         )
         insert into ledger.sealer (only_row, cluster, xid, entry_id)
         values (true, $4, $5::text::xid8, $6)
         on conflict (only_row) do update
            set cluster = excluded.cluster, xid = excluded.xid, entry_id = excluded.entry_id",
        positions,
        ids,
        chains,
        cursor.cluster,
        cursor.xid,
        cursor.entry_id,
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Notes the last checkpoint that a key signed.
pub(crate) async fn mark_checkpoint(
    conn: &mut PgConnection,
    key_id: &str,
    sequence: i64,
    size: i64,
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into ledger.checkpoint_marks (key_id, sequence, size) values ($1, $2, $3)
         on conflict (key_id) do update set sequence = excluded.sequence, size = excluded.size",
        key_id,
        sequence,
        size,
    )
    .execute(conn)
    .await
    .map(drop)
}

/// The last checkpoint that each key signed, as the database remembers: key id, sequence.
pub(crate) async fn checkpoint_marks(conn: &mut PgConnection) -> sqlx::Result<Vec<(String, i64)>> {
    let rows = sqlx::query!("select key_id, sequence from ledger.checkpoint_marks")
        .fetch_all(conn)
        .await?;
    Ok(rows.into_iter().map(|row| (row.key_id, row.sequence)).collect())
}

/// Notes the last checkpoint of a key anew where a later one is noted. True where one was.
pub(crate) async fn lower_mark(
    conn: &mut PgConnection,
    key_id: &str,
    sequence: i64,
    size: i64,
) -> sqlx::Result<bool> {
    let lowered = sqlx::query!(
        "update ledger.checkpoint_marks set sequence = $2, size = $3
         where key_id = $1 and sequence > $2",
        key_id,
        sequence,
        size,
    );
    Ok(lowered.execute(conn).await?.rows_affected() > 0)
}

/// A seal and the entry it names, if that is still there.
#[derive(Debug)]
pub(crate) struct Sealed {
    pub(crate) position: i64,
    pub(crate) entry_id: Option<Uuid>,
    pub(crate) chain: Option<Vec<u8>>,
    pub(crate) row: Option<Row>,
}

/// Seals after a position, in order.
pub(crate) async fn sealed_after(
    conn: &mut PgConnection,
    position: i64,
    upto: i64,
    limit: i64,
) -> sqlx::Result<Vec<Sealed>> {
    let rows = sqlx::query!(
        r#"select s.position, s.entry_id as "entry_id?", s.chain as "chain?", e.id as "id?",
            case when e.at between '0001-01-01' and '9999-12-31'
                then (extract(epoch from e.at) * 1000000)::bigint end as at_us,
            e.action as "action?", e.actor_kind as "actor_kind?", e.actor as "actor?",
            e.subject as "subject?", e.outcome as "outcome?", e.change_id as "change_id?",
            e.detail::text as detail, e.sealed_personal as "sealed_personal?", e.hash as "hash?"
         from ledger.seals s left join ledger.entries e on e.id = s.entry_id
         where s.position > $1 and s.position <= $2
         order by s.position
         limit $3"#,
        position,
        upto,
        limit,
    )
    .fetch_all(conn)
    .await?;
    let sealed = rows.into_iter().map(|r| Sealed {
        position: r.position,
        entry_id: r.entry_id,
        chain: r.chain,
        row: r.id.map(|id| Row {
            id: Some(id),
            at_us: r.at_us,
            action: r.action,
            actor_kind: r.actor_kind,
            actor: r.actor,
            subject: r.subject,
            outcome: r.outcome,
            change_id: r.change_id,
            detail: r.detail,
            sealed_personal: r.sealed_personal,
            hash: r.hash,
        }),
    });
    Ok(sealed.collect())
}

/// An entry without a seal.
#[derive(Debug)]
pub(crate) struct Unsealed {
    pub(crate) row: Row,
    /// The sealer has passed its place already, or no transaction of this cluster can have
    /// written it.
    pub(crate) behind: bool,
}

/// Entries without a seal, in order, after an id and up to another.
pub(crate) async fn unsealed_between(
    conn: &mut PgConnection,
    after: Uuid,
    upto: Uuid,
    limit: i64,
) -> sqlx::Result<Vec<Unsealed>> {
    let rows = sqlx::query!(
        r#"select e.id as "id?",
            case when e.at between '0001-01-01' and '9999-12-31'
                then (extract(epoch from e.at) * 1000000)::bigint end as at_us,
            e.action as "action?", e.actor_kind as "actor_kind?", e.actor as "actor?",
            e.subject as "subject?", e.outcome as "outcome?", e.change_id as "change_id?",
            e.detail::text as detail, e.sealed_personal as "sealed_personal?", e.hash as "hash?",
            coalesce((e.xid, e.id) <= (c.xid, c.entry_id)
                or e.xid >= pg_snapshot_xmax(pg_current_snapshot()), false) as "behind!"
         from ledger.entries e left join ledger.sealer c on c.only_row
         where e.id > $1 and e.id <= $2
            and not exists (select from ledger.seals s where s.entry_id = e.id)
         order by e.id
         limit $3"#,
        after,
        upto,
        limit,
    )
    .fetch_all(conn)
    .await?;
    let unsealed = rows.into_iter().map(|r| Unsealed {
        behind: r.behind,
        row: Row {
            id: r.id,
            at_us: r.at_us,
            action: r.action,
            actor_kind: r.actor_kind,
            actor: r.actor,
            subject: r.subject,
            outcome: r.outcome,
            change_id: r.change_id,
            detail: r.detail,
            sealed_personal: r.sealed_personal,
            hash: r.hash,
        },
    });
    Ok(unsealed.collect())
}
