//! Export: entries with their proofs as NDJSON, and the verifier that needs no database.
//!
//! One JSON object a line: `header`, then each `checkpoint`, then each `entry` in the order of the
//! chain, then `end`. `docs/ledger-format.md` describes each field.

use std::io::{self, BufRead, Write};
use std::path::PathBuf;

use plimsoll_protection::{ActorHash, PublicKey};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::{Acquire as _, PgConnection};
use uuid::Uuid;

use crate::checkpoint::Checkpoint;
use crate::checkpoints::{Found, read_all};
use crate::error::SealerError;
use crate::hex;
use crate::model::{CHAIN_START, Entry};
use crate::store::Row;
use crate::store::seals::{self, Sealed};
use crate::verify::{Fault, Report, Signed, Walk};

/// The longest line that a reader takes, in bytes: an entry with all fields at their bounds.
const LINE_BYTES_MAX: u64 = 256 * 1024;
/// The most checkpoints that a reader takes.
const CHECKPOINTS_MAX: usize = 200_000;
const PAGE_ROWS: i64 = 2_000;

/// One line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Line {
    Header { v: u8, from: u64, chain: String },
    Entry { position: u64, chain: String, hash: String, entry: Box<Exported> },
    Checkpoint { line: Value },
    End { size: u64, checkpoints: u64 },
}

/// An entry as it is exported.
#[derive(Debug, Serialize, Deserialize)]
struct Exported {
    id: String,
    at_us: i64,
    action: String,
    actor_kind: String,
    actor: Option<String>,
    subject: String,
    outcome: String,
    change_id: Option<String>,
    detail: Value,
    sealed_personal: Option<String>,
}

impl From<Entry> for Exported {
    fn from(entry: Entry) -> Self {
        Self {
            id: entry.id.to_string(),
            at_us: entry.at_us,
            action: entry.action,
            actor_kind: entry.actor_kind,
            actor: entry.actor.map(|actor| actor.to_string()),
            subject: entry.subject,
            outcome: entry.outcome,
            change_id: entry.change_id.map(|id| id.to_string()),
            detail: entry.detail,
            sealed_personal: entry.sealed_personal.map(|bytes| hex::encode(&bytes)),
        }
    }
}

