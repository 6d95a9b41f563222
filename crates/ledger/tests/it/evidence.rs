//! Evidence: what is written, what is read back, and what somebody with all rights cannot make.

use std::sync::Arc;
use std::time::Duration;

use plimsoll_base::ManualClock;
use plimsoll_ledger::{
    Actor, ActorKind, EVIDENCE_FACTS_MAX, EVIDENCE_TEXT_BYTES_MAX, Evidence, Filter, How, Ledger,
    LedgerError, Recorded,
};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::place::{NOW_MS, Place, keyring};

const LIMITS: &str = "edge.limits";

fn facts(value: Value) -> Map<String, Value> {
    let Value::Object(facts) = value else { panic!("facts are an object") };
    facts
}

async fn add(place: &Place, evidence: Evidence) -> Result<Uuid, LedgerError> {
    let mut conn = place.db.runtime.acquire().await.unwrap();
    place.ledger.add_evidence(&mut conn, Actor::System, evidence).await
}

async fn seen(place: &Place, open: u64) -> Uuid {
    let facts = facts(json!({ "limits": 3, "open": open, "first": "é\u{1}\"", "all": false }));
    add(place, Evidence::measured(LIMITS, facts)).await.unwrap()
}

async fn newest(place: &Place) -> Recorded {
    let mut conn = place.db.runtime.acquire().await.unwrap();
    let mut all = place.ledger.newest_evidence(&mut conn, &[LIMITS.to_owned()]).await.unwrap();
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

#[tokio::test]
async fn evidence_is_read_back_as_it_was_added_before_and_after_it_is_sealed() {
    let place = Place::new().await;
    let said = Evidence {
        kind: "report.sast".into(),
        how: How::Imported,
        facts: facts(json!({ "errors": 0, "tool": "semgrep", "clean": true, "least": -7 })),
    };
    let mut conn = place.db.runtime.acquire().await.unwrap();
    let actor = Actor::Named(ActorKind::Operator, "local:1000");
    let id = place.ledger.add_evidence(&mut conn, actor, said.clone()).await.unwrap();
    let kinds = ["report.sast".to_owned(), "report.dast".to_owned()];
    let [found] = &place.ledger.newest_evidence(&mut conn, &kinds).await.unwrap()[..] else {
        panic!("one kind has evidence, the other none");
    };
    assert_eq!((found.id, found.at_unix_ms, &found.evidence), (id, NOW_MS, &said));
    assert_eq!(found.actor_kind, "operator");
    assert_eq!(found.actor, Some(place.ledger.actor("local:1000")));
    assert!(found.genuine);
    assert_eq!(found.position, None);
    place.seal().await;
    let sealed = &place.ledger.newest_evidence(&mut conn, &kinds).await.unwrap()[0];
    assert_eq!((sealed.position, sealed.genuine), (Some(1), true));
    assert!(place.verify().await.is_whole());
    assert_eq!(place.ledger.newest_evidence(&mut conn, &[]).await.unwrap().len(), 0);
}

#[tokio::test]
async fn of_each_kind_the_newest_counts_and_history_is_newest_first() {
    let place = Place::new().await;
    let mut ids = Vec::new();
    for open in 0..4 {
        ids.push(seen(&place, open).await);
        // Something else on the same subject, and the same second on another.
        place.append(LIMITS).await;
        add(&place, Evidence::measured("edge.drain", Map::new())).await.unwrap();
        place.clock.advance(Duration::from_secs(60));
    }
    assert_eq!(newest(&place).await.id, ids[3]);
    let since = async |from: u64| -> Vec<Uuid> {
        let mut conn = place.db.runtime.acquire().await.unwrap();
        let all = place.ledger.evidence_since(&mut conn, LIMITS, from).await.unwrap();
        assert!(all.iter().all(|one| one.genuine && one.evidence.kind == LIMITS), "{all:?}");
        all.iter().map(|one| one.id).collect()
    };
    assert_eq!(since(0).await, [ids[3], ids[2], ids[1], ids[0]]);
    assert_eq!(since(NOW_MS + 60_000).await, [ids[3], ids[2], ids[1]]);
    assert_eq!(since(NOW_MS + 180_001).await.len(), 0);
    let both = [LIMITS.to_owned(), "edge.drain".to_owned()];
    let mut conn = place.db.runtime.acquire().await.unwrap();
    assert_eq!(place.ledger.newest_evidence(&mut conn, &both).await.unwrap().len(), 2);
}

#[tokio::test]
async fn evidence_stands_in_the_transaction_of_its_caller() {
    use sqlx::Acquire as _;

    let place = Place::new().await;
    let kept = seen(&place, 1).await;
    let mut conn = place.db.runtime.acquire().await.unwrap();
    let mut tx = conn.begin().await.unwrap();
    let evidence = Evidence::measured(LIMITS, Map::new());
    place.ledger.add_evidence(&mut tx, Actor::System, evidence).await.unwrap();
    tx.rollback().await.unwrap();
    assert_eq!(newest(&place).await.id, kept);
}

#[tokio::test]
async fn what_is_no_plain_fact_is_refused() {
    let place = Place::new().await;
    let many = |count: usize| -> Map<String, Value> {
        (0..count).map(|n| (format!("f{n}"), json!(n))).collect()
    };
    let text = |bytes: usize| facts(json!({ "says": "x".repeat(bytes) }));
    for (facts, fits) in [
        (many(EVIDENCE_FACTS_MAX), true),
        (many(EVIDENCE_FACTS_MAX + 1), false),
        (text(EVIDENCE_TEXT_BYTES_MAX), true),
        (text(EVIDENCE_TEXT_BYTES_MAX + 1), false),
        (facts(json!({ "p95": 1.5 })), false),
        (facts(json!({ "far": u64::MAX })), false),
        (facts(json!({ "nothing": null })), false),
        (facts(json!({ "list": [1] })), false),
        (facts(json!({ "deep": { "a": 1 } })), false),
        (facts(json!({ "says": "a\0b" })), false),
    ] {
        let told = format!("{:.80}", Value::Object(facts.clone()).to_string());
        let added = add(&place, Evidence::measured(LIMITS, facts)).await;
        assert_eq!(added.is_ok(), fits, "{told}: {added:?}");
    }
    // Each within its bound, and together more than an entry holds.
    let long = |n: usize| (format!("f{n}"), json!("x".repeat(EVIDENCE_TEXT_BYTES_MAX)));
    let all: Map<String, Value> = (0..EVIDENCE_FACTS_MAX).map(long).collect();
    let error = add(&place, Evidence::measured(LIMITS, all)).await.unwrap_err();
    assert!(matches!(error, LedgerError::TooLong { field: "detail", .. }), "{error}");
}

/// Every column that somebody with all rights may edit, with the hash made to fit.
#[tokio::test]
async fn evidence_that_was_edited_is_not_ours_though_its_hash_fits() {
    let place = Place::new().await;
    let edits: [fn(&mut plimsoll_ledger::Entry); 10] = [
        |entry| entry.detail["facts"]["open"] = json!(0),
        |entry| entry.detail["facts"]["more"] = json!(1),
        |entry| entry.detail["how"] = json!("declared"),
        |entry| entry.detail["mark"] = json!("00"),
        |entry| entry.detail["mark"] = json!(null),
        |entry| entry.detail = json!({ "how": "measured", "facts": {} }),
        |entry| entry.detail = json!([]),
        |entry| entry.at_us += 1,
        |entry| entry.actor_kind = "operator".into(),
        |entry| entry.outcome = "failed".into(),
    ];
    for edit in edits {
        let id = seen(&place, 2).await;
        assert!(newest(&place).await.genuine);
        rewrite(&place, id, edit).await;
        let found = newest(&place).await;
        assert_eq!((found.id, found.genuine), (id, false), "{found:?}");
    }
    // Nor where the hash was left as it was.
    let id = seen(&place, 2).await;
    let edit = "detail = jsonb_set(detail, '{facts,open}', '0')";
    place.tamper(&format!("update ledger.entries set {edit} where id = '{id}'")).await;
    assert!(!newest(&place).await.genuine);
    // What is moved to another kind is not that kind's.
    let id = seen(&place, 2).await;
    rewrite(&place, id, |entry| entry.subject = "edge.drain".into()).await;
    let mut conn = place.db.runtime.acquire().await.unwrap();
    let moved = place.ledger.newest_evidence(&mut conn, &["edge.drain".to_owned()]).await.unwrap();
    assert!(!moved[0].genuine);
}

/// Changes an entry and makes its hash fit, as somebody without the keys can.
async fn rewrite(place: &Place, id: Uuid, edit: fn(&mut plimsoll_ledger::Entry)) {
    let mut conn = place.db.runtime.acquire().await.unwrap();
    let page = place.ledger.tail(&mut conn, &Filter::default(), 500).await.unwrap();
    let listed = page.entries.into_iter().find(|listed| listed.entry.id == id).unwrap();
    let mut entry = listed.entry;
    edit(&mut entry);
    let hash: String = entry.hash().unwrap().iter().map(|b| format!("{b:02x}")).collect();
    place
        .tamper(&format!(
            "update ledger.entries set hash = '\\x{hash}', subject = '{}', actor_kind = '{}',
                outcome = '{}', detail = '{}',
                at = timestamptz 'epoch' + {}::bigint * interval '1 microsecond'
             where id = '{id}'",
            entry.subject, entry.actor_kind, entry.outcome, entry.detail, entry.at_us,
        ))
        .await;
}

/// The owner of the database may insert in the present, like everybody else: also what stood there
/// before. It is not newer for that.
#[tokio::test]
async fn evidence_that_was_copied_is_not_ours() {
    let place = Place::new().await;
    let good = seen(&place, 0).await;
    let bad = seen(&place, 2).await;
    assert_eq!(newest(&place).await.id, bad);
    let mut conn = place.db.runtime.acquire().await.unwrap();
    let page = place.ledger.tail(&mut conn, &Filter::default(), 10).await.unwrap();
    let mut entry = page.entries.into_iter().find(|one| one.entry.id == good).unwrap().entry;
    entry.id = Uuid::from_u128(bad.as_u128() + 1);
    let hash: String = entry.hash().unwrap().iter().map(|b| format!("{b:02x}")).collect();
    place
        .tamper(&format!(
            "insert into ledger.entries
                (id, at, action, actor_kind, subject, outcome, detail, hash)
             select '{}', at, action, actor_kind, subject, outcome, detail, '\\x{hash}'
             from ledger.entries where id = '{good}'",
            entry.id,
        ))
        .await;
    let found = newest(&place).await;
    assert_eq!((found.id, found.genuine), (entry.id, false));
    // The copy is an entry like any other to the chain; only the mark tells.
    place.seal().await;
    assert!(place.verify().await.is_whole());
}

#[tokio::test]
async fn the_mark_is_what_the_page_on_the_format_says() {
    let place = Place::new().await;
    let id = seen(&place, 0).await;
    let mut conn = place.db.runtime.acquire().await.unwrap();
    let page = place.ledger.tail(&mut conn, &Filter::default(), 10).await.unwrap();
    let mut entry = page.entries.into_iter().find(|one| one.entry.id == id).unwrap().entry;
    let said = entry.detail.as_object_mut().unwrap().remove("mark").unwrap();
    let mut names: Vec<&String> = entry.detail.as_object().unwrap().keys().collect();
    names.sort();
    assert_eq!(names, ["facts", "how"]);
    let made = place.keyring.mark("ledger.evidence.v1", &entry.hash().unwrap()).unwrap();
    assert_eq!(said, json!(made.iter().map(|b| format!("{b:02x}")).collect::<String>()));
}

#[tokio::test]
async fn evidence_of_another_key_is_not_ours() {
    let place = Place::new().await;
    seen(&place, 0).await;
    let other = keyring(place.root.path().join("other"));
    let ledger = Ledger::new(Arc::<ManualClock>::clone(&place.clock), other);
    let mut conn = place.db.runtime.acquire().await.unwrap();
    let kinds = [LIMITS.to_owned()];
    assert!(!ledger.newest_evidence(&mut conn, &kinds).await.unwrap()[0].genuine);
    // Two processes in the same millisecond have no order.
    place.clock.advance(Duration::from_millis(1));
    let evidence = Evidence::measured(LIMITS, Map::new());
    ledger.add_evidence(&mut conn, Actor::System, evidence).await.unwrap();
    assert!(ledger.newest_evidence(&mut conn, &kinds).await.unwrap()[0].genuine);
    assert!(!newest(&place).await.genuine);
}

#[tokio::test]
async fn a_row_that_no_version_wrote_is_no_evidence() {
    let place = Place::new().await;
    let id = seen(&place, 0).await;
    let edit = format!("update ledger.entries set detail = '[1e400]' where id = '{id}'");
    place.tamper(&edit).await;
    let mut conn = place.db.runtime.acquire().await.unwrap();
    let found = place.ledger.newest_evidence(&mut conn, &[LIMITS.to_owned()]).await.unwrap();
    assert!(found.iter().all(|one| !one.genuine), "{found:?}");
    assert!(!place.verify().await.is_whole());
}
