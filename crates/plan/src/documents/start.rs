//! Writing the folder from our templates. What is there already is never written over.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::folder::start_of;
use super::{KINDS, README};
use crate::date::Date;

const TEMPLATE: &str = include_str!("../../templates/README.md");

/// What was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// New files, in the order of the plan.
    pub written: Vec<PathBuf>,
    /// Files that were there and are left as they are.
    pub kept: Vec<PathBuf>,
}

/// Why a plan was not written.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// Every document is there.
    #[error(
        "{} has every document of the plan already and is left as it is; write elsewhere with \
         --dir DIR",
        .0.display()
    )]
    AllThere(PathBuf),
    /// The plan that is there starts on another day.
    #[error(
        "{} says that the plan starts on {start}; nothing was written. Change its `start`, or give \
         --start {start}",
        path.display()
    )]
    OtherStart {
        /// The file.
        path: PathBuf,
        /// The day.
        start: Date,
    },
    /// There is a `README.md` without a start.
    #[error(
        "{} does not say when a plan starts; nothing was written. Give it `start: {start}` between \
         two lines of `---` at its top, or write elsewhere with --dir DIR",
        path.display()
    )]
    NoStart {
        /// The file.
        path: PathBuf,
        /// The day asked for.
        start: Date,
    },
    /// The system says no.
    #[error("cannot write {}: {source}", path.display())]
    Io {
        /// What was written.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// Writes what is missing of a plan that starts on a day, dated today.
///
/// # Errors
/// [`InitError`]; nothing was written, but for [`InitError::Io`].
pub fn init(dir: &Path, start: Date, today: Date) -> Result<Written, InitError> {
    let path = dir.join(README);
    match start_of(dir) {
        Some(Ok(there)) if there != start => {
            return Err(InitError::OtherStart { path, start: there });
        }
        Some(Err(())) => return Err(InitError::NoStart { path, start }),
        _ => {}
    }
    let io = |path: &Path, source| InitError::Io { path: path.to_owned(), source };
    fs::create_dir_all(dir).map_err(|source| io(dir, source))?;
    let mut done = Written::default();
    let readme = TEMPLATE.replace("{start}", &start.to_string());
    let documents = KINDS.iter().map(|kind| (dir.join(kind.file()), kind.template(today)));
    for (path, text) in std::iter::once((path, readme)).chain(documents) {
        match create(&path, &text) {
            Ok(()) => done.written.push(path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => done.kept.push(path),
            Err(source) => return Err(io(&path, source)),
        }
    }
    if done.written.is_empty() {
        return Err(InitError::AllThere(dir.to_owned()));
    }
    Ok(done)
}

/// Writes a new file, whole or not at all.
fn create(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(text.as_bytes()).inspect_err(|_| {
        // What is half there would be kept by the next `init`; if it cannot go, that says so.
        let _removed = fs::remove_file(path);
    })
}
