//! `[service.admission]`: how many requests a service gets at once, and who waits.

use plimsoll_base::HumanDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How many requests the service gets at once, found out from how long they take, and a queue with
/// classes before it. What has no place is answered 503 with `Retry-After`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Admission {
    /// A fixed number of requests at once, instead of one that is found out. Default: found out.
    /// Unit: requests. Since 0.1.
    #[schemars(range(min = 1, max = 100_000))]
    pub concurrency: Option<u32>,
    /// The service is always given so many at once. Unit: requests. Since 0.1.
    #[schemars(range(min = 1, max = 100_000))]
    pub concurrency_min: u32,
    /// It is never given more at once, by this node. Unit: requests. Since 0.1.
    #[schemars(range(min = 1, max = 100_000))]
    pub concurrency_max: u32,
    /// How many may wait for a place. 0: nobody waits. Unit: requests. Since 0.1.
    #[schemars(range(max = 100_000))]
    pub queue_depth_max: u32,
    /// The longest wait once a class's queue did not run empty for `queue_interval`: then the
    /// newest goes first. Since 0.1.
    #[schemars(extend("x-min" = "1ms", "x-max" = "1m"))]
    pub queue_target: HumanDuration,
    /// The longest wait otherwise. Since 0.1.
    #[schemars(extend("x-min" = "10ms", "x-max" = "1m"))]
    pub queue_interval: HumanDuration,
    /// The longest `Retry-After`. Since 0.1.
    #[schemars(extend("x-min" = "1s", "x-max" = "1h"))]
    pub retry_after_max: HumanDuration,
}

impl Default for Admission {
    fn default() -> Self {
        Self {
            concurrency: None,
            concurrency_min: 8,
            concurrency_max: 1_000,
            queue_depth_max: 1_024,
            queue_target: HumanDuration::from_millis(100),
            queue_interval: HumanDuration::from_secs(1),
            retry_after_max: HumanDuration::from_secs(300),
        }
    }
}

/// What an operation counts as when not everybody can be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Criticality {
    /// It must not fail: signing in, paying.
    Critical,
    /// What a person waits for.
    Default,
    /// What a person would hardly miss.
    Sheddable,
    /// What nobody waits for.
    Background,
}
