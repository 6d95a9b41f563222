//! What the console shows, as plain data, and the one trait it is asked through.

use std::sync::Arc;

use plimsoll_ledger::Report;
use plimsoll_telemetry::Metrics;
use plimsoll_telemetry::ingest::Ingest;
use serde::Serialize;

use crate::api::NodeAnswer;
use crate::board::BoardRow;

/// Where the console gets what it shows. The composition root implements it over the edge.
pub trait Source: Send + Sync {
    /// The figures.
    fn metrics(&self) -> &Metrics;
    /// Every route with its policy, in the order of the contract.
    fn routes(&self) -> Vec<RouteRow>;
    /// Every URL requests are sent to.
    fn upstreams(&self) -> Vec<UpstreamRow>;
    /// What the response cache did for each operation; none where it is switched off.
    fn cached(&self) -> Option<Vec<CachedRow>> {
        None
    }
    /// Whether the node takes traffic.
    fn readiness(&self) -> Readiness;
    /// What someone should know or do.
    fn notices(&self) -> Vec<Notice>;
    /// What runs here.
    fn identity(&self) -> NodeInfo;
    /// What spans and figures sent to `/otlp` came to; none where nothing may be sent.
    fn ingest(&self) -> Option<Arc<Ingest>> {
        None
    }
    /// What outlives the process; none where nothing does.
    fn memory(&self) -> Option<MemoryRow> {
        None
    }
    /// What everybody is told: whether something is degraded, and since when, in seconds since
    /// 1970. Said once a second.
    fn status_is(&self, _degraded: bool, _epoch: u64) {}
    /// Bounded things besides connections, requests and metric series: a limit's keys, a cache.
    fn loads(&self) -> Vec<LoadRow> {
        Vec::new()
    }
}

/// What outlives the process, as this node sees it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct MemoryRow {
    /// Why the database is not used; none when it is.
    pub database_down: Option<String>,
    /// The epoch applied here.
    pub epoch: u64,
    /// How long ago that was known to be all there is, milliseconds.
    pub known_ago_ms: Option<u64>,
    /// Every node heard of in the last day.
    pub nodes: Vec<NodeAnswer>,
    /// How long ago the database said so, milliseconds; none before the first time.
    pub nodes_ago_ms: Option<u64>,
    /// The ledger.
    pub ledger: LedgerRow,
    /// Keyed writes by state; none before the database was asked.
    pub writes: Option<WritesRow>,
    /// The board; none until it was judged for the first time.
    pub board: Option<BoardRow>,
}

/// Keyed writes by the state of their record, on all nodes.
#[derive(Clone, Debug, Default, Serialize)]
pub struct WritesRow {
    /// A service has it now.
    pub executing: u64,
    /// It may have been executed, and nobody knows.
    pub unknown: u64,
    /// It was answered, and the answer is kept.
    pub answered: u64,
}

/// How the ledger stands.
#[derive(Clone, Debug, Default, Serialize)]
pub struct LedgerRow {
    /// Sealed entries.
    pub sealed: u64,
    /// The size of the last checkpoint that this node signed, where it is known.
    pub checkpointed: Option<u64>,
    /// What the sealer does, in words.
    pub sealer: String,
    /// Audited calls that wait for the database.
    pub spool_records: u64,
    /// The last verification.
    pub verified: Option<VerifiedRow>,
}

/// A verification of the whole ledger.
#[derive(Clone, Debug, Default, Serialize)]
pub struct VerifiedRow {
    /// When, in milliseconds since 1970-01-01T00:00:00Z.
    pub at_unix_ms: u64,
    /// Whether nothing is wrong.
    pub whole: bool,
    /// Sealed entries checked.
    pub entries: u64,
    /// How much is wrong.
    pub faults_found: u64,
    /// What is wrong, the first few.
    pub faults: Vec<String>,
}

/// Faults that are kept to be shown.
const FAULTS_SHOWN_MAX: usize = 10;

impl VerifiedRow {
    /// What a verification that ended at `at_unix_ms` came to.
    #[must_use]
    pub fn of(report: &Report, at_unix_ms: u64) -> Self {
        let faults = report.faults.iter().take(FAULTS_SHOWN_MAX);
        Self {
            at_unix_ms,
            whole: report.is_whole(),
            entries: report.entries,
            faults_found: (report.faults.len() as u64).saturating_add(report.faults_more),
            faults: faults.map(ToString::to_string).collect(),
        }
    }
}

