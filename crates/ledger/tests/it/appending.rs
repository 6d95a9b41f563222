use plimsoll_base::failpoint;
use plimsoll_ledger::{
    Actor, ActorKind, Append, Appended, AppliedMigration, Fact, Filter, LedgerError, Outcome, ROOM,
    TeamAction,
};
use plimsoll_testkit::database::Database;
use serde_json::json;
use sqlx::Acquire as _;

use crate::place::{NOW_MS, Place, act};

#[tokio::test]
async fn an_entry_stands_when_its_effect_stands() {
    let place = Place::new().await;
    let mut conn = place.db.runtime.acquire().await.unwrap();
    let mut tx = conn.begin().await.unwrap();
    place.append_in(&mut tx, "undone").await;
    tx.rollback().await.unwrap();
    let armed = failpoint::fail("ledger.append");
    let append = Append::ok(Actor::System, act("never"));
    place.ledger.append(&mut conn, append).await.unwrap_err();
    drop(armed);
    let kept = place.append("kept").await;
    let page = place.ledger.tail(&mut conn, &Filter::default(), 10).await.unwrap();
    let ids: Vec<_> = page.entries.iter().map(|listed| listed.entry.id).collect();
    assert_eq!(ids, [kept]);
    assert_eq!(page.entries[0].entry.at_us, i64::try_from(NOW_MS).unwrap() * 1_000);
    assert_eq!(page.entries[0].hash, page.entries[0].entry.hash().unwrap());
}

#[tokio::test]
async fn the_runtime_role_lacks_the_right_and_the_owner_meets_the_trigger() {
    let place = Place::sealed(1).await;
    let mut conn = place.db.runtime.acquire().await.unwrap();
    let action = br#"{ "id": "a", "action": "b", "outcome": "ok" }"#;
    let action = TeamAction::parse(action).unwrap();
    place.ledger.append_team_action(&mut conn, action).await.unwrap();
    for table in ["entries", "seals", "team_actions"] {
        let column = if table == "seals" { "entry_id" } else { "id" };
        for statement in [
            format!("update ledger.{table} set {column} = {column}"),
            format!("update ledger.{table} set {column} = {column} where false"),
            format!("delete from ledger.{table}"),
            format!("truncate ledger.{table}"),
        ] {
            for (pool, word) in
                [(&place.db.runtime, "permission denied"), (&place.db.owner, "append-only")]
            {
                let done = sqlx::query(sqlx::AssertSqlSafe(statement.clone())).execute(pool).await;
                let error = done.unwrap_err().to_string();
                assert!(error.contains(word), "{statement}: {error}");
            }
        }
    }
}

#[tokio::test]
async fn pages_are_filtered_and_end() {
    let place = Place::new().await;
    let mut conn = place.db.runtime.acquire().await.unwrap();
    for n in 0..5 {
        place.append(&format!("flag {n}")).await;
    }
    let (version, node, role) = ("1".to_owned(), "n1".to_owned(), "all".to_owned());
    let start = Fact::Start { version, node, role, manifest_sha256: "0".repeat(64) };
    let failed = Append {
        outcome: Outcome::Failed,
        at_unix_ms: Some(NOW_MS - 3_600_000),
        ..Append::ok(Actor::System, start)
    };
    place.ledger.append(&mut conn, failed).await.unwrap();
    let count = async |filter: Filter| {
        let mut conn = place.db.runtime.acquire().await.unwrap();
        place.ledger.tail(&mut conn, &filter, 100).await.unwrap().entries.len()
    };
    let all = Filter::default;
    assert_eq!(count(all()).await, 6);
    assert_eq!(count(Filter { action: Some("plimsoll.start".into()), ..all() }).await, 1);
    assert_eq!(count(Filter { actor: Some("local:1000".into()), ..all() }).await, 5);
    assert_eq!(count(Filter { actor: Some("local:1001".into()), ..all() }).await, 0);
    assert_eq!(count(Filter { subject: Some("flag 3".into()), ..all() }).await, 1);
    assert_eq!(count(Filter { outcome: Some("failed".into()), ..all() }).await, 1);
    assert_eq!(count(Filter { from_unix_ms: Some(NOW_MS), ..all() }).await, 5);
    assert_eq!(count(Filter { to_unix_ms: Some(NOW_MS), ..all() }).await, 1);
    let (mut seen, mut before) = (Vec::new(), None);
    loop {
        let filter = Filter { before, ..all() };
        let page = place.ledger.tail(&mut conn, &filter, 4).await.unwrap();
        seen.extend(page.entries.iter().map(|listed| listed.entry.id));
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(seen.len(), 6);
    assert!(seen.is_sorted_by(|a, b| a > b), "newest first, none twice");
}

#[tokio::test]
async fn personal_data_and_names_stand_in_no_column() {
    let place = Place::new().await;
    let mut conn = place.db.runtime.acquire().await.unwrap();
    let actor = Actor::Named(ActorKind::Operator, "Ada Lovelace");
    let append = Append { personal: Some("because Ada asked"), ..Append::ok(actor, act("x")) };
    place.ledger.append(&mut conn, append).await.unwrap();
    let text: String = sqlx::query_scalar("select e::text from ledger.entries e")
        .fetch_one(&place.db.superuser)
        .await
        .unwrap();
    let hex_of = |text: &str| text.bytes().map(|b| format!("{b:02x}")).collect::<String>();
    assert!(!text.contains("Ada") && !text.contains(&hex_of("Ada")), "{text}");
    let page = place.ledger.tail(&mut conn, &Filter::default(), 1).await.unwrap();
    let plain = place.ledger.open_personal(&page.entries[0].entry).unwrap();
    assert_eq!(plain.as_deref(), Some("because Ada asked"));
    // Bound to its entry: it opens in no other.
    let mut other = page.entries[0].entry.clone();
    other.id = uuid::Uuid::nil();
    assert!(matches!(place.ledger.open_personal(&other), Err(LedgerError::Seal(_))));
}

#[tokio::test]
async fn every_bound_of_an_entry_is_kept() {
    let place = Place::new().await;
    let mut conn = place.db.runtime.acquire().await.unwrap();
    let mut refused = async |append: Append<'_>| {
        place.ledger.append(&mut conn, append).await.unwrap_err().to_string()
    };
    let long = "x".repeat(257);
    assert!(refused(Append::ok(Actor::System, act(&long))).await.contains("`subject`"));
    let detail = serde_json::from_value(json!({ "a": "x".repeat(8_192) })).unwrap();
    let fact = Fact::OperatorAct { act: "a".into(), subject: String::new(), detail };
    assert!(refused(Append::ok(Actor::System, fact)).await.contains("`detail`"));
    let personal = "x".repeat(8_193);
    let append = Append { personal: Some(&personal), ..Append::ok(Actor::System, act("x")) };
    assert!(refused(append).await.contains("`personal`"));
    // And the longest that is allowed is written and hashes the same when it is read.
    let detail = serde_json::from_value(json!({ "a": "\u{1F6A2}".repeat(1_990) })).unwrap();
    let subject = "y".repeat(256);
    let fact = Fact::OperatorAct { act: "a".into(), subject, detail };
    let personal = "x".repeat(8_192);
    let append = Append { personal: Some(&personal), ..Append::ok(Actor::System, fact) };
    place.ledger.append(&mut conn, append).await.unwrap();
    place.seal().await;
    assert!(place.verify().await.is_whole());
}

