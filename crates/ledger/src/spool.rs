//! The spool: where the edge's audited operations wait, on disk, until the ledger has them.
//!
//! Their effect is in the team's backend, so they share no transaction with us, and the database
//! may be down. A record is acknowledged once it is on disk; one thread writes, and one fsync
//! serves all who wait. The importer carries records into the ledger in order, and stores in the
//! same transaction how far it came: each exactly once, whatever dies when.
//!
//! Segments belong to a *generation*, which begins with each start: what an older generation left
//! is read and never added to, so that a data directory that was set back in time cannot give a
//! new record the place of one that was imported.

mod import;
mod segment;
mod writer;

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use plimsoll_protection::ActorHash;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use crate::hex;
use crate::model::{ActorKind, Outcome};

pub use import::{Imported, Importer};
use segment::Segment;

/// A segment is closed beyond this many bytes.
pub const SEGMENT_BYTES_MAX: u64 = 1024 * 1024;
/// The longest record, in bytes.
pub const RECORD_BYTES_MAX: usize = 2 * 1024;
/// The most records that share one fsync.
const GROUP_RECORDS_MAX: usize = 1_024;

/// One audited operation: who, what, outcome; never a body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRecord {
    /// What kind of actor.
    pub actor_kind: ActorKind,
    /// Who, as a keyed hash.
    #[serde(with = "actor_hex", default)]
    pub actor: Option<ActorHash>,
    /// The service; at most 64 bytes.
    pub service: String,
    /// The operation; at most 128 bytes.
    pub operation: String,
    /// The request's id; at most 128 bytes.
    pub request_id: String,
    /// The status it was answered with.
    pub status: u16,
    /// How it ended.
    pub outcome: Outcome,
    /// When, in milliseconds since 1970-01-01T00:00:00Z.
    pub at_unix_ms: u64,
}

/// Where the spool is and how much it holds.
#[derive(Clone, Debug)]
pub struct SpoolOptions {
    /// `{data-dir}/ledger/spool`; made with mode 0700 where it is missing.
    pub directory: PathBuf,
    /// Bytes that wait for import, at most. The disk holds up to two segments more.
    pub bytes_max: u64,
    /// Records that wait for import, at most.
    pub records_max: u64,
    /// Records on their way to the writer, at most.
    pub queue_records_max: usize,
}

impl SpoolOptions {
    /// 256 MiB, a million records, 4,096 on their way.
    #[must_use]
    pub fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            bytes_max: 256 * 1024 * 1024,
            records_max: 1_000_000,
            queue_records_max: 4_096,
        }
    }
}

/// Nothing was taken: the spool holds what it may hold. The operation's `audit_on_full` decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the audit spool is full: records wait until the database takes them")]
pub struct SpoolFull;

/// Why the spool cannot be used, or a record was not stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpoolError {
    /// A file or directory could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// A closed segment is damaged, or one between two is missing: records in it were acknowledged.
    #[error(
        "{} is damaged at byte {offset}: records behind it were acknowledged and cannot be read. \
         Keep the file elsewhere and take it out of the directory to go on without it; the ledger \
         will say how many records are missing",
        path.display()
    )]
    Damaged {
        /// The segment.
        path: PathBuf,
        /// Where reading stopped.
        offset: u64,
    },
    /// The disk failed before: nothing more is taken until a restart has read what is there.
    #[error("the audit spool's disk failed: restart Plimsoll once the disk is well")]
    Broken,
    /// The writer is gone.
    #[error("the audit spool is closed")]
    Closed,
    /// A record is longer than allowed.
    #[error("an audit record has {bytes} bytes, at most {RECORD_BYTES_MAX} are taken")]
    TooLong {
        /// How many it has.
        bytes: usize,
    },
    /// The ledger did not take the records.
    #[error(transparent)]
    Ledger(#[from] crate::LedgerError),
}

impl SpoolError {
    pub(crate) fn at(path: &Path) -> impl Fn(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { path: path.clone(), source }
    }
}

/// Figures of the spool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpoolFigures {
    /// Records that wait for import.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Records that were refused because the spool was full.
    pub refused: u64,
    /// Records imported since the start.
    pub imported: u64,
    /// fsyncs since the start.
    pub syncs: u64,
}

/// The door for the edge's cores: they only send.
#[derive(Clone, Debug)]
pub struct Spool {
    sender: mpsc::Sender<Submitted>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Submitted {
    payload: Vec<u8>,
    done: oneshot::Sender<Result<(), SpoolError>>,
}

#[derive(Debug)]
struct Shared {
    bytes_max: u64,
    records_max: u64,
    records: AtomicU64,
    bytes: AtomicU64,
    refused: AtomicU64,
    imported: AtomicU64,
    syncs: AtomicU64,
    /// The record after the last that is on disk.
    durable: AtomicU64,
    broken: AtomicBool,
    /// Oldest first; the writer adds at the end, the importer takes from the front.
    segments: Mutex<VecDeque<Segment>>,
}

impl Shared {
    fn segments(&self) -> MutexGuard<'_, VecDeque<Segment>> {
        self.segments.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reserve(&self, bytes: u64) -> Result<(), SpoolFull> {
        let take = |left: &AtomicU64, by: u64, max: u64| {
            let fits = |now: u64| now.checked_add(by).filter(|sum| *sum <= max);
            left.fetch_update(Ordering::AcqRel, Ordering::Acquire, fits).map(drop)
        };
        if take(&self.records, 1, self.records_max).is_err() {
            return Err(SpoolFull);
        }
        if take(&self.bytes, bytes, self.bytes_max).is_err() {
            self.records.fetch_sub(1, Ordering::AcqRel);
            return Err(SpoolFull);
        }
        Ok(())
    }

