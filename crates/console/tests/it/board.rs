//! The board over a real ledger: its pages, JSON and CSV, narrowed and whole, and what is hostile.

use plimsoll_console::MemoryRow;
use plimsoll_ledger::{EvidenceKind, How};
use plimsoll_plan::{Gates, PlanFacts, Risk, RiskArea};
use serde_json::{Value, json};
use sqlx::Executor as _;

use crate::kept::{Kept, kept};
use crate::scene::{HOSTILE, NOW_UNIX_MS, Scene};

const BUILT: [EvidenceKind; 6] = [
    kind("edge.limits", "edge", How::Measured),
    kind("ledger.verified", "ledger", How::Measured),
    kind("document.brief", "plan", How::Declared),
    kind("document.hostile", "plan", How::Declared),
    kind("document.pen-test", "plan", How::Declared),
    kind("report.sast", "plan", How::Imported),
];

const fn kind(kind: &'static str, room: &'static str, how: How) -> EvidenceKind {
    EvidenceKind { kind, room, how }
}

/// A gate whose fact `faults` has to be none, and whose `poor` makes it amber.
fn gate(
    id: &str,
    title: &str,
    area: &str,
    weeks: [u8; 2],
    kind: &EvidenceKind,
    fresh: &str,
) -> Value {
    json!({
        "id": id,
        "title": title,
        "clause": "a clause of the playbook",
        "area": area,
        "weeks": weeks,
        "asks": format!("What of {title}?"),
        "room": kind.room,
        "evidence": kind.kind,
        "how": kind.how,
        "fresh": fresh,
        "require": [{ "fact": "faults", "at_most": 0, "else": "{faults} faults, first {first}." }],
        "better": [{ "fact": "poor", "is": false, "else": "It is poor." }],
        "next": "Mend it, then run `plimsoll <mend>` & see.",
    })
}

fn gates() -> Gates {
    let [limits, verified, brief, hostile, pen_test, sast] = &BUILT;
    let cache = kind("edge.cache", "edge", How::Measured);
    let gates = [
        gate("brief", "Brief", "scope", [1, 1], brief, "30d"),
        gate("limits", "Every operation limited", "architecture", [1, 2], limits, "1d"),
        gate("cache", "Short cache", "hardening", [3, 6], &cache, "1d"),
        gate("ledger", "Whole ledger", "security", [1, 2], verified, "1d"),
        gate("sast", "Code scanned", "security", [2, 3], sast, "7d"),
        gate("pen-test", "Pen test booked", "security", [4, 7], pen_test, "90d"),
        gate("hostile", HOSTILE, "people", [1, 13], hostile, "90d"),
    ];
    let shapes = BUILT.iter().chain([&cache]).map(|kind| {
        json!({ "names": [kind.kind], "room": kind.room, "how": kind.how,
            "facts": ["faults", "first", "poor", "says", "dated"] })
    });
    let file = json!({ "kind": shapes.collect::<Vec<_>>(), "gate": gates });
    Gates::parse(&toml::to_string(&file).unwrap()).unwrap()
}

/// Week 3: two gates hold, one more does for a little while, the rest is red each for a reason of
/// its own.
async fn week_three() -> Kept {
    let kept = kept(gates(), &BUILT, 28).await;
    let good = |says: &str| json!({ "faults": 0, "poor": false, "says": says });
    kept.add("document.brief", How::Declared, good("The brief says what it is for.")).await;
    kept.days_before(10);
    kept.add("report.sast", How::Imported, good("semgrep: nothing found.")).await;
    kept.add("edge.limits", How::Measured, json!({ "faults": 1, "first": "GET /a" })).await;
    kept.days_before(0);
    kept.add("edge.limits", How::Measured, good("16 operations under 2 limits.")).await;
    let broken = json!({ "faults": 2, "first": HOSTILE, "poor": false });
    kept.add("ledger.verified", How::Measured, broken).await;
    kept.add("document.hostile", How::Declared, good(HOSTILE)).await;
    kept.facts.send_replace(PlanFacts {
        start: Some("2026-11-05".parse().unwrap()),
        risks: vec![
            risk("double-charge", "Somebody pays twice", RiskArea::Reliability, &["limits"]),
            risk("leak", HOSTILE, RiskArea::Security, &["sast", "limits", "<gone>"]),
            risk("unanswered", "Nobody looks", RiskArea::Cadence, &[]),
        ],
    });
    kept
}

