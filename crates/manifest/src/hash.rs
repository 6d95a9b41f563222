//! The hash of what an edge acts on.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use aws_lc_rs::digest::{Context, SHA256};

use crate::{Fault, Manifest, files};

/// Changes when the way the hash is made changes, so that two versions never seem to agree.
const DOMAIN: &[u8] = b"plimsoll-manifest-1";

/// The largest file that is hashed.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// SHA-256, in hex, of the manifest's meaning and the content of the files that are part of it.
pub(crate) fn of(manifest: &Manifest, base_dir: &Path) -> Result<String, Box<Fault>> {
    let mut hash = Context::new(&SHA256);
    let meaning = serde_json::to_vec(manifest)
        .map_err(|error| Fault::of_file("plimsoll.toml", format!("cannot be hashed: {error}")))?;
    part(&mut hash, DOMAIN);
    part(&mut hash, &meaning);
    for file in files::named(manifest).filter(|file| file.hashed) {
        let path = base_dir.join(file.path);
        content(&mut hash, &path).map_err(|error| {
            let mut fault = Fault::of_file(&path, format!("cannot be read: {error}"));
            fault.key = file.key;
            Box::new(fault)
        })?;
    }
    let digest = hash.finish();
    Ok(digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Each part goes in behind its length, so that no two lists of parts read the same.
fn part(hash: &mut Context, bytes: &[u8]) {
    hash.update(&(bytes.len() as u64).to_be_bytes());
    hash.update(bytes);
}

/// A file's content behind a digest of its own, because its length is not known beforehand.
fn content(hash: &mut Context, path: &Path) -> io::Result<()> {
    let mut inner = Context::new(&SHA256);
    let mut file = File::open(path)?.take(FILE_BYTES_MAX + 1);
    let mut buffer = vec![0; 64 << 10];
    let mut read = 0;
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        read += count as u64;
        inner.update(buffer.get(..count).unwrap_or_default());
    }
    if read > FILE_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "larger than 64MiB"));
    }
    hash.update(inner.finish().as_ref());
    Ok(())
}
