//! Swagger 2.0 contracts of the shapes that real servers and generators write.

use plimsoll_contracts::parse_document;
use serde_json::{Value, json};

use crate::document;

/// The document below `paths./a.METHOD` of a contract that has only that operation.
fn operation(operation: &Value, root: &Value) -> Value {
    let mut contract = json!({ "swagger": "2.0", "paths": { "/a": { "post": operation } } });
    let root = root.as_object().cloned().unwrap_or_default();
    contract.as_object_mut().unwrap().extend(root);
    document(&contract.to_string())["paths"]["/a"]["post"].clone()
}

/// A storage server whose document is made by a library: no `definitions`, `basePath` and `host`
/// of the moment, parameters shared by path, paths without operations, nameless schemas.
const STORAGE: &str = r#"
swagger: "2.0"
host: "localhost:8888"
schemes: [http]
basePath: /v1
info: {title: Store, version: "1.22"}
tags: [{name: Boxes}]
securityDefinitions:
  basicauth: {type: basic}
paths:
  /:
    get:
      operationId: server_info
      security: []
      produces: [application/json]
      responses:
        "200": {description: Info, schema: {type: object, additionalProperties: {}}}
  /__data__: {}
  /boxes/{id}:
    parameters:
      - {name: id, in: path, type: string, required: true}
    get:
      operationId: get_box
      security: [{basicauth: []}]
      parameters:
        - {name: If-None-Match, in: header, type: string, pattern: '^"([0-9]+)"$'}
        - {name: _fields, in: query, type: array, items: {type: string}, collectionFormat: csv}
      produces: [application/json]
      responses:
        "200":
          description: Box
          schema: {type: object}
          headers: {ETag: {type: string, description: Tag}}
        "304": {description: Same}
        default: {description: Error, schema: {$ref: '#/definitions/Error'}}
    patch:
      operationId: patch_box
      consumes: [application/json, application/merge-patch+json]
      parameters:
        - {name: body, in: body, schema: {$ref: '#/definitions/Box'}}
      responses: {"200": {$ref: '#/responses/Done'}}
definitions:
  Error: {type: object, properties: {errno: {type: integer}}}
  Box: {type: object, properties: {inner: {$ref: '#/definitions/Box'}}}
responses:
  Done: {description: Done, schema: {$ref: '#/definitions/Box'}}
"#;

#[test]
fn a_whole_contract() {
    let expected = json!({
        "openapi": "3.0.3",
        "info": { "title": "Store", "version": "1.22" },
        "tags": [{ "name": "Boxes" }],
        "servers": [{ "url": "http://localhost:8888/v1" }],
        "paths": {
            "/": { "get": {
                "operationId": "server_info",
                "security": [],
                "responses": { "200": { "description": "Info", "content": { "application/json": {
                    "schema": { "type": "object", "additionalProperties": {} },
                } } } },
            } },
            "/__data__": {},
            "/boxes/{id}": {
                "parameters": [
                    {
                        "name": "id", "in": "path", "required": true,
                        "schema": { "type": "string" },
                    },
                ],
                "get": {
                    "operationId": "get_box",
                    "security": [{ "basicauth": [] }],
                    "parameters": [
                        {
                            "name": "If-None-Match",
                            "in": "header",
                            "schema": { "type": "string", "pattern": "^\"([0-9]+)\"$" },
                        },
                        {
                            "name": "_fields",
                            "in": "query",
                            "style": "form",
                            "explode": false,
                            "schema": { "type": "array", "items": { "type": "string" } },
                        },
                    ],
                    "responses": {
                        "200": {
                            "description": "Box",
                            "headers": { "ETag": {
                                "description": "Tag", "schema": { "type": "string" },
                            } },
                            "content": { "application/json": { "schema": { "type": "object" } } },
                        },
                        "304": { "description": "Same" },
                        "default": { "description": "Error", "content": { "application/json": {
                            "schema": { "$ref": "#/components/schemas/Error" },
                        } } },
                    },
                },
                "patch": {
                    "operationId": "patch_box",
                    "requestBody": {
                        "content": {
                            "application/json": {
                                "schema": { "$ref": "#/components/schemas/Box" },
                            },
                            "application/merge-patch+json": {
                                "schema": { "$ref": "#/components/schemas/Box" },
                            },
                        },
                        "x-codegen-request-body-name": "body",
                    },
                    "responses": { "200": { "$ref": "#/components/responses/Done" } },
                },
            },
        },
        "components": {
            "schemas": {
                "Error": { "type": "object", "properties": { "errno": { "type": "integer" } } },
                "Box": { "type": "object", "properties": {
                    "inner": { "$ref": "#/components/schemas/Box" },
                } },
            },
            "responses": { "Done": { "description": "Done", "content": { "application/json": {
                "schema": { "$ref": "#/components/schemas/Box" },
            } } } },
            "securitySchemes": { "basicauth": { "type": "http", "scheme": "basic" } },
        },
    });
    assert_eq!(document(STORAGE), expected);
}

