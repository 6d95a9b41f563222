//! The `Routes` section: which operations exist, where, and what the edge asks before it forwards.

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cache::CacheRoute;
use crate::format::{SnapshotError, check_format, read};

/// Format number of [`Routes`] that this build writes, and the only one it reads.
///
/// It goes up when a reader of the old shape would act wrongly on the new one; a field that an old
/// reader may ignore does not raise it.
pub const ROUTES_FORMAT: u32 = 1;

const SECTION: &str = "routes";

/// Units of work that one call of an operation counts as, where a limit counts `cost`.
pub type Cost = u32;

/// Every operation of every service, as routed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Routes {
    /// Format of this section, see [`ROUTES_FORMAT`].
    pub format: u32,
    /// One entry for each service of the manifest, in the manifest's order: a service's position
    /// here is the index that the router hands out.
    pub services: Vec<ServiceRoutes>,
}

/// One service's part of the route table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceRoutes {
    /// The service's name in the manifest.
    pub service: String,
    /// How a request says that it means this version of the API; `None` = every request may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<ApiVersion>,
    /// Whether the manifest names a contract for the service. Without one, names are derived at
    /// run time ([`crate::nameless()`]) and `operations` holds only what the manifest declares by
    /// method and path.
    pub has_contract: bool,
    /// The operations, in the order of the contract.
    pub operations: Vec<OperationRoute>,
    /// The contract as OpenAPI 3.x (a Swagger 2.0 contract stands here converted), with `servers`
    /// replaced by the base path under which the edge serves it. `None` without a contract.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<Arc<Value>>,
}

/// How one version of an API is told from another.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApiVersion {
    /// A path prefix such as `/v2`, without a trailing slash. The templates of the service's
    /// operations already contain it.
    Prefix(String),
    /// A request header with exactly this value. A request without the header reaches only
    /// services that have no version.
    Header {
        /// Header name, lower case.
        name: String,
        /// The value, compared byte for byte.
        value: String,
    },
}

/// One operation: the thing that every policy and every figure hangs on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationRoute {
    /// `operationId`, or a stable generated name where the contract gives none. Unique inside its
    /// service.
    pub id: String,
    /// Method in upper case, e.g. `GET`.
    pub method: String,
    /// The whole path as routed, version prefix and base path included: `/v1/orders/{id}`.
    pub template: String,
    /// What a caller must show.
    pub security: Security,
    /// Units that one call counts as where a limit counts `cost`; 1 unless declared.
    pub cost: Cost,
    /// Largest request body in bytes; `None` = the edge's own bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_bytes_max: Option<u64>,
    /// Time for the whole exchange with the backend in milliseconds; `None` = the service's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_timeout_ms: Option<u64>,
    /// Refused while the node does not know which tokens were revoked of late.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub revocation_strict: bool,
    /// What may be sent again although the service may have had it; `None` = the service's rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<RetryRule>,
    /// A read that is slower than nearly all others is asked for a second time.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hedge: bool,
    /// Whether a breaker stands before it; `None` = where its service has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breaker: Option<bool>,
    /// Whether it takes a slot of its service's admission; `None` = where its service has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admission: Option<bool>,
    /// What it counts as when not everybody can be answered.
    #[serde(default, skip_serializing_if = "Criticality::is_default")]
    pub criticality: Criticality,
    /// The document that stands in for an answer while the breaker is open, as the manifest names
    /// it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback_file: Option<PathBuf>,
    /// The operation that stands in for it while the breaker is open, before the document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback_operation: Option<OperationName>,
    /// Every call leaves an entry in the ledger, and what happens when none can be taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<Audit>,
    /// Whether answers are compressed, where the manifest says so for this operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression: Option<bool>,
    /// What a key makes of a write.
    #[serde(default, skip_serializing_if = "Idempotency::is_default")]
    pub idempotency: Idempotency,
    /// How its answers are kept.
    #[serde(default, skip_serializing_if = "CacheRoute::is_silent")]
    pub cache: CacheRoute,
    /// The contract's one-line summary, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
}

impl OperationRoute {
    /// An operation of which nothing more is said: open to everybody, at a cost of one.
    #[must_use]
    pub fn new(id: String, method: String, template: String) -> Self {
        Self {
            id,
            method,
            template,
            security: Security::Public,
            cost: 1,
            body_bytes_max: None,
            total_timeout_ms: None,
            revocation_strict: false,
            compression: None,
            retries: None,
            hedge: false,
            breaker: None,
            admission: None,
            criticality: Criticality::default(),
            fallback_file: None,
            fallback_operation: None,
            audit: None,
            idempotency: Idempotency::default(),
            cache: CacheRoute::default(),
            summary: None,
        }
    }
}

