//! What an edge acts on, as plain data: versioned serde sections, one per room that feeds the edge,
//! and items that change while it runs, all under one epoch.
//!
//! A room makes its section, the edge obeys it, and neither sees the other: `contracts` makes
//! [`Routes`], the edge's router reads it. A section is data and nothing else: no policy lives
//! here, and no secret may stand in it.
//!
//! Every section carries a `format` number. [`Routes::from_json`] reads that number before
//! anything else, so that a file or message of another version is refused with a sentence that
//! says what to do, not with a serde message about some field.
//!
//! What changes at run time ([`Dynamic`]) lies in Postgres. [`publish`] raises the epoch in the
//! caller's transaction, [`follow`] keeps a node up to date, [`Saved`] keeps the last good state on
//! disk, so that an edge that has run once starts and serves while Postgres is down.

mod cache;
mod disk;
mod dynamic;
mod follow;
mod format;
mod nameless;
mod revocations;
mod routes;
mod store;
pub mod template;

pub use cache::{CacheMode, CacheRoute};
pub use disk::{DiskError, Saved};
pub use dynamic::{DYNAMIC_FORMAT, Dynamic, ITEM_BYTES_MAX, ITEMS_MAX, Item};
pub use follow::{Contact, Followed, Following, follow};
pub use format::SnapshotError;
pub use nameless::{NAMELESS_OTHER, NAMES_MAX, NamelessNames, nameless};
pub use revocations::{REVOCATIONS_ROOM, Revocation, RevocationKey, RevocationKeys, Revocations};
pub use routes::{
    ApiVersion, Audit, Cost, Criticality, Idempotency, KeyRule, OperationName, OperationRoute,
    ROUTES_FORMAT, RetryRule, Routes, Security, ServiceRoutes, UnknownOutcome,
};
pub use store::{Change, NodeReport, NodeRow, PublishError, ROOM, held, nodes, publish, sweep};
