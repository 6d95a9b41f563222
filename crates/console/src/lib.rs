//! The ops listener: live figures for the people who run the node, the board, the ledger, each as
//! a page, JSON and CSV; `/metrics`, `/healthz`, `/readyz`.
//!
//! Nothing here changes anything: every route takes a question, but `/otlp`, which takes telemetry,
//! and the ledger's append for the team's own backend. It knows the edge only through [`Source`],
//! and it is served on loopback, to requests that name loopback; bound elsewhere it answers
//! `/healthz` and `/readyz`, takes what the ingest token opens, and nothing more, until there is a
//! sign-in.

mod api;
mod board;
pub mod client;
mod csv;
mod guard;
mod http;
mod live;
mod local;
mod model;
mod otlp;
mod page;
mod problem;
mod server;
mod services;
mod socket;
mod view;

pub use api::{
    NodeAnswer, NodesAnswer, PlanRoom, Rooms, RoomsCell, Verified, nodes_differ, report_json,
};
pub use board::{BoardRow, NextRow};
pub use local::{LocalSocket, OPS_SOCKET, serve_local};
pub use model::{
    CachedRow, LedgerRow, Listening, LoadRow, MemoryRow, NodeInfo, Notice, NoticeLevel, Readiness,
    Reason, RouteRow, Source, UpstreamRow, VerifiedRow, WritesRow,
};
pub use otlp::{IngestToken, TOKEN_BYTES_LEAST};
pub use problem::OpsCode;
pub use server::{CONNECTIONS_MAX, ConsoleOptions, LIVE_MAX, serve};
pub use services::{ServicesSocket, serve_services};
