//! The sealer: one for each database. It chains what is committed, so that no writer waits for the
//! chain, and writes signed checkpoints outside the database.
//!
//! Why nothing is skipped and nothing sealed twice: an entry carries the number of its transaction
//! (`xid8`, never reused). Numbers are given out in order but transactions commit in any order, so
//! the highest number seen says nothing. `pg_snapshot_xmin` does: below it every transaction has
//! ended. What one statement sees below its own snapshot's xmin is final, and everything written
//! later has a number at or above it. So the order (xid, id) below xmin only ever grows at its end.

use std::io;
use std::time::Duration;

use plimsoll_base::{Nanos, SharedClock, failpoint};
use plimsoll_store::PgPool;
use sqlx::{Connection as _, PgConnection};
use tokio::sync::watch;
use uuid::Uuid;

use crate::checkpoints::Checkpoints;
use crate::error::SealerError;
use crate::model::{CHAIN_START, Hash, link};
use crate::store::seals::{self, Cursor, Round};

/// How often the sealer looks.
pub const SEAL_EVERY: Duration = Duration::from_millis(200);
/// The most entries sealed by one statement.
pub const SEAL_BATCH_ENTRIES_MAX: u32 = 4_000;
/// A checkpoint is written at the latest this long after an entry was sealed.
pub const CHECKPOINT_EVERY: Duration = Duration::from_secs(1);
/// A checkpoint stands at every multiple of this many entries.
pub const CHECKPOINT_ENTRIES: u64 = 1_000;
/// After a failure, before the next attempt.
const RETRY_EVERY: Duration = Duration::from_secs(1);
/// "plimledg": held by the session that seals.
const LOCK: i64 = 0x706c_696d_6c65_6467;

/// What the sealer does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SealerState {
    /// Not connected yet.
    Starting,
    /// Another node seals.
    Waiting,
    /// Sealing.
    Sealing {
        /// How many entries are sealed.
        size: u64,
        /// The size of the last checkpoint.
        checkpoint_size: u64,
    },
    /// Sealing, but the database is not the one that our checkpoints speak of: none is written
    /// until somebody has looked. Says what differs.
    Diverged {
        /// How many entries are sealed.
        size: u64,
        /// What differs and what to do.
        why: String,
    },
    /// It failed and tries again.
    Down {
        /// What failed.
        why: String,
    },
    /// Stopped in good order.
    Stopped,
}

/// Seals the ledger of one database, or waits until it may.
#[derive(Debug)]
pub struct Sealer {
    pool: PgPool,
    checkpoints: Option<Checkpoints>,
    clock: SharedClock,
    state: watch::Sender<SealerState>,
}

/// One session's work, from the lock to its loss.
struct Session<'a> {
    conn: PgConnection,
    clock: &'a SharedClock,
    head: (u64, Hash),
    cursor: Cursor,
    /// The restored entries of another cluster are not all sealed yet.
    adopting: bool,
    /// Sealed, and no checkpoint written yet.
    due: Vec<(u64, Hash)>,
    checkpointed: Nanos,
    diverged: Option<String>,
}

impl Sealer {
    /// A sealer for the database behind `pool`, of which it takes one connection of its own.
    #[must_use]
    pub fn new(pool: PgPool, checkpoints: Checkpoints, clock: SharedClock) -> Self {
        let (state, _) = watch::channel(SealerState::Starting);
        Self { pool, checkpoints: Some(checkpoints), clock, state }
    }

