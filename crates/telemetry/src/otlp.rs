//! OpenTelemetry out: spans of the requests that are kept, and every figure of `/metrics`, by
//! OTLP over HTTP in protocol buffers.
//!
//! A span is made when its request is over, and only where it is kept; nothing of OpenTelemetry's
//! SDK stands on the request path. What is sent is written here by hand: two messages of OTLP,
//! against thirteen crates (measured: `docs/adr/2026-11-22-otlp-by-hand.md`).

pub(crate) mod exemplars;
pub(crate) mod exporter;
pub(crate) mod keep;
pub(crate) mod metrics;
pub(crate) mod protobuf;
pub(crate) mod resource;
pub(crate) mod settings;
pub(crate) mod traces;

pub use exemplars::EXEMPLARS_MAX;
pub use exporter::{
    BATCH_BYTES_MAX, BATCH_REQUESTS_MAX, Export, Exporter, FLUSH_MAX, Post, PostError, Posted,
    QUEUE_REQUESTS_MAX, Sender,
};
pub use keep::{KEPT_PER_CORE_MAX, KeptSpan, SpanRecord, TracingOptions, UpstreamCall};
pub use resource::{RESOURCE_ATTRIBUTES_MAX, Resource};
pub use settings::{
    FromEnvironment, FromManifest, Headers, SAMPLE_RATIO_DEFAULT, SERVICE_NAME_DEFAULT, Settings,
    SettingsError,
};
pub use traces::SpanNames;
