use std::time::Duration;

use plimsoll_base::failpoint;
use plimsoll_events::{
    EventsError, ROOM, Start, Waker, advance, append, declare_dead, lag, read, register,
};
use plimsoll_testkit::database::Database;
use serde_json::json;
use sqlx::{Connection as _, PgConnection};

pub(crate) async fn place() -> Database {
    let db = Database::new(&[ROOM]).await;
    sqlx::query("create table public.seen (n text)").execute(&db.superuser).await.unwrap();
    sqlx::query("grant all on public.seen to public").execute(&db.superuser).await.unwrap();
    db
}

pub(crate) async fn emit(db: &Database, key: &str) {
    let mut conn = db.runtime.acquire().await.unwrap();
    append(&mut conn, "t", key, &json!({ "key": key })).await.unwrap();
}

/// Other tests use the same cluster, and their transactions hold readers back as ours would.
pub(crate) async fn others_have_ended(db: &Database) {
    let query = "select pg_current_xact_id()::text::bigint";
    let now: i64 = sqlx::query_scalar(query).fetch_one(&db.runtime).await.unwrap();
    let ended = "select pg_snapshot_xmin(pg_current_snapshot())::text::bigint";
    for _ in 0..4_000 {
        if sqlx::query_scalar::<_, i64>(ended).fetch_one(&db.runtime).await.unwrap() > now {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("a transaction runs for more than 20 s in the tests' cluster");
}

/// Reads and advances, and returns the keys.
pub(crate) async fn take(db: &Database, consumer: &str, limit: u32) -> Vec<String> {
    let mut conn = db.runtime.acquire().await.unwrap();
    let mut tx = conn.begin().await.unwrap();
    let batch = read(&mut tx, consumer, limit).await.unwrap();
    advance(&mut tx, &batch).await.unwrap();
    tx.commit().await.unwrap();
    batch.events.into_iter().map(|event| event.key).collect()
}

async fn registered(db: &Database, name: &str) {
    let mut conn = db.runtime.acquire().await.unwrap();
    register(&mut conn, name, &["t"], Start::Oldest).await.unwrap();
}

#[tokio::test]
async fn a_transaction_that_commits_late_loses_no_event() {
    let db = place().await;
    registered(&db, "c").await;
    let mut early = PgConnection::connect_with(&db.runtime.connect_options()).await.unwrap();
    let mut early = early.begin().await.unwrap();
    append(&mut early, "t", "early number, late commit", &json!(1)).await.unwrap();
    emit(&db, "later number").await;
    assert_eq!(take(&db, "c", 10).await, Vec::<String>::new());
    early.commit().await.unwrap();
    others_have_ended(&db).await;
    assert_eq!(take(&db, "c", 10).await, ["early number, late commit", "later number"]);
    assert_eq!(take(&db, "c", 10).await, Vec::<String>::new());
}

#[tokio::test]
async fn an_event_stands_when_its_effect_stands() {
    let db = place().await;
    registered(&db, "c").await;
    let mut conn = db.runtime.acquire().await.unwrap();
    let mut tx = conn.begin().await.unwrap();
    append(&mut tx, "t", "undone", &json!(1)).await.unwrap();
    tx.rollback().await.unwrap();
    emit(&db, "done").await;
    others_have_ended(&db).await;
    assert_eq!(take(&db, "c", 10).await, ["done"]);
}

#[tokio::test]
async fn two_consumers_go_each_at_its_own_pace_in_bounded_batches() {
    let db = place().await;
    registered(&db, "fast").await;
    registered(&db, "slow").await;
    for n in 0..5 {
        emit(&db, &n.to_string()).await;
    }
    let mut conn = db.runtime.acquire().await.unwrap();
    append(&mut conn, "other topic", "not for them", &json!(1)).await.unwrap();
    others_have_ended(&db).await;
    assert_eq!(take(&db, "fast", 100).await, ["0", "1", "2", "3", "4"]);
    assert_eq!(take(&db, "slow", 2).await, ["0", "1"]);
    let lags = lag(&mut conn).await.unwrap();
    let of = |name: &str| lags.iter().find(|lag| lag.consumer == name).unwrap();
    assert_eq!((of("fast").events, of("fast").oldest), (0, None));
    assert_eq!(of("slow").events, 3);
    assert!(of("slow").oldest.is_some());
    assert_eq!(take(&db, "slow", 2).await, ["2", "3"]);
    assert_eq!(take(&db, "slow", 2).await, ["4"]);
    // Registering again keeps the place; a new one may begin with what is new.
    registered(&db, "slow").await;
    register(&mut conn, "late", &["t"], Start::Now).await.unwrap();
    emit(&db, "5").await;
    others_have_ended(&db).await;
    for name in ["fast", "slow", "late"] {
        assert_eq!(take(&db, name, 10).await, ["5"], "{name}");
    }
}

#[tokio::test]
async fn a_crash_between_effect_and_cursor_repeats_neither() {
    let db = place().await;
    registered(&db, "c").await;
    for n in 0..3 {
        emit(&db, &n.to_string()).await;
    }
    others_have_ended(&db).await;
    for crash in [true, true, false] {
        let mut conn = PgConnection::connect_with(&db.runtime.connect_options()).await.unwrap();
        let mut tx = conn.begin().await.unwrap();
        let batch = read(&mut tx, "c", 10).await.unwrap();
        for event in &batch.events {
            sqlx::query("insert into public.seen values ($1)")
                .bind(&event.key)
                .execute(&mut *tx)
                .await
                .unwrap();
        }
        let armed = crash.then(|| failpoint::fail("events.before_advance"));
        let advanced = advance(&mut tx, &batch).await;
        drop(armed);
        assert_eq!(advanced.is_err(), crash);
        if !crash {
            tx.commit().await.unwrap();
        }
    }
    let seen: Vec<String> = sqlx::query_scalar("select n from public.seen order by n")
        .fetch_all(&db.runtime)
        .await
        .unwrap();
    assert_eq!(seen, ["0", "1", "2"]);
}

#[tokio::test]
async fn two_readers_of_one_consumer_do_not_share_a_batch() {
    let db = place().await;
    registered(&db, "c").await;
    for n in 0..40 {
        emit(&db, &n.to_string()).await;
    }
    others_have_ended(&db).await;
    let readers = (0..2).map(|_| async {
        let mut all = Vec::new();
        for _ in 0..10 {
            all.extend(take(&db, "c", 4).await);
        }
        all
    });
    let mut readers = readers.collect::<Vec<_>>().into_iter();
    let (one, two) = tokio::join!(readers.next().unwrap(), readers.next().unwrap());
    let mut all: Vec<u32> = [one, two].concat().iter().map(|n| n.parse().unwrap()).collect();
    all.sort_unstable();
    assert_eq!(all, (0..40).collect::<Vec<_>>());
    // And a batch that was read without its transaction is not stored over a newer one.
    let mut conn = db.runtime.acquire().await.unwrap();
    emit(&db, "40").await;
    others_have_ended(&db).await;
    let stale = read(&mut conn, "c", 10).await.unwrap();
    assert_eq!(take(&db, "c", 10).await, ["40"]);
    let error = advance(&mut conn, &stale).await.unwrap_err();
    assert!(matches!(error, EventsError::Overtaken { .. }), "{error}");
}

#[tokio::test]
async fn a_commit_wakes_and_a_rollback_does_not() {
    let db = place().await;
    let mut waker = Waker::listen(&db.runtime).await.unwrap();
    let mut conn = db.runtime.acquire().await.unwrap();
    let mut tx = conn.begin().await.unwrap();
    append(&mut tx, "t", "x", &json!(1)).await.unwrap();
    assert!(!waker.wait(Duration::from_millis(100)).await.unwrap());
    tx.rollback().await.unwrap();
    assert!(!waker.wait(Duration::from_millis(100)).await.unwrap());
    emit(&db, "x").await;
    assert!(waker.wait(Duration::from_secs(10)).await.unwrap());
    // Once more soon after, since it may not have been readable yet.
    assert!(!waker.wait(Duration::from_secs(600)).await.unwrap());
}

#[tokio::test]
async fn every_bound_is_kept() {
    let db = place().await;
    let mut conn = db.runtime.acquire().await.unwrap();
    let long = "x".repeat(70_000);
    for (topic, key, payload) in [
        (&long[..65], "", json!(1)),
        ("t", &long[..257], json!(1)),
        ("t", "", json!(long)),
        ("", "", json!(1)),
    ] {
        append(&mut conn, topic, key, &payload).await.unwrap_err();
    }
    let error = read(&mut conn, "nobody", 1).await.unwrap_err();
    assert!(matches!(error, EventsError::NoConsumer { .. }), "{error}");
    assert!(!declare_dead(&mut conn, "nobody").await.unwrap());
}