fn risk(id: &str, title: &str, area: RiskArea, gates: &[&str]) -> Risk {
    let gates = gates.iter().map(|gate| (*gate).to_owned()).collect();
    Risk { id: id.into(), title: title.into(), area, gates }
}

fn ids(answer: &Value) -> Vec<&str> {
    let gates = answer["gates"].as_array().unwrap().iter();
    gates.map(|gate| gate["id"].as_str().unwrap()).collect()
}

#[track_caller]
fn holds(page: &str, parts: &[&str]) {
    for part in parts {
        assert!(page.contains(part), "no `{part}` in {page}");
    }
    assert!(!page.contains("<script>alert"), "hostile text is escaped: {page}");
    assert!(!page.contains(" style=") && !page.contains("<style"), "the policy lets none in");
}

#[tokio::test]
async fn the_board_says_how_every_gate_stands_why_and_what_next() {
    let kept = week_three().await;
    let page = kept.scene.get("/board").await;
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    let headline = "Week 3 of 13: 3 of 7 gates hold; 1 is due and red";
    holds(
        &page.body,
        &[
            headline,
            "Day 18 of 90, from 2026-11-05 to 2027-02-02.",
            "is due and red when this week ends.",
            "2 of 3 that are due hold",
            "over the line",
            // Each state for its reason.
            "16 operations under 2 limits.",
            "It holds; the evidence expires in 2 days.",
            "The evidence expired on 2026-11-19.",
            "No evidence yet.",
            "2 faults, first =&lt;script&gt;",
            "this Plimsoll cannot answer it yet",
            // Age and expiry.
            "28 d old, counts 2 d more",
            "expired 2026-11-19",
            // What to do, with what can be typed.
            "<code>plimsoll &lt;mend&gt;</code>",
            "how declared",
            "how imported",
            // Risks in the colour of their gates.
            "Somebody pays twice",
            "There is no gate <code>&lt;gone&gt;</code>",
            "No gate answers it",
            "/board?format=json",
            "/board.csv",
            "/board/summary",
        ],
    );
    let json = kept.scene.get("/board?format=json").await;
    assert_eq!((json.status, json.header("content-type")), (200, "application/json"));
    let json = json.json();
    assert_eq!(json, kept.scene.get("/api/v1/board").await.json());
    assert_eq!(json["standing"]["headline"], headline);
    assert_eq!(json["standing"]["due_red"], 1);
    assert_eq!((&json["week"], &json["start"]), (&json!(3), &json!("2026-11-05")));
    assert_eq!(ids(&json).len(), 7);
    let next = json["next"].as_array().unwrap().iter();
    let next: Vec<_> = next.map(|gate| gate["id"].as_str().unwrap()).collect();
    assert_eq!(
        next,
        ["ledger", "brief", "sast"],
        "what is due first, and nothing that is not built"
    );
    let lights = json["risks"].as_array().unwrap().iter().map(|risk| risk["light"].clone());
    assert_eq!(lights.collect::<Vec<_>>(), ["green", "red", "red"]);
    kept.scene.stop().await;
}

