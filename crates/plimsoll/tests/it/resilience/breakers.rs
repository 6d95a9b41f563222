//! Operations that fail are set aside, tried by one request, and come back.

use std::time::Duration;

use crate::scene::{Scene, Stopwatch, problem};

const BREAKER: &str = "[service.breaker]\nconsecutive_failures = 3\nopen = \"1s\"\n\
                       slow_start = \"0s\"\n[service.retries]\ntries_max = 1\n";

fn feed(scene: &Scene, script: &str) -> plimsoll_testkit::RawResponse {
    scene.ask("GET", "/feed", &[("x-script", script)])
}

fn asked(scene: &Scene) -> u64 {
    scene.origin.log().requests()
}

#[test]
fn an_operation_that_fails_is_set_aside_and_the_rest_goes_on() {
    let scene = Scene::shop_on_one_node(BREAKER);
    for fault in ["status=500", "reset", "status=503"] {
        assert!(feed(&scene, fault).status >= 500);
    }
    let watch = Stopwatch::start();
    let before = asked(&scene);
    let answer = feed(&scene, "status=200");
    let document = problem(&answer, 503, "PLM-EDGE-0409");
    let after: u64 = answer.headers.get("retry-after").unwrap().parse().unwrap();
    assert!((1..=3).contains(&after) && document["retry_after_seconds"] == after, "{document}");
    assert_eq!(asked(&scene), before, "the service is left alone");
    assert_eq!(scene.ask("GET", "/orders/1", &[]).status, 200, "and asked for the rest");
    let (_, page) = scene.edge.ops_get("/?format=json").unwrap();
    assert!(page.contains("listFeed is set aside"), "{page}");
    // One tries, and fails: it is set aside for longer.
    std::thread::sleep(Duration::from_millis(1_050).saturating_sub(watch.elapsed()));
    assert_eq!(feed(&scene, "status=502").status, 502);
    problem(&feed(&scene, "status=200"), 503, "PLM-EDGE-0409");
    std::thread::sleep(Duration::from_millis(1_050));
    problem(&feed(&scene, "status=200"), 503, "PLM-EDGE-0409");
    std::thread::sleep(Duration::from_millis(1_050));
    for _ in 0..10 {
        assert_eq!(feed(&scene, "status=200").status, 200);
    }
    let metric = |name: &str| {
        let series = format!("plimsoll_{name}_total{{service=\"shop\"}}");
        scene.edge.metric(&series).unwrap().unwrap_or(0.0) as u64
    };
    assert_eq!((metric("breakers_opened"), metric("breaker_refused")), (2, 3));
}

#[test]
fn only_one_request_tries() {
    let scene = Scene::shop_on_one_node(BREAKER);
    for _ in 0..3 {
        assert_eq!(feed(&scene, "status=503").status, 503);
    }
    std::thread::sleep(Duration::from_millis(1_100));
    let before = asked(&scene);
    let mut clients: Vec<_> = (0..12).map(|_| scene.client()).collect();
    for client in &mut clients {
        client.send("GET /feed HTTP/1.1\r\nhost: a\r\nx-script: delay=500\r\n\r\n").unwrap();
    }
    let answers = clients.iter_mut().map(|client| client.read_response().unwrap().status);
    let passed = answers.filter(|status| *status == 200).count();
    assert_eq!((passed, asked(&scene) - before), (1, 1));
}

#[test]
fn too_many_429_among_enough_requests_open_it_too() {
    let scene = Scene::shop_on_one_node(
        "[service.breaker]\nconsecutive_failures = 0\nrequests_min = 10\nwindow = \"1m\"\n",
    );
    for number in 0..10 {
        let script = if number % 3 == 0 { "status=200" } else { "status=429" };
        assert!([200, 429].contains(&feed(&scene, script).status));
    }
    // Four of eleven were good.
    assert_eq!(feed(&scene, "status=429").status, 429);
    problem(&feed(&scene, "status=200"), 503, "PLM-EDGE-0409");
}

#[test]
fn a_document_stands_in_while_it_is_open() {
    let more = "[[operation]]\nid = \"listFeed\"\nfallback_file = \"openapi.json\"\n";
    let scene = Scene::shop_on_one_node(&format!("{BREAKER}{more}"));
    for _ in 0..3 {
        assert_eq!(feed(&scene, "status=503").status, 503);
    }
    let answer = feed(&scene, "status=200");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers.get("content-type"), Some("application/json"));
    assert_eq!(answer.headers.get("cache-control"), Some("no-store"));
    assert_eq!(answer.headers.get("plimsoll-fallback"), Some("document"));
    assert_eq!(answer.body, crate::scene::CONTRACT.as_bytes());
    assert_eq!(asked(&scene), 3);
}

#[test]
fn a_breaker_outlives_a_reload_and_an_operation_may_have_none() {
    let scene = Scene::shop_on_one_node(BREAKER);
    for _ in 0..3 {
        assert_eq!(feed(&scene, "status=503").status, 503);
    }
    let manifest = crate::scene::shop_manifest(&scene.origin.url(), BREAKER);
    scene.edge.write_manifest(&format!("{manifest}# another\n")).unwrap();
    scene.edge.reload().unwrap();
    std::thread::sleep(Duration::from_millis(200));
    problem(&feed(&scene, "status=200"), 503, "PLM-EDGE-0409");
    let none = "[[operation]]\nid = \"listFeed\"\nbreaker = false\n";
    scene.edge.write_manifest(&format!("{manifest}{none}")).unwrap();
    scene.edge.reload().unwrap();
    std::thread::sleep(Duration::from_millis(200));
    for _ in 0..9 {
        assert_eq!(feed(&scene, "status=503").status, 503);
    }
    assert_eq!(feed(&scene, "status=200").status, 200);
}
