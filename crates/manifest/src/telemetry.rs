//! `[telemetry]`: metrics and the access log.

use plimsoll_base::HumanDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Metrics and the access log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetrySection {
    /// How the access log is written to standard output. Since 0.1.
    pub access_log: AccessLogFormat,
    /// The most metric series of the families that grow with traffic; the rest is folded into
    /// `other` and counted. Unit: series. Since 0.1.
    #[schemars(range(min = 100, max = 1_000_000))]
    pub series_max: u32,
    /// The latency within which an answer counts as good. Since 0.1.
    #[schemars(extend("x-min" = "1ms", "x-max" = "10m"))]
    pub objective_latency: HumanDuration,
    /// What this edge is called in telemetry. Since 0.1.
    #[schemars(length(min = 1, max = 128))]
    pub service_name: String,
}

impl Default for TelemetrySection {
    fn default() -> Self {
        Self {
            access_log: AccessLogFormat::Auto,
            series_max: 20_000,
            objective_latency: HumanDuration::from_millis(300),
            service_name: "plimsoll".to_owned(),
        }
    }
}

/// How the access log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AccessLogFormat {
    /// `human` on a terminal, else `json`.
    Auto,
    /// One JSON object a line.
    Json,
    /// One short line for people.
    Human,
    /// Not at all.
    Off,
}
