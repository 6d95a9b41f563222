//! The board over a real ledger: what turns a gate, and what cannot.

use std::sync::Arc;
use std::time::Duration;

use plimsoll_base::{Clock as _, ManualClock};
use plimsoll_ledger::{Actor, ActorKind, Entry, Evidence, EvidenceKind, Filter, How, Ledger, ROOM};
use plimsoll_plan::{Board, Gates, Judged, Light, PlanFacts, board, history};
use plimsoll_protection::{Keyring, KeyringOptions};
use plimsoll_testkit::database::Database;
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

/// 2026-11-30, noon.
const NOW_MS: u64 = 1_796_040_000_000;
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

const BUILT: [EvidenceKind; 3] = [
    EvidenceKind { kind: "edge.limits", room: "edge", how: How::Measured },
    EvidenceKind { kind: "report.sast", room: "plan", how: How::Imported },
    EvidenceKind { kind: "document.product-brief", room: "plan", how: How::Declared },
];

struct Place {
    db: Database,
    root: TempDir,
    clock: Arc<ManualClock>,
    ledger: Ledger,
    gates: Gates,
    facts: PlanFacts,
}

fn ledger(root: &TempDir, keys: &str, clock: &Arc<ManualClock>) -> Ledger {
    let options = KeyringOptions {
        directory: root.path().join(keys),
        signing_key_file: None,
        kek_file: None,
        outside_database: false,
    };
    let keyring = Arc::new(Keyring::open(&options).unwrap());
    Ledger::new(Arc::<ManualClock>::clone(clock), keyring)
}

impl Place {
    async fn new() -> Self {
        let db = Database::new(&[ROOM]).await;
        let root = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at_unix_ms(NOW_MS));
        let ledger = ledger(&root, "keys", &clock);
        let gates = Gates::shipped().unwrap();
        let facts = PlanFacts { start: Some("2026-11-30".parse().unwrap()), risks: Vec::new() };
        Self { db, root, clock, ledger, gates, facts }
    }

    async fn add(&self, kind: &str, how: How, facts: Value) -> Uuid {
        self.add_by(&self.ledger, kind, how, facts).await
    }

    async fn add_by(&self, ledger: &Ledger, kind: &str, how: How, facts: Value) -> Uuid {
        let Value::Object(facts) = facts else { panic!("facts are an object") };
        let evidence = Evidence { kind: kind.to_owned(), how, facts };
        let actor = match how {
            How::Imported => Actor::Named(ActorKind::Operator, "local:1000"),
            How::Measured | How::Declared => Actor::System,
        };
        let mut conn = self.db.runtime.acquire().await.unwrap();
        ledger.add_evidence(&mut conn, actor, evidence).await.unwrap()
    }

    /// Every limit refuses.
    async fn limits(&self, silent: u64) -> Uuid {
        self.add("edge.limits", How::Measured, limits(silent)).await
    }

    async fn board(&self) -> Board {
        let mut conn = self.db.runtime.acquire().await.unwrap();
        let now = self.clock.unix_ms();
        board(&mut conn, &self.ledger, &self.gates, &BUILT, &self.facts, now).await.unwrap()
    }

    async fn gate(&self, id: &str) -> Judged {
        self.board().await.gate(id).unwrap().clone()
    }

    async fn light(&self, id: &str) -> Light {
        self.gate(id).await.verdict.light
    }

    /// As somebody with all rights, triggers off.
    async fn tamper(&self, sql: &str) {
        let mut conn = self.db.superuser.acquire().await.unwrap();
        let all = format!("set session_replication_role = replica; {sql}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(all)).execute(&mut *conn).await.unwrap();
        conn.close_on_drop();
    }

    async fn entry(&self, id: Uuid) -> Entry {
        let mut conn = self.db.runtime.acquire().await.unwrap();
        let page = self.ledger.tail(&mut conn, &Filter::default(), 100).await.unwrap();
        page.entries.into_iter().find(|one| one.entry.id == id).unwrap().entry
    }

    /// Changes an entry and makes its hash fit.
    async fn rewrite(&self, id: Uuid, edit: impl FnOnce(&mut Entry)) {
        let mut entry = self.entry(id).await;
        edit(&mut entry);
        let (hash, detail) = (hash(&entry), &entry.detail);
        let set = format!("hash = '\\x{hash}', detail = '{detail}'");
        self.tamper(&format!("update ledger.entries set {set} where id = '{id}'")).await;
    }

    async fn stays_red(&self, id: Uuid) {
        let gate = self.gate("limits-refuse").await;
        assert_eq!(gate.verdict.light, Light::Red);
        let says = format!("Entry {id} of the ledger is not what this Plimsoll wrote");
        assert!(gate.verdict.reason.starts_with(&says), "{}", gate.verdict.reason);
        assert_eq!(gate.verdict.seen, None);
    }
}

