//! `[telemetry]`: metrics, the access log, and OpenTelemetry out.

use plimsoll_base::HumanDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::HttpUrl;

/// Metrics, the access log, and OpenTelemetry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetrySection {
    /// How the access log is written to standard output. A change needs a restart. Since 0.1.
    pub access_log: AccessLogFormat,
    /// The most metric series of the families that grow with traffic; the rest is folded into
    /// `other` and counted. A change needs a restart. Unit: series. Since 0.1.
    #[schemars(range(min = 100, max = 1_000_000))]
    pub series_max: u32,
    /// The latency within which an answer counts as good. A change needs a restart. Since 0.1.
    #[schemars(extend("x-min" = "1ms", "x-max" = "10m"))]
    pub objective_latency: HumanDuration,
    /// What this edge is called in telemetry. Since 0.1.
    #[schemars(length(min = 1, max = 128))]
    pub service_name: String,
    /// Where spans and metrics are sent by OpenTelemetry's protocol. Since 0.1.
    pub otlp: OtlpSection,
}

impl Default for TelemetrySection {
    fn default() -> Self {
        Self {
            access_log: AccessLogFormat::Auto,
            series_max: 20_000,
            objective_latency: HumanDuration::from_millis(300),
            service_name: "plimsoll".to_owned(),
            otlp: OtlpSection::default(),
        }
    }
}

/// OpenTelemetry out: spans and metrics by OTLP over HTTP in protocol buffers. The standard
/// variables `OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_TRACES_SAMPLER`, `OTEL_SERVICE_NAME` and
/// `OTEL_RESOURCE_ATTRIBUTES` count where no key here says otherwise; header fields are secrets and
/// come from `OTEL_EXPORTER_OTLP_HEADERS` alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OtlpSection {
    /// The receiver's base URL, such as `http://127.0.0.1:4318`; `/v1/traces` and `/v1/metrics` are
    /// put behind it. Plain http only towards private addresses. Default:
    /// `OTEL_EXPORTER_OTLP_ENDPOINT`; without either nothing is sent. Since 0.1.
    pub endpoint: Option<HttpUrl>,
    /// Which share of traces is sampled, decided on the trace id. The decision is passed to the
    /// backend; a client's own is not honoured. Default: `OTEL_TRACES_SAMPLER`, else 0.1.
    /// Since 0.1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub sample_ratio: Option<f64>,
    /// A request that takes longer has its span sent, sampled or not, as has every one that fails.
    /// Default: `telemetry.objective_latency`. Since 0.1.
    #[schemars(extend("x-min" = "1ms", "x-max" = "10m"))]
    pub slow_threshold: Option<HumanDuration>,
    /// How often metrics are sent. Since 0.1.
    #[schemars(extend("x-min" = "1s", "x-max" = "1h"))]
    pub metrics_interval: HumanDuration,
    /// How bodies are compressed. Since 0.1.
    pub compression: OtlpCompression,
    /// The total time of one request to the receiver. Since 0.1.
    #[schemars(extend("x-min" = "100ms", "x-max" = "1m"))]
    pub timeout: HumanDuration,
    /// Whether spans say the client's address. It is personal data, and leaves this machine with
    /// them. Since 0.1.
    pub client_address: bool,
}

impl Default for OtlpSection {
    fn default() -> Self {
        Self {
            endpoint: None,
            sample_ratio: None,
            slow_threshold: None,
            metrics_interval: HumanDuration::from_secs(60),
            compression: OtlpCompression::Gzip,
            timeout: HumanDuration::from_secs(10),
            client_address: false,
        }
    }
}

/// How what is sent is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OtlpCompression {
    /// As gzip.
    Gzip,
    /// Not at all.
    None,
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
