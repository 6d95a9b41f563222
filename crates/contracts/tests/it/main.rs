//! Contracts from the outside: loading, converting, merging, drafting.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod convert;
mod draft;
mod load;
mod untrusted;

use serde_json::Value;

/// A contract that must be sound.
fn document(text: &str) -> Value {
    let document = plimsoll_contracts::parse_document(text.as_bytes());
    document.unwrap_or_else(|faults| panic!("{faults:?}")).value().clone()
}