fn limits(silent: u64) -> Value {
    json!({
        "operations": 4, "limits": 2, "per_caller": 1, "per_ip": 1, "silent": silent,
        "first_silent": "sign-in", "unlimited": 0, "first_unlimited": "", "says": "All refuse.",
    })
}

fn hash(entry: &Entry) -> String {
    entry.hash().unwrap().iter().map(|b| format!("{b:02x}")).collect()
}

#[tokio::test]
async fn without_evidence_every_gate_is_red_and_says_what_to_do() {
    let place = Place::new().await;
    let board = place.board().await;
    assert_eq!(board.gates.len(), place.gates.iter().count());
    assert_eq!(board.summary().red, board.summary().all());
    for gate in &board.gates {
        assert!(gate.verdict.reason.starts_with("No evidence yet"), "{gate:?}");
        assert!(!gate.next.is_empty());
        let kind = &place.gates.get(&gate.id).unwrap().evidence;
        assert_eq!(gate.built, BUILT.iter().any(|one| one.kind == *kind), "{}", gate.id);
    }
    assert_eq!(board.week, Some(1));
    assert_eq!(board.next, ["product-brief", "limits-refuse", "limits-per-token"]);
}

#[tokio::test]
async fn evidence_turns_a_gate_and_newer_evidence_turns_it_back() {
    let place = Place::new().await;
    assert_eq!(place.light("limits-refuse").await, Light::Red);
    let id = place.limits(0).await;
    let gate = place.gate("limits-refuse").await;
    assert_eq!((gate.verdict.light, gate.verdict.reason.as_str()), (Light::Green, "All refuse."));
    assert_eq!(gate.next, "");
    let seen = gate.verdict.seen.unwrap();
    assert_eq!((seen.entry, seen.at_unix_ms, seen.by.as_str()), (id, NOW_MS, "system"));
    place.clock.advance(HOUR);
    place.limits(1).await;
    let gate = place.gate("limits-refuse").await;
    assert_eq!(gate.verdict.light, Light::Red);
    assert_eq!(gate.verdict.reason, "1 of 2 limits let pass what is too much, first sign-in.");
    assert!(!gate.next.is_empty());
    place.clock.advance(HOUR);
    place.limits(0).await;
    assert_eq!(place.light("limits-refuse").await, Light::Green);
    let mut conn = place.db.runtime.acquire().await.unwrap();
    let all = place.ledger.evidence_since(&mut conn, "edge.limits", 0).await.unwrap();
    let gate = place.gates.get("limits-refuse").unwrap();
    let turns = history(gate, &all, place.clock.unix_ms());
    let lights: Vec<Light> = turns.iter().map(|turn| turn.light).collect();
    assert_eq!(lights, [Light::Green, Light::Red, Light::Green]);
}

#[tokio::test]
async fn evidence_expires_while_nothing_else_happens() {
    let place = Place::new().await;
    place.limits(0).await;
    place.clock.advance(DAY - Duration::from_millis(1));
    let gate = place.gate("limits-refuse").await;
    assert_eq!(gate.verdict.light, Light::Amber);
    place.clock.advance(Duration::from_millis(1));
    let gate = place.gate("limits-refuse").await;
    let expired = (Light::Red, "The evidence expired on 2026-12-01.");
    assert_eq!((gate.verdict.light, gate.verdict.reason.as_str()), expired);
    place.limits(0).await;
    assert_eq!(place.light("limits-refuse").await, Light::Green);
}

#[tokio::test]
async fn a_document_counts_from_its_own_day() {
    let place = Place::new().await;
    let (owned, faults) = (true, 0);
    let brief = |state: &str, step: u64, dated: &str| {
        json!({
            "state": state, "step": step, "owned": owned, "dated": dated, "faults": faults,
        })
    };
    let kind = "document.product-brief";
    place.add(kind, How::Declared, brief("draft", 0, "2026-11-30")).await;
    let gate = place.gate("product-brief").await;
    assert_eq!(gate.verdict.reason, "The product brief is draft; wanted: agreed.");
    place.add(kind, How::Declared, brief("agreed", 1, "2026-11-29")).await;
    assert_eq!(place.light("product-brief").await, Light::Green);
    assert_eq!(place.board().await.summary().declared, 1);
    // Read every day, it grows old all the same.
    for _ in 0..9 {
        place.clock.advance(10 * DAY);
        place.add(kind, How::Declared, brief("agreed", 1, "2026-11-29")).await;
    }
    assert_eq!(place.light("product-brief").await, Light::Red);
}

