//! `/status.json`: a path of our own that a built-in service answers over `services.sock`.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use plimsoll_testkit::{Plimsoll, RawResponse};
use serde_json::Value;

use crate::memory::{restarted, soon};
use crate::scene::{CONTRACT, Scene, problem, shop_manifest};

const PUBLIC: &str = "[status]\npublic = true\n";

/// The answer once the built-in services listen, which they do a moment after the edge.
fn status(edge: &Plimsoll) -> (RawResponse, Value) {
    soon(|| {
        let answer = edge.client().unwrap().get("/status.json", &[]).unwrap();
        let body = (answer.status == 200).then(|| serde_json::from_slice(&answer.body).unwrap());
        body.map(|body| (answer, body))
    })
}

#[test]
fn everybody_may_know_the_state_where_the_manifest_says_so() {
    let scene = Scene::shop(PUBLIC);
    // The edge serves before its database does.
    let (answer, body) = soon(|| {
        let (answer, body) = status(&scene.edge);
        (body["state"] == "ok").then_some((answer, body))
    });
    assert_eq!(answer.headers.get("content-type"), Some("application/json"));
    assert_eq!(answer.headers.get("cache-control"), Some("public, max-age=5"));
    assert!(answer.headers.get("x-request-id").is_some());
    assert_eq!((&body["state"], &body["degraded"]), (&"ok".into(), &Value::Array(Vec::new())));
    assert!(body["since"].as_str().is_some_and(|since| since.ends_with('Z')), "{body}");
    assert_eq!(scene.origin.log().exchanges().len(), 0, "the backend is not asked");
    let post = scene.ask("POST", "/status.json", &[("content-length", "0")]);
    problem(&post, 405, "PLM-EDGE-0102");
    assert_eq!(post.headers.get("allow"), Some("GET, HEAD"));
    // Whatever credentials come along.
    let odd = scene.ask("GET", "/status.json", &[("authorization", "Bearer nonsense")]);
    assert_eq!(odd.status, 200);
    let socket = scene.edge.data_dir().join("services.sock");
    let mode = std::fs::symlink_metadata(socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let page = scene.edge.ops_get("/?format=json").unwrap().1;
    assert!(page.contains("plimsoll:/status.json") && page.contains("unix:"), "{page}");
}

#[test]
fn the_path_is_claimed_only_while_it_is_switched_on() {
    let scene = Scene::shop("");
    problem(&scene.ask("GET", "/status.json", &[]), 404, "PLM-EDGE-0101");
    scene.edge.write_manifest(&shop_manifest(&scene.origin.url(), PUBLIC)).unwrap();
    scene.edge.reload().unwrap();
    status(&scene.edge);
    scene.edge.write_manifest(&shop_manifest(&scene.origin.url(), "")).unwrap();
    scene.edge.reload().unwrap();
    soon(|| (scene.ask("GET", "/status.json", &[]).status == 404).then_some(()));
}

#[test]
fn what_is_degraded_is_said_in_plain_words_and_names_nothing() {
    let mut scene = Scene::shop("");
    let data_dir = tempfile::tempdir().unwrap();
    scene.edge = restarted(&scene, data_dir.path(), &[], PUBLIC);
    status(&scene.edge);
    scene.edge.signal(rustix::process::Signal::TERM).unwrap();
    scene.edge.wait(std::time::Duration::from_secs(20)).unwrap();
    let nothing = tempfile::tempdir().unwrap();
    let env = [("PLIMSOLL_PG_BIN", nothing.path().to_str().unwrap())];
    scene.edge = restarted(&scene, data_dir.path(), &env, PUBLIC);
    let (answer, body) = status(&scene.edge);
    assert_eq!(body["state"], "degraded", "{body}");
    let since = body["since"].clone();
    let text = answer.text();
    assert!(text.contains("may take longer to take effect"), "{text}");
    for secret in ["PLIMSOLL", "Postgres", "/", "shop"] {
        let told = text.replace("application/json", "");
        assert!(!told.contains(secret), "{secret} in {text}");
    }
    std::thread::sleep(std::time::Duration::from_millis(1_200));
    assert_eq!(status(&scene.edge).1["since"], since);
}

#[test]
fn services_that_cannot_be_reached_are_a_problem_and_come_back() {
    let mut scene = Scene::shop("");
    let data_dir = tempfile::tempdir().unwrap();
    // Something in the way that cannot be replaced.
    let socket = data_dir.path().join("services.sock");
    std::fs::create_dir_all(socket.join("in the way")).unwrap();
    scene.edge = restarted(&scene, data_dir.path(), &[], PUBLIC);
    soon(|| scene.edge.stderr().contains("services.sock cannot be listened on").then_some(()));
    problem(&scene.ask("GET", "/status.json", &[]), 502, "PLM-EDGE-0401");
    assert_eq!(scene.ask("GET", "/feed", &[]).status, 200, "nothing else suffers");
    std::fs::remove_dir_all(&socket).unwrap();
    status(&scene.edge);
}

#[test]
fn a_contract_that_has_the_path_goes_first_and_check_says_so() {
    let contract = CONTRACT.replace("\"/feed\"", "\"/status.json\"");
    let scene = Scene::shop("");
    std::fs::write(scene.edge.work_dir().join("openapi.json"), contract).unwrap();
    scene.edge.write_manifest(&shop_manifest(&scene.origin.url(), PUBLIC)).unwrap();
    scene.edge.reload().unwrap();
    soon(|| {
        let answer = scene.ask("GET", "/status.json", &[]);
        (answer.status == 200 && answer.headers.get("cache-control").is_none()).then_some(())
    });
    assert!(!scene.origin.log().exchanges().is_empty(), "the backend answers");
    let page = scene.edge.ops_get("/").unwrap().1;
    assert!(page.contains("A path of our own is never reached"));
    let manifest = scene.edge.work_dir().join("plimsoll.toml");
    let output =
        Command::new(env!("CARGO_BIN_EXE_plimsoll")).arg("check").arg(&manifest).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        text.contains("status.public: /status.json is taken by operation `listFeed`"),
        "{text}"
    );
    std::fs::write(&manifest, shop_manifest(&scene.origin.url(), "")).unwrap();
    let output =
        Command::new(env!("CARGO_BIN_EXE_plimsoll")).arg("check").arg(&manifest).output().unwrap();
    assert!(output.status.success());
}