/// A route and the policy it stands under.
#[derive(Clone, Debug, Default, Serialize)]
pub struct RouteRow {
    /// The service that owns it.
    pub service: String,
    /// The operation's id, as figures name it; empty for a prefix that is passed through.
    pub operation: String,
    /// The method, or `ANY`.
    pub method: String,
    /// The path template.
    pub template: String,
    /// Who may call it, in words: `public`, `token`, `token: orders:write`, `passed through`.
    pub security: String,
    /// The limits that apply, each as `name: quota / window`.
    pub limits: Vec<String>,
    /// What one request costs under limits that count cost units.
    pub cost: u32,
    /// The largest request body in bytes.
    pub body_bytes_max: Option<u64>,
    /// The total timeout in milliseconds; none for a stream.
    pub total_timeout_ms: Option<u64>,
}

/// A URL and how it does.
#[derive(Clone, Debug, Default, Serialize)]
pub struct UpstreamRow {
    /// The service.
    pub service: String,
    /// The release.
    pub release: String,
    /// The URL as the manifest gives it.
    pub url: String,
    /// Passed over for so many more milliseconds; none while it takes requests.
    pub ejected_for_ms: Option<u64>,
    /// Its breaker: `closed`, `open`, `probing` (one request tries it), `slow_start`; or
    /// `down` while its health checks fail.
    pub state: String,
    /// Failures in a row so far.
    pub consecutive_failures: u32,
    /// Failures since the start.
    pub failures_total: u64,
    /// Open connections on all cores.
    pub connections: u64,
    /// Of these, idle ones.
    pub idle: u64,
}

/// What the response cache did for one operation since the start, and what it holds of it now.
#[derive(Clone, Debug, Default, Serialize)]
pub struct CachedRow {
    /// The operation.
    pub operation: String,
    /// Requests answered from the store.
    pub hits: u64,
    /// Requests answered from the store although stale.
    pub stale: u64,
    /// Requests answered from the store after the service said that it still holds.
    pub revalidated: u64,
    /// Requests answered with what another request was answered.
    pub collapsed: u64,
    /// Requests answered by the service whose answer was stored.
    pub misses: u64,
    /// Answers held.
    pub entries: u64,
    /// Bytes they take.
    pub bytes: u64,
}

/// Whether the node takes traffic, and why not.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Readiness {
    /// Whether traffic should be sent here.
    pub ready: bool,
    /// Whether it is on its way out.
    pub draining: bool,
    /// What stands in the way, or would soon.
    pub reasons: Vec<Reason>,
}

/// One reason of a [`Readiness`].
#[derive(Clone, Debug, Default, Serialize)]
pub struct Reason {
    /// A short name for machines, such as `draining`.
    pub code: String,
    /// What is the case.
    pub why: String,
    /// What to do.
    pub next: String,
}

/// How much a notice matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NoticeLevel {
    /// Requests fail or protection is off.
    Critical,
    /// It will matter in production.
    Warning,
    /// Good to know.
    #[default]
    Information,
}

/// Something someone should know or do.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Notice {
    /// How much it matters.
    pub level: NoticeLevel,
    /// What is the case, in a few words.
    pub title: String,
    /// Why it is so and what follows.
    pub why: String,
    /// What to do.
    pub next: String,
}

/// An address the edge listens on.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Listening {
    /// The address.
    pub address: String,
    /// What is spoken there, such as `HTTP/1.1, HTTP/2` or `TLS: HTTP/1.1, HTTP/2`.
    pub speaks: String,
}

/// What runs here.
#[derive(Clone, Debug, Default, Serialize)]
pub struct NodeInfo {
    /// The version.
    pub version: String,
    /// When the process started, in milliseconds since 1970-01-01T00:00:00Z.
    pub started_unix_ms: u64,
    /// Where the manifest is; none where the node runs without one.
    pub manifest_path: Option<String>,
    /// The manifest's hash.
    pub manifest_hash: String,
    /// The data directory.
    pub data_dir: String,
    /// Where the edge listens.
    pub listeners: Vec<Listening>,
    /// The bound on clients' connections.
    pub connections_max: u64,
}

/// Something bounded and how full it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LoadRow {
    /// What it is, such as `Keys of limit per-caller`.
    pub name: String,
    /// What one of it is, in the plural: `keys`.
    pub unit: String,
    /// How many there are.
    pub value: u64,
    /// How many there may be.
    pub max: u64,
    /// What happens at the bound, and what to do: `beyond it callers share one bucket; raise
    /// keys_max`.
    pub at_bound: String,
}
