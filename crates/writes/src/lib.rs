//! Keyed writes: each is executed once, and whoever sends it again gets the first one's answer.
//!
//! Before the service is contacted a record of the write is durable in Postgres, under a lease of
//! its execution. The lease is short, renewed while the execution lasts, and fenced by its owner:
//! the record outlives it. An execution ends answered, released (nothing can have been executed) or
//! unknown (something may have been). [`model`] is the state machine, pure; [`Writes`] is what an
//! edge asks; [`Engine`] works on the control runtime, where one transaction commits for all who
//! wait.
//!
//! It never contacts a service, never keeps a key, a caller or a body readable, and never grants a
//! second execution while the outcome of the first is unknown, unless a policy says so.

mod answer;
mod engine;
mod error;
pub mod model;
mod resent;
mod service;
mod store;
mod trial;

use plimsoll_store::Room;

pub use answer::{ANSWER_BYTES_MAX, Answer};
pub use engine::{Engine, Standing};
pub use error::WritesError;
pub use model::{Claim, Hash, OnUnknown, WriteId};
pub use resent::{Begins, Resent, ResentSeen};
pub use service::{Begun, LEASE, Lease, Waiting, Writes};
pub use trial::Seen;

static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!();

/// The room's part of the database.
pub static ROOM: Room = Room { name: "writes", migrator: &MIGRATOR, append_only: &[] };
