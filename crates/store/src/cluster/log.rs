//! Postgres's own log: a file that it appends to, and that never grows past a bound.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// The log and the one before it are each at most about this large.
const LOG_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// How much of it is read to say why Postgres ended.
const TAIL_BYTES_MAX: u64 = 64 * 1024;
/// How long what is quoted of it may be.
const QUOTE_CHARS_MAX: usize = 800;

/// The log of one cluster.
#[derive(Debug)]
pub(crate) struct BoundedLog {
    path: PathBuf,
}

impl BoundedLog {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A handle to append by, for Postgres to hold.
    pub(crate) fn open(&self) -> io::Result<File> {
        OpenOptions::new().append(true).create(true).mode(0o600).open(&self.path)
    }

    pub(crate) fn len(&self) -> u64 {
        std::fs::metadata(&self.path).map_or(0, |found| found.len())
    }

    /// Keeps the log within its bound: what is there becomes `log.1`, and Postgres, which holds the
    /// file open, goes on at its start. Lines written in that instant are lost.
    pub(crate) fn rotate(&self) -> io::Result<()> {
        if self.len() <= LOG_BYTES_MAX {
            return Ok(());
        }
        let older = self.path.with_extension("1");
        std::fs::copy(&self.path, older)?;
        OpenOptions::new().write(true).open(&self.path)?.set_len(0)
    }

    /// What Postgres said since the log had that length, as one line: its errors and the hints
    /// that go with them, else its last words.
    pub(crate) fn said_since(&self, from: u64) -> String {
        let text = self.read_since(from).unwrap_or_default();
        quote(&text)
    }

    fn read_since(&self, from: u64) -> io::Result<String> {
        let mut file = File::open(&self.path)?;
        let end = file.metadata()?.len();
        let from = if from > end { 0 } else { from };
        file.seek(SeekFrom::Start(from.max(end.saturating_sub(TAIL_BYTES_MAX))))?;
        let mut bytes = Vec::new();
        file.take(TAIL_BYTES_MAX).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// The telling lines of a log, shortened.
pub(crate) fn quote(text: &str) -> String {
    const TELLING: [&str; 6] = ["FATAL:", "PANIC:", "ERROR:", "error:", "DETAIL:", "HINT:"];
    let message = |line: &str| {
        let start = TELLING.iter().find_map(|word| line.find(word));
        start
            .and_then(|start| line.get(start..))
            .map(|said| said.split_whitespace().collect::<Vec<_>>().join(" "))
    };
    let mut said: Vec<String> = text.lines().filter_map(message).collect();
    if said.is_empty() {
        said = text.lines().rev().take(3).map(|line| line.trim().to_owned()).collect();
        said.reverse();
    }
    said.dedup();
    let said = said.join("; ");
    if said.trim().is_empty() {
        return "it said nothing".to_owned();
    }
    match said.char_indices().nth(QUOTE_CHARS_MAX) {
        Some((end, _)) => format!("{} …", &said[..end]),
        None => said,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_and_their_hints_are_quoted() {
        let text = "2026-11-22 10:00:00.000 UTC [7] LOG:  starting\n\
                    2026-11-22 10:00:00.001 UTC [7] FATAL:  lock file exists\n\
                    2026-11-22 10:00:00.001 UTC [7] HINT:  Is another running?\n";
        assert_eq!(quote(text), "FATAL: lock file exists; HINT: Is another running?");
        assert_eq!(quote("one\ntwo\n"), "one; two");
        assert_eq!(quote(" \n"), "it said nothing");
        assert!(quote(&"x".repeat(5_000)).chars().count() < 900);
    }

    #[test]
    fn the_log_stays_within_its_bound() {
        use std::io::Write as _;
        let folder = tempfile::tempdir().unwrap();
        let log = BoundedLog::new(folder.path().join("log"));
        let mut writer = log.open().unwrap();
        writer.write_all(&vec![b'a'; usize::try_from(LOG_BYTES_MAX).unwrap() + 1]).unwrap();
        log.rotate().unwrap();
        writer.write_all(b"after\n").unwrap();
        assert_eq!(log.len(), 6);
        assert_eq!(log.said_since(0), "after");
        assert!(folder.path().join("log.1").exists());
    }
}
