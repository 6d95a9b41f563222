//! Contracts: what a service says it offers, as an OpenAPI document.
//!
//! [`load()`] reads the contracts that the manifest names and makes the route table, the section of
//! `snapshot` that the edge's router reads; [`merged_document`] is what `GET /openapi.json`
//! answers; [`draft_manifest`] is what `plimsoll init` writes. OpenAPI 3.0, 3.1 and Swagger 2.0
//! (converted on load), JSON and YAML.
//!
//! It never fetches anything: references stay inside the document. It never trusts a document's
//! size, depth, aliases or patterns; `bounds` has the numbers. It does no I/O but through the
//! function that the caller passes in.

pub mod bounds;
mod check;
mod convert;
mod document;
mod draft;
mod fallback;
mod faults;
mod json;
mod load;
mod merge;
mod operations;
mod pointer;
mod policy;
mod security;
mod walk;
mod yaml;

pub use document::{Dialect, Document, parse_document};
pub use draft::draft_manifest;
pub use load::{Source, load, read_contract};
pub use merge::merged_document;
pub use plimsoll_manifest::Fault;

/// The fields of a path item that are methods, in the order in which operations are listed.
pub(crate) const METHODS: [&str; 8] =
    ["get", "head", "post", "put", "patch", "delete", "options", "trace"];

/// The candidate that a misspelt word most likely meant.
pub(crate) fn similar<'c>(
    given: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<String> {
    const WORD_BYTES_MAX: usize = 128;
    const CANDIDATES_MAX: usize = 2_000;
    if given.len() > WORD_BYTES_MAX {
        return None;
    }
    let given = given.to_lowercase();
    candidates
        .into_iter()
        .filter(|candidate| candidate.len() <= WORD_BYTES_MAX)
        .take(CANDIDATES_MAX)
        .map(|candidate| {
            (strsim::damerau_levenshtein(&given, &candidate.to_lowercase()), candidate)
        })
        .filter(|(distance, candidate)| *distance <= (candidate.chars().count() / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate.to_owned())
}
