//! The ledger's page, its JSON and its CSV, over a real database.

use http::Method;
use plimsoll_console::client::{self, AskError};
use plimsoll_console::{LedgerRow, MemoryRow};
use plimsoll_ledger::{Actor, ActorKind, Append, Fact};
use plimsoll_plan::Gates;
use serde_json::json;

use crate::kept::{Kept, kept as empty};
use crate::scene::{HOSTILE, Scene};

/// A console whose ledger holds these starts of nodes, in this order.
async fn kept(nodes: &[&str]) -> Kept {
    let kept = empty(Gates::shipped().unwrap(), &[], 0).await;
    for node in nodes {
        let fact = Fact::Start {
            version: "0.1.0".into(),
            node: (*node).into(),
            role: "all".into(),
            manifest_sha256: "ab".repeat(32),
        };
        let actor = Actor::Named(ActorKind::Operator, "local:1000");
        let mut connection = kept.database.runtime.acquire().await.unwrap();
        kept.ledger.append(&mut connection, Append::ok(actor, fact)).await.unwrap();
    }
    kept
}

fn subjects(answer: &serde_json::Value) -> Vec<&str> {
    let entries = answer["entries"].as_array().unwrap().iter();
    entries.map(|entry| entry["subject"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn the_ledger_is_a_page_json_and_csv() {
    let kept = kept(&["one", HOSTILE]).await;
    let scene = &kept.scene;
    *scene.made.memory.lock().unwrap() = Some(MemoryRow {
        ledger: LedgerRow { sealed: 2, ..LedgerRow::default() },
        ..MemoryRow::default()
    });
    let page = scene.get("/ledger").await;
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    for part in
        ["2 entries", "of all time", "read at 2026-11-22 08:10:00 UTC", "plimsoll.start", "CSV"]
    {
        assert!(page.body.contains(part), "no `{part}` in {}", page.body);
    }
    assert!(!page.body.contains("<script>"), "hostile text is escaped");
    let json = scene.get("/ledger?format=json").await;
    assert_eq!((json.status, json.header("content-type")), (200, "application/json"));
    let api = scene.get("/api/v1/ledger").await.json();
    assert_eq!(json.json()["entries"], api["entries"]);
    assert_eq!(subjects(&api).len(), 2);
    let table = scene.get("/ledger.csv").await;
    assert_eq!(table.header("content-type"), "text/csv; charset=utf-8; header=present");
    let lines: Vec<&str> = table.body.split("\r\n").collect();
    assert!(lines[0].starts_with("id,at_unix_ms,position,action,outcome,actor_kind,actor,subject"));
    assert_eq!(lines.len(), 4, "{lines:?}");
    assert!(lines[1].contains("plimsoll.start,ok,operator,"), "{lines:?}");
    kept.scene.stop().await;
}

#[tokio::test]
async fn the_ledger_is_narrowed_by_time_and_its_links_keep_what_was_asked() {
    let kept = kept(&["one", "two", "three"]).await;
    let scene = &kept.scene;
    let all = "from_unix_ms=1700000000000&to_unix_ms=4100000000000&limit=2";
    let page = scene.get(&format!("/ledger?{all}&outcome=ok")).await.body.replace("&amp;", "&");
    let links: Vec<&str> =
        page.split("href=\"").filter_map(|rest| rest.split('"').next()).collect();
    let older = links.iter().find(|link| link.contains("before=")).unwrap();
    let json = links.iter().find(|link| link.contains("format=json")).unwrap();
    let csv = links.iter().find(|link| link.starts_with("/ledger.csv")).unwrap();
    for link in [older, json, csv] {
        for part in all.split('&').chain(["outcome=ok"]) {
            assert!(link.contains(part), "{part} in {link}");
        }
    }
    assert_eq!(subjects(&scene.get(json).await.json()).len(), 2);
    assert_eq!(scene.get(csv).await.body.lines().count(), 3);
    let next = scene.get(&format!("{older}&format=json")).await.json();
    assert_eq!(subjects(&next).len(), 1, "{next}");
    // As the form sends it: UTC, and what was left empty, too.
    let form = "/ledger?action=&outcome=&actor=&subject=&from=2023-11-14T22:14&to=";
    let page = scene.get(form).await.body;
    assert!(page.contains("value=\"2023-11-14T22:14\""), "{page}");
    assert!(page.contains("from 2023-11-14 22:14:00 UTC on"), "{page}");
    assert!(page.contains("three"));
    let past = scene.get("/ledger?to=2023-11-14T22:14:05").await.body;
    assert!(past.contains("No entry is like that") && past.contains("before 2023-11-14"), "{past}");
    kept.scene.stop().await;
}

#[tokio::test]
async fn a_table_holds_what_there_is_and_links_to_what_it_leaves_out() {
    let kept = kept(&["node"; 51]).await;
    let scene = &kept.scene;
    let all = scene.get("/ledger.csv").await;
    assert_eq!(all.body.lines().count(), 1 + 51, "more than a page shows");
    assert_eq!(all.header("link"), "");
    let part = scene.get("/ledger.csv?outcome=ok&limit=50").await;
    assert_eq!(part.body.lines().count(), 1 + 50);
    let link = part.header("link").to_owned();
    let next = link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\""));
    let rest = scene.get(next.unwrap_or_else(|| panic!("{link}"))).await;
    assert_eq!((rest.body.lines().count(), rest.header("link")), (1 + 1, ""));
    kept.scene.stop().await;
}

#[tokio::test]
async fn an_export_leaves_an_entry_so_it_is_for_the_local_operator_alone() {
    let kept = kept(&["one"]).await;
    let path = "/api/v1/ledger/export";
    // As a page of another site makes a browser ask.
    let cross = format!(
        "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nSec-Fetch-Site: cross-site\r\n\
         Sec-Fetch-Mode: no-cors\r\nConnection: close\r\n\r\n"
    );
    assert_eq!(kept.scene.raw(&cross).await.status, 404);
    assert_eq!(kept.scene.get(path).await.status, 404);
    assert_eq!(kept.acts().await.len(), 0, "and nothing was written");
    let text = kept
        .locally(async |data_dir| {
            let mut text = Vec::new();
            let take = |piece: &[u8]| {
                text.extend_from_slice(piece);
                Ok(())
            };
            client::ask_streaming(data_dir, Method::GET, path, None, take).await.unwrap();
            String::from_utf8(text).unwrap()
        })
        .await;
    assert!(text.starts_with("{\"type\":\"header\""), "{text}");
    let acts = kept.acts().await;
    assert_eq!(acts.len(), 1);
    assert_eq!(acts[0]["detail"]["act"], "ledger.export");
    kept.scene.stop().await;
}

#[tokio::test]
async fn what_commands_did_is_taken_and_nothing_else() {
    let kept = kept(&[]).await;
    kept.locally(async |data_dir| {
        let tell = async |act: &str| {
            let told = json!({ "act": act, "subject": "/backups/one.tar", "detail": {} });
            client::ask(data_dir, Method::POST, "/api/v1/acts", Some(&told)).await
        };
        for act in ["backup", "restore", "database.create"] {
            tell(act).await.unwrap();
        }
        let refused = tell("ledger.accept").await.unwrap_err();
        assert!(matches!(&refused, AskError::Refused { status, .. } if *status == 400));
    })
    .await;
    assert_eq!(kept.acts().await.len(), 3);
    kept.scene.stop().await;
}

#[tokio::test]
async fn whom_to_believe_is_not_asked_over_the_network() {
    let kept = kept(&[]).await;
    for asked in ["keys=%5B%5D", "checkpoints=%5B%5D"] {
        let answer = kept.scene.get(&format!("/api/v1/ledger/verify?{asked}")).await;
        assert_eq!((answer.status, &answer.json()["code"]), (400, &"PLM-OPS-0003".into()));
    }
    kept.scene.stop().await;
}

#[tokio::test]
async fn what_means_nothing_is_refused_as_a_page_to_people_and_a_problem_to_programs() {
    let kept = kept(&[]).await;
    let scene = &kept.scene;
    for query in ["from=yesterday", "limit=x", "before=x", "format=xml", "colour=red"] {
        let answer = scene.get(&format!("/api/v1/ledger?{query}")).await;
        assert_eq!(
            (answer.status, &answer.json()["code"]),
            (400, &"PLM-OPS-0003".into()),
            "{query}"
        );
        let page = scene.get(&format!("/ledger?{query}")).await;
        assert_eq!((page.status, page.header("content-type")), (400, "text/html; charset=utf-8"));
        assert!(page.body.contains("PLM-OPS-0003"), "{}", page.body);
    }
    kept.scene.stop().await;
}

#[tokio::test]
async fn without_a_database_the_page_says_why_and_what_next() {
    let scene = Scene::start().await;
    *scene.made.memory.lock().unwrap() = Some(MemoryRow {
        database_down: Some("it is being started".into()),
        ..MemoryRow::default()
    });
    let page = scene.get("/ledger").await;
    assert_eq!((page.status, page.header("content-type")), (503, "text/html; charset=utf-8"));
    assert_eq!(page.header("retry-after"), "5");
    for part in ["it is being started", "plimsoll doctor", "/readyz", "PLM-OPS-0008", "goes on"] {
        assert!(page.body.contains(part), "no `{part}` in {}", page.body);
    }
    for path in ["/ledger?format=json", "/ledger.csv", "/api/v1/ledger"] {
        let answer = scene.get(path).await;
        assert_eq!(
            (answer.status, &answer.json()["code"]),
            (503, &"PLM-OPS-0008".into()),
            "{path}"
        );
    }
    scene.stop().await;
}
