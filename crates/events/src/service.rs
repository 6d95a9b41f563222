//! Appending, reading, and keeping the outbox small.

use std::time::Duration;

use plimsoll_base::failpoint;
use serde_json::Value;
use sqlx::{Connection as _, PgConnection};

use crate::error::EventsError;
use crate::model::{
    BATCH_EVENTS_MAX, Batch, KEY_BYTES_MAX, LAG_EVENTS_MAX, Lag, PAYLOAD_BYTES_MAX, Start,
    TOPIC_BYTES_MAX,
};
use crate::store;
use crate::wake::CHANNEL;

/// Appends an event in the caller's transaction and wakes consumers when that commits. Returns its
/// position.
///
/// # Errors
/// A field beyond its bound, or the database.
pub async fn append(
    conn: &mut PgConnection,
    topic: &str,
    key: &str,
    payload: &Value,
) -> Result<i64, EventsError> {
    named("topic", topic)?;
    bounded("key", key.len(), KEY_BYTES_MAX)?;
    bounded("payload", payload.to_string().len(), PAYLOAD_BYTES_MAX)?;
    let position = store::insert(conn, topic, key, payload).await?;
    store::notify(conn, CHANNEL, topic).await?;
    Ok(position)
}

/// Adds a consumer of these topics. One that is there keeps its place; one that was declared dead
/// begins anew.
///
/// # Errors
/// A name beyond its bound, or the database.
pub async fn register(
    conn: &mut PgConnection,
    name: &str,
    topics: &[&str],
    start: Start,
) -> Result<(), EventsError> {
    named("name", name)?;
    for topic in topics {
        named("topic", topic)?;
    }
    let topics: Vec<String> = topics.iter().map(|topic| (*topic).to_owned()).collect();
    Ok(store::register(conn, name, &topics, start == Start::Oldest).await?)
}

/// What follows a consumer's cursor: at most `limit` and [`BATCH_EVENTS_MAX`] events. Waits while
/// another reads for the same consumer.
///
/// `conn` should be in a transaction, in which the caller acts and then calls [`advance`]: so every
/// event has its effect once. A caller whose effect lies elsewhere reads, acts, and advances; what
/// it acted on before a crash comes again.
///
/// # Errors
/// No such consumer, or the database.
pub async fn read(
    conn: &mut PgConnection,
    consumer: &str,
    limit: u32,
) -> Result<Batch, EventsError> {
    store::lock(conn, consumer).await?;
    let Some((topics, after)) = store::consumer(conn, consumer).await? else {
        return Err(EventsError::NoConsumer { name: consumer.to_owned() });
    };
    let limit = i64::from(limit.clamp(1, BATCH_EVENTS_MAX));
    let (events, upto) = store::after(conn, &topics, &after, limit).await?;
    Ok(Batch { consumer: consumer.to_owned(), after, upto, events })
}

/// Notes that a batch is done with.
///
/// # Errors
/// The consumer has moved on, or the database.
pub async fn advance(conn: &mut PgConnection, batch: &Batch) -> Result<(), EventsError> {
    failpoint::hit("events.before_advance").map_err(EventsError::Failpoint)?;
    if store::advance(conn, &batch.consumer, &batch.after, &batch.upto).await? {
        return Ok(());
    }
    Err(EventsError::Overtaken { name: batch.consumer.clone() })
}

/// Retention no longer waits for this consumer. Says whether there is one of that name.
///
/// # Errors
/// The database.
pub async fn declare_dead(conn: &mut PgConnection, consumer: &str) -> Result<bool, EventsError> {
    Ok(store::declare_dead(conn, consumer).await?)
}

/// Deletes events older than `keep` that every living consumer has read, at most `events_max` of
/// them, and returns how many.
///
/// # Errors
/// The database.
pub async fn retain(
    conn: &mut PgConnection,
    keep: Duration,
    events_max: u32,
) -> Result<u64, EventsError> {
    let keep = i64::try_from(keep.as_millis()).unwrap_or(i64::MAX);
    Ok(store::retain(conn, keep, i64::from(events_max)).await?)
}

/// How far each consumer is behind.
///
/// # Errors
/// The database.
pub async fn lag(conn: &mut PgConnection) -> Result<Vec<Lag>, EventsError> {
    let count_max = i64::try_from(LAG_EVENTS_MAX).unwrap_or(i64::MAX);
    let rows = store::lag(conn, count_max).await?;
    let lags = rows.into_iter().map(|(consumer, events, oldest_ms, dead)| Lag {
        consumer,
        events: u64::try_from(events).unwrap_or_default(),
        oldest: oldest_ms.map(|ms| Duration::from_millis(u64::try_from(ms).unwrap_or_default())),
        dead,
    });
    Ok(lags.collect())
}

/// To be called at start, before anything is appended: after a backup was restored into another
/// cluster, transaction numbers start again, and what was restored gets numbers that come before
/// them. Says whether that was so.
///
/// # Errors
/// The database.
pub async fn adopt(conn: &mut PgConnection) -> Result<bool, EventsError> {
    let here = store::cluster(conn).await?;
    if store::kept_cluster(conn).await? == Some(here) {
        return Ok(false);
    }
    let mut tx = conn.begin().await?;
    store::lock_all(&mut tx).await?;
    // Somebody else may have been faster.
    let kept = store::kept_cluster(&mut tx).await?;
    let restored = kept.is_some_and(|kept| kept != here);
    if restored {
        store::renumber(&mut tx).await?;
    }
    if kept != Some(here) {
        store::keep_cluster(&mut tx, here).await?;
    }
    tx.commit().await?;
    Ok(restored)
}

fn named(field: &'static str, text: &str) -> Result<(), EventsError> {
    if text.is_empty() {
        return Err(EventsError::Empty { field });
    }
    bounded(field, text.len(), TOPIC_BYTES_MAX)
}

fn bounded(field: &'static str, bytes: usize, bytes_max: usize) -> Result<(), EventsError> {
    if bytes > bytes_max {
        return Err(EventsError::TooLong { field, bytes, bytes_max });
    }
    Ok(())
}
