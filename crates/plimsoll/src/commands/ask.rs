//! Commands that talk to a running Plimsoll: how they find it and how they tell what it says.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use http::Method;
use plimsoll_console::client::{self, AskError};
use plimsoll_manifest::env;
use serde_json::Value;

use crate::exit::Failure;

/// The data directory asked for, else the usual one: the same rule by which the server finds it.
/// It is never made here: a directory that is not there has no server.
pub(crate) fn data_dir(asked: Option<&Path>) -> Result<PathBuf, Failure> {
    match asked {
        Some(path) => Ok(path.to_owned()),
        None => env::data_dir(rustix::process::geteuid().is_root()).map_err(Failure::failed),
    }
}

/// Asks, and waits for the whole answer.
pub(crate) fn ask(
    data_dir: &Path,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> Result<Value, Failure> {
    runtime()?.block_on(client::ask(data_dir, method, path, body)).map_err(Failure::failed)
}

/// Asks, and hands over the answer piece by piece.
pub(crate) fn ask_streaming(
    data_dir: &Path,
    path: &str,
    take: impl FnMut(&[u8]) -> io::Result<()>,
) -> Result<(), Failure> {
    let asked = client::ask_streaming(data_dir, Method::GET, path, None, take);
    runtime()?.block_on(asked).map_err(|error| match error {
        AskError::NotTaken(error) => Failure::unwritten(error),
        error => Failure::failed(error),
    })
}

pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::failed)
}

/// Writes a line to standard output.
pub(crate) fn say(line: impl std::fmt::Display) -> Result<(), Failure> {
    writeln!(io::stdout(), "{line}").map_err(Failure::unwritten)
}

/// One JSON document, for scripts.
pub(crate) fn say_json(value: &Value) -> Result<(), Failure> {
    say(serde_json::to_string_pretty(value).map_err(Failure::failed)?)
}

/// A span in words, such as `3 s` or `5 min`.
pub(crate) fn span(milliseconds: u64) -> String {
    match milliseconds / 1_000 {
        0 => format!("{milliseconds} ms"),
        seconds @ 1..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3_600),
    }
}
