//! A service that is gone, silent, slow, hostile or killed: a problem within the deadline, and
//! recovery without a restart.

use std::time::Duration;

use plimsoll_testkit::judge::{Expect, Got, judge};
use plimsoll_testkit::load::{self, LoadPlan};
use plimsoll_testkit::{
    OriginProcess, OriginProcessOptions, Plimsoll, PlimsollOptions, RawResponse, free_addr,
};

use crate::scene::{Scene, open_manifest, problem};

fn scripted(scene: &Scene, script: &str) -> RawResponse {
    scene.ask("GET", "/x", &[("x-script", script)])
}

#[test]
fn a_backend_that_is_not_there_is_502() {
    let nobody = free_addr().unwrap();
    let edge = Plimsoll::start(&PlimsollOptions {
        args: vec!["--upstream".into(), format!("http://{nobody}")],
        ..PlimsollOptions::default()
    })
    .unwrap();
    problem(&edge.client().unwrap().get("/", &[]).unwrap(), 502, "PLM-EDGE-0401");
}

#[test]
fn a_connection_that_breaks_or_talks_nonsense_is_502() {
    let scene = Scene::open("", "", "");
    problem(&scripted(&scene, "reset"), 502, "PLM-EDGE-0402");
    problem(&scripted(&scene, "garbage"), 502, "PLM-EDGE-0403");
}

#[test]
fn silence_is_504_at_the_first_byte_deadline_and_slowness_at_the_total() {
    let timeouts = "[service.timeouts]\nfirst_byte = \"300ms\"\ntotal = \"900ms\"\n";
    let scene = Scene::open("", timeouts, "");
    problem(&scripted(&scene, "never"), 504, "PLM-EDGE-0405");
    let slower =
        Scene::open("", "[service.timeouts]\nfirst_byte = \"400ms\"\ntotal = \"400ms\"\n", "");
    problem(&scripted(&slower, "delay=2000"), 504, "PLM-EDGE-0406");
    // An answer that has begun cannot become a problem: it is cut, never completed with a lie.
    let mut client = scene.client();
    let error = client.get("/x", &[("x-script", "body=100000;slow=1000/s")]).unwrap_err();
    assert!(!error.to_string().contains("no answer within"), "{error}");
}

#[test]
fn a_full_pool_is_503() {
    let scene = Scene::open_on_one_node(
        "",
        "[service.timeouts]\nconnect = \"300ms\"\n[service.pool]\nconnections_max = 1\n",
        "",
    );
    let mut clients: Vec<_> = (0..16).map(|_| scene.client()).collect();
    for client in &mut clients {
        client.send("GET /x HTTP/1.1\r\nhost: a\r\nx-script: delay=1500\r\n\r\n").unwrap();
    }
    let answers: Vec<RawResponse> =
        clients.iter_mut().map(|client| client.read_response().unwrap()).collect();
    let served = answers.iter().filter(|answer| answer.status == 200).count();
    assert!((1..=4).contains(&served), "{served}");
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        let code = if answer.status == 503 { "PLM-EDGE-0408" } else { "PLM-EDGE-0404" };
        problem(answer, answer.status, code);
    }
}

#[test]
fn a_url_that_fails_is_passed_over_and_comes_back() {
    let (good, bad) = (free_addr().unwrap(), free_addr().unwrap());
    let log = tempfile::tempdir().unwrap();
    let start = |listen, name: &str| {
        OriginProcess::start(&OriginProcessOptions {
            listen: Some(listen),
            log_file: log.path().join(name),
            default_script: None,
        })
        .unwrap()
    };
    let _good = start(good, "good");
    let manifest = format!(
        "[edge]\ncores = 1\n[[service]]\nname = \"app\"\nurls = [\"http://{bad}\", \"http://{good}\"]\n\
         [service.ejection]\nconsecutive_failures = 2\nduration = \"500ms\"\n"
    );
    let edge = Plimsoll::start(&PlimsollOptions {
        manifest: Some(manifest),
        ..PlimsollOptions::default()
    })
    .unwrap();
    let mut client = edge.client().unwrap();
    for _ in 0..12 {
        // Nothing was sent to the dead one, so each request goes on to the other.
        assert_eq!(client.get("/", &[]).unwrap().status, 200);
    }
    let (_, page) = edge.ops_get("/?format=json").unwrap();
    assert!(page.contains("\"ejected_for_ms\":"), "{page}");
    let bad = start(bad, "bad");
    std::thread::sleep(Duration::from_millis(700));
    for _ in 0..8 {
        assert_eq!(client.get("/", &[]).unwrap().status, 200);
    }
    assert!(!bad.read_log().unwrap().0.is_empty(), "the URL that came back takes requests again");
}

