//! Pages of other origins: who may call, and what a browser is told (Fetch standard §3.2).

use plimsoll_testkit::RawResponse;

use crate::bodies::tools::{HandOrigin, read_head};
use crate::scene::{CONTRACT, Scene, open_manifest, problem, shop_manifest};

const APP: &str = "https://app.example";

const CORS: &str = r#"
[cors]
origins = ["https://app.example", "http://localhost:5173", "capacitor://localhost"]
max_age = "10m"
[[limit]]
name = "wide"
per = "ip"
quota = 1000
window = "1h"
"#;

fn preflight(scene: &Scene, path: &str, origin: &str, method: &str) -> RawResponse {
    let fields = [
        ("origin", origin),
        ("access-control-request-method", method),
        ("access-control-request-headers", "authorization, content-type"),
    ];
    scene.ask("OPTIONS", path, &fields)
}

#[track_caller]
fn says(answer: &RawResponse, name: &str, expected: Option<&str>) {
    assert_eq!(answer.headers.get(name), expected, "{name}");
}

/// A preflight carries no credentials, so it is answered before any is asked for.
#[test]
fn a_preflight_is_answered_here_and_without_a_token() {
    let scene = Scene::shop(CORS);
    for (path, methods) in [
        ("/orders", "POST, OPTIONS"),
        ("/profile", "GET, HEAD, OPTIONS"),
        ("/media", "PUT, OPTIONS"),
    ] {
        for origin in [APP, "http://localhost:5173", "capacitor://localhost"] {
            let answer = preflight(&scene, path, origin, "POST");
            assert_eq!((answer.status, answer.body.len()), (204, 0));
            says(&answer, "access-control-allow-origin", Some(origin));
            says(&answer, "access-control-allow-methods", Some(methods));
            let names = "authorization, content-type, idempotency-key, plimsoll-client";
            says(&answer, "access-control-allow-headers", Some(names));
            says(&answer, "access-control-max-age", Some("600"));
            says(&answer, "access-control-allow-credentials", None);
            assert!(answer.headers.all("vary").contains(&"origin"));
        }
    }
    assert_eq!(scene.origin.log().requests(), 0);
    let plain = scene.ask("OPTIONS", "/orders", &[("x-test-id", "plain")]);
    assert_eq!(plain.status, 200, "no preflight: to the service, as ever");
    problem(&preflight(&scene, "/nowhere", APP, "GET"), 404, "PLM-EDGE-0101");
}

/// Scheme, host and port, each of them exactly.
#[test]
fn another_origin_is_refused_before_it_sends_anything() {
    let scene = Scene::shop(CORS);
    for origin in [
        "https://app.example.evil.test",
        "https://evil.test",
        "http://app.example",
        "https://app.example:8443",
        "http://localhost",
        "https://APP.example",
        "null",
        "",
    ] {
        let refused = preflight(&scene, "/orders", origin, "POST");
        problem(&refused, 403, "PLM-EDGE-0014");
        says(&refused, "access-control-allow-origin", None);
        // The request itself is no more than any other; the browser keeps the answer from the page.
        let answer = scene.ask("GET", "/feed", &[("origin", origin)]);
        assert_eq!(answer.status, 200);
        says(&answer, "access-control-allow-origin", None);
        assert!(answer.headers.all("vary").contains(&"origin"));
    }
}

#[test]
fn a_page_may_read_answers_refusals_and_what_goes_with_them() {
    let scene = Scene::shop(CORS);
    let expose = "ratelimit, ratelimit-policy, retry-after, x-request-id";
    let refused = scene.ask("GET", "/profile", &[("origin", APP)]);
    problem(&refused, 401, "PLM-EDGE-0201");
    let answer = scene.ask("GET", "/feed", &[("origin", APP)]);
    assert_eq!(answer.status, 200);
    for answer in [&refused, &answer] {
        says(answer, "access-control-allow-origin", Some(APP));
        says(answer, "access-control-expose-headers", Some(expose));
    }
    let native = scene.ask("GET", "/feed", &[]);
    says(&native, "access-control-allow-origin", None);
    says(&native, "access-control-expose-headers", None);
    assert!(native.headers.all("vary").contains(&"origin"), "a cache must keep them apart");
}

fn with_a_service_that_says(more: &str) -> (HandOrigin, Scene) {
    let origin = HandOrigin::start(|mut stream| {
        use std::io::Write as _;
        read_head(&mut stream);
        let answer = "HTTP/1.1 200 OK\r\naccess-control-allow-origin: https://evil.test\r\n\
                      access-control-allow-credentials: true\r\nvary: accept\r\n\
                      content-length: 0\r\nconnection: close\r\n\r\n";
        stream.write_all(answer.as_bytes()).ok();
    });
    let scene = Scene::start(|_| open_manifest(&origin.url(), "", "", more));
    (origin, scene)
}

