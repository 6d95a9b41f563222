//! What a claim comes to, and what stays of it.

use std::time::Duration;

use plimsoll_base::failpoint;
use plimsoll_writes::{Begun, Claim, Hash, OnUnknown, ROOM};

use crate::scene::{Scene, WITHIN, answer, claim};

#[tokio::test]
async fn the_schema_keeps_to_the_rules_and_a_second_run_applies_nothing() {
    assert_eq!(plimsoll_store::lint::lint(&ROOM), []);
    let scene = Scene::new().await;
    let role = Some(plimsoll_store::RUNTIME_ROLE);
    let again = plimsoll_store::migrate(&scene.database.owner, &[ROOM], role).await.unwrap();
    assert!(!again.any());
}

#[tokio::test]
async fn a_write_is_granted_once_and_replayed_on_every_node() {
    let scene = Scene::new().await;
    let (one, two) = (scene.node(), scene.node());
    let lease = one.granted(&claim(1, 1)).await;
    assert!(lease.lives());
    assert!(matches!(one.begin(&claim(1, 2)).await, Begun::Running));
    assert!(matches!(two.begin(&claim(1, 3)).await, Begun::Running));
    lease.answered(answer("done"), WITHIN).await.unwrap();
    for (node, owner) in [(&one, 4), (&two, 5)] {
        let Begun::Replay(kept) = node.begin(&claim(1, owner)).await else { panic!("no replay") };
        assert_eq!(*kept, answer("done"));
    }
    let other = Claim { fingerprint: Hash([9; 32]), ..claim(1, 6) };
    assert!(matches!(two.begin(&other).await, Begun::OtherPayload));
    let stranger = Claim { caller: Hash([9; 32]), ..claim(1, 7) };
    assert!(matches!(two.begin(&stranger).await, Begun::OtherCaller));
    assert_eq!(scene.records().await, [("answered".to_owned(), 1)]);
}

#[tokio::test]
async fn an_answer_cannot_be_read_in_the_database() {
    let scene = Scene::new().await;
    let node = scene.node();
    let lease = node.granted(&claim(1, 1)).await;
    lease.answered(answer("card 4242"), WITHIN).await.unwrap();
    let all: (Vec<u8>,) = sqlx::query_as("select answer from writes.records")
        .fetch_one(&scene.database.owner)
        .await
        .unwrap();
    for secret in ["4242", "/orders/1", "location"] {
        assert!(!all.0.windows(secret.len()).any(|w| w == secret.as_bytes()), "{secret}");
    }
}

#[tokio::test]
async fn of_many_that_come_at_once_one_is_granted() {
    let scene = Scene::new().await;
    let nodes = [scene.node(), scene.node()];
    let mut asking = tokio::task::JoinSet::new();
    for owner in 0..200u128 {
        let writes = nodes[usize::from(owner % 2 == 1)].writes.clone();
        let key = u8::try_from(owner % 20).unwrap();
        asking.spawn(async move { (key, writes.begin(&claim(key, owner), WITHIN).await.unwrap()) });
    }
    let mut leases = Vec::new();
    let mut granted = [0; 20];
    while let Some(asked) = asking.join_next().await {
        match asked.unwrap() {
            (key, Begun::Granted(lease)) => {
                granted[usize::from(key)] += 1;
                leases.push(lease);
            }
            (_, Begun::Running) => {}
            (_, other) => panic!("{other:?}"),
        }
    }
    assert_eq!(granted, [1; 20]);
    for lease in leases {
        lease.answered(answer("done"), WITHIN).await.unwrap();
    }
}

#[tokio::test]
async fn a_duplicate_that_waits_is_told_at_once_and_on_another_node_soon() {
    let scene = Scene::new().await;
    let (one, two) = (scene.node(), scene.node());
    let lease = one.granted(&claim(1, 1)).await;
    let wait = |writes: plimsoll_writes::Writes, owner: u128| async move {
        let mut waiting = writes.waiting(Hash([1; 32])).unwrap();
        loop {
            match writes.begin(&claim(1, owner), WITHIN).await.unwrap() {
                Begun::Running => waiting.next().await,
                Begun::Replay(kept) => return *kept,
                other => panic!("{other:?}"),
            }
        }
    };
    let finish = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        lease.answered(answer("done"), WITHIN).await.unwrap();
    };
    let waiting =
        async { tokio::join!(finish, wait(one.writes.clone(), 2), wait(two.writes.clone(), 3)) };
    let ((), here, there) = tokio::time::timeout(WITHIN, waiting).await.unwrap();
    assert_eq!((here, there), (answer("done"), answer("done")));
}

