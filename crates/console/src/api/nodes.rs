//! `GET /api/v1/nodes`: every node, what it runs, and which epoch it has applied.

use axum::Json;
use axum::extract::State;
use plimsoll_snapshot as snapshot;
use serde::{Deserialize, Serialize};

use crate::api::{failed, rooms};
use crate::http::Console;
use crate::problem::Problem;

/// Nodes that have said nothing for so long count as gone, milliseconds.
const SILENT_AFTER_MS: u64 = 5_000;

/// What is answered.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NodesAnswer {
    /// The epoch in force.
    pub epoch: u64,
    /// The nodes, by name.
    pub nodes: Vec<NodeAnswer>,
}

/// One node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NodeAnswer {
    /// New at each start.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The roles it runs.
    pub roles: String,
    /// Its version.
    pub version: String,
    /// The hash of its manifest.
    pub manifest_hash: String,
    /// When it started, in milliseconds since 1970-01-01T00:00:00Z.
    pub started_unix_ms: u64,
    /// The epoch it has applied.
    pub epoch: u64,
    /// How long ago it applied it, milliseconds.
    pub applied_ago_ms: u64,
    /// How long ago it was last heard of, milliseconds.
    pub seen_ago_ms: u64,
    /// `current`, `behind` (it has not applied the epoch in force), `silent`.
    pub state: String,
    /// Whether its manifest is another than most living nodes run; where no manifest is run by
    /// most, all differ.
    pub manifest_differs: bool,
}

impl NodesAnswer {
    /// From what the database says.
    #[must_use]
    pub fn new(epoch: u64, rows: Vec<snapshot::NodeRow>) -> Self {
        let living = || rows.iter().filter(|row| row.seen_ago_ms < SILENT_AFTER_MS);
        let mut by_hash = std::collections::BTreeMap::<&str, usize>::new();
        for row in living() {
            *by_hash.entry(&row.report.manifest_hash).or_default() += 1;
        }
        // What fewer than half of them run is no measure of the others.
        let usual = by_hash.iter().find(|(_, count)| **count * 2 > living().count());
        let usual = usual.map(|(hash, _)| (*hash).to_owned());
        let none_lives = by_hash.is_empty();
        let nodes = rows.into_iter().map(|row| {
            let state = match row {
                _ if row.seen_ago_ms >= SILENT_AFTER_MS => "silent",
                _ if row.epoch < epoch => "behind",
                _ => "current",
            };
            let report = row.report;
            NodeAnswer {
                id: report.id.to_string(),
                name: report.name,
                roles: report.roles,
                version: report.version,
                manifest_differs: !none_lives && usual.as_ref() != Some(&report.manifest_hash),
                manifest_hash: report.manifest_hash,
                started_unix_ms: report.started_unix_ms,
                epoch: row.epoch,
                applied_ago_ms: row.applied_ago_ms,
                seen_ago_ms: row.seen_ago_ms,
                state: state.to_owned(),
            }
        });
        Self { epoch, nodes: nodes.collect() }
    }
}

/// Whether no manifest is run by most of the living nodes, so that none of them is the odd one.
#[must_use]
pub fn nodes_differ(nodes: &[NodeAnswer]) -> bool {
    let mut living = nodes.iter().filter(|node| node.state != "silent").peekable();
    living.peek().is_some() && living.all(|node| node.manifest_differs)
}

pub(crate) async fn list(State(console): State<Console>) -> Result<Json<NodesAnswer>, Problem> {
    let pool = rooms(&console)?.pool();
    let (epoch, rows) = snapshot::nodes(pool).await.map_err(|error| failed(&error))?;
    Ok(Json(NodesAnswer::new(epoch, rows)))
}
