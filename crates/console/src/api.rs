//! Operator JSON under `/api/v1`: what the rooms answer, and on the local socket what an operator
//! does. The same routes stand on the ops listener, where they only answer questions.

mod acts;
pub(crate) mod board;
mod database;
mod entries;
mod evidence;
mod ledger;
mod node;
mod nodes;
mod revocations;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};

use axum::Router;
use axum::routing::{get, post};
use plimsoll_base::SharedClock;
use plimsoll_ledger::{Actor, ActorKind, Ledger, SealerDoor};
use plimsoll_protection::PublicKey;
use plimsoll_store::{PgPool, Store};

use crate::http::Console;
use crate::model::VerifiedRow;
use crate::problem::{OpsCode, Problem};

pub use board::PlanRoom;
pub use ledger::report_json;
pub(crate) use ledger::{EntryRow, Found, LedgerAsked};
pub use nodes::{NodeAnswer, NodesAnswer, nodes_differ};

/// What the operator JSON answers from.
#[derive(Clone, Debug)]
pub struct Rooms {
    /// The database.
    pub store: Arc<Store>,
    /// The ledger.
    pub ledger: Ledger,
    /// The way to this node's sealer.
    pub sealer: SealerDoor,
    /// Where this node's checkpoints lie.
    pub checkpoints: PathBuf,
    /// The key that signs them.
    pub checkpoint_key: PublicKey,
    /// The keys that signed them before it.
    pub trusted: Vec<PublicKey>,
    /// The gates, and what the board is made of besides the ledger.
    pub plan: PlanRoom,
    /// The last verification of the whole ledger.
    pub verified: Verified,
    /// Where time comes from.
    pub clock: SharedClock,
}

impl Rooms {
    /// Connections as the runtime role.
    pub(crate) fn pool(&self) -> &PgPool {
        self.store.pool()
    }
}

/// The last verification of the whole ledger by this node; none before the first.
pub type Verified = Arc<Mutex<Option<VerifiedRow>>>;

/// The rooms, once the database was reached.
pub type RoomsCell = Arc<OnceLock<Rooms>>;

/// Who asks over the local socket.
#[derive(Clone, Debug)]
pub(crate) struct Operator(pub(crate) String);

impl Operator {
    pub(crate) fn actor(&self) -> Actor<'_> {
        Actor::Named(ActorKind::Operator, &self.0)
    }
}

/// Where the team's own backend appends to the ledger.
pub(crate) const APPEND: &str = "/api/v1/ledger/entries";

/// What the team's own backend says: with the ingest token, see `guard`.
pub(crate) fn ingest() -> Router<Console> {
    Router::new()
        .route(APPEND, post(entries::append))
        .layer(axum::extract::DefaultBodyLimit::max(entries::BODY_BYTES_MAX))
}

/// Questions.
pub(crate) fn questions() -> Router<Console> {
    Router::new()
        .route("/api/v1/node", get(node::show))
        .route("/api/v1/nodes", get(nodes::list))
        .route("/api/v1/database", get(database::facts))
        .route("/api/v1/ledger", get(ledger::tail))
        .route("/api/v1/evidence", get(evidence::list))
        .route("/ledger", get(ledger::show))
        .route("/ledger.csv", get(ledger::table))
        .route("/api/v1/ledger/verify", get(ledger::verify))
        .route("/board", get(board::show))
        .route("/board.csv", get(board::table))
        .route("/board/summary", get(board::summary))
        .route("/board/gates/{id}", get(board::gate_page))
        .route("/api/v1/board", get(board::list))
        .route("/api/v1/board/gates/{id}", get(board::gate))
}

/// What changes something, if only by the entry that says who asked: on the local socket only,
/// where the asker is known. A page of another site can make a browser send a GET elsewhere.
pub(crate) fn acts() -> Router<Console> {
    Router::new()
        .route("/api/v1/ledger/export", get(ledger::export))
        .route("/api/v1/revocations", post(revocations::revoke))
        .route("/api/v1/ledger/accept", post(acts::accept))
        .route("/api/v1/acts", post(acts::report))
        .route("/api/v1/evidence", post(evidence::add))
}

/// The rooms, or why there are none.
pub(crate) fn rooms(console: &Console) -> Result<&Rooms, Problem> {
    console.rooms.get().ok_or_else(|| {
        Problem::new(
            OpsCode::NoDatabase,
            "The database has not been reached since the node started; /readyz says why.",
        )
    })
}

/// What a room could not do, as the operator is told.
pub(crate) fn failed(error: &dyn std::error::Error) -> Problem {
    Problem::new(OpsCode::NoDatabase, error.to_string())
}

/// What was sent means nothing.
pub(crate) fn bad_body(error: &dyn std::error::Error) -> Problem {
    Problem::new(OpsCode::BadBody, error.to_string())
}

/// What was asked for means nothing.
pub(crate) fn refused(error: &dyn std::error::Error) -> Problem {
    Problem::new(OpsCode::BadQuery, error.to_string())
}
