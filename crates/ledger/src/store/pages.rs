//! Whole tables in pieces that end: a statement that reads all of a great table is cut off by the
//! server's bound on a statement.

use sqlx::PgConnection;
use uuid::Uuid;

/// Where a piece ends, and how many rows it holds; with no end it is the last.
#[derive(Debug)]
pub(crate) struct Piece<K> {
    pub(crate) end: Option<K>,
    pub(crate) rows: i64,
}

/// Entries after an id. Rows that stand there twice are counted twice: a piece ends with an id, not
/// with a row.
pub(crate) async fn entries(
    conn: &mut PgConnection,
    after: Uuid,
    rows: i64,
) -> sqlx::Result<Piece<Uuid>> {
    let end = sqlx::query_scalar!(
        r#"select id as "id?" from ledger.entries where id > $1 order by id offset $2 limit 1"#,
        after,
        rows,
    )
    .fetch_optional(&mut *conn)
    .await?
    .flatten();
    let counted = sqlx::query_scalar!(
        r#"select count(*) as "rows!" from ledger.entries where id > $1 and id <= $2"#,
        after,
        end.unwrap_or(Uuid::max()),
    );
    Ok(Piece { end, rows: counted.fetch_one(conn).await? })
}

/// Seals after a position; see [`entries`].
pub(crate) async fn seals(
    conn: &mut PgConnection,
    after: i64,
    rows: i64,
) -> sqlx::Result<Piece<i64>> {
    let end = sqlx::query_scalar!(
        r#"select position as "position?" from ledger.seals where position > $1
         order by position offset $2 limit 1"#,
        after,
        rows,
    )
    .fetch_optional(&mut *conn)
    .await?
    .flatten();
    let counted = sqlx::query_scalar!(
        r#"select count(*) as "rows!" from ledger.seals where position > $1 and position <= $2"#,
        after,
        end.unwrap_or(i64::MAX),
    );
    Ok(Piece { end, rows: counted.fetch_one(conn).await? })
}

/// Rows whose key is none that we give: no piece holds them.
pub(crate) async fn without_a_key(conn: &mut PgConnection) -> sqlx::Result<(i64, i64)> {
    let row = sqlx::query!(
        r#"select (select count(*) from ledger.entries where id is null or id = $1) as "entries!",
            (select count(*) from ledger.seals where position is null or position = $2) as "seals!""#,
        Uuid::nil(),
        i64::MIN,
    )
    .fetch_one(conn)
    .await?;
    Ok((row.entries, row.seals))
}

/// The oldest entry that the sealer has not come to. What was restored from another cluster is
/// sealed and carries numbers of that one, which may lie ahead of all of ours or among them.
/// `offset 0` keeps the question after the seal a look-up for each row, of which there are few:
/// joined, the planner may read both tables to their ends for it.
pub(crate) async fn oldest_unsealed(conn: &mut PgConnection) -> sqlx::Result<Option<Uuid>> {
    sqlx::query_scalar!(
        "select e.id from ledger.entries e
         where (e.xid, e.id) > (
            coalesce((select xid from ledger.sealer where only_row), '0'::xid8),
            coalesce((select entry_id from ledger.sealer where only_row),
                '00000000-0000-0000-0000-000000000000'::uuid))
            and e.xid < pg_snapshot_xmax(pg_current_snapshot())
            and not exists (select from ledger.seals s where s.entry_id = e.id offset 0)
         order by e.xid, e.id
         limit 1"
    )
    .fetch_optional(conn)
    .await
}
