//! The SQL of events. Nothing else in the crate speaks to the database.

use serde_json::Value;
use sqlx::PgConnection;

use crate::model::{Cursor, Event};

pub(crate) async fn insert(
    conn: &mut PgConnection,
    topic: &str,
    key: &str,
    payload: &Value,
) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        "insert into events.outbox (topic, key, payload) values ($1, $2, $3) returning position",
        topic,
        key,
        payload,
    )
    .fetch_one(conn)
    .await
}

/// Told when the transaction commits; equal ones of a transaction are told once.
pub(crate) async fn notify(
    conn: &mut PgConnection,
    channel: &str,
    topic: &str,
) -> sqlx::Result<()> {
    sqlx::query_scalar!(r#"select pg_notify($1, $2) is null as "told!""#, channel, topic)
        .fetch_one(conn)
        .await
        .map(drop)
}

/// Adds a consumer, or changes the topics of one that is there. One that was dead begins anew.
pub(crate) async fn register(
    conn: &mut PgConnection,
    name: &str,
    topics: &[String],
    oldest: bool,
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into events.consumers (name, topics, xid, position)
         values ($1, $2,
            case when $3 then '0'::xid8 else pg_snapshot_xmin(pg_current_snapshot()) end, 0)
         on conflict (name) do update set
            topics = excluded.topics,
            dead = false,
            xid = case when consumers.dead then excluded.xid else consumers.xid end,
            position = case when consumers.dead then excluded.position else consumers.position end",
        name,
        topics,
        oldest,
    )
    .execute(conn)
    .await
    .map(drop)
}

/// One reader at a time for each consumer, until the transaction ends. An advisory lock takes no
/// transaction number, so that a consumer that only reads holds nobody back.
pub(crate) async fn lock(conn: &mut PgConnection, name: &str) -> sqlx::Result<()> {
    sqlx::query_scalar!(
        r#"select pg_advisory_xact_lock(1886873971, hashtext($1)) is null as "held!""#,
        name,
    )
    .fetch_one(conn)
    .await
    .map(drop)
}

/// A living consumer's topics and cursor.
pub(crate) async fn consumer(
    conn: &mut PgConnection,
    name: &str,
) -> sqlx::Result<Option<(Vec<String>, Cursor)>> {
    let row = sqlx::query!(
        r#"select topics, xid::text as "xid!", position from events.consumers
         where name = $1 and not dead"#,
        name,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|r| (r.topics, Cursor { xid: r.xid, position: r.position })))
}

/// Events after a cursor whose transactions can no longer change, and where to go on.
///
/// One statement: the snapshot whose xmin is compared is the one that decides which rows are seen.
pub(crate) async fn after(
    conn: &mut PgConnection,
    topics: &[String],
    cursor: &Cursor,
    limit: i64,
) -> sqlx::Result<(Vec<Event>, Cursor)> {
    let rows = sqlx::query!(
        r#"with now as materialized (select pg_current_snapshot() as snapshot)
         select pg_snapshot_xmin(now.snapshot)::text as "horizon!", e.xid::text as "xid?",
            e.position as "position?", e.topic as "topic?", e.key as "key?",
            e.payload as "payload?", (extract(epoch from e.at) * 1000)::bigint as at_unix_ms
         from now left join lateral (
            select e.* from events.outbox e
            where (e.xid, e.position) > ($2::text::xid8, $3::bigint)
                and e.xid < pg_snapshot_xmin(now.snapshot)
                and e.topic = any($1)
            order by e.xid, e.position
            limit $4
         ) e on true
         order by e.xid, e.position"#,
        topics,
        cursor.xid,
        cursor.position,
        limit,
    )
    .fetch_all(conn)
    .await?;
    let horizon = rows.first().map_or_else(String::new, |row| row.horizon.clone());
    let last =
        rows.last().and_then(|r| Some(Cursor { xid: r.xid.clone()?, position: r.position? }));
    let events: Vec<Event> = rows
        .into_iter()
        .filter_map(|r| {
            Some(Event {
                position: r.position?,
                topic: r.topic?,
                key: r.key?,
                payload: r.payload?,
                at_unix_ms: r.at_unix_ms?,
            })
        })
        .collect();
    let full = i64::try_from(events.len()).is_ok_and(|events| events >= limit);
    // All below the horizon is read, also of topics that were not asked for: retention can go on.
    let upto = match last {
        Some(last) if full => last,
        _ => Cursor { xid: horizon, position: 0 },
    };
    Ok((events, upto))
}

