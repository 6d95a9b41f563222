//! Running what `pg_restore` writes inside a transaction of ours, so that what was there before
//! goes and what comes in its place comes at one instant, or neither. `psql` would do it, but
//! what is called so may be a wrapper, and is not always there.

use std::path::Path;
use std::process::Stdio;

use sqlx::{AssertSqlSafe, Executor as _, PgConnection};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};

use crate::backup::error::BackupError;
use crate::cluster::{Binaries, clean_command, quote};

/// A line, which is at most one row: Postgres's own bound.
const LINE_BYTES_MAX: u64 = 1 << 30;
/// Rows are sent in pieces of about this size.
const PIECE_BYTES: usize = 64 * 1024;
/// What a program may complain about, at most.
const SAID_BYTES_MAX: u64 = 64 * 1024;

/// Runs the dump's script; returns how many rows came in.
pub(crate) async fn run(
    binaries: &Binaries,
    dump: &Path,
    connection: &mut PgConnection,
) -> Result<u64, BackupError> {
    let program = binaries.program("pg_restore");
    let mut command = clean_command(&program);
    command
        .args(["--no-owner", "--no-privileges", "--file=-"])
        .arg(dump)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let refused = |error| BackupError::file(&program, error);
    let mut child =
        tokio::process::Command::from(command).kill_on_drop(true).spawn().map_err(refused)?;
    let (Some(script), Some(said)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(refused(std::io::ErrorKind::BrokenPipe.into()));
    };
    let complaints = async {
        let mut text = Vec::new();
        said.take(SAID_BYTES_MAX).read_to_end(&mut text).await.map(|_| text)
    };
    let (rows, text) = tokio::join!(feed(script, connection), complaints);
    let rows = rows?;
    let status = child.wait().await.map_err(refused)?;
    if !status.success() {
        let said = quote(&String::from_utf8_lossy(&text.map_err(refused)?));
        return Err(BackupError::Program { program: "pg_restore", said });
    }
    Ok(rows)
}

/// Statements are gathered and sent; a `copy … from stdin` and the rows after it go by the copy
/// protocol.
async fn feed(
    script: impl AsyncRead + Unpin,
    connection: &mut PgConnection,
) -> Result<u64, BackupError> {
    let mut lines = Lines { reader: BufReader::new(script), line: Vec::new() };
    let mut statements = String::new();
    let mut rows = 0;
    while let Some(line) = lines.next().await? {
        if line.starts_with(b"COPY ") && line.ends_with(b" FROM stdin;\n") {
            let copy = text(line)?.trim_end().trim_end_matches(';').to_owned();
            flush(&mut statements, connection).await?;
            rows += copy_in(&copy, &mut lines, connection).await?;
        } else if !is_for_psql(line) {
            statements.push_str(text(line)?);
        }
    }
    flush(&mut statements, connection).await?;
    Ok(rows)
}

async fn flush(statements: &mut String, connection: &mut PgConnection) -> Result<(), BackupError> {
    if !statements.trim().is_empty() {
        connection.execute(AssertSqlSafe(std::mem::take(statements))).await?;
    }
    Ok(())
}

async fn copy_in<R: AsyncRead + Unpin>(
    statement: &str,
    lines: &mut Lines<R>,
    connection: &mut PgConnection,
) -> Result<u64, BackupError> {
    let mut copy = connection.copy_in_raw(statement).await?;
    let mut piece = Vec::with_capacity(PIECE_BYTES);
    let whole = loop {
        match lines.next().await? {
            None => break false,
            Some(b"\\.\n") => break true,
            Some(row) => piece.extend_from_slice(row),
        }
        if piece.len() >= PIECE_BYTES {
            copy.send(piece.as_slice()).await?;
            piece.clear();
        }
    };
    if !whole {
        copy.abort("the script ended within a table").await?;
        let said = "its script ended within a table".to_owned();
        return Err(BackupError::Program { program: "pg_restore", said });
    }
    copy.send(piece.as_slice()).await?;
    Ok(copy.finish().await?)
}

/// What newer versions say to `psql` alone.
fn is_for_psql(line: &[u8]) -> bool {
    line.starts_with(b"\\restrict ") || line.starts_with(b"\\unrestrict ")
}

fn text(line: &[u8]) -> Result<&str, BackupError> {
    std::str::from_utf8(line).map_err(|_| BackupError::Program {
        program: "pg_restore",
        said: "it wrote something that is no UTF-8".to_owned(),
    })
}

struct Lines<R> {
    reader: BufReader<R>,
    line: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    /// The next line with its end, within the bound.
    async fn next(&mut self) -> Result<Option<&[u8]>, BackupError> {
        self.line.clear();
        let mut bounded = (&mut self.reader).take(LINE_BYTES_MAX);
        let read = bounded.read_until(b'\n', &mut self.line).await;
        let bytes = read.map_err(|error| BackupError::file("pg_restore", error))?;
        Ok((bytes > 0).then_some(self.line.as_slice()))
    }
}
