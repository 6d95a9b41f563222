//! The SQL of the snapshot: changes under one epoch, and what each node has applied.

use plimsoll_store::{PgPool, Room};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{Dynamic, ITEM_BYTES_MAX, ITEMS_MAX, Item};

/// The schema `snapshot`.
pub const ROOM: Room = Room { name: "snapshot", migrator: &MIGRATOR, append_only: &[] };

static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!();

/// The channel on which a new epoch is announced (`NOTIFY`).
pub(crate) const CHANNEL: &str = "plimsoll_epoch";

/// Items that one change may hold.
const CHANGES_MAX: usize = 1_000;

/// How long the row of an item that is gone stays, hours, so that every node that is up learns of
/// it; one that comes back later reads everything anew.
const GONE_KEPT_HOURS: i32 = 24;

/// How long a node that says nothing is listed, hours.
const NODE_KEPT_HOURS: i32 = 24;

/// One change of one item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The room that the item belongs to.
    pub room: &'static str,
    /// Its name within the room.
    pub key: String,
    /// What it says from now on; none takes it away.
    pub body: Option<serde_json::Value>,
    /// When it stops to count, in seconds since 1970-01-01T00:00:00Z.
    pub expires_unix_s: Option<u64>,
}

/// Why a change was not published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// Too much at once, or an item too large.
    #[error("{0}")]
    Bound(String),
    /// The database refused.
    #[error("the change could not be stored: {0}")]
    Database(#[from] sqlx::Error),
}

/// Publishes changes in the caller's transaction and answers their epoch. Nodes learn of it when
/// the transaction commits; until then other publishers wait.
///
/// # Errors
/// [`PublishError::Bound`] beyond 1,000 changes at once, [`ITEM_BYTES_MAX`] or [`ITEMS_MAX`];
/// [`PublishError::Database`].
pub async fn publish(
    connection: &mut PgConnection,
    changes: &[Change],
) -> Result<u64, PublishError> {
    check(changes)?;
    let epoch = sqlx::query_scalar!(
        "update snapshot.epoch set epoch = epoch + 1, changed_at = now() returning epoch"
    )
    .fetch_one(&mut *connection)
    .await?;
    for change in changes {
        sqlx::query!(
            "insert into snapshot.items (room, key, epoch, body, expires_at) \
             values ($1, $2, $3, $4, coalesce(to_timestamp($5), \
                     case when $4::jsonb is null then now() + make_interval(hours => $6) end)) \
             on conflict (room, key) do update \
             set epoch = excluded.epoch, body = excluded.body, expires_at = excluded.expires_at",
            change.room,
            change.key,
            epoch,
            change.body,
            change.expires_unix_s.map(seconds),
            GONE_KEPT_HOURS,
        )
        .execute(&mut *connection)
        .await?;
    }
    let items = sqlx::query_scalar!("select count(*) as \"count!\" from snapshot.items")
        .fetch_one(&mut *connection)
        .await?;
    if usize::try_from(items).unwrap_or(usize::MAX) > ITEMS_MAX {
        return Err(PublishError::Bound(format!(
            "there may be {ITEMS_MAX} items at once; wait until some have expired"
        )));
    }
    sqlx::query!("select pg_notify($1, $2)", CHANNEL, epoch.to_string())
        .execute(&mut *connection)
        .await?;
    Ok(u64::try_from(epoch).unwrap_or(0))
}

/// One item as it is; none where it is not there or has expired. From now on nobody else publishes
/// until the caller's transaction ends, so that what is published next can build on it.
///
/// # Errors
/// What the database says.
pub async fn held(
    connection: &mut PgConnection,
    room: &str,
    key: &str,
) -> Result<Option<Item>, sqlx::Error> {
    sqlx::query!("select epoch from snapshot.epoch for update").fetch_one(&mut *connection).await?;
    let row = sqlx::query!(
        "select epoch, body, extract(epoch from expires_at)::bigint as expires \
         from snapshot.items where room = $1 and key = $2 and body is not null \
           and (expires_at is null or expires_at > now())",
        room,
        key,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| Item {
        room: room.to_owned(),
        key: key.to_owned(),
        epoch: unsigned(row.epoch),
        body: row.body,
        expires_unix_s: row.expires.map(unsigned),
    }))
}

fn check(changes: &[Change]) -> Result<(), PublishError> {
    if changes.len() > CHANGES_MAX {
        return Err(PublishError::Bound(format!(
            "a change may hold {CHANGES_MAX} items, this one holds {}; publish it in parts",
            changes.len()
        )));
    }
    let bytes = |change: &Change| change.body.as_ref().map_or(0, |body| body.to_string().len());
    match changes.iter().find(|change| bytes(change) > ITEM_BYTES_MAX) {
        Some(change) => Err(PublishError::Bound(format!(
            "the item {} of {} has {} bytes; {ITEM_BYTES_MAX} are allowed",
            change.key,
            change.room,
            bytes(change)
        ))),
        None => Ok(()),
    }
}

#[expect(clippy::cast_precision_loss, reason = "seconds of our time are exact in a double")]
fn seconds(unix_s: u64) -> f64 {
    unix_s as f64
}

