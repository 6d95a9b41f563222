//! The SQL of keyed writes. Nothing else in the crate speaks to the database.
//!
//! Whoever locks several records does it in the order of their ids, and what is not in a hurry
//! passes over those that are locked: so nobody waits in a circle.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::model::{Claim, Hash, Owner, Record, State, WriteId};

/// A record with its id, as it is read under the lock.
pub(crate) struct Row {
    pub(crate) id: WriteId,
    pub(crate) record: Record,
}

/// Makes the records that are not there, and returns whose they are. `claims` in order of their
/// ids, each id once.
pub(crate) async fn insert(
    conn: &mut PgConnection,
    claims: &[&Claim],
    lease_ms: u64,
) -> sqlx::Result<Vec<WriteId>> {
    let ids: Vec<Vec<u8>> = claims.iter().map(|claim| claim.id.0.to_vec()).collect();
    let callers: Vec<Vec<u8>> = claims.iter().map(|claim| claim.caller.0.to_vec()).collect();
    let prints: Vec<Vec<u8>> = claims.iter().map(|claim| claim.fingerprint.0.to_vec()).collect();
    let owners: Vec<Uuid> = claims.iter().map(|claim| Uuid::from_u128(claim.owner)).collect();
    let services: Vec<String> = claims.iter().map(|claim| claim.service.clone()).collect();
    let operations: Vec<String> = claims.iter().map(|claim| claim.operation.clone()).collect();
    let kept: Vec<i64> = claims.iter().map(|claim| signed(claim.kept_for_ms)).collect();
    let made = sqlx::query_scalar!(
        "with now as materialized (
            select (extract(epoch from clock_timestamp()) * 1000)::bigint as ms)
         insert into writes.records (id, caller, fingerprint, owner, service, operation, state,
            fence, lease_until_ms, begun_ms, expires_ms)
         select c.id, c.caller, c.fingerprint, c.owner, c.service, c.operation, 'leased', 1,
            now.ms + $8, now.ms, now.ms + c.kept
         from unnest($1::bytea[], $2::bytea[], $3::bytea[], $4::uuid[], $5::text[], $6::text[],
            $7::bigint[]) as c (id, caller, fingerprint, owner, service, operation, kept), now
         order by c.id
         on conflict (id) do nothing
         returning id",
        &ids,
        &callers,
        &prints,
        &owners,
        &services,
        &operations,
        &kept,
        signed(lease_ms),
    )
    .fetch_all(conn)
    .await?;
    Ok(made.into_iter().filter_map(hash).collect())
}

/// Reads these records and locks them until the transaction ends; with the database's clock, read
/// no later than that.
pub(crate) async fn lock(
    conn: &mut PgConnection,
    ids: &[WriteId],
) -> sqlx::Result<(Vec<Row>, u64)> {
    let ids: Vec<Vec<u8>> = ids.iter().map(|id| id.0.to_vec()).collect();
    let rows = sqlx::query!(
        r#"select id, caller, fingerprint, owner, state, fence, taken_over, lease_until_ms,
            unknown_since_ms, expires_ms, answer,
            (extract(epoch from clock_timestamp()) * 1000)::bigint as "now_ms!"
         from writes.records where id = any($1) order by id for update"#,
        &ids,
    )
    .fetch_all(conn)
    .await?;
    let now_ms = rows.iter().map(|row| unsigned(row.now_ms)).min().unwrap_or_default();
    let rows = rows.into_iter().filter_map(|row| {
        let unknown_since_ms = row.unknown_since_ms.map(unsigned);
        let until_ms = unsigned(row.lease_until_ms);
        let state = match (row.state.as_str(), row.answer) {
            ("answered", Some(sealed)) => State::Answered { sealed },
            ("unknown", _) => State::Unknown { since_ms: unknown_since_ms.unwrap_or(until_ms) },
            _ => State::Leased { until_ms, unknown_since_ms },
        };
        let record = Record {
            caller: hash(row.caller)?,
            fingerprint: hash(row.fingerprint)?,
            owner: row.owner.as_u128(),
            fence: unsigned(row.fence),
            taken_over: unsigned(row.taken_over),
            expires_ms: unsigned(row.expires_ms),
            state,
        };
        Some(Row { id: hash(row.id)?, record })
    });
    Ok((rows.collect(), now_ms))
}

