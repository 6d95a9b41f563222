//! `[service.breaker]`: when what fails is no longer asked.

use plimsoll_base::HumanDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A breaker before each operation and address of the service. While an operation's is open its
/// requests are answered 503 with `Retry-After`, or by its fallback; an address whose
/// breaker is open is passed over, as `[service.ejection]` says. After `open` one request tries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Breaker {
    /// How many failures in a row open an operation's breaker: no answer, or an answer 5xx or 429.
    /// (Those of an address stand in `[service.ejection]`.) 0: these never do. Unit: failures.
    /// Since 0.1.
    #[schemars(range(max = 1000))]
    pub consecutive_failures: u32,
    /// What share of the requests of a window must succeed, for an operation and for an address.
    /// 0: any will do. Unit: percent. Since 0.1.
    #[schemars(range(max = 100))]
    pub success_percent_min: u32,
    /// So many requests must be in the window before their share says anything. Unit: requests.
    /// Since 0.1.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub requests_min: u32,
    /// How far back requests are counted, in ten steps. Since 0.1.
    #[schemars(extend("x-min" = "1s", "x-max" = "1h"))]
    pub window: HumanDuration,
    /// How long an operation's breaker stays open the first time; each one after it lasts longer.
    /// Since 0.1.
    #[schemars(extend("x-min" = "100ms", "x-max" = "1h"))]
    pub open: HumanDuration,
    /// The longest it may stay open. Since 0.1.
    #[schemars(extend("x-min" = "100ms", "x-max" = "24h"))]
    pub open_max: HumanDuration,
    /// How long the share of requests that pass grows, from a tenth to all, once one succeeded.
    /// 0s: all at once. Since 0.1.
    #[schemars(extend("x-max" = "1h"))]
    pub slow_start: HumanDuration,
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            consecutive_failures: 10,
            success_percent_min: 50,
            requests_min: 20,
            window: HumanDuration::from_secs(10),
            open: HumanDuration::from_secs(5),
            open_max: HumanDuration::from_secs(60),
            slow_start: HumanDuration::from_secs(10),
        }
    }
}
