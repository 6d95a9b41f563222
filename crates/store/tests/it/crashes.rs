//! Kills: of Postgres, of us, of both. Nothing acknowledged is lost, nothing is left running.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use plimsoll_base::SystemClock;
use plimsoll_store::cluster::{Cluster, ClusterOptions};
use plimsoll_store::{DATABASE, OWNER_ROLE, Store, StoreOptions, StoreState};
use plimsoll_testkit::{ClusterProcess, ClusterProcessOptions, standing_in};
use rustix::process::{Pid, Signal, kill_process};
use sqlx::{Connection as _, PgConnection};

use crate::place::{connect, data, data_dir, refusal, root, start, until};
use crate::rooms::GARDEN;

/// What the whole promises.
const BACK_WITHIN: Duration = Duration::from_secs(5);

fn kill(pid: u32) {
    kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), Signal::KILL).unwrap();
}

/// Writes numbers one after the other until it is told to stop; the last acknowledged one.
async fn write_numbers(options: sqlx::postgres::PgConnectOptions, acknowledged: Arc<AtomicI64>) {
    let mut next = 1_i64;
    loop {
        let Ok(mut connection) = PgConnection::connect_with(&options).await else {
            tokio::time::sleep(Duration::from_millis(5)).await;
            continue;
        };
        // A row whose answer was lost may be there or not.
        let insert = "insert into numbers values ($1) on conflict do nothing";
        while sqlx::query(insert).bind(next).execute(&mut connection).await.is_ok() {
            acknowledged.store(next, Ordering::SeqCst);
            next += 1;
        }
    }
}