    /// What it does, as it changes.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<SealerState> {
        self.state.subscribe()
    }

    /// Seals until `stop` says true, then once more, and signs a last checkpoint.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            match self.session(&mut stop).await {
                Ok(()) => {}
                Err(error) => {
                    tracing::warn!(%error, "the sealer tries again");
                    self.state.send_replace(SealerState::Down { why: error.to_string() });
                    pause(&mut stop, RETRY_EVERY).await;
                }
            }
        }
        self.state.send_replace(SealerState::Stopped);
    }

    async fn session(&mut self, stop: &mut watch::Receiver<bool>) -> Result<(), SealerError> {
        let mut conn = PgConnection::connect_with(&self.pool.connect_options()).await?;
        seals::notice_dead_peers(&mut conn).await?;
        while !seals::try_lock(&mut conn, LOCK).await? {
            self.state.send_replace(SealerState::Waiting);
            pause(stop, RETRY_EVERY).await;
            if *stop.borrow() {
                return Ok(());
            }
        }
        let clock = SharedClock::clone(&self.clock);
        let mut session = Session::open(conn, &clock, self.checkpoints.as_ref()).await?;
        loop {
            let stopping = *stop.borrow();
            let more = session.seal().await?;
            session.checkpoint(&mut self.checkpoints, stopping).await?;
            self.state.send_replace(session.state(self.checkpoints.as_ref()));
            if !more {
                if stopping {
                    return session.conn.close().await.map_err(SealerError::from);
                }
                pause(stop, SEAL_EVERY).await;
            }
        }
    }

    /// Seals all that can be sealed now, signs a checkpoint, and returns how many entries are
    /// sealed: one round, for tests and for commands that run without the rest.
    ///
    /// # Errors
    /// See [`SealerError`]; also when another node seals.
    pub async fn once(&mut self) -> Result<u64, SealerError> {
        let mut conn = PgConnection::connect_with(&self.pool.connect_options()).await?;
        if !seals::try_lock(&mut conn, LOCK).await? {
            return Err(SealerError::Interrupted(io::Error::other("another node seals")));
        }
        let clock = SharedClock::clone(&self.clock);
        let mut session = Session::open(conn, &clock, self.checkpoints.as_ref()).await?;
        while session.seal().await? {}
        session.checkpoint(&mut self.checkpoints, true).await?;
        self.state.send_replace(session.state(self.checkpoints.as_ref()));
        let size = session.head.0;
        session.conn.close().await?;
        Ok(size)
    }
}

impl<'a> Session<'a> {
    async fn open(
        mut conn: PgConnection,
        clock: &'a SharedClock,
        checkpoints: Option<&Checkpoints>,
    ) -> Result<Session<'a>, SealerError> {
        let head = match seals::head(&mut conn).await? {
            None => (0, CHAIN_START),
            Some((position, chain)) => (
                u64::try_from(position).map_err(|_| SealerError::Column("seals.position"))?,
                chain.try_into().map_err(|_| SealerError::Column("seals.chain"))?,
            ),
        };
        let cluster = seals::cluster(&mut conn).await?;
        let kept = seals::cursor(&mut conn).await?;
        let adopting = kept.as_ref().is_some_and(|kept| kept.cluster != cluster);
        let start = Cursor { cluster, xid: "0".to_owned(), entry_id: Uuid::nil() };
        let cursor = kept.filter(|_| !adopting).unwrap_or(start);
        let diverged = diverged(&mut conn, checkpoints).await?;
        // What an earlier session sealed and did not live to sign.
        let signed = checkpoints.and_then(Checkpoints::last).map_or(0, |last| last.size);
        let due = if head.0 > signed { vec![head] } else { Vec::new() };
        let checkpointed = Nanos::default();
        Ok(Session { conn, clock, head, cursor, adopting, due, checkpointed, diverged })
    }

    /// One batch. Says whether there may be more at once.
    async fn seal(&mut self) -> Result<bool, SealerError> {
        let limit = i64::from(SEAL_BATCH_ENTRIES_MAX);
        let Round { settled, horizon } = if self.adopting {
            seals::anywhere(&mut self.conn, limit).await?
        } else {
            seals::after(&mut self.conn, &self.cursor, limit).await?
        };
        let full = settled.len() >= SEAL_BATCH_ENTRIES_MAX as usize;
        let mut next = self.cursor.clone();
        if self.adopting && !full {
            // All that was restored is sealed, and so is all of this cluster below its horizon.
            (next.xid, next.entry_id) = (horizon, Uuid::nil());
        } else if let Some(last) = settled.last().filter(|_| !self.adopting) {
            (next.xid, next.entry_id) = (last.xid.clone(), last.id);
        }
        if settled.is_empty() && next == self.cursor {
            return Ok(false);
        }
        let (mut positions, mut ids, mut chains) = (vec![], vec![], vec![]);
        let (mut head, mut due) = (self.head, Vec::new());
        for entry in settled.into_iter().filter(|entry| !entry.sealed) {
            let hash: Hash =
                entry.hash.try_into().map_err(|_| SealerError::Column("entries.hash"))?;
            head = (head.0 + 1, link(&head.1, head.0 + 1, &hash));
            positions.push(i64::try_from(head.0).unwrap_or(i64::MAX));
            ids.push(entry.id);
            chains.push(head.1.to_vec());
            if head.0.is_multiple_of(CHECKPOINT_ENTRIES) {
                due.push(head);
            }
        }
        failpoint::hit("ledger.before_seal").map_err(SealerError::Interrupted)?;
        seals::seal(&mut self.conn, &positions, &ids, &chains, &next).await?;
        failpoint::hit("ledger.after_seal").map_err(SealerError::Interrupted)?;
        if due.last() != Some(&head) && head != self.head {
            due.push(head);
        }
        self.keep_due(due);
        self.head = head;
        self.cursor = next;
        self.adopting &= full;
        Ok(full)
    }

    /// Between two checkpoints only the newest head is worth signing, but for round numbers.
    fn keep_due(&mut self, newer: Vec<(u64, Hash)>) {
        if newer.is_empty() {
            return;
        }
        // Nothing is signed while the chain is in doubt, so nothing is gathered.
        let keep = self.diverged.is_none();
        self.due.retain(|(size, _)| keep && size.is_multiple_of(CHECKPOINT_ENTRIES));
        let skip = if keep { 0 } else { newer.len() - 1 };
        self.due.extend(newer.into_iter().skip(skip));
    }

    async fn checkpoint(
        &mut self,
        checkpoints: &mut Option<Checkpoints>,
        now_at_once: bool,
    ) -> Result<(), SealerError> {
        let now = self.clock.now();
        let waited = now.since(self.checkpointed) >= CHECKPOINT_EVERY;
        let round = self.due.iter().any(|(size, _)| size.is_multiple_of(CHECKPOINT_ENTRIES));
        if self.due.is_empty() || self.diverged.is_some() || !(waited || round || now_at_once) {
            return Ok(());
        }
        let Some(mut writer) = checkpoints.take() else { return Ok(()) };
        let due = std::mem::take(&mut self.due);
        let at = self.clock.unix_ms();
        // An fsync blocks its thread.
        let written = tokio::task::spawn_blocking(move || {
            let result = writer.append(&due, at);
            (writer, due, result)
        });
        let (writer, due, result) =
            written.await.map_err(|error| SealerError::Interrupted(io::Error::other(error)))?;
        let last = writer.last().map_or((0, 0), |last| (last.sequence, last.size));
        let key = writer.key_id().to_owned();
        *checkpoints = Some(writer);
        if let Err(error) = result {
            self.due = due;
            return Err(error.into());
        }
        self.checkpointed = now;
        let [sequence, size] = [last.0, last.1].map(|n| i64::try_from(n).unwrap_or(i64::MAX));
        Ok(seals::mark_checkpoint(&mut self.conn, &key, sequence, size).await?)
    }

    fn state(&self, checkpoints: Option<&Checkpoints>) -> SealerState {
        let size = self.head.0;
        match &self.diverged {
            Some(why) => SealerState::Diverged { size, why: why.clone() },
            None => {
                let last = checkpoints.and_then(Checkpoints::last);
                SealerState::Sealing { size, checkpoint_size: last.map_or(0, |last| last.size) }
            }
        }
    }
}

