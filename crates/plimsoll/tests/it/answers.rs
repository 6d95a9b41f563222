//! What a client is answered: by the service when all is well, by the edge when it is not.

use plimsoll_testkit::{Claims, Origin, Plimsoll, PlimsollOptions, TestIssuer, expected_body};
use serde_json::json;

use crate::bodies::tools::{SECOND, eventually};
use crate::scene::{AUDIENCE, CONTRACT, ISSUER, Scene, claims, problem};

#[test]
fn a_good_token_reaches_the_service_with_what_the_edge_vouches_for() {
    let scene = Scene::shop("[auth]\nforward_principal = \"headers\"\ntenant_claim = \"org\"\n");
    let bearer = scene.bearer_of(&claims().scope("orders:write").with("org", json!("acme")));
    let fields = [
        ("authorization", bearer.as_str()),
        ("x-test-id", "good-token-1"),
        ("x-user-id", "mallory"),
        ("plimsoll-subject", "mallory"),
        ("x-forwarded-for", "1.2.3.4"),
        ("forwarded", "for=1.2.3.4"),
        ("x-request-id", "from-the-client-01"),
    ];
    let answer = scene.ask("POST", "/orders", &fields);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body, expected_body("good-token-1", answer.body.len()));
    assert_eq!(answer.headers.get("x-request-id"), Some("from-the-client-01"));
    let seen = scene.origin.log().with_id("good-token-1");
    assert_eq!(seen.len(), 1);
    let sent = &seen[0].headers;
    assert_eq!(sent.all("authorization"), vec![bearer.as_str()]);
    assert_eq!(sent.all("plimsoll-subject"), vec!["alice"]);
    assert_eq!(sent.all("plimsoll-tenant"), vec!["acme"]);
    assert_eq!(sent.all("plimsoll-scope"), vec!["orders:write"]);
    assert_eq!(sent.all("x-forwarded-for"), vec!["127.0.0.1"]);
    assert_eq!(sent.all("forwarded"), vec!["for=127.0.0.1;proto=http"]);
    assert_eq!(sent.all("x-request-id"), vec!["from-the-client-01"]);
    assert!(sent.get("x-user-id").is_none());
    let trace = sent.get("traceparent").unwrap();
    assert_eq!((trace.len(), &trace[..3]), (55, "00-"));
}

/// A field holds ASCII; names do not. Nothing may vanish on the way.
#[test]
fn a_principal_in_any_script_reaches_the_service() {
    let scene = Scene::shop("[auth]\nforward_principal = \"headers\"\ntenant_claim = \"org\"\n");
    let bearer =
        scene.bearer_of(&claims().with("sub", json!("jürgen 100%")).with("org", json!("東京")));
    let fields = [("authorization", bearer.as_str()), ("x-test-id", "any-script")];
    assert_eq!(scene.ask("GET", "/profile", &fields).status, 200);
    let sent = &scene.origin.log().with_id("any-script")[0].headers;
    assert_eq!(sent.all("plimsoll-subject"), vec!["j%C3%BCrgen 100%25"]);
    assert_eq!(sent.all("plimsoll-tenant"), vec!["%E6%9D%B1%E4%BA%AC"]);
}

#[test]
fn a_bad_token_is_refused_with_the_reason_and_never_reaches_the_service() {
    let scene = Scene::shop("");
    let other = TestIssuer::new("key-1").unwrap();
    let unknown = TestIssuer::new("key-2").unwrap();
    let empty = TestIssuer::unsigned(&claims());
    let none = json!({ "alg": "none", "kid": "key-1" });
    let none = scene.issuer.mint_with(&none, &claims()).unwrap();
    let cases = [
        ("PLM-EDGE-0203", scene.issuer.mint(&claims().expired_since(3_600)).unwrap()),
        ("PLM-EDGE-0206", scene.issuer.mint(&Claims::new(ISSUER, "other", "alice")).unwrap()),
        ("PLM-EDGE-0205", {
            scene.issuer.mint(&Claims::new("https://evil.test", AUDIENCE, "alice")).unwrap()
        }),
        ("PLM-EDGE-0207", none),
        ("PLM-EDGE-0202", empty),
        ("PLM-EDGE-0208", other.mint(&claims()).unwrap()),
        ("PLM-EDGE-0209", unknown.mint(&claims()).unwrap()),
        ("PLM-EDGE-0202", "not-a-token".to_owned()),
        ("PLM-EDGE-0216", {
            let bound = json!({ "jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" });
            scene.issuer.mint(&claims().with("cnf", bound)).unwrap()
        }),
        ("PLM-EDGE-0216", {
            let bound = json!({ "x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2" });
            scene.issuer.mint(&claims().with("cnf", bound)).unwrap()
        }),
    ];
    for (code, token) in cases {
        let bearer = format!("Bearer {token}");
        let answer = scene.ask("GET", "/profile", &[("authorization", &bearer)]);
        problem(&answer, 401, code);
        let challenge = answer.headers.get("www-authenticate").unwrap();
        assert!(
            challenge.starts_with("Bearer realm=\"plimsoll\", error=\"invalid_token\""),
            "{challenge}"
        );
        assert!(!String::from_utf8_lossy(&answer.body).contains(&token));
    }
    let answer = scene.ask("GET", "/profile", &[]);
    problem(&answer, 401, "PLM-EDGE-0201");
    assert_eq!(answer.headers.get("www-authenticate"), Some("Bearer realm=\"plimsoll\""));
    assert_eq!(scene.origin.log().requests(), 0);
}