#[test]
fn forms_become_bodies() {
    let with = |consumes: Value, fields: Value| {
        operation(&json!({ "consumes": consumes, "parameters": fields }), &Value::Null)
    };
    let field = json!({ "name": "a", "in": "formData", "type": "string", "required": true });
    let file = json!({ "name": "f", "in": "formData", "type": "file", "description": "It" });
    let body = |converted: &Value| converted["requestBody"].clone();

    let plain = with(json!([]), json!([field]));
    let schema = json!({
        "type": "object", "properties": { "a": { "type": "string" } }, "required": ["a"],
    });
    assert_eq!(
        body(&plain),
        json!({
            "content": { "application/x-www-form-urlencoded": { "schema": schema } },
            "required": true,
        })
    );

    let both =
        with(json!(["multipart/form-data", "application/x-www-form-urlencoded"]), json!([file]));
    let schema = json!({
        "type": "object",
        "properties": { "f": { "type": "string", "format": "binary", "description": "It" } },
    });
    assert_eq!(
        body(&both),
        json!({
            "content": { "multipart/form-data": { "schema": schema } }, "required": false,
        })
    );
    let unsaid = with(json!(["application/json"]), json!([file]));
    assert!(body(&unsaid)["content"]["multipart/form-data"].is_object());

    let list = json!({
        "name": "l", "in": "formData", "type": "array", "items": { "type": "string" },
        "collectionFormat": "multi",
    });
    let media =
        &body(&with(json!([]), json!([list])))["content"]["application/x-www-form-urlencoded"];
    assert_eq!(media["encoding"], json!({ "l": { "style": "form", "explode": true } }));
}

#[test]
fn lists_are_written_as_before() {
    let style = |place: &str, format: &str| {
        let parameter = json!({
            "name": "p", "in": place, "type": "array", "collectionFormat": format,
            "items": { "type": "array", "collectionFormat": "csv", "items": { "type": "string" } },
        });
        let converted = operation(&json!({ "parameters": [parameter] }), &Value::Null);
        let parameter = converted["parameters"][0].clone();
        assert!(parameter["schema"]["items"].get("collectionFormat").is_none());
        (
            parameter["style"].clone(),
            parameter["explode"].clone(),
            parameter["x-collection-format"].clone(),
        )
    };
    let null = Value::Null;
    assert_eq!(style("query", "csv"), (json!("form"), json!(false), null.clone()));
    assert_eq!(style("query", "multi"), (json!("form"), json!(true), null.clone()));
    assert_eq!(style("query", "ssv"), (json!("spaceDelimited"), json!(false), null.clone()));
    assert_eq!(style("query", "pipes"), (json!("pipeDelimited"), json!(false), null.clone()));
    assert_eq!(style("query", "tsv"), (json!("form"), json!(false), json!("tsv")));
    assert_eq!(style("path", "csv"), (null.clone(), null.clone(), null.clone()));
    assert_eq!(style("header", "pipes"), (null.clone(), null, json!("pipes")));
}

#[test]
fn what_a_path_shares_reaches_its_operations() {
    let contract = json!({
        "swagger": "2.0",
        "consumes": ["application/xml"],
        "parameters": {
            "page": { "name": "page", "in": "query", "type": "integer" },
            "thing": {
                "name": "thing", "in": "body", "required": true, "schema": { "type": "object" },
            },
            "token": { "name": "token", "in": "formData", "type": "string" },
        },
        "paths": {
            "/a": {
                "parameters": [{ "$ref": "#/parameters/page" }, { "$ref": "#/parameters/thing" }],
                "put": {},
                "post": { "parameters": [{ "$ref": "#/parameters/token" }] },
                "patch": { "parameters": [
                    { "name": "b", "in": "body", "schema": { "type": "string" } },
                ] },
            },
        },
    });
    let converted = document(&contract.to_string());
    let item = &converted["paths"]["/a"];
    assert_eq!(item["parameters"], json!([{ "$ref": "#/components/parameters/page" }]));
    assert_eq!(item["put"]["requestBody"], json!({ "$ref": "#/components/requestBodies/thing" }));
    let form = &item["post"]["requestBody"]["content"]["application/x-www-form-urlencoded"];
    assert_eq!(form["schema"]["properties"], json!({ "token": { "type": "string" } }));
    let own = &item["patch"]["requestBody"]["content"]["application/xml"]["schema"];
    assert_eq!(*own, json!({ "type": "string" }));
    let components = &converted["components"];
    assert_eq!(components["requestBodies"]["thing"]["required"], true);
    assert!(components["requestBodies"]["thing"]["content"]["application/xml"].is_object());
    assert!(components["parameters"].get("token").is_none());
}

