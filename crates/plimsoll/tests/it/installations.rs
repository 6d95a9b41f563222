//! Installations that the edge signs: who is given one, what it changes, and what it never does.

use std::path::Path;

use plimsoll_testkit::RawResponse;

use crate::bodies::tools::{SECOND, eventually};
use crate::memory::{restarted, said};
use crate::scene::{Scene, claims, problem};

const APP: (&str, &str) = ("plimsoll-client", "platform=ios, version=\"3.1.0\"");
const FIELD: &str = "plimsoll-installation";

fn given(answer: &RawResponse) -> Option<String> {
    let all = answer.headers.all(FIELD);
    assert!(all.len() <= 1, "{all:?}");
    all.first().map(|value| (*value).to_owned())
}

fn first(scene: &Scene) -> String {
    given(&scene.ask("GET", "/x", &[APP])).unwrap()
}

#[test]
fn an_app_is_given_one_and_asks_with_it() {
    let scene = Scene::open_on_one_node("", "", "");
    let one = first(&scene);
    let parts: Vec<&str> = one.split('.').collect();
    assert_eq!((parts.len(), parts[0].len(), parts[2].len()), (3, 32, 32), "{one}");
    assert_ne!(first(&scene), one, "each its own");
    // Who has one gets no other.
    let fields = [APP, (FIELD, one.as_str()), ("x-test-id", "known")];
    assert_eq!(given(&scene.ask("GET", "/x", &fields)), None);
    // It stays between the app and the edge.
    let sent = &scene.origin.log().with_id("known")[0].headers;
    assert!(sent.get(FIELD).is_none() && sent.get("plimsoll-client").is_none());
    // A wrong one is none: another is given.
    let mut forged = one.clone();
    forged.replace_range(0..1, if one.starts_with('0') { "1" } else { "0" });
    for wrong in [forged.as_str(), "nonsense", &format!("{one}0"), &one.to_uppercase()] {
        assert!(given(&scene.ask("GET", "/x", &[APP, (FIELD, wrong)])).is_some(), "{wrong}");
    }
    let twice = [APP, (FIELD, one.as_str()), (FIELD, one.as_str())];
    assert!(given(&scene.ask("GET", "/x", &twice)).is_some(), "two are none");
    let counted = |outcome: &str| {
        let name = format!("plimsoll_installations_total{{outcome=\"{outcome}\"}}");
        scene.edge.metric(&name).unwrap()
    };
    assert_eq!((counted("given"), counted("forged")), (Some(7.0), Some(5.0)));
    let page = scene.edge.ops_get("/?format=json").unwrap().1;
    assert!(page.contains("Addresses with new installations"), "{page}");
}

#[test]
fn only_an_app_that_would_keep_it_is_given_one() {
    let scene = Scene::open_on_one_node("", "", "[client.headers]\nplatform = \"X-Platform\"\n");
    let ask = |fields: &[(&str, &str)]| given(&scene.ask("GET", "/x", fields)).is_some();
    assert!(ask(&[APP]) && ask(&[("x-platform", "Android")]));
    assert!(ask(&[("plimsoll-client", "platform=android")]));
    assert!(!ask(&[]));
    assert!(!ask(&[("plimsoll-client", "platform=web")]) && !ask(&[("x-platform", "web")]));
    let plain = Scene::open_on_one_node("", "", "");
    let agent = [("user-agent", "Shop/3.1.0 (iPhone15,2; iOS 17.2) CFNetwork/1490")];
    assert_eq!(given(&plain.ask("GET", "/x", &agent)), None, "a guess");
    let off = Scene::open_on_one_node("", "", "[client.installations]\nenabled = false\n");
    assert_eq!(given(&off.ask("GET", "/x", &[APP])), None);
}

/// With an answer that a cache gives to the next one, everybody behind it would be one.
#[test]
fn it_never_comes_with_an_answer_that_is_kept_for_others() {
    let scene = Scene::open_on_one_node("", "", "");
    let ask = |method: &str, header: &str| {
        let script = format!("header={header}");
        let fields = [APP, ("x-script", script.as_str()), ("content-length", "0")];
        given(&scene.ask(method, "/x", &fields)).is_some()
    };
    for kept in [
        "Cache-Control:public, max-age=60",
        "Cache-Control:max-age=60",
        "Cache-Control:no-cache",
        "Expires:Thu, 01 Dec 2030 16:00:00 GMT",
        "Last-Modified:Sun, 01 Nov 2026 16:00:00 GMT",
    ] {
        assert!(!ask("GET", kept), "{kept}");
        assert!(ask("POST", kept), "{kept}");
    }
    for private in ["Cache-Control:private, max-age=60", "Cache-Control:NO-STORE", "X-A:b"] {
        assert!(ask("GET", private), "{private}");
    }
}

