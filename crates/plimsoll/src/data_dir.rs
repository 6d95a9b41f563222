//! The data directory: found, made, owned by us, and ours alone.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use plimsoll_base::{Clock, Deadline};
use plimsoll_manifest::env;
use rustix::fs::FlockOperation;

/// How long the process that has the directory may take to be gone: the kernel frees the lock of a
/// killed one a little after its death.
const LOCK_WAIT: Duration = Duration::from_secs(3);
const LOCK_AGAIN: Duration = Duration::from_millis(50);

/// Why the data directory cannot be had. Each says the command that mends it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DataDirError {
    #[error(transparent)]
    Place(#[from] env::EnvError),
    #[error(
        "cannot use the data directory {path}: {source}; make it with `mkdir -p {path}` as a user \
         who may, or name another with --data-dir DIR"
    )]
    Unreachable { path: PathBuf, source: io::Error },
    #[error(
        "the data directory {path} belongs to user {owner}, not to user {user} who runs this; \
         `chown -R {user} {path}` gives it over, or name another with --data-dir DIR"
    )]
    Owner { path: PathBuf, owner: u32, user: u32 },
    #[error("the data directory {0} is a file; name another with --data-dir DIR")]
    NotADirectory(PathBuf),
    #[error(
        "the data directory {path} is in use by another Plimsoll (pid {holder}); stop that one, \
         or name another with --data-dir DIR"
    )]
    InUse { path: PathBuf, holder: String },
}

/// A data directory that exists and is ours.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
}

/// Held as long as the process uses the directory.
#[derive(Debug)]
pub(crate) struct DataDirLock {
    _file: File,
}

impl DataDir {
    /// The directory asked for, else the usual place; made (0700) when it is not there.
    pub(crate) fn open(asked: Option<&Path>) -> Result<Self, DataDirError> {
        let user = rustix::process::geteuid();
        let path = match asked {
            Some(path) => path.to_owned(),
            None => env::data_dir(user.is_root())?,
        };
        let unreachable = |source| DataDirError::Unreachable { path: path.clone(), source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(|error| {
            if error.kind() == io::ErrorKind::AlreadyExists && !path.is_dir() {
                return DataDirError::NotADirectory(path.clone());
            }
            unreachable(error)
        })?;
        let path = path.canonicalize().map_err(unreachable)?;
        let owner = fs::metadata(&path)
            .map_err(|source| DataDirError::Unreachable { path: path.clone(), source })?
            .uid();
        if owner != user.as_raw() {
            return Err(DataDirError::Owner { path, owner, user: user.as_raw() });
        }
        Ok(Self { path })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The same, for a successor on sockets that were handed over: while the process before it
    /// still finishes what is under way, the directory is that one's; it is ours as soon as that is
    /// gone.
    pub(crate) fn lock_when_free(&self) -> Result<Option<DataDirLock>, DataDirError> {
        match self.lock() {
            Ok(lock) => Ok(Some(lock)),
            Err(DataDirError::InUse { holder, .. }) => {
                tracing::info!(holder, "taking over; the data directory is shared until it ends");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The same as [`DataDir::lock`], with patience for a process that was just killed.
    pub(crate) fn lock_soon(&self, clock: &dyn Clock) -> Result<DataDirLock, DataDirError> {
        let deadline = Deadline::after(clock.now(), LOCK_WAIT);
        loop {
            match self.lock() {
                Err(DataDirError::InUse { .. }) if !deadline.left(clock.now()).is_zero() => {
                    std::thread::sleep(LOCK_AGAIN);
                }
                outcome => return outcome,
            }
        }
    }

    /// Makes sure that no other process serves from here (flock(2)).
    pub(crate) fn lock(&self) -> Result<DataDirLock, DataDirError> {
        let unreachable = |source| DataDirError::Unreachable { path: self.path.clone(), source };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(self.path.join("lock"))
            .map_err(unreachable)?;
        if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            let mut holder = String::new();
            let known = file.read_to_string(&mut holder).is_ok_and(|bytes| bytes > 0);
            let holder = if known { holder.trim().to_owned() } else { "unknown".to_owned() };
            return Err(DataDirError::InUse { path: self.path.clone(), holder });
        }
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(unreachable)?;
        Ok(DataDirLock { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_base::SystemClock;

    use super::*;

    #[test]
    fn a_second_process_is_told_who_holds_the_directory() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b");
        let directory = DataDir::open(Some(&path)).unwrap();
        let mode = fs::metadata(&path).unwrap().mode() & 0o777;
        assert_eq!(mode, 0o700);
        let held = directory.lock().unwrap();
        let refused = DataDir::open(Some(&path)).unwrap().lock().unwrap_err().to_string();
        assert!(refused.contains(&format!("pid {}", std::process::id())), "{refused}");
        drop(held);
        assert!(directory.lock().is_ok());
    }

    #[test]
    fn a_process_on_its_way_out_is_waited_for_and_one_that_stays_is_not_for_long() {
        let folder = tempfile::tempdir().unwrap();
        let directory = DataDir::open(Some(folder.path())).unwrap();
        let held = directory.lock().unwrap();
        let leaving = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(300));
            drop(held);
        });
        let clock = SystemClock::new();
        let held = directory.lock_soon(&clock).unwrap();
        leaving.join().unwrap();
        let begun = clock.now();
        assert!(matches!(directory.lock_soon(&clock), Err(DataDirError::InUse { .. })));
        assert!(clock.now().since(begun) >= LOCK_WAIT);
        drop(held);
    }

    #[test]
    fn a_file_in_its_place_is_refused_with_the_way_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "").unwrap();
        let refused = DataDir::open(Some(&path)).unwrap_err();
        assert!(matches!(refused, DataDirError::NotADirectory(_)), "{refused}");
        assert!(refused.to_string().contains("--data-dir"));
    }
}
