//! What processes before us left in spools of their own: read, imported in the order in which they
//! ran, and taken away.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use plimsoll_store::PgPool;
use tokio::sync::watch;

use super::import::{Carried, Importer};
use super::{Shared, Spool, SpoolError, segment};
use crate::service::Ledger;

/// Spools left by processes before us that are looked at, at most.
const LEFTOVERS_MAX: usize = 10_000;

/// One spool that nobody writes to any more.
#[derive(Debug)]
pub struct Leftover {
    directory: PathBuf,
    importer: Importer,
}

impl Spool {
    /// The spools in `folder` beside our own, in the order of their names; their records take room
    /// as ours do. What is empty is taken away, what cannot be read is named by
    /// [`Spool::damaged`] and stays. Nobody else may write there any more. Blocks.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn leftovers(&self, folder: &Path, ours: &Path) -> Result<Vec<Leftover>, SpoolError> {
        let at = SpoolError::at(folder);
        let mut directories = Vec::new();
        for entry in fs::read_dir(folder).map_err(&at)?.take(LEFTOVERS_MAX) {
            let path = entry.map_err(&at)?.path();
            if path.is_dir() && path != ours {
                directories.push(path);
            }
        }
        directories.sort_unstable();
        let mut leftovers = Vec::new();
        for directory in directories {
            match self.leftover(&directory) {
                Ok(Some(leftover)) => leftovers.push(leftover),
                Ok(None) => take_away(&directory),
                Err(error) => self.shared.room.damaged(&directory, error.to_string()),
            }
        }
        Ok(leftovers)
    }

    fn leftover(&self, directory: &Path) -> Result<Option<Leftover>, SpoolError> {
        let recovered = segment::recover(directory)?;
        if recovered.is_empty() {
            return Ok(None);
        }
        let shared = Arc::new(Shared::holding(recovered, Arc::clone(&self.shared.room)));
        let importer = Importer::new(directory, shared);
        Ok(Some(Leftover { directory: directory.to_owned(), importer }))
    }
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
        match self.importer.named(node).carry_all(pool, ledger, stop).await {
            Carried::All => take_away(&self.directory),
            // It is named, and what came after it must not wait.
            Carried::Damaged => {}
            Carried::Stopped => return false,
        }
        true
    }
}

/// Only what is empty: what somebody laid beside it is not ours to remove.
fn take_away(directory: &Path) {
    if let Err(error) = fs::remove_dir(directory) {
        tracing::warn!(%error, path = %directory.display(), "an empty spool could not be removed");
    }
}