/// The epoch in force.
pub(crate) async fn epoch(connection: &mut PgConnection) -> Result<u64, sqlx::Error> {
    let epoch = sqlx::query_scalar!("select epoch from snapshot.epoch").fetch_one(connection).await;
    epoch.map(unsigned)
}

/// Everything in force, as of one moment.
pub(crate) async fn whole(connection: &mut PgConnection) -> Result<Dynamic, sqlx::Error> {
    // The epoch is read first: what commits in between comes again with the next change.
    let epoch = epoch(connection).await?;
    let items = changes_since(connection, 0).await?;
    Ok(Dynamic::whole(epoch, items))
}

/// What changed after `epoch`.
pub(crate) async fn changes_since(
    connection: &mut PgConnection,
    epoch: u64,
) -> Result<Vec<Item>, sqlx::Error> {
    let rows = sqlx::query!(
        "select room, key, epoch, body, extract(epoch from expires_at)::bigint as expires \
         from snapshot.items where epoch > $1 order by epoch limit $2",
        i64::try_from(epoch).unwrap_or(i64::MAX),
        i64::try_from(2 * ITEMS_MAX).unwrap_or(i64::MAX),
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Item {
            room: row.room,
            key: row.key,
            epoch: unsigned(row.epoch),
            body: row.body,
            expires_unix_s: row.expires.map(unsigned),
        })
        .collect())
}

/// What a node says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeReport {
    /// New at each start.
    pub id: Uuid,
    /// The machine's name, or what the operator calls the node.
    pub name: String,
    /// The roles it runs, such as `all`.
    pub roles: String,
    /// Its version.
    pub version: String,
    /// The hash of its manifest.
    pub manifest_hash: String,
    /// When it started, in milliseconds since 1970-01-01T00:00:00Z.
    pub started_unix_ms: u64,
}

/// A node as the database knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRow {
    /// What it says of itself.
    pub report: NodeReport,
    /// The epoch it has applied.
    pub epoch: u64,
    /// How long ago it applied it, milliseconds by the database's clock.
    pub applied_ago_ms: u64,
    /// How long ago it was last heard of, milliseconds by the database's clock.
    pub seen_ago_ms: u64,
}

/// Notes what a node has applied. `applied` says that it did so just now.
pub(crate) async fn report(
    connection: &mut PgConnection,
    node: &NodeReport,
    epoch: u64,
    applied: bool,
) -> Result<(), sqlx::Error> {
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of our time are exact")]
    let started = node.started_unix_ms as f64 / 1_000.0;
    sqlx::query!(
        "insert into snapshot.nodes as n \
           (id, name, roles, version, manifest_hash, started_at, epoch, applied_at) \
         values ($1, $2, $3, $4, $5, to_timestamp($6), $7, clock_timestamp()) \
         on conflict (id) do update set manifest_hash = excluded.manifest_hash, \
           epoch = excluded.epoch, seen_at = clock_timestamp(), \
           applied_at = case when $8 then excluded.applied_at else n.applied_at end",
        node.id,
        node.name,
        node.roles,
        node.version,
        node.manifest_hash,
        started,
        i64::try_from(epoch).unwrap_or(i64::MAX),
        applied,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The epoch in force and every node heard of in the last day, by name.
///
/// # Errors
/// What the database says.
pub async fn nodes(pool: &PgPool) -> Result<(u64, Vec<NodeRow>), sqlx::Error> {
    let mut connection = pool.acquire().await?;
    let epoch = epoch(&mut connection).await?;
    let rows = sqlx::query!(
        "select id, name, roles, version, manifest_hash, epoch, \
           (extract(epoch from started_at) * 1000)::bigint as \"started_ms!\", \
           (extract(epoch from clock_timestamp() - applied_at) * 1000)::bigint as \"applied_ms!\", \
           (extract(epoch from clock_timestamp() - seen_at) * 1000)::bigint as \"seen_ms!\" \
         from snapshot.nodes order by name, started_at limit 1000"
    )
    .fetch_all(&mut *connection)
    .await?;
    let rows = rows.into_iter().map(|row| NodeRow {
        report: NodeReport {
            id: row.id,
            name: row.name,
            roles: row.roles,
            version: row.version,
            manifest_hash: row.manifest_hash,
            started_unix_ms: unsigned(row.started_ms),
        },
        epoch: unsigned(row.epoch),
        applied_ago_ms: unsigned(row.applied_ms),
        seen_ago_ms: unsigned(row.seen_ms),
    });
    Ok((epoch, rows.collect()))
}

/// Takes away items that expired a day ago and nodes that have said nothing for a day.
///
/// # Errors
/// What the database says.
pub async fn sweep(pool: &PgPool) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "delete from snapshot.items where expires_at < now() - make_interval(hours => $1)",
        GONE_KEPT_HOURS
    )
    .execute(pool)
    .await?;
    sqlx::query!(
        "delete from snapshot.nodes where seen_at < now() - make_interval(hours => $1)",
        NODE_KEPT_HOURS
    )
    .execute(pool)
    .await?;
    Ok(())
}

fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}
