//! What cannot work is refused with what to do, and nothing is torn.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use plimsoll_store::cluster::{BinarySearch, Cluster, ClusterOptions};
use plimsoll_store::{DATABASE, OWNER_ROLE};
use plimsoll_testkit::{ClusterProcess, ClusterProcessOptions, Mounted};
use sqlx::{Connection as _, PgConnection};

use crate::place::{connect, data, data_dir, mode, refusal, root, start, until};

/// A user id without a name on any machine, hopefully.
const NAMELESS: u32 = 54_321;

#[tokio::test]
async fn without_binaries_the_package_is_named() {
    let folder = data_dir();
    let mut options = ClusterOptions::new(folder.path());
    options.search = BinarySearch { named: None, path: Some(String::new()), usual_folders: false };
    let refused = Cluster::start(options).await.unwrap_err().to_string();
    assert!(refused.contains("install") && refused.contains("postgresql"), "{refused}");
    assert!(!folder.path().join("postgres").exists(), "nothing was begun");
}

#[tokio::test]
async fn data_of_another_version_is_refused_with_the_way_out_and_left_alone() {
    let folder = data_dir();
    start(folder.path()).await.stop().await;
    let file = data(folder.path()).join("PG_VERSION");
    let real = std::fs::read(&file).unwrap();
    std::fs::write(&file, "99\n").unwrap();
    let refused = refusal(folder.path()).await;
    for words in ["made by PostgreSQL 99", "backup", "restore", "install"] {
        assert!(refused.contains(words), "{refused}");
    }
    std::fs::write(&file, "").unwrap();
    assert!(refusal(folder.path()).await.contains("PG_VERSION is empty"));
    std::fs::remove_file(&file).unwrap();
    assert!(refusal(folder.path()).await.contains("PG_VERSION is missing"));
    std::fs::write(&file, real).unwrap();
    start(folder.path()).await;
}

#[tokio::test]
async fn a_folder_that_the_user_cannot_reach_is_named() {
    if !root("step down") {
        return;
    }
    let folder = data_dir();
    let inner = folder.path().join("plimsoll");
    std::fs::create_dir(&inner).unwrap();
    let refused = refusal(&inner).await;
    let mends = format!("`chmod o+x {}` mends it", folder.path().display());
    assert!(refused.contains(&mends) && refused.contains("--data-dir"), "{refused}");
    mode(folder.path(), 0o711);
    start(&inner).await;
}

#[tokio::test]
async fn roots_home_is_refused() {
    let home = Path::new("/root");
    let closed = std::fs::metadata(home).is_ok_and(|found| found.mode() & 0o001 == 0);
    if !root("step down") || !closed {
        println!("skipped: root's home is open here");
        return;
    }
    let folder = tempfile::tempdir_in(home).unwrap();
    let refused = refusal(folder.path()).await;
    assert!(refused.contains("root's home") && refused.contains("--data-dir"), "{refused}");
}

#[tokio::test]
async fn data_that_belongs_to_root_or_to_another_is_refused() {
    if !root("give files away") {
        return;
    }
    let folder = data_dir();
    start(folder.path()).await.stop().await;
    std::os::unix::fs::chown(data(folder.path()), Some(0), Some(0)).unwrap();
    let refused = refusal(folder.path()).await;
    assert!(refused.contains("chown -R"), "{refused}");
}

#[tokio::test]
async fn a_user_without_a_name_is_told_what_is_missing() {
    if !root("run as somebody else") {
        return;
    }
    let folder = data_dir();
    std::os::unix::fs::chown(folder.path(), Some(NAMELESS), Some(NAMELESS)).unwrap();
    let options = ClusterProcessOptions { user: Some((NAMELESS, NAMELESS)), ..Default::default() };
    let Some(refused) = refused_as(folder.path(), &options) else { return };
    assert!(refused.contains("no entry in /etc/passwd"), "{refused}");
    assert!(refused.contains("DATABASE_URL"), "{refused}");
    assert!(!folder.path().join("postgres/data.new").exists());
}