#[test]
fn names_that_3_0_does_not_allow_are_replaced_everywhere() {
    let contract = json!({
        "swagger": "2.0",
        "paths": { "/a": { "get": { "responses": { "200": {
            "schema": { "$ref": "#/definitions/Page%C2%ABOrder%C2%BB" },
        } } } } },
        "definitions": {
            "Page«Order»": { "discriminator": "kind", "x-nullable": true },
            "Page_Order": {},
            "Page Order": { "allOf": [{ "$ref": "#/definitions/Page«Order»" }] },
        },
    });
    let converted = document(&contract.to_string());
    let schemas = converted["components"]["schemas"].as_object().unwrap();
    let names: Vec<&String> = schemas.keys().collect();
    assert_eq!(names, ["Page_Order_2", "Page_Order", "Page_Order_3"]);
    let media = &converted["paths"]["/a"]["get"]["responses"]["200"]["content"]["application/json"];
    assert_eq!(media["schema"]["$ref"], "#/components/schemas/Page_Order_2");
    assert_eq!(schemas["Page_Order_3"]["allOf"][0]["$ref"], "#/components/schemas/Page_Order_2");
    let first = &schemas["Page_Order_2"];
    assert_eq!(first["discriminator"]["propertyName"], "kind");
    assert_eq!(
        first["discriminator"]["mapping"]["Page«Order»"],
        "#/components/schemas/Page_Order_2"
    );
    assert_eq!((&first["nullable"], first.get("x-nullable")), (&json!(true), None));
}

#[test]
fn references_into_paths_follow_what_moved() {
    let with = |reference: &str| {
        let contract = json!({
            "swagger": "2.0",
            "paths": {
                "/a": { "post": {
                    "consumes": ["application/xml"],
                    "produces": ["text/csv"],
                    "parameters": [{
                        "name": "b", "in": "body", "schema": { "items": { "type": "string" } },
                    }],
                    "responses": { "200": { "schema": { "type": "array" } } },
                } },
                "/b": { "get": { "responses": { "200": { "schema": { "$ref": reference } } } } },
            },
        });
        parse_document(contract.to_string().as_bytes()).map(|document| {
            document.value()["paths"]["/b"]["get"]["responses"]["200"]["content"]
                ["application/json"]["schema"]["$ref"]
                .clone()
        })
    };
    assert_eq!(
        with("#/paths/~1a/post/responses/200/schema").unwrap(),
        "#/paths/~1a/post/responses/200/content/text~1csv/schema"
    );
    assert_eq!(
        with("#/paths/~1a/post/parameters/0/schema/items").unwrap(),
        "#/paths/~1a/post/requestBody/content/application~1xml/schema/items"
    );
    let said = with("#/paths/~1a/post/produces").unwrap_err()[0].to_string();
    assert!(said.contains("has no place in the converted document"), "{said}");
}

#[test]
fn security_schemes_and_examples() {
    let contract = json!({
        "swagger": "2.0",
        "securityDefinitions": {
            "o": {
                "type": "oauth2", "flow": "accessCode", "authorizationUrl": "https://a/x",
                "tokenUrl": "https://a/t", "scopes": { "r": "Read" },
            },
            "c": { "type": "oauth2", "flow": "application", "tokenUrl": "https://a/t" },
            "k": { "type": "apiKey", "in": "header", "name": "X-Key" },
        },
        "security": [{ "o": ["r"] }],
        "paths": {},
    });
    let converted = document(&contract.to_string());
    assert_eq!(
        converted["components"]["securitySchemes"],
        json!({
            "o": { "type": "oauth2", "flows": { "authorizationCode": {
                "authorizationUrl": "https://a/x", "tokenUrl": "https://a/t",
                "scopes": { "r": "Read" },
            } } },
            "c": { "type": "oauth2", "flows": { "clientCredentials": {
                "tokenUrl": "https://a/t", "scopes": {},
            } } },
            "k": { "type": "apiKey", "in": "header", "name": "X-Key" },
        })
    );
    assert_eq!(converted["security"], json!([{ "o": ["r"] }]));

    let answer = json!({ "responses": { "200": {
        "schema": { "type": "file" },
        "examples": { "application/json": { "$ref": "data" }, "text/plain": "x" },
    } } });
    let converted = operation(&answer, &json!({ "produces": ["application/json"] }));
    assert_eq!(
        converted["responses"]["200"],
        json!({ "description": "", "content": {
        "application/json": {
            "schema": { "type": "string", "format": "binary" }, "example": { "$ref": "data" },
        },
        "text/plain": { "example": "x" },
    } })
    );
}
