//! What the edge measures and writes down: metric families, the access log, trace context, and the
//! process's own log. Every metric name stands in [`names`], with its unit and its meaning.
//!
//! It never talks HTTP, never keeps a token, a cookie or a query, and never blocks a request: one
//! [`Shard::record`] a request on a shard that belongs to its core, and one [`AccessWriter::write`]
//! into a buffer that belongs to its core. What cannot be kept is folded or dropped, and counted.

mod access;
mod counter;
mod doc;
mod exposition;
mod histogram;
pub mod ingest;
mod label;
mod logging;
mod metrics;
pub mod names;
pub mod otlp;
mod overview;
mod process;
mod reads;
mod registry;
mod ring;
mod sample;
mod shard;
mod store;
mod trace;

pub use access::{
    ACCESS_CHUNK_BYTES_MAX, ACCESS_FLUSH_EVERY, ACCESS_QUEUE_CHUNKS_MAX, AccessEntry, AccessFormat,
    AccessLog, AccessLogOptions, AccessLogStop, AccessWriter, StillWriting,
};
pub use counter::{
    AnswerCoding, AuditRefusal, AuthOutcome, CacheOutcome, CacheResult, CacheTold, CallBound,
    ConnectionRefusal, Counter, Gauge, HealthCheck, InstallationOutcome, KeyRefresh, KeyedWrite,
    OtlpRefusal, OtlpSignal, Reload, SharedCache, SlowClient, SpanDrop, UpstreamErrorKind,
};
pub use doc::metrics_page;
pub use logging::{LogError, LogFormat, init_logging, init_logging_filtered};
pub use metrics::{Metrics, MetricsOptions};
pub use overview::{
    DeviceModelFigures, Figures, HISTORY, NO_SERVICE, OperationFigures, Overview, PlatformFigures,
    Second,
};
pub use reads::READS_MAX;
pub use sample::{Platform, Sample};
pub use shard::Shard;
pub use trace::{TRACESTATE_BYTES_MAX, TraceContext, TraceId, tracestate_passes};