#[test]
fn the_page_for_people_says_the_same_and_loads_nothing() {
    let scene = Scene::shop(PUBLIC);
    let ask = || scene.ask("GET", "/.plimsoll/status", &[]);
    let answer = soon(|| {
        let answer = ask();
        (answer.status == 200 && answer.text().contains("Everything works")).then_some(answer)
    });
    assert_eq!(answer.headers.get("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(answer.headers.get("cache-control"), Some("public, max-age=5"));
    let policy = answer.headers.get("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    let text = answer.text();
    for loaded in ["src=", "href=", "url(", "@import", "<script", "shop"] {
        assert!(!text.contains(loaded), "{loaded} in {text}");
    }
    assert_eq!(scene.origin.log().exchanges().len(), 0, "the backend is not asked");
    let post = scene.ask("POST", "/.plimsoll/status", &[("content-length", "0")]);
    problem(&post, 405, "PLM-EDGE-0102");
    let off = Scene::shop("");
    problem(&off.ask("GET", "/.plimsoll/status", &[]), 404, "PLM-EDGE-0101");
}

/// The epoch of `Plimsoll-Status`, and whether it says degraded.
fn told(answer: &RawResponse) -> Option<(bool, u64)> {
    let value = answer.headers.get("plimsoll-status")?;
    let (degraded, epoch) = value.strip_prefix("degraded=?")?.split_once(", epoch=")?;
    Some((degraded == "1", epoch.parse().unwrap()))
}

#[test]
fn every_answer_says_whether_something_is_degraded() {
    let manifest = format!("{PUBLIC}header = true\n");
    let ejecting = |origin: &str| {
        shop_manifest(origin, &manifest).replace(
            "[[auth.issuer]]",
            "ejection = { consecutive_failures = 2, duration = \"2s\", duration_max = \"2s\" }\n[[auth.issuer]]",
        )
    };
    let scene = Scene::start(ejecting);
    let (_, epoch) = soon(|| told(&scene.ask("GET", "/feed", &[])).filter(|(bad, _)| !bad));
    let (_, body) = status(&scene.edge);
    assert_eq!(body["epoch"].as_u64(), Some(epoch), "{body}");
    // Answers of the edge itself say it, too.
    assert_eq!(told(&scene.ask("GET", "/nowhere", &[])), Some((false, epoch)));
    for _ in 0..3 {
        scene.ask("GET", "/feed", &[("x-script", "reset")]);
    }
    let (_, later) = soon(|| told(&scene.ask("GET", "/nowhere", &[])).filter(|(bad, _)| *bad));
    assert!(later >= epoch, "{later} {epoch}");
    let page = scene.ask("GET", "/.plimsoll/status", &[]).text();
    assert!(page.contains("Some things do not work"), "{page}");
    // It comes back by itself.
    soon(|| {
        scene.ask("GET", "/feed", &[]);
        told(&scene.ask("GET", "/nowhere", &[])).filter(|(bad, _)| !bad)
    });
    let silent = Scene::shop(PUBLIC);
    assert_eq!(silent.ask("GET", "/feed", &[]).headers.get("plimsoll-status"), None);
}
