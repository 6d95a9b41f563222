//! From the spool into the ledger: in order, and each record exactly once.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use plimsoll_base::failpoint;
use plimsoll_store::PgPool;
use sqlx::{Connection as _, PgConnection};
use tokio::sync::watch;

use super::leftover::Leftover;
use super::record::Payload;
use super::segment::{self, Segment, Stored};
use super::{AuditRecord, Shared, SpoolError};
use crate::error::LedgerError;
use crate::facts::Fact;
use crate::model::{ActorKind, Outcome};
use crate::service::{Actor, Append, Ledger};
use crate::store::{Ready, imports};

/// Records imported by one transaction.
const IMPORT_RECORDS_MAX: usize = 2_000;
/// How often the importer looks when nothing was left.
const IMPORT_EVERY: Duration = Duration::from_millis(200);
/// After a failure, before the next attempt.
pub(super) const RETRY_EVERY: Duration = Duration::from_secs(1);

/// What one transaction brought in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Records.
    pub records: u64,
    /// Records that are missing; the ledger holds an `audit.gap` that says so.
    pub missing: u64,
}

/// Carries records into the ledger. One for each spool.
#[derive(Debug)]
pub struct Importer {
    directory: PathBuf,
    node: String,
    shared: Arc<Shared>,
    /// Everything before it is in the ledger, or of a generation that is through.
    next: u64,
}

/// How importing a whole spool ended.
pub(super) enum Carried {
    All,
    Damaged,
    Stopped,
}

/// What there is to do with the oldest segment.
struct Work {
    segment: Segment,
    from: u64,
    missing: u64,
    records: Vec<Stored>,
}

impl Importer {
    pub(super) fn new(directory: &Path, shared: Arc<Shared>) -> Self {
        let next = shared.segments().front().map_or(0, |segment| segment.first);
        Self { directory: directory.to_owned(), node: String::new(), shared, next }
    }

    /// The node's name, which its entries carry.
    #[must_use]
    pub fn named(mut self, node: &str) -> Self {
        node.clone_into(&mut self.node);
        self
    }

    /// Imports what processes before us left, then until `stop` says true, and then what is left.
    pub async fn run(
        mut self,
        leftovers: Vec<Leftover>,
        pool: PgPool,
        ledger: Ledger,
        mut stop: watch::Receiver<bool>,
    ) {
        for leftover in leftovers {
            if !leftover.carry(&self.node, &pool, &ledger, &mut stop).await {
                return;
            }
        }
        loop {
            let stopping = *stop.borrow();
            let wait = match self.batch(&pool, &ledger).await {
                Ok(imported) if imported != Imported::default() => continue,
                Ok(_) => {
                    self.shared.room.mended(&self.directory);
                    IMPORT_EVERY
                }
                Err(error) => {
                    self.say(&error);
                    RETRY_EVERY
                }
            };
            if stopping {
                return;
            }
            paused(&mut stop, wait).await;
        }
    }

    /// Imports a spool that nobody writes to any more, to its end.
    pub(super) async fn carry_all(
        mut self,
        pool: &PgPool,
        ledger: &Ledger,
        stop: &mut watch::Receiver<bool>,
    ) -> Carried {
        let mut attempts = 0;
        while !self.shared.segments().is_empty() {
            let Err(error) = self.batch(pool, ledger).await else {
                self.shared.room.mended(&self.directory);
                attempts = 0;
                continue;
            };
            self.say(&error);
            attempts += 1;
            if error.ends(attempts) {
                return Carried::Damaged;
            }
            if *stop.borrow() {
                return Carried::Stopped;
            }
            paused(stop, RETRY_EVERY).await;
        }
        Carried::All
    }

    fn say(&self, error: &SpoolError) {
        tracing::warn!(%error, "audited operations wait in the spool");
        self.shared.room.note(&self.directory, error);
    }

    async fn batch(&mut self, pool: &PgPool, ledger: &Ledger) -> Result<Imported, SpoolError> {
        let mut conn = pool.acquire().await.map_err(LedgerError::from)?;
        self.import(&mut conn, ledger).await
    }