#[tokio::test]
async fn the_board_is_narrowed_and_its_links_keep_what_was_asked() {
    let kept = week_three().await;
    let scene = &kept.scene;
    for (asked, wanted) in [
        ("state=red", vec!["cache", "ledger", "sast", "pen-test"]),
        ("state=amber", vec!["brief"]),
        ("area=security", vec!["ledger", "sast", "pen-test"]),
        ("week=4", vec!["cache", "pen-test", "hostile"]),
        ("how=declared", vec!["brief", "pen-test", "hostile"]),
        ("due=past", vec!["brief", "limits", "ledger"]),
        ("due=now", vec!["brief", "limits", "ledger", "sast"]),
        ("due=2", vec!["brief", "limits", "ledger"]),
        ("state=red&due=past&area=&week=&how=", vec!["ledger"]),
        ("state=green&area=launch", vec![]),
    ] {
        let json = scene.get(&format!("/api/v1/board?{asked}")).await.json();
        assert_eq!(ids(&json), wanted, "{asked}");
        let table = scene.get(&format!("/board.csv?{asked}")).await;
        assert_eq!(table.body.lines().count(), wanted.len() + 1, "{asked}: {}", table.body);
        let page = scene.get(&format!("/board?{asked}")).await;
        let shown = format!("{} of 7 shown", wanted.len());
        holds(&page.body, &[&shown]);
    }
    let page = scene.get("/board?state=red&area=security").await.body.replace("&amp;", "&");
    holds(
        &page,
        &[
            "/board?state=red&area=security&format=json",
            "/board.csv?state=red&area=security",
            "<option value=\"security\" selected>",
        ],
    );
    holds(&scene.get("/board?state=green&area=launch").await.body, &["No gate is like that."]);
    kept.scene.stop().await;
}

#[tokio::test]
async fn the_board_as_csv_has_a_line_a_gate_and_no_formula() {
    let kept = week_three().await;
    let table = kept.scene.get("/board.csv").await;
    assert_eq!(table.header("content-type"), "text/csv; charset=utf-8; header=present");
    let lines: Vec<&str> = table.body.split("\r\n").collect();
    assert!(lines[0].starts_with("id,area,title,state,reason,next,first_week,last_week,due,how"));
    assert_eq!(lines.len(), 9, "{lines:?}");
    let limits = lines.iter().find(|line| line.starts_with("limits,")).unwrap();
    assert!(limits.contains(",green,16 operations under 2 limits.,,1,2,true,measured,true,"));
    let hostile = lines.iter().find(|line| line.starts_with("hostile,")).unwrap();
    assert!(hostile.contains("\"'=<script>alert(\"\"1\"\")"), "{hostile}");
    kept.scene.stop().await;
}

#[tokio::test]
async fn a_gate_has_a_page_with_its_evidence_and_its_history() {
    let kept = week_three().await;
    let scene = &kept.scene;
    let page = scene.get("/board/gates/limits").await;
    assert_eq!(page.status, 200);
    holds(
        &page.body,
        &[
            "<h1>Every operation limited</h1>",
            "What of Every operation limited?",
            "16 operations under 2 limits.",
            "“a clause of the playbook”",
            "weeks 1 to 2",
            "measured",
            "/ledger?action=evidence.add&amp;subject=edge.limits",
            "Plimsoll itself",
            "its mark is this Plimsoll's",
            // What has to hold, in words, with what was seen.
            "<td>none</td><td><b>0</b></td>",
            // What it was before.
            "1 faults, first GET /a.",
        ],
    );
    let json = scene.get("/board/gates/limits?format=json").await.json();
    assert_eq!(json, scene.get("/api/v1/board/gates/limits").await.json());
    assert_eq!(json["state"], "green");
    let turns = json["history"].as_array().unwrap();
    assert_eq!(
        (turns.len(), &turns[0]["light"], &turns[1]["light"]),
        (2, &json!("green"), &json!("red"))
    );
    assert_eq!(json["evidence"]["facts"]["faults"], 0);
    assert_eq!(json["conditions"][0]["wanted"], "none");
    let entry = json["evidence"]["entry"].as_str().unwrap();
    assert!(page.body.contains(entry));
    // Brought by somebody: by kind and hash, never by name.
    let sast = scene.get("/board/gates/sast").await.body;
    holds(&sast, &["operator", "imported", "The evidence expired on 2026-11-19."]);
    assert!(!sast.contains("local:1000"), "{sast}");
    // Hostile texts of the gate and of the evidence.
    holds(&scene.get("/board/gates/hostile").await.body, &["=&lt;script&gt;"]);
    holds(&scene.get("/board/gates/ledger").await.body, &["<b>2</b>", "=&lt;script&gt;"]);
    let none = scene.get("/board/gates/pen-test").await.body;
    holds(&none, &["No evidence yet", "nothing was seen yet", "not seen"]);
    kept.scene.stop().await;
}

