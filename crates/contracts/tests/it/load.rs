//! From a manifest and its contracts to the route table.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use plimsoll_contracts::{Fault, Source, load, merged_document, read_contract};
use plimsoll_manifest::Manifest;
use plimsoll_snapshot::{ApiVersion, Routes, Security};

const MANIFEST: &str = "conf/plimsoll.toml";

/// Loads a manifest whose files are these texts.
fn loaded(manifest: &str, files: &[(&str, &str)]) -> Result<Routes, Vec<Fault>> {
    let parsed: Manifest = plimsoll_manifest::parse(manifest, Path::new(MANIFEST)).unwrap();
    let mut files: HashMap<&str, &str> = files.iter().copied().collect();
    files.insert(MANIFEST, manifest);
    let source =
        Source { manifest: &parsed, file: Some(Path::new(MANIFEST)), base_dir: Path::new("conf") };
    load(source, &|path| {
        let text = path.to_str().and_then(|path| files.get(path));
        text.map(|text| text.as_bytes().to_vec()).ok_or(io::ErrorKind::NotFound.into())
    })
}

fn said(manifest: &str, files: &[(&str, &str)]) -> Vec<String> {
    let faults = loaded(manifest, files).expect_err("it should be refused");
    faults.iter().map(ToString::to_string).collect()
}

const SHOP: &str = r#"
[[service]]
name = "shop"
contract = "shop.yaml"
urls = ["http://127.0.0.1:3000"]
"#;

