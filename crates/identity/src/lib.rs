//! Who may come in. So far: taking back tokens that others issued ([`revoke`]).
//!
//! It never verifies a token (the edge does), never keeps one, and never writes down whom a
//! revocation names but as a hash.

mod error;
mod model;
mod service;

pub use error::IdentityError;
pub use model::{REVOCATION_KEPT_MAX, REVOCATION_KEPT_MIN, Revoke, RevokedName};
pub use service::{Revoked, revoke};
