//! A database that is away, and what was under way when it went.

use std::time::Duration;

use plimsoll_writes::{Begun, WritesError};

use crate::scene::{Scene, WITHIN, answer, claim};

async fn lock(scene: &Scene) -> sqlx::Transaction<'static, sqlx::Postgres> {
    let mut tx = scene.database.owner.begin().await.unwrap();
    sqlx::query("lock table writes.records in access exclusive mode")
        .execute(&mut *tx)
        .await
        .unwrap();
    tx
}

#[tokio::test]
async fn what_is_not_recorded_in_time_is_not_granted_and_leaves_nothing_locked() {
    let scene = Scene::new().await;
    let node = scene.node();
    let away = lock(&scene).await;
    let begun = node.writes.begin(&claim(1, 1), Duration::from_millis(200)).await;
    assert!(matches!(begun, Err(WritesError::Unavailable)), "{begun:?}");
    away.rollback().await.unwrap();
    // The claim that came too late is withdrawn: the next one is granted long before a lease.
    let granted = tokio::time::timeout(Duration::from_secs(2), async {
        loop {
            match node.begin(&claim(1, 2)).await {
                Begun::Granted(lease) => break lease,
                Begun::Running => tokio::time::sleep(Duration::from_millis(10)).await,
                other => panic!("{other:?}"),
            }
        }
    });
    granted.await.unwrap().answered(answer("done"), WITHIN).await.unwrap();
    assert_eq!(scene.records().await, [("answered".to_owned(), 1)]);
}

#[tokio::test]
async fn an_answer_that_cannot_be_recorded_at_once_is_recorded_later() {
    let scene = Scene::new().await;
    let node = scene.node();
    let mut lease = node.granted(&claim(1, 1)).await;
    lease.sent();
    let away = lock(&scene).await;
    let recorded = lease.answered(answer("done"), Duration::from_millis(200)).await;
    assert!(matches!(recorded, Err(WritesError::Unavailable)), "{recorded:?}");
    away.rollback().await.unwrap();
    let replayed = tokio::time::timeout(WITHIN, async {
        while !matches!(node.begin(&claim(1, 2)).await, Begun::Replay(_)) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    replayed.await.unwrap();
}

#[tokio::test]
async fn connections_that_break_under_load_lose_no_answer_and_grant_nothing_twice() {
    let scene = Scene::new().await;
    let node = scene.node();
    let mut asking = tokio::task::JoinSet::new();
    for key in 0..60u8 {
        let writes = node.writes.clone();
        asking.spawn(async move {
            tokio::time::sleep(Duration::from_millis(u64::from(key) * 10)).await;
            let begun = writes.begin(&claim(key, u128::from(key)), WITHIN).await.unwrap();
            let Begun::Granted(mut lease) = begun else { panic!("{begun:?}") };
            lease.sent();
            lease.answered(answer("done"), WITHIN).await.unwrap();
        });
    }
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(60)).await;
        let cut = "select pg_terminate_backend(pid) from pg_stat_activity
            where datname = current_database() and usename = 'plimsoll_runtime'";
        sqlx::query(cut).execute(&scene.database.superuser).await.unwrap();
    }
    while let Some(asked) = asking.join_next().await {
        asked.unwrap();
    }
    let records = scene.records().await;
    assert_eq!(records.len(), 60);
    assert!(records.iter().all(|(state, fence)| state == "answered" && *fence == 1), "{records:?}");
}
