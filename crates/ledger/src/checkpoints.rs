//! Checkpoints on disk: lines in files of a directory outside the database.
//!
//! A file is closed when it is full and the oldest goes when there are too many. Continuity stays
//! signed: the first record of a file holds the hash of the last of the file before.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use plimsoll_base::failpoint;
use plimsoll_protection::{Keyring, PublicKey};

use crate::checkpoint::{Checkpoint, Kind, NOTE_BYTES_MAX};
use crate::error::CheckpointError;
use crate::model::Hash;

/// A file of checkpoints is closed beyond this many bytes.
pub const CHECKPOINT_FILE_BYTES_MAX: u64 = 1024 * 1024;
/// The most files that are kept.
pub const CHECKPOINT_FILES_MAX: usize = 16;
const SUFFIX: &str = ".checkpoints";
/// A reader never takes more of one file: twice what a writer leaves there.
const READ_BYTES_MAX: u64 = 2 * CHECKPOINT_FILE_BYTES_MAX;
/// Files that are looked at for former keys, at most, and bytes of one.
const FORMER_KEYS_MAX: usize = 1_000;
const KEY_BYTES_MAX: u64 = 1_024;

/// Where checkpoints are written: `{data-dir}/ledger/checkpoints`.
#[derive(Debug)]
pub struct Checkpoints {
    directory: PathBuf,
    keyring: Arc<Keyring>,
    file: File,
    path: PathBuf,
    bytes: u64,
    file_bytes_max: u64,
    last: Option<Checkpoint>,
}

/// A line of a file, and what it is.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) path: PathBuf,
    /// Counts from 1.
    pub(crate) line: usize,
    /// `None` where the line is no record.
    pub(crate) checkpoint: Option<Checkpoint>,
}

impl Checkpoints {
    /// Opens the directory to write, making it with mode 0700. A torn last line is cut off: it was
    /// never relied on.
    ///
    /// # Errors
    /// See [`CheckpointError`].
    pub fn open(directory: &Path, keyring: Arc<Keyring>) -> Result<Self, CheckpointError> {
        Self::open_with(directory, keyring, CHECKPOINT_FILE_BYTES_MAX)
    }

    /// The same, with files of another size.
    ///
    /// # Errors
    /// See [`CheckpointError`].
    pub fn open_with(
        directory: &Path,
        keyring: Arc<Keyring>,
        file_bytes_max: u64,
    ) -> Result<Self, CheckpointError> {
        let at = CheckpointError::at(directory);
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(&at)?;
        let files = files(directory)?;
        if let Some(last) = files.last() {
            cut_torn_line(last)?;
        }
        let mut last = None;
        for path in files.iter().rev() {
            let found = read(path)?;
            let Some(newest) = found.into_iter().next_back() else { continue };
            let ours = [keyring.public_key().clone()];
            match newest.checkpoint {
                Some(checkpoint) if checkpoint.is_signed_by(&ours) => last = Some(checkpoint),
                _ => {
                    let key = keyring.public_key().id().to_owned();
                    return Err(CheckpointError::NotOurs { path: path.clone(), key });
                }
            }
            break;
        }
        let path = match files.last() {
            Some(path) => path.clone(),
            None => name(directory, last.as_ref().map_or(1, |last| last.sequence + 1)),
        };
        let (file, bytes) = append_to(&path)?;
        File::open(directory).and_then(|d| d.sync_all()).map_err(&at)?;
        let directory = directory.to_owned();
        Ok(Self { directory, keyring, file, path, bytes, file_bytes_max, last })
    }

    /// Where they lie, and whose key signs: what they are opened with.
    pub(crate) fn place(&self) -> (PathBuf, Arc<Keyring>) {
        (self.directory.clone(), Arc::clone(&self.keyring))
    }

    /// The last record.
    #[must_use]
    pub fn last(&self) -> Option<&Checkpoint> {
        self.last.as_ref()
    }

    /// The id of the key that signs.
    #[must_use]
    pub fn key_id(&self) -> &str {
        self.keyring.public_key().id()
    }

    /// Signs and writes a checkpoint for each of `heads`, down to the disk.
    ///
    /// # Errors
    /// See [`CheckpointError`].
    pub fn append(
        &mut self,
        heads: &[(u64, Hash)],
        at_unix_ms: u64,
    ) -> Result<(), CheckpointError> {
        self.write(Kind::Checkpoint, heads, at_unix_ms, "")
    }

    /// Signs that the chain as it stands is accepted, though earlier checkpoints say otherwise:
    /// after a backup was restored. What was lost stays visible in `verify`, as accepted.
    ///
    /// # Errors
    /// See [`CheckpointError`].
    pub fn accept(
        &mut self,
        head: (u64, Hash),
        at_unix_ms: u64,
        why: &str,
    ) -> Result<(), CheckpointError> {
        let end = (0..=why.len().min(NOTE_BYTES_MAX)).rev().find(|at| why.is_char_boundary(*at));
        self.write(Kind::Accepted, &[head], at_unix_ms, &why[..end.unwrap_or(0)])
    }

