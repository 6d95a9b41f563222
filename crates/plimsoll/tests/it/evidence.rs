//! Reports of other tools, brought by an operator: what is added, what nobody can add, and that an
//! entry which was edited is not taken for one of ours.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use http::Method;
use plimsoll_console::client;
use plimsoll_store::{OWNER_ROLE, RUNTIME_ROLE};
use plimsoll_testkit::database::Database;
use plimsoll_testkit::{Plimsoll, PlimsollOptions};
use serde_json::{Value, json};

use crate::memory::{command, entries, json as asked, said, soon};

const SARIF: &str = r#"{
  "version": "2.1.0",
  "runs": [{
    "tool": { "driver": { "name": "ruff", "version": "0.17.5" } },
    "results": [
      { "ruleId": "S307", "level": "error", "message": { "text": "by alice@example.org" } },
      { "ruleId": "F401", "message": { "text": "src/alice.py" } }
    ]
  }]
}"#;
const JUNIT: &str = r#"<testsuites tests="2"><testsuite name="a" tests="2">
  <testcase name="one"/><testcase name="two"/></testsuite></testsuites>"#;

fn start() -> Plimsoll {
    let edge = Plimsoll::start(&PlimsollOptions {
        args: vec!["--upstream".into(), "http://127.0.0.1:9".into()],
        ..PlimsollOptions::default()
    })
    .unwrap();
    reached(edge.data_dir());
    edge
}

fn reached(data_dir: &Path) {
    soon(|| (!entries(data_dir, "plimsoll.start").is_empty()).then_some(()));
}

fn file(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn post(data_dir: &Path, body: &Value) -> Result<Value, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let asked = client::ask(data_dir, Method::POST, "/api/v1/evidence", Some(body));
    runtime.block_on(asked).map_err(|error| error.to_string())
}

fn me() -> String {
    format!("local:{}", rustix::process::geteuid().as_raw())
}

#[test]
fn a_report_is_added_by_whoever_brought_it_and_listed() {
    let edge = start();
    let (data_dir, folder) = (edge.data_dir(), tempfile::tempdir().unwrap());
    assert_eq!(said(data_dir, &["evidence", "list", "--kind", "report.sast"]), "no evidence yet\n");
    let sarif = file(folder.path(), "ruff.sarif", SARIF);
    let told = said(data_dir, &["evidence", "add", sarif.to_str().unwrap()]);
    assert!(told.contains("ruff 0.17.5: 1 error, 1 warning, 0 notes."), "{told}");
    assert!(told.contains("added as report.sast, entry "), "{told}");
    assert!(told.contains("does not say when it was made"), "{told}");
    let junit = file(folder.path(), "junit.xml", JUNIT);
    let junit = junit.to_str().unwrap();
    let added = asked(data_dir, &["evidence", "add", junit, "--as", "smoke-tests"]);
    assert_eq!(
        (&added["kind"], &added["facts"]["tests"]),
        (&json!("report.smoke-tests"), &json!(2))
    );

    let written = entries(data_dir, "evidence.add");
    let reports: Vec<&Value> = written
        .iter()
        .filter(|entry| entry["subject"].as_str().unwrap().starts_with("report."))
        .collect();
    assert_eq!(reports.len(), 2);
    assert!(reports.iter().all(|entry| entry["actor_kind"] == "operator"));
    assert_eq!(reports[0]["detail"]["how"], "imported");
    let kept = json!(reports).to_string();
    assert!(!kept.contains("alice"), "{kept}");
    let mine = asked(data_dir, &["ledger", "tail", "--actor", &me(), "--action", "evidence.add"]);
    assert_eq!(mine["entries"].as_array().unwrap().len(), 2);

    let listed = asked(data_dir, &["evidence", "list"]);
    let find = |kind: &str| {
        let rows = listed["evidence"].as_array().unwrap();
        rows.iter().find(|row| row["kind"] == kind).unwrap().clone()
    };
    let smoke = find("report.smoke-tests");
    assert_eq!((&smoke["genuine"], &smoke["entry"]), (&json!(true), &added["entry"]));
    let hash = find("report.sast")["actor"].as_str().unwrap().to_owned();
    let text = said(data_dir, &["evidence", "list", "--kind", "report.sast"]);
    assert!(text.contains(&format!("by operator {}", &hash[..8])), "{text}");
    assert!(text.contains("imported") && text.contains(" ago"), "{text}");
    // The newest counts.
    file(folder.path(), "ruff.sarif", &SARIF.replace("\"error\"", "\"note\""));
    said(data_dir, &["evidence", "add", sarif.to_str().unwrap()]);
    let newest = asked(data_dir, &["evidence", "list", "--kind", "report.sast"]);
    assert_eq!(newest["evidence"][0]["facts"]["errors"], 0);
    assert_eq!(newest["evidence"].as_array().unwrap().len(), 1);
    let report = soon(|| {
        let report = asked(data_dir, &["ledger", "verify"]);
        (report["unsealed"] == 0).then_some(report)
    });
    assert_eq!(report["whole"], true, "{report}");
}