#[tokio::test]
async fn evidence_that_somebody_edited_counts_for_nothing_and_the_page_says_so() {
    let kept = week_three().await;
    // By somebody with all rights on the database.
    let edit = "set session_replication_role = replica; \
        update ledger.entries set detail = jsonb_set(detail::jsonb, '{facts,faults}', '0') \
        where subject = 'ledger.verified'";
    kept.database.superuser.execute(sqlx::raw_sql(edit)).await.unwrap();
    let page = kept.scene.get("/board/gates/ledger").await.body;
    holds(&page, &["is not what this Plimsoll wrote", "plimsoll ledger verify", "NO"]);
    let json = kept.scene.get("/api/v1/board?area=security").await.json();
    assert_eq!(json["gates"][0]["light"], "red");
    kept.scene.stop().await;
}

#[tokio::test]
async fn evidence_that_grows_old_turns_a_gate_without_anybody_doing_anything() {
    let kept = week_three().await;
    let light = async || kept.scene.get("/api/v1/board/gates/limits").await.json()["state"].clone();
    assert_eq!(light().await, "green");
    kept.clock.advance(crate::kept::DAY * 9 / 10);
    assert_eq!(light().await, "amber");
    kept.clock.advance(crate::kept::DAY / 10);
    assert_eq!(light().await, "red");
    let json = kept.scene.get("/api/v1/board/gates/limits").await.json();
    let turns = json["history"].as_array().unwrap();
    assert_eq!(turns[0]["light"], "red", "{turns:?}");
    assert!(turns[0]["at_unix_ms"].as_u64().unwrap() > NOW_UNIX_MS);
    kept.scene.stop().await;
}

#[tokio::test]
async fn the_summary_is_one_sheet_without_navigation() {
    let kept = week_three().await;
    let page = kept.scene.get("/board/summary").await;
    assert_eq!(page.status, 200);
    holds(
        &page.body,
        &[
            "Week 3 of 13: 3 of 7 gates hold; 1 is due and red",
            "Readiness of the service, 2026-11-22",
            "By area",
            "Top risks",
            "Red, and why",
            "Next three",
            "First day",
            "2027-02-02",
        ],
    );
    assert!(!page.body.contains("<nav"), "{}", page.body);
    kept.scene.stop().await;
}

#[tokio::test]
async fn without_a_plan_nothing_is_due_and_the_board_says_how_to_begin() {
    let kept = kept(gates(), &BUILT, 0).await;
    let page = kept.scene.get("/board").await.body;
    holds(
        &page,
        &[
            "No start date: 0 of 7 gates hold; nothing is due yet",
            "plimsoll plan init --start DATE",
            "No risk is written down.",
        ],
    );
    holds(&kept.scene.get("/board/summary").await.body, &["No risk is written down."]);
    holds(&kept.scene.get("/board/gates/brief").await.body, &["No evidence yet"]);
    let json = kept.scene.get("/api/v1/board?due=now").await.json();
    assert_eq!(ids(&json).len(), 7, "where there is no week, all are meant");
    let start = |day: &str| PlanFacts { start: Some(day.parse().unwrap()), risks: Vec::new() };
    kept.facts.send_replace(start("2026-12-01"));
    let page = kept.scene.get("/board").await.body;
    holds(&page, &["The 90 days start on 2026-12-01", "Nothing is due before it."]);
    kept.facts.send_replace(start("2026-01-01"));
    let page = kept.scene.get("/board").await.body;
    holds(&page, &["The 90 days are over: 0 of 7 gates hold; 7 are due and red"]);
    kept.scene.stop().await;
}

