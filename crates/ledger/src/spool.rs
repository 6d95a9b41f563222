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
mod leftover;
mod record;
mod room;
mod segment;
mod writer;

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{mpsc, oneshot};

pub use import::{Imported, Importer};
pub use leftover::Leftover;
use record::Own;
pub(crate) use record::StoredOwn;
pub use record::{AuditRecord, OwnEntry};
use room::Room;
use segment::Segment;

/// A segment is closed beyond this many bytes.
pub const SEGMENT_BYTES_MAX: u64 = 1024 * 1024;
/// The longest record of an audited operation, in bytes.
pub const RECORD_BYTES_MAX: usize = 2 * 1024;
/// The longest record of any kind: an entry of our own may have a long detail.
const STORED_BYTES_MAX: usize = 16 * 1024;
/// How often a spool that was left behind is tried on a disk that fails: for a minute.
const IO_ATTEMPTS_MAX: u32 = 60;
/// The most records that share one fsync.
const GROUP_RECORDS_MAX: usize = 1_024;

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
         Move the file elsewhere and start Plimsoll again to go on without it; the ledger will say \
         how many records are missing",
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
    #[error("a record has {bytes} bytes, at most {bytes_max} are taken")]
    TooLong {
        /// How many it has.
        bytes: usize,
        /// The bound.
        bytes_max: usize,
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

    /// Whether waiting does not help: neither for the database nor for a disk that failed once, or
    /// for a file to be closed where too many are open. A file that is gone does not come back.
    fn is_lasting(&self) -> bool {
        use crate::LedgerError::{Database, Failpoint, Random};
        match self {
            Self::Io { source, .. } => source.kind() == io::ErrorKind::NotFound,
            Self::Ledger(Database(_) | Failpoint(_) | Random(_)) => false,
            _ => true,
        }
    }

    /// Whether a spool that others wait behind is given up after so many attempts: one bad file
    /// must not hold back all the rest for ever.
    fn ends(&self, attempts: u32) -> bool {
        self.is_lasting() || (attempts >= IO_ATTEMPTS_MAX && matches!(self, Self::Io { .. }))
    }
}

/// Figures of the spool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpoolFigures {
    /// Records that wait for import, those of processes before us included.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Records that were refused because the spool was full.
    pub refused: u64,
    /// Records imported since the start, those of processes before us included.
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
    room: Arc<Room>,
    refused: AtomicU64,
    syncs: AtomicU64,
    /// The record after the last that is on disk.
    durable: AtomicU64,
    broken: AtomicBool,
    /// Oldest first; the writer adds at the end, the importer takes from the front.
    segments: Mutex<VecDeque<Segment>>,
}

impl Shared {
    /// With what was found on disk, which takes its room.
    fn holding(recovered: Vec<Segment>, room: Arc<Room>) -> Self {
        let (records, bytes) = recovered
            .iter()
            .fold((0, 0), |(records, bytes), s| (records + s.end - s.first, bytes + s.bytes));
        room.add(records, bytes);
        Self {
            room,
            refused: AtomicU64::new(0),
            syncs: AtomicU64::new(0),
            durable: AtomicU64::new(recovered.last().map_or(0, |segment| segment.end)),
            broken: AtomicBool::new(false),
            segments: Mutex::new(recovered.into()),
        }
    }

    fn segments(&self) -> MutexGuard<'_, VecDeque<Segment>> {
        self.segments.lock().unwrap_or_else(PoisonError::into_inner)
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
        let next = recovered.last().map_or(0, |segment| segment.end);
        let room = Arc::new(Room::new(options.bytes_max, options.records_max));
        let shared = Arc::new(Shared::holding(recovered, room));
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
        let payload = serde_json::to_vec(record).unwrap_or_default();
        self.hand_over(payload, RECORD_BYTES_MAX, false)
    }

    /// The same for an entry of our own, for which there is some room beyond the bounds.
    ///
    /// # Errors
    /// [`SpoolFull`] at once: nothing was taken.
    pub fn submit_own(
        &self,
        own: OwnEntry,
    ) -> Result<impl Future<Output = Result<(), SpoolError>> + Send + 'static + use<>, SpoolFull>
    {
        let payload = serde_json::to_vec(&Own { own: own.into() }).unwrap_or_default();
        self.hand_over(payload, STORED_BYTES_MAX, true)
    }

    fn hand_over(
        &self,
        payload: Vec<u8>,
        bytes_max: usize,
        own: bool,
    ) -> Result<impl Future<Output = Result<(), SpoolError>> + Send + 'static + use<>, SpoolFull>
    {
        let full = |_| {
            self.shared.refused.fetch_add(1, Ordering::Relaxed);
            SpoolFull
        };
        let bytes = payload.len();
        let (done, wait) = oneshot::channel();
        if self.shared.broken.load(Ordering::Acquire) {
            let _unheard = done.send(Err(SpoolError::Broken));
        } else if bytes > bytes_max {
            let _unheard = done.send(Err(SpoolError::TooLong { bytes, bytes_max }));
        } else {
            let weight = segment::weight(bytes);
            self.shared.room.reserve(weight, own).map_err(full)?;
            if let Err(error) = self.sender.try_send(Submitted { payload, done }) {
                self.shared.room.release(1, weight);
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
        !self.shared.broken.load(Ordering::Acquire)
            && self.shared.room.fits(segment::weight(RECORD_BYTES_MAX))
    }

    /// Why a spool of this data directory cannot be read on, where one cannot.
    #[must_use]
    pub fn damaged(&self) -> Option<String> {
        self.shared.room.first_damage()
    }

    /// Figures as of now.
    #[must_use]
    pub fn figures(&self) -> SpoolFigures {
        let shared = &self.shared;
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        SpoolFigures {
            records: shared.room.records(),
            bytes: shared.room.bytes(),
            refused: of(&shared.refused),
            imported: shared.room.imported(),
            syncs: of(&shared.syncs),
        }
    }
}
