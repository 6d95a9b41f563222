//! What the router answers, case by case.

use http::{HeaderMap, HeaderValue, Method};
use plimsoll_snapshot::{ApiVersion, OperationRoute, Routes, Security, ServiceRoutes};

use super::{Kinds, Match, PassthroughOptions, Router, RouterFault, RouterOptions};

fn service(name: &str, version: Option<ApiVersion>, operations: &[&str]) -> ServiceRoutes {
    let operations = operations
        .iter()
        .map(|text| {
            let (method, template) = text.split_once(' ').unwrap();
            OperationRoute {
                body_bytes_max: Some(7),
                total_timeout_ms: Some(1_500),
                ..OperationRoute::new((*text).to_owned(), method.to_owned(), template.to_owned())
            }
        })
        .collect::<Vec<_>>();
    let has_contract = !operations.is_empty();
    ServiceRoutes { service: name.into(), version, has_contract, operations, document: None }
}

fn router(services: Vec<ServiceRoutes>, pass: &[&str]) -> Router {
    let options = RouterOptions {
        pass_unknown: pass.iter().map(|name| (*name).to_owned()).collect(),
        passthrough: Vec::new(),
    };
    Router::build(&Routes::new(services), &options).unwrap()
}

/// The answer in short: an operation's id, or what else it was.
fn ask(router: &Router, request: &str, headers: &[(&'static str, &'static str)]) -> String {
    let (method, path) = request.split_once(' ').unwrap();
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(*name, HeaderValue::from_static(value));
    }
    let named = |service: u16| router.service(service).unwrap().name.to_string();
    match router.find(&Method::from_bytes(method.as_bytes()).unwrap(), path, &map) {
        Match::Operation(found) => format!("{}: {}", found.service_name, found.id),
        Match::Passthrough(found) => format!("{}: {}", found.service_name, found.id),
        Match::Options { service } => format!("options to {}", named(service)),
        Match::Unknown { service } => format!("unknown to {}", named(service)),
        Match::NotFound => "404".to_owned(),
        Match::MethodNotAllowed { allow } => format!("405 {allow}"),
    }
}

#[test]
fn literal_before_template_with_backtracking_and_the_method_counts() {
    let shop = ["GET /users/me", "GET /users/{id}", "DELETE /users/{id}", "GET /{a}/me/{b}"];
    let router = router(vec![service("shop", None, &shop)], &[]);
    for (request, expected) in [
        ("GET /users/me", "shop: GET /users/me"),
        ("GET /users/%6De", "shop: GET /users/me"),
        ("GET /users/7", "shop: GET /users/{id}"),
        ("DELETE /users/me", "shop: DELETE /users/{id}"),
        ("GET /users/me/photo", "shop: GET /{a}/me/{b}"),
        ("HEAD /users/7", "shop: GET /users/{id}"),
        ("POST /users/me", "405 GET, HEAD, DELETE, OPTIONS"),
        ("PURGE /users/7", "405 GET, HEAD, DELETE, OPTIONS"),
        ("OPTIONS /users/7", "options to shop"),
        ("GET /users/", "404"),
        ("GET /users/7/", "404"),
        ("GET //users/7", "404"),
        ("GET /Users/7", "404"),
        ("GET /users%2F7", "404"),
        ("GET /users/a%2Fb", "shop: GET /users/{id}"),
        ("OPTIONS /nowhere", "404"),
        ("OPTIONS *", "404"),
    ] {
        assert_eq!(ask(&router, request, &[]), expected, "{request}");
    }
}

#[test]
fn a_declared_options_is_an_operation() {
    let router = router(vec![service("shop", None, &["OPTIONS /a", "GET /a", "POST /b"])], &[]);
    assert_eq!(ask(&router, "OPTIONS /a", &[]), "shop: OPTIONS /a");
    assert_eq!(ask(&router, "OPTIONS /b", &[]), "options to shop");
}

#[test]
fn the_root_of_a_base_path_has_a_slash() {
    let router = router(vec![service("kinto", None, &["GET /v1/"])], &["kinto"]);
    assert_eq!(ask(&router, "GET /v1/", &[]), "kinto: GET /v1/");
    assert_eq!(ask(&router, "GET /v1", &[]), "unknown to kinto");
}

