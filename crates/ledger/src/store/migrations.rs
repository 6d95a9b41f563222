//! Which migrations have an entry.

use sqlx::PgConnection;

/// "plimledm": held by the transaction that writes the missing ones.
const LOCK: i64 = 0x706c_696d_6c65_646d;

/// Waits until nobody else looks.
pub(crate) async fn lock(conn: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query_scalar!(r#"select pg_advisory_xact_lock($1)::text as "held!""#, LOCK)
        .fetch_one(conn)
        .await
        .map(drop)
}

/// Whether a migration has its entry.
pub(crate) async fn is_noted(
    conn: &mut PgConnection,
    room: &str,
    version: i64,
) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (
            select from ledger.entries
            where action = 'migration.run' and subject = $1 and detail ->> 'version' = $2
         ) as "noted!""#,
        room,
        version.to_string(),
    )
    .fetch_one(conn)
    .await
}