async fn missing(connection: &mut PgConnection, upto: i64) -> i64 {
    sqlx::query_scalar(
        "select count(*) from generate_series(1, $1) as wanted \
         where wanted not in (select n from numbers)",
    )
    .bind(upto)
    .fetch_one(connection)
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_postgres_is_back_and_has_every_row_it_acknowledged() {
    let folder = data_dir();
    let cluster = start(folder.path()).await;
    let mut connection = connect(&cluster).await;
    sqlx::query("create table numbers (n bigint primary key)")
        .execute(&mut connection)
        .await
        .unwrap();
    drop(connection);
    let acknowledged = Arc::new(AtomicI64::new(0));
    let options = cluster.connect_options(OWNER_ROLE, DATABASE);
    let mut writers = tokio::task::JoinSet::new();
    writers.spawn(write_numbers(options, Arc::clone(&acknowledged)));
    for round in 0..3 {
        let before = acknowledged.load(Ordering::SeqCst);
        until(Duration::from_secs(20), async || acknowledged.load(Ordering::SeqCst) > before + 50)
            .await;
        let killed = cluster.postmaster().unwrap();
        kill(killed);
        // The session that was open may still be answered by what the postmaster left behind.
        let back = async || cluster.postmaster().is_some_and(|pid| pid != killed);
        let took = until(BACK_WITHIN, back).await;
        let at = acknowledged.load(Ordering::SeqCst);
        let more = async || acknowledged.load(Ordering::SeqCst) > at + 1;
        let took = took + until(BACK_WITHIN - took, more).await;
        println!("round {round}: writes go on after {took:?}, {at} rows acknowledged");
    }
    writers.shutdown().await;
    let upto = acknowledged.load(Ordering::SeqCst);
    assert_eq!(missing(&mut connect(&cluster).await, upto).await, 0);
}

#[tokio::test]
async fn the_store_says_that_it_is_down_and_that_it_is_back() {
    let folder = data_dir();
    let store = Store::start(StoreOptions {
        data_dir: folder.path().to_owned(),
        database_url: None,
        owner_url: None,
        postgres_bin: None,
        clock: SystemClock::shared(),
        rooms: vec![GARDEN],
        control: tokio::runtime::Handle::current(),
    })
    .await
    .unwrap();
    let mut state = store.state();
    assert_eq!(*state.borrow(), StoreState::Ready);
    sqlx::query("insert into garden.plants (name) values ('fern')")
        .execute(store.pool())
        .await
        .unwrap();
    // What keeps watch may still be connecting; the cause is told all the same.
    kill(store.postmaster().await.unwrap());
    let down = state.wait_for(|now| matches!(now, StoreState::Down { .. })).await.unwrap().clone();
    let StoreState::Down { why, since_unix_ms } = down else { unreachable!("waited for it") };
    assert!(why.contains("killed by signal 9") && since_unix_ms > 0, "{why}");
    let ready = state.wait_for(|now| *now == StoreState::Ready);
    tokio::time::timeout(BACK_WITHIN, ready).await.unwrap().unwrap();
    // The pool notices by itself that its connections are dead.
    let plants: i64 = sqlx::query_scalar("select count(*) from garden.plants")
        .fetch_one(store.pool())
        .await
        .unwrap();
    assert_eq!(plants, 1);
    store.close().await;
}

#[tokio::test]
async fn killing_us_ends_postgres_and_the_next_start_is_prompt() {
    let folder = data_dir();
    let options = ClusterProcessOptions::default();
    for _ in 0..3 {
        let process = ClusterProcess::start(folder.path(), &options).unwrap();
        process.kill().unwrap();
        // At once: what is left is still on its way out.
        let clock = SystemClock::new();
        let began = plimsoll_base::Clock::now(&clock);
        let cluster = start(folder.path()).await;
        println!("started {:?} after a kill", plimsoll_base::Clock::now(&clock).since(began));
        connect(&cluster).await.ping().await.unwrap();
        cluster.stop().await;
    }
    let process = ClusterProcess::start(folder.path(), &options).unwrap();
    let postmaster = process.postmaster();
    assert!(standing_in(&data(folder.path())).unwrap().contains(&postmaster));
    process.kill().unwrap();
    let gone = async || standing_in(&data(folder.path())).unwrap().is_empty();
    let took = until(BACK_WITHIN, gone).await;
    println!("no orphan {took:?} after a kill");
}

#[tokio::test]
async fn killing_both_at_once_loses_nothing() {
    let folder = data_dir();
    let options = ClusterProcessOptions::default();
    let process = ClusterProcess::start(folder.path(), &options).unwrap();
    let running = Cluster::of_running(folder.path()).unwrap();
    let owner = running.connect_options(OWNER_ROLE, DATABASE);
    let mut connection = PgConnection::connect_with(&owner).await.unwrap();
    sqlx::query("create table numbers (n bigint primary key)")
        .execute(&mut connection)
        .await
        .unwrap();
    let acknowledged = Arc::new(AtomicI64::new(0));
    let mut writers = tokio::task::JoinSet::new();
    writers.spawn(write_numbers(owner, Arc::clone(&acknowledged)));
    until(Duration::from_secs(20), async || acknowledged.load(Ordering::SeqCst) > 50).await;
    kill(process.postmaster());
    process.kill().unwrap();
    writers.shutdown().await;
    let cluster = start(folder.path()).await;
    let upto = acknowledged.load(Ordering::SeqCst);
    assert_eq!(missing(&mut connect(&cluster).await, upto).await, 0);
}

#[tokio::test]
async fn an_orphan_that_does_not_end_by_itself_is_ended() {
    if !root("run a Postgres as another user") {
        return;
    }
    let folder = data_dir();
    start(folder.path()).await.stop().await;
    // As on a system without death signals: a Postgres that nobody supervises.
    let orphan = unsupervised(folder.path());
    let cluster = start(folder.path()).await;
    connect(&cluster).await.ping().await.unwrap();
    let postmaster = cluster.postmaster().unwrap();
    assert_ne!(postmaster, orphan.0.id());
    let standing = standing_in(&data(folder.path())).unwrap();
    assert!(standing.contains(&postmaster) && !standing.contains(&orphan.0.id()));
}

struct Orphan(Child);

impl Drop for Orphan {
    fn drop(&mut self) {
        let _ended_already = self.0.kill();
        let _collected = self.0.wait();
    }
}

fn unsupervised(data_dir: &Path) -> Orphan {
    use std::os::unix::fs::MetadataExt as _;
    use std::os::unix::process::CommandExt as _;
    let machine = plimsoll_store::cluster::BinarySearch::of_this_machine(None);
    let binaries = plimsoll_store::cluster::Binaries::find_all(&machine).unwrap();
    let data = data(data_dir);
    let owner = std::fs::metadata(&data).unwrap();
    let orphan = Command::new(binaries[0].program("postgres"))
        .arg("-D")
        .arg(&data)
        .args(["-c", "listen_addresses=", "-k"])
        .arg(data_dir.join("postgres/socket"))
        .current_dir(&data)
        .uid(owner.uid())
        .gid(owner.gid())
        .stderr(Stdio::null())
        .spawn()
        .map(Orphan)
        .unwrap();
    let pid_file = data.join("postmaster.pid");
    for _ in 0..500 {
        if std::fs::read_to_string(&pid_file).is_ok_and(|text| text.contains("ready")) {
            return orphan;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("the orphan did not start");
}

#[tokio::test]
async fn a_second_process_is_refused_and_harms_nothing() {
    let folder = data_dir();
    let first = ClusterProcess::start(folder.path(), &ClusterProcessOptions::default()).unwrap();
    let refused = refusal(folder.path()).await;
    assert!(refused.contains("in use by another Plimsoll (pid "), "{refused}");
    let running = Cluster::of_running(folder.path()).unwrap();
    let options = running.connect_options(OWNER_ROLE, DATABASE);
    PgConnection::connect_with(&options).await.unwrap().ping().await.unwrap();
    first.stop().unwrap();
    start(folder.path()).await;
}

#[tokio::test]
async fn a_cluster_half_made_is_made_again() {
    let folder = data_dir();
    let half = folder.path().join("postgres/data.new/base");
    std::fs::create_dir_all(&half).unwrap();
    std::fs::write(half.join("torn"), "torn").unwrap();
    let cluster = start(folder.path()).await;
    assert!(!half.exists());
    assert!(!data(folder.path()).join("base/torn").exists());
    cluster.stop().await;
}

#[tokio::test]
async fn a_pid_file_that_names_somebody_else_is_not_believed() {
    use std::os::unix::fs::MetadataExt as _;
    use std::os::unix::process::CommandExt as _;
    let folder = data_dir();
    let options = ClusterProcessOptions::default();
    let process = ClusterProcess::start(folder.path(), &options).unwrap();
    kill(process.postmaster());
    process.kill().unwrap();
    let gone = async || standing_in(&data(folder.path())).unwrap().is_empty();
    until(BACK_WITHIN, gone).await;
    // The id was given out again, to a process that Postgres itself would take for a postmaster.
    let owner = std::fs::metadata(data(folder.path())).unwrap();
    let mut command = Command::new("sleep");
    command.arg("60").current_dir("/");
    if rustix::process::geteuid().is_root() {
        command.uid(owner.uid()).gid(owner.gid());
    }
    let mut innocent = Orphan(command.spawn().unwrap());
    let pid_file = data(folder.path()).join("postmaster.pid");
    let socket_lock = folder.path().join("postgres/socket/.s.PGSQL.5432.lock");
    for path in [&pid_file, &socket_lock] {
        let text = std::fs::read_to_string(path).unwrap();
        let (_, rest) = text.split_once('\n').unwrap();
        std::fs::write(path, format!("{}\n{rest}", innocent.0.id())).unwrap();
    }
    let cluster = Cluster::start(ClusterOptions::new(folder.path())).await.unwrap();
    connect(&cluster).await.ping().await.unwrap();
    assert!(innocent.0.try_wait().unwrap().is_none(), "somebody else's process was ended");
}

#[tokio::test]
async fn a_zombie_does_not_hold_the_data() {
    if !root("run a Postgres as another user") {
        return;
    }
    let folder = data_dir();
    start(folder.path()).await.stop().await;
    // Killed, and not collected by its parent: this test.
    let zombie = unsupervised(folder.path());
    kill(zombie.0.id());
    let cluster = start(folder.path()).await;
    connect(&cluster).await.ping().await.unwrap();
}
