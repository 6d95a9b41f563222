//! Operations, case by case.

use plimsoll_snapshot::Security;
use serde_json::json;

use super::*;

fn collected(document: &Value) -> Vec<Found> {
    let mut faults = Faults::default();
    let found = collect(document, "", &mut faults);
    faults.or(found).unwrap()
}

fn said(document: &Value) -> Vec<String> {
    let mut faults = Faults::default();
    let found = collect(document, "", &mut faults);
    let faults = faults.or(found).unwrap_err();
    faults.iter().map(ToString::to_string).collect()
}

#[test]
fn templates_stand_below_the_first_servers_path() {
    let with = |servers: Value| {
        let document = json!({ "servers": servers, "paths": { "/orders": { "get": {} } } });
        collected(&document)[0].route.template.clone()
    };
    for (url, expected) in [
        ("https://api.example/v1", "/v1/orders"),
        ("https://api.example/v1/", "/v1/orders"),
        ("https://api.example", "/orders"),
        ("//api.example/a/b", "/a/b/orders"),
        ("/v1", "/v1/orders"),
        ("v1", "/v1/orders"),
        ("./v1", "/v1/orders"),
        ("/", "/orders"),
        ("", "/orders"),
        ("https://api.example/v1?x=1#y", "/v1/orders"),
    ] {
        assert_eq!(with(json!([{ "url": url }, { "url": "/other" }])), expected, "{url}");
    }
    let filled = json!([{ "url": "{scheme}://h/{base}", "variables": {
        "scheme": { "default": "https" }, "base": { "default": "v2" },
    } }]);
    assert_eq!(with(filled), "/v2/orders");
    assert_eq!(with(json!([])), "/orders");
    let own = json!({ "servers": [{ "url": "/a" }], "paths": { "/x": {
        "servers": [{ "url": "/b" }], "get": {}, "put": { "servers": [{ "url": "/c" }] },
    } } });
    let templates: Vec<_> = collected(&own).into_iter().map(|o| o.route.template).collect();
    assert_eq!(templates, ["/b/x", "/c/x"]);
    for url in ["/{x}", "/a/../b", "/{"] {
        let document = json!({ "servers": [{ "url": url }], "paths": { "/x": { "get": {} } } });
        assert_eq!(said(&document).len(), 1, "{url}");
    }
}

#[test]
fn operations_without_a_name_get_a_stable_one() {
    let document = json!({ "paths": {
        "/orders/{id}": { "get": {}, "delete": { "operationId": "drop" } },
        "/orders/{id}/": { "get": {} },
        "/orders-{id}": { "get": {} },
        "/": { "get": {} },
        "/{}": { "put": {} },
        "/taken": { "get": { "operationId": "get_root" } },
        "/ü": { "get": {} },
    } });
    let ids: Vec<_> = collected(&document).into_iter().map(|found| found.route.id).collect();
    assert_eq!(
        ids,
        [
            "get_orders_id",
            "drop",
            "get_orders_id_2",
            "get_orders_id_3",
            "get_root_2",
            "put_root",
            "get_root",
            "get_root_3",
        ]
    );
}

#[test]
fn conflicts_name_both_places() {
    let document = json!({ "paths": {
        "/a/{x}": { "get": { "operationId": "one" } },
        "/a/{y}": { "get": { "operationId": "two" }, "put": { "operationId": "one" } },
    } });
    let said = said(&document);
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(
        said[0].contains("GET /a/{y} matches the same paths as GET /a/{x}")
            || said[0].contains("#/paths/~1a~1{y}/get"),
        "{said:?}"
    );
    assert!(said[0].contains("/a/{x} at #/paths/~1a~1{x}/get"), "{said:?}");
    assert!(said[1].contains("#/paths/~1a~1{y}/put/operationId: `one` is"), "{said:?}");
}

#[test]
fn a_path_item_may_stand_elsewhere() {
    let document = json!({
        "paths": { "/a": { "$ref": "#/components/pathItems/A" }, "/e": {}, "x-e": 1 },
        "components": { "pathItems": { "A": { "post": { "summary": " Make ", "security": [] } } } },
    });
    let found = collected(&document);
    assert_eq!(found.len(), 1);
    assert_eq!((&*found[0].route.id, &*found[0].route.method), ("post_a", "POST"));
    assert_eq!(found[0].route.summary.as_deref(), Some("Make"));
    assert_eq!(found[0].route.security, Security::Public);
}

#[test]
fn vendor_keys_are_read_and_wrong_ones_named() {
    let with = |key: &str, value: Value| json!({ "paths": { "/a": { "get": { (key): value, "x-mood": "high" } } } });
    let route = |document: &Value| collected(document).swap_remove(0).route;
    assert_eq!(route(&with("x-cost", json!(5))).cost, 5);
    assert_eq!(route(&with("x-body-bytes-max", json!("1MiB"))).body_bytes_max, Some(1 << 20));
    assert_eq!(route(&with("x-body-bytes-max", json!(7))).body_bytes_max, Some(7));
    assert_eq!(route(&with("x-total-timeout", json!("5s"))).total_timeout_ms, Some(5_000));
    let keyed = route(&with("x-idempotency", json!("required"))).idempotency;
    assert_eq!(keyed.rule, KeyRule::Required);
    let criticality = |word| route(&with("x-criticality", json!(word))).criticality;
    assert_eq!(criticality("critical"), Criticality::Critical);
    assert_eq!(criticality("background"), Criticality::Background);
    let plain = route(&with("x-other", json!(0)));
    assert_eq!(plain.criticality, Criticality::Default);
    assert_eq!(plain.idempotency, Idempotency::default());
    assert_eq!((plain.cost, plain.body_bytes_max, plain.total_timeout_ms), (1, None, None));
    let groups = route(&with("x-cache-groups", json!(["feed", "user 1"]))).cache.groups;
    assert_eq!(groups, ["feed", "user 1"]);
    assert_eq!(route(&with("x-invalidates", json!(["feed"]))).cache.invalidates, ["feed"]);
    for (key, value) in [
        ("x-cache-groups", json!("feed")),
        ("x-cache-groups", json!([1])),
        ("x-invalidates", json!([""])),
        ("x-invalidates", json!(["\u{fc}ber"])),
        ("x-cost", json!(0)),
        ("x-cost", json!("5")),
        ("x-body-bytes-max", json!("many")),
        ("x-total-timeout", json!(5)),
        ("x-total-timeout", json!("0s")),
        ("x-idempotency", json!(true)),
        ("x-criticality", json!("high")),
    ] {
        let said = said(&with(key, value));
        assert!(said[0].contains(&format!("#/paths/~1a/get/{key}: ")), "{said:?}");
    }
}

#[test]
fn what_cannot_be_routed_is_a_fault_with_its_place() {
    for path in ["orders", "/a?x={y}", "/{a", "/a/../b"] {
        let said = said(&json!({ "paths": { (path): { "get": {} } } }));
        assert_eq!(said.len(), 1, "{path}");
        assert!(said[0].contains("/get: "), "{said:?}");
    }
    let said = said(&json!({ "paths": { "/a": { "get": { "operationId": "" } } } }));
    assert!(said[0].contains("#/paths/~1a/get/operationId: "), "{said:?}");
}
