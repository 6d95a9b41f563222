//! Authentication, limits, problem documents, drain, service levels.

use std::time::Duration;

use plimsoll_testkit::RawClient;
use rustix::process::Signal;

use super::{Place, stop};
use crate::scene::{AUDIENCE, ISSUER};

fn issuer() -> String {
    format!(
        "[[auth.issuer]]\nissuer = \"{ISSUER}\"\naudience = [\"{AUDIENCE}\"]\njwks_file = \"jwks.json\"\n"
    )
}

#[test]
fn every_operation_that_wants_a_token_is_asked_without_one() {
    let place = Place::new();
    let mut edge = place.start(&place.shop(""));
    let facts = place.seen("edge.authentication", |facts| facts["open"] == 2);
    assert_eq!((&facts["asked"], &facts["first_open"]), (&2.into(), &"GET /profile".into()));
    edge.write_manifest(&place.shop(&issuer())).unwrap();
    edge.reload().unwrap();
    let facts = place.seen("edge.authentication", |facts| facts["open"] == 0);
    assert_eq!(facts["says"], "2 operations asked without a token, all refused");
    // Nobody was charged or sent anything for it.
    let log = place.origin.log().exchanges();
    assert!(log.is_empty(), "{log:?}");
    assert_eq!(
        edge.metric("plimsoll_auth_total{outcome=\"missing\"}").unwrap().unwrap_or(0.0),
        0.0
    );
    stop(&mut edge);
    let _edge = place.broken(&place.shop(&issuer()), "edge.authenticate");
    let facts = place.seen("edge.authentication", |facts| facts["open"] == 2);
    assert_eq!(facts["asked"], 2);
}

const LIMITS: &str = "
[[limit]]
name = \"per-caller\"
per = \"caller\"
quota = 5
window = \"1h\"
[[limit]]
name = \"per-address\"
per = \"ip\"
quota = 1000
window = \"60s\"
";

#[test]
fn every_limit_is_overdrawn_and_no_caller_has_less_for_it() {
    let place = Place::new();
    let mut edge = place.start(&place.shop(""));
    let facts = place.seen("edge.limits", |facts| facts["limits"] == 0);
    assert_eq!((&facts["operations"], &facts["unlimited"]), (&5.into(), &5.into()));
    edge.write_manifest(&place.shop(LIMITS)).unwrap();
    edge.reload().unwrap();
    let facts = place.seen("edge.limits", |facts| facts["limits"] == 2);
    assert_eq!((&facts["silent"], &facts["unlimited"]), (&0.into(), &0.into()), "{facts}");
    // It is looked at once a second: a caller's burst is whole all the same.
    std::thread::sleep(Duration::from_secs(3));
    let mut client = edge.client().unwrap();
    let statuses: Vec<u16> = (0..6).map(|_| client.get("/feed", &[]).unwrap().status).collect();
    assert_eq!(statuses, [200, 200, 200, 200, 200, 429]);
    stop(&mut edge);
    let _edge = place.broken(&place.shop(LIMITS), "edge.limits");
    let facts = place.seen("edge.limits", |facts| facts["silent"] == 2);
    assert_eq!(facts["says"], "2 limits overdrawn, 2 let it pass");
}

#[test]
fn a_breaker_like_each_services_own_is_shown_nothing_but_failures() {
    let place = Place::new();
    let mut edge = place.start(&place.shop(""));
    let facts = place.seen("edge.breakers", |facts| facts["unbroken"] == 1);
    assert_eq!((&facts["services"], &facts["first_unbroken"]), (&1.into(), &"shop".into()));
    let guarded = place.open("contract = \"openapi.json\"\n[service.breaker]", "");
    edge.write_manifest(&guarded).unwrap();
    edge.reload().unwrap();
    let facts = place.seen("edge.breakers", |facts| facts["unbroken"] == 0);
    assert_eq!(facts["says"], "1 service, each stops being asked");
    stop(&mut edge);
    let _edge = place.broken(&guarded, "edge.breaker");
    place.seen("edge.breakers", |facts| facts["unbroken"] == 1);
}

#[test]
fn an_admission_like_each_services_own_is_offered_too_much() {
    let place = Place::new();
    let mut edge = place.start(&place.shop(""));
    let facts = place.seen("edge.admission", |facts| facts["open"] == 1);
    assert_eq!((&facts["offered"], &facts["first_open"]), (&0.into(), &"shop".into()));
    let admission = "contract = \"openapi.json\"\n[service.admission]";
    edge.write_manifest(&place.open(admission, "")).unwrap();
    edge.reload().unwrap();
    let facts = place.seen("edge.admission", |facts| facts["open"] == 0);
    assert_eq!((&facts["offered"], &facts["critical"]), (&3_200.into(), &0.into()));
    let critical = "[[operation]]\nid = \"createOrder\"\ncriticality = \"critical\"\n";
    let whole = place.open(admission, critical);
    edge.write_manifest(&whole).unwrap();
    edge.reload().unwrap();
    let facts = place.seen("edge.admission", |facts| facts["critical"] == 160);
    assert_eq!(facts["critical_refused"], 0, "{facts}");
    let shed = edge.metric("plimsoll_admission_shed_total{class=\"default\",reason=\"waited\"}");
    assert_eq!(shed.unwrap().unwrap_or(0.0), 0.0, "no real request was refused");
    stop(&mut edge);
    let _edge = place.broken(&whole, "edge.admission");
    place.seen("edge.admission", |facts| facts["critical_refused"].as_u64() > Some(0));
}