/// An answer of an execution, sealed.
pub(crate) struct Answered<'a> {
    pub(crate) id: WriteId,
    pub(crate) owner: Owner,
    pub(crate) fence: u64,
    pub(crate) sealed: &'a [u8],
}

/// Keeps the answers of those whose lease is still theirs, and returns which: what
/// [`finish`](crate::model::finish) makes of them.
pub(crate) async fn answer(
    conn: &mut PgConnection,
    answers: &[Answered<'_>],
) -> sqlx::Result<Vec<WriteId>> {
    let ids: Vec<Vec<u8>> = answers.iter().map(|one| one.id.0.to_vec()).collect();
    let owners: Vec<Uuid> = answers.iter().map(|one| Uuid::from_u128(one.owner)).collect();
    let fences: Vec<i64> = answers.iter().map(|one| signed(one.fence)).collect();
    let sealed: Vec<Vec<u8>> = answers.iter().map(|one| one.sealed.to_vec()).collect();
    let kept = sqlx::query_scalar!(
        "with ended as materialized (
            select * from unnest($1::bytea[], $2::uuid[], $3::bigint[], $4::bytea[])
                as c (id, owner, fence, answer)),
         mine as materialized (
            select r.id from writes.records r where r.state = 'leased' and (r.id, r.owner, r.fence)
                in (select id, owner, fence from ended)
            order by r.id for update)
         update writes.records r
         set state = 'answered', answer = ended.answer, unknown_since_ms = null
         from ended where r.id = ended.id and r.owner = ended.owner and r.fence = ended.fence
            and r.id in (select id from mine)
         returning r.id",
        &ids,
        &owners,
        &fences,
        &sealed,
    )
    .fetch_all(conn)
    .await?;
    Ok(kept.into_iter().filter_map(hash).collect())
}

/// Writes records that were locked.
pub(crate) async fn update(conn: &mut PgConnection, rows: &[Row]) -> sqlx::Result<()> {
    let bytes = |of: fn(&Row) -> Hash| -> Vec<Vec<u8>> {
        rows.iter().map(|row| of(row).0.to_vec()).collect()
    };
    let numbers = |of: fn(&Record) -> u64| -> Vec<i64> {
        rows.iter().map(|r| signed(of(&r.record))).collect()
    };
    let owners: Vec<Uuid> = rows.iter().map(|row| Uuid::from_u128(row.record.owner)).collect();
    let states: Vec<String> = rows.iter().map(|row| word(&row.record.state).to_owned()).collect();
    let until: Vec<Option<i64>> = rows
        .iter()
        .map(|row| match &row.record.state {
            State::Leased { until_ms, .. } => Some(signed(*until_ms)),
            _ => None,
        })
        .collect();
    let since: Vec<Option<i64>> = rows
        .iter()
        .map(|row| match &row.record.state {
            State::Leased { unknown_since_ms, .. } => unknown_since_ms.map(signed),
            State::Unknown { since_ms } => Some(signed(*since_ms)),
            State::Answered { .. } => None,
        })
        .collect();
    let answers: Vec<Option<Vec<u8>>> = rows
        .iter()
        .map(|row| match &row.record.state {
            State::Answered { sealed } => Some(sealed.clone()),
            _ => None,
        })
        .collect();
    sqlx::query!(
        "update writes.records r set caller = c.caller, fingerprint = c.fingerprint,
            owner = c.owner, state = c.state, fence = c.fence, taken_over = c.taken_over,
            expires_ms = c.expires_ms, lease_until_ms = coalesce(c.until, r.lease_until_ms),
            unknown_since_ms = c.since, answer = c.answer
         from unnest($1::bytea[], $2::bytea[], $3::bytea[], $4::uuid[], $5::text[], $6::bigint[],
            $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bytea[])
            as c (id, caller, fingerprint, owner, state, fence, taken_over, expires_ms, until,
            since, answer)
         where r.id = c.id",
        &bytes(|row| row.id),
        &bytes(|row| row.record.caller),
        &bytes(|row| row.record.fingerprint),
        &owners,
        &states,
        &numbers(|record| record.fence),
        &numbers(|record| record.taken_over),
        &numbers(|record| record.expires_ms),
        &until as &[Option<i64>],
        &since as &[Option<i64>],
        &answers as &[Option<Vec<u8>>],
    )
    .execute(conn)
    .await
    .map(drop)
}

