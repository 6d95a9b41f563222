//! A small backend as a team would have it before Plimsoll, and the simulator of its apps.
//!
//! - [`serve`]: the backend. Sign-up, profile, feed, posts, likes, orders, payments and media, held
//!   in memory and bounded. Its contract is `openapi.json` beside this crate; the tests hold both
//!   together.
//! - [`switches`]: latency, errors and crashes per operation, set on a second loopback listener.
//! - [`traffic`]: phones that use the backend through the edge, bounded in rate and time.
//!
//! It trusts the edge in front of it: tokens are read, not verified (see [`token`]). It never
//! stores anything on disk and never calls out.

pub mod api;
pub mod client;
pub mod model;
pub mod refusal;
pub mod serve;
pub mod store;
pub mod switches;
pub mod token;
pub mod traffic;
