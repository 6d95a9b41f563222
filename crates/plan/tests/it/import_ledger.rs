//! From a report to a gate, by way of the ledger: who brought it stands there, and an entry that
//! was edited is no evidence.

use std::sync::Arc;

use plimsoll_base::ManualClock;
use plimsoll_ledger::{Actor, ActorKind, How, Ledger, ROOM};
use plimsoll_plan::{Condition, Found, Gate, Gates, Light, judge};
use plimsoll_protection::{Keyring, KeyringOptions};
use plimsoll_testkit::database::Database;

use crate::import::{NEXTEST, NOW_MS, read};

const DAY_MS: u64 = 86_400_000;

/// A gate that asks of a report of tests what a test here says, whatever the shipped ones ask.
fn gate() -> Gate {
    let mut gate = Gates::shipped().unwrap().iter().next().unwrap().clone();
    let asks = |fact: &str, least, most, otherwise: &str| Condition {
        fact: fact.to_owned(),
        is: None,
        at_least: least,
        at_most: most,
        otherwise: otherwise.to_owned(),
    };
    gate.evidence = "report.tests".to_owned();
    gate.how = How::Imported;
    gate.fresh = "7d".parse().unwrap();
    gate.require = vec![
        asks("tests", Some(1), None, "There is no test."),
        asks("failures", None, Some(0), "{failures} of {tests} tests fail."),
    ];
    gate.better = Vec::new();
    gate
}

#[tokio::test]
async fn a_gate_turns_by_what_was_brought_and_back_by_its_own_date() {
    let db = Database::new(&[ROOM]).await;
    let root = tempfile::tempdir().unwrap();
    let keys = KeyringOptions {
        directory: root.path().join("keys"),
        signing_key_file: None,
        kek_file: None,
        outside_database: false,
    };
    let clock = Arc::new(ManualClock::at_unix_ms(NOW_MS));
    let ledger = Ledger::new(clock, Arc::new(Keyring::open(&keys).unwrap()));
    let mut conn = db.runtime.acquire().await.unwrap();
    let (gate, kinds) = (gate(), ["report.tests".to_owned()]);
    let gate = &gate;
    let operator = Actor::Named(ActorKind::Operator, "local:1000");

    let red = read(NEXTEST).evidence(NOW_MS).unwrap();
    ledger.add_evidence(&mut conn, operator, red).await.unwrap();
    let newest = ledger.newest_evidence(&mut conn, &kinds).await.unwrap();
    let verdict = judge(gate, Found::Newest(&newest[0]), NOW_MS);
    assert_eq!((verdict.light, &*verdict.reason), (Light::Red, "1 of 4 tests fail."));
    assert_eq!(newest[0].actor_kind, "operator");

    let mended = NEXTEST.replace("failures=\"1\"", "failures=\"0\"");
    let mended = mended.replace("<failure", "<flakyFailure").replace("</failure", "</flakyFailure");
    let green = read(&mended).evidence(NOW_MS).unwrap();
    let entry = ledger.add_evidence(&mut conn, operator, green).await.unwrap();
    let newest = ledger.newest_evidence(&mut conn, &kinds).await.unwrap();
    let verdict = |now| judge(gate, Found::Newest(&newest[0]), now);
    assert_eq!(verdict(NOW_MS).light, Light::Green, "{}", verdict(NOW_MS).reason);
    assert_eq!(verdict(NOW_MS).reason, "4 tests: 0 failed, 0 broke off, 0 skipped.");
    // The report is of 28 November: seven days after its end it says nothing any more.
    let end = NOW_MS / DAY_MS * DAY_MS - 1;
    assert_eq!(verdict(end + 7 * DAY_MS - 1).light, Light::Amber);
    assert_eq!(verdict(end + 7 * DAY_MS).light, Light::Red);

    let edit = "update ledger.entries
        set detail = jsonb_set(detail, '{facts,tests}', '400') where id = $1";
    let mut superuser = db.superuser.acquire().await.unwrap();
    let off = sqlx::raw_sql("set session_replication_role = replica");
    off.execute(&mut *superuser).await.unwrap();
    let edited = sqlx::query(edit).bind(entry).execute(&mut *superuser).await.unwrap();
    assert_eq!(edited.rows_affected(), 1);
    let newest = ledger.newest_evidence(&mut conn, &kinds).await.unwrap();
    let verdict = judge(gate, Found::Newest(&newest[0]), NOW_MS);
    assert_eq!(verdict.light, Light::Red);
    assert!(verdict.reason.contains("ledger verify"), "{}", verdict.reason);
}