/// Moves a cursor from where the batch began; says whether it stood there.
pub(crate) async fn advance(
    conn: &mut PgConnection,
    name: &str,
    from: &Cursor,
    to: &Cursor,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "update events.consumers set xid = $4::text::xid8, position = $5
         where name = $1 and not dead and xid = $2::text::xid8 and position = $3",
        name,
        from.xid,
        from.position,
        to.xid,
        to.position,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(crate) async fn declare_dead(conn: &mut PgConnection, name: &str) -> sqlx::Result<bool> {
    let done = sqlx::query!("update events.consumers set dead = true where name = $1", name)
        .execute(conn)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Deletes old events that every living consumer has read; a bounded number, oldest first.
pub(crate) async fn retain(conn: &mut PgConnection, keep_ms: i64, limit: i64) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        "delete from events.outbox where position in (
            select e.position from events.outbox e
            where e.at < now() - $1::bigint * interval '1 millisecond'
                and e.xid < pg_snapshot_xmin(pg_current_snapshot())
                and not exists (select from events.consumers c
                    where not c.dead and (e.xid, e.position) > (c.xid, c.position))
            order by e.xid, e.position
            limit $2)",
        keep_ms,
        limit,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// Name, events not read (up to a bound), age of the oldest in milliseconds, dead.
pub(crate) async fn lag(
    conn: &mut PgConnection,
    count_max: i64,
) -> sqlx::Result<Vec<(String, i64, Option<i64>, bool)>> {
    let rows = sqlx::query!(
        r#"select c.name, c.dead, e.events as "events!",
            (extract(epoch from now() - e.oldest) * 1000)::bigint as oldest_ms
         from events.consumers c cross join lateral (
            select count(*) as events, min(at) as oldest from (
                select o.at from events.outbox o
                where (o.xid, o.position) > (c.xid, c.position) and o.topic = any(c.topics)
                order by o.xid, o.position
                limit $1) o) e
         order by c.name"#,
        count_max,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|r| (r.name, r.events, r.oldest_ms, r.dead)).collect())
}

/// The identifier of this cluster; 0 where a provider hides it.
pub(crate) async fn cluster(conn: &mut PgConnection) -> sqlx::Result<i64> {
    let asked = sqlx::query_scalar!(
        r#"select system_identifier as "system_identifier!" from pg_control_system()"#
    );
    match asked.fetch_one(conn).await {
        Err(sqlx::Error::Database(refused)) if refused.code().as_deref() == Some("42501") => Ok(0),
        other => other,
    }
}

/// The cluster whose transaction numbers stand in the tables.
pub(crate) async fn kept_cluster(conn: &mut PgConnection) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar!("select identifier from events.cluster where only_row")
        .fetch_optional(conn)
        .await
}

pub(crate) async fn keep_cluster(conn: &mut PgConnection, identifier: i64) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into events.cluster (only_row, identifier) values (true, $1)
         on conflict (only_row) do update set identifier = excluded.identifier",
        identifier,
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Nobody appends or reads while numbers are made anew.
pub(crate) async fn lock_all(conn: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("lock table events.outbox, events.consumers in share row exclusive mode")
        .execute(conn)
        .await
        .map(drop)
}

/// Gives restored events numbers below all that a cluster gives out, in the order they had, and
/// moves the cursors with them.
pub(crate) async fn renumber(conn: &mut PgConnection) -> sqlx::Result<()> {
    // Numbers 0, 1 and 2 belong to Postgres, and no transaction ever had one below 3: the position
    // alone orders what is restored. Positions are taken below all that are there, so that no
    // event meets another on its way, also when a backup of a restored database is restored.
    sqlx::query!(
        "with base as (
            select least(min(position), 0) - count(*) - 1 as position from events.outbox),
         ranked as (
            select o.position, o.xid,
                base.position + row_number() over (order by o.xid, o.position) as rank
            from events.outbox o, base),
         moved as (
            update events.consumers c set xid = '2', position = coalesce(
                (select max(r.rank) from ranked r where (r.xid, r.position) <= (c.xid, c.position)),
                (select position from base)))
         update events.outbox o set xid = '2', position = ranked.rank
         from ranked where o.position = ranked.position"
    )
    .execute(conn)
    .await
    .map(drop)
}
