//! `[cache]`: answers that are kept and given again.

use plimsoll_base::{ByteSize, HumanDuration};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Answers that are kept and given again (RFC 9111), as far as the services' own header fields
/// allow. A single operation says otherwise by `cache`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CacheSection {
    /// Whether answers are kept. Since 0.1.
    pub enabled: bool,
    /// The most that is kept, heads and bodies together; what is asked for least goes first. A
    /// change empties the cache of the process. Since 0.1.
    #[schemars(extend("x-min" = "1MiB", "x-max" = "1024GiB"))]
    pub bytes_max: ByteSize,
    /// The largest body that is kept. Since 0.1.
    #[schemars(extend("x-min" = "1KiB", "x-max" = "1GiB"))]
    pub entry_bytes_max: ByteSize,
    /// Whether nodes share their caches where `REDIS_URL` names a Redis: what one stored the others
    /// use, and a write on one makes invalid what the others hold. Since 0.1.
    pub shared: bool,
    /// The largest answer that is shared, head and body together. Since 0.1.
    #[schemars(extend("x-min" = "1KiB", "x-max" = "1MiB"))]
    pub shared_entry_bytes_max: ByteSize,
    /// Whether an answer that says nothing but when it was last modified counts as fresh for a
    /// tenth of the time since then, an hour at most (RFC 9111 section 4.2.2). Since 0.1.
    pub heuristic: bool,
    /// How long a stale answer stands in for a service that cannot be reached or answers 500, 502,
    /// 503 or 504, where the answer neither says so (`stale-if-error`) nor forbids it. Since 0.1.
    #[schemars(extend("x-min" = "0s", "x-max" = "30d"))]
    pub stale_if_error: HumanDuration,
}

impl Default for CacheSection {
    fn default() -> Self {
        Self {
            enabled: true,
            bytes_max: ByteSize(64 << 20),
            entry_bytes_max: ByteSize(1 << 20),
            shared: true,
            shared_entry_bytes_max: ByteSize(256 << 10),
            heuristic: true,
            stale_if_error: HumanDuration::from_secs(600),
        }
    }
}

/// How the answers of one operation are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OperationCache {
    /// Not at all.
    Off,
    /// As their own header fields say.
    Headers,
    /// They are the same for every caller of a tenant, whatever credentials came with the request.
    Shared,
    /// Each is its caller's own, even where it says `public`: only verified callers get them.
    Caller,
}