#[test]
fn a_token_without_the_scope_is_403_and_says_which() {
    let scene = Scene::shop("");
    let bearer = scene.bearer("feed:read");
    let answer = scene.ask("POST", "/orders", &[("authorization", &bearer)]);
    problem(&answer, 403, "PLM-EDGE-0211");
    let challenge = answer.headers.get("www-authenticate").unwrap();
    assert!(challenge.contains("error=\"insufficient_scope\""), "{challenge}");
    assert!(challenge.contains("scope=\"orders:write\""), "{challenge}");
    assert_eq!(scene.origin.log().requests(), 0);
}

#[test]
fn unknown_paths_and_methods_are_told_apart() {
    let scene = Scene::shop("");
    problem(&scene.ask("GET", "/nowhere", &[]), 404, "PLM-EDGE-0101");
    let answer = scene.ask("DELETE", "/orders/7", &[]);
    problem(&answer, 405, "PLM-EDGE-0102");
    assert_eq!(answer.headers.get("allow"), Some("GET, HEAD, OPTIONS"));
    assert_eq!(scene.origin.log().requests(), 0);
    assert_eq!(scene.ask("HEAD", "/orders/7", &[]).status, 200);
}

#[test]
fn a_preflight_needs_no_token() {
    let scene = Scene::shop("");
    let fields = [("origin", "https://app.test"), ("access-control-request-method", "POST")];
    assert_eq!(scene.ask("OPTIONS", "/orders", &fields).status, 200);
}

