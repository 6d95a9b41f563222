use std::time::Duration;

use plimsoll_events::{EventsError, ROOM, Start, adopt, declare_dead, read, register, retain};
use plimsoll_testkit::database::Database;

use crate::consumers::{emit, others_have_ended, place, take};

async fn left(db: &Database) -> i64 {
    sqlx::query_scalar("select count(*) from events.outbox").fetch_one(&db.runtime).await.unwrap()
}

#[tokio::test]
async fn nothing_is_deleted_that_a_living_consumer_has_not_read() {
    let db = place().await;
    let mut conn = db.runtime.acquire().await.unwrap();
    for name in ["a", "b"] {
        register(&mut conn, name, &["t"], Start::Oldest).await.unwrap();
    }
    for n in 0..6 {
        emit(&db, &n.to_string()).await;
    }
    others_have_ended(&db).await;
    assert_eq!(take(&db, "a", 100).await.len(), 6);
    assert_eq!(take(&db, "b", 2).await.len(), 2);
    let now = Duration::ZERO;
    assert_eq!(retain(&mut conn, Duration::from_secs(3_600), 100).await.unwrap(), 0, "too young");
    assert_eq!(retain(&mut conn, now, 1).await.unwrap(), 1, "bounded");
    assert_eq!(retain(&mut conn, now, 100).await.unwrap(), 1);
    assert_eq!(left(&db).await, 4);
    assert_eq!(take(&db, "b", 100).await, ["2", "3", "4", "5"]);
    emit(&db, "6").await;
    others_have_ended(&db).await;
    assert_eq!(take(&db, "a", 100).await, ["6"]);
    assert_eq!(retain(&mut conn, now, 100).await.unwrap(), 4);
    assert!(declare_dead(&mut conn, "b").await.unwrap());
    assert_eq!(retain(&mut conn, now, 100).await.unwrap(), 1);
    assert_eq!(left(&db).await, 0);
    let error = read(&mut conn, "b", 1).await.unwrap_err();
    assert!(matches!(error, EventsError::NoConsumer { .. }), "{error}");
    register(&mut conn, "b", &["t"], Start::Now).await.unwrap();
    emit(&db, "7").await;
    others_have_ended(&db).await;
    assert_eq!(take(&db, "b", 100).await, ["7"]);
}

#[tokio::test]
async fn a_backup_restored_into_another_cluster_goes_on_where_it_was() {
    let db = place().await;
    let mut conn = db.runtime.acquire().await.unwrap();
    assert!(!adopt(&mut conn).await.unwrap());
    for name in ["a", "b", "c"] {
        register(&mut conn, name, &["t"], Start::Oldest).await.unwrap();
    }
    for n in 0..6 {
        emit(&db, &n.to_string()).await;
    }
    others_have_ended(&db).await;
    take(&db, "a", 100).await;
    take(&db, "b", 2).await;
    // Twice, as when a backup of what was restored is restored.
    for _ in 0..2 {
        // As a restore leaves it: numbers of another cluster, far ahead of this one's.
        for statement in [
            "update events.outbox set xid = (xid::text::bigint + 5000000000)::text::xid8",
            "update events.consumers set xid = (xid::text::bigint + 5000000000)::text::xid8
                where name <> 'c'",
            "update events.cluster set identifier = 1",
        ] {
            sqlx::query(statement).execute(&db.superuser).await.unwrap();
        }
        assert!(adopt(&mut conn).await.unwrap());
        assert!(!adopt(&mut conn).await.unwrap());
    }
    emit(&db, "new").await;
    others_have_ended(&db).await;
    assert_eq!(take(&db, "a", 100).await, ["new"]);
    assert_eq!(take(&db, "b", 100).await, ["2", "3", "4", "5", "new"]);
    assert_eq!(take(&db, "c", 100).await, ["0", "1", "2", "3", "4", "5", "new"]);
}

#[tokio::test]
async fn migrations_are_harmless_and_a_second_run_applies_nothing() {
    assert_eq!(plimsoll_store::lint::lint(&ROOM), []);
    let db = Database::new(&[ROOM]).await;
    let role = Some(plimsoll_store::RUNTIME_ROLE);
    let again = plimsoll_store::migrate(&db.owner, &[ROOM], role).await.unwrap();
    assert!(!again.any(), "{again:?}");
}