#[test]
fn unknown_paths_go_to_the_service_that_passes_them() {
    let services = || vec![service("shop", None, &["GET /orders"]), service("legacy", None, &[])];
    let refusing = router(services(), &[]);
    assert_eq!(ask(&refusing, "GET /old", &[]), "404");
    assert_eq!(ask(&refusing, "POST /orders", &[]), "405 GET, HEAD, OPTIONS");

    let legacy = router(services(), &["legacy"]);
    assert_eq!(ask(&legacy, "GET /old", &[]), "unknown to legacy");
    assert_eq!(ask(&legacy, "OPTIONS /old", &[]), "options to legacy");
    assert_eq!(ask(&legacy, "POST /orders", &[]), "405 GET, HEAD, OPTIONS", "shop owns it");

    let both = router(services(), &["shop", "legacy"]);
    assert_eq!(ask(&both, "POST /orders", &[]), "unknown to shop");
    assert_eq!(ask(&both, "PURGE /orders", &[]), "unknown to shop");
    assert_eq!(ask(&both, "GET /old", &[]), "unknown to shop");
}

#[test]
fn a_version_prefix_owns_what_is_below_it() {
    let v2 = Some(ApiVersion::Prefix("/v2".into()));
    let v2_beta = Some(ApiVersion::Prefix("/v2/beta/".into()));
    let services = vec![
        service("legacy", None, &[]),
        service("two", v2, &["GET /v2/orders"]),
        service("beta", v2_beta, &["GET /v2/beta/orders"]),
    ];
    let router = router(services, &["legacy", "beta"]);
    for (request, expected) in [
        ("GET /v2/orders", "two: GET /v2/orders"),
        ("GET /v2/nowhere", "404"),
        ("GET /v2", "404"),
        ("GET /%762/nowhere", "404"),
        ("GET /v20", "unknown to legacy"),
        ("GET /v2/beta/orders", "beta: GET /v2/beta/orders"),
        ("GET /v2/beta/nowhere", "unknown to beta"),
        ("GET /nowhere", "unknown to legacy"),
    ] {
        assert_eq!(ask(&router, request, &[]), expected, "{request}");
    }
}

#[test]
fn a_version_header_chooses_between_the_same_paths() {
    let header =
        |value: &str| Some(ApiVersion::Header { name: "api-version".into(), value: value.into() });
    let services = vec![
        service("one", None, &["GET /orders", "GET /old"]),
        service("two", header("2"), &["GET /orders", "POST /carts"]),
        service("three", header("3"), &["GET /orders"]),
    ];
    let router = router(services, &["three"]);
    let (two, three) = ([("api-version", "2")], [("api-version", "3")]);
    for (request, headers, expected) in [
        ("GET /orders", &[][..], "one: GET /orders"),
        ("GET /orders", &two, "two: GET /orders"),
        ("GET /orders", &three, "three: GET /orders"),
        ("GET /orders", &[("api-version", "4")], "one: GET /orders"),
        ("GET /orders", &[("api-version", "2"), ("api-version", "2")], "two: GET /orders"),
        ("GET /orders", &[("api-version", "2"), ("api-version", "3")], "one: GET /orders"),
        ("GET /old", &two, "one: GET /old"),
        ("POST /carts", &two, "two: POST /carts"),
        ("POST /carts", &[], "404"),
        ("PUT /carts", &two, "405 POST, OPTIONS"),
        ("GET /carts", &three, "unknown to three"),
        ("POST /orders", &three, "unknown to three"),
    ] {
        assert_eq!(ask(&router, request, headers), expected, "{request} {headers:?}");
    }
}

fn with_passthrough() -> Router {
    let passthrough = |prefix: &str, kinds| PassthroughOptions {
        prefix: prefix.into(),
        service: "shop".into(),
        kinds,
        security: Security::any_token(),
    };
    let options = RouterOptions {
        pass_unknown: Vec::new(),
        passthrough: vec![
            passthrough("/", Kinds { grpc: true, ..Kinds::default() }),
            passthrough("/ws", Kinds { websocket: true, sse: true, ..Kinds::default() }),
        ],
    };
    let shop = service("shop", None, &["GET /ws/rooms", "GET /orders"]);
    Router::build(&Routes::new(vec![shop]), &options).unwrap()
}