#[tokio::test]
async fn an_ordinary_user_needs_no_root() {
    if !root("run as somebody else") {
        return;
    }
    let folder = data_dir();
    let nobody = (65_534, 65_534);
    std::os::unix::fs::chown(folder.path(), Some(nobody.0), Some(nobody.1)).unwrap();
    let options = ClusterProcessOptions { user: Some(nobody), ..Default::default() };
    match ClusterProcess::start(folder.path(), &options) {
        Ok(process) => process.stop().unwrap(),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            println!("skipped: the programs of the tests lie where others cannot run them");
        }
        Err(error) => panic!("{error}"),
    }
    assert_eq!(std::fs::metadata(data(folder.path())).unwrap().uid(), nobody.0);
}

#[tokio::test]
async fn a_directory_that_cannot_be_written_is_refused() {
    if !root("run as somebody else") {
        return;
    }
    let folder = data_dir();
    let nobody = (65_534, 65_534);
    std::os::unix::fs::chown(folder.path(), Some(nobody.0), Some(nobody.1)).unwrap();
    mode(folder.path(), 0o500);
    let options = ClusterProcessOptions { user: Some(nobody), ..Default::default() };
    let Some(refused) = refused_as(folder.path(), &options) else { return };
    assert!(refused.contains("cannot write in") && refused.contains("--data-dir"), "{refused}");
    if let Some(mounted) = Mounted::small(65536).unwrap() {
        mounted.remount("ro").unwrap();
        let refused = refusal(mounted.path()).await;
        assert!(refused.contains("cannot write in"), "{refused}");
    }
}

/// What it says as another user; `None`, with a reason printed, where that user cannot even run
/// our programs.
fn refused_as(data_dir: &Path, options: &ClusterProcessOptions) -> Option<String> {
    let error = ClusterProcess::start(data_dir, options).unwrap_err();
    if error.kind() == std::io::ErrorKind::PermissionDenied {
        println!("skipped: the programs of the tests lie where others cannot run them");
        return None;
    }
    Some(error.to_string())
}

#[tokio::test]
async fn a_full_disk_is_refused_and_leaves_nothing_half_made() {
    let Some(mounted) = Mounted::small(16384).unwrap() else { return };
    let refused = refusal(mounted.path()).await;
    assert!(refused.contains("no space left"), "{refused}");
    assert!(!mounted.path().join("postgres/data.new").exists());
    assert!(!mounted.path().join("postgres/data").exists());
    mounted.remount("size=200m").unwrap();
    start(mounted.path()).await;
}

#[tokio::test]
async fn a_disk_that_fills_up_loses_no_row_that_was_acknowledged() {
    let Some(mounted) = Mounted::small(92160).unwrap() else { return };
    let cluster = start(mounted.path()).await;
    let mut connection = connect(&cluster).await;
    sqlx::query("create table numbers (n bigint, filling text)")
        .execute(&mut connection)
        .await
        .unwrap();
    let insert = "insert into numbers select $1, string_agg(md5(random()::text), '') \
                  from generate_series(1, 3000)";
    let mut acknowledged = 0_i64;
    while sqlx::query(insert).bind(acknowledged + 1).execute(&mut connection).await.is_ok() {
        acknowledged += 1;
        assert!(acknowledged < 10_000, "the disk does not fill");
    }
    println!("{acknowledged} rows until the disk was full");
    drop(connection);
    mounted.remount("size=400m").unwrap();
    // Postgres begins again by itself, a little after it said so to whoever was connected.
    let options = cluster.connect_options(OWNER_ROLE, DATABASE);
    let mut rows = -1_i64;
    until(Duration::from_secs(20), async || {
        let Ok(mut connection) = PgConnection::connect_with(&options).await else { return false };
        let count = "select count(*) from numbers where n <= $1";
        let count = sqlx::query_scalar(count).bind(acknowledged);
        let counted = count.fetch_one(&mut connection).await;
        counted.map(|counted| rows = counted).is_ok()
    })
    .await;
    assert_eq!(rows, acknowledged);
}
