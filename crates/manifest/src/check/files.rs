//! Whether the files that the manifest names are there.

use std::io;
use std::path::Path;

use super::Context;
use crate::files::named;
use crate::similar::closest;

/// The most names of a directory that are compared with a missing one.
const NAMES_MAX: usize = 1000;

pub(super) fn check(cx: &mut Context<'_>, base_dir: &Path) {
    for file in named(cx.manifest) {
        let resolved = base_dir.join(file.path);
        let (why, suggestion) = match std::fs::metadata(&resolved) {
            Ok(found) if found.is_dir() => ("is a directory".to_owned(), None),
            Ok(_) => continue,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                ("does not exist".to_owned(), neighbour(&resolved, file.path))
            }
            Err(error) => (format!("cannot be read: {error}"), None),
        };
        let message = format!("{} {why}", resolved.display());
        let expected = "a file; a relative path starts at the manifest's directory";
        cx.suggest(&file.key, message, expected, suggestion);
    }
}

/// A file beside the missing one whose name is close to it, as the manifest would name it.
fn neighbour(missing: &Path, named: &Path) -> Option<String> {
    let name = missing.file_name()?.to_str()?;
    let entries = std::fs::read_dir(missing.parent()?).ok()?.take(NAMES_MAX);
    let names: Vec<String> =
        entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    let close = closest(name, names.iter().map(String::as_str))?;
    Some(named.with_file_name(close).display().to_string())
}