#[test]
fn a_backend_killed_under_load_gives_problems_and_comes_back_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let options = OriginProcessOptions {
        listen: None,
        log_file: folder.path().join("origin.log"),
        default_script: Some("body=2000".into()),
    };
    let mut origin = OriginProcess::start(&options).unwrap();
    let addr = origin.addr();
    let edge = Plimsoll::start(&PlimsollOptions {
        manifest: Some(open_manifest(&origin.url(), "", "", "")),
        ..PlimsollOptions::default()
    })
    .unwrap();
    let load =
        load::start(&LoadPlan { pause: Duration::from_millis(1), ..LoadPlan::new(edge.addr()) });
    for _ in 0..3 {
        std::thread::sleep(Duration::from_millis(300));
        origin.kill().unwrap();
        std::thread::sleep(Duration::from_millis(200));
        origin =
            OriginProcess::start(&OriginProcessOptions { listen: Some(addr), ..options.clone() })
                .unwrap();
    }
    std::thread::sleep(Duration::from_millis(500));
    let before_end = load.done();
    let timed = load.stop();
    assert!(timed.iter().all(|t| t.took < Duration::from_secs(2)), "within the deadline");
    let answers = load::answers(&timed);
    let (exchanges, _) = origin.read_log().unwrap();
    // A GET whose kept connection died under it may have been seen before the kill.
    let expect = Expect { body_bytes: Some(2000), repeats_allowed: true, ..Expect::default() };
    let verdict = judge(&answers, &exchanges, expect);
    // A kill in the middle of an answer leaves its client with a cut answer: never a wrong one.
    assert!(verdict.problem_count > 0, "the kills were seen: {verdict}");
    for list in [&verdict.crossed, &verdict.altered, &verdict.invented] {
        assert!(list.is_empty(), "{verdict}");
    }
    assert!(verdict.failed.len() <= 24, "at most what was under way at a kill: {verdict}");
    let last: Vec<_> = answers.iter().rev().take(8).collect();
    assert!(
        last.iter().all(|a| matches!(a.got, Got::Answer { status: 200, .. })),
        "{before_end} done, the last: {last:?}"
    );
}

#[test]
fn a_kept_connection_that_turns_out_dead_is_not_the_clients_problem() {
    let scene = Scene::open("", "", "");
    let mut client = scene.client();
    for number in 0..200 {
        let id = format!("dead-{number:05}");
        let fields = [("x-test-id", id.as_str()), ("x-script", "body=10;no-keepalive")];
        let answer = client.get("/x", &fields).unwrap();
        assert_eq!(answer.status, 200, "{id}: {}", String::from_utf8_lossy(&answer.body));
        assert_eq!(scene.origin.log().with_id(&id).len(), 1, "{id}");
    }
}

#[test]
fn what_is_not_safe_to_repeat_is_never_sent_twice() {
    let scene = Scene::open("", "", "");
    let mut client = scene.client();
    for number in 0..50 {
        assert_eq!(client.get("/x", &[]).unwrap().status, 200, "a connection is kept");
        let id = format!("once-{number:05}");
        let fields = [("x-test-id", id.as_str()), ("x-script", "reset"), ("content-length", "0")];
        let answer = client.request("POST", "/x", &fields, b"").unwrap();
        problem(&answer, 502, "PLM-EDGE-0402");
        assert_eq!(scene.origin.log().with_id(&id).len(), 1, "{id}");
    }
}