#[test]
fn what_a_service_says_of_it_is_replaced_where_the_edge_says_it() {
    let (_origin, scene) = with_a_service_that_says(
        "[cors]\norigins = [\"https://app.example\"]\ncredentials = true\n",
    );
    let answer = scene.ask("GET", "/x", &[("origin", APP)]);
    assert_eq!(answer.headers.all("access-control-allow-origin"), [APP]);
    says(&answer, "access-control-allow-credentials", Some("true"));
    assert_eq!(answer.headers.all("vary"), ["accept", "origin"]);
    let evil = scene.ask("GET", "/x", &[("origin", "https://evil.test")]);
    says(&evil, "access-control-allow-origin", None);
    says(&evil, "access-control-allow-credentials", None);
    let any = preflight(&scene, "/x", APP, "PATCH");
    says(&any, "access-control-allow-methods", Some("PATCH"));

    let (_origin, every) =
        with_a_service_that_says("[cors]\norigins = [\"*\"]\nmethods = [\"GET\"]\n");
    let answer = every.ask("GET", "/x", &[("origin", "https://anywhere.test")]);
    assert_eq!(answer.headers.all("access-control-allow-origin"), ["*"]);
    assert_eq!(answer.headers.all("vary"), ["accept"]);
    let answer = preflight(&every, "/x", "https://anywhere.test", "PATCH");
    says(&answer, "access-control-allow-methods", Some("GET"));

    let (_origin, without) = with_a_service_that_says("");
    let answer = preflight(&without, "/x", APP, "PATCH");
    assert_eq!(answer.status, 200, "it went to the service");
    says(&answer, "access-control-allow-origin", Some("https://evil.test"));
}

/// A browser never sends the header that names a version with a preflight, because it asks first
/// whether it may.
#[test]
fn a_preflight_finds_the_path_of_a_version_that_it_cannot_name() {
    let version = "[service.version]\nheader = \"Api-Version\"\nvalue = \"2\"\n[[auth.issuer]]";
    let manifest = |url: &str, unknown: &str| {
        let versioned = shop_manifest(url, CORS).replacen("[[auth.issuer]]", version, 1);
        versioned.replacen("name = \"shop\"\n", &format!("name = \"shop\"\n{unknown}"), 1)
    };
    let scene = Scene::start(|url| manifest(url, ""));
    let answer = preflight(&scene, "/orders", APP, "POST");
    assert_eq!((answer.status, answer.body.len()), (204, 0));
    says(&answer, "access-control-allow-origin", Some(APP));
    says(&answer, "access-control-allow-methods", Some("POST, OPTIONS"));
    problem(&preflight(&scene, "/orders", "https://evil.test", "POST"), 403, "PLM-EDGE-0014");
    problem(&preflight(&scene, "/nowhere", APP, "GET"), 404, "PLM-EDGE-0101");
    problem(&scene.ask("OPTIONS", "/orders", &[]), 404, "PLM-EDGE-0101");
    problem(&scene.ask("GET", "/feed", &[("origin", APP)]), 404, "PLM-EDGE-0101");
    assert_eq!(scene.ask("GET", "/feed", &[("api-version", "2")]).status, 200);

    let open = Scene::start(|url| manifest(url, "unknown_paths = \"pass\"\n"));
    let answer = preflight(&open, "/nowhere", APP, "PATCH");
    assert_eq!(answer.status, 204);
    says(&answer, "access-control-allow-methods", Some("PATCH"));
}

/// What the edge answers itself may be read from another page, too.
#[test]
fn a_preflight_of_an_own_path_allows_what_can_be_done_there() {
    let scene = Scene::shop(&format!("{CORS}[status]\npublic = true\n"));
    for path in ["/openapi.json", "/openapi/shop.json", "/status.json"] {
        let answer = preflight(&scene, path, APP, "GET");
        assert_eq!((answer.status, answer.body.len()), (204, 0), "{path}");
        says(&answer, "access-control-allow-origin", Some(APP));
        says(&answer, "access-control-allow-methods", Some("GET, HEAD"));
        problem(&preflight(&scene, path, "https://evil.test", "GET"), 403, "PLM-EDGE-0014");
        problem(&scene.ask("OPTIONS", path, &[]), 405, "PLM-EDGE-0102");
    }
    assert!(!CONTRACT.contains("status.json"), "the path is ours");
}