#[test]
fn an_address_is_given_a_bounded_number() {
    let rate = "[client.installations]\nnew_per_ip_max = 3\n";
    let scene = Scene::open_on_one_node("", "", rate);
    let many = (0..10).filter(|_| given(&scene.ask("GET", "/x", &[APP])).is_some()).count();
    assert_eq!(many, 3);
    let bounded = "plimsoll_installations_total{outcome=\"bounded\"}";
    eventually("it is counted", 3 * SECOND, || scene.edge.metric(bounded).unwrap() == Some(7.0));
}

const LIMITS: &str = "
[[limit]]
name = \"per-address\"
per = \"ip\"
quota = 4
window = \"1h\"
[[limit]]
name = \"per-caller\"
per = \"caller\"
quota = 3
window = \"1h\"
";

#[test]
fn it_is_a_caller_of_its_own_and_not_anonymous() {
    let scene = Scene::open_on_one_node("", "", LIMITS);
    let (one, two) = (first(&scene), first(&scene));
    let ask = |held: &str| scene.ask("GET", "/x", &[APP, (FIELD, held)]).status;
    // The two before were charged to the address; these are not.
    assert_eq!([ask(&one), ask(&one), ask(&one), ask(&one)], [200, 200, 200, 429]);
    assert_eq!([ask(&two), ask(&two), ask(&two), ask(&two)], [200, 200, 200, 429]);
    // What is forged counts by its address, which has two left for callers by address: one.
    let statuses: Vec<u16> = (0..3).map(|_| ask("forged")).collect();
    assert_eq!(statuses, [200, 429, 429]);
    // Credentials go before it: they are who asks. Anybody can make some up, so that the address is
    // charged again.
    let fields = [APP, (FIELD, one.as_str()), ("authorization", "Basic YTpi")];
    assert_eq!(scene.ask("GET", "/x", &fields).status, 429);
    let elsewhere = Scene::open_on_one_node("", "", LIMITS);
    let held = first(&elsewhere);
    // One of four was charged before it had any.
    for made_up in ["a", "b", "c", "d"] {
        let fields = [APP, (FIELD, held.as_str()), ("cookie", made_up)];
        let wanted = if made_up == "d" { 429 } else { 200 };
        assert_eq!(elsewhere.ask("GET", "/x", &fields).status, wanted, "{made_up}");
    }
}

#[test]
fn it_lifts_no_limit_on_tokens_that_were_never_verified() {
    let scene = Scene::shop_on_one_node("[auth.unverified_per_ip]\nquota = 2\nwindow = \"60s\"\n");
    let held = given(&scene.ask("GET", "/feed", &[APP])).unwrap();
    let bearer =
        |n: u32| scene.bearer_of(&claims().with("sub", serde_json::json!(format!("user-{n}"))));
    let ask = |n: u32| {
        let token = bearer(n);
        scene.ask("GET", "/profile", &[APP, (FIELD, held.as_str()), ("authorization", &token)])
    };
    assert_eq!((ask(1).status, ask(2).status), (200, 200));
    problem(&ask(3), 429, "PLM-EDGE-0302");
}

#[test]
fn it_outlives_the_process_and_a_rotation_of_keys() {
    let mut scene = Scene::shop("");
    let directory = tempfile::tempdir().unwrap();
    let data_dir: &Path = directory.path();
    scene.edge = restarted(&scene, data_dir, &[], "");
    let held = given(&scene.ask("GET", "/feed", &[APP])).unwrap();
    said(data_dir, &["keys", "rotate"]);
    scene.edge.signal(rustix::process::Signal::TERM).unwrap();
    scene.edge.wait(20 * SECOND).unwrap();
    scene.edge = restarted(&scene, data_dir, &[], "");
    assert_eq!(given(&scene.ask("GET", "/feed", &[APP, (FIELD, held.as_str())])), None);
    // Of another keyring it is nobody's.
    let other = Scene::shop("");
    assert!(given(&other.ask("GET", "/feed", &[APP, (FIELD, held.as_str())])).is_some());
}
