//! Events: a transactional outbox, and consumers with named cursors that read it in the order of
//! commits.
//!
//! [`append`] writes an event in the transaction of the effect it speaks of. A consumer reads what
//! lies below `pg_snapshot_xmin`, where every transaction has ended: the same rule as the ledger's
//! sealer, so that a transaction that commits late is never passed over. Delivery is at least once;
//! it is exactly once where a consumer stores its cursor in the transaction of its own effect
//! ([`read`], act, [`advance`], commit).
//!
//! It never deletes what a living consumer has not read, and never carries a payload in a
//! notification.

mod error;
mod model;
mod service;
mod store;
mod wake;

use plimsoll_store::Room;

pub use error::EventsError;
pub use model::{
    BATCH_EVENTS_MAX, Batch, Event, KEY_BYTES_MAX, LAG_EVENTS_MAX, Lag, PAYLOAD_BYTES_MAX, Start,
    TOPIC_BYTES_MAX,
};
pub use service::{adopt, advance, append, declare_dead, lag, read, register, retain};
pub use wake::{CHANNEL, Waker};

static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!();

/// The outbox's part of the database.
pub static ROOM: Room = Room { name: "events", migrator: &MIGRATOR, append_only: &[] };