/// An operation of some service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationName {
    /// The service, as the manifest calls it.
    pub service: String,
    /// The operation's id there.
    pub id: String,
}

/// What may be sent again although the service may have had it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryRule {
    /// Nothing.
    Off,
    /// GET, HEAD and OPTIONS.
    Safe,
    /// PUT and DELETE too.
    Idempotent,
}

/// What a request counts as when not everybody can be answered, the highest first: a class that is
/// less than another goes before it.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Criticality {
    /// It must not fail: signing in, paying.
    Critical,
    /// What a person waits for.
    #[default]
    Default,
    /// What a person would hardly miss.
    Sheddable,
    /// What nobody waits for.
    Background,
}

impl Criticality {
    /// Every class, the highest first.
    pub const ALL: [Self; 4] = [Self::Critical, Self::Default, Self::Sheddable, Self::Background];

    /// Its position in [`Self::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The word that contracts, manifests and figures use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Default => "default",
            Self::Sheddable => "sheddable",
            Self::Background => "background",
        }
    }

    fn is_default(&self) -> bool {
        *self == Self::Default
    }
}

/// What happens to a call that must leave an entry in the ledger when the spool takes no more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Audit {
    /// It is refused.
    #[default]
    Refuse,
    /// It goes on without an entry, which is counted.
    Pass,
}

/// What an `Idempotency-Key` makes of an operation that writes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Idempotency {
    /// Whether a key is wanted.
    #[serde(default)]
    pub rule: KeyRule,
    /// What happens to a write whose outcome is unknown when it is sent again.
    #[serde(default)]
    pub unknown: UnknownOutcome,
    /// The read operation of the same service that finds out what became of a write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub find_out: Option<String>,
    /// It is sent unrecorded while no record can be made, which is counted.
    #[serde(default)]
    pub unrecorded_passes: bool,
}

impl Idempotency {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Whether a write carries a key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyRule {
    /// It must.
    Required,
    /// It may.
    #[default]
    Optional,
    /// A key means nothing here.
    Off,
}

/// What happens to a write whose outcome is unknown when it is sent again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnknownOutcome {
    /// Whoever sends it again is told.
    #[default]
    Hold,
    /// It is sent to the service again: the service itself obeys the key.
    RetryUpstreamWithKey,
    /// [`Idempotency::find_out`] is asked first.
    Ask,
}

/// What a caller must show to call an operation. It takes effect only where the manifest declares
/// an issuer; without one nothing is verified and all credentials pass through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Security {
    /// Nothing: the contract says `security: []`.
    Public,
    /// A verified bearer token.
    Token {
        /// Scope alternatives: the token must hold every scope of at least one inner list. An
        /// empty inner list is satisfied by any valid token. Never empty itself.
        any_of: Vec<Vec<String>>,
        /// A request without credentials is let through too (the contract's `{}` alternative). A
        /// token that is presented must still be valid.
        optional: bool,
        /// A request with `basic` or API-key credentials is let through for the backend to judge.
        pass_through: bool,
    },
    /// Only `basic`, API-key or certificate schemes: credentials pass to the backend unseen.
    PassThrough,
}

impl Security {
    /// A valid token of any scope: what an operation asks when the contract is silent.
    #[must_use]
    pub fn any_token() -> Self {
        Self::Token { any_of: vec![Vec::new()], optional: false, pass_through: false }
    }
}

impl Routes {
    /// A route table of the current format.
    #[must_use]
    pub fn new(services: Vec<ServiceRoutes>) -> Self {
        Self { format: ROUTES_FORMAT, services }
    }

    /// Reads the section, its format number first.
    ///
    /// # Errors
    ///
    /// [`SnapshotError::Format`] for another format, [`SnapshotError::Decode`] for anything that
    /// is not this section.
    pub fn from_json(bytes: &[u8]) -> Result<Self, SnapshotError> {
        read(SECTION, ROUTES_FORMAT, bytes)
    }

