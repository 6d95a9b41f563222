//! Reading the folder: bounded, and never out of it.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use plimsoll_manifest::{Fault, closest};
use rustix::fs::{Mode, OFlags};

use super::body::Body;
use super::check::{self, unknown_keys};
use super::examine::{Document, Found, Ground, examine};
use super::finding::Finding;
use super::front::FrontMatter;
use super::{DOCUMENT_BYTES_MAX, KINDS, README};
use crate::board::PlanFacts;
use crate::date::Date;
use crate::error::PlanError;
use crate::gates::Gates;

/// The most Markdown files in the folder.
pub const DOCUMENTS_MAX: usize = 200;
/// The most entries of the folder of whatever kind.
pub const ENTRIES_MAX: usize = 1_000;

/// How far ahead of UTC a day begins on some islands, milliseconds: what is today there is not in
/// the future.
const DAY_BEGINS_EARLY_MS: u64 = 14 * 3_600 * 1_000;

/// What the folder of a plan holds.
#[derive(Clone, Debug, Default)]
pub struct Read {
    /// What the board shows.
    pub facts: PlanFacts,
    /// The documents that are there, in the order of the plan.
    pub documents: Vec<Document>,
    /// What is wrong with the folder itself: its `README.md`, documents that are not there.
    pub faults: Vec<Fault>,
}

impl Read {
    /// What [`read`] would answer of a folder with nothing in it: evidence of a plan that was
    /// deleted.
    #[must_use]
    pub fn absent(dir: &Path) -> Self {
        let faults = vec![Fault::of_file(dir, "is not there").expecting("the folder of the plan")];
        Self { faults, ..Self::default() }
    }

    /// Every fault: those of the folder, then those of each document.
    pub fn all_faults(&self) -> impl Iterator<Item = &Fault> {
        self.faults.iter().chain(self.documents.iter().flat_map(|document| &document.faults))
    }
}

/// Why a folder cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// There is none.
    #[error("there is no plan in {}; `plimsoll plan init --start DATE` writes one", .0.display())]
    NotThere(PathBuf),
    /// It holds more than a plan does.
    #[error(
        "{} holds more than {DOCUMENTS_MAX} Markdown files or {ENTRIES_MAX} entries: is it the \
         folder of a plan?",
        .0.display()
    )]
    TooMany(PathBuf),
    /// The system says no.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// What was read.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The list of gates has a fault of ours.
    #[error(transparent)]
    Gates(#[from] PlanError),
}

/// Reads a folder and holds each document against its type, at an instant in milliseconds since
/// 1970-01-01T00:00:00Z. Blocks on the file system.
///
/// # Errors
/// [`ReadError`]: there is no such folder. What is wrong inside it is no error but a fault.
pub fn read(dir: &Path, now_unix_ms: u64) -> Result<Read, ReadError> {
    let io = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => ReadError::NotThere(dir.to_owned()),
        _ => ReadError::Io { path: dir.to_owned(), source },
    };
    let gates = Gates::shipped()?;
    let root = dir.canonicalize().map_err(io)?;
    let strays = strays(dir, &root)?;
    let exists = |path: &str| root.join(path).symlink_metadata().is_ok();
    let today = Date::of_unix_ms(now_unix_ms.saturating_add(DAY_BEGINS_EARLY_MS));
    let ground = Ground { today, gates: &gates, exists: &exists };
    let mut read = Read::default();
    read_me(dir, &root, &ground, &mut read);
    for kind in KINDS {
        let path = dir.join(kind.file());
        match load(&root, &kind.file()) {
            Loaded::Text(text) => read.documents.push(examine(kind, &path, &text, &ground)),
            Loaded::Broken(finding) => {
                read.documents.push(Document::broken(kind, &path, &finding));
            }
            Loaded::Missing => {
                let meant = closest(kind.name, strays.iter().map(String::as_str));
                let named = meant.map(|stray| format!(" (there is `{stray}.md`)"));
                let says = format!("is not there{}", named.unwrap_or_default());
                read.faults.push(Fault::of_file(path, says).expecting(format!(
                    "{}; `plimsoll plan init` writes what is missing and nothing else",
                    kind.title.to_lowercase()
                )));
            }
        }
    }
    let risks = read.documents.iter().flat_map(|document| document.risks.clone());
    read.facts.risks = risks.collect();
    Ok(read)
}

