//! `[idempotency]`: what is kept of keyed writes, and how long.

use plimsoll_base::{ByteSize, HumanDuration};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is kept of keyed writes, and how long.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct IdempotencySection {
    /// How long a key is known: so long its answer is replayed, and so long the app may send the
    /// write again. Since 0.1.
    #[schemars(extend("x-min" = "1h", "x-max" = "30d"))]
    pub kept_for: HumanDuration,
    /// The largest answer that is kept whole, encrypted in the database; of a larger one only
    /// status and fields are. Since 0.1.
    #[schemars(extend("x-min" = "0B", "x-max" = "4MiB"))]
    pub answer_bytes_max: ByteSize,
    /// Whether refusals of the service (4xx) are kept and replayed. Without it the same key may be
    /// used again after one. What says "come again" (408, 425, 429, and 503 with `Retry-After`) is
    /// never kept. Since 0.1.
    pub keep_refusals: bool,
}

impl Default for IdempotencySection {
    fn default() -> Self {
        Self {
            kept_for: HumanDuration::from_secs(24 * 60 * 60),
            answer_bytes_max: ByteSize(256 * 1024),
            keep_refusals: true,
        }
    }
}
