//! The steps of the [stack](crate::stack), one file each.

pub(crate) mod accept;
pub(crate) mod admit;
pub(crate) mod answer;
pub(crate) mod audit;
pub(crate) mod authenticate;
pub(crate) mod breaker;
pub(crate) mod cache;
pub(crate) mod client;
pub(crate) mod fallback;
pub(crate) mod forward;
pub(crate) mod idempotency;
pub(crate) mod limit;
pub(crate) mod resent;
pub(crate) mod route;
