//! Merging, case by case.

use std::sync::Arc;

use plimsoll_snapshot::{Routes, ServiceRoutes};
use serde_json::{Value, json};

use super::*;
use crate::pointer::follow;
use crate::walk;

fn service(name: &str, document: Value) -> ServiceRoutes {
    ServiceRoutes {
        service: name.into(),
        version: None,
        has_contract: true,
        operations: Vec::new(),
        document: Some(Arc::new(document)),
    }
}

fn merged(services: Vec<ServiceRoutes>) -> Value {
    let document = merged_document(&Routes::new(services)).unwrap();
    // Whatever was merged: every reference leads somewhere, and no operation id stands twice.
    let mut ids = Vec::new();
    walk::objects(&document, &mut |map, path| {
        if let Some(Value::String(reference)) = map.get("$ref") {
            assert!(follow(&document, reference).is_some(), "{reference} at {path}");
        }
        let path = path.to_string();
        let of_operation = path.starts_with("#/paths/") && path.matches('/').count() == 3;
        if let (true, Some(id)) = (of_operation, map.get("operationId")) {
            assert!(!ids.contains(&id), "{id} at {path}");
            ids.push(id);
        }
    });
    document
}

fn contract(base: &str, field: &str) -> Value {
    json!({
        "openapi": "3.0.3",
        "info": { "title": format!("Service {field}"), "version": "1" },
        "servers": [{ "url": base }],
        "security": [{ "auth": ["read"] }],
        "tags": [{ "name": "common" }],
        "paths": {
            "/items": {
                "get": {
                    "operationId": "list",
                    "tags": ["common"],
                    "responses": { "200": {
                        "content": { "application/json": {
                            "schema": { "$ref": "#/components/schemas/Item" },
                            "example": { "$ref": "#/components/schemas/Item" },
                        } },
                        "links": { "again": { "operationId": "list" } },
                    } },
                },
                "post": {
                    "operationId": format!("make-{field}"),
                    "security": [],
                    "requestBody": { "content": { "application/json": { "schema": {
                        "$ref": "#/paths/~1items/get/responses/200/content/application~1json/schema",
                    } } } },
                },
            },
        },
        "components": {
            "schemas": {
                "Item": { "properties": { (field): { "$ref": "#/components/schemas/Item" } } },
                (format!("Only-{field}")): {
                    "oneOf": [{ "$ref": "#/components/schemas/Item" }],
                    "discriminator": { "propertyName": "kind" },
                },
                "Mapped": { "discriminator": { "propertyName": "kind", "mapping": {
                    "one": "Item", "two": "#/components/schemas/Item",
                } } },
            },
            "securitySchemes": { "auth": { "type": "http", "scheme": "bearer" } },
        },
    })
}

#[test]
fn one_contract_stays_as_it_is_and_none_is_none() {
    let alone = contract("/v1", "a");
    assert_eq!(merged(vec![service("shop", alone.clone())]), alone);
    let bare = ServiceRoutes { document: None, ..service("bare", Value::Null) };
    assert_eq!(merged_document(&Routes::new(vec![bare])), None);
}

#[test]
fn names_that_two_services_use_are_told_apart_and_references_follow() {
    let document =
        merged(vec![service("shop", contract("/v1", "a")), service("feed", contract("/", "b"))]);
    let at = |pointer: &str| document.pointer(pointer).cloned().unwrap_or_default();

    let paths: Vec<&String> = document["paths"].as_object().unwrap().keys().collect();
    assert_eq!(paths, ["/v1/items", "/items"]);
    let schemas: Vec<&String> =
        document["components"]["schemas"].as_object().unwrap().keys().collect();
    assert_eq!(schemas, ["Item", "Only-a", "Mapped", "feed_Item", "Only-b", "feed_Mapped"]);

    let first = at("/paths/~1v1~1items/get");
    let second = at("/paths/~1items/get");
    assert_eq!(
        (&first["operationId"], &second["operationId"]),
        (&json!("list"), &json!("feed_list"))
    );
    assert_eq!(second["responses"]["200"]["links"]["again"]["operationId"], "feed_list");
    assert_eq!(
        (&first["security"], &second["security"]),
        (&json!([{ "auth": ["read"] }]), &json!([{ "feed_auth": ["read"] }]))
    );
    assert_eq!(at("/paths/~1items/post/security"), json!([]));
    assert_eq!(
        (&first["tags"], &second["tags"]),
        (&json!(["shop", "common"]), &json!(["feed", "common"]))
    );

    let media = &second["responses"]["200"]["content"]["application/json"];
    assert_eq!(media["schema"]["$ref"], "#/components/schemas/feed_Item");
    assert_eq!(media["example"]["$ref"], "#/components/schemas/Item", "an example is data");
    assert_eq!(
        at("/paths/~1v1~1items/post/requestBody/content/application~1json/schema/$ref"),
        "#/paths/~1v1~1items/get/responses/200/content/application~1json/schema"
    );
    assert_eq!(
        at("/components/schemas/feed_Item/properties/b/$ref"),
        "#/components/schemas/feed_Item"
    );
    assert_eq!(
        at("/components/schemas/Only-b/discriminator/mapping"),
        json!({ "Item": "#/components/schemas/feed_Item" })
    );
    assert_eq!(
        at("/components/schemas/feed_Mapped/discriminator/mapping"),
        json!({ "one": "feed_Item", "two": "#/components/schemas/feed_Item" })
    );
    let tags: Vec<&Value> =
        document["tags"].as_array().unwrap().iter().map(|t| &t["name"]).collect();
    assert_eq!(tags, ["shop", "common", "feed"]);
    assert_eq!(document["info"]["title"], "Service a, Service b");
    assert_eq!(document["servers"], json!([{ "url": "/" }]));
}

