//! Whether writes are executed once: what the records say, and a write of our own for trial.

use std::time::Duration;

use plimsoll_protection::random;
use plimsoll_store::PgPool;

use crate::answer::Answer;
use crate::engine::COUNT_MAX;
use crate::error::WritesError;
use crate::model::{Claim, Hash, OnUnknown};
use crate::service::{Begun, Writes};
use crate::store;

/// The operation of writes that nobody sent, by which the room is tried, and how long they wait.
pub(crate) const PROBE: &str = "plimsoll:probe";
const PROBE_WITHIN: Duration = Duration::from_secs(5);
const PROBE_KEPT_MS: u64 = 60_000;

/// What the newest records say of executions, and what a trial of the room came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Keys of clients.
    pub keys: u64,
    /// Keys, the trial's too, that were executed more often than a policy allowed.
    pub executed_twice: u64,
    /// The first of these.
    pub first_twice: Option<String>,
}

impl Writes {
    /// What the records say of executions; and whether a write that nobody sent is granted once,
    /// held while it runs, and replayed.
    ///
    /// # Errors
    /// The database, or a trial that it did not take in time.
    pub async fn look(&self, pool: &PgPool) -> Result<Seen, WritesError> {
        let mut connection = pool.acquire().await?;
        let (keys, twice, first) = store::executed(&mut connection, PROBE, COUNT_MAX).await?;
        drop(connection);
        let mut seen = Seen { keys, executed_twice: twice, first_twice: first };
        if !self.tried().await? {
            seen.executed_twice += 1;
            seen.first_twice.get_or_insert_with(|| "a write of our own, for trial".to_owned());
        }
        Ok(seen)
    }

    /// True when the trial's write was granted once.
    async fn tried(&self) -> Result<bool, WritesError> {
        let of = |owner: u128, id: Hash| Claim {
            id,
            caller: id,
            formerly: None,
            fingerprint: id,
            owner,
            on_unknown: OnUnknown::Hold,
            kept_for_ms: PROBE_KEPT_MS,
            service: "plimsoll".to_owned(),
            operation: PROBE.to_owned(),
        };
        let id = Hash(random::<32>().map_err(|_| WritesError::Answer)?);
        let Begun::Granted(first) = self.begin(&of(1, id), PROBE_WITHIN).await? else {
            return Ok(false);
        };
        let beside = self.begin(&of(2, id), PROBE_WITHIN).await?;
        let answer = Answer {
            status: http::StatusCode::NO_CONTENT,
            headers: http::HeaderMap::new(),
            body: Some(bytes::Bytes::new()),
        };
        first.answered(answer.clone(), PROBE_WITHIN).await?;
        let after = self.begin(&of(3, id), PROBE_WITHIN).await?;
        let held = matches!(beside, Begun::Running);
        let replayed = matches!(after, Begun::Replay(kept) if *kept == answer);
        Ok(held && replayed)
    }
}