/// Removes records that were locked.
pub(crate) async fn remove(conn: &mut PgConnection, ids: &[WriteId]) -> sqlx::Result<()> {
    let ids: Vec<Vec<u8>> = ids.iter().map(|id| id.0.to_vec()).collect();
    sqlx::query!("delete from writes.records where id = any($1)", &ids)
        .execute(conn)
        .await
        .map(drop)
}

/// Renews leases that are still their owners', and returns which.
pub(crate) async fn renew(
    conn: &mut PgConnection,
    leases: &[(WriteId, Owner)],
    lease_ms: u64,
) -> sqlx::Result<Vec<WriteId>> {
    let ids: Vec<Vec<u8>> = leases.iter().map(|(id, _)| id.0.to_vec()).collect();
    let owners: Vec<Uuid> = leases.iter().map(|(_, owner)| Uuid::from_u128(*owner)).collect();
    let done = sqlx::query_scalar!(
        "with now as materialized (
            select (extract(epoch from clock_timestamp()) * 1000)::bigint as ms),
         mine as (
            select r.id from writes.records r
            join unnest($1::bytea[], $2::uuid[]) as c (id, owner) using (id)
            where r.owner = c.owner and r.state = 'leased'
                and r.lease_until_ms > (select ms from now)
            for update of r skip locked)
         update writes.records r set lease_until_ms = (select ms from now) + $3
         where r.id in (select id from mine)
         returning r.id",
        &ids,
        &owners,
        signed(lease_ms),
    )
    .fetch_all(conn)
    .await?;
    Ok(done.into_iter().filter_map(hash).collect())
}

/// Removes records whose time is over, at most `limit`.
pub(crate) async fn expire(conn: &mut PgConnection, limit: i64) -> sqlx::Result<u64> {
    let done = sqlx::query!(
        "with now as materialized (
            select (extract(epoch from clock_timestamp()) * 1000)::bigint as ms)
         delete from writes.records where id in (
            select id from writes.records
            where expires_ms <= (select ms from now)
                and (state <> 'leased' or lease_until_ms <= (select ms from now))
            order by expires_ms limit $1
            for update skip locked)",
        limit,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// Records by state: executing, unknown, and answered, these counted up to a bound. Records of the
/// operation `probe` are not counted.
pub(crate) async fn count(
    conn: &mut PgConnection,
    probe: &str,
    max: i64,
) -> sqlx::Result<(u64, u64, u64)> {
    let row = sqlx::query!(
        r#"with now as materialized (
            select (extract(epoch from clock_timestamp()) * 1000)::bigint as ms)
         select count(*) filter (where state = 'leased' and lease_until_ms > ms) as "leased!",
            count(*) filter (where state = 'unknown' or lease_until_ms <= ms) as "unknown!",
            (select count(*) from (select from writes.records
                where state = 'answered' and operation <> $1 limit $2) a) as "answered!"
         from writes.records, now where state <> 'answered' and operation <> $1"#,
        probe,
        max,
    )
    .fetch_one(conn)
    .await?;
    Ok((unsigned(row.leased), unsigned(row.unknown), unsigned(row.answered)))
}

/// Records, those executed more often than a policy allowed, and the first operation of these.
/// Records of the operation `probe` are not counted.
pub(crate) async fn executed(
    conn: &mut PgConnection,
    probe: &str,
    max: i64,
) -> sqlx::Result<(u64, u64, Option<String>)> {
    let row = sqlx::query!(
        r#"select count(*) as "keys!",
            count(*) filter (where fence > 1 + taken_over) as "twice!",
            min(service || ' ' || operation) filter (where fence > 1 + taken_over) as first
         from (select service, operation, fence, taken_over from writes.records
            where operation <> $1 order by expires_ms desc limit $2) r"#,
        probe,
        max,
    )
    .fetch_one(conn)
    .await?;
    Ok((unsigned(row.keys), unsigned(row.twice), row.first))
}

fn word(state: &State) -> &'static str {
    match state {
        State::Leased { .. } => "leased",
        State::Unknown { .. } => "unknown",
        State::Answered { .. } => "answered",
    }
}

fn hash(bytes: Vec<u8>) -> Option<Hash> {
    bytes.try_into().ok().map(Hash)
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}
