//! A small backend as a team would have it before Plimsoll, and the simulator of its apps.
//!
//! - [`serve`]: the backend. Sign-up, profile, feed, posts, likes, orders, payments and media, kept
//!   in a Postgres database of its own ([`store`]) and bounded. Its contract is `openapi.json`
//!   beside this crate; the tests hold both together.
//! - [`switches`]: latency, errors and crashes per operation, and the feed's N+1, set on a second
//!   loopback listener.
//! - [`trace`]: OpenTelemetry spans of requests and queries, where somebody takes them.
//! - [`traffic`]: phones that use the backend through the edge, bounded in rate and time.
//!
//! It trusts the edge in front of it: tokens are read, not verified (see [`token`]). It stores
//! nothing on disk by itself, and calls nobody but its database and, on this machine, who takes its
//! telemetry.

pub mod api;
pub mod client;
pub mod model;
pub mod otlp;
pub mod refusal;
pub mod serve;
pub mod store;
pub mod switches;
pub mod token;
pub mod trace;
pub mod traffic;
