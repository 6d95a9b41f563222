//! A cluster that starts, stops and starts again.

use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;

use plimsoll_base::{Clock as _, SystemClock};
use plimsoll_store::cluster::{Cluster, ClusterError, ClusterState};
use plimsoll_store::{DATABASE, OWNER_ROLE, RUNTIME_ROLE, SUPERUSER_ROLE};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::place::{connect, data, data_dir, root, start};

#[tokio::test]
async fn it_starts_cold_and_warm_and_keeps_its_data() {
    let folder = data_dir();
    let clock = SystemClock::new();
    for run in 0..4_i64 {
        let began = clock.now();
        let cluster = start(folder.path()).await;
        println!("start {run}: {:?}", clock.now().since(began));
        let mut connection = connect(&cluster).await;
        for statement in ["create table if not exists t (n bigint)", "insert into t values (1)"] {
            sqlx::query(statement).execute(&mut connection).await.unwrap();
        }
        let rows: i64 =
            sqlx::query_scalar("select count(*) from t").fetch_one(&mut connection).await.unwrap();
        assert_eq!(rows, run + 1);
        connection.close().await.unwrap();
        let (state, began) = (cluster.state(), clock.now());
        cluster.stop().await;
        println!("stop {run}: {:?}", clock.now().since(began));
        assert_eq!(*state.borrow(), ClusterState::Stopped);
        assert!(!data(folder.path()).join("postmaster.pid").exists());
    }
}

#[tokio::test]
async fn it_is_set_up_as_promised() {
    let folder = data_dir();
    let cluster = start(folder.path()).await;
    let options = cluster.connect_options(SUPERUSER_ROLE, DATABASE);
    let mut connection = PgConnection::connect_with(&options).await.unwrap();
    for (setting, expected) in [
        ("listen_addresses", ""),
        ("fsync", "on"),
        ("synchronous_commit", "on"),
        ("full_page_writes", "on"),
        ("wal_level", "logical"),
        ("max_slot_wal_keep_size", "1GB"),
        ("data_checksums", "on"),
        ("server_encoding", "UTF8"),
        ("log_destination", "stderr"),
    ] {
        let value: String = sqlx::query_scalar("select current_setting($1)")
            .bind(setting)
            .fetch_one(&mut connection)
            .await
            .unwrap();
        assert_eq!(value, expected, "{setting}");
    }
    let collations: Vec<String> = sqlx::query_scalar("select distinct datcollate from pg_database")
        .fetch_all(&mut connection)
        .await
        .unwrap();
    assert_eq!(collations, ["C"]);
    let attributes: Vec<(String, bool, bool)> = sqlx::query_as(
        "select rolname::text, rolsuper, rolcreatedb or rolcreaterole or rolreplication \
         from pg_roles where rolname like 'plimsoll%' order by 1",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    let plain = |name: &str| (name.to_owned(), false, false);
    assert_eq!(attributes, [plain("plimsoll_owner"), plain("plimsoll_runtime")]);
    let socket_dir = std::fs::metadata(cluster.socket_dir()).unwrap();
    assert_eq!(socket_dir.mode() & 0o777, 0o700);
    let hba = std::fs::read_to_string(data(folder.path()).join("pg_hba.conf")).unwrap();
    assert!(!hba.contains("host"), "{hba}");
}

#[tokio::test]
async fn root_steps_down_and_lets_only_that_user_through() {
    if !root("step down") {
        return;
    }
    let folder = data_dir();
    let cluster = start(folder.path()).await;
    let owner = std::fs::metadata(data(folder.path())).unwrap();
    assert_ne!(owner.uid(), 0);
    let pid = cluster.postmaster().unwrap();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = |name: &str| status.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    let all_ids = format!("{0}\t{0}\t{0}\t{0}", owner.uid());
    assert!(line("Uid:").ends_with(&all_ids), "{status}");
    assert_eq!(line("Groups:").trim(), "Groups:", "none of root's groups goes along");
    let data_dir = std::fs::metadata(folder.path()).unwrap();
    assert_eq!((data_dir.uid(), data_dir.gid()), (0, owner.gid()));
    assert_eq!(data_dir.mode() & 0o777, 0o710);
}

#[tokio::test]
async fn another_user_who_passes_the_folder_does_not_become_one_of_our_roles() {
    if !root("be somebody else") {
        return;
    }
    let folder = data_dir();
    let cluster = start(folder.path()).await;
    cluster.create_database("mvp").await.unwrap();
    cluster.stop().await;
    // As an older version left it.
    let everybody = "local all all trust\nlocal replication all trust\n";
    std::fs::write(data(folder.path()).join("pg_hba.conf"), everybody).unwrap();
    let cluster = start(folder.path()).await;
    let owner = std::fs::metadata(data(folder.path())).unwrap();
    let ask = |role: &str, database: &str| {
        let output = std::process::Command::new(cluster.binaries().folder().join("psql"))
            .arg("-h")
            .arg(cluster.socket_dir())
            .args(["-U", role, "-d", database, "-Atc", "select current_user"])
            .current_dir("/")
            .uid(owner.uid())
            .gid(owner.gid())
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr)
    };
    for role in [SUPERUSER_ROLE, OWNER_ROLE, RUNTIME_ROLE] {
        let said = ask(role, DATABASE);
        assert!(said.contains("Peer authentication failed"), "{role}: {said}");
    }
    assert_eq!(ask("mvp", "mvp"), "mvp\n", "a role of the team's own in its own database");
    let said = ask("mvp", DATABASE);
    assert!(said.contains("no pg_hba.conf entry"), "{said}");
    let options = cluster.connect_options(OWNER_ROLE, DATABASE);
    PgConnection::connect_with(&options).await.unwrap();
}

