//! `[[journey]]`: what a person must always be able to do, as a sequence of requests.

use std::path::PathBuf;

use plimsoll_base::Name;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::OriginUrl;

/// A sequence of requests, such as sign-up or payment, in a file of Hurl's syntax (docs/journeys.md
/// says which part of it). `plimsoll journey run NAME` runs it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Journey {
    /// What it is called; unique. Objectives and the plan name it so. Since 0.1.
    pub name: Name,
    /// The file with its requests, relative to the manifest. Since 0.1.
    #[schemars(with = "String", length(min = 1, max = 4096))]
    pub file: PathBuf,
    /// The operations it is made of, by `operationId`. Default: those that its file asks for.
    /// Since 0.1.
    #[serde(default)]
    #[schemars(length(max = 1024))]
    pub operations: Vec<String>,
    /// Whether it must never fail: its operations are answered before all others when there is too
    /// much to do, and the board asks whether it was run. Since 0.1.
    #[serde(default)]
    pub must_not_fail: bool,
    /// Whether `plimsoll up` runs it once when it is ready, as a smoke test. It sends what its file
    /// says, writes too: leave it out where the backend behind is nobody's to try. Since 0.1.
    #[serde(default)]
    pub smoke: bool,
    /// Where the smoke test asks, such as `https://api.example.com`. Default: the node's own first
    /// listener, which has to speak plain HTTP. Since 0.1.
    pub base: Option<OriginUrl>,
}
