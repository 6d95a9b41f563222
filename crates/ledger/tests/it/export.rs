use std::fs;
use std::path::Path;
use std::process::Command;

use plimsoll_ledger::{ExportError, Fault, Report, export, verify_export};
use serde_json::Value;

use crate::place::Place;

async fn exported(place: &Place, range: (u64, u64)) -> String {
    let mut conn = place.db.runtime.acquire().await.unwrap();
    let mut out = Vec::new();
    export(&mut conn, &[place.directory()], range, &mut out).await.unwrap();
    String::from_utf8(out).unwrap()
}

fn check(place: &Place, text: &str) -> Report {
    verify_export(text.as_bytes(), &place.trusted()).unwrap()
}

#[tokio::test]
async fn an_export_is_whole_without_a_database() {
    let place = Place::sealed(7).await;
    place.append_many(3).await;
    place.seal().await;
    let text = exported(&place, (1, u64::MAX)).await;
    let report = check(&place, &text);
    assert!(report.is_whole(), "{:?}", report.faults);
    assert_eq!((report.entries, report.checkpoints, report.after_checkpoint), (10, 2, 0));
    // A part begins with the chain before it.
    let report = check(&place, &exported(&place, (4, 8)).await);
    assert!(report.is_whole(), "{:?}", report.faults);
    assert_eq!((report.entries, report.checkpoints, report.after_checkpoint), (5, 1, 1));
    // Without our key nothing vouches for it.
    assert!(!verify_export(text.as_bytes(), &[]).unwrap().is_whole());
}

#[tokio::test]
async fn every_line_that_was_touched_is_noticed() {
    let place = Place::sealed(6).await;
    let text = exported(&place, (1, u64::MAX)).await;
    let lines: Vec<&str> = text.lines().collect();
    for n in 1..lines.len() {
        let mut without = lines.clone();
        without.remove(n);
        let report = check(&place, &without.join("\n"));
        assert!(!report.is_whole(), "line {n} removed: {}", lines[n]);
    }
    let at = lines.iter().position(|line| line.contains("\"position\":3")).unwrap();
    let mut swapped = lines.clone();
    swapped.swap(at, at + 1);
    assert!(!check(&place, &swapped.join("\n")).is_whole());
    let mut entry: Value = serde_json::from_str(lines[at]).unwrap();
    entry["entry"]["subject"] = "another".into();
    let id = entry["entry"]["id"].as_str().unwrap().parse().unwrap();
    let edited = entry.to_string();
    let mut changed = lines.clone();
    changed[at] = &edited;
    let report = check(&place, &changed.join("\n"));
    assert_eq!(report.faults, [Fault::EntryEdited { position: 3, entry_id: id }]);
    let error = verify_export(&b"{}"[..], &place.trusted()).unwrap_err();
    assert!(matches!(error, ExportError::Line { line: 1, .. }), "{error}");
}

#[tokio::test]
async fn what_is_damaged_is_not_exported_as_if_it_were_whole() {
    let place = Place::sealed(6).await;
    let id = place.at(3).await;
    place.tamper(&format!("delete from ledger.entries where id = '{id}'")).await;
    let mut conn = place.db.runtime.acquire().await.unwrap();
    let mut out = Vec::new();
    let all = (1, u64::MAX);
    let error = export(&mut conn, &[place.directory()], all, &mut out).await.unwrap_err();
    assert!(matches!(error, ExportError::Damaged { position: 3 }), "{error}");
}

/// The verifier that stands in `docs/ledger-format.md`, run as somebody else would run it.
#[tokio::test]
async fn a_verifier_written_from_the_page_agrees() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/ledger-format.md");
    let page = fs::read_to_string(page).unwrap();
    let program = page.split("```python\n").nth(1).unwrap().split("```").next().unwrap();
    let place = Place::sealed(5).await;
    let mut conn = place.db.runtime.acquire().await.unwrap();
    let odd = "{ \"\u{1f600}\": \"\u{20ac}\\n\\\"\\u0001\u{7f}\", \"\u{fb33}\": [-7, true, null] }";
    let body = format!(r#"{{ "id": "1", "action": "a", "outcome": "ok", "detail": {odd} }}"#);
    let action = plimsoll_ledger::TeamAction::parse(body.as_bytes()).unwrap();
    place.ledger.append_team_action(&mut conn, action).await.unwrap();
    place.seal().await;
    let script = place.root.path().join("verify.py");
    fs::write(&script, program).unwrap();
    let run = |text: &str| {
        let file = place.root.path().join("export.ndjson");
        fs::write(&file, text).unwrap();
        let output = Command::new("python3").arg(&script).arg(&file).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.success(), format!("{text}{}", String::from_utf8_lossy(&output.stderr)))
    };
    let text = exported(&place, (1, u64::MAX)).await;
    assert_eq!(run(&text), (true, "6 entries, 2 checkpoints agree\n".to_owned()));
    let (whole, said) = run(&text.replace("local", "other").replace("\"test\"", "\"best\""));
    assert!(!whole && said.contains("position 1"), "{said}");
}
