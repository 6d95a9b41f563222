//! Where the sealer signs: the checkpoints, opened as soon as they can be, and again after a
//! failure that left nobody knowing what the file holds.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use plimsoll_base::{Nanos, SharedClock};
use plimsoll_protection::Keyring;

use crate::checkpoint::Checkpoint;
use crate::checkpoints::Checkpoints;
use crate::error::{CheckpointError, SealerError};

/// After checkpoints could not be opened, before the next attempt.
const REOPEN_EVERY: Duration = Duration::from_secs(5);

/// See the module's page.
#[derive(Debug)]
pub(super) struct Place {
    directory: PathBuf,
    keyring: Arc<Keyring>,
    open: Option<Checkpoints>,
    tried: Option<Nanos>,
    why: String,
}

impl Place {
    pub(super) fn new(directory: PathBuf, keyring: Arc<Keyring>) -> Self {
        Self { directory, keyring, open: None, tried: None, why: String::new() }
    }

    pub(super) fn of(checkpoints: Checkpoints) -> Self {
        let (directory, keyring) = checkpoints.place();
        Self { open: Some(checkpoints), ..Self::new(directory, keyring) }
    }

    pub(super) fn last(&self) -> Option<&Checkpoint> {
        self.open.as_ref().and_then(Checkpoints::last)
    }

    /// Why nothing can be signed; `None` while something can.
    pub(super) fn down(&self) -> Option<&str> {
        self.open.is_none().then_some(&*self.why)
    }

    /// Opens what is not open, now and then. Says whether it was opened just now.
    pub(super) async fn reopen(&mut self, clock: &SharedClock) -> bool {
        let now = clock.now();
        let again = self.tried.is_none_or(|tried| now.since(tried) >= REOPEN_EVERY);
        if self.open.is_some() || !again {
            return false;
        }
        self.tried = Some(now);
        let (directory, keyring) = (self.directory.clone(), Arc::clone(&self.keyring));
        let opened =
            tokio::task::spawn_blocking(move || Checkpoints::open(&directory, keyring)).await;
        let opened = match opened {
            Ok(opened) => opened.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match opened {
            Ok(checkpoints) => {
                self.why.clear();
                self.open = Some(checkpoints);
                true
            }
            Err(why) => {
                if why != self.why {
                    tracing::error!(why, "the ledger is sealed and not signed");
                }
                self.why = why;
                false
            }
        }
    }

    /// Writes, away from the runtime's threads: an fsync blocks its own. `None` where nothing is
    /// open.
    pub(super) async fn write(
        &mut self,
        act: impl FnOnce(&mut Checkpoints) -> Result<(), CheckpointError> + Send + 'static,
    ) -> Result<Option<Written>, SealerError> {
        let Some(mut open) = self.open.take() else { return Ok(None) };
        let done = tokio::task::spawn_blocking(move || {
            let result = act(&mut open);
            (open, result)
        });
        let error = match done.await {
            Ok((open, Ok(()))) => {
                let key_id = open.key_id().to_owned();
                let last = open.last().map_or((0, 0), |last| (last.sequence, last.size));
                self.open = Some(open);
                return Ok(Some(Written { key_id, sequence: last.0, size: last.1 }));
            }
            Ok((_, Err(error))) => SealerError::from(error),
            Err(error) => SealerError::Interrupted(io::Error::other(error)),
        };
        // Nobody knows what it left behind: only a fresh look does, which cuts half a line off.
        self.why = format!("writing a checkpoint broke off: {error}");
        self.tried = None;
        Err(error)
    }
}

/// The last record after a write.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) key_id: String,
    pub(super) sequence: u64,
    pub(super) size: u64,
}

#[cfg(test)]
mod tests {
    use plimsoll_base::{ManualClock, failpoint};
    use plimsoll_protection::KeyringOptions;

    use super::*;

    async fn opened(root: &tempfile::TempDir) -> (Place, SharedClock) {
        let options = KeyringOptions {
            directory: root.path().join("keys"),
            signing_key_file: None,
            kek_file: None,
            outside_database: false,
        };
        let keyring = Arc::new(Keyring::open(&options).unwrap());
        let mut place = Place::new(root.path().join("checkpoints"), keyring);
        let clock: SharedClock = Arc::new(ManualClock::at_unix_ms(1));
        assert!(place.reopen(&clock).await);
        place.write(|open| open.append(&[(1, [1; 32])], 5)).await.unwrap();
        (place, clock)
    }

    #[tokio::test]
    async fn a_writer_that_panicked_is_opened_afresh() {
        let root = tempfile::tempdir().unwrap();
        let (mut place, clock) = opened(&root).await;
        let broken = place.write(|_| panic!("a fault of ours")).await.unwrap_err();
        assert!(matches!(broken, SealerError::Interrupted(_)), "{broken}");
        let why = place.down().unwrap();
        assert!(why.contains("broke off"), "{why}");
        assert!(place.reopen(&clock).await, "at once");
        assert_eq!(place.down(), None);
        let written = place.write(|open| open.append(&[(2, [2; 32])], 6)).await.unwrap().unwrap();
        assert_eq!((written.sequence, written.size), (2, 2));
    }

    #[tokio::test]
    async fn half_a_line_that_could_not_be_taken_back_is_cut_off_before_the_next() {
        let root = tempfile::tempdir().unwrap();
        let (mut place, clock) = opened(&root).await;
        let torn = place.write(|open| {
            let _half = failpoint::fail("ledger.checkpoint_half_written");
            let _stays = failpoint::fail("ledger.checkpoint_not_taken_back");
            open.append(&[(2, [2; 32])], 6)
        });
        torn.await.unwrap_err();
        place.reopen(&clock).await;
        place.write(|open| open.append(&[(2, [2; 32])], 7)).await.unwrap();
        let files = std::fs::read_dir(root.path().join("checkpoints")).unwrap();
        let path = files.last().unwrap().unwrap().path();
        let text = std::fs::read_to_string(path).unwrap();
        let sizes: Vec<_> =
            text.lines().map(|line| Checkpoint::from_line(line).map(|c| c.size)).collect();
        assert_eq!(sizes, [Some(1), Some(2)], "{text}");
    }
}
