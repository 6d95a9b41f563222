//! Places for clusters, and questions to them.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use plimsoll_base::{Clock as _, SystemClock};
use plimsoll_store::cluster::{Cluster, ClusterOptions};
use plimsoll_store::{DATABASE, OWNER_ROLE};
use sqlx::{Connection as _, PgConnection};

/// A fresh data directory, closed to everybody else.
pub(crate) fn data_dir() -> tempfile::TempDir {
    let folder = tempfile::Builder::new().prefix("plimsoll-store-").tempdir().unwrap();
    mode(folder.path(), 0o700);
    folder
}

pub(crate) async fn start(data_dir: &Path) -> Cluster {
    Cluster::start(ClusterOptions::new(data_dir)).await.unwrap()
}

/// What is said when it does not start.
pub(crate) async fn refusal(data_dir: &Path) -> String {
    Cluster::start(ClusterOptions::new(data_dir)).await.unwrap_err().to_string()
}

pub(crate) async fn connect(cluster: &Cluster) -> PgConnection {
    PgConnection::connect_with(&cluster.connect_options(OWNER_ROLE, DATABASE)).await.unwrap()
}

/// The folder of the data itself.
pub(crate) fn data(data_dir: &Path) -> PathBuf {
    data_dir.join("postgres/data")
}

pub(crate) fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// Whether this runs as root; says so where a test needs it and has it not.
pub(crate) fn root(what: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        println!("skipped: only root can {what}");
    }
    root
}

/// A small file system, unmounted when it is dropped; `None`, with a reason printed, where nothing
/// may be mounted.
pub(crate) struct Mounted(tempfile::TempDir);

impl Mounted {
    pub(crate) fn small(megabytes: u32) -> Option<Self> {
        if !root("mount a small file system") {
            return None;
        }
        let folder = data_dir();
        let size = format!("size={megabytes}m,mode=0711");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "none"])
            .arg(folder.path())
            .output()
            .unwrap();
        if !mounted.status.success() {
            println!("skipped: {}", String::from_utf8_lossy(&mounted.stderr).trim());
            return None;
        }
        Some(Self(folder))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn remount(&self, options: &str) {
        let options = format!("remount,{options}");
        let done = Command::new("mount").args(["-o", &options]).arg(self.path()).status().unwrap();
        assert!(done.success());
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(self.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()));
    }
}

/// Asks until the answer is yes; how long that took.
pub(crate) async fn until(within: Duration, mut yes: impl AsyncFnMut() -> bool) -> Duration {
    let clock = SystemClock::new();
    let began = clock.now();
    while !yes().await {
        let waited = clock.now().since(began);
        assert!(waited < within, "not within {within:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    clock.now().since(began)
}