const SHOP_YAML: &str = r#"
openapi: 3.1.0
info: {title: Shop, version: 1.0.0}
servers: [{url: https://api.shop.example/v1}]
security: [{id: [shop]}]
paths:
  /orders:
    get: {operationId: listOrders, summary: All orders}
    post: {operationId: createOrder, security: [{id: [orders:write]}], x-cost: 5}
  /orders/{id}:
    get: {}
  /status:
    get: {operationId: status, security: []}
components:
  securitySchemes:
    id: {type: openIdConnect, openIdConnectUrl: https://id.example}
"#;

#[test]
fn a_contract_becomes_routes_and_a_document() {
    let routes = loaded(SHOP, &[("conf/shop.yaml", SHOP_YAML)]).unwrap();
    let shop = &routes.services[0];
    assert!(shop.has_contract && shop.version.is_none());
    let rows: Vec<_> = shop
        .operations
        .iter()
        .map(|o| (o.id.as_str(), o.method.as_str(), o.template.as_str(), o.cost))
        .collect();
    assert_eq!(
        rows,
        [
            ("listOrders", "GET", "/v1/orders", 1),
            ("createOrder", "POST", "/v1/orders", 5),
            ("get_orders_id", "GET", "/v1/orders/{id}", 1),
            ("status", "GET", "/v1/status", 1),
        ]
    );
    let scopes = |all: &[&str]| Security::Token {
        any_of: vec![all.iter().map(|scope| (*scope).to_owned()).collect()],
        optional: false,
        pass_through: false,
    };
    let security: Vec<_> = shop.operations.iter().map(|o| o.security.clone()).collect();
    assert_eq!(
        security,
        [scopes(&["shop"]), scopes(&["orders:write"]), scopes(&["shop"]), Security::Public]
    );
    let document = shop.document.as_ref().unwrap();
    assert_eq!(document["servers"], serde_json::json!([{ "url": "/v1" }]), "no backend's address");
    assert_eq!(document["paths"]["/orders/{id}"]["get"]["operationId"], "get_orders_id");
    assert_eq!(document["paths"]["/orders"]["post"]["x-cost"], 5);
    assert_eq!(Routes::from_json(&routes.to_json().unwrap()).unwrap(), routes);
}

#[test]
fn a_service_without_a_contract_has_no_operations() {
    let manifest = "[[service]]\nname = \"old\"\nurls = [\"http://127.0.0.1:3000\"]\n";
    let routes = loaded(manifest, &[]).unwrap();
    let old = &routes.services[0];
    assert!(!old.has_contract && old.operations.is_empty() && old.document.is_none());
    assert_eq!(merged_document(&routes), None);
}

#[test]
fn a_version_prefix_stands_before_paths_that_do_not_have_it() {
    let manifest = format!("{SHOP}[service.version]\nprefix = \"/v2\"\n");
    let with = |url: &str| {
        let text = format!(
            "openapi: 3.0.0\nservers: [{{url: {url}}}]\n\
             paths: {{/a: {{get: {{}}}}, /b: {{get: {{}}}}}}"
        );
        let routes = loaded(&manifest, &[("conf/shop.yaml", &text)]).unwrap();
        let shop = &routes.services[0];
        assert_eq!(shop.version, Some(ApiVersion::Prefix("/v2".into())));
        let server = shop.document.as_ref().unwrap()["servers"][0]["url"].as_str().unwrap();
        (shop.operations[0].template.clone(), server.to_owned())
    };
    assert_eq!(with("/"), ("/v2/a".into(), "/v2".into()));
    assert_eq!(with("/api"), ("/v2/api/a".into(), "/v2/api".into()));
    assert_eq!(with("/v2"), ("/v2/a".into(), "/v2".into()));
    assert_eq!(with("/v20"), ("/v2/v20/a".into(), "/v2/v20".into()));
}

#[test]
fn two_versions_by_header_may_have_the_same_paths_and_others_not() {
    let service = |name: &str, version: &str| {
        format!(
            "[[service]]\nname = \"{name}\"\ncontract = \"{name}.yaml\"\n\
             urls = [\"http://127.0.0.1:3000\"]\n{version}"
        )
    };
    let header = "[service.version]\nheader = \"Api-Version\"\nvalue = \"2\"\n";
    let files = [
        ("conf/one.yaml", "openapi: 3.0.0\npaths:\n  /a/{x}:\n    get: {operationId: first}"),
        ("conf/two.yaml", "openapi: 3.0.0\npaths:\n  /a/{y}:\n    get: {operationId: second}"),
    ];
    let apart = service("one", "") + &service("two", header);
    let routes = loaded(&apart, &files).unwrap();
    let version = ApiVersion::Header { name: "api-version".into(), value: "2".into() };
    assert_eq!(routes.services[1].version, Some(version));
    let merged = merged_document(&routes).unwrap();
    assert_eq!(merged["paths"].as_object().unwrap().len(), 2);

    let said = said(&(service("one", "") + &service("two", "")), &files);
    assert_eq!(said.len(), 1, "{said:?}");
    let start =
        "conf/two.yaml:4:5: #/paths/~1a~1{y}/get: GET /a/{y} is an operation of service `one`";
    assert!(said[0].starts_with(start) && said[0].contains("(first)"), "{said:?}");
}

#[test]
fn faults_have_file_and_line() {
    let text = "openapi: 3.0.0\npaths:\n  /a:\n    get:\n      responses:\n        \
                200: {$ref: 'other.yaml#/x'}\n  /b:\n    get: {operationId: x}\n    \
                put: {operationId: x}\n";
    let said = said(SHOP, &[("conf/shop.yaml", text)]);
    let start =
        "conf/shop.yaml:6:15: #/paths/~1a/get/responses/200/$ref: `other.yaml#/x` leads out";
    assert!(said[0].starts_with(start), "{said:?}");

    let text = text.replace("{$ref: 'other.yaml#/x'}", "{}");
    let said = self::said(SHOP, &[("conf/shop.yaml", &text)]);
    let start = "conf/shop.yaml:9:11: #/paths/~1b/put/operationId: `x` is the `operationId` of";
    assert!(said[0].starts_with(start), "{said:?}");

    let said = self::said(SHOP, &[("conf/shop.yaml", "{\"openapi\": \"3.0.0\",\n \"paths\": {]}")]);
    assert!(said[0].starts_with("conf/shop.yaml:2:12: #: "), "{said:?}");
    let said = self::said(SHOP, &[]);
    assert!(
        said[0].starts_with("conf/shop.yaml: the contract of service `shop` cannot"),
        "{said:?}"
    );
}

#[test]
fn the_faults_of_every_contract_are_reported_at_once() {
    let manifest = format!("{SHOP}{}", SHOP.replace("shop", "feed"));
    let said = said(&manifest, &[("conf/shop.yaml", "swagger: '1.0'"), ("conf/feed.yaml", "[")]);
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].starts_with("conf/shop.yaml:1:1: #/swagger: version `1.0` is not"), "{said:?}");
    assert!(said[1].starts_with("conf/feed.yaml:1:"), "{said:?}");
}

#[test]
fn the_manifests_word_is_applied_on_top() {
    let manifest = format!(
        r#"{SHOP}
[[operation]]
id = "createOrder"
cost = 9
body_bytes_max = "1MiB"
total_timeout = "5s"
scopes = ["b", "a"]

[[operation]]
id = "listOrders"
security = "public"

[[operation]]
method = "GET"
path = "/v1/orders/{{anything}}"
id = "getOrder"
security = "pass"

[[operation]]
id = "status"
security = "token"

[[auth.issuer]]
issuer = "https://id.example"
audience = ["shop"]
"#
    );
    let routes = loaded(&manifest, &[("conf/shop.yaml", SHOP_YAML)]).unwrap();
    let operation = |id: &str| {
        routes.services[0].operations.iter().find(|operation| operation.id == id).unwrap()
    };
    let create = operation("createOrder");
    assert_eq!((create.cost, create.body_bytes_max), (9, Some(1 << 20)));
    assert_eq!(create.total_timeout_ms, Some(5_000));
    let any_of = vec![vec!["a".to_owned(), "b".to_owned()]];
    let asked = Security::Token { any_of, optional: false, pass_through: false };
    assert_eq!(create.security, asked);
    assert_eq!(operation("listOrders").security, Security::Public);
    assert_eq!(operation("getOrder").security, Security::PassThrough);
    assert_eq!(operation("status").security, Security::any_token());
    let document = routes.services[0].document.as_ref().unwrap();
    assert_eq!(document["paths"]["/orders/{id}"]["get"]["operationId"], "getOrder");
}

#[test]
fn a_policy_for_nothing_is_a_fault_with_a_suggestion() {
    let with = |policy: &str| {
        said(&format!("{SHOP}\n{policy}"), &[("conf/shop.yaml", SHOP_YAML)]).remove(0)
    };
    let fault = with("[[operation]]\ncost = 1\nid = \"creatOrder\"\n");
    let start = "conf/plimsoll.toml:9:1: operation[0].id: no operation is called `creatOrder`";
    assert!(fault.starts_with(start), "{fault}");
    assert!(fault.ends_with("did you mean `createOrder`?"), "{fault}");
    let fault = with("[[operation]]\nmethod = \"GET\"\npath = \"/v1/order\"\ncost = 1\n");
    assert!(fault.contains("operation[0].path: no contract has GET /v1/order;"), "{fault}");
    assert!(fault.ends_with("did you mean `GET /v1/orders`?"), "{fault}");
    let fault =
        with("[[operation]]\nmethod = \"GET\"\npath = \"/v1/orders/{x}\"\nid = \"status\"\n");
    assert!(fault.contains("`status` is what GET /v1/status is called already"), "{fault}");
    let find_out =
        |id: &str| with(&format!("[[operation]]\nid = \"createOrder\"\nfind_out = \"{id}\"\n"));
    let fault = find_out("createOrder");
    let start = "conf/plimsoll.toml:9:1: operation[0].find_out: `createOrder` cannot find out";
    assert!(fault.starts_with(start), "{fault}");
    let sound = "[[operation]]\nid = \"createOrder\"\nfind_out = \"listOrders\"\n";
    let manifest = format!("{SHOP}\n{sound}");
    let routes = loaded(&manifest, &[("conf/shop.yaml", SHOP_YAML)]).unwrap();
    let create = routes.services[0].operations.iter().find(|o| o.id == "createOrder").unwrap();
    assert_eq!(create.idempotency.find_out.as_deref(), Some("listOrders"));
    let limit = "[[limit]]\nname = \"l\"\nper = \"ip\"\nquota = 1\nwindow = \"1s\"\n\
                 operations = [\"status\", \"listOrder\"]\n";
    let fault = with(limit);
    let start =
        "conf/plimsoll.toml:12:1: limit[0].operations[1]: no operation is called `listOrder`";
    assert!(fault.starts_with(start) && fault.ends_with("`listOrders`?"), "{fault}");
}

#[test]
fn what_cannot_stand_in_for_an_operation_is_a_fault() {
    let archive = "[[service]]\nname = \"archive\"\nurls = [\"http://127.0.0.1:9\"]\n\
                   [[operation]]\nmethod = \"GET\"\npath = \"/archive/{id}\"\nid = \"oldOrder\"\n\
                   service = \"archive\"\n[[operation]]\nmethod = \"GET\"\n\
                   path = \"/archive/by-name/{name}\"\nid = \"namedOrder\"\n\
                   service = \"archive\"\n";
    let manifest =
        |id: &str, keys: &str| format!("{SHOP}\n[[operation]]\nid = \"{id}\"\n{keys}\n{archive}");
    let yaml = SHOP_YAML.replace("get: {}", "get: {operationId: getOrder}");
    let files: &[(&str, &str)] = &[("conf/shop.yaml", &yaml)];
    let sound =
        manifest("getOrder", "fallback_service = \"archive\"\nfallback_operation = \"oldOrder\"");
    let routes = loaded(&sound, files).unwrap();
    let get = routes.services[0].operations.iter().find(|o| o.id == "getOrder").unwrap();
    let named = get.fallback_operation.as_ref().unwrap();
    assert_eq!((&*named.service, &*named.id), ("archive", "oldOrder"));
    let own = manifest("getOrder", "fallback_operation = \"listOrders\"");
    let routes = loaded(&own, files).unwrap();
    let get = routes.services[0].operations.iter().find(|o| o.id == "getOrder").unwrap();
    assert_eq!(get.fallback_operation.as_ref().unwrap().id, "listOrders");
    for (id, keys, message) in [
        ("getOrder", "fallback_operation = \"listOrder\"", "no operation of `shop` is called"),
        ("getOrder", "fallback_operation = \"oldOrder\"", "no operation of `shop` is called"),
        ("getOrder", "fallback_operation = \"createOrder\"", "`createOrder` is a POST"),
        ("getOrder", "fallback_operation = \"getOrder\"", "cannot stand in for itself"),
        ("createOrder", "fallback_operation = \"listOrders\"", "only what reads can be answered"),
        ("listOrders", "fallback_operation = \"getOrder\"", "`{id}` of /v1/orders/{id} cannot be"),
        ("getOrder", "fallback_service = \"archive\"", "it names a service and no operation"),
        (
            "getOrder",
            "fallback_service = \"archiv\"\nfallback_operation = \"oldOrder\"",
            "no service is called `archiv`",
        ),
        (
            "getOrder",
            "fallback_service = \"archive\"\nfallback_operation = \"namedOrder\"",
            "`{name}` of /archive/by-name/{name} cannot be filled",
        ),
        (
            "getOrder",
            "fallback_operation = \"status\"\n[[operation]]\nid = \"status\"\n\
             fallback_operation = \"listOrders\"",
            "`status` has a fallback operation of its own",
        ),
        (
            "getOrder",
            "fallback_operation = \"status\"\n[[operation]]\nid = \"status\"\naudit = true",
            "`status` is audited",
        ),
    ] {
        let fault = said(&manifest(id, keys), files).remove(0);
        let key =
            if keys.starts_with("fallback_service = \"archiv\"") || !keys.contains("_operation") {
                "conf/plimsoll.toml:9:1: operation[0].fallback_service: "
            } else {
                "operation[0].fallback_operation: "
            };
        assert!(fault.contains(key) && fault.contains(message), "{id} {keys}: {fault}");
    }
    let misspelt =
        said(&manifest("getOrder", "fallback_operation = \"listOrder\""), files).remove(0);
    assert!(misspelt.ends_with("did you mean `listOrders`?"), "{misspelt}");
}

#[test]
fn without_a_contract_a_policy_makes_its_operation() {
    let manifest = r#"
[[service]]
name = "old"
urls = ["http://127.0.0.1:3000"]

[[operation]]
method = "POST"
path = "/orders/{id}/pay"
cost = 4

[[operation]]
method = "GET"
path = "/"
id = "home"
security = "public"
"#;
    let routes = loaded(manifest, &[]).unwrap();
    let rows: Vec<_> = routes.services[0]
        .operations
        .iter()
        .map(|o| (o.id.as_str(), o.method.as_str(), o.template.as_str(), o.cost))
        .collect();
    assert_eq!(
        rows,
        [("post_orders_id_pay", "POST", "/orders/{id}/pay", 4), ("home", "GET", "/", 1)]
    );
}

#[test]
fn a_policy_that_fits_several_services_must_say_which() {
    let manifest =
        format!("{SHOP}{}[[operation]]\nid = \"status\"\ncost = 2\n", SHOP.replace("shop", "feed"));
    let files = [
        ("conf/shop.yaml", SHOP_YAML),
        ("conf/feed.yaml", "openapi: 3.0.0\npaths:\n  /s:\n    get: {operationId: status}"),
    ];
    let said = said(&manifest, &files);
    let expected =
        "`status` could be one of several services; expected `service`: `shop` or `feed`";
    assert!(said[0].contains(expected), "{said:?}");
    let told = loaded(&format!("{manifest}service = \"feed\"\n"), &files).unwrap();
    assert_eq!(told.services[0].operations[3].cost, 1);
    assert_eq!(told.services[1].operations[0].cost, 2);
}

#[test]
fn a_declared_operation_that_a_contract_has_elsewhere_is_a_fault() {
    let manifest = format!(
        "{SHOP}[[service]]\nname = \"old\"\nurls = [\"http://127.0.0.1:3001\"]\n\
         [[operation]]\nservice = \"old\"\nmethod = \"GET\"\npath = \"/v1/status\"\ncost = 2\n"
    );
    let said = said(&manifest, &[("conf/shop.yaml", SHOP_YAML)]);
    assert_eq!(said.len(), 1, "{said:?}");
    let start = "conf/plimsoll.toml:12:1: operation[0].path: GET /v1/status is an operation of";
    assert!(said[0].starts_with(start), "{said:?}");
}

#[test]
fn a_file_is_read_no_further_than_its_bound() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("big.json");
    std::fs::write(&path, vec![b' '; (16 << 20) + 1_000]).unwrap();
    assert_eq!(read_contract(&path).unwrap().len(), (16 << 20) + 1);
    assert!(read_contract(&directory.path().join("none.json")).is_err());
}