/// The Markdown files that are no document of the plan, without `.md`.
fn strays(dir: &Path, root: &Path) -> Result<Vec<String>, ReadError> {
    let io = |source| ReadError::Io { path: dir.to_owned(), source };
    let (mut strays, mut documents) = (Vec::new(), 0);
    for (count, entry) in fs::read_dir(root).map_err(io)?.enumerate() {
        let name = entry.map_err(io)?.file_name();
        let markdown = name.to_str().and_then(|name| name.strip_suffix(".md"));
        documents += usize::from(markdown.is_some());
        if count >= ENTRIES_MAX || documents > DOCUMENTS_MAX {
            return Err(ReadError::TooMany(dir.to_owned()));
        }
        let stray = markdown.filter(|name| !KINDS.iter().any(|kind| kind.name == *name));
        strays.extend(stray.map(str::to_owned));
    }
    strays.sort_unstable();
    Ok(strays)
}

/// `README.md` says when the plan starts.
fn read_me(dir: &Path, root: &Path, ground: &Ground<'_>, read: &mut Read) {
    let path = dir.join(README);
    let mut found = Found::default();
    match load(root, README) {
        Loaded::Missing => {
            found.push(Finding::nowhere("", "is not there").expecting("the start of the plan"));
        }
        Loaded::Broken(finding) => found.push(finding),
        Loaded::Text(text) => {
            let (front, findings) = FrontMatter::read(&text);
            findings.into_iter().for_each(|finding| found.push(finding));
            if let Some(front) = front {
                unknown_keys(&["start", "links"], &front, &mut found);
                read.facts.start = start(&front, &mut found);
                let body = text.get(front.body_at..).unwrap_or_default();
                check::links(&Body::of(body, front.body_line), ground, &mut found);
            }
        }
    }
    read.faults.extend(found.faults(&path));
}

/// The day of `start`; a plan may start in the future.
fn start(front: &FrontMatter, found: &mut Found) -> Option<Date> {
    let expected = "the first day of the plan, such as 2026-11-30";
    let (line, text) = check::text_of(front, "start", expected, found)?;
    check::day(text, None)
        .map_err(|says| {
            found.push(Finding::at(line, "start", says).given(text).expecting(expected));
        })
        .ok()
}

/// The start that the `README.md` of a folder says. `None`: there is no such file.
pub(super) fn start_of(dir: &Path) -> Option<Result<Date, ()>> {
    let root = dir.canonicalize().ok()?;
    match load(&root, README) {
        Loaded::Missing => None,
        Loaded::Broken(_) => Some(Err(())),
        Loaded::Text(text) => {
            let (front, _) = FrontMatter::read(&text);
            let start = front.and_then(|front| start(&front, &mut Found::default()));
            Some(start.ok_or(()))
        }
    }
}

enum Loaded {
    Text(String),
    Missing,
    Broken(Finding),
}

/// Reads one file of the folder; `root` has no symbolic link in it. A link inside the folder is
/// followed, since some systems mount files so; one that leads out is not.
fn load(root: &Path, name: &str) -> Loaded {
    let broken = |says: &str| Loaded::Broken(Finding::nowhere("", says));
    let path = root.join(name);
    if path.symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        return Loaded::Missing;
    }
    let Ok(real) = path.canonicalize() else { return broken("cannot be followed to a file") };
    if !real.starts_with(root) {
        return broken("is a symbolic link out of the folder of the plan");
    }
    match text(&real) {
        Ok(Some(text)) => Loaded::Text(text),
        Ok(None) => broken("is larger than 256 KiB"),
        Err(error) => broken(&match error.kind() {
            io::ErrorKind::InvalidData => "is no text in UTF-8".to_owned(),
            io::ErrorKind::InvalidInput => "is no file".to_owned(),
            kind => format!("cannot be read: {kind}"),
        }),
    }
}

/// The text of a file; `None`: it is too large. A pipe does not block, and a link that was put in
/// the place of the file meanwhile is not followed.
fn text(path: &Path) -> io::Result<Option<String>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    if !file.metadata()?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut bytes = Vec::new();
    let most = u64::try_from(DOCUMENT_BYTES_MAX + 1).unwrap_or(u64::MAX);
    file.take(most).read_to_end(&mut bytes)?;
    if bytes.len() > DOCUMENT_BYTES_MAX {
        return Ok(None);
    }
    match String::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => Ok(Some(text)),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}
