//! Development only: what the tests and the benchmarks of Plimsoll stand on.
//!
//! Everything here is a judge or a counterpart of the edge, so none of it shares code with the
//! edge: the origin and the client read HTTP/1.1 with their own strict parser and never forgive,
//! because a test that reads as leniently as the proxy it tests sees nothing.
//!
//! - [`Origin`]: a scripted HTTP/1.1 origin with a raw byte log per connection;
//!   [`OriginProcess`]: the same as a process of its own, to be killed.
//! - [`RawClient`]: byte-exact requests, answers read with strict framing.
//! - [`load`] and [`judge`]: a client that never retries, and the verdict that matches each answer
//!   with the origin's log by id and whole body.
//! - [`Plimsoll`]: the built binary as a running process.
//! - [`TestIssuer`]: tokens and key sets, good and bad.
//! - [`ClusterProcess`]: a private cluster in a process of its own, to be killed.
//! - [`SharedState`], [`RedisServer`], [`Balancer`]: what several nodes share, and what stands in
//!   front of them.
//! - [`Mounted`]: a small file system, to be filled or made read-only.
//! - [`database`]: a real Postgres database for each test, in milliseconds.
//! - [`Relay`]: a connection between a process and what it depends on, to be cut and mended.
//!
//! It is a development dependency only, and nothing in it is meant to be fast, except the two
//! programs of the benchmarks.

mod balancer;
pub mod binary;
mod body;
mod client;
mod cluster;
pub mod database;
mod fleet;
pub mod judge;
pub mod load;
mod log;
mod log_file;
mod mounted;
mod origin;
mod origin_process;
mod ports;
mod process;
mod redis;
mod relay;
mod runner;
mod script;
mod seed;
mod tokens;
mod wire;

pub use balancer::Balancer;
pub use body::{BODY_DIGEST_HEADER, BODY_LENGTH_HEADER, BodyDigest, BodyPattern, expected_body};
pub use client::{ClientError, RawClient, RawResponse, Wire};
pub use cluster::{ClusterProcess, ClusterProcessOptions, standing_in};
pub use fleet::{SharedState, nodes_wanted};
pub use log::{Closing, ConnectionLog, Exchange, OriginLog, Outcome};
pub use log_file::read_log_file;
pub use mounted::Mounted;
pub use origin::{ID_HEADER, Origin, OriginOptions, SCRIPT_HEADER};
pub use origin_process::{OriginProcess, OriginProcessOptions};
pub use ports::{free_addr, free_port, loopback_listener};
pub use process::ProcessFacts;
pub use redis::RedisServer;
pub use relay::Relay;
pub use runner::{Plimsoll, PlimsollOptions};
pub use script::{Answer, ContinuePolicy, Cut, Framing, KeepAlive, Script};
pub use tokens::{Claims, TestIssuer};
pub use wire::Headers;
