//! What caching is decided by: RFC 9111 with RFC 5861, 9211, 9213 and 9875, as pure functions of
//! header fields and of the time they are given.
//!
//! Nothing here stores anything. [`storing::judge`] says whether an answer may be kept, for whom
//! and for how long; [`vary`], [`conditional`] and [`range`] say what a kept answer answers;
//! [`update`] what a 304 changes of it; [`status`] what the client is told. What cannot be read is
//! never taken for permission: it makes an answer stale at once, or keeps it from being stored.

pub mod conditional;
mod control;
mod date;
mod freshness;
pub mod groups;
pub mod range;
pub mod status;
pub mod storing;
mod targeted;
pub mod update;
pub mod vary;

pub use control::{Omitted, RequestControl, ResponseControl};
pub use date::{http_date, parse as parse_date};
pub use targeted::{CDN_CACHE_CONTROL, PLIMSOLL_CACHE_CONTROL};
