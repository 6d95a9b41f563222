//! One session of the sealer: what it does while it holds the lock.

use std::io;

use plimsoll_base::{Nanos, SharedClock, failpoint};
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use super::place::{Place, Written};
use super::{CHECKPOINT_ENTRIES, CHECKPOINT_EVERY, LOCK, SEAL_BATCH_ENTRIES_MAX, SealerState};
use crate::checkpoint::Checkpoint;
use crate::error::SealerError;
use crate::model::{CHAIN_START, Hash, link};
use crate::store::seals::{self, Cursor, Round};

/// One session's work, from the lock to its loss.
pub(super) struct Session<'a> {
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

impl<'a> Session<'a> {
    /// On a connection that holds the lock; compares with the last checkpoint.
    pub(super) async fn open(
        mut conn: PgConnection,
        clock: &'a SharedClock,
        last: Option<&Checkpoint>,
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
        let (due, checkpointed) = (Vec::new(), Nanos::default());
        let mut session =
            Session { conn, clock, head, cursor, adopting, due, checkpointed, diverged: None };
        session.compare(last).await?;
        Ok(session)
    }

    /// Compares the database with our last checkpoint: nothing is signed over a gap.
    pub(super) async fn compare(&mut self, last: Option<&Checkpoint>) -> Result<(), SealerError> {
        self.diverged = diverged(&mut self.conn, last).await?;
        // What an earlier session sealed and did not live to sign.
        let unsigned = self.head.0 > last.map_or(0, |last| last.size);
        self.due = if unsigned { vec![self.head] } else { Vec::new() };
        Ok(())
    }

    /// How many entries are sealed.
    pub(super) fn size(&self) -> u64 {
        self.head.0
    }

    /// Whether nothing is signed because the database is not what the last checkpoint says.
    pub(super) fn differs(&self) -> bool {
        self.diverged.is_some()
    }

    /// Another sealer may begin once this has returned.
    pub(super) async fn close(mut self) -> Result<(), SealerError> {
        seals::unlock(&mut self.conn, LOCK).await?;
        Ok(self.conn.close().await?)
    }

    /// One batch. Says whether there may be more at once.
    pub(super) async fn seal(&mut self) -> Result<bool, SealerError> {
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

    /// Signs and writes what is due, where it is time.
    pub(super) async fn sign(
        &mut self,
        place: &mut Place,
        now_at_once: bool,
    ) -> Result<Option<Written>, SealerError> {
        let now = self.clock.now();
        let waited = now.since(self.checkpointed) >= CHECKPOINT_EVERY;
        let round = self.due.iter().any(|(size, _)| size.is_multiple_of(CHECKPOINT_ENTRIES));
        if self.due.is_empty() || self.diverged.is_some() || !(waited || round || now_at_once) {
            return Ok(None);
        }
        let (heads, at) = (self.due.clone(), self.clock.unix_ms());
        let written = place.write(move |open| open.append(&heads, at)).await?;
        if written.is_some() {
            self.due.clear();
            self.checkpointed = now;
        }
        Ok(written)
    }

    /// Signs that the chain as it stands is accepted though earlier checkpoints say otherwise.
    pub(super) async fn accept(
        &mut self,
        place: &mut Place,
        why: String,
    ) -> Result<Written, SealerError> {
        let (head, at) = (self.head, self.clock.unix_ms());
        let unsigned = || SealerError::Interrupted(io::Error::other("nothing can be signed"));
        let written = place.write(move |open| open.accept(head, at, &why)).await?;
        written.ok_or_else(unsigned)
    }

    /// Notes in the database what was signed outside of it.
    pub(super) async fn mark(&mut self, written: &Written) -> Result<(), SealerError> {
        let [sequence, size] =
            [written.sequence, written.size].map(|n| i64::try_from(n).unwrap_or(i64::MAX));
        Ok(seals::mark_checkpoint(&mut self.conn, &written.key_id, sequence, size).await?)
    }

    pub(super) fn state(&self, place: &Place) -> SealerState {
        let size = self.head.0;
        if let Some(why) = place.down() {
            return SealerState::Unsigned { size, why: why.to_owned() };
        }
        let checkpoint_size = place.last().map_or(0, |last| last.size);
        match &self.diverged {
            Some(why) => SealerState::Diverged { size, checkpoint_size, why: why.clone() },
            None => SealerState::Sealing { size, checkpoint_size },
        }
    }
}

/// What differs between the database and the last checkpoint.
async fn diverged(
    conn: &mut PgConnection,
    last: Option<&Checkpoint>,
) -> Result<Option<String>, SealerError> {
    let Some(last) = last.filter(|last| last.size > 0) else {
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
         verify`; if a backup was restored on purpose, `plimsoll ledger accept --reason TEXT` says so",
        last.size
    )))
}