#[test]
fn an_operation_wins_over_a_passthrough_whatever_the_request_announces() {
    let router = with_passthrough();
    let upgrade = [("upgrade", "WebSocket")];
    let grpc = [("content-type", "application/grpc+proto")];
    let sse = [("accept", "text/html, text/event-stream")];
    for (request, headers, expected) in [
        ("GET /ws/rooms", &[][..], "shop: GET /ws/rooms"),
        ("GET /ws/rooms", &upgrade, "shop: GET /ws/rooms"),
        ("GET /ws/rooms", &sse, "shop: GET /ws/rooms"),
        ("HEAD /ws/rooms", &sse, "shop: GET /ws/rooms"),
        ("GET /ws/other", &[], "shop: /ws/*"),
        ("GET /ws/other", &grpc, "shop: /ws/*"),
        ("GET /ws", &upgrade, "shop: /ws/*"),
        ("GET /orders", &upgrade, "shop: GET /orders"),
        ("GET /orders", &grpc, "shop: GET /orders"),
        ("GET /%6Frders", &grpc, "shop: GET /orders"),
        ("POST /orders", &grpc, "shop: /*"),
        ("POST /wsx", &[], "shop: /*"),
        ("OPTIONS /ws/other", &upgrade, "options to shop"),
    ] {
        assert_eq!(ask(&router, request, headers), expected, "{request} {headers:?}");
    }
    assert_eq!(&*router.passthroughs()[0].prefix, "/ws", "the longest prefix first");
    assert_eq!(router.passthroughs()[1].index, 1);
    assert!(router.kinds_at("/ws/rooms", 0).websocket && !router.kinds_at("/ws/rooms", 0).grpc);
    assert!(router.kinds_at("/orders", 0).grpc);
    assert_eq!(router.kinds_at("/orders", 1), Kinds::default(), "another service's passthrough");
    let said: Vec<String> = router.overlaps().iter().map(super::Overlap::said).collect();
    assert_eq!(
        said,
        [
            "`GET /ws/rooms` below the passthrough /ws/*",
            "`GET /ws/rooms`, `GET /orders` below the passthrough /*",
        ]
    );
}

#[test]
fn operations_carry_what_the_stack_needs() {
    let services = vec![service("a", None, &["GET /a"]), service("b", None, &["POST /b/{id}"])];
    let router = router(services, &[]);
    let last = &router.operations()[1];
    assert_eq!((last.index, last.service, &*last.service_name), (1, 1, "b"));
    assert_eq!((&last.method, &*last.template), (&Method::POST, "/b/{id}"));
    assert_eq!(last.body_bytes_max, Some(7));
    assert_eq!(last.total_timeout, Some(std::time::Duration::from_millis(1_500)));
    assert_eq!(&**router.services()[0].names.name("GET", "/x/17"), "GET /x/{}");
}

#[test]
fn a_table_that_cannot_be_routed_is_refused() {
    let build = |services: Vec<ServiceRoutes>| {
        Router::build(&Routes::new(services), &RouterOptions::default()).unwrap_err().to_string()
    };
    let said =
        build(vec![service("a", None, &["GET /x/{id}"]), service("b", None, &["GET /x/{name}"])]);
    assert!(said.contains("`b`") && said.contains("`a`") && said.contains("/x/{name}"), "{said}");
    let said = build(vec![service("a", None, &["GET /x/{id"])]);
    assert!(said.contains("/x/{id") && said.contains("braces"), "{said}");
    let said = build(vec![service("a", None, &["get /x"])]);
    assert!(said.contains("`get` is not a method"), "{said}");
    let bad = Some(ApiVersion::Header { name: "a b".into(), value: "1".into() });
    assert!(build(vec![service("a", bad, &[])]).contains("`a b` is not a header name"));

    let newer = Routes { format: 9, services: Vec::new() };
    let fault = Router::build(&newer, &RouterOptions::default()).unwrap_err();
    assert!(matches!(fault, RouterFault::Format(_)), "{fault}");
    let lost = PassthroughOptions {
        prefix: "/ws".into(),
        service: "gone".into(),
        kinds: Kinds::default(),
        security: Security::Public,
    };
    let options = RouterOptions { passthrough: vec![lost], ..RouterOptions::default() };
    let fault = Router::build(&Routes::new(Vec::new()), &options).unwrap_err();
    assert!(fault.to_string().contains("`gone`"), "{fault}");
}
