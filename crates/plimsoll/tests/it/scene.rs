//! What most tests start with: an origin, an issuer, and the binary in front of it.

use std::time::Duration;

use plimsoll_base::{Clock as _, Nanos, SystemClock};
use plimsoll_testkit::{
    Claims, Origin, Plimsoll, PlimsollOptions, RawClient, RawResponse, TestIssuer,
};
use serde_json::Value;

pub(crate) const ISSUER: &str = "https://issuer.test";
pub(crate) const AUDIENCE: &str = "shop";

/// A small shop: one public operation, one that needs a token, one that needs a scope.
pub(crate) const CONTRACT: &str = r#"{
  "openapi": "3.1.0",
  "info": { "title": "Shop", "version": "1" },
  "security": [{ "bearer": [] }],
  "paths": {
    "/feed": { "get": { "operationId": "listFeed", "security": [], "responses": { "200": { "description": "ok" } } } },
    "/profile": { "get": { "operationId": "getProfile", "responses": { "200": { "description": "ok" } } } },
    "/orders": { "post": { "operationId": "createOrder", "security": [{ "bearer": ["orders:write"] }], "responses": { "201": { "description": "ok" } } } },
    "/orders/{id}": { "get": { "operationId": "getOrder", "security": [], "responses": { "200": { "description": "ok" } } } },
    "/media": { "put": { "operationId": "putMedia", "security": [], "responses": { "200": { "description": "ok" } } } }
  },
  "components": { "securitySchemes": { "bearer": { "type": "http", "scheme": "bearer" } } }
}"#;

/// An origin and the edge in front of it.
pub(crate) struct Scene {
    pub(crate) origin: Origin,
    pub(crate) edge: Plimsoll,
    pub(crate) issuer: TestIssuer,
}

/// Time since it was made.
pub(crate) struct Stopwatch(SystemClock);

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self(SystemClock::new())
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.0.now().since(Nanos::default())
    }
}

/// The manifest of a scene with the shop's contract, and whatever a test adds.
pub(crate) fn shop_manifest(origin: &str, more: &str) -> String {
    format!(
        r#"
[edge]
cores = 2
[[service]]
name = "shop"
contract = "openapi.json"
urls = ["{origin}"]
[[auth.issuer]]
issuer = "{ISSUER}"
audience = ["{AUDIENCE}"]
jwks_file = "jwks.json"
{more}
"#
    )
}

/// The manifest of a scene without a contract: everything is passed on.
pub(crate) fn open_manifest(origin: &str, edge: &str, service: &str, more: &str) -> String {
    format!(
        "[edge]\ncores = 2\n{edge}\n[[service]]\nname = \"app\"\nurls = [\"{origin}\"]\n{service}\n{more}\n"
    )
}

impl Scene {
    /// The shop with a contract and an issuer.
    pub(crate) fn shop(more: &str) -> Self {
        Self::start(|origin| shop_manifest(origin, more))
    }

    /// The same for a test that counts exactly: nodes that share a limit may pass a little more.
    pub(crate) fn shop_on_one_node(more: &str) -> Self {
        Self::start_on_one_node(|origin| shop_manifest(origin, more))
    }

    /// A backend without a contract, behind one process that the test looks into.
    pub(crate) fn open_on_one_node(edge: &str, service: &str, more: &str) -> Self {
        Self::start_on_one_node(|origin| open_manifest(origin, edge, service, more))
    }

    /// A backend without a contract.
    pub(crate) fn open(edge: &str, service: &str, more: &str) -> Self {
        Self::start(|origin| open_manifest(origin, edge, service, more))
    }

    pub(crate) fn start(manifest: impl FnOnce(&str) -> String) -> Self {
        Self::start_with(false, manifest)
    }

    /// The same behind one process that the test looks into.
    pub(crate) fn start_on_one_node(manifest: impl FnOnce(&str) -> String) -> Self {
        Self::start_with(true, manifest)
    }

    fn start_with(one_node: bool, manifest: impl FnOnce(&str) -> String) -> Self {
        let origin = Origin::start().unwrap();
        let issuer = TestIssuer::new("key-1").unwrap();
        let edge = Plimsoll::start(&PlimsollOptions {
            manifest: Some(manifest(&origin.url())),
            files: vec![
                ("openapi.json".into(), CONTRACT.into()),
                ("jwks.json".into(), issuer.jwks().into_bytes()),
                ("buy.hurl".into(), "GET {{base}}/buy\nHTTP 200\n".into()),
            ],
            one_node,
            ..PlimsollOptions::default()
        })
        .unwrap();
        Self { origin, edge, issuer }
    }

    pub(crate) fn client(&self) -> RawClient {
        self.edge.client().unwrap()
    }

    /// One request on a connection of its own.
    pub(crate) fn ask(&self, method: &str, target: &str, fields: &[(&str, &str)]) -> RawResponse {
        self.client().request(method, target, fields, b"").unwrap()
    }

    /// `Bearer ...` for a good token with these scopes.
    pub(crate) fn bearer(&self, scopes: &str) -> String {
        self.bearer_of(&claims().scope(scopes))
    }

    pub(crate) fn bearer_of(&self, claims: &Claims) -> String {
        format!("Bearer {}", self.issuer.mint(claims).unwrap())
    }
}

pub(crate) fn claims() -> Claims {
    Claims::new(ISSUER, AUDIENCE, "alice")
}

/// The problem document of an answer, checked for what every one of them has (RFC 9457).
#[track_caller]
pub(crate) fn problem(response: &RawResponse, status: u16, code: &str) -> Value {
    let text = String::from_utf8_lossy(&response.body);
    assert_eq!(response.status, status, "{text}");
    assert_eq!(response.headers.get("content-type"), Some("application/problem+json"), "{text}");
    assert_eq!(response.headers.get("cache-control"), Some("no-store"));
    let document: Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!(document["status"], status);
    assert_eq!(document["code"], code, "{text}");
    assert_eq!(document["type"], format!("https://plimsoll.dev/errors/{code}"));
    for member in ["title", "detail"] {
        assert!(document[member].as_str().is_some_and(|t| !t.is_empty()), "{member}: {text}");
    }
    document
}
