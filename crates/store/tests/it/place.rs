//! Places for clusters, and questions to them.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
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