/// Compares the database with our last checkpoint: nothing is signed over a gap.
async fn diverged(
    conn: &mut PgConnection,
    checkpoints: Option<&Checkpoints>,
) -> Result<Option<String>, SealerError> {
    let Some(last) = checkpoints.and_then(Checkpoints::last).filter(|last| last.size > 0) else {
        return Ok(None);
    };
    let position = i64::try_from(last.size).unwrap_or(i64::MAX);
    let what = match seals::chain_at(conn, position).await? {
        Some(chain) if chain == last.head => return Ok(None),
        Some(_) => "holds another entry there",
        None => "does not reach so far",
    };
    Ok(Some(format!(
        "the last checkpoint speaks of {} entries, and the database {what}: run `plimsoll ledger \
         verify`; if a backup was restored on purpose, `plimsoll ledger accept` says so",
        last.size
    )))
}

async fn pause(stop: &mut watch::Receiver<bool>, how_long: Duration) {
    // Ends at once when told to stop; a sender that is gone can no longer tell.
    let told = async {
        if stop.wait_for(|stop| *stop).await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let _either = tokio::time::timeout(how_long, told).await;
}

/// Signs that the chain as it stands is accepted though earlier checkpoints say otherwise, and
/// returns its size. Whoever calls this appends an `operator.act` of its own.
///
/// # Errors
/// See [`SealerError`].
pub async fn accept(
    conn: &mut PgConnection,
    checkpoints: &mut Checkpoints,
    at_unix_ms: u64,
    why: &str,
) -> Result<u64, SealerError> {
    let head = match seals::head(conn).await? {
        None => (0, CHAIN_START),
        Some((position, chain)) => (
            u64::try_from(position).map_err(|_| SealerError::Column("seals.position"))?,
            chain.try_into().map_err(|_| SealerError::Column("seals.chain"))?,
        ),
    };
    checkpoints.accept(head, at_unix_ms, why)?;
    Ok(head.0)
}
