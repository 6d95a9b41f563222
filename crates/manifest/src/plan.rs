//! `[plan]`: where the documents of the 90 days lie, and how often readiness is looked at.

use std::path::PathBuf;

use plimsoll_base::HumanDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The plan of the 90 days, and the evidence its gates are judged by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PlanSection {
    /// The folder of the plan's documents, which `plimsoll plan init` writes. It may be missing.
    /// Since 0.1.
    #[schemars(with = "String", length(min = 1, max = 4096))]
    pub directory: PathBuf,
    /// How often the running node looks at itself: whether operations refuse who shows no token,
    /// limits refuse what is too much, and so on. What it sees is written to the ledger where it
    /// changed, or where what stands there grows old. Since 0.1.
    #[schemars(extend("x-min" = "1s", "x-max" = "1h"))]
    pub look_every: HumanDuration,
}

impl Default for PlanSection {
    fn default() -> Self {
        Self { directory: PathBuf::from("plan"), look_every: HumanDuration::from_secs(60) }
    }
}
