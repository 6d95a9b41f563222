//! What every HTTP answer and request of Plimsoll has in common: problem details with stable
//! codes, header and path hygiene, caching rules, forwarding addresses, client context, rate limit
//! fields and request ids.
//!
//! Everything here is a pure function of the bytes it is given: no I/O, no clock, no randomness of
//! its own, no logging. A parser of untrusted input in this crate never panics and has a bound on
//! what it reads; each has a naive twin in the tests that must agree with it.

pub mod caching;
pub mod client;
pub mod codes;
pub mod coding;
pub mod forwarded;
pub mod hygiene;
pub mod idempotency_key;
pub mod installation;
pub mod priority;
pub mod problem;
pub mod ratelimit_fields;
pub mod request_id;

pub use client::{ClientContext, ClientMemo};
pub use codes::Code;
pub use problem::Problem;