    /// Writes the section as JSON.
    ///
    /// # Errors
    ///
    /// [`SnapshotError::Decode`] if a value cannot be written as JSON.
    pub fn to_json(&self) -> Result<Vec<u8>, SnapshotError> {
        serde_json::to_vec(self)
            .map_err(|source| SnapshotError::Decode { section: SECTION, source })
    }

    /// Refuses a table of another format, for one that did not come through [`Self::from_json`].
    ///
    /// # Errors
    ///
    /// [`SnapshotError::Format`].
    pub fn check_format(&self) -> Result<(), SnapshotError> {
        check_format(SECTION, ROUTES_FORMAT, self.format)
    }

    /// The named service and its index.
    #[must_use]
    pub fn service(&self, name: &str) -> Option<(usize, &ServiceRoutes)> {
        self.services.iter().enumerate().find(|(_, service)| service.service == name)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn security() -> impl Strategy<Value = Security> {
        let scopes = prop::collection::vec("[a-z:]{1,8}", 0..3);
        prop_oneof![
            Just(Security::Public),
            Just(Security::PassThrough),
            (prop::collection::vec(scopes, 1..3), any::<bool>(), any::<bool>()).prop_map(
                |(any_of, optional, pass_through)| Security::Token {
                    any_of,
                    optional,
                    pass_through
                }
            ),
        ]
    }

    fn version() -> impl Strategy<Value = Option<ApiVersion>> {
        prop::option::of(prop_oneof![
            "/v[0-9]".prop_map(ApiVersion::Prefix),
            ("[a-z-]{1,9}", "[0-9]{1,2}")
                .prop_map(|(name, value)| ApiVersion::Header { name, value }),
        ])
    }

    fn operation() -> impl Strategy<Value = OperationRoute> {
        (
            ("[a-zA-Z]{1,9}", "[A-Z]{3,6}", "(/[a-z{}%]{1,4}){1,4}"),
            security(),
            (any::<u32>(), any::<Option<u64>>(), any::<Option<u64>>(), any::<Option<String>>()),
        )
            .prop_map(|((id, method, template), security, (cost, body, time, summary))| {
                OperationRoute {
                    security,
                    cost,
                    body_bytes_max: body,
                    total_timeout_ms: time,
                    summary,
                    ..OperationRoute::new(id, method, template)
                }
            })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            operations in prop::collection::vec(operation(), 0..5),
            version in version(),
            has_contract in any::<bool>(),
        ) {
            let document = serde_json::json!({"openapi": "3.1.0", "paths": {"/b": {}, "/a": {}}});
            let document = has_contract.then(|| Arc::new(document));
            let routes = Routes::new(vec![ServiceRoutes {
                service: "shop".into(), version, has_contract, operations, document,
            }]);
            let bytes = routes.to_json().unwrap();
            prop_assert_eq!(Routes::from_json(&bytes).unwrap(), routes);
        }
    }

    #[test]
    fn the_form_on_disk_stays_as_it_is() {
        let text = concat!(
            r#"{"format":1,"services":[{"service":"shop","#,
            r#""version":{"header":{"name":"api-version","value":"2"}},"has_contract":true,"#,
            r#""operations":[{"id":"getOrder","method":"GET","template":"/v1/orders/{id}","#,
            r#""security":{"kind":"token","any_of":[["orders:read"],[]],"optional":false,"#,
            r#""pass_through":true},"cost":5,"body_bytes_max":1024}]}]}"#
        );
        let routes = Routes::from_json(text.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(routes.to_json().unwrap()).unwrap(), text);
    }

    #[test]
    fn another_format_is_named_and_says_what_to_do() {
        // A newer shape that this build could not decode at all: the format is still what is named.
        let newer = br#"{"format": 2, "services": {"shop": 1}}"#;
        let said = Routes::from_json(newer).unwrap_err().to_string();
        assert!(said.contains("format 2") && said.contains("only format 1"), "{said}");
        assert!(said.contains("newer plimsoll"), "{said}");

        let older = Routes { format: 0, services: Vec::new() };
        let said = older.check_format().unwrap_err().to_string();
        assert!(said.contains("older plimsoll; remove the file"), "{said}");
    }

    #[test]
    fn what_is_not_the_section_is_a_decode_error() {
        for bad in [&b""[..], b"[]", b"{}", b"{\"format\":1}", b"{\"format\":-1}", b"\xff"] {
            let error = Routes::from_json(bad).unwrap_err();
            assert!(matches!(error, SnapshotError::Decode { .. }), "{error}");
        }
    }
}