/// Why an export cannot be made or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The ledger cannot be read.
    #[error(transparent)]
    Ledger(#[from] SealerError),
    /// The database refused or did not answer.
    #[error("the database: {0}")]
    Database(#[from] sqlx::Error),
    /// The export cannot be written or read.
    #[error("the export: {0}")]
    Io(#[from] io::Error),
    /// A line is not what it has to be.
    #[error("line {line} of the export {expected}")]
    Line {
        /// Which, counted from 1.
        line: u64,
        /// What it has to be.
        expected: &'static str,
    },
    /// An entry is deleted or of no form we know, so that there is nothing to export.
    #[error("position {position} cannot be exported: run `plimsoll ledger verify`")]
    Damaged {
        /// Which.
        position: u64,
    },
}

/// Writes the sealed entries of positions `from` to `to` (both included; from 1) with the
/// checkpoints of `directories` that lie in between, and returns how many entries that were.
///
/// Writing blocks: pass a buffer or a file, not a socket.
///
/// # Errors
/// See [`ExportError`].
pub async fn export(
    conn: &mut PgConnection,
    directories: &[PathBuf],
    (from, to): (u64, u64),
    out: &mut (impl Write + Send),
) -> Result<u64, ExportError> {
    let from = from.max(1);
    let mut tx = conn.begin().await?;
    sqlx::query!("set transaction isolation level repeatable read, read only")
        .execute(&mut *tx)
        .await?;
    let before = match from - 1 {
        0 => CHAIN_START.to_vec(),
        before => seals::chain_at(&mut tx, signed(before))
            .await?
            .ok_or(ExportError::Damaged { position: before })?,
    };
    let size = seals::head(&mut tx).await?.map_or(0, |(position, _)| position);
    let to = to.min(u64::try_from(size).unwrap_or_default());
    put(out, &Line::Header { v: 1, from, chain: hex::encode(&before) })?;
    let mut checkpoints = 0;
    for directory in directories {
        for Found { checkpoint, .. } in read_all(directory).map_err(SealerError::from)?.0 {
            let Some(checkpoint) = checkpoint.filter(|c| (from..=to).contains(&c.size)) else {
                continue;
            };
            let line = serde_json::from_str(&checkpoint.to_line()).unwrap_or_default();
            put(out, &Line::Checkpoint { line })?;
            checkpoints += 1;
        }
    }
    let mut last = from - 1;
    while last < to {
        let page = seals::sealed_after(&mut tx, signed(last), signed(to), PAGE_ROWS).await?;
        if page.is_empty() {
            return Err(ExportError::Damaged { position: last + 1 });
        }
        for sealed in page {
            last += 1;
            put(out, &line_of(last, sealed).ok_or(ExportError::Damaged { position: last })?)?;
        }
    }
    tx.rollback().await?;
    put(out, &Line::End { size: last, checkpoints })?;
    out.flush()?;
    Ok(last - (from - 1))
}

fn signed(position: u64) -> i64 {
    i64::try_from(position).unwrap_or(i64::MAX)
}

fn line_of(position: u64, sealed: Sealed) -> Option<Line> {
    if sealed.position != signed(position) {
        return None;
    }
    let (entry, hash) = sealed.row?.into_entry()?;
    let (chain, hash) = (hex::encode(&sealed.chain?), hex::encode(&hash));
    Some(Line::Entry { position, chain, hash, entry: Box::new(entry.into()) })
}

fn put(out: &mut impl Write, line: &Line) -> io::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    out.write_all(b"\n")
}

/// Checks an export without a database: every hash, the chain from its header on, and every
/// checkpoint that came with it against `trusted`.
///
/// # Errors
/// The export cannot be read at all. What was tampered with is in the report.
pub fn verify_export(
    mut input: impl BufRead,
    trusted: &[PublicKey],
) -> Result<Report, ExportError> {
    let mut report = Report::default();
    let mut reader = Lines { input: &mut input, line: 0 };
    let Some(Line::Header { v: 1, from, chain }) = reader.next()? else {
        return Err(reader.wrong("has to be a header of version 1"));
    };
    let chain = hex::array(&chain).ok_or_else(|| reader.wrong("has no chain"))?;
    let mut walk = Walk::from(from.saturating_sub(1), chain);
    let mut found = Vec::new();
    let mut signed_by: Option<Signed> = None;
    let end = loop {
        match reader.next()? {
            Some(Line::Checkpoint { line })
                if signed_by.is_none() && found.len() < CHECKPOINTS_MAX =>
            {
                let checkpoint = Checkpoint::from_line(&line.to_string());
                let number = usize::try_from(reader.line).unwrap_or(usize::MAX);
                found.push(Found { path: "export".into(), line: number, checkpoint });
            }
            Some(Line::Entry { position, chain, hash, entry }) => {
                let chain = hex::decode(&chain);
                let (id, row) = row_of(*entry, &hash)
                    .ok_or_else(|| reader.wrong("holds an entry of no known form"))?;
                let (position, entry_id, row) = (signed(position), Some(id), Some(row));
                walk.step(Sealed { position, entry_id, chain, row }, &mut report);
                signed_by
                    .get_or_insert_with(|| Signed::of(&found, trusted, from, &mut report))
                    .compare(walk.position(), &walk.chain(), &mut report);
            }
            Some(Line::End { size, checkpoints }) => break Some((size, checkpoints)),
            Some(_) => return Err(reader.wrong("is out of place")),
            None => break None,
        }
    };
    walk.finish(&mut report);
    signed_by
        .unwrap_or_else(|| Signed::of(&found, trusted, from, &mut report))
        .finish(walk.position(), &mut report);
    match end {
        Some((size, with)) if size == walk.position() && with == found.len() as u64 => {}
        _ => {
            let (size, sequence) = (walk.position(), 0);
            let checkpoint_size = end.map_or(size, |(size, _)| size);
            report.add(Fault::TailCut { size, checkpoint_size, sequence });
        }
    }
    report.entries = walk.entries();
    report.after_checkpoint = walk.position().saturating_sub(report.checkpoint_size.max(from - 1));
    Ok(report)
}

fn row_of(entry: Exported, hash: &str) -> Option<(Uuid, Row)> {
    let actor = match &entry.actor {
        None => None,
        Some(text) => Some(ActorHash::from_bytes(hex::array(text)?).as_bytes().to_vec()),
    };
    let sealed_personal = match &entry.sealed_personal {
        None => None,
        Some(text) => Some(hex::decode(text)?),
    };
    let id = Uuid::parse_str(&entry.id).ok()?;
    let change_id = match &entry.change_id {
        None => None,
        Some(text) => Some(Uuid::parse_str(text).ok()?),
    };
    let row = Row {
        id: Some(id),
        at_us: Some(entry.at_us),
        action: Some(entry.action),
        actor_kind: Some(entry.actor_kind),
        actor,
        subject: Some(entry.subject),
        outcome: Some(entry.outcome),
        change_id,
        detail: Some(entry.detail.to_string()),
        sealed_personal,
        hash: hex::decode(hash),
    };
    Some((id, row))
}

struct Lines<'a, R> {
    input: &'a mut R,
    line: u64,
}

impl<R: BufRead> Lines<'_, R> {
    fn wrong(&self, expected: &'static str) -> ExportError {
        ExportError::Line { line: self.line, expected }
    }

    fn next(&mut self) -> Result<Option<Line>, ExportError> {
        let mut text = String::new();
        let taken = io::Read::take(&mut *self.input, LINE_BYTES_MAX).read_line(&mut text)?;
        if taken == 0 {
            return Ok(None);
        }
        self.line += 1;
        serde_json::from_str(&text).map(Some).map_err(|_| self.wrong("is no line of an export"))
    }
}
