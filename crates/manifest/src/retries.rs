//! `[service.retries]`: what is sent to a service again, and how much of that there may be.

use plimsoll_base::HumanDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// When a request is sent again. It never is after a byte of its answer reached the client, never
/// beyond its deadline, and a POST or PATCH never where the service may have had it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Retries {
    /// What may be sent again although the service may have had it: `off` nothing, `safe` GET,
    /// HEAD and OPTIONS, `idempotent` PUT and DELETE too (RFC 9110 §9.2.2): say so where sending
    /// them twice does what sending them once does. What never left goes to another URL whatever
    /// stands here. Default: `safe`. Since 0.1.
    pub methods: RetryRule,
    /// How often a request is sent, the first time included; 1 sends nothing again. Unit: tries.
    /// Since 0.1.
    #[schemars(range(min = 1, max = 10))]
    pub tries_max: u32,
    /// The share of the requests of the last ten seconds that may be sent again, those that wait
    /// for it counted. Unit: percent. Since 0.1.
    #[schemars(range(min = 0, max = 100))]
    pub budget_percent: u32,
    /// So many may be sent again in ten seconds however few requests there are. Unit: requests.
    /// Since 0.1.
    #[schemars(range(max = 100_000))]
    pub budget_min: u32,
    /// The longest wait before the second try; it doubles for each one after it. The wait itself
    /// is drawn between nothing and that (full jitter). Since 0.1.
    #[schemars(extend("x-min" = "1ms", "x-max" = "1m"))]
    pub backoff: HumanDuration,
    /// No wait is longer. An answer whose `Retry-After` asks for more is passed on. Since 0.1.
    #[schemars(extend("x-min" = "1ms", "x-max" = "10m"))]
    pub backoff_max: HumanDuration,
    /// Answers after which a request is sent again. Unit: status codes. Since 0.1.
    #[schemars(length(max = 16), inner(range(min = 400, max = 599)))]
    pub statuses: Vec<u16>,
}

impl Default for Retries {
    fn default() -> Self {
        Self {
            methods: RetryRule::Safe,
            tries_max: 3,
            budget_percent: 20,
            budget_min: 10,
            backoff: HumanDuration(std::time::Duration::from_millis(25)),
            backoff_max: HumanDuration::from_secs(1),
            statuses: vec![502, 503, 504],
        }
    }
}

/// What may be sent again although the service may have had it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RetryRule {
    /// Nothing.
    Off,
    /// GET, HEAD and OPTIONS.
    Safe,
    /// PUT and DELETE too.
    Idempotent,
}
