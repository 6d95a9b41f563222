//! What stands in for an operation that is set aside: another operation, and never more than its
//! caller may have.

use plimsoll_testkit::{Origin, RawResponse};

use crate::scene::{Scene, problem};

/// Open for longer than a test takes.
const BREAKER: &str = "[service.breaker]\nconsecutive_failures = 3\nopen = \"1m\"\n\
                       open_max = \"1m\"\n[service.retries]\ntries_max = 1\n";

const FALLBACK: &str = "plimsoll-fallback";

/// The shop with breakers, where one operation falls back on another.
fn shop(first: &str, other: &str, more: &str) -> Scene {
    Scene::shop_on_one_node(&format!(
        "{BREAKER}[[operation]]\nid = \"{first}\"\nfallback_operation = \"{other}\"\n{more}"
    ))
}

fn ask(scene: &Scene, target: &str, fields: &[(&str, &str)]) -> RawResponse {
    scene.ask("GET", target, fields)
}

/// Lets an operation fail until it is set aside.
fn set_aside(scene: &Scene, target: &str) {
    for _ in 0..3 {
        assert_eq!(ask(scene, target, &[("x-script", "status=503")]).status, 503);
    }
}

#[test]
fn another_operation_stands_in_and_says_so() {
    let scene = shop("getOrder", "listFeed", "");
    set_aside(&scene, "/orders/1");
    let script = "status=200;body=21;header=ETag:%22a%22;header=Cache-Control:max-age=60";
    let fields = [
        ("x-script", script),
        ("x-test-id", "in"),
        ("if-none-match", "\"a\""),
        ("range", "bytes=0-1"),
    ];
    let answer = ask(&scene, "/orders/1?page=2", &fields);
    assert_eq!((answer.status, answer.body.len()), (200, 21), "{}", answer.text());
    assert_eq!(answer.headers.get(FALLBACK), Some("operation;id=\"listFeed\""));
    assert_eq!(answer.headers.all("cache-control"), ["no-store"], "nobody keeps it");
    assert_eq!(answer.headers.get("etag"), None);
    let asked = scene.origin.log().with_id("in");
    assert_eq!((asked.len(), &*asked[0].target), (1, "/feed?page=2"));
    assert_eq!(asked[0].headers.get("if-none-match"), None);
    assert_eq!(asked[0].headers.get("range"), None);
    let (_, page) = scene.edge.ops_get("/?format=json").unwrap();
    assert!(page.contains("answered by listFeed"), "{page}");
    // Its own answer bears no such word.
    assert_eq!(ask(&scene, "/feed", &[]).headers.get(FALLBACK), None);
}

#[test]
fn an_operation_of_another_service_stands_in_and_its_path_is_filled() {
    let archive = Origin::start().unwrap();
    let scene = shop(
        "getOrder",
        "oldOrder",
        &format!(
            "fallback_service = \"archive\"\n[[operation]]\nid = \"oldOrder\"\nmethod = \"GET\"\n\
             path = \"/archive/{{id}}\"\nservice = \"archive\"\nsecurity = \"public\"\n\
             [[service]]\nname = \"archive\"\nurls = [\"{}\"]\n",
            archive.url()
        ),
    );
    set_aside(&scene, "/orders/a%2Fb");
    let before = scene.origin.log().requests();
    let answer = ask(&scene, "/orders/a%2Fb", &[("x-test-id", "old")]);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.headers.get(FALLBACK), Some("operation;id=\"oldOrder\""));
    assert_eq!(archive.log().with_id("old")[0].target, "/archive/a%2Fb");
    assert_eq!(scene.origin.log().requests(), before);
}

#[test]
fn nobody_is_given_what_he_may_not_read() {
    let scene = shop("listFeed", "getProfile", "");
    set_aside(&scene, "/feed");
    problem(&ask(&scene, "/feed", &[]), 503, "PLM-EDGE-0409");
    let forged = [("authorization", "Bearer forged")];
    problem(&ask(&scene, "/feed", &forged), 503, "PLM-EDGE-0409");
    // A token that nobody has verified yet is not verified for this.
    let bearer = scene.bearer("");
    let alice = [("authorization", bearer.as_str()), ("x-test-id", "alice")];
    problem(&ask(&scene, "/feed", &alice), 503, "PLM-EDGE-0409");
    assert_eq!(scene.origin.log().with_id("alice").len(), 0);
    assert_eq!(ask(&scene, "/profile", &alice[..1]).status, 200);
    let answer = ask(&scene, "/feed", &alice);
    assert_eq!(answer.headers.get(FALLBACK), Some("operation;id=\"getProfile\""));
    assert_eq!(scene.origin.log().with_id("alice")[0].target, "/profile");
    // What its own scopes refuse, it does not get by this way.
    let scoped = "[[operation]]\nid = \"getProfile\"\nscopes = [\"profile:read\"]\n";
    let scene = shop("listFeed", "getProfile", scoped);
    set_aside(&scene, "/feed");
    let (poor, rich) = (scene.bearer("feed:read"), scene.bearer("profile:read"));
    for (bearer, status) in [(&poor, 403), (&rich, 200)] {
        let fields = [("authorization", bearer.as_str())];
        assert_eq!(ask(&scene, "/profile", &fields).status, status);
    }
    let poor = [("authorization", poor.as_str())];
    problem(&ask(&scene, "/feed", &poor), 503, "PLM-EDGE-0409");
    assert_eq!(ask(&scene, "/feed", &[("authorization", rich.as_str())]).status, 200);
}

#[test]
fn what_fails_or_is_limited_itself_does_not_stand_in() {
    let scene = shop("getOrder", "listFeed", "fallback_file = \"openapi.json\"\n");
    set_aside(&scene, "/orders/1");
    for fault in ["status=500", "status=404", "reset"] {
        let answer = ask(&scene, "/orders/1", &[("x-script", fault)]);
        assert_eq!(answer.headers.get(FALLBACK), Some("document"), "{fault}");
        assert_eq!(answer.body, crate::scene::CONTRACT.as_bytes());
    }
    let limit = "[[limit]]\nname = \"feed\"\nper = \"ip\"\nquota = 1\nwindow = \"1h\"\n\
                 operations = [\"listFeed\"]\n";
    let scene = shop("getOrder", "listFeed", limit);
    set_aside(&scene, "/orders/1");
    assert_eq!(ask(&scene, "/orders/1", &[]).status, 200);
    problem(&ask(&scene, "/orders/1", &[]), 503, "PLM-EDGE-0409");
}

#[test]
fn two_that_are_set_aside_ask_nobody() {
    let scene = shop("getOrder", "listFeed", "");
    set_aside(&scene, "/orders/1");
    set_aside(&scene, "/feed");
    let before = scene.origin.log().requests();
    problem(&ask(&scene, "/orders/1", &[]), 503, "PLM-EDGE-0409");
    assert_eq!(scene.origin.log().requests(), before);
}