    fn write(
        &mut self,
        kind: Kind,
        heads: &[(u64, Hash)],
        at_unix_ms: u64,
        note: &str,
    ) -> Result<(), CheckpointError> {
        if self.bytes >= self.file_bytes_max {
            self.rotate()?;
        }
        let (mut text, mut last) = (String::new(), self.last.clone());
        for head in heads {
            let next =
                Checkpoint::sign(&self.keyring, last.as_ref(), kind, *head, at_unix_ms, note);
            text.push_str(&next.to_line());
            text.push('\n');
            last = Some(next);
        }
        let (first, second) = text.as_bytes().split_at(text.len() / 2);
        let written = self.file.write_all(first).and_then(|()| {
            failpoint::hit("ledger.checkpoint_half_written")?;
            self.file.write_all(second)?;
            self.file.sync_data()
        });
        if let Err(error) = written {
            // Half a line must not stand before the next one. Where it cannot be taken back, only
            // opening anew cuts it off.
            let back = failpoint::hit("ledger.checkpoint_not_taken_back")
                .and_then(|()| self.file.set_len(self.bytes));
            back.map_err(CheckpointError::at(&self.path))?;
            return Err(CheckpointError::at(&self.path)(error));
        }
        self.bytes += text.len() as u64;
        self.last = last;
        Ok(())
    }

    fn rotate(&mut self) -> Result<(), CheckpointError> {
        let sequence = self.last.as_ref().map_or(1, |last| last.sequence + 1);
        let path = name(&self.directory, sequence);
        let (file, bytes) = append_to(&path)?;
        let directory = File::open(&self.directory);
        directory.and_then(|d| d.sync_all()).map_err(CheckpointError::at(&self.directory))?;
        (self.file, self.bytes, self.path) = (file, bytes, path);
        let files = files(&self.directory)?;
        let surplus = files.len().saturating_sub(CHECKPOINT_FILES_MAX);
        for old in &files[..surplus] {
            fs::remove_file(old).map_err(CheckpointError::at(old))?;
        }
        Ok(())
    }
}

/// Everything a directory holds, in order, and in how many files; a torn last line is left out. For
/// those who read while the sealer writes.
pub(crate) fn read_all(directory: &Path) -> Result<(Vec<Found>, usize), CheckpointError> {
    let files = files(directory)?;
    let mut all = Vec::new();
    for path in &files {
        all.extend(read(path)?);
    }
    Ok((all, files.len()))
}

/// Whether older files may have been rotated away, where there are so many.
pub(crate) fn has_rotated(files: usize) -> bool {
    files >= CHECKPOINT_FILES_MAX
}

/// The public keys of a directory, in hexadecimal, one in each `*.pub`: those that signed before
/// the signing key was replaced. Whoever can write there says what is believed, so it is none of
/// checkpoints. Where there is no such directory, there are no such keys.
///
/// # Errors
/// See [`CheckpointError`].
pub fn former_keys(directory: &Path) -> Result<Vec<PublicKey>, CheckpointError> {
    let at = CheckpointError::at(directory);
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(&at)?,
    };
    let mut keys = Vec::new();
    for entry in entries.take(FORMER_KEYS_MAX) {
        let path = entry.map_err(&at)?.path();
        if path.extension().is_some_and(|extension| extension == "pub") {
            let mut text = String::new();
            let file = File::open(&path).map_err(CheckpointError::at(&path))?;
            let read = file.take(KEY_BYTES_MAX).read_to_string(&mut text);
            read.map_err(CheckpointError::at(&path))?;
            let key = PublicKey::from_hex(&text);
            keys.push(key.map_err(|_| CheckpointError::NotAKey { path })?);
        }
    }
    Ok(keys)
}

fn name(directory: &Path, sequence: u64) -> PathBuf {
    directory.join(format!("{sequence:020}{SUFFIX}"))
}

fn files(directory: &Path) -> Result<Vec<PathBuf>, CheckpointError> {
    let at = CheckpointError::at(directory);
    let mut files = Vec::new();
    match fs::read_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(files),
        entries => {
            for entry in entries.map_err(&at)? {
                let path = entry.map_err(&at)?.path();
                if path.to_string_lossy().ends_with(SUFFIX) {
                    files.push(path);
                }
            }
        }
    }
    files.sort_unstable();
    Ok(files)
}

fn append_to(path: &Path) -> Result<(File, u64), CheckpointError> {
    let at = CheckpointError::at(path);
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path).map_err(&at)?;
    let bytes = file.metadata().map_err(&at)?.len();
    Ok((file, bytes))
}

fn bytes_of(path: &Path) -> Result<Vec<u8>, CheckpointError> {
    let at = CheckpointError::at(path);
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(&at)?;
    file.take(READ_BYTES_MAX).read_to_end(&mut bytes).map_err(&at)?;
    Ok(bytes)
}

fn read(path: &Path) -> Result<Vec<Found>, CheckpointError> {
    let bytes = bytes_of(path)?;
    let whole = whole_lines(&bytes);
    let text = String::from_utf8_lossy(&bytes[..whole]);
    let found = text.lines().enumerate().map(|(n, line)| Found {
        path: path.to_owned(),
        line: n + 1,
        checkpoint: Checkpoint::from_line(line),
    });
    Ok(found.collect())
}

/// How many bytes are whole lines: a torn write ends without a line end, or in zeros where the
/// file grew and its content never came.
fn whole_lines(bytes: &[u8]) -> usize {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    bytes[..end].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1)
}

fn cut_torn_line(path: &Path) -> Result<(), CheckpointError> {
    let bytes = bytes_of(path)?;
    let whole = whole_lines(&bytes);
    if whole < bytes.len() {
        let at = CheckpointError::at(path);
        let file = OpenOptions::new().write(true).open(path).map_err(&at)?;
        file.set_len(whole as u64).and_then(|()| file.sync_all()).map_err(&at)?;
    }
    Ok(())
}
