//! Everything before the first start: binaries, user, folders, lock, version, and the cluster
//! itself when there is none.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;

use crate::cluster::access;
use crate::cluster::binaries::{
    Binaries, BinarySearch, clean_command, data_major, install_command,
};
use crate::cluster::error::ClusterError;
use crate::cluster::layout::{ClusterLock, Layout, sync_folder};
use crate::cluster::log::quote;
use crate::cluster::processes;
use crate::cluster::spawn::{as_user, end_with_us};
use crate::cluster::user::RunAs;
use crate::connect::SUPERUSER_ROLE;

/// A cluster that can be started.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) binaries: Binaries,
    pub(crate) run_as: RunAs,
    pub(crate) layout: Layout,
    pub(crate) socket_dir: PathBuf,
    _lock: ClusterLock,
}

/// Prepares the cluster in `root`. Runs on the thread that will start Postgres.
pub(crate) fn prepare(
    root: &Path,
    search: &BinarySearch,
    lock_wait: Duration,
) -> Result<Prepared, ClusterError> {
    let found = Binaries::find_all(search)?;
    let layout = Layout::open(root)?;
    let lock = layout.lock(lock_wait)?;
    let data = layout.data();
    let made_by = made_by(&data)?;
    let Some(binaries) = Binaries::choose(&found, made_by) else {
        let majors: Vec<String> = found.iter().map(|b| b.major().to_string()).collect();
        return Err(ClusterError::VersionMismatch {
            path: data,
            data: made_by.unwrap_or_default(),
            found: majors.join(", "),
            install: install_command(made_by),
        });
    };
    let run_as = RunAs::choose(&data)?;
    check_owner(&data, &run_as)?;
    if let Some(data_dir) = layout.root.parent() {
        run_as.let_pass(data_dir)?;
    }
    run_as.let_pass(&layout.root)?;
    run_as.reach(&layout.root, &binaries.program("postgres"))?;
    let socket_dir = layout.socket_dir(&run_as)?;
    if made_by.is_none() {
        initialise(&layout, binaries, &run_as)?;
    }
    access::write(&data, &run_as)?;
    let binaries = binaries.clone();
    Ok(Prepared { binaries, run_as, layout, socket_dir, _lock: lock })
}

/// The major version that made the data; `None` when there is none yet.
fn made_by(data: &Path) -> Result<Option<u32>, ClusterError> {
    let not = |why: String| ClusterError::NotACluster { path: data.to_owned(), why };
    match std::fs::read(data.join("PG_VERSION")) {
        Ok(text) => data_major(&text).map(Some).ok_or_else(|| not("PG_VERSION is empty".into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if data.exists() {
                return Err(not("PG_VERSION is missing".into()));
            }
            Ok(None)
        }
        Err(error) => Err(not(format!("PG_VERSION: {error}"))),
    }
}

fn check_owner(data: &Path, run_as: &RunAs) -> Result<(), ClusterError> {
    use std::os::unix::fs::MetadataExt as _;
    match std::fs::symlink_metadata(data) {
        Ok(found) if found.uid() != run_as.uid() => Err(ClusterError::WrongOwner {
            path: data.to_owned(),
            owner: found.uid(),
            user: run_as.uid(),
        }),
        _ => Ok(()),
    }
}

/// Makes the cluster beside its place, and moves it there when it is whole: a crash leaves a
/// folder that is removed here, never half a cluster.
fn initialise(layout: &Layout, binaries: &Binaries, run_as: &RunAs) -> Result<(), ClusterError> {
    use std::os::unix::fs::DirBuilderExt as _;
    let fresh = layout.new_data();
    let remove_fresh = || match std::fs::remove_dir_all(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(ClusterError::file(&fresh, error))
        }
        _ => Ok(()),
    };
    if fresh.exists() {
        processes::end_all(&fresh);
        remove_fresh()?;
    }
    std::fs::DirBuilder::new()
        .mode(0o700)
        .create(&fresh)
        .map_err(|source| ClusterError::file(&fresh, source))?;
    let made = run_as
        .give(&fresh)
        .and_then(|()| initdb(&fresh, binaries, run_as))
        .and_then(|()| sync(&fresh));
    if let Err(error) = made {
        if let Err(left) = remove_fresh() {
            tracing::warn!(%left, "what initdb began is still there");
        }
        return Err(error);
    }
    let data = layout.data();
    std::fs::rename(&fresh, &data).map_err(|source| ClusterError::file(&data, source))?;
    sync_folder(&layout.root)
}

fn initdb(fresh: &Path, binaries: &Binaries, run_as: &RunAs) -> Result<(), ClusterError> {
    let program = binaries.program("initdb");
    let mut command = clean_command(&program);
    command
        .arg("-D")
        .arg(fresh)
        .args(["-U", SUPERUSER_ROLE, "--auth=trust", "--encoding=UTF8", "--no-locale"])
        .args(["--data-checksums", "--no-instructions"])
        .current_dir(fresh)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    // One call of ours does it, instead of one for each of a thousand files.
    #[cfg(target_os = "linux")]
    command.arg("--no-sync");
    as_user(&mut command, run_as);
    end_with_us(&mut command, Signal::KILL);
    let output = command.output().map_err(|source| ClusterError::Run { path: program, source })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("could not look up effective user ID") {
        return Err(ClusterError::NoPasswdEntry { uid: run_as.uid() });
    }
    if said.contains("No space left on device") || said.contains("Disk quota exceeded") {
        return Err(ClusterError::DiskFull { path: fresh.to_owned(), detail: quote(&said) });
    }
    Err(ClusterError::Initdb { path: fresh.to_owned(), output: quote(&said) })
}

/// All of it on the disk, before its name says that it is whole.
#[cfg(target_os = "linux")]
fn sync(fresh: &Path) -> Result<(), ClusterError> {
    std::fs::File::open(fresh)
        .and_then(|folder| Ok(rustix::fs::syncfs(folder)?))
        .map_err(|source| ClusterError::file(fresh, source))
}

#[cfg(not(target_os = "linux"))]
fn sync(fresh: &Path) -> Result<(), ClusterError> {
    sync_folder(fresh)
}