#[tokio::test]
async fn an_edited_entry_stays_red_whether_or_not_its_hash_fits() {
    let place = Place::new().await;
    let id = place.limits(2).await;
    let good = limits(0).to_string();
    let detail = format!("detail = jsonb_set(detail, '{{facts}}', '{good}')");
    place.tamper(&format!("update ledger.entries set {detail} where id = '{id}'")).await;
    place.stays_red(id).await;
    let id = place.limits(2).await;
    place.rewrite(id, |entry| entry.detail["facts"] = limits(0)).await;
    place.stays_red(id).await;
    // What Plimsoll sees next counts again.
    place.limits(0).await;
    assert_eq!(place.light("limits-refuse").await, Light::Green);
}

#[tokio::test]
async fn an_entry_that_was_made_up_stays_red() {
    let place = Place::new().await;
    let seen = place.entry(place.limits(2).await).await;
    let marks = [json!(null), json!(""), json!("00".repeat(32)), seen.detail["mark"].clone()];
    for (mark, n) in marks.into_iter().zip(1_u128..) {
        let entry = Entry {
            id: Uuid::from_u128(seen.id.as_u128() + n),
            detail: json!({ "how": "measured", "facts": limits(0), "mark": mark }),
            ..seen.clone()
        };
        let (id, hash) = (entry.id, hash(&entry));
        place
            .tamper(&format!(
                "insert into ledger.entries
                    (id, at, action, actor_kind, subject, outcome, detail, hash)
                 select '{id}', at, action, actor_kind, subject, outcome, '{}', '\\x{hash}'
                 from ledger.entries where id = '{}'",
                entry.detail, seen.id,
            ))
            .await;
        place.stays_red(id).await;
    }
}

#[tokio::test]
async fn an_old_entry_that_was_copied_stays_red() {
    let place = Place::new().await;
    let good = place.entry(place.limits(0).await).await;
    let bad = place.limits(2).await;
    let entry = Entry { id: Uuid::from_u128(bad.as_u128() + 1), ..good.clone() };
    let (id, hash) = (entry.id, hash(&entry));
    place
        .tamper(&format!(
            "insert into ledger.entries (id, at, action, actor_kind, subject, outcome, detail, hash)
             select '{id}', at, action, actor_kind, subject, outcome, detail, '\\x{hash}'
             from ledger.entries where id = '{}'",
            good.id,
        ))
        .await;
    place.stays_red(id).await;
}

#[tokio::test]
async fn evidence_of_another_kind_of_coming_to_be_does_not_count() {
    let place = Place::new().await;
    for how in [How::Declared, How::Imported] {
        place.add("edge.limits", how, limits(0)).await;
        let gate = place.gate("limits-refuse").await;
        let says = format!("The evidence is {}; it has to be measured.", how.as_str());
        assert_eq!((gate.verdict.light, gate.verdict.reason), (Light::Red, says));
    }
    // Nor can it be made to.
    let id = place.add("edge.limits", How::Declared, limits(0)).await;
    place.rewrite(id, |entry| entry.detail["how"] = json!("measured")).await;
    place.stays_red(id).await;
}

#[tokio::test]
async fn evidence_under_another_key_does_not_count() {
    let place = Place::new().await;
    let other = ledger(&place.root, "other", &place.clock);
    let id = place.add_by(&other, "edge.limits", How::Measured, limits(0)).await;
    place.stays_red(id).await;
}

#[tokio::test]
async fn evidence_of_what_is_not_built_does_not_count() {
    let place = Place::new().await;
    let facts = json!({ "keys": 9, "executed_twice": 0 });
    place.add("writes.idempotency", How::Measured, facts).await;
    let gate = place.gate("writes-idempotent").await;
    assert_eq!((gate.verdict.light, gate.built), (Light::Red, false));
    assert!(gate.verdict.reason.starts_with("No evidence yet"), "{}", gate.verdict.reason);
}

#[tokio::test]
async fn who_brought_it_is_told_by_kind() {
    let place = Place::new().await;
    let sarif = json!({
        "tool": "semgrep", "results": 2, "errors": 0, "warnings": 2, "tool_errors": 0,
        "worst_rule": "no-eval",
    });
    place.add("report.sast", How::Imported, sarif).await;
    let gate = place.gate("sast").await;
    let amber = "semgrep found no error in the code, but 2 warnings, most by no-eval.";
    assert_eq!((gate.verdict.light, gate.verdict.reason.as_str()), (Light::Amber, amber));
    let seen = gate.verdict.seen.unwrap();
    assert_eq!((seen.by.as_str(), seen.how), ("operator", How::Imported));
}
