//! `[service.health]`: asking the addresses of a service how they are.

use plimsoll_base::HumanDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Active health checks: each address is asked with a GET over HTTP/1.1, whether requests come or
/// not. One that fails its checks is passed over, beside what `[service.ejection]` sees of real
/// requests; where all fail, requests go to them all the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Health {
    /// The path, with a query if need be. A check passes when the answer is 2xx. Since 0.1.
    #[schemars(length(min = 1, max = 1024))]
    pub path: String,
    /// How often each address is asked; nodes draw a little around it. Since 0.1.
    #[schemars(extend("x-min" = "100ms", "x-max" = "1h"))]
    pub every: HumanDuration,
    /// How long a check may take. Since 0.1.
    #[schemars(extend("x-min" = "1ms", "x-max" = "1m"))]
    pub timeout: HumanDuration,
    /// So many checks in a row must pass before an address takes requests again. Unit: checks.
    /// Since 0.1.
    #[schemars(range(min = 1, max = 100))]
    pub healthy_after: u32,
    /// So many checks in a row must fail before an address is passed over. Unit: checks. Since 0.1.
    #[schemars(range(min = 1, max = 100))]
    pub unhealthy_after: u32,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            path: "/healthz".to_owned(),
            every: HumanDuration::from_secs(10),
            timeout: HumanDuration::from_secs(2),
            healthy_after: 2,
            unhealthy_after: 3,
        }
    }
}