#[test]
fn what_the_edge_refuses_is_looked_at_over_its_listener() {
    let place = Place::new();
    let mut edge = place.start(&place.shop(""));
    let facts = place.seen("edge.problems", |facts| facts["asked"] == 2);
    assert_eq!(facts["wrong"], 0, "{facts}");
    stop(&mut edge);
    let _edge = place.broken(&place.shop(""), "edge.problem");
    let facts = place.seen("edge.problems", |facts| facts["wrong"] == 2);
    assert_eq!(facts["first_wrong"], "GET /%00: it is text/plain, not application/problem+json");
}

#[test]
fn a_large_answer_of_every_operation_is_compressed() {
    let place = Place::new();
    let off = place.shop("[compression]\nenabled = false\n");
    let mut edge = place.start(&off);
    let facts = place.seen("edge.compression", |facts| facts["plain"] == 5);
    assert_eq!((&facts["asked"], &facts["first_plain"]), (&5.into(), &"GET /feed".into()));
    let left = "[[operation]]\nid = \"listFeed\"\ncompression = \"off\"\n";
    edge.write_manifest(&place.shop(left)).unwrap();
    edge.reload().unwrap();
    let facts = place.seen("edge.compression", |facts| facts["plain"] == 0);
    assert_eq!(facts["asked"], 4, "{facts}");
    let says = "a large answer of 4 operations tried, all went smaller; \
                the manifest leaves 1 operation as they are";
    assert_eq!(facts["says"], says);
    assert!(place.origin.log().exchanges().is_empty(), "no service was asked");
    let counted = edge.metric("plimsoll_compressed_answers_total{coding=\"zstd\"}").unwrap();
    assert_eq!(counted.unwrap_or(0.0), 0.0, "no answer was counted");
    stop(&mut edge);
    let _edge = place.broken(&place.shop(left), "edge.compression");
    place.seen("edge.compression", |facts| facts["plain"] == 4);
}

#[test]
fn a_stop_counts_by_what_it_cut_until_the_next_one() {
    let place = Place::new();
    let manifest = place.shop("").replace("cores = 1", "cores = 1\ndrain_deadline = \"1s\"");
    let mut edge = place.start(&manifest);
    place.seen("edge.drain", |facts| facts["stops"] == 0);
    stop(&mut edge);
    let mut edge = place.start(&manifest);
    let facts = place.seen("edge.drain", |facts| facts["stops"] == 1);
    assert_eq!(facts["cut"], 0, "{facts}");
    let mut client: RawClient = edge.client().unwrap();
    client.send("GET /feed HTTP/1.1\r\nhost: a\r\nx-script: delay=20000\r\n\r\n").unwrap();
    std::thread::sleep(Duration::from_millis(300));
    edge.signal(Signal::TERM).unwrap();
    assert!(!edge.wait(Duration::from_secs(20)).unwrap().unwrap().success(), "it cut a request");
    let mut edge = place.start(&manifest);
    let facts = place.seen("edge.drain", |facts| facts["stops"] == 2);
    assert_eq!(facts["cut"], 1, "{facts}");
    stop(&mut edge);
    let _edge = place.start(&manifest);
    place.seen("edge.drain", |facts| facts["stops"] == 3 && facts["cut"] == 0);
}

#[test]
fn service_levels_are_those_of_requests_that_went_to_a_service() {
    let place = Place::new();
    let edge = place.start(&place.shop(""));
    place.seen("edge.service-levels", |facts| facts["requests"] == 0);
    let ask = |script: &str| {
        let mut client = edge.client().unwrap();
        for _ in 0..20 {
            client.get("/feed", &[("x-script", script)]).unwrap();
        }
    };
    ask("status=200");
    let facts = place.seen("edge.service-levels", |facts| facts["requests"] != 0);
    assert_eq!((&facts["error_permille"], &facts["within_permille"]), (&0.into(), &1000.into()));
    ask("status=500");
    place.seen("edge.service-levels", |facts| facts["error_permille"].as_u64() > Some(0));
}

#[test]
fn the_cache_is_tried_with_answers_of_nobodys() {
    let place = Place::new();
    let mut edge = place.start(&place.shop("[cache]\nenabled = false\n"));
    let facts = place.seen("edge.cache", |facts| facts["writes"] == 0);
    assert_eq!(facts["says"], "the cache is switched off");
    edge.write_manifest(&place.shop("")).unwrap();
    edge.reload().unwrap();
    place.seen("edge.cache", |facts| facts["writes"] == 3);
    let mut client = edge.client().unwrap();
    let script = [("x-script", "header=cache-control:public,%20max-age=60")];
    for _ in 0..2 {
        assert_eq!(client.get("/feed", &script).unwrap().status, 200);
    }
    let facts = place.seen("edge.cache", |facts| facts["cached"] == 1);
    assert_eq!((&facts["ttl_s_max"], &facts["writes"]), (&60.into(), &3.into()), "{facts}");
    assert_eq!((&facts["stale_after_write"], &facts["shared_private"]), (&0.into(), &0.into()));
    // Nothing of it was asked of the service.
    assert_eq!(place.origin.log().requests(), 1);
    stop(&mut edge);
    let mut edge = place.broken(&place.shop(""), "edge.cache.invalidate");
    let facts = place.seen("edge.cache", |facts| facts["stale_after_write"] == 3);
    assert_eq!(facts["first_stale"], "a caller's own write");
    stop(&mut edge);
    let _edge = place.broken(&place.shop(""), "edge.cache.identity");
    place.seen("edge.cache", |facts| facts["shared_private"] != 0);
}
