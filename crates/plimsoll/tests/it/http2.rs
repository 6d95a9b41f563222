//! HTTP/2 from the client's side: by prior knowledge and by ALPN, many streams, large bodies,
//! drain, and the attacks that only this protocol knows.

mod attacks;
pub(crate) mod client;
mod fields;
mod idle;
mod large;
mod multiplex;
mod secure;
mod stall;