#[test]
fn a_used_up_limit_is_429_with_fields_that_say_when() {
    let scene =
        Scene::shop("[[limit]]\nname = \"burst\"\nper = \"ip\"\nquota = 2\nwindow = \"60s\"\n");
    let mut client = scene.client();
    for left in ["1", "0"] {
        let answer = client.get("/feed", &[]).unwrap();
        assert_eq!(answer.status, 200);
        assert_eq!(answer.headers.get("ratelimit-policy"), Some("\"burst\";q=2;w=60"));
        let standing = answer.headers.get("ratelimit").unwrap();
        assert!(standing.starts_with(&format!("\"burst\";r={left};t=")), "{standing}");
    }
    let answer = client.get("/feed", &[]).unwrap();
    let document = problem(&answer, 429, "PLM-EDGE-0301");
    assert_eq!(document["violated-policies"], json!(["burst"]));
    let wait: u64 = answer.headers.get("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    assert_eq!(document["retry_after_seconds"], wait);
    assert_eq!(scene.origin.log().requests(), 2);
    // Whoever shows a token that was verified is no longer counted by address.
    let bearer = scene.bearer("");
    problem(&client.get("/profile", &[("authorization", &bearer)]).unwrap(), 429, "PLM-EDGE-0301");
}

#[test]
fn a_key_in_the_field_that_the_contract_names_tells_callers_apart() {
    let origin = Origin::start().unwrap();
    let contract = CONTRACT.replace(
        "\"securitySchemes\": {",
        "\"securitySchemes\": { \"key\": { \"type\": \"apiKey\", \"in\": \"header\", \
         \"name\": \"Shop-Key\" },",
    );
    let edge = Plimsoll::start(&PlimsollOptions {
        manifest: Some(format!(
            "[[service]]\nname = \"shop\"\ncontract = \"openapi.json\"\nurls = [\"{}\"]\n\
             [[limit]]\nname = \"per-caller\"\nper = \"caller\"\nquota = 1\nwindow = \"60s\"\n",
            origin.url()
        )),
        files: vec![("openapi.json".into(), contract.into())],
        one_node: true,
        ..PlimsollOptions::default()
    });
    let edge = edge.unwrap();
    let mut client = edge.client().unwrap();
    let mut ask = |key| client.get("/feed", &[("shop-key", key)]).unwrap().status;
    assert_eq!([ask("a"), ask("b"), ask("a")], [200, 200, 429]);
}

#[test]
fn callers_that_a_limit_has_no_room_for_are_counted() {
    let scene = Scene::open_on_one_node(
        "",
        "",
        "[[limit]]\nname = \"narrow\"\nper = \"caller\"\nquota = 100\nwindow = \"1h\"\n\
         keys_max = 100\n",
    );
    let mut client = scene.client();
    for caller in 0..150 {
        let caller = format!("key-{caller}");
        assert_eq!(client.get("/x", &[("authorization", &caller)]).unwrap().status, 200);
    }
    let folded = "plimsoll_limit_keys_folded_total{policy=\"narrow\"}";
    eventually("the metric moves", 3 * SECOND, || scene.edge.metric(folded).unwrap() == Some(50.0));
}

#[test]
fn limits_by_caller_tell_callers_apart() {
    let scene = Scene::shop_on_one_node(
        "[[limit]]\nname = \"per-caller\"\nper = \"caller\"\nquota = 1\nwindow = \"60s\"\n",
    );
    let alice = scene.bearer("");
    let bob = scene.bearer_of(&Claims::new(ISSUER, AUDIENCE, "bob"));
    for bearer in [&alice, &bob] {
        assert_eq!(scene.ask("GET", "/profile", &[("authorization", bearer)]).status, 200);
    }
    for bearer in [&alice, &bob] {
        let answer = scene.ask("GET", "/profile", &[("authorization", bearer)]);
        problem(&answer, 429, "PLM-EDGE-0301");
    }
    // A new token of the same caller is the same caller.
    let again = scene.bearer("feed:read");
    let answer = scene.ask("GET", "/profile", &[("authorization", &again)]);
    problem(&answer, 429, "PLM-EDGE-0301");
}

#[test]
fn tokens_that_were_never_seen_are_limited_by_address_before_a_signature_is_checked() {
    let scene = Scene::shop_on_one_node("[auth.unverified_per_ip]\nquota = 2\nwindow = \"60s\"\n");
    let other = TestIssuer::new("key-1").unwrap();
    let good = scene.bearer("");
    assert_eq!(scene.ask("GET", "/profile", &[("authorization", &good)]).status, 200);
    let bad = format!("Bearer {}", other.mint(&claims()).unwrap());
    problem(&scene.ask("GET", "/profile", &[("authorization", &bad)]), 401, "PLM-EDGE-0208");
    let answer = scene.ask("GET", "/profile", &[("authorization", &bad)]);
    problem(&answer, 429, "PLM-EDGE-0302");
    assert!(answer.headers.get("retry-after").is_some());
    // The one that was verified before goes on.
    assert_eq!(scene.ask("GET", "/profile", &[("authorization", &good)]).status, 200);
}

#[test]
fn the_edges_own_documents_are_served_once_there_is_a_contract() {
    let scene = Scene::shop("");
    for path in ["/openapi.json", "/openapi/shop.json"] {
        let answer = scene.ask("GET", path, &[]);
        assert_eq!(answer.status, 200, "{path}");
        let document: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(document["paths"]["/feed"]["get"]["operationId"], "listFeed");
    }
    let open = Scene::open("", "", "");
    assert_eq!(open.ask("GET", "/openapi.json", &[]).status, 200);
    assert_eq!(open.origin.log().requests(), 1, "without a contract the path is the backend's");
}

#[test]
fn credentials_pass_through_where_no_issuer_is_configured() {
    let scene = Scene::open("", "", "");
    let fields = [("authorization", "Basic YTpi"), ("x-test-id", "basic-00001")];
    assert_eq!(scene.ask("GET", "/anything", &fields).status, 200);
    let seen = scene.origin.log().with_id("basic-00001");
    assert_eq!(seen[0].headers.all("authorization"), vec!["Basic YTpi"]);
    let notices = scene.edge.ops_get("/?format=json").unwrap().1;
    assert!(notices.contains("No issuer is configured"), "{notices}");
}

#[test]
fn what_hyper_refuses_by_itself_is_a_problem_document_too() {
    let scene = Scene::open("", "", "");
    let mut client = scene.client();
    client.send("GET / HTTP/1.1\r\nhost: a\r\nbad header: x\r\n\r\n").unwrap();
    problem(&client.read_response().unwrap(), 400, "PLM-EDGE-0013");
    let mut client = scene.client();
    let huge = "x".repeat(200 * 1024);
    client.send(format!("GET / HTTP/1.1\r\nhost: a\r\nx: {huge}\r\n\r\n")).unwrap();
    problem(&client.read_response().unwrap(), 431, "PLM-EDGE-0005");
    assert_eq!(scene.origin.log().requests(), 0);
}
