//! The last good state on disk: what an edge starts with while Postgres is down.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::{Dynamic, SnapshotError};

/// Why the state could not be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// The file system refused.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// What stands there is not ours to read.
    #[error("{}: {source}", path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: SnapshotError,
    },
}

/// The file of the last good state, readable by its owner alone.
#[derive(Debug, Clone)]
pub struct Saved {
    path: PathBuf,
}

impl Saved {
    /// In this directory, which is there.
    #[must_use]
    pub fn at(directory: &Path) -> Self {
        Self { path: directory.join("snapshot.json") }
    }

    /// Keeps the state. The file is whole at every moment: a new one takes the old one's place.
    ///
    /// # Errors
    /// When the file cannot be written; the one before stands.
    pub fn keep(&self, dynamic: &Dynamic) -> Result<(), DiskError> {
        let text = dynamic.to_json().map_err(|source| self.form(source))?;
        let new = self.path.with_extension("new");
        self.io("write", write_durably(&new, &text))?;
        self.io("replace", fs::rename(&new, &self.path))?;
        let parent = self.path.parent().unwrap_or(Path::new("."));
        self.io("sync the directory of", File::open(parent).and_then(|d| d.sync_all()))
    }

    /// The state kept; none where none was.
    ///
    /// # Errors
    /// When there is a file that cannot be read.
    pub fn read(&self) -> Result<Option<Dynamic>, DiskError> {
        match fs::read(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => self.io("read", Err(source)),
            Ok(text) => Dynamic::from_json(&text).map(Some).map_err(|source| self.form(source)),
        }
    }

    fn io<T>(&self, doing: &'static str, result: io::Result<T>) -> Result<T, DiskError> {
        result.map_err(|source| DiskError::Io { doing, path: self.path.clone(), source })
    }

    fn form(&self, source: SnapshotError) -> DiskError {
        DiskError::Form { path: self.path.clone(), source }
    }
}

fn write_durably(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn what_was_kept_comes_back_and_is_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let saved = Saved::at(folder.path());
        assert!(saved.read().unwrap().is_none());
        let dynamic = Dynamic::whole(4, Vec::new());
        saved.keep(&dynamic).unwrap();
        saved.keep(&dynamic).unwrap();
        assert_eq!(saved.read().unwrap(), Some(dynamic));
        let mode = fs::metadata(folder.path().join("snapshot.json")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_torn_file_is_named_and_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("snapshot.json"), "{\"format\":1,\"epo").unwrap();
        let said = Saved::at(folder.path()).read().unwrap_err().to_string();
        assert!(said.contains("snapshot.json"), "{said}");
    }
}
