//! Plain types.

use std::time::Duration;

use serde_json::Value;

/// The longest topic, in bytes.
pub const TOPIC_BYTES_MAX: usize = 64;
/// The longest key, in bytes.
pub const KEY_BYTES_MAX: usize = 256;
/// The longest payload as JSON text, in bytes.
pub const PAYLOAD_BYTES_MAX: usize = 64 * 1024;
/// The most events in one batch.
pub const BATCH_EVENTS_MAX: u32 = 1_000;
/// Lag is counted up to this many events.
pub const LAG_EVENTS_MAX: u64 = 10_000;

/// One event.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Unique; increases inside one transaction, but not with the order of commits.
    pub position: i64,
    /// What it is about, such as `flag.changed`.
    pub topic: String,
    /// Which one, such as the flag's name.
    pub key: String,
    /// What happened.
    pub payload: Value,
    /// When its transaction began, in milliseconds since 1970-01-01T00:00:00Z.
    pub at_unix_ms: i64,
}

/// Where a new consumer begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With the oldest event that is still there.
    Oldest,
    /// With what is committed from now on; a transaction that runs now counts as such.
    Now,
}

/// Events that follow what a consumer has read.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    pub(crate) consumer: String,
    pub(crate) after: Cursor,
    pub(crate) upto: Cursor,
    /// The events, in the order of their commits; may be empty.
    pub events: Vec<Event>,
}

/// Everything up to this transaction and position is read. The transaction is the number's text,
/// since Postgres compares it and we only carry it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) xid: String,
    pub(crate) position: i64,
}

/// How far a consumer is behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lag {
    /// The consumer.
    pub consumer: String,
    /// Events it has not read, of its topics, committed or about to be seen; at most
    /// [`LAG_EVENTS_MAX`].
    pub events: u64,
    /// The age of the oldest of them.
    pub oldest: Option<Duration>,
    /// Retention does not wait for it.
    pub dead: bool,
}