    /// Imports a batch in one transaction of its own.
    ///
    /// # Errors
    /// See [`SpoolError`]; nothing is lost or doubled by calling again.
    pub async fn import(
        &mut self,
        conn: &mut PgConnection,
        ledger: &Ledger,
    ) -> Result<Imported, SpoolError> {
        let database = |error| SpoolError::from(LedgerError::from(error));
        let (mut tx, work) = loop {
            self.remove_imported()?;
            let oldest = self.shared.segments().front().cloned();
            let Some(segment) = oldest else { return Ok(Imported::default()) };
            let durable = self.shared.durable.load(Ordering::Acquire);
            if self.next >= segment.end.min(durable) {
                return Ok(Imported::default());
            }
            let mut tx = conn.begin().await.map_err(database)?;
            let kept = imports::next_record(&mut tx, segment.generation).await.map_err(database)?;
            let kept = kept.and_then(|next| u64::try_from(next).ok());
            let work = self.work(segment, kept, durable).await?;
            if work.records.is_empty() && work.missing == 0 {
                // All of it came in before, by a process that did not live to remove it.
                tx.rollback().await.map_err(database)?;
                self.pass(&work, work.from);
                continue;
            }
            break (tx, work);
        };
        let mut ready = self.entries(&work, ledger)?;
        let imported = Imported { records: work.records.len() as u64, missing: work.missing };
        if work.missing > 0 {
            let (spool, to) = (work.segment.generation, work.from);
            let fact = Fact::SpoolGap { spool, from: to - work.missing, to };
            let gap = Append { outcome: Outcome::Failed, ..Append::ok(Actor::System, fact) };
            ready.insert(0, ledger.ready(gap)?);
        }
        let next = work.from + imported.records;
        let stored = i64::try_from(next).unwrap_or(i64::MAX);
        imports::insert_all(&mut tx, &ready).await.map_err(database)?;
        imports::set_next_record(&mut tx, work.segment.generation, stored)
            .await
            .map_err(database)?;
        failpoint::hit("ledger.import_before_commit").map_err(SpoolError::at(&self.directory))?;
        tx.commit().await.map_err(database)?;
        failpoint::hit("ledger.import_committed").map_err(SpoolError::at(&self.directory))?;
        self.pass(&work, next);
        self.remove_imported()?;
        Ok(imported)
    }

    /// Reads the next records off the runtime's threads.
    async fn work(
        &self,
        segment: Segment,
        kept: Option<u64>,
        durable: u64,
    ) -> Result<Work, SpoolError> {
        // Of a generation that the ledger has never heard of, everything is new.
        let position = kept.unwrap_or(segment.generation_first);
        let missing = segment.first.saturating_sub(position);
        let from = position.max(segment.first);
        let read = tokio::task::spawn_blocking(move || {
            let records = segment::read(&segment, from, durable, IMPORT_RECORDS_MAX)?;
            Ok(Work { segment, from, missing, records })
        });
        let stopped = |error| SpoolError::at(&self.directory)(std::io::Error::other(error));
        read.await.map_err(stopped)?
    }

    fn entries(&self, work: &Work, ledger: &Ledger) -> Result<Vec<Ready>, SpoolError> {
        let mut ready = Vec::with_capacity(work.records.len() + 1);
        for stored in &work.records {
            let damaged = |_| {
                let path = work.segment.path.clone();
                SpoolError::Damaged { path, offset: stored.number }
            };
            let payload = serde_json::from_slice(&stored.payload).map_err(damaged)?;
            ready.push(match payload {
                Payload::Audit(record) => ledger.ready(self.audited(record))?,
                Payload::Own { own } => ledger.ready_own(*own)?,
            });
        }
        Ok(ready)
    }

    fn audited(&self, record: AuditRecord) -> Append<'static> {
        let actor = match (record.actor, record.actor_kind) {
            (Some(hash), kind) => Actor::Hashed(kind, hash),
            (None, ActorKind::System) => Actor::System,
            (None, kind) => Actor::Unnamed(kind),
        };
        let fact = Fact::AuditOperation {
            service: record.service,
            operation: record.operation,
            request_id: record.request_id,
            status: record.status,
            node: self.node.clone(),
        };
        let at_unix_ms = Some(record.at_unix_ms);
        Append { outcome: record.outcome, at_unix_ms, ..Append::ok(actor, fact) }
    }

    /// Gives back the room of what is in the ledger now, and of what was there already.
    fn pass(&mut self, work: &Work, next: u64) {
        let before = (self.next < work.from)
            .then(|| segment::read(&work.segment, self.next, work.from, usize::MAX));
        let before = before.transpose().unwrap_or_default();
        let passed = work.records.iter().chain(before.iter().flatten());
        let (records, bytes) = passed.fold((0, 0), |(records, bytes), record| {
            (records + 1, bytes + segment::weight(record.payload.len()))
        });
        self.shared.room.release(records, bytes);
        self.shared.room.count_imported(work.records.len() as u64);
        // What a directory that was set back no longer holds is no business of the next segment,
        // whose numbers begin where these end.
        let end = work.segment.end.min(self.shared.durable.load(Ordering::Acquire));
        self.next = self.next.max(next).min(end);
    }

    /// Removes segments that are closed and wholly in the ledger.
    fn remove_imported(&mut self) -> Result<(), SpoolError> {
        let mut removed = false;
        loop {
            let mut segments = self.shared.segments();
            let Some(oldest) = segments.front().filter(|oldest| oldest.end <= self.next) else {
                break;
            };
            match fs::remove_file(&oldest.path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(SpoolError::at(&oldest.path)(error));
                }
                _ => removed = true,
            }
            segments.pop_front();
            if let Some(following) = segments.front() {
                self.next = self.next.max(following.first);
            }
        }
        if removed {
            let directory = File::open(&self.directory).and_then(|d| d.sync_all());
            directory.map_err(SpoolError::at(&self.directory))?;
        }
        Ok(())
    }
}

pub(super) async fn paused(stop: &mut watch::Receiver<bool>, wait: Duration) {
    let told = async {
        if stop.wait_for(|stop| *stop).await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let _either = tokio::time::timeout(wait, told).await;
}
