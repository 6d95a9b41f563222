//! What processes before us left in spools of their own: read, imported in the order in which they
//! ran, and taken away.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use plimsoll_store::PgPool;
use tokio::sync::watch;

use super::import::{Carried, Importer, RETRY_EVERY, paused};
use super::room::Room;
use super::{OwnEntry, Shared, Spool, SpoolError, SpoolOptions, segment};
use crate::service::Ledger;

/// Spools left by processes before us that are looked at, at most.
const LEFTOVERS_MAX: usize = 10_000;

/// One spool that nobody writes to any more.
#[derive(Debug)]
pub struct Leftover {
    directory: PathBuf,
    room: Arc<Room>,
    /// `None` where the disk has to be asked again.
    importer: Option<Importer>,
}

impl Spool {
    /// The spools in `folder` beside our own, in the order of their names; their records take room
    /// as ours do. What is empty is taken away, what cannot be read is named by
    /// [`Spool::damaged`] and stays. Nobody else may write there any more, but under names that
    /// begin with a dot: see [`Spool::leave`]. Blocks.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn leftovers(&self, folder: &Path, ours: &Path) -> Result<Vec<Leftover>, SpoolError> {
        let at = SpoolError::at(folder);
        let mut directories = Vec::new();
        for entry in fs::read_dir(folder).map_err(&at)?.take(LEFTOVERS_MAX) {
            let path = entry.map_err(&at)?.path();
            if path.is_dir() && path != ours && !is_hidden(&path) {
                directories.push(path);
            }
        }
        directories.sort_unstable();
        let mut leftovers = Vec::new();
        for directory in directories {
            let room = Arc::clone(&self.shared.room);
            match read(&directory, &room) {
                Ok(None) => take_away(&directory),
                Ok(importer) => leftovers.push(Leftover { directory, room, importer }),
                Err(error) => {
                    room.note(&directory, &error);
                    if !error.is_lasting() {
                        leftovers.push(Leftover { directory, room, importer: None });
                    }
                }
            }
        }
        Ok(leftovers)
    }

    /// Leaves an entry of our own in a spool of that name in `folder`, for the next process that
    /// looks there: for commands that find no server. It gets the name once it is on disk, so that
    /// a process that starts meanwhile neither takes half of it nor takes it away.
    ///
    /// # Errors
    /// See [`SpoolError`].
    pub async fn leave(folder: &Path, name: &str, own: OwnEntry) -> Result<(), SpoolError> {
        let (hidden, place) = (folder.join(format!(".{name}")), folder.join(name));
        let (spool, _) = Self::open(&SpoolOptions::new(&hidden))?;
        let durable = spool.submit_own(own).map_err(|_full| SpoolError::Closed)?;
        durable.await?;
        fs::rename(&hidden, &place).map_err(SpoolError::at(&place))?;
        File::open(folder).and_then(|d| d.sync_all()).map_err(SpoolError::at(folder))
    }
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

/// What is there to import; `None` where that is nothing.
fn read(directory: &Path, room: &Arc<Room>) -> Result<Option<Importer>, SpoolError> {
    let recovered = segment::recover(directory)?;
    if recovered.is_empty() {
        return Ok(None);
    }
    let shared = Arc::new(Shared::holding(recovered, Arc::clone(room)));
    Ok(Some(Importer::new(directory, shared)))
}

impl Leftover {
    /// Imports all of it, in the name of `node`. False when it was told to stop before the end.
    pub(super) async fn carry(
        self,
        node: &str,
        pool: &PgPool,
        ledger: &Ledger,
        stop: &mut watch::Receiver<bool>,
    ) -> bool {
        let directory = self.directory.clone();
        let carried = match self.importer(stop).await {
            Ok(Some(importer)) => importer.named(node).carry_all(pool, ledger, stop).await,
            Ok(None) => Carried::All,
            Err(ended) => ended,
        };
        match carried {
            Carried::All => take_away(&directory),
            // It is named, and what came after it must not wait.
            Carried::Damaged => {}
            Carried::Stopped => return false,
        }
        true
    }

    /// Asks the disk until it answers.
    async fn importer(
        mut self,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<Option<Importer>, Carried> {
        let mut attempts = 0;
        while self.importer.is_none() {
            let (directory, room) = (self.directory.clone(), Arc::clone(&self.room));
            let asked = tokio::task::spawn_blocking(move || read(&directory, &room)).await;
            let stopped = |error| Err(SpoolError::at(&self.directory)(io::Error::other(error)));
            match asked.unwrap_or_else(stopped) {
                Ok(None) => break,
                Ok(importer) => self.importer = importer,
                Err(error) => {
                    self.room.note(&self.directory, &error);
                    attempts += 1;
                    if error.ends(attempts) {
                        return Err(Carried::Damaged);
                    }
                    if *stop.borrow() {
                        return Err(Carried::Stopped);
                    }
                    paused(stop, RETRY_EVERY).await;
                }
            }
        }
        self.room.mended(&self.directory);
        Ok(self.importer)
    }
}

/// Only what is empty: what somebody laid beside it is not ours to remove.
fn take_away(directory: &Path) {
    if let Err(error) = fs::remove_dir(directory) {
        tracing::warn!(%error, path = %directory.display(), "an empty spool could not be removed");
    }
}
