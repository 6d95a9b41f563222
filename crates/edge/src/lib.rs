//! The request path: listeners, one core a thread, the stack of steps, upstreams, drain.
//!
//! Read [`stack`] first: it is the way of a request, one step after the other. Around it stand
//! what a step uses ([`router`], [`limit`], [`auth`], [`cache`], [`upstream`]) and what carries it
//! ([`listen`], [`core`], [`conn`], [`guard`]).
//!
//! It never queries a database, never holds a request's body whole, never lets a request leave the
//! core that accepted it, and never answers with anything but a service's answer or a problem
//! document.

mod admission;
pub mod auth;
mod body;
mod cache;
mod compress;
mod config;
mod conn;
mod connections;
mod core;
mod cors;
mod deny;
mod exchange;
mod frames;
mod framing;
mod guard;
mod handle;
mod installation;
mod itself;
mod lazy_timer;
pub mod limit;
mod listen;
mod own;
mod record;
mod refusal;
mod rehearse;
pub mod router;
mod span;
mod stack;
mod stall;
mod status;
mod steps;
mod tasks;
mod tls;
mod upstream;

pub use admission::{AdmissionFigures, AdmissionTried, Reason as ShedReason};
pub use cache::{CacheFigures, CacheSharing, CacheTried, LINK_BOUNDS, SharedCacheOptions};
pub use compress::CompressionTried;
pub use config::{Config, ConfigError, ConfigInput, TooManyApiKeyFields, check_api_keys};
pub use handle::{Drained, Edge, EdgeOptions, StartError, Upstream};
pub use itself::Told;
pub use listen::{ListenError, Listener};
pub use own::{SERVICES_SOCKET, Shadowed, shadowed};
pub use rehearse::{BreakersTried, LimitsTried, Rehearsed};
pub use steps::audit::AuditSink;
pub use tls::TlsError;
pub use upstream::{BreakerState, BudgetStatus, EndpointStatus, TargetError};
