//! The thread that writes: takes what waits, writes it, one fsync for all, then answers all.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use plimsoll_base::failpoint;
use plimsoll_protection::random;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::segment::{self, Segment};
use super::{GROUP_RECORDS_MAX, SEGMENT_BYTES_MAX, Shared, SpoolError, Submitted};

struct Writer {
    directory: PathBuf,
    shared: Arc<Shared>,
    generation: Uuid,
    generation_first: u64,
    /// The number of the next record.
    next: u64,
    open: Option<Open>,
}

struct Open {
    file: File,
    path: PathBuf,
    first: u64,
    /// Up to here the file holds whole records.
    length: u64,
}

pub(super) fn start(
    directory: &Path,
    next: u64,
    shared: Arc<Shared>,
    receiver: mpsc::Receiver<Submitted>,
) -> Result<(), SpoolError> {
    let at = SpoolError::at(directory);
    let seed = random().map_err(|error| at(io::Error::other(error)))?;
    let generation = uuid::Builder::from_random_bytes(seed).into_uuid();
    let directory = directory.to_owned();
    let writer = Writer { directory, shared, generation, generation_first: next, next, open: None };
    let thread = std::thread::Builder::new().name("ledger-spool".to_owned());
    thread.spawn(move || writer.run(receiver)).map_err(at)?;
    Ok(())
}

impl Writer {
    /// Until the last sender is gone.
    fn run(mut self, mut receiver: mpsc::Receiver<Submitted>) {
        let mut group = Vec::new();
        while receiver.blocking_recv_many(&mut group, GROUP_RECORDS_MAX) > 0 {
            let result = if self.shared.broken.load(Ordering::Acquire) {
                Err(SpoolError::Broken)
            } else {
                self.write(&group)
            };
            if result.is_err() {
                let bytes = group.iter().map(|s| segment::weight(s.payload.len())).sum();
                self.shared.room.release(group.len() as u64, bytes);
            }
            for submitted in group.drain(..) {
                // Whoever no longer waits does not want to know.
                let _unheard = submitted.done.send(match &result {
                    Ok(()) => Ok(()),
                    Err(error) => Err(again(error)),
                });
            }
        }
    }

    fn write(&mut self, group: &[Submitted]) -> Result<(), SpoolError> {
        if self.open.as_ref().is_some_and(|open| open.length >= SEGMENT_BYTES_MAX) {
            self.close();
        }
        let open = match &mut self.open {
            Some(open) => open,
            none => {
                let made = segment::create(
                    &self.directory,
                    self.generation,
                    self.generation_first,
                    self.next,
                );
                let (file, segment) = made?;
                failpoint::hit("ledger.spool_segment_made")
                    .map_err(SpoolError::at(&segment.path))?;
                let (path, first) = (segment.path.clone(), segment.first);
                self.shared.segments().push_back(segment);
                none.insert(Open { file, path, first, length: segment::head_bytes() })
            }
        };
        let mut bytes = Vec::new();
        for (submitted, number) in group.iter().zip(self.next..) {
            segment::encode(number, &submitted.payload, &mut bytes);
        }
        let (begin, end) = bytes.split_at(bytes.len() / 2);
        let written = open.file.write_all(begin).and_then(|()| {
            failpoint::hit("ledger.spool_half_written")?;
            open.file.write_all(end)
        });
        if let Err(error) = written {
            // A full disk: what was begun is taken back, and the next group may fit.
            if open.file.set_len(open.length).is_err() {
                self.shared.broken.store(true, Ordering::Release);
            }
            return Err(SpoolError::at(&open.path)(error));
        }
        let synced = failpoint::hit("ledger.spool_written").and_then(|()| open.file.sync_data());
        if let Err(error) = synced {
            // After a failed fsync nobody knows what the disk holds: only a fresh look does.
            self.shared.broken.store(true, Ordering::Release);
            return Err(SpoolError::at(&open.path)(error));
        }
        self.shared.syncs.fetch_add(1, Ordering::Relaxed);
        open.length += bytes.len() as u64;
        self.next += group.len() as u64;
        self.shared.durable.store(self.next, Ordering::Release);
        failpoint::hit("ledger.spool_synced").map_err(SpoolError::at(&open.path))
    }

    /// The segment is full; the importer may remove it once it is through.
    fn close(&mut self) {
        let Some(open) = self.open.take() else { return };
        let mut segments = self.shared.segments();
        if let Some(segment) = segments.iter_mut().find(|s: &&mut Segment| s.first == open.first) {
            segment.end = self.next;
        }
    }
}

/// Everyone in the group gets the same answer.
fn again(error: &SpoolError) -> SpoolError {
    match error {
        SpoolError::Io { path, source } => SpoolError::Io {
            path: path.clone(),
            source: io::Error::new(source.kind(), source.to_string()),
        },
        _ => SpoolError::Broken,
    }
}
