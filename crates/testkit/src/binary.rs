//! Where the programs are that the tests start.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

/// One build at a time: two tests of one process must not both start it.
static BUILD: Mutex<()> = Mutex::new(());

/// The `plimsoll` binary: the file named by `PLIMSOLL_BIN`, else the one beside the running test.
/// Tests of the package `plimsoll` itself pass `env!("CARGO_BIN_EXE_plimsoll")` instead.
///
/// # Errors
/// When there is none; the text says how to build it.
pub fn plimsoll() -> io::Result<PathBuf> {
    find("PLIMSOLL_BIN", "plimsoll", "plimsoll")
}

/// The scripted origin as a program: the file named by `PLIMSOLL_TEST_ORIGIN`, else the one beside
/// the running test, which is built when it is not there.
///
/// # Errors
/// When it is not there and cannot be built.
pub fn test_origin() -> io::Result<PathBuf> {
    find("PLIMSOLL_TEST_ORIGIN", "plimsoll-test-origin", "plimsoll-testkit")
}

/// The keeper of the tests' Postgres: the file named by `PLIMSOLL_TEST_POSTGRES`, else the one
/// beside the running test, which is built when it is not there.
///
/// # Errors
/// When it is not there and cannot be built.
pub fn test_postgres() -> io::Result<PathBuf> {
    find("PLIMSOLL_TEST_POSTGRES", "plimsoll-test-postgres", "plimsoll-testkit")
}

/// A process that only runs a private cluster: the file named by `PLIMSOLL_TEST_CLUSTER`, else the
/// one beside the running test, which is built when it is not there.
///
/// # Errors
/// When it is not there and cannot be built.
pub fn test_cluster() -> io::Result<PathBuf> {
    find("PLIMSOLL_TEST_CLUSTER", "plimsoll-test-cluster", "plimsoll-testkit")
}

fn find(variable: &str, name: &str, package: &str) -> io::Result<PathBuf> {
    if let Some(path) = variable_value(variable).map(PathBuf::from) {
        return path.is_file().then_some(path.clone()).ok_or_else(|| {
            io::Error::new(io::ErrorKind::NotFound, format!("{variable}={}", path.display()))
        });
    }
    let directory = profile_directory()?;
    let path = directory.join(name);
    if path.is_file() {
        return Ok(path);
    }
    build(&directory, name, package)?;
    path.is_file().then_some(path).ok_or_else(|| {
        io::Error::new(io::ErrorKind::NotFound, format!("no {name}: cargo build -p {package}"))
    })
}

/// `target/debug` or its like: a test runs in its `deps`, an example in its `examples`, a program
/// in it directly.
fn profile_directory() -> io::Result<PathBuf> {
    let exe = std::env::current_exe()?;
    let parent = exe.parent().ok_or_else(|| io::Error::other("the test has no directory"))?;
    let below = parent.file_name().is_some_and(|name| name == "deps" || name == "examples");
    let directory = if below { parent.parent().unwrap_or(parent) } else { parent };
    Ok(directory.to_path_buf())
}

fn build(directory: &Path, name: &str, package: &str) -> io::Result<()> {
    let _one = BUILD.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let profile = match directory.file_name().and_then(|n| n.to_str()) {
        Some("debug") | None => "dev",
        Some(other) => other,
    };
    let cargo = variable_value("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--quiet", "--profile", profile, "--package", package, "--bin", name])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()?;
    if status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("cargo build -p {package} --bin {name} failed: {status}")))
}

#[expect(
    clippy::disallowed_methods,
    reason = "a development tool: these variables choose its programs and configure nothing of \
              Plimsoll"
)]
fn variable_value(name: &str) -> Option<std::ffi::OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}
