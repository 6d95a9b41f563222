//! A changed manifest: taken without dropping or delaying a request, or refused with the old one
//! going on.

use std::time::Duration;

use plimsoll_testkit::judge::{Expect, judge};
use plimsoll_testkit::load::{self, LoadPlan};
use plimsoll_testkit::{Origin, Script};

use crate::scene::{CONTRACT, Scene, open_manifest, problem};

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
    let said = scene.edge.stderr();
    assert!(said.contains("plimsoll.toml:") && said.contains("nam"), "{said}");
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