#[tokio::test]
async fn a_database_for_somebody_else_is_made_once_and_is_theirs_alone() {
    let folder = data_dir();
    let cluster = start(folder.path()).await;
    let url = cluster.create_database("mvp").await.unwrap();
    assert_eq!(cluster.create_database("mvp").await.unwrap(), url);
    let mut connection = PgConnection::connect(&url).await.unwrap();
    for statement in ["create schema shop", "create table shop.t (n int)"] {
        sqlx::query(statement).execute(&mut connection).await.unwrap();
    }
    let other = cluster.create_database("other").await.unwrap();
    for (role, database) in [("mvp", DATABASE), ("other", "mvp"), (RUNTIME_ROLE, "mvp")] {
        let options = cluster.connect_options(role, database);
        let error = PgConnection::connect_with(&options).await.unwrap_err().to_string();
        let refused = ["permission denied for database", "no pg_hba.conf entry"];
        let refused = refused.iter().any(|words| error.contains(words));
        assert!(refused, "{role} {database}: {error}");
    }
    assert!(other.contains("/other?"), "{other}");
    // Beside a running server, as `plimsoll database create` is.
    let running = Cluster::of_running(folder.path()).unwrap();
    assert_eq!(running.create_database("mvp").await.unwrap(), url);
    assert!(Cluster::of_running(&folder.path().join("nothing")).is_none());
    for name in ["plimsoll", "x; drop", "A"] {
        let error = cluster.create_database(name).await.unwrap_err();
        assert!(matches!(error, ClusterError::DatabaseName { .. }), "{error}");
    }
}

#[tokio::test]
async fn two_may_ask_for_the_same_database_at_once() {
    let folder = data_dir();
    let cluster = start(folder.path()).await;
    let (one, other) = tokio::join!(cluster.create_database("mvp"), cluster.create_database("mvp"));
    assert_eq!(one.unwrap(), other.unwrap());
}

#[tokio::test]
async fn an_odd_or_long_path_is_no_hindrance() {
    let folder = data_dir();
    for name in ["a b, \"c\" 'd' %e", &"long/".repeat(30)] {
        let data_dir = folder.path().join(name);
        std::fs::create_dir_all(&data_dir).unwrap();
        if name.contains('/') {
            data_dir.ancestors().take(30).for_each(|folder| crate::place::mode(folder, 0o711));
        }
        crate::place::mode(folder.path(), 0o711);
        let cluster = start(&data_dir).await;
        let url = cluster.create_database("mvp").await.unwrap();
        let mut connection = PgConnection::connect(&url).await.unwrap();
        connection.ping().await.unwrap();
        let length = cluster.socket_dir().as_os_str().len();
        assert!(length + "/.s.PGSQL.5432".len() <= 107, "{length}");
        let again = Cluster::of_running(&data_dir).unwrap();
        assert_eq!(again.url("mvp", "mvp"), url);
        let socket_dir = cluster.socket_dir().to_owned();
        cluster.stop().await;
        if !socket_dir.starts_with(folder.path()) {
            std::fs::remove_dir(socket_dir).unwrap();
        }
    }
}

#[tokio::test]
async fn a_stop_ends_those_who_are_connected() {
    let folder = data_dir();
    let cluster = start(folder.path()).await;
    let mut connection = connect(&cluster).await;
    let mut sleeping = tokio::task::JoinSet::new();
    sleeping.spawn(async move {
        let sleep = AssertSqlSafe("select pg_sleep(60)".to_owned());
        sqlx::query(sleep).execute(&mut connection).await.map(drop)
    });
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    let clock = SystemClock::new();
    let began = clock.now();
    cluster.stop().await;
    assert!(clock.now().since(began).as_secs() < 10);
    assert!(sleeping.join_next().await.unwrap().unwrap().is_err());
}
