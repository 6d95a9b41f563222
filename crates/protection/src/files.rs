//! Key files: made whole or not at all, never overwritten, readable by their owner alone.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use plimsoll_base::failpoint;
use zeroize::Zeroizing;

use crate::error::KeyringError;
use crate::hash::random;
use crate::sign::hex;

/// More than any key we know takes.
const FILE_BYTES_MAX: u64 = 16 * 1024;
const DRAFT: &str = ".draft-";

pub(crate) fn at(path: &Path) -> impl Fn(io::Error) -> KeyringError + use<> {
    let path = path.to_owned();
    move |source| KeyringError::Io { path: path.clone(), source }
}

/// Makes the directory where it is missing, and checks that it is ours alone.
pub(crate) fn directory(path: &Path) -> Result<(), KeyringError> {
    match DirBuilder::new().recursive(true).mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(at(path)(error)),
        _ => {}
    }
    let metadata = fs::symlink_metadata(path).map_err(at(path))?;
    if !metadata.is_dir() {
        return Err(KeyringError::Kind { path: path.to_owned(), wanted: "directory" });
    }
    owned(path, &metadata, false)?;
    closed(path, &metadata, 0o077, 0o700)
}

/// Reads a key of our own directory, making it with `make` where there is none.
pub(crate) fn own(
    directory: &Path,
    name: &str,
    make: impl FnOnce() -> Result<Zeroizing<Vec<u8>>, KeyringError>,
) -> Result<Zeroizing<Vec<u8>>, KeyringError> {
    let path = directory.join(name);
    if !there(&path)? {
        put(directory, &path, &make()?)?;
    }
    let metadata = fs::symlink_metadata(&path).map_err(at(&path))?;
    if !metadata.is_file() {
        return Err(KeyringError::Kind { path, wanted: "file" });
    }
    owned(&path, &metadata, false)?;
    closed(&path, &metadata, 0o077, 0o600)?;
    let key = read(&path)?;
    clear(directory, name)?;
    Ok(key)
}

/// Reads a key that an option names. Orchestrators mount such files as links, owned by root and
/// readable by a group; everybody else is still kept out.
pub(crate) fn named(
    path: &Path,
    option: &'static str,
    make: &'static str,
) -> Result<Zeroizing<Vec<u8>>, KeyringError> {
    let metadata = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(KeyringError::Named { option, path: path.to_owned(), make });
        }
        other => other.map_err(at(path))?,
    };
    if !metadata.is_file() {
        return Err(KeyringError::Kind { path: path.to_owned(), wanted: "file" });
    }
    owned(path, &metadata, true)?;
    closed(path, &metadata, 0o037, 0o600)?;
    read(path)
}

/// Puts other content in a key file's place, in one step: whoever reads it meanwhile reads the old
/// one or the new one. A link is followed, and who may read it stays as it was.
pub(crate) fn replace(path: &Path, content: &[u8]) -> Result<(), KeyringError> {
    let path = &fs::canonicalize(path).map_err(at(path))?;
    let directory = path.parent().unwrap_or(Path::new("/"));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    clear(directory, &name)?;
    let tail = hex(&random::<8>().map_err(|_| KeyringError::Crypto)?);
    let draft = directory.join(format!("{DRAFT}{name}-{tail}"));
    let permissions = fs::metadata(path).map_err(at(path))?.permissions();
    let replaced = write(&draft, content).and_then(|()| {
        fs::set_permissions(&draft, permissions)?;
        failpoint::hit("protection.replacement_written")?;
        fs::rename(&draft, path)
    });
    replaced.map_err(at(path))?;
    File::open(directory).and_then(|d| d.sync_all()).map_err(at(directory))
}

fn there(path: &Path) -> Result<bool, KeyringError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        other => other.map(|_| true).map_err(at(path)),
    }
}

fn owned(path: &Path, metadata: &Metadata, or_root: bool) -> Result<(), KeyringError> {
    let (owner, user) = (metadata.uid(), rustix::process::geteuid().as_raw());
    if owner == user || (or_root && owner == 0) {
        return Ok(());
    }
    Err(KeyringError::Owner { path: path.to_owned(), owner, user })
}

fn closed(path: &Path, metadata: &Metadata, open: u32, mode: u32) -> Result<(), KeyringError> {
    if metadata.mode() & open == 0 {
        return Ok(());
    }
    Err(KeyringError::Mode { path: path.to_owned(), mode })
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, KeyringError> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(FILE_BYTES_MAX as usize));
    let file = File::open(path).map_err(at(path))?;
    file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).map_err(at(path))?;
    Ok(bytes)
}

/// Puts a new file in place: draft, fsync, link, fsync of the directory. A link, unlike a rename,
/// never replaces: of two processes that start together both end with the same key.
fn put(directory: &Path, path: &Path, content: &[u8]) -> Result<(), KeyringError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let tail = hex(&random::<8>().map_err(|_| KeyringError::Crypto)?);
    let draft = directory.join(format!("{DRAFT}{name}-{tail}"));
    let made = write(&draft, content).and_then(|()| {
        failpoint::hit("protection.draft_written")?;
        fs::hard_link(&draft, path)?;
        failpoint::hit("protection.linked")
    });
    match made {
        Ok(()) => {}
        // Somebody was faster; where they have cleared our draft away, the key is there as well.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound && there(path)? => {}
        Err(error) => return Err(at(path)(error)),
    }
    File::open(directory).and_then(|d| d.sync_all()).map_err(at(directory))
}

fn write(draft: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(draft)?;
    let (first, second) = content.split_at(content.len() / 2);
    file.write_all(first)?;
    failpoint::hit("protection.draft_half_written")?;
    file.write_all(second)?;
    file.sync_all()
}

/// Once a key is in place its drafts are litter: our own, and those of processes that died.
fn clear(directory: &Path, name: &str) -> Result<(), KeyringError> {
    let prefix = format!("{DRAFT}{name}-");
    for entry in fs::read_dir(directory).map_err(at(directory))? {
        let draft: PathBuf = entry.map_err(at(directory))?.path();
        if !draft.file_name().is_some_and(|n| n.to_string_lossy().starts_with(&prefix)) {
            continue;
        }
        match fs::remove_file(&draft) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(&draft)(error)),
            _ => {}
        }
    }
    Ok(())
}
