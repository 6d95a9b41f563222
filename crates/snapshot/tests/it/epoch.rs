use std::sync::{Arc, Mutex};
use std::time::Duration;

use plimsoll_base::{Clock as _, ManualClock, SharedClock, SystemClock};
use plimsoll_snapshot::{
    Change, Contact, Dynamic, Followed, Following, Item, NodeReport, PublishError, ROOM, Saved,
    follow, nodes, publish, sweep,
};
use plimsoll_testkit::database::Database;
use tokio::sync::watch;
use uuid::Uuid;

fn change(key: &str, body: Option<u32>) -> Change {
    Change { room: "flags", key: key.to_owned(), body: body.map(Into::into), expires_unix_s: None }
}

async fn put(database: &Database, changes: &[Change]) -> u64 {
    let mut tx = database.runtime.begin().await.unwrap();
    let epoch = publish(&mut tx, changes).await.unwrap();
    tx.commit().await.unwrap();
    epoch
}

#[expect(clippy::disallowed_methods, reason = "a test's own tasks end with it")]
fn background(task: impl Future<Output = ()> + Send + 'static) -> tokio::task::JoinHandle<()> {
    tokio::task::spawn(task)
}

/// A node in the making: what it has applied, and how to stop it.
struct Node {
    applied: Arc<Mutex<Vec<Arc<Dynamic>>>>,
    state: watch::Receiver<Followed>,
    stop: watch::Sender<bool>,
    saved: Saved,
    id: Uuid,
    _folder: tempfile::TempDir,
}

fn node(database: &Database, name: &str) -> Node {
    node_with(database, name, SystemClock::shared())
}

fn node_with(database: &Database, name: &str, clock: SharedClock) -> Node {
    let folder = tempfile::tempdir().unwrap();
    let saved = Saved::at(folder.path());
    let report = NodeReport {
        id: Uuid::now_v7(),
        name: name.to_owned(),
        roles: "all".to_owned(),
        version: "0.1.0".to_owned(),
        manifest_hash: "h".to_owned(),
        started_unix_ms: 1_000,
    };
    let id = report.id;
    let (_, report) = watch::channel(report);
    let (stop, stopped) = watch::channel(false);
    let (said, state) = watch::channel(Followed::from_disk(0));
    let applied: Arc<Mutex<Vec<Arc<Dynamic>>>> = Arc::default();
    let following =
        Following { pool: database.runtime.clone(), node: report, clock, saved: saved.clone() };
    let take = Arc::clone(&applied);
    let apply = move |dynamic: &Arc<Dynamic>| take.lock().unwrap().push(Arc::clone(dynamic));
    let start = saved.read().unwrap().unwrap_or_default();
    background(follow(following, start, apply, said, stopped));
    Node { applied, state, stop, saved, id, _folder: folder }
}

impl Node {
    async fn reaches(&mut self, epoch: u64) {
        let reached =
            self.state.wait_for(|state| state.epoch >= epoch && state.contact == Contact::Known);
        tokio::time::timeout(Duration::from_secs(10), reached).await.unwrap().unwrap();
    }

