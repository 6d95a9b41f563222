//! `[[limit]]`: named rate limits.

use plimsoll_base::{HumanDuration, Name};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A named rate limit (GCRA). A request is charged to every limit that applies, or to none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// What the limit is called in `RateLimit` fields and metrics; unique. Since 0.1.
    pub name: Name,
    /// What is counted apart. Since 0.1.
    pub per: LimitPer,
    /// How much a key may use in a window. Unit: requests, or cost with `units = "cost"`.
    /// Since 0.1.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub quota: u32,
    /// The window. Since 0.1.
    #[schemars(extend("x-min" = "1s", "x-max" = "31d"))]
    pub window: HumanDuration,
    /// How much may come at once after a pause. Default: the quota. Unit: as `quota`. Since 0.1.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub burst: Option<u32>,
    /// The operations it applies to, by `operationId`; empty means all. Since 0.1.
    #[serde(default)]
    #[schemars(length(max = 1024))]
    pub operations: Vec<String>,
    /// What a request uses up. Since 0.1.
    #[serde(default)]
    pub units: LimitUnits,
    /// How many keys are tracked apart; when all are in use, new ones share one. Unit: keys.
    /// Since 0.1.
    #[serde(default = "default_keys_max")]
    #[schemars(range(min = 1, max = 10_000_000))]
    pub keys_max: u32,
}

impl Limit {
    /// What may come at once: `burst`, else the quota.
    #[must_use]
    pub fn burst(&self) -> u32 {
        self.burst.unwrap_or(self.quota)
    }
}

const fn default_keys_max() -> u32 {
    100_000
}

/// What a limit counts apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LimitPer {
    /// Each caller: tenant and subject when verified, else a keyed hash of the credentials, else
    /// the signed installation, else the address.
    Caller,
    /// Each address (IPv6: each /64), and only while the request is anonymous.
    Ip,
    /// Each operation, all callers together.
    Operation,
}

/// What a request uses up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LimitUnits {
    /// One for each request.
    #[default]
    Requests,
    /// The `cost` of the operation.
    Cost,
}
