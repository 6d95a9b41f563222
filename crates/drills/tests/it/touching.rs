//! Which operations a journey is made of.

use std::path::Path;

use plimsoll_drills::journey::{parse, touched};
use plimsoll_snapshot::Routes;
use serde_json::json;

fn routes(operations: &[(&str, &str, &str)]) -> Routes {
    let operations: Vec<serde_json::Value> = operations
        .iter()
        .map(|(id, method, template)| {
            json!({ "id": id, "method": method, "template": template, "cost": 1,
                    "security": { "kind": "public" } })
        })
        .collect();
    let service = json!({ "service": "shop", "has_contract": true, "operations": operations });
    let routes = json!({ "format": 1, "services": [service] }).to_string();
    Routes::from_json(routes.as_bytes()).unwrap()
}

#[test]
fn steps_are_matched_as_the_router_would() {
    let routes = routes(&[
        ("listOrders", "GET", "/orders"),
        ("getOrder", "GET", "/orders/{id}"),
        ("newest", "GET", "/orders/newest"),
        ("pay", "POST", "/orders/{id}/payment"),
        ("photo", "GET", "/photos/{id}.jpg"),
        ("root", "GET", "/"),
    ]);
    let touched = |lines: &str| touched(&parse(lines, Path::new("a")).unwrap(), &routes);
    assert_eq!(touched("GET {{base}}/orders?limit=1\n"), ["listOrders"]);
    assert_eq!(touched("HEAD {{base}}/orders\n"), ["listOrders"]);
    assert_eq!(touched("GET {{base}}/orders/newest\n"), ["newest"]);
    assert_eq!(touched("GET {{base}}/orders/{{id}}\n"), ["getOrder"]);
    assert_eq!(touched("GET {{base}}/orders/7\n"), ["getOrder"]);
    assert_eq!(touched("POST {{base}}/orders/a{{id}}b/payment?x={{y}}\n"), ["pay"]);
    assert_eq!(touched("GET {{base}}/photos/{{id}}.jpg\n"), ["photo"]);
    assert_eq!(touched("GET {{base}}/photos/7.jpg\n"), ["photo"]);
    assert_eq!(touched("GET {{base}}/photos/7.png\n"), [""; 0]);
    assert_eq!(touched("GET {{base}}/\n"), ["root"]);
    assert_eq!(touched("PUT {{base}}/orders\n"), [""; 0]);
    assert_eq!(touched("GET https://id.example/orders\nGET {{other}}/orders\n"), [""; 0]);
    let both = "GET {{base}}/orders/7\nPOST {{base}}/orders/7/payment\nGET {{base}}/orders/8\n";
    assert_eq!(touched(both), ["getOrder", "pay"]);
}
