//! The manifest that `plimsoll init` writes is one that loads.

use std::path::Path;

use plimsoll_contracts::{Document, Source, draft_manifest, load, parse_document};
use plimsoll_manifest::{Manifest, parse};

const CONTRACT: &str = r#"
openapi: 3.0.3
info: {title: "Corner Shop API", version: "1"}
servers: [{url: /v1}]
paths:
  /auth/login:
    post: {operationId: 'log"in\x', security: []}
  /orders/{id}/pay:
    post: {operationId: payOrder}
  /search:
    get: {}
  /orders:
    get: {operationId: listOrders}
"#;

fn document(text: &str) -> Document {
    parse_document(text.as_bytes()).unwrap()
}

fn sound(text: &str) -> Manifest {
    parse(text, Path::new("plimsoll.toml")).unwrap_or_else(|faults| {
        let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
        panic!("{}\n{text}", faults.join("\n"))
    })
}

/// The draft with every commented setting switched on: what the comments teach must be right too.
fn uncommented(text: &str) -> String {
    let setting = |line: &str| {
        let key = line.split([' ', '=']).next().unwrap_or_default();
        let is_key = key.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        line.starts_with('[') || (is_key && line.contains(" = "))
    };
    let lines = text.lines().map(|line| match line.strip_prefix("# ") {
        Some(inner) if setting(inner) => inner,
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_draft_shows_how_to_audit_and_where_traces_go() {
    let contract = document(CONTRACT);
    for contract in [None, Some((&contract, "api.yaml"))] {
        let text = draft_manifest(contract, "http://127.0.0.1:3000");
        assert!(text.contains("\n# audit = true"), "{text}");
        assert!(text.contains("\n# [telemetry.otlp]\n# endpoint = "), "{text}");
    }
}

#[test]
fn a_draft_says_what_the_contract_tells() {
    let text = draft_manifest(Some((&document(CONTRACT), "api.yaml")), "http://127.0.0.1:3000");
    let manifest = sound(&text);
    let service = &manifest.services[0];
    assert_eq!(service.name.as_str(), "corner-shop");
    assert_eq!(service.contract.as_deref(), Some(Path::new("api.yaml")));
    assert_eq!(service.active_release().unwrap().urls[0].port(), 3_000);
    let limits: Vec<&str> = manifest.limits.iter().map(|limit| limit.name.as_str()).collect();
    assert_eq!(limits, ["per-caller", "per-ip", "sign-in"]);
    assert_eq!(manifest.limits[2].operations, ["log\"in\\x"]);
    let policies: Vec<_> =
        manifest.operations.iter().map(|o| (o.id.as_deref().unwrap(), o.cost.unwrap())).collect();
    assert_eq!(policies, [("payOrder", 5), ("get_search", 10)]);
    assert!(text.contains("# 4 operations;") && text.contains("3 operations then ask for a token"));

    let source = Source { manifest: &manifest, file: None, base_dir: Path::new("") };
    let routes = load(source, &|_| Ok(CONTRACT.as_bytes().to_vec())).unwrap();
    let pay = &routes.services[0].operations[1];
    assert_eq!((pay.id.as_str(), pay.cost, pay.body_bytes_max), ("payOrder", 5, Some(65_536)));
}

#[test]
fn what_the_comments_teach_is_right() {
    let text = draft_manifest(Some((&document(CONTRACT), "api.yaml")), "http://127.0.0.1:3000");
    let manifest = sound(&uncommented(&text));
    assert_eq!(manifest.limits.len(), 4);
    assert_eq!((manifest.auth.issuers.len(), manifest.passthrough.len()), (1, 1));
    assert!(manifest.edge.tls.is_some());
    assert_eq!(manifest.operations[0].scopes.as_deref(), Some(&["payments:write".to_owned()][..]));
}

#[test]
fn a_draft_without_a_contract_is_sound_too() {
    let text = draft_manifest(None, "https://api.example.com");
    let manifest = sound(&text);
    assert_eq!(manifest.services[0].name.as_str(), "backend");
    assert_eq!(manifest.services[0].contract, None);
    assert!(manifest.operations.is_empty());
    assert_eq!(manifest.limits.len(), 2);
    assert_eq!(sound(&uncommented(&text)).operations.len(), 1);
}

#[test]
fn lines_are_as_wide_as_the_house_allows() {
    let text = draft_manifest(Some((&document(CONTRACT), "api.yaml")), "http://127.0.0.1:3000");
    for line in text.lines() {
        assert!(line.chars().count() <= 100, "{line}");
    }
}
