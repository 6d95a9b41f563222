//! The archive: a tar file, its manifest, and the proof that it is whole.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use aws_lc_rs::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};

use crate::backup::error::BackupError;

/// The form of the archive that is written here.
pub(crate) const FORMAT: u32 = 1;
/// The name of the manifest in the archive.
const MANIFEST: &str = "manifest.json";
/// The name of the database in the archive.
pub(crate) const DUMP: &str = "database.dump";
/// Before the name of a file that was handed in.
pub(crate) const EXTRA: &str = "extra/";
const MANIFEST_BYTES_MAX: u64 = 1 << 20;
/// Parts of an archive, at most.
const PARTS_MAX: usize = 10_000;

/// What an archive says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The form of the archive.
    pub format: u32,
    /// The version of Plimsoll that made it.
    pub plimsoll: String,
    /// The version of the server it was made from.
    pub server: String,
    /// When it was made (RFC 3339, UTC).
    pub taken_at: String,
    /// The rooms in it.
    pub rooms: Vec<ManifestRoom>,
    /// What else is in the archive, in this order.
    pub parts: Vec<Part>,
}

/// A room in an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestRoom {
    /// The room.
    pub name: String,
    /// Its last migration.
    pub version: i64,
}

/// A file in an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Its name in the archive.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256 in hexadecimal digits.
    pub sha256: String,
}

/// Describes a file as a part.
pub(crate) fn describe(name: String, path: &Path) -> Result<Part, BackupError> {
    let mut file = File::open(path).map_err(|source| BackupError::file(path, source))?;
    let (bytes, sha256) =
        copy(&mut file, &mut io::sink()).map_err(|source| BackupError::file(path, source))?;
    Ok(Part { name, bytes, sha256 })
}

/// Writes manifest and parts; each part comes from the file beside it.
pub(crate) fn write(
    out: &mut File,
    manifest: &Manifest,
    unix_seconds: u64,
    files: &[(&Part, &Path)],
) -> io::Result<()> {
    let mut builder = tar::Builder::new(out);
    let text = serde_json::to_vec_pretty(manifest)?;
    let mut append = |name: &str, length: u64, from: &mut dyn Read| {
        let mut header = tar::Header::new_gnu();
        header.set_size(length);
        header.set_mode(0o600);
        header.set_mtime(unix_seconds);
        builder.append_data(&mut header, name, from)
    };
    append(MANIFEST, text.len() as u64, &mut text.as_slice())?;
    for (part, path) in files {
        // A file that grows meanwhile is cut where it was measured; a changed one shows at once.
        let mut from = Hashing { inner: File::open(path)?.take(part.bytes), context: context() };
        append(&part.name, part.bytes, &mut from)?;
        if hex(from.context) != part.sha256 {
            return Err(io::Error::other(format!("{} changed meanwhile", path.display())));
        }
    }
    builder.into_inner()?.sync_all()
}

/// Reads the manifest, then hands each part to `sink`, which says where it goes. All hashes are
/// checked when this returns; what was written before that may be wrong.
pub(crate) fn read(
    path: &Path,
    mut sink: impl FnMut(&Manifest, &str) -> io::Result<Box<dyn Write>>,
) -> Result<Manifest, BackupError> {
    let not_ours = |why: String| BackupError::NotOurs { path: path.to_owned(), why };
    let file = File::open(path).map_err(|source| BackupError::file(path, source))?;
    let mut archive = tar::Archive::new(file);
    let mut entries = archive.entries().map_err(|error| not_ours(error.to_string()))?;
    let first = entries.next().ok_or_else(|| not_ours("it is empty".into()))?;
    let first = first.map_err(|error| not_ours(error.to_string()))?;
    let manifest = parse_manifest(first).map_err(not_ours)?;
    let damaged = |part: &str, why: String| BackupError::Damaged {
        path: path.to_owned(),
        part: part.to_owned(),
        why,
    };
    for part in &manifest.parts {
        let entry = entries.next().ok_or_else(|| damaged(&part.name, "it is missing".into()))?;
        let mut entry = entry.map_err(|error| damaged(&part.name, error.to_string()))?;
        if *entry.path_bytes() != *part.name.as_bytes() {
            return Err(damaged(&part.name, "something else is in its place".into()));
        }
        let mut out =
            sink(&manifest, &part.name).map_err(|source| BackupError::file(&part.name, source))?;
        let (bytes, sha256) =
            copy(&mut entry, &mut out).map_err(|error| damaged(&part.name, error.to_string()))?;
        if (bytes, &sha256) != (part.bytes, &part.sha256) {
            return Err(damaged(&part.name, "its SHA-256 differs".into()));
        }
    }
    Ok(manifest)
}

fn parse_manifest(entry: tar::Entry<'_, File>) -> Result<Manifest, String> {
    if *entry.path_bytes() != *MANIFEST.as_bytes() {
        return Err(format!("it does not begin with {MANIFEST}"));
    }
    let mut text = String::new();
    entry
        .take(MANIFEST_BYTES_MAX)
        .read_to_string(&mut text)
        .map_err(|error| format!("{MANIFEST}: {error}"))?;
    let manifest: Manifest =
        serde_json::from_str(&text).map_err(|error| format!("{MANIFEST}: {error}"))?;
    if manifest.parts.len() > PARTS_MAX {
        return Err(format!("it has more than {PARTS_MAX} parts"));
    }
    Ok(manifest)
}

fn copy(from: &mut dyn Read, to: &mut dyn Write) -> io::Result<(u64, String)> {
    let mut hashing = Hashing { inner: from, context: context() };
    let bytes = io::copy(&mut hashing, to)?;
    to.flush()?;
    Ok((bytes, hex(hashing.context)))
}

fn context() -> Context {
    Context::new(&SHA256)
}

fn hex(context: Context) -> String {
    use std::fmt::Write as _;
    context.finish().as_ref().iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _written = write!(text, "{byte:02x}");
        text
    })
}

struct Hashing<R> {
    inner: R,
    context: Context,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.inner.read(buffer)?;
        self.context.update(buffer.get(..bytes).unwrap_or_default());
        Ok(bytes)
    }
}
