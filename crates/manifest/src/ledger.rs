//! `[ledger]`: what of the ledger waits on this node's disk.

use plimsoll_base::ByteSize;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The ledger on this node. Read when the process starts; a reload does not change it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LedgerSection {
    /// How much of audited operations may wait on disk while the database is away, over restarts
    /// too; beyond it `audit_on_full` of the operation decides. A record has about 300 bytes.
    /// Since 0.1.
    #[schemars(extend("x-min" = "64KiB", "x-max" = "64GiB"))]
    pub spool_bytes_max: ByteSize,
}

impl Default for LedgerSection {
    fn default() -> Self {
        Self { spool_bytes_max: ByteSize(256 << 20) }
    }
}
