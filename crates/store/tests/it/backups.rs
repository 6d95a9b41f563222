//! Backup, destruction, restore; and archives that are not what they should be.

use std::path::{Path, PathBuf};

use plimsoll_base::SystemClock;
use plimsoll_manifest::env::Secret;
use plimsoll_store::backup::{
    BackupError, BackupOptions, BackupReport, RestoreOptions, RestoreReport, Source, backup,
    restore,
};
use plimsoll_store::cluster::BinarySearch;
use plimsoll_store::{OWNER_ROLE, RUNTIME_ROLE, Room};
use plimsoll_testkit::database::Database;

use crate::place::data_dir;
use crate::rooms::{GARDEN, garden_of};

fn source(database: &Database) -> Source {
    let url = Secret::from(database.url(OWNER_ROLE));
    Source::of_url("PLIMSOLL_DATABASE_OWNER_URL", &url).unwrap()
}

fn backup_options(out: &Path, rooms: &[Room]) -> BackupOptions {
    BackupOptions {
        out: out.to_owned(),
        extra: Vec::new(),
        rooms: rooms.to_vec(),
        plimsoll: "0.1.0".to_owned(),
        search: BinarySearch::of_this_machine(None),
        clock: SystemClock::shared(),
    }
}

fn restore_options(archive: &Path, rooms: &[Room]) -> RestoreOptions {
    RestoreOptions {
        archive: archive.to_owned(),
        replace: false,
        extra_into: None,
        scratch: archive.parent().unwrap().to_owned(),
        rooms: rooms.to_vec(),
        runtime_role: Some(RUNTIME_ROLE.to_owned()),
        search: BinarySearch::of_this_machine(None),
    }
}

async fn fill(database: &Database) {
    for statement in [
        "insert into garden.plants (name) select 'plant ' || n from generate_series(1, 20000) n",
        "insert into garden.diary (said) values \
         (E'tab\\there, back\\\\slash, line\\nbreak, \\\\.'), ('COPY x FROM stdin;'), ('ü€😀')",
    ] {
        sqlx::query(statement).execute(&database.owner).await.unwrap();
    }
}

/// Every row, in one figure, and how the identities go on.
async fn content(database: &Database) -> String {
    sqlx::query_scalar(
        "select md5((select string_agg(p::text, '|' order by id) from garden.plants p) \
         || (select string_agg(d::text, '|' order by id) from garden.diary d)) \
         || (select last_value from garden.plants_id_seq)",
    )
    .fetch_one(&database.owner)
    .await
    .unwrap()
}

/// A filled database and its archive.
async fn archived(folder: &Path) -> (Database, BackupReport) {
    let database = Database::new(&[GARDEN]).await;
    fill(&database).await;
    let report = backup(&source(&database), backup_options(folder, &[GARDEN])).await.unwrap();
    (database, report)
}

async fn restored(database: &Database, options: RestoreOptions) -> RestoreReport {
    // What the test itself used counts as in use.
    database.owner.close().await;
    database.runtime.close().await;
    restore(&source(database), options).await.unwrap()
}

#[tokio::test]
async fn what_was_backed_up_comes_back() {
    let folder = data_dir();
    let (database, report) = archived(folder.path()).await;
    let before = content(&database).await;
    let name = report.path.file_name().unwrap().to_str().unwrap();
    assert!(name.starts_with("plimsoll-2") && name.ends_with("Z.tar"), "{name}");
    assert_eq!(report.manifest.rooms[0].version, 20_261_102_000_000);
    assert_eq!(mode_of(&report.path), 0o600);

    // Into an empty database …
    let empty = Database::new(&[]).await;
    let options = restore_options(&report.path, &[GARDEN]);
    let done = restored(&empty, options.clone()).await;
    assert!(done.rows >= 20_003 && done.replaced.is_empty(), "{done:?}");
    let reopened = empty.reopened();
    assert_eq!(content(&reopened).await, before);
    // … where grants are as they were, and identities go on.
    let runtime = sqlx::PgPool::connect(&empty.url(RUNTIME_ROLE)).await.unwrap();
    sqlx::query("insert into garden.plants (name) values ('next')")
        .execute(&runtime)
        .await
        .unwrap();
    let denied = sqlx::query("delete from garden.diary").execute(&runtime).await;
    assert!(denied.unwrap_err().to_string().contains("permission denied"));
    runtime.close().await;

    // … and over a destroyed one only when told.
    sqlx::query("delete from garden.plants").execute(&database.owner).await.unwrap();
    database.owner.close().await;
    let refused = restore(&source(&database), options.clone()).await.unwrap_err();
    assert!(matches!(refused, BackupError::NotEmpty { .. }), "{refused}");
    let done = restored(&database, RestoreOptions { replace: true, ..options }).await;
    assert_eq!(done.replaced, ["garden"]);
    assert_eq!(content(&database.reopened()).await, before);
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().flatten().collect();
    assert_eq!(left.len(), 1, "nothing but the archive stays: {left:?}");
}

fn mode_of(path: &Path) -> u32 {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata(path).unwrap().mode() & 0o777
}

