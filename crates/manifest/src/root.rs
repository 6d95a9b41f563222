//! The root of the manifest.

use std::collections::BTreeSet;
use std::path::PathBuf;

use plimsoll_base::Name;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    AuthSection, CacheSection, ClientSection, CompressionSection, CorsSection, EdgeSection,
    IdempotencySection, Journey, LedgerSection, Limit, Objective, OperationPolicy, OpsSection,
    OriginUrl, Passthrough, PassthroughSecurity, PlanSection, Service, StatusSection,
    TelemetrySection, UnknownPaths,
};

/// `plimsoll.toml`: the whole system declared. Every key has a default except where a name or an
/// address cannot be guessed. Secrets never stand here, only in the environment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Manifest {
    /// The listeners that clients reach, and the bounds on what they may send. Since 0.1.
    pub edge: EdgeSection,
    /// The operators' listener: console, metrics, health. Since 0.1.
    pub ops: OpsSection,
    /// The team's own backends behind the edge, one table each; at least one. Since 0.1.
    #[serde(rename = "service")]
    pub services: Vec<Service>,
    /// Who verifies callers, and what the backend is told of them. Since 0.1.
    pub auth: AuthSection,
    /// Rate limits, one table each; a request is charged to all that apply. Since 0.1.
    #[serde(rename = "limit")]
    pub limits: Vec<Limit>,
    /// Policies of single operations: the twin of the vendor keys in a contract, so that a
    /// contract may stay untouched. What stands here wins over the contract. Since 0.1.
    #[serde(rename = "operation")]
    pub operations: Vec<OperationPolicy>,
    /// Path prefixes for long-lived exchanges that no contract describes: WebSocket, server-sent
    /// events, gRPC. Since 0.1.
    pub passthrough: Vec<Passthrough>,
    /// Answers that are kept and given again, as far as the services' own header fields allow.
    /// Since 0.1.
    pub cache: CacheSection,
    /// Which web pages elsewhere may call the API (CORS). Without it `OPTIONS` goes to the
    /// services, and what they say of CORS is passed on. Since 0.1.
    pub cors: Option<CorsSection>,
    /// Answers made smaller on their way to clients that can read them so. Since 0.1.
    pub compression: CompressionSection,
    /// Where the app says what it is, if it already does so in headers of its own. Since 0.1.
    pub client: ClientSection,
    /// What is kept of keyed writes, and how long. Since 0.1.
    pub idempotency: IdempotencySection,
    /// What of the ledger waits on this node's disk. Since 0.1.
    pub ledger: LedgerSection,
    /// Metrics, the access log, and OpenTelemetry. Since 0.1.
    pub telemetry: TelemetrySection,
    /// What everybody may know of the node. Since 0.1.
    pub status: StatusSection,
    /// What a person must always be able to do, as sequences of requests, one table each.
    /// Since 0.1.
    #[serde(rename = "journey")]
    pub journeys: Vec<Journey>,
    /// What the service has agreed to keep to, one table each. Since 0.1.
    #[serde(rename = "objective")]
    pub objectives: Vec<Objective>,
    /// The plan of the 90 days, and how often readiness is looked at. Since 0.1.
    pub plan: PlanSection,
}

/// The name of the service when there is no manifest to name it.
const UPSTREAM_SERVICE: &str = "upstream";

impl Manifest {
    /// What `plimsoll up --upstream URL` runs: one service, no rate limit, unknown paths passed on
    /// unless there is a contract.
    #[must_use]
    pub fn for_upstream(url: OriginUrl, contract: Option<PathBuf>) -> Self {
        let Ok(name) = Name::new(UPSTREAM_SERVICE) else {
            return Self::default();
        };
        let mut service = Service::new(name);
        // Nobody has said yet that asking twice is wanted: each answer is the service's own word.
        service.retries.statuses.clear();
        service.contract = contract;
        service.urls = vec![url];
        Self { services: vec![service], ..Self::default() }
    }

    /// Whether any service has a contract.
    #[must_use]
    pub fn has_contract(&self) -> bool {
        self.services.iter().any(|service| service.contract.is_some())
    }

    /// What happens to a path of `service` that no operation owns: its own word, else the edge's,
    /// else `refuse` as soon as any service has a contract.
    #[must_use]
    pub fn unknown_paths_of(&self, service: &Service) -> UnknownPaths {
        service.unknown_paths.unwrap_or_else(|| self.unknown_paths())
    }

    /// What happens to a path that no service claims: the edge's word, else `refuse` as soon as
    /// any service has a contract.
    #[must_use]
    pub fn unknown_paths(&self) -> UnknownPaths {
        let fallback = if self.has_contract() { UnknownPaths::Refuse } else { UnknownPaths::Pass };
        self.edge.unknown_paths.unwrap_or(fallback)
    }

    /// Whether a passthrough asks for a token: its own word, else `token` as soon as an issuer is
    /// configured.
    #[must_use]
    pub fn passthrough_security(&self, passthrough: &Passthrough) -> PassthroughSecurity {
        let fallback = if self.auth.issuers.is_empty() {
            PassthroughSecurity::Public
        } else {
            PassthroughSecurity::Token
        };
        passthrough.security.unwrap_or(fallback)
    }

    /// The operations of every journey that must not fail, by `operationId`. Whoever reads a
    /// manifest from a file fills in first what a journey without `operations` asks for.
    #[must_use]
    pub fn must_not_fail_operations(&self) -> BTreeSet<&str> {
        let journeys = self.journeys.iter().filter(|journey| journey.must_not_fail);
        journeys.flat_map(|journey| journey.operations.iter().map(String::as_str)).collect()
    }

    /// The service of that name.
    #[must_use]
    pub fn service(&self, name: &str) -> Option<&Service> {
        self.services.iter().find(|service| service.name.as_str() == name)
    }
}
