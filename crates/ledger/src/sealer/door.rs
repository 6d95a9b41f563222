//! What an operator may ask of the sealer while it runs.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use super::SealerState;
use crate::error::SealerError;

/// Questions that wait to be taken.
pub(super) const ASKED_MAX: usize = 4;
/// How long an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);

/// Why nothing was accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AcceptError {
    /// The chain is what the checkpoints say.
    #[error("nothing differs from the last checkpoint, so there is nothing to accept")]
    NothingDiffers,
    /// This node does not seal at the moment.
    #[error("this node does not seal ({state}): ask the node that does; /readyz there says so")]
    NotSealing {
        /// What it does instead.
        state: &'static str,
    },
    /// It was not signed.
    #[error(transparent)]
    Sealer(#[from] SealerError),
}

/// One question: why the chain is accepted, and where the answer goes.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) why: String,
    pub(super) answer: oneshot::Sender<Result<u64, AcceptError>>,
}

/// The way to a sealer that runs. Cheap to clone.
#[derive(Clone, Debug)]
pub struct SealerDoor {
    pub(super) state: watch::Receiver<SealerState>,
    pub(super) asked: mpsc::Sender<Asked>,
}

impl SealerDoor {
    /// Whether there is something to accept, here and now.
    ///
    /// # Errors
    /// Why there is not.
    pub fn differs(&self) -> Result<(), AcceptError> {
        let state = match &*self.state.borrow() {
            SealerState::Diverged { .. } => return Ok(()),
            SealerState::Sealing { .. } => return Err(AcceptError::NothingDiffers),
            SealerState::Starting => "it has not reached the database yet",
            SealerState::Waiting => "another node does",
            SealerState::Unsigned { .. } => "its checkpoints cannot be read",
            SealerState::Down { .. } => "it failed and tries again",
            SealerState::Stopped => "it stopped",
        };
        Err(AcceptError::NotSealing { state })
    }

    /// Signs that the chain as it stands is accepted though earlier checkpoints say otherwise, and
    /// returns its size; from then on checkpoints are signed again. Whoever calls this appends an
    /// `operator.act` of its own.
    ///
    /// # Errors
    /// See [`AcceptError`].
    pub async fn accept(&self, why: &str) -> Result<u64, AcceptError> {
        self.differs()?;
        let (answer, answered) = oneshot::channel();
        let gone = AcceptError::NotSealing { state: "it stopped" };
        if self.asked.try_send(Asked { why: why.to_owned(), answer }).is_err() {
            return Err(gone);
        }
        match tokio::time::timeout(ANSWER_WITHIN, answered).await {
            Ok(Ok(done)) => done,
            Ok(Err(_gone)) => Err(gone),
            Err(_elapsed) => Err(SealerError::Late { waited_s: ANSWER_WITHIN.as_secs() }.into()),
        }
    }
}
