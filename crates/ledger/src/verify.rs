//! Verification: the whole chain, recomputed, against every signed checkpoint.

mod chain;
mod signed;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use plimsoll_base::SharedClock;
use plimsoll_protection::PublicKey;
use sqlx::{Acquire as _, PgConnection};
use uuid::Uuid;

use crate::error::SealerError;
use crate::store::pages;
use crate::store::seals::{self, Unsealed};

pub(crate) use chain::Walk;
pub(crate) use signed::Signed;

/// Faults that are named one by one; the rest is counted.
pub const FAULTS_MAX: usize = 1_000;
/// Rows read at once.
const PAGE_ROWS: i64 = 4_000;
/// Rows counted, or looked through for what is not sealed, by one statement.
const PIECE_ROWS: i64 = 10_000;
/// Between two calls of the progress callback, in entries.
const PROGRESS_ENTRIES: u64 = 20_000;

/// What is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// A seal names an entry that is not there.
    #[error("entry {entry_id} at position {position} was deleted (its seal is still there)")]
    EntryDeleted {
        /// Its place in the chain.
        position: u64,
        /// Its id.
        entry_id: Uuid,
    },
    /// The content of an entry is not what was sealed.
    #[error("entry {entry_id} at position {position} was edited")]
    EntryEdited {
        /// Its place in the chain.
        position: u64,
        /// Its id.
        entry_id: Uuid,
    },
    /// An entry that is not sealed yet does not match its own hash.
    #[error("entry {entry_id}, not sealed yet, was edited")]
    UnsealedEdited {
        /// Its id.
        entry_id: Uuid,
    },
    /// An entry stands where another one was sealed.
    #[error("entry {entry_id} stands at position {position} and was sealed at {belongs_at}")]
    EntryReordered {
        /// Where it stands.
        position: u64,
        /// Its id.
        entry_id: Uuid,
        /// Where it was sealed.
        belongs_at: u64,
    },
    /// An entry has no seal though the sealer has long passed its place.
    #[error("entry {entry_id} was inserted behind the sealer's back, or its seal was deleted")]
    EntryInserted {
        /// Its id.
        entry_id: Uuid,
    },
    /// Positions are missing: entries and seals were deleted.
    #[error("positions {from} to {to} are missing: entries were deleted with their seals")]
    PositionsMissing {
        /// The first.
        from: u64,
        /// The last.
        to: u64,
    },
    /// A seal does not carry on the chain, though its entry fits.
    #[error("the seal at position {position} (entry {entry_id}) was edited")]
    SealEdited {
        /// Its place.
        position: u64,
        /// The entry it names.
        entry_id: Uuid,
    },
    /// More rows than positions: a key of the tables was dropped, and rows stand twice or nowhere.
    #[error("{found} {table} are stored and {expected} were reached: rows were inserted twice")]
    RowsTwice {
        /// `entries` or `seals`.
        table: &'static str,
        /// How many rows there are.
        found: u64,
        /// How many of them the walk reached.
        expected: u64,
    },
    /// The database ends before the last checkpoint.
    #[error(
        "the tail was cut: {size} entries are sealed, and checkpoint {sequence} speaks of \
         {checkpoint_size}"
    )]
    TailCut {
        /// How many there are.
        size: u64,
        /// How many there were.
        checkpoint_size: u64,
        /// Which checkpoint says so.
        sequence: u64,
    },
    /// The chain is whole in itself, and not the one that was signed.
    #[error("positions {from} to {to} were rewritten: checkpoint {sequence} signed another chain")]
    HistoryRewritten {
        /// After the last checkpoint that agrees.
        from: u64,
        /// The size of the first that does not.
        to: u64,
        /// Which one.
        sequence: u64,
    },
    /// A line that is no checkpoint, or not signed by a key we trust.
    #[error("{} line {line} is forged: not signed by a key that is trusted", path.display())]
    CheckpointForged {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
    },
    /// Checkpoints are missing, though signed neighbours or the database speak of them.
    #[error("checkpoints {from} to {to} of key {key_id} are missing")]
    CheckpointsMissing {
        /// The first.
        from: u64,
        /// The last.
        to: u64,
        /// Whose.
        key_id: String,
    },
}

