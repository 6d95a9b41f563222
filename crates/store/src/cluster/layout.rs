//! The folders of a cluster: who owns which, and the lock that makes them one process's.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use plimsoll_base::{Clock as _, SystemClock};
use rustix::fs::FlockOperation;

use crate::cluster::error::ClusterError;
use crate::cluster::user::RunAs;

/// A socket's path is at most this long on every system we run on (Linux allows 107 bytes, macOS
/// 103), its file name included.
const SOCKET_PATH_BYTES_MAX: usize = 103;
const SOCKET_NAME: &str = ".s.PGSQL.5432";
/// Names tried for a short folder.
const SHORT_NAMES_MAX: usize = 16;

/// The folder of a cluster.
///
/// ```text
/// postgres/                  ours; the user of Postgres may pass through
///   lock                     held by the process that supervises
///   log, log.1               what Postgres says
///   data/                    the cluster; belongs to the user of Postgres
///   data.new/                a cluster in the making; removed when found
///   socket/                  belongs to the user of Postgres, 0700
///   socket-directory         where the socket lies when `socket/` would be too long a path
/// ```
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub(crate) root: PathBuf,
}

/// Held as long as the cluster is supervised.
#[derive(Debug)]
pub(crate) struct ClusterLock {
    _file: File,
}

impl Layout {
    /// The folder of the cluster in that data directory, made when it is not there.
    pub(crate) fn open(root: &Path) -> Result<Self, ClusterError> {
        let refused = |source| ClusterError::file(root, source);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(root).map_err(refused)?;
        Ok(Self { root: root.canonicalize().map_err(refused)? })
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.root.join("data")
    }

    pub(crate) fn new_data(&self) -> PathBuf {
        self.root.join("data.new")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.root.join("log")
    }

    fn remembered(&self) -> PathBuf {
        self.root.join("socket-directory")
    }

    /// Takes the lock; waits for it, since the kernel frees that of a killed process only a little
    /// after its death.
    pub(crate) fn lock(&self, wait: Duration) -> Result<ClusterLock, ClusterError> {
        let path = self.root.join("lock");
        let refused = |source| ClusterError::file(path.clone(), source);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(refused)?;
        let clock = SystemClock::new();
        let began = clock.now();
        while rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            if clock.now().since(began) >= wait {
                let mut holder = String::new();
                let known = file.read_to_string(&mut holder).is_ok_and(|bytes| bytes > 0);
                let holder = if known { holder.trim().to_owned() } else { "unknown".to_owned() };
                return Err(ClusterError::InUse { path: self.root.clone(), holder });
            }
            sleep(Duration::from_millis(20));
        }
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(refused)?;
        Ok(ClusterLock { _file: file })
    }

    /// The folder of the socket, made for that user: `socket/`, unless its path would be too long
    /// for the system; then a short one that is remembered.
    pub(crate) fn socket_dir(&self, run_as: &RunAs) -> Result<PathBuf, ClusterError> {
        let usual = self.root.join("socket");
        if fits(&usual) {
            private_folder(&usual, run_as)?;
            return Ok(usual);
        }
        if let Some(known) = self.remembered_socket_dir()
            && private_folder(&known, run_as).is_ok()
        {
            return Ok(known);
        }
        let mut last = ClusterError::file(&usual, io::ErrorKind::InvalidFilename.into());
        for _ in 0..SHORT_NAMES_MAX {
            let name = format!("plimsoll-{:08x}", fastrand::u32(..));
            for parent in ["/run", "/tmp"] {
                let folder = Path::new(parent).join(&name);
                match private_folder(&folder, run_as) {
                    Ok(()) => return self.remember(folder),
                    Err(error) => last = error,
                }
            }
        }
        Err(last)
    }

    /// Where the socket is while the cluster runs.
    pub(crate) fn known_socket_dir(&self) -> PathBuf {
        let usual = self.root.join("socket");
        if fits(&usual) { usual } else { self.remembered_socket_dir().unwrap_or(usual) }
    }

    fn remembered_socket_dir(&self) -> Option<PathBuf> {
        let text = fs::read_to_string(self.remembered()).ok()?;
        let path = PathBuf::from(text.trim_end_matches('\n'));
        (path.is_absolute() && fits(&path)).then_some(path)
    }

    fn remember(&self, folder: PathBuf) -> Result<PathBuf, ClusterError> {
        let path = self.remembered();
        fs::write(&path, format!("{}\n", folder.display()))
            .map_err(|source| ClusterError::file(path, source))?;
        Ok(folder)
    }
}

/// The socket in its folder.
pub(crate) fn socket_in(folder: &Path) -> PathBuf {
    folder.join(SOCKET_NAME)
}

fn fits(folder: &Path) -> bool {
    socket_in(folder).as_os_str().len() <= SOCKET_PATH_BYTES_MAX
}

/// A folder that only that user may enter. One that is there already must be just that: in a
/// place that everybody writes to, somebody else may have made it.
fn private_folder(folder: &Path, run_as: &RunAs) -> Result<(), ClusterError> {
    let refused = |source| ClusterError::file(folder, source);
    match fs::DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => run_as.give(folder),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let found = fs::symlink_metadata(folder).map_err(refused)?;
            if found.is_dir() && found.uid() == run_as.uid() && found.mode() & 0o077 == 0 {
                return Ok(());
            }
            // Made, and not given over before a crash.
            if found.is_dir() && found.uid() == 0 && rustix::process::geteuid().is_root() {
                return run_as.give(folder);
            }
            Err(refused(io::ErrorKind::PermissionDenied.into()))
        }
        Err(source) => Err(refused(source)),
    }
}

/// Writes what a rename did to the disk.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), ClusterError> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|source| ClusterError::file(folder, source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_told_who_is_first() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::open(&folder.path().join("postgres")).unwrap();
        let held = layout.lock(Duration::ZERO).unwrap();
        let refused = layout.lock(Duration::from_millis(30)).unwrap_err().to_string();
        assert!(refused.contains(&format!("pid {}", std::process::id())), "{refused}");
        drop(held);
        layout.lock(Duration::ZERO).unwrap();
    }

    #[test]
    fn a_socket_whose_path_is_too_long_moves_and_stays_where_it_moved() {
        let folder = tempfile::tempdir().unwrap();
        let long = folder.path().join("x".repeat(100));
        let layout = Layout::open(&long).unwrap();
        let run_as = RunAs::Ourselves { uid: rustix::process::geteuid().as_raw() };
        let short = layout.socket_dir(&run_as).unwrap();
        assert!(fits(&short), "{}", short.display());
        assert_eq!(fs::metadata(&short).unwrap().mode() & 0o777, 0o700);
        assert_eq!(layout.socket_dir(&run_as).unwrap(), short);
        fs::remove_dir(&short).unwrap();
        // After a reboot: the same name, since somebody's DATABASE_URL holds it.
        assert_eq!(layout.socket_dir(&run_as).unwrap(), short);
        assert_eq!(layout.known_socket_dir(), short);
        // Somebody else was faster: never use what is not private.
        fs::remove_dir(&short).unwrap();
        fs::write(&short, "").unwrap();
        let other = layout.socket_dir(&run_as).unwrap();
        assert_ne!(other, short);
        fs::remove_file(short).unwrap();
        fs::remove_dir(other).unwrap();
    }
}
