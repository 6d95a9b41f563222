//! A changed manifest: taken without dropping or delaying a request, or refused with the old one
//! going on.

use std::io::Write as _;
use std::net::TcpListener;
use std::time::Duration;

use plimsoll_testkit::judge::{Expect, judge};
use plimsoll_testkit::load::{self, LoadPlan};
use plimsoll_testkit::{Claims, Origin, Plimsoll, PlimsollOptions, Script, TestIssuer, free_addr};

use crate::bodies::tools::{HandOrigin, eventually, read_head};
use crate::memory::soon;
use crate::scene::{AUDIENCE, CONTRACT, Scene, Stopwatch, open_manifest, problem, shop_manifest};

const RELOADS: usize = 100;

fn reloads(scene: &Scene, outcome: &str) -> f64 {
    let series = format!("plimsoll_reloads_total{{outcome=\"{outcome}\"}}");
    scene.edge.metric(&series).unwrap().unwrap_or(0.0)
}

/// Waits until one more reload than `before` has ended so.
#[track_caller]
fn wait_for_reload(scene: &Scene, outcome: &str, before: f64) {
    for _ in 0..400 {
        if reloads(scene, outcome) > before {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("no reload `{outcome}` within 4 s:\n{}", scene.edge.stderr());
}

#[test]
fn a_hundred_reloads_under_load_fail_and_delay_nothing() {
    let scene = Scene::open("", "", "");
    scene.origin.set_default(Script::parse("body=3000").unwrap());
    let url = scene.origin.url();
    let load = load::start(&LoadPlan {
        clients: 6,
        requests_per_connection: 20,
        pause: Duration::from_millis(1),
        ..LoadPlan::new(scene.edge.addr())
    });
    for round in 0..RELOADS {
        let invalid = round % 4 == 3;
        let more = if invalid {
            "[edgee]\n".to_owned()
        } else {
            format!(
                "[[limit]]\nname = \"l{}\"\nper = \"caller\"\nquota = {}\nwindow = \"1s\"\n",
                round % 3,
                1_000_000 + round
            )
        };
        scene.edge.write_manifest(&open_manifest(&url, "", "", &more)).unwrap();
        let outcome = if invalid { "refused" } else { "ok" };
        let before = reloads(&scene, outcome);
        scene.edge.reload().unwrap();
        wait_for_reload(&scene, outcome, before);
    }
    let timed = load.stop();
    let answers = load::answers(&timed);
    let expect = Expect { body_bytes: Some(3000), no_problems: true, repeats_allowed: false };
    let verdict = judge(&answers, &scene.origin.log().exchanges(), expect);
    assert!(verdict.is_clean() && verdict.judged > 500, "{verdict}");
    let slowest = timed.iter().map(|t| t.took).max().unwrap();
    assert!(slowest < Duration::from_secs(1), "no request is delayed: {slowest:?}");
}

#[test]
fn a_changed_file_is_noticed_without_a_signal_and_a_faulty_one_changes_nothing() {
    let limit = |quota: u32| {
        format!("[[limit]]\nname = \"l\"\nper = \"ip\"\nquota = {quota}\nwindow = \"1h\"\n")
    };
    let scene = Scene::open("", "", &limit(1));
    let url = scene.origin.url();
    assert_eq!(scene.ask("GET", "/", &[]).status, 200);
    problem(&scene.ask("GET", "/", &[]), 429, "PLM-EDGE-0301");

    let before = reloads(&scene, "refused");
    scene.edge.write_manifest(&open_manifest(&url, "", "", "[[limit]]\nnam = 3\n")).unwrap();
    wait_for_reload(&scene, "refused", before);
    // It is counted a moment before it is told.
    soon(|| {
        let said = scene.edge.stderr();
        (said.contains("plimsoll.toml:") && said.contains("nam")).then_some(())
    });
    problem(&scene.ask("GET", "/", &[]), 429, "PLM-EDGE-0301");
    let page = scene.edge.ops_get("/?format=json").unwrap().1;
    assert!(page.contains("The changed manifest was refused"), "{page}");

    let before = reloads(&scene, "ok");
    scene.edge.write_manifest(&open_manifest(&url, "", "", &limit(50))).unwrap();
    wait_for_reload(&scene, "ok", before);
    assert_eq!(scene.ask("GET", "/", &[]).status, 200);
}

#[test]
fn a_limit_that_did_not_change_keeps_what_was_used_up() {
    let limit = "[[limit]]\nname = \"l\"\nper = \"ip\"\nquota = 1\nwindow = \"1h\"\n";
    let scene = Scene::open("", "", limit);
    assert_eq!(scene.ask("GET", "/", &[]).status, 200);
    let before = reloads(&scene, "ok");
    let more = format!("{limit}\n[client.headers]\nplatform = \"X-Platform\"\n");
    scene.edge.write_manifest(&open_manifest(&scene.origin.url(), "", "", &more)).unwrap();
    scene.edge.reload().unwrap();
    wait_for_reload(&scene, "ok", before);
    problem(&scene.ask("GET", "/", &[]), 429, "PLM-EDGE-0301");
}

#[test]
fn connections_to_a_url_that_is_gone_from_the_manifest_are_closed() {
    let scene = Scene::open("", "", "");
    assert_eq!(scene.ask("GET", "/", &[]).status, 200);
    assert_eq!(scene.origin.log().connections_open(), 1);
    let other = Origin::start().unwrap();
    let before = reloads(&scene, "ok");
    scene.edge.write_manifest(&open_manifest(&other.url(), "", "", "")).unwrap();
    scene.edge.reload().unwrap();
    wait_for_reload(&scene, "ok", before);
    assert_eq!(scene.ask("GET", "/", &[]).status, 200);
    for _ in 0..100 {
        if scene.origin.log().connections_open() == 0 {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("still open: {}", scene.origin.log().connections_open());
}

/// The keys of an issuer that a reload adds are there when it is in force: no request waits for
/// them, and until then the manifest before goes on.
#[test]
fn the_keys_of_a_new_issuer_are_fetched_before_it_is_in_force() {
    const SLOW: Duration = Duration::from_millis(1_200);
    let other = TestIssuer::new("other").unwrap();
    let keys = other.jwks();
    let issuer = HandOrigin::start(move |mut stream| {
        read_head(&mut stream);
        std::thread::sleep(SLOW);
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n";
        let answer = format!("{head}content-length: {}\r\n\r\n{keys}", keys.len());
        stream.write_all(answer.as_bytes()).ok();
    });
    let scene = Scene::shop("");
    let more = format!(
        "[[auth.issuer]]\nissuer = \"https://other.test\"\naudience = [\"{AUDIENCE}\"]\n\
         jwks_url = \"{}/keys\"\nallow_private = true\n",
        issuer.url()
    );
    let bearer = format!(
        "Bearer {}",
        other.mint(&Claims::new("https://other.test", AUDIENCE, "bob")).unwrap()
    );
    let fields = [("authorization", bearer.as_str())];
    problem(&scene.ask("GET", "/profile", &fields), 401, "PLM-EDGE-0205");
    let before = reloads(&scene, "ok");
    scene.edge.write_manifest(&shop_manifest(&scene.origin.url(), &more)).unwrap();
    scene.edge.reload().unwrap();
    std::thread::sleep(SLOW / 3);
    problem(&scene.ask("GET", "/profile", &fields), 401, "PLM-EDGE-0205");
    wait_for_reload(&scene, "ok", before);
    let watch = Stopwatch::start();
    assert_eq!(scene.ask("GET", "/profile", &fields).status, 200);
    assert!(watch.elapsed() < SLOW / 2, "{:?}", watch.elapsed());
}

/// The wait for a new issuer's keys keeps nobody from stopping the process.
#[test]
fn a_signal_to_stop_does_not_wait_for_a_reload() {
    let issuer = HandOrigin::start(|mut stream| {
        read_head(&mut stream);
        std::thread::sleep(Duration::from_secs(10));
    });
    let mut scene = Scene::shop("");
    let more = format!(
        "[[auth.issuer]]\nissuer = \"https://other.test\"\naudience = [\"{AUDIENCE}\"]\n\
         jwks_url = \"{}/keys\"\nallow_private = true\n",
        issuer.url()
    );
    scene.edge.write_manifest(&shop_manifest(&scene.origin.url(), &more)).unwrap();
    scene.edge.reload().unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let watch = Stopwatch::start();
    scene.edge.signal(rustix::process::Signal::INT).unwrap();
    eventually("it drains", Duration::from_secs(3), || scene.edge.stderr().contains("draining;"));
    assert!(watch.elapsed() < Duration::from_secs(1), "{:?}", watch.elapsed());
    let ended = scene.edge.wait(Duration::from_secs(10)).unwrap();
    assert!(ended.is_some_and(|status| status.success()), "{}", scene.edge.stderr());
}

/// What was made when the process started is not called in force.
#[test]
fn keys_that_need_a_restart_are_named() {
    let scene = Scene::open("", "", "");
    let url = scene.origin.url();
    let page = || scene.edge.ops_get("/?format=json").unwrap().1;
    assert!(!page().contains("needs a restart"));
    let before = reloads(&scene, "ok");
    let more = "[telemetry]\nseries_max = 500\naccess_log = \"off\"\n";
    let changed = open_manifest(&url, "", "", more).replacen("cores = 2", "cores = 1", 1);
    scene.edge.write_manifest(&changed).unwrap();
    wait_for_reload(&scene, "ok", before);
    let keys = "edge.cores, telemetry.access_log, telemetry.series_max";
    let page_now = page();
    assert!(page_now.contains(&format!("Not in force before that: {keys}.")), "{page_now}");
    let said = scene.edge.stderr();
    assert!(said.contains("need a restart") && said.contains(keys), "{said}");

    let before = reloads(&scene, "ok");
    scene.edge.write_manifest(&open_manifest(&url, "", "", "")).unwrap();
    wait_for_reload(&scene, "ok", before);
    assert!(!page().contains("needs a restart"), "as it was at the start");
}

/// The addresses of the manifest are loopback, the socket that was handed over is not.
#[test]
fn a_development_issuer_is_refused_on_a_socket_that_others_can_reach() {
    let development = |origin: &str| {
        let more = "[[auth.issuer]]\nissuer = \"dev\"\naudience = [\"shop\"]\ndevelopment = true\n";
        open_manifest(origin, "", "", more)
    };
    let start = |manifest: String| {
        Plimsoll::start(&PlimsollOptions {
            manifest: Some(manifest),
            inherited: vec![TcpListener::bind("0.0.0.0:0").unwrap()],
            listen: Some(free_addr().unwrap()),
            ..PlimsollOptions::default()
        })
    };
    let origin = Origin::start().unwrap();
    let refused = start(development(&origin.url())).unwrap_err().to_string();
    assert!(refused.contains("auth.issuer[0].development"), "{refused}");
    assert!(refused.contains("LISTEN_FDS"), "{refused}");

    let edge = start(open_manifest(&origin.url(), "", "", "")).unwrap();
    edge.write_manifest(&development(&origin.url())).unwrap();
    let refused = || edge.metric("plimsoll_reloads_total{outcome=\"refused\"}").unwrap();
    eventually("the reload is refused", Duration::from_secs(5), || refused() == Some(1.0));
    assert!(edge.stderr().contains("LISTEN_FDS"), "{}", edge.stderr());
}

#[test]
fn a_missing_contract_that_appears_is_noticed() {
    let scene = Scene::open("", "", "");
    let with = open_manifest(&scene.origin.url(), "", "contract = \"later.json\"\n", "");
    let before = reloads(&scene, "refused");
    scene.edge.write_manifest(&with).unwrap();
    wait_for_reload(&scene, "refused", before);
    let before = reloads(&scene, "ok");
    std::fs::write(scene.edge.work_dir().join("later.json"), CONTRACT).unwrap();
    wait_for_reload(&scene, "ok", before);
    problem(&scene.ask("GET", "/nowhere", &[]), 404, "PLM-EDGE-0101");
}
