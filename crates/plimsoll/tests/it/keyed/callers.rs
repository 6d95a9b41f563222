//! Whose a write is, where nobody is verified.

use super::executions;
use crate::scene::{Scene, problem};

const APP: (&str, &str) = ("plimsoll-client", "platform=ios, version=\"3.1.0\"");
const HOME: &str = "203.0.113.1";
const ABROAD: &str = "198.51.100.1";

fn behind_a_proxy() -> Scene {
    Scene::open("trusted_proxies = [\"127.0.0.0/8\"]", "", "")
}

/// An installation, as an app is given one.
fn installation(scene: &Scene) -> String {
    let answer = scene.ask("GET", "/x", &[APP]);
    answer.headers.get("plimsoll-installation").unwrap().to_owned()
}

/// A write from an address, by an installation if there is one; whether it was replayed.
fn write(scene: &Scene, key: &str, from: &str, by: Option<&str>) -> Result<bool, u16> {
    let mut fields = vec![("idempotency-key", key), ("x-forwarded-for", from), APP];
    fields.extend(by.map(|by| ("plimsoll-installation", by)));
    let answer = scene.client().request("POST", "/orders", &fields, b"one").unwrap();
    if answer.status == 409 {
        problem(&answer, 409, "PLM-EDGE-0605");
        return Err(409);
    }
    assert_eq!(answer.status, 200, "{}", answer.text());
    Ok(answer.headers.get("idempotent-replayed").is_some())
}

#[test]
fn an_installation_is_answered_on_whatever_network_it_comes() {
    let scene = behind_a_proxy();
    let (one, other) = (installation(&scene), installation(&scene));
    let before = executions(&scene);
    assert_eq!(write(&scene, "k", HOME, Some(&one)), Ok(false));
    assert_eq!(write(&scene, "k", ABROAD, Some(&one)), Ok(true), "its network has changed");
    // Nobody else is shown it, at the same address or elsewhere, and nothing is executed again.
    for (from, by) in
        [(HOME, Some(&*other)), (HOME, None), (ABROAD, None), (ABROAD, Some("forged"))]
    {
        assert_eq!(write(&scene, "k", from, by), Err(409), "{from} {by:?}");
    }
    assert_eq!(executions(&scene), before + 1, "unique by service, operation and key");
}

#[test]
fn an_app_that_has_just_been_given_its_installation_still_gets_its_answer() {
    let scene = behind_a_proxy();
    let one = installation(&scene);
    let before = executions(&scene);
    assert_eq!(write(&scene, "k", HOME, None), Ok(false));
    assert_eq!(write(&scene, "k", ABROAD, None), Err(409), "an address is all that is known");
    assert_eq!(write(&scene, "k", ABROAD, Some(&one)), Err(409));
    assert_eq!(write(&scene, "k", HOME, Some(&one)), Ok(true));
    assert_eq!(write(&scene, "k", HOME, None), Ok(true));
    assert_eq!(executions(&scene), before + 1);
}

#[test]
fn credentials_come_before_the_installation() {
    let scene = behind_a_proxy();
    let one = installation(&scene);
    let ask = |token: &str| {
        let by = ("plimsoll-installation", one.as_str());
        let fields = [("idempotency-key", "k"), ("authorization", token), by];
        scene.client().request("POST", "/orders", &fields, b"one").unwrap()
    };
    assert_eq!(ask("Bearer alice").status, 200);
    assert_eq!(ask("Bearer alice").headers.get("idempotent-replayed"), Some("true"));
    problem(&ask("Bearer mallory"), 409, "PLM-EDGE-0605");
    assert_eq!(write(&scene, "k", "127.0.0.1", Some(&one)), Err(409));
}