    fn release(&self, records: u64, bytes: u64) {
        let less = |by: u64| move |now: u64| Some(now.saturating_sub(by));
        for (counter, by) in [(&self.records, records), (&self.bytes, bytes)] {
            // Always some, so it always stores.
            let _before = counter.fetch_update(Ordering::AcqRel, Ordering::Acquire, less(by));
        }
    }
}

impl Spool {
    /// Opens the spool, reads what an earlier process left, and starts the writer's thread. A torn
    /// record at the end is cut off: it was never acknowledged.
    ///
    /// # Errors
    /// See [`SpoolError`].
    pub fn open(options: &SpoolOptions) -> Result<(Self, Importer), SpoolError> {
        let recovered = segment::recover(&options.directory)?;
        let (records, bytes) = recovered
            .iter()
            .fold((0, 0), |(records, bytes), s| (records + s.end - s.first, bytes + s.bytes));
        let next = recovered.last().map_or(0, |segment| segment.end);
        let shared = Arc::new(Shared {
            bytes_max: options.bytes_max,
            records_max: options.records_max,
            records: AtomicU64::new(records),
            bytes: AtomicU64::new(bytes),
            refused: AtomicU64::new(0),
            imported: AtomicU64::new(0),
            syncs: AtomicU64::new(0),
            durable: AtomicU64::new(next),
            broken: AtomicBool::new(false),
            segments: Mutex::new(recovered.into()),
        });
        let (sender, receiver) = mpsc::channel(options.queue_records_max.max(1));
        writer::start(&options.directory, next, Arc::clone(&shared), receiver)?;
        let importer = Importer::new(&options.directory, Arc::clone(&shared));
        Ok((Self { sender, shared }, importer))
    }

    /// Hands a record over. The future resolves when the record is on disk.
    ///
    /// # Errors
    /// [`SpoolFull`] at once: nothing was taken.
    pub fn submit(
        &self,
        record: &AuditRecord,
    ) -> Result<impl Future<Output = Result<(), SpoolError>> + Send + 'static + use<>, SpoolFull>
    {
        let full = |_| {
            self.shared.refused.fetch_add(1, Ordering::Relaxed);
            SpoolFull
        };
        let payload = serde_json::to_vec(record).unwrap_or_default();
        let bytes = payload.len();
        let (done, wait) = oneshot::channel();
        if self.shared.broken.load(Ordering::Acquire) {
            let _unheard = done.send(Err(SpoolError::Broken));
        } else if bytes > RECORD_BYTES_MAX {
            let _unheard = done.send(Err(SpoolError::TooLong { bytes }));
        } else {
            let weight = segment::weight(bytes);
            self.shared.reserve(weight).map_err(full)?;
            if let Err(error) = self.sender.try_send(Submitted { payload, done }) {
                self.shared.release(1, weight);
                if let mpsc::error::TrySendError::Full(_) = error {
                    return Err(full(SpoolFull));
                }
                // The sender of `done` is gone with the record, which says `Closed` below.
            }
        }
        Ok(async move { wait.await.unwrap_or(Err(SpoolError::Closed)) })
    }

    /// Whether it takes another record, as of now.
    #[must_use]
    pub fn has_room(&self) -> bool {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        !self.shared.broken.load(Ordering::Acquire)
            && of(&self.shared.records) < self.shared.records_max
            && of(&self.shared.bytes) + (RECORD_BYTES_MAX as u64) < self.shared.bytes_max
    }

    /// Figures as of now.
    #[must_use]
    pub fn figures(&self) -> SpoolFigures {
        let shared = &self.shared;
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        SpoolFigures {
            records: of(&shared.records),
            bytes: of(&shared.bytes),
            refused: of(&shared.refused),
            imported: of(&shared.imported),
            syncs: of(&shared.syncs),
        }
    }
}

mod actor_hex {
    use super::{ActorHash, hex};
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    #[expect(clippy::ref_option, reason = "serde's signature")]
    pub(super) fn serialize<S: Serializer>(
        actor: &Option<ActorHash>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match actor {
            None => serializer.serialize_none(),
            Some(actor) => serializer.serialize_str(&actor.to_string()),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<ActorHash>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| {
            let bytes = hex::array(&text).ok_or_else(|| D::Error::custom("no keyed hash"))?;
            Ok(ActorHash::from_bytes(bytes))
        })
        .transpose()
    }
}