#[tokio::test]
async fn a_team_action_with_the_same_id_is_appended_once() {
    let place = Place::new().await;
    let parse = |body: serde_json::Value| TeamAction::parse(body.to_string().as_bytes()).unwrap();
    let body = json!({
        "id": "refund-1", "action": "refund.approve", "actor": "ann", "subject": "order/17",
        "outcome": "ok", "detail": { "cents": 1250 }, "personal": { "name": "Ann" },
    });
    // Eight callers at once with the same id.
    let calls = (0..8).map(|_| {
        let (ledger, pool, action) =
            (place.ledger.clone(), place.db.runtime.clone(), parse(body.clone()));
        async move {
            let mut tx = pool.begin().await.unwrap();
            let appended = ledger.append_team_action(&mut tx, action).await.unwrap();
            tx.commit().await.unwrap();
            appended
        }
    });
    let all = futures_util::future::join_all(calls).await;
    let new: Vec<_> = all.iter().filter(|a| matches!(a, Appended::New(_))).collect();
    assert_eq!(new.len(), 1, "{all:?}");
    let Appended::New(id) = new[0] else { unreachable!() };
    assert!(all.iter().all(|a| matches!(a, Appended::New(x) | Appended::Before(x) if x == id)));
    let mut conn = place.db.runtime.acquire().await.unwrap();
    let mut other = body.clone();
    other["detail"]["cents"] = json!(1251);
    let error = place.ledger.append_team_action(&mut conn, parse(other)).await.unwrap_err();
    assert!(matches!(error, LedgerError::IdReused { .. }), "{error}");
    let page = place.ledger.tail(&mut conn, &Filter::default(), 10).await.unwrap();
    assert_eq!(page.entries.len(), 1);
    let entry = &page.entries[0].entry;
    assert_eq!((entry.action.as_str(), entry.actor_kind.as_str()), ("team.action", "team"));
    assert_eq!(entry.detail["name"], json!("refund.approve"));
    let personal = place.ledger.open_personal(entry).unwrap().unwrap();
    assert_eq!(personal, r#"{"name":"Ann"}"#);
}

#[tokio::test]
async fn migrations_are_harmless_and_a_second_run_applies_nothing() {
    assert_eq!(plimsoll_store::lint::lint(&ROOM), []);
    let db = Database::new(&[ROOM]).await;
    let role = Some(plimsoll_store::RUNTIME_ROLE);
    let again = plimsoll_store::migrate(&db.owner, &[ROOM], role).await.unwrap();
    assert!(!again.any(), "{again:?}");
}

#[tokio::test]
async fn a_migration_whose_entry_was_lost_gets_it_at_the_next_start_and_none_gets_two() {
    let place = Place::new().await;
    let migration = |version: i64| AppliedMigration {
        room: "events".into(),
        version,
        description: format!("number {version}"),
    };
    let (pool, ledger) = (&place.db.runtime, &place.ledger);
    assert_eq!(ledger.note_migrations(pool, &[migration(1)]).await.unwrap(), 1);
    // Whoever applied the second died before it could say so; two nodes start together.
    let all = [migration(1), migration(2), migration(3)];
    let both = tokio::join!(ledger.note_migrations(pool, &all), ledger.note_migrations(pool, &all));
    assert_eq!(both.0.unwrap() + both.1.unwrap(), 2);
    assert_eq!(ledger.note_migrations(pool, &all).await.unwrap(), 0);
    let mut conn = pool.acquire().await.unwrap();
    let filter = Filter { action: Some("migration.run".into()), ..Filter::default() };
    let page = ledger.tail(&mut conn, &filter, 10).await.unwrap();
    let told: Vec<_> = page
        .entries
        .iter()
        .rev()
        .map(|listed| listed.entry.detail["description"].clone())
        .collect();
    assert_eq!(told, ["number 1", "number 2", "number 3"]);
}
