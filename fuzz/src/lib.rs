//! Fuzz targets, one for each parser of input that a stranger can send or a file can hold.
//!
//! Each module names its parser and has one function, `run`, that feeds it and then *checks what it
//! answered*: a parser that never panics but lets a dot segment through is as wrong. `fuzz_targets`
//! only ties them to libFuzzer.
//!
//! What strangers send: `request_path_and_headers`, `client_context`, `forwarded`, `traceparent`,
//! `router_find`, `bearer_token`, `accept_encoding`, `installation`. What services answer:
//! `caching`. What other systems or the team's own files hold: `jwks_document`,
//! `contract_document`, `journey_file`, `manifest_text`, `plan_document`, `report_import`, and what
//! tracers send: `otlp_traces`, `otlp_traces_json`, `otlp_metrics`, `otlp_metrics_json`,
//! `database_statement`.

pub mod accept_encoding;
pub mod bearer_token;
pub mod caching;
pub mod client_context;
pub mod contract_document;
pub mod forwarded;
mod head;
pub mod installation;
pub mod journey_file;
pub mod jwks_document;
pub mod manifest_text;
pub mod otlp;
pub mod plan_document;
pub mod report_import;
pub mod request_path_and_headers;
pub mod router_find;
pub mod traceparent;