#[test]
fn what_is_wrong_is_said_with_its_file_and_leaves_nothing() {
    let edge = start();
    let (data_dir, folder) = (edge.data_dir(), tempfile::tempdir().unwrap());
    let deep = format!("{{\"runs\": {}", "[".repeat(100_000));
    let failed = SARIF
        .replace("\"results\"", "\"invocations\": [{\"executionSuccessful\": false}], \"results\"");
    let old = JUNIT.replace("<testsuites ", "<testsuites timestamp=\"2020-01-01T00:00:00Z\" ");
    let new = JUNIT.replace("<testsuites ", "<testsuites timestamp=\"2999-01-01T00:00:00Z\" ");
    let wrong = [
        ("deep.json", &*deep, &[][..], "more than 64 lists and objects"),
        ("shape.json", "{\"a\": 1}", &[], "neither SARIF"),
        ("failed.sarif", &*failed, &[], "the tool says that its run failed"),
        ("bomb.xml", "<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>", &[], "document type"),
        ("old.xml", &*old, &[], "make a new one"),
        ("new.xml", &*new, &[], "set the clock"),
        ("claims.xml", "<testsuite tests=\"3\"><testcase/></testsuite>", &[], "says 3 `tests`"),
        ("as.xml", JUNIT, &["--as", "sast"], "`sast` is read from SARIF 2.1.0"),
        ("dast.sarif", SARIF, &["--as", "dast"], "`ruff` makes no report of `dast`"),
    ];
    for (name, text, more, words) in wrong {
        let path = file(folder.path(), name, text);
        let path = path.to_str().unwrap();
        let output = command(data_dir, &[&["evidence", "add", path], more].concat());
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains(name) && told.contains(words), "{told}");
        assert_eq!(told.lines().count(), 1, "{told}");
    }
    let missing = command(data_dir, &["evidence", "add", "nowhere.json"]);
    assert!(String::from_utf8_lossy(&missing.stderr).contains("nowhere.json"));
    let kind = command(data_dir, &["evidence", "add", "a", "--as", "everything"]);
    assert_eq!(kind.status.code(), Some(2));
    let endless = command(data_dir, &["evidence", "add", "/dev/zero"]);
    assert!(String::from_utf8_lossy(&endless.stderr).contains("more than 32 MiB"));
    assert_eq!(
        entries(data_dir, "evidence.add").iter().filter(|e| e["actor_kind"] == "operator").count(),
        0
    );
}