/// What verification needs beside the database.
#[derive(Clone, Debug)]
pub struct VerifyOptions {
    /// Where this node's own checkpoints lie.
    pub checkpoints: PathBuf,
    /// The key that signs there: every checkpoint of it is expected to be there.
    pub key: PublicKey,
    /// Directories with further ones, as far as at hand: other nodes', and those from before the
    /// key was replaced. Each has to hold some; how many depends on when they were copied.
    pub further: Vec<PathBuf>,
    /// The keys that are believed beside ours. They never come from a directory of checkpoints:
    /// whoever can write there would vouch for himself.
    pub trusted: Vec<PublicKey>,
}

/// What is looked at now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Sealed entries checked.
    pub done: u64,
    /// Sealed entries there are.
    pub total: u64,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Sealed entries that were checked.
    pub entries: u64,
    /// The faults, in the order in which they were met; at most [`FAULTS_MAX`].
    pub faults: Vec<Fault>,
    /// Faults beyond those.
    pub faults_more: u64,
    /// What differs and was accepted by an operator: fault and note.
    pub accepted: Vec<(Fault, String)>,
    /// Checkpoints that agree.
    pub checkpoints: u64,
    /// The size of the last checkpoint that agrees.
    pub checkpoint_size: u64,
    /// When it was signed, in milliseconds since 1970-01-01T00:00:00Z.
    pub checkpoint_at_unix_ms: u64,
    /// Sealed after it: chained, but no signature outside the database vouches for these yet.
    pub after_checkpoint: u64,
    /// Committed and not sealed yet.
    pub unsealed: u64,
    /// How long it took.
    pub took: Duration,
}

impl Report {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.faults.is_empty() && self.faults_more == 0
    }

    /// Sealed entries checked per second.
    #[must_use]
    pub fn entries_per_second(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
        let entries = self.entries as f64;
        entries / self.took.as_secs_f64().max(1e-9)
    }

    pub(crate) fn add(&mut self, fault: Fault) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(fault);
        } else {
            self.faults_more += 1;
        }
    }
}

/// Checks everything: each entry's hash, the chain, every checkpoint and its signature.
///
/// Reads under one snapshot, so that entries may be written and sealed meanwhile. A fault is a part
/// of the report; an error means that nothing can be said.
///
/// # Errors
/// The database or the files of checkpoints cannot be read.
pub async fn verify(
    conn: &mut PgConnection,
    options: &VerifyOptions,
    clock: &SharedClock,
    mut progress: impl FnMut(Progress),
) -> Result<Report, SealerError> {
    let begin = clock.now();
    let (mut signed, mut report) = signed(&mut *conn, options).await?;
    let mut tx = conn.begin().await?;
    sqlx::query!("set transaction isolation level repeatable read, read only")
        .execute(&mut *tx)
        .await?;
    let (entries_keyless, seals_keyless) = pages::without_a_key(&mut tx).await?;
    let seals_there = seals_keyless + count_seals(&mut tx).await?;
    let total = u64::try_from(seals_there).unwrap_or_default();
    let mut walk = Walk::from_start();
    let (mut last, mut reached, mut told) = (i64::MIN, 0, 0);
    loop {
        let page = seals::sealed_after(&mut tx, last, i64::MAX, PAGE_ROWS).await?;
        let Some(end) = page.last().map(|sealed| sealed.position) else { break };
        last = end;
        for sealed in page {
            reached += 1;
            walk.step(sealed, &mut report);
            signed.compare(walk.position(), &walk.chain(), &mut report);
        }
        if reached - told >= PROGRESS_ENTRIES {
            told = reached;
            progress(Progress { done: reached, total });
        }
    }
    walk.finish(&mut report);
    signed.finish(walk.position(), &mut report);
    let (unsealed, entries) = unsealed(&mut tx, &mut report).await?;
    let entries = entries_keyless + entries;
    tx.rollback().await?;
    let twice = |table, found: i64, expected| {
        let found = u64::try_from(found).unwrap_or_default();
        (found != expected).then_some(Fault::RowsTwice { table, found, expected })
    };
    let faults = [
        twice("seals", seals_there, reached),
        twice("entries", entries, walk.entries() + unsealed),
    ];
    faults.into_iter().flatten().for_each(|fault| report.add(fault));
    report.entries = walk.entries();
    report.after_checkpoint = walk.position().saturating_sub(report.checkpoint_size);
    report.took = clock.now().since(begin);
    progress(Progress { done: reached, total });
    Ok(report)
}

