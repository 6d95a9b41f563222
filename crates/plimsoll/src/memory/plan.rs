//! What the board is made of besides the ledger: the gates, the kinds of evidence that this
//! Plimsoll brings, and what the documents of the plan say. And how the board stood last, for the
//! console.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use plimsoll_console::{BoardRow, PlanRoom};
use plimsoll_ledger::EvidenceKind;
use plimsoll_plan::{Gates, PlanError, PlanFacts};
use tokio::sync::watch;

use super::Shared;
use super::opening::stopped_within;
use crate::observe::built;

/// How often the board is judged for the page of live figures; its own page judges when it is
/// asked for.
const JUDGED_EVERY: Duration = Duration::from_secs(5);

pub(super) struct Plan {
    gates: Arc<Gates>,
    built: Arc<[EvidenceKind]>,
    /// What the documents say.
    facts: watch::Sender<PlanFacts>,
    stood: Mutex<Option<BoardRow>>,
}

impl Plan {
    pub(super) fn open() -> Result<Self, PlanError> {
        Ok(Self {
            gates: Arc::new(Gates::shipped()?),
            built: built().into(),
            facts: watch::channel(PlanFacts::default()).0,
            stood: Mutex::default(),
        })
    }

    /// What the console makes the board of.
    pub(super) fn room(&self) -> PlanRoom {
        PlanRoom {
            gates: Arc::clone(&self.gates),
            built: Arc::clone(&self.built),
            facts: self.facts.subscribe(),
        }
    }

    /// The documents were read.
    pub(super) fn reads(&self, facts: PlanFacts) {
        self.facts.send_if_modified(|before| {
            let differs = *before != facts;
            if differs {
                *before = facts;
            }
            differs
        });
    }

    /// How it stood last.
    pub(super) fn stood(&self) -> Option<BoardRow> {
        self.stood.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Shared {
    /// Keeps the line of the board fresh. While the database is away the last one stays, with its
    /// time.
    pub(super) async fn look_at_board(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        loop {
            if let Some(rooms) = self.rooms.get() {
                match rooms.board().await {
                    Ok(board) => {
                        let row = Some(BoardRow::from(&board));
                        *self.plan.stood.lock().unwrap_or_else(PoisonError::into_inner) = row;
                    }
                    Err(error) => tracing::debug!(%error, "the board cannot be judged"),
                }
            }
            if stopped_within(&mut stop, JUDGED_EVERY).await {
                return;
            }
        }
    }
}