#[test]
fn nobody_can_write_what_plimsoll_measures_or_how_it_is_told() {
    let edge = start();
    let data_dir = edge.data_dir();
    let facts = json!({ "asked": 3, "open": 0, "says": "all is well" });
    for (kind, words) in [
        ("edge.authentication", "measured by Plimsoll itself"),
        ("edge.limits", "measured by Plimsoll itself"),
        ("report.anything", "no such kind of report"),
    ] {
        let refused = post(data_dir, &json!({ "kind": kind, "facts": facts })).unwrap_err();
        assert!(refused.contains(words) && refused.contains("PLM-OPS-0010"), "{refused}");
    }
    let sha256 = "0".repeat(64);
    let tests = json!({ "tests": 9, "failures": 0, "errors": 0, "skipped": 0, "sha256": sha256 });
    for (name, value, words) in [
        ("says", json!("all is well"), "unknown field `says`"),
        ("mark", json!("00"), "unknown field `mark`"),
        ("failures", json!(-1), "-1"),
        ("failures", json!(10), "more than `tests`"),
        ("dated", json!("2999-01-01"), "set the clock"),
        ("dated", json!("2020-01-01"), "make a new one"),
        ("sha256", json!("0"), "64 digits"),
    ] {
        let mut facts = tests.clone();
        facts[name] = value;
        let body = json!({ "kind": "report.tests", "facts": facts });
        let refused = post(data_dir, &body).unwrap_err();
        assert!(refused.contains(words), "{words}: {refused}");
    }
    let more = json!({ "kind": "report.tests", "facts": tests, "how": "measured" });
    assert!(post(data_dir, &more).unwrap_err().contains("unknown field `how`"));
    // Over the network nobody is known, so nobody adds; everybody may look.
    let mut network = plimsoll_testkit::RawClient::connect(edge.ops_addr()).unwrap();
    let fields = [("content-type", "application/json"), ("content-length", "2")];
    let answer = network.request("POST", "/api/v1/evidence", &fields, b"{}").unwrap();
    assert_eq!(answer.status, 405, "{}", answer.text());
    assert_eq!(edge.ops_get("/api/v1/evidence").unwrap().0, 200);
    assert_eq!(edge.ops_get("/api/v1/evidence?sort=age").unwrap().0, 400);
    let body = json!({ "kind": "report.tests", "facts": tests });
    assert_eq!(
        post(data_dir, &body).unwrap()["says"],
        "9 tests: 0 failed, 0 broke off, 0 skipped."
    );
}

/// On a database that a test can get into as a superuser.
fn on(database: &Database, keys: &Path) -> Plimsoll {
    let kek = file(keys, "kek", &"5a".repeat(32));
    std::fs::set_permissions(&kek, std::fs::Permissions::from_mode(0o600)).unwrap();
    let env = [
        ("DATABASE_URL", database.url(RUNTIME_ROLE)),
        ("PLIMSOLL_DATABASE_OWNER_URL", database.url(OWNER_ROLE)),
        ("PLIMSOLL_KEK_FILE", kek.display().to_string()),
    ];
    Plimsoll::start(&PlimsollOptions {
        args: vec!["--upstream".into(), "http://127.0.0.1:9".into()],
        env: env.map(|(name, value)| (name.to_owned(), value)).to_vec(),
        unseeded: true,
        ..PlimsollOptions::default()
    })
    .unwrap()
}

#[test]
fn an_entry_that_was_edited_is_not_genuine() {
    let database = Database::for_processes(&[]);
    let (keys, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let edge = on(&database, keys.path());
    let data_dir = edge.data_dir();
    reached(data_dir);
    let sarif = file(folder.path(), "ruff.sarif", SARIF);
    said(data_dir, &["evidence", "add", sarif.to_str().unwrap()]);
    let genuine = |kind: &str| {
        let listed = asked(data_dir, &["evidence", "list", "--kind", kind]);
        listed["evidence"][0]["genuine"].as_bool().unwrap()
    };
    assert!(genuine("report.sast"));
    // Whoever has all rights on the database can write, but has not the key for the mark.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let edit = "set session_replication_role = replica;
        update ledger.entries set detail = jsonb_set(detail, '{facts,errors}', '0')
            where subject = 'report.sast';";
    runtime.block_on(async {
        let options = database.connect_options(plimsoll_store::SUPERUSER_ROLE);
        let mut conn =
            <sqlx::PgConnection as sqlx::Connection>::connect_with(&options).await.unwrap();
        sqlx::raw_sql(edit).execute(&mut conn).await.unwrap();
    });
    assert!(!genuine("report.sast"));
    let text = said(data_dir, &["evidence", "list", "--kind", "report.sast"]);
    assert!(text.contains("NOT AS IT WAS WRITTEN") && text.contains("ledger verify"), "{text}");
}