#[test]
fn three_services_with_the_same_names_are_all_there() {
    let services = ["a", "b", "c"].map(|name| service(name, contract(&format!("/{name}"), "x")));
    let document = merged(services.into());
    assert_eq!(document["components"]["schemas"].as_object().unwrap().len(), 9);
    assert_eq!(document["paths"]["/c/items"]["get"]["operationId"], "c_list");
}

#[test]
fn services_may_share_a_path_but_not_its_parameters() {
    let with = |method: &str, parameter: &str| {
        json!({ "openapi": "3.0.0", "info": { "title": "t", "version": "1" }, "paths": { "/a": {
            "parameters": [{ "name": parameter, "in": "header" }],
            (method): { "parameters": [{ "name": "own", "in": "query" }] },
        } } })
    };
    let document = merged(vec![
        service("one", with("get", "x")),
        service("two", with("put", "y")),
        service("three", with("put", "z")),
    ]);
    let names = |method: &str| -> Vec<String> {
        let list = document["paths"]["/a"][method]["parameters"].as_array().unwrap();
        list.iter().map(|p| p["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(
        (names("get"), names("put")),
        (vec!["x".into(), "own".into()], vec!["y".into(), "own".into()])
    );
    assert!(document["paths"]["/a"].get("parameters").is_none());
    assert_eq!(document["paths"]["/a"]["put"]["tags"], json!(["two"]), "the first one stays");
}

#[test]
fn operations_with_servers_of_their_own_stand_where_they_are_routed() {
    let own = json!({ "openapi": "3.0.0", "servers": [{ "url": "/r" }], "paths": { "/a": {
        "get": {}, "put": { "servers": [{ "url": "/o" }] },
    }, "/b": { "servers": [{ "url": "/i" }], "get": {} } } });
    let document = merged(vec![service("one", own), service("two", contract("/", "b"))]);
    let paths: Vec<&String> = document["paths"].as_object().unwrap().keys().collect();
    assert_eq!(paths, ["/r/a", "/o/a", "/i/b", "/items"]);
    assert!(document["paths"]["/r/a"].get("put").is_none());
    assert!(document["paths"]["/o/a"]["put"].get("servers").is_none());
}

#[test]
fn a_contract_of_3_0_is_upgraded_beside_one_of_3_1() {
    let old = json!({ "openapi": "3.0.3", "components": { "schemas": { "S": { "properties": {
        "a": { "type": "string", "nullable": true, "enum": ["x"] },
        "b": { "type": "number", "minimum": 1, "exclusiveMinimum": true },
        "c": { "type": "number", "maximum": 9, "exclusiveMaximum": false },
        "d": { "nullable": true, "allOf": [] },
        "nullable": { "type": "boolean", "default": { "nullable": true, "type": "x" } },
    } } } } });
    let new = json!({ "openapi": "3.1.0", "webhooks": { "paid": { "post": {} } } });
    let document = merged(vec![service("old", old), service("new", new)]);
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(
        document["components"]["schemas"]["S"]["properties"],
        json!({
            "a": { "type": ["string", "null"], "enum": ["x", null] },
            "b": { "type": "number", "exclusiveMinimum": 1 },
            "c": { "type": "number", "maximum": 9 },
            "d": { "allOf": [] },
            "nullable": { "type": "boolean", "default": { "nullable": true, "type": "x" } },
        })
    );
    assert!(document["webhooks"]["paid"].is_object());
}