    fn keys(&self) -> Vec<String> {
        let applied = self.applied.lock().unwrap();
        let last = applied.last().unwrap();
        last.of_room("flags", 0).map(|item: &Item| item.key.clone()).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn three_nodes_have_a_change_within_a_second_and_write_it_back() {
    let database = Database::new(&[ROOM]).await;
    let mut three: Vec<Node> = ["a", "b", "c"].iter().map(|name| node(&database, name)).collect();
    for one in &mut three {
        one.reaches(0).await;
    }
    let clock = SystemClock::new();
    let begun = clock.now();
    let epoch = put(&database, &[change("x", Some(1))]).await;
    for one in &mut three {
        one.reaches(epoch).await;
        assert_eq!(one.keys(), ["x"]);
        assert_eq!(one.saved.read().unwrap().unwrap().epoch(), epoch);
    }
    let took = clock.now().since(begun);
    assert!(took < Duration::from_secs(1), "{took:?}");
    let (in_force, rows) = nodes(&database.runtime).await.unwrap();
    assert_eq!(in_force, epoch);
    let told: Vec<_> = rows.iter().map(|row| (&*row.report.name, row.epoch)).collect();
    assert_eq!(told, [("a", epoch), ("b", epoch), ("c", epoch)]);
    assert!(rows.iter().all(|row| row.applied_ago_ms < 5_000 && row.seen_ago_ms < 5_000));
    assert!(three.iter().all(|one| rows.iter().any(|row| row.report.id == one.id)));
    for one in &three {
        one.stop.send(true).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_taken_back_is_gone_everywhere_and_nothing_is_half_applied() {
    let database = Database::new(&[ROOM]).await;
    let mut one = node(&database, "a");
    let first = put(&database, &[change("x", Some(1)), change("y", Some(1))]).await;
    let second = put(&database, &[change("x", None), change("z", Some(1))]).await;
    assert_eq!(second, first + 1);
    one.reaches(second).await;
    assert_eq!(one.keys(), ["y", "z"]);
    let halves = one.applied.lock().unwrap().iter().any(|dynamic| {
        let keys: Vec<_> = dynamic.of_room("flags", 0).map(|item| item.key.clone()).collect();
        keys.contains(&"x".to_owned()) == keys.contains(&"z".to_owned()) && !keys.is_empty()
    });
    assert!(!halves, "x goes in the moment in which z comes");
}

#[tokio::test(flavor = "multi_thread")]
async fn epochs_follow_the_order_of_commits_however_many_publish() {
    let database = Database::new(&[ROOM]).await;
    let mut one = node(&database, "a");
    let writers = (0..8).map(|writer| {
        let pool = database.runtime.clone();
        background(async move {
            for number in 0..25 {
                let mut tx = pool.begin().await.unwrap();
                let key = format!("w{writer}-{number:02}");
                publish(&mut tx, &[change(&key, Some(number))]).await.unwrap();
                if number % 5 == 4 {
                    tx.rollback().await.unwrap();
                } else {
                    tx.commit().await.unwrap();
                }
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    one.reaches(8 * 20).await;
    assert_eq!(one.keys().len(), 8 * 20);
    let epochs: Vec<u64> = one.applied.lock().unwrap().iter().map(|d| d.epoch()).collect();
    assert!(epochs.is_sorted(), "{epochs:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_connections_are_cut_says_so_and_catches_up() {
    let database = Database::new(&[ROOM]).await;
    let mut one = node(&database, "a");
    one.reaches(0).await;
    let cut = "select pg_terminate_backend(pid) from pg_stat_activity \
               where datname = current_database() and usename = 'plimsoll_runtime'";
    let deny = format!("revoke connect on database {} from public", database.name);
    let allow = format!("grant connect on database {} to public", database.name);
    // The superuser's own connection stays.
    let mut superuser = database.superuser.acquire().await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(deny)).execute(&mut *superuser).await.unwrap();
    sqlx::raw_sql(cut).execute(&mut *superuser).await.unwrap();
    let lost = one.state.wait_for(|state| matches!(state.contact, Contact::Lost { .. }));
    tokio::time::timeout(Duration::from_secs(10), lost).await.unwrap().unwrap();
    publish(&mut superuser, &[change("meanwhile", Some(1))]).await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(allow)).execute(&mut *superuser).await.unwrap();
    one.reaches(1).await;
    assert_eq!(one.keys(), ["meanwhile"]);
}

#[tokio::test]
async fn what_is_too_much_is_refused_and_changes_nothing() {
    let database = Database::new(&[ROOM]).await;
    let mut tx = database.runtime.begin().await.unwrap();
    let many: Vec<Change> = (0..1_001).map(|n| change(&n.to_string(), Some(1))).collect();
    assert!(matches!(publish(&mut tx, &many).await, Err(PublishError::Bound(_))));
    let mut large = change("large", None);
    large.body = Some("x".repeat(70_000).into());
    assert!(matches!(publish(&mut tx, &[large]).await, Err(PublishError::Bound(_))));
    tx.commit().await.unwrap();
    assert_eq!(nodes(&database.runtime).await.unwrap().0, 0);
}

#[tokio::test]
async fn what_expired_long_ago_is_swept() {
    let database = Database::new(&[ROOM]).await;
    let mut old = change("old", Some(1));
    old.expires_unix_s = Some(1_000);
    put(&database, &[old, change("new", Some(1))]).await;
    sweep(&database.runtime).await.unwrap();
    let left: i64 = sqlx::query_scalar("select count(*) from snapshot.items")
        .fetch_one(&database.runtime)
        .await
        .unwrap();
    assert_eq!(left, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_expires_is_dropped_although_no_epoch_says_so() {
    let database = Database::new(&[ROOM]).await;
    let now = SystemClock::new().unix_seconds();
    let clock = Arc::new(ManualClock::at_unix_ms(now * 1_000));
    let mut one = node_with(&database, "a", Arc::clone(&clock) as SharedClock);
    let mut mortal = change("mortal", Some(1));
    mortal.expires_unix_s = Some(now + 3_600);
    let epoch = put(&database, &[mortal, change("other", Some(1))]).await;
    one.reaches(epoch).await;
    assert_eq!(one.applied.lock().unwrap().last().unwrap().len(), 2);
    clock.advance(Duration::from_secs(3_601));
    let dropped = async {
        while one.applied.lock().unwrap().last().unwrap().len() == 2 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), dropped).await.unwrap();
    assert_eq!(one.keys(), ["other"]);
    let saved = one.saved.read().unwrap().unwrap();
    assert_eq!((saved.len(), saved.epoch()), (1, epoch));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_epoch_is_written_back_only_once_it_is_obeyed() {
    let database = Database::new(&[ROOM]).await;
    let report = NodeReport {
        id: Uuid::now_v7(),
        name: "slow".to_owned(),
        roles: "all".to_owned(),
        version: "0.1.0".to_owned(),
        manifest_hash: "h".to_owned(),
        started_unix_ms: 1_000,
    };
    let (_report, node) = watch::channel(report);
    let (_stop, stopped) = watch::channel(false);
    let (said, mut state) = watch::channel(Followed::from_disk(0));
    let folder = tempfile::tempdir().unwrap();
    let following = Following {
        pool: database.runtime.clone(),
        node,
        clock: SystemClock::shared(),
        saved: Saved::at(folder.path()),
    };
    let (begun, obeying) = std::sync::mpsc::sync_channel::<u64>(8);
    let (go, may) = std::sync::mpsc::sync_channel::<()>(8);
    let may = Mutex::new(may);
    let apply = move |dynamic: &Arc<Dynamic>| {
        begun.send(dynamic.epoch()).unwrap();
        tokio::task::block_in_place(|| may.lock().unwrap().recv().unwrap());
    };
    background(follow(following, Dynamic::default(), apply, said, stopped));
    assert_eq!(obeying.recv().unwrap(), 0);
    go.send(()).unwrap();
    state.wait_for(|state| state.contact == Contact::Known).await.unwrap();
    let epoch = put(&database, &[change("x", Some(1))]).await;
    assert_eq!(obeying.recv().unwrap(), epoch);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let (_, rows) = nodes(&database.runtime).await.unwrap();
    assert_eq!((rows[0].epoch, state.borrow().epoch), (0, 0), "it is not obeyed yet");
    go.send(()).unwrap();
    state.wait_for(|state| state.epoch == epoch).await.unwrap();
    assert_eq!(nodes(&database.runtime).await.unwrap().1[0].epoch, epoch);
}

#[tokio::test]
async fn migrations_are_harmless_and_a_second_run_applies_nothing() {
    assert_eq!(plimsoll_store::lint::lint(&ROOM), []);
    let database = Database::new(&[ROOM]).await;
    let role = Some(plimsoll_store::RUNTIME_ROLE);
    let again = plimsoll_store::migrate(&database.owner, &[ROOM], role).await.unwrap();
    assert!(!again.any(), "{again:?}");
}