#[tokio::test]
async fn an_unknown_gate_is_a_problem_to_programs_and_a_page_to_people() {
    let kept = kept(gates(), &BUILT, 0).await;
    let path = "/board/gates/%3Cscript%3Ealert(1)";
    for path in [format!("/api/v1{path}"), format!("{path}?format=json")] {
        let answer = kept.scene.get(&path).await;
        assert_eq!(answer.header("content-type"), "application/problem+json");
        assert_eq!((answer.status, &answer.json()["code"]), (404, &"PLM-OPS-0001".into()));
    }
    let page = kept.scene.get(path).await;
    assert_eq!((page.status, page.header("content-type")), (404, "text/html; charset=utf-8"));
    holds(&page.body, &["PLM-OPS-0001", "href=\"/board\"", "&lt;script&gt;alert(1)"]);
    for query in ["state=blue", "area=sea", "week=14", "week=x", "due=soon", "colour=red"] {
        let answer = kept.scene.get(&format!("/api/v1/board?{query}")).await;
        assert_eq!((answer.status, &answer.json()["code"]), (400, &"PLM-OPS-0003".into()));
        let page = kept.scene.get(&format!("/board?{query}")).await;
        assert_eq!((page.status, page.header("content-type")), (400, "text/html; charset=utf-8"));
        holds(&page.body, &["PLM-OPS-0003"]);
    }
    kept.scene.stop().await;
}

#[tokio::test]
async fn without_a_database_the_pages_say_why_and_what_next() {
    let scene = Scene::start().await;
    *scene.made.memory.lock().unwrap() = Some(MemoryRow {
        database_down: Some("it is being started".into()),
        ..MemoryRow::default()
    });
    for path in ["/board", "/board/summary", "/board/gates/brief"] {
        let page = scene.get(path).await;
        assert_eq!((page.status, page.header("content-type")), (503, "text/html; charset=utf-8"));
        assert_eq!(page.header("retry-after"), "5");
        holds(&page.body, &["it is being started", "plimsoll doctor", "/readyz", "PLM-OPS-0008"]);
    }
    for path in ["/board?format=json", "/board.csv", "/api/v1/board", "/api/v1/board/gates/brief"] {
        let answer = scene.get(path).await;
        assert_eq!(
            (answer.status, &answer.json()["code"]),
            (503, &"PLM-OPS-0008".into()),
            "{path}"
        );
    }
    holds(&scene.get("/").await.body, &["Judged once the database is reached.", "href=\"/board\""]);
    scene.stop().await;
}

#[tokio::test]
async fn the_page_of_live_figures_has_the_board_in_a_line() {
    let kept = week_three().await;
    let board = kept.scene.get("/api/v1/board").await.json();
    let next = board["next"].as_array().unwrap();
    let row = plimsoll_console::BoardRow {
        at_unix_ms: NOW_UNIX_MS,
        headline: board["standing"]["headline"].as_str().unwrap().to_owned(),
        summary: plimsoll_plan::Summary { red: 4, amber: 1, green: 2, declared: 2 },
        due: 3,
        due_red: 1,
        load: 1.5,
        next: vec![plimsoll_console::NextRow {
            id: next[0]["id"].as_str().unwrap().to_owned(),
            title: HOSTILE.to_owned(),
            state: "red",
        }],
    };
    *kept.scene.made.memory.lock().unwrap() =
        Some(MemoryRow { board: Some(row), ..MemoryRow::default() });
    let page = kept.scene.get("/").await.body;
    holds(&page, &["Week 3 of 13", "/board/gates/ledger", "=&lt;script&gt;", "over the line"]);
    let json = kept.scene.get("/?format=json").await.json();
    assert_eq!(json["memory"]["board"]["due_red"], 1);
    kept.scene.stop().await;
}
