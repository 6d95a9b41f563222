//! Every call we make to an address that config or a person gave: key sets, webhooks, federation,
//! the steps of a journey.
//!
//! One call is one connection: the URL is checked, the name is resolved once, every address it
//! resolved to is judged, and the connection goes to a judged address, so that a name cannot
//! answer differently between the check and the use (DNS rebinding). TLS still proves the name,
//! and `Host` still carries it.
//!
//! It never follows a redirect, never reuses a connection, never reads more than the caller's cap,
//! never goes on after the caller's deadline, and never reads the environment: extra roots come in
//! as PEM. No error shows more of a URL than its host and port, since paths and queries may hold
//! secrets.

mod address;
mod call;
mod error;
mod exchange;
mod outbound;
mod target;
mod tls;

pub use address::{AddressClass, classify};
pub use call::{Answered, Call, CallOptions};
pub use error::{OutboundError, Phase};
pub use outbound::{FetchOptions, Fetched, Lookup, Outbound, OutboundOptions, Post, Resolver};
pub use tls::client_config;
