//! `[compression]`: answers made smaller on their way to clients that can read them so.

use plimsoll_base::ByteSize;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Answers made smaller on their way to clients that say they can read them so
/// (`Accept-Encoding`). What a service compressed itself is passed on as it is; so is what is
/// compressed by nature, an event stream, gRPC, a part (206), and what says `no-transform`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CompressionSection {
    /// Whether answers are compressed. Since 0.1.
    pub enabled: bool,
    /// The codings that may be used, the preferred one first; a client's own weights go before.
    /// Since 0.1.
    #[schemars(length(min = 1, max = 3))]
    pub codings: Vec<ContentCoding>,
    /// Answers shorter than this stay as they are, where they say their length: one packet is one
    /// packet. Since 0.1.
    #[schemars(extend("x-max" = "1MiB"))]
    pub bytes_min: ByteSize,
    /// What all answers that are being compressed may take of memory together; one more stays as it
    /// is. One takes some 0.5 MiB as gzip, 1.8 MiB as zstd, 3 MiB as br, for as long as it is being
    /// sent. Since 0.1.
    #[schemars(extend("x-min" = "4MiB", "x-max" = "64GiB"))]
    pub memory_max: ByteSize,
}

impl Default for CompressionSection {
    fn default() -> Self {
        Self {
            enabled: true,
            codings: vec![ContentCoding::Zstd, ContentCoding::Br, ContentCoding::Gzip],
            bytes_min: ByteSize(1_400),
            memory_max: ByteSize(64 << 20),
        }
    }
}

/// A content coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ContentCoding {
    /// Zstandard (RFC 8878), level 3.
    Zstd,
    /// Brotli (RFC 7932), level 5.
    Br,
    /// gzip (RFC 1952), level 4.
    Gzip,
}

/// What becomes of an operation's answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CompressionRule {
    /// Compressed, also where an answer sets a cookie or a page elsewhere asked with one.
    On,
    /// Passed on as they are.
    Off,
}
