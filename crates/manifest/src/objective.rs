//! `[[objective]]`: what the service has agreed to keep to.

use plimsoll_base::{HumanDuration, Name};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A service-level objective: which share of what happens in a window has to be good.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Objective {
    /// What it is called; unique. Since 0.1.
    pub name: Name,
    /// What counts as good. Since 0.1.
    pub kind: ObjectiveKind,
    /// The share that has to be good, such as 0.999. For a latency it is the quantile: 0.95 with
    /// `threshold = "300ms"` says p95 within 300 ms. Since 0.1.
    #[schemars(range(min = 0.5, max = 0.99999))]
    pub target: f64,
    /// The latency within which an answer is good. Default: none, but required with
    /// `kind = "latency"`. Since 0.1.
    #[schemars(extend("x-min" = "1ms", "x-max" = "10m"))]
    pub threshold: Option<HumanDuration>,
    /// The time over which it is kept. Since 0.1.
    #[serde(default = "default_window")]
    #[schemars(extend("x-min" = "1d", "x-max" = "90d"))]
    pub window: HumanDuration,
    /// The operations it is about, by `operationId`; empty means all. Since 0.1.
    #[serde(default)]
    #[schemars(length(max = 1024))]
    pub operations: Vec<String>,
    /// The journey it is about: a `[[journey]]`, or one that only the plan's document of journeys
    /// names. Since 0.1.
    pub journey: Option<Name>,
}

const fn default_window() -> HumanDuration {
    HumanDuration::from_secs(30 * 24 * 60 * 60)
}

/// What counts as good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ObjectiveKind {
    /// An answer without a server error.
    Availability,
    /// An answer within `threshold`.
    Latency,
    /// A session of the app that does not crash.
    CrashFree,
}