#[tokio::test]
async fn an_older_backup_goes_over_newer_migrations_and_is_migrated_again() {
    let folder = data_dir();
    let first = (1, "create table garden.a (n int)");
    let (old, new) =
        (garden_of(&[first]), garden_of(&[first, (2, "create table garden.b (n int)")]));
    let database = Database::new(&[old]).await;
    sqlx::query("insert into garden.a values (7)").execute(&database.owner).await.unwrap();
    let report = backup(&source(&database), backup_options(folder.path(), &[old])).await.unwrap();
    let target = Database::new(&[new]).await;
    sqlx::query("insert into garden.b values (8)").execute(&target.owner).await.unwrap();
    let options = RestoreOptions { replace: true, ..restore_options(&report.path, &[new]) };
    let done = restored(&target, options).await;
    assert_eq!(done.migrated.rooms[0].applied, [2]);
    // And the other way round, with a sentence.
    let report = backup(&source(&target), backup_options(&folder.path().join("new.tar"), &[new]))
        .await
        .unwrap();
    let refused = restore(&source(&database), restore_options(&report.path, &[old])).await;
    let text = refused.unwrap_err().to_string();
    assert!(text.contains("garden has migration 2, known here is 1"), "{text}");
}

#[tokio::test]
async fn a_damaged_archive_is_named_and_touches_nothing() {
    let folder = data_dir();
    let (database, report) = archived(folder.path()).await;
    let before = content(&database).await;
    database.owner.close().await;
    let whole = std::fs::read(&report.path).unwrap();
    let at = |part: &[u8]| whole.windows(part.len()).position(|w| w == part).unwrap();
    let dump = at(b"PGDMP");
    let flipped = |index: usize| {
        let mut bytes = whole.clone();
        bytes[index] ^= 1;
        bytes
    };
    let damages: [(&str, Vec<u8>); 6] = [
        ("a bit of the dump", flipped(dump + 3_000)),
        ("the last bit of the dump", flipped(dump + part_bytes(&report) - 1)),
        ("cut short", whole[..whole.len() / 2].to_vec()),
        ("the manifest", flipped(at(b"\"format\"") + 1)),
        ("empty", Vec::new()),
        ("something else", b"hello".repeat(1_000)),
    ];
    for (what, bytes) in damages {
        let path = folder.path().join("damaged.tar");
        std::fs::write(&path, bytes).unwrap();
        let options = RestoreOptions { replace: true, ..restore_options(&path, &[GARDEN]) };
        let error = restore(&source(&database), options).await.unwrap_err();
        let ours = matches!(error, BackupError::Damaged { .. } | BackupError::NotOurs { .. });
        assert!(ours && error.to_string().contains("damaged.tar"), "{what}: {error}");
    }
    assert_eq!(content(&database.reopened()).await, before);
}

fn part_bytes(report: &BackupReport) -> usize {
    usize::try_from(report.manifest.parts[0].bytes).unwrap()
}

#[tokio::test]
async fn a_restore_that_fails_half_way_leaves_the_database_as_it_was() {
    let folder = data_dir();
    let (database, report) = archived(folder.path()).await;
    let before = content(&database).await;
    // Something in the way that only shows while the script runs: the role may not make schemas.
    let revoke = format!("alter database {} owner to postgres", database.name);
    sqlx::raw_sql(sqlx::AssertSqlSafe(revoke)).execute(&database.superuser).await.unwrap();
    database.owner.close().await;
    database.superuser.close().await;
    let options = RestoreOptions { replace: true, ..restore_options(&report.path, &[GARDEN]) };
    let error = restore(&source(&database), options).await.unwrap_err();
    assert!(matches!(error, BackupError::Database(_)), "{error}");
    assert_eq!(content(&database.reopened()).await, before);
}

#[tokio::test]
async fn files_handed_in_come_back_and_nothing_is_overwritten() {
    let folder = data_dir();
    let database = Database::new(&[GARDEN]).await;
    let checkpoint = folder.path().join("checkpoints.log");
    std::fs::write(&checkpoint, "size 7").unwrap();
    let out = folder.path().join("b.tar");
    let options =
        BackupOptions { extra: vec![checkpoint.clone()], ..backup_options(&out, &[GARDEN]) };
    backup(&source(&database), options.clone()).await.unwrap();
    let again = backup(&source(&database), options.clone()).await.unwrap_err();
    assert!(matches!(again, BackupError::Exists(_)), "{again}");
    let twice = BackupOptions {
        out: folder.path().join("c.tar"),
        extra: vec![checkpoint.clone(), checkpoint.clone()],
        ..options
    };
    let error = backup(&source(&database), twice).await.unwrap_err();
    assert!(matches!(error, BackupError::SameName(_)), "{error}");
    assert!(!folder.path().join("c.tar").exists());

    let target = Database::new(&[]).await;
    let into = |path: &Path| RestoreOptions {
        extra_into: Some(path.to_owned()),
        ..restore_options(&out, &[GARDEN])
    };
    let error = restore(&source(&target), into(folder.path())).await.unwrap_err();
    assert!(matches!(error, BackupError::Exists(_)), "{error}");
    let place: PathBuf = folder.path().join("place");
    std::fs::create_dir(&place).unwrap();
    let done = restore(&source(&target), into(&place)).await.unwrap();
    assert_eq!(done.extra, [place.join("checkpoints.log")]);
    assert_eq!(std::fs::read_to_string(&done.extra[0]).unwrap(), "size 7");
}

#[tokio::test]
async fn nothing_is_restored_under_a_running_plimsoll_and_nothing_backed_up_of_nothing() {
    let folder = data_dir();
    let empty = Database::new(&[]).await;
    let error =
        backup(&source(&empty), backup_options(folder.path(), &[GARDEN])).await.unwrap_err();
    assert!(matches!(error, BackupError::Nothing), "{error}");
    let (database, report) = archived(folder.path()).await;
    let in_use = database.runtime.acquire().await.unwrap();
    let options = RestoreOptions { replace: true, ..restore_options(&report.path, &[GARDEN]) };
    let error = restore(&source(&database), options).await.unwrap_err();
    assert!(matches!(error, BackupError::InUse { .. }), "{error}");
    drop(in_use);
}
