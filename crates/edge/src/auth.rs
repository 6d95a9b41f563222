//! Who is asking: bearer tokens (JWT, RFC 7519) of configured issuers, verified and remembered.
//!
//! A request's way: [`presented`] reads the one `Authorization` field;
//! [`Authenticator::cached`] answers at once for a token that was verified before and still holds;
//! for any other the stack charges the address's limit and then asks [`Authenticator::verify`].
//! Errors say their problem code, their outcome for the metrics and, by
//! [`Authenticator::challenge`], their `WWW-Authenticate`.
//!
//! It fails closed: what cannot be verified is refused, with 401 where the token is at fault and
//! 503 where the issuer's keys cannot be had. A token never chooses what it is checked with:
//! `jku`, `x5u`, `jwk` and `x5c` are not looked at, its `alg` has to be allowed for its issuer and
//! fit the one key that its `kid` names, and `crit` is refused. No error, log line or `Debug` form
//! holds a token, a subject or any other claim.
//!
//! It never opens a connection on a core (keys are fetched on the control runtime), never believes
//! a token longer than its `exp` and the configured skew, or a key longer than its issuer publishes
//! it and `stale_max`.

mod algorithm;
mod authenticator;
mod bearer;
mod cache;
mod claims;
pub mod dev_issuer;
mod error;
mod fetch;
mod json;
mod jwk;
mod jws;
mod keys;
mod options;
mod refresh;
mod source;
mod status;
mod verified;

#[cfg(test)]
mod tests;

pub use authenticator::{AuthParts, Authenticator};
pub(crate) use bearer::bearer_text;
pub use bearer::{Presented, Token, presented};
pub use error::{AuthError, Refusal};
pub use keys::{KeySetReport, inspect_key_set};
pub use options::{AuthOptions, AuthSetupError, IssuerOptions, KeyLocation};
pub use status::{IssuerStatus, KeyState};
pub use verified::{CallerHash, CallerKey, Scopes, Verified};

/// Longest token that is read, bytes. Header lines of that length are at the limit of what common
/// servers take.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;