/// What is signed. A checkpoint is written before the database notes it, so what is noted now must
/// be in the files that are read next; and what is signed is sealed, so what they say must hold in
/// a snapshot that is taken later still.
async fn signed(
    conn: &mut PgConnection,
    options: &VerifyOptions,
) -> Result<(Signed, Report), SealerError> {
    let marks = seals::checkpoint_marks(conn).await?;
    let options = options.clone();
    let read = tokio::task::spawn_blocking(move || {
        let mut report = Report::default();
        let signed = Signed::read(&options, &mut report)?;
        signed.check_marks(&marks, &mut report);
        Ok((signed, report))
    });
    read.await.map_err(|error| SealerError::Interrupted(io::Error::other(error)))?
}

async fn count_seals(conn: &mut PgConnection) -> Result<i64, SealerError> {
    let (mut after, mut rows) = (i64::MIN, 0);
    loop {
        let piece = pages::seals(&mut *conn, after, PIECE_ROWS).await?;
        rows += piece.rows;
        match piece.end {
            Some(end) => after = end,
            None => return Ok(rows),
        }
    }
}

/// Entries without a seal: those that wait for the sealer, and those that it would have taken had
/// they been there. Returns how many there are, and how many entries of all.
async fn unsealed(conn: &mut PgConnection, report: &mut Report) -> Result<(u64, i64), SealerError> {
    let cluster = seals::cluster(&mut *conn).await?;
    // After a restore into another cluster transaction numbers say nothing until the sealer has
    // taken over what was restored.
    let comparable = seals::cursor(&mut *conn).await?.is_none_or(|c| c.cluster == cluster);
    let (mut after, mut reached, mut entries) = (Uuid::nil(), 0, 0);
    loop {
        let piece = pages::entries(&mut *conn, after, PIECE_ROWS).await?;
        entries += piece.rows;
        let upto = piece.end.unwrap_or(Uuid::max());
        loop {
            let page = seals::unsealed_between(&mut *conn, after, upto, PAGE_ROWS).await?;
            let Some(end) = page.last().and_then(|unsealed| unsealed.row.id) else { break };
            after = end;
            reached += page.len() as u64;
            page.into_iter().for_each(|unsealed| look_at(unsealed, comparable, report));
        }
        match piece.end {
            Some(end) => after = end,
            None => return Ok((reached, entries)),
        }
    }
}

fn look_at(unsealed: Unsealed, comparable: bool, report: &mut Report) {
    let entry_id = unsealed.row.id.unwrap_or_default();
    if unsealed.behind && comparable {
        report.add(Fault::EntryInserted { entry_id });
        return;
    }
    report.unsealed += 1;
    let whole = unsealed
        .row
        .into_entry()
        .is_some_and(|(entry, hash)| entry.hash().is_ok_and(|recomputed| recomputed == hash));
    if !whole {
        report.add(Fault::UnsealedEdited { entry_id });
    }
}

/// How long the oldest entry that is not sealed has waited since it was written; `None` where none
/// waits.
///
/// # Errors
/// The database.
pub async fn unsealed_for(
    conn: &mut PgConnection,
    clock: &SharedClock,
) -> Result<Option<Duration>, SealerError> {
    let Some(id) = pages::oldest_unsealed(conn).await? else { return Ok(None) };
    // The id holds the time at which it was written.
    let (seconds, nanos) = id.get_timestamp().map_or((0, 0), |time| time.to_unix());
    let written_ms = seconds * 1_000 + u64::from(nanos) / 1_000_000;
    Ok(Some(Duration::from_millis(clock.unix_ms().saturating_sub(written_ms))))
}
