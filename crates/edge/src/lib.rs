//! The request path: listeners, the stack of steps, upstreams, drain.

pub mod auth;
pub mod limit;
pub mod router;