#[tokio::test]
async fn what_was_not_sent_is_released_and_what_was_sent_is_unknown() {
    let scene = Scene::new().await;
    let node = scene.node();
    drop(node.granted(&claim(1, 1)).await);
    let second = loop {
        match node.begin(&claim(1, 2)).await {
            Begun::Granted(lease) => break lease,
            Begun::Running => tokio::time::sleep(Duration::from_millis(5)).await,
            other => panic!("{other:?}"),
        }
    };
    let mut second = second;
    second.sent();
    drop(second);
    loop {
        match node.begin(&claim(1, 3)).await {
            Begun::Unknown { .. } => break,
            Begun::Running => tokio::time::sleep(Duration::from_millis(5)).await,
            other => panic!("{other:?}"),
        }
    }
    // What the service said it did not do may be done anew.
    let mut third = node.granted(&claim(2, 1)).await;
    third.sent();
    third.declined(WITHIN).await.unwrap();
    node.stop().await;
    assert_eq!(scene.records().await, [("unknown".to_owned(), 1)]);
}

#[tokio::test]
async fn a_policy_may_allow_another_execution_which_is_fenced_and_counted() {
    let scene = Scene::new().await;
    let (one, two) = (scene.node(), scene.node());
    let mut first = one.granted(&claim(1, 1)).await;
    first.sent();
    one.kill();
    scene.leases_run_out().await;
    let again = Claim { on_unknown: OnUnknown::Ask, ..claim(1, 2) };
    let second = two.granted(&again).await;
    assert!(second.unknown_for().is_some());
    second.answered(answer("second"), WITHIN).await.unwrap();
    let seen = two.writes.look(&scene.database.runtime).await.unwrap();
    assert_eq!((seen.keys, seen.executed_twice, seen.first_twice), (1, 0, None));
}

#[tokio::test]
async fn a_room_that_lets_everybody_through_is_seen() {
    let scene = Scene::new().await;
    let node = scene.node();
    let seen = node.writes.look(&scene.database.runtime).await.unwrap();
    assert_eq!((seen.keys, seen.executed_twice), (0, 0));
    let first = node.granted(&claim(1, 1)).await;
    let _broken = failpoint::fail("writes.begin");
    let second = node.granted(&claim(1, 2)).await;
    let seen = node.writes.look(&scene.database.runtime).await.unwrap();
    assert_eq!((seen.keys, seen.executed_twice), (1, 2), "{seen:?}");
    assert_eq!(seen.first_twice.as_deref(), Some("shop createOrder"));
    drop((first, second));
}

#[tokio::test]
async fn leases_are_renewed_while_an_execution_lasts_and_go_with_their_node() {
    let scene = Scene::new().await;
    let node = scene.node();
    let lease = node.granted(&claim(1, 1)).await;
    tokio::time::sleep(plimsoll_writes::LEASE + Duration::from_secs(1)).await;
    assert!(lease.lives());
    assert!(matches!(node.begin(&claim(1, 2)).await, Begun::Running));
    node.kill();
    let other = scene.node();
    let died = tokio::time::timeout(plimsoll_writes::LEASE + Duration::from_secs(2), async {
        while matches!(other.begin(&claim(1, 3)).await, Begun::Running) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    died.await.unwrap();
    assert!(!lease.lives());
    assert!(matches!(other.begin(&claim(1, 4)).await, Begun::Unknown { .. }));
}

#[tokio::test]
async fn the_runtime_role_can_use_the_records_and_change_nothing_else() {
    let scene = Scene::new().await;
    for refused in ["drop table writes.records", "alter table writes.records add x int"] {
        assert!(sqlx::query(refused).execute(&scene.database.runtime).await.is_err(), "{refused}");
    }
}
