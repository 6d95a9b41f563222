//! Notices that one of the files a configuration was read from has changed.
//!
//! It looks twice a second at size, time and inode of what each path leads to. That also sees what
//! change notifications miss: editors that write a new file and rename it, and mounted
//! configuration that is swapped by a symbolic link.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::Duration;

/// How often the files are looked at.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(500);

type Print = Option<(u64, i64, i64, u64)>;

/// The files and how they looked last.
#[derive(Debug)]
pub(crate) struct Watched {
    files: Vec<(PathBuf, Print)>,
    /// One of them changed while it was being read, so what was read may be the old text.
    missed: bool,
}

impl Watched {
    /// `read_since_unix_ms`: when reading them began.
    pub(crate) fn new(paths: Vec<PathBuf>, read_since_unix_ms: u64) -> Self {
        let files: Vec<_> = paths.into_iter().map(|path| (print(&path), path)).collect();
        let since = i128::from(read_since_unix_ms);
        let missed = files.iter().any(|(print, _)| {
            print.is_some_and(|(_, s, ns, _)| {
                i128::from(s) * 1_000 + i128::from(ns) / 1_000_000 >= since
            })
        });
        Self { files: files.into_iter().map(|(print, path)| (path, print)).collect(), missed }
    }

    /// Whether any file looks different than the last time this was asked.
    pub(crate) fn changed(&mut self) -> bool {
        let mut changed = std::mem::take(&mut self.missed);
        for (path, last) in &mut self.files {
            let now = print(path);
            changed |= now != *last;
            *last = now;
        }
        changed
    }
}

fn print(path: &PathBuf) -> Print {
    let meta = fs::metadata(path).ok()?;
    Some((meta.len(), meta.mtime(), meta.mtime_nsec(), meta.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_between_reading_and_watching_is_not_lost() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plimsoll.toml");
        fs::write(&path, "a").unwrap();
        let mut watched = Watched::new(vec![path], 1);
        assert!(watched.changed());
        assert!(!watched.changed());
    }

    #[test]
    fn a_write_a_rename_and_a_removal_are_each_seen_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plimsoll.toml");
        fs::write(&path, "a").unwrap();
        let mut watched = Watched::new(vec![path.clone()], u64::MAX);
        assert!(!watched.changed());
        fs::write(&path, "ab").unwrap();
        assert!(watched.changed());
        assert!(!watched.changed());
        fs::write(folder.path().join("new"), "ab").unwrap();
        fs::rename(folder.path().join("new"), &path).unwrap();
        assert!(watched.changed());
        fs::remove_file(&path).unwrap();
        assert!(watched.changed());
        assert!(!watched.changed());
    }
}
