//! The manifest: `plimsoll.toml` as types, read with line and column, validated as a whole.
//!
//! Its public face: [`load()`] and [`parse`] turn a text into a [`Manifest`] or into **every**
//! [`Fault`] it has; [`Loaded`] adds the hash of what an edge acts on and the files it names;
//! [`json_schema`] and [`reference_markdown`] are the documentation, made from the same types;
//! [`env`](mod@env) is the only door to environment variables.
//!
//! It never opens a connection, never reads the clock, never logs, and holds no secret: a secret
//! stands in the environment, and the manifest at most names it.

mod admission;
mod auth;
mod breaker;
mod cache;
mod check;
mod client;
mod compression;
mod cors;
mod edge;
pub mod env;
mod fault;
mod files;
mod hash;
mod health;
mod idempotency;
mod journey;
mod ledger;
mod limit;
mod load;
mod objective;
mod operation;
mod ops;
mod passthrough;
mod plan;
mod reference;
mod retries;
mod root;
mod schema;
mod service;
mod shape;
mod similar;
mod status;
mod telemetry;
mod tree;
mod values;

pub use admission::{Admission, Criticality};
pub use auth::{Algorithm, AuthSection, ForwardPrincipal, Issuer, Rate};
pub use breaker::Breaker;
pub use cache::{CacheSection, OperationCache};
pub use client::{ClientHeaders, ClientSection, InstallationsSection};
pub use compression::{CompressionRule, CompressionSection, ContentCoding};
pub use cors::CorsSection;
pub use edge::{EdgeSection, TlsSection, UnknownPaths};
pub use fault::Fault;
pub use health::Health;
pub use idempotency::IdempotencySection;
pub use journey::Journey;
pub use ledger::LedgerSection;
pub use limit::{Limit, LimitPer, LimitUnits};
pub use load::{Loaded, Overrides, load, load_with, locate, parse};
pub use objective::{Objective, ObjectiveKind};
pub use operation::{
    AuditOnFull, IdempotencyRule, Method, OnStoreDown, OnUnknownOutcome, OperationPolicy,
    OperationSecurity, RevocationRule,
};
pub use ops::OpsSection;
pub use passthrough::{Passthrough, PassthroughKind, PassthroughSecurity};
pub use plan::PlanSection;
pub use reference::reference_markdown;
pub use retries::{Retries, RetryRule};
pub use root::Manifest;
pub use schema::json_schema;
pub use service::{
    Ejection, Pool, Release, Service, ServiceTls, ServiceVersion, Timeouts, VersionRule,
};
pub use similar::closest;
pub use status::StatusSection;
pub use telemetry::{AccessLogFormat, OtlpCompression, OtlpSection, TelemetrySection};
pub use values::{
    Cidr, HeaderName, HttpUrl, ListenAddr, OriginUrl, PathPrefix, PathTemplate, ValueError,
    WebOrigin,
};
