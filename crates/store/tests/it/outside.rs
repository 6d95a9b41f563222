//! A database elsewhere: down at the start, up later, gone again.

use std::time::Duration;

use plimsoll_base::SystemClock;
use plimsoll_manifest::env::Secret;
use plimsoll_store::cluster::Cluster;
use plimsoll_store::{
    DATABASE, OWNER_ROLE, RUNTIME_ROLE, SUPERUSER_ROLE, Store, StoreError, StoreOptions,
    StoreState, Weight,
};
use plimsoll_testkit::database::Database;

use crate::place::{data_dir, start};
use crate::rooms::{GARDEN, garden_of};

const SOON: Duration = Duration::from_secs(10);

fn options(folder: &std::path::Path, url: String, owner: Option<String>) -> StoreOptions {
    StoreOptions {
        data_dir: folder.to_owned(),
        database_url: Some(Secret::from(url)),
        owner_url: owner.map(Secret::from),
        postgres_bin: None,
        clock: SystemClock::shared(),
        rooms: vec![GARDEN],
        control: tokio::runtime::Handle::current(),
    }
}

async fn wait_for(store: &Store, wanted: impl FnMut(&StoreState) -> bool) -> StoreState {
    let mut state = store.state();
    let found = tokio::time::timeout(SOON, state.wait_for(wanted)).await;
    found.expect("in time").unwrap().clone()
}

fn why(state: StoreState) -> String {
    match state {
        StoreState::Down { why, .. } => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn it_starts_while_the_database_is_down_and_migrates_when_it_comes() {
    let (folder, other) = (data_dir(), data_dir());
    let cluster = start(folder.path()).await;
    let running = Cluster::of_running(folder.path()).unwrap();
    let url = |role| running.url(role, DATABASE);
    cluster.stop().await;

    let options = options(other.path(), url(RUNTIME_ROLE), Some(url(OWNER_ROLE)));
    let store = Store::start(options).await.unwrap();
    let down = why(wait_for(&store, |state| matches!(state, StoreState::Down { .. })).await);
    assert!(down.contains("the database at "), "{down}");
    assert!(store.migrated().borrow().is_none());

    let cluster = start(folder.path()).await;
    wait_for(&store, |state| *state == StoreState::Ready).await;
    assert!(store.migrated().borrow().as_ref().is_some_and(plimsoll_store::Migrated::any));
    sqlx::query("insert into garden.diary (said) values ('rain')")
        .execute(store.pool())
        .await
        .unwrap();
    let denied = sqlx::query("delete from garden.diary").execute(store.pool()).await;
    assert!(denied.unwrap_err().to_string().contains("permission denied"));

    cluster.stop().await;
    wait_for(&store, |state| matches!(state, StoreState::Down { .. })).await;
    let _cluster = start(folder.path()).await;
    wait_for(&store, |state| *state == StoreState::Ready).await;
    assert!(!other.path().join("postgres").exists(), "no private cluster beside it");
    store.close().await;
}

#[tokio::test]
async fn one_role_does_both_and_doctor_says_that_it_is_weaker() {
    let database = Database::new(&[]).await;
    let folder = data_dir();
    let store = Store::start(options(folder.path(), database.url(OWNER_ROLE), None)).await.unwrap();
    wait_for(&store, |state| *state == StoreState::Ready).await;
    assert!(store.single_role());
    sqlx::query("insert into garden.plants (name) values ('fern')")
        .execute(store.pool())
        .await
        .unwrap();
    let facts = store.facts().await;
    let weak = |words: &str| {
        facts.iter().any(|fact| fact.weight > Weight::Good && fact.sentence.contains(words))
    };
    // The tests' own server has fsync off, too.
    assert!(weak("PLIMSOLL_DATABASE_OWNER_URL") && weak("fsync"), "{facts:#?}");
    store.close().await;
}

#[tokio::test]
async fn a_superuser_and_a_private_cluster_are_judged() {
    let database = Database::new(&[]).await;
    let folder = data_dir();
    let options = options(folder.path(), database.url(SUPERUSER_ROLE), None);
    let store = Store::start(options).await.unwrap();
    wait_for(&store, |state| *state == StoreState::Ready).await;
    let facts = store.facts().await;
    assert!(facts.iter().any(|fact| fact.sentence.contains("as a superuser")), "{facts:#?}");
    store.close().await;

    let options = StoreOptions {
        data_dir: folder.path().to_owned(),
        database_url: None,
        owner_url: None,
        postgres_bin: None,
        clock: SystemClock::shared(),
        rooms: vec![GARDEN],
        control: tokio::runtime::Handle::current(),
    };
    let store = Store::start(options).await.unwrap();
    assert!(store.is_private() && !store.single_role());
    let facts = store.facts().await;
    let server = |fact: &&plimsoll_store::Fact| !fact.sentence.contains("where the data lies");
    let weak: Vec<_> =
        facts.iter().filter(server).filter(|fact| fact.weight > Weight::Good).collect();
    assert_eq!(weak.len(), 1, "{facts:#?}");
    assert!(weak[0].sentence.contains("the server is the process's own"), "{weak:#?}");
    store.close().await;
}

#[tokio::test]
async fn a_newer_database_keeps_the_store_down_and_says_why() {
    let newer = garden_of(&[(99_999_999_999_999, "create table garden.z (n int)")]);
    let database = Database::new(&[newer]).await;
    let folder = data_dir();
    let store = Store::start(options(folder.path(), database.url(OWNER_ROLE), None)).await.unwrap();
    let down = why(wait_for(&store, |state| matches!(state, StoreState::Down { .. })).await);
    assert!(down.contains("migrated by a newer Plimsoll"), "{down}");
    store.close().await;
}

#[tokio::test]
async fn urls_that_cannot_be_are_refused_at_once() {
    let folder = data_dir();
    let url = |text: &str| text.to_owned();
    let error = Store::start(options(folder.path(), url("mysql://h/d"), None)).await.unwrap_err();
    assert!(matches!(error, StoreError::Url { .. }), "{error}");
    let owner = Some(url("postgresql://o:hunter2@h/other"));
    let error = Store::start(options(folder.path(), url("postgresql://r:hunter2@h/d"), owner))
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::OtherDatabase { .. }), "{error}");
    assert!(!format!("{error} {error:?}").contains("hunter2"));
}

#[tokio::test]
async fn a_wrong_password_or_nobody_there_is_said_without_the_password() {
    let folder = data_dir();
    // Port 1 of the loopback: nobody listens there.
    let url = "postgresql://r:hunter2@127.0.0.1:1/d".to_owned();
    let store = Store::start(options(folder.path(), url, None)).await.unwrap();
    let down = why(wait_for(&store, |state| matches!(state, StoreState::Down { .. })).await);
    assert!(down.contains("127.0.0.1:1") && !down.contains("hunter2"), "{down}");
    store.close().await;
}
