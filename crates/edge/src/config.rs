//! What the edge acts on: the manifest and the routes, compiled once per change, immutable, taken
//! by a request at its start and kept to its end.

mod api_keys;
mod guards;
mod services;

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, Method};
use plimsoll_base::{Nanos, failpoint};
use plimsoll_contracts as contracts;
use plimsoll_http_kit::client::ClientRules;
use plimsoll_http_kit::forwarded::TrustedProxies;
use plimsoll_http_kit::hygiene;
use plimsoll_manifest::{EdgeSection, ForwardPrincipal, Manifest, Rate};
use plimsoll_snapshot::{Criticality, Routes, Security};
use rustls::ServerConfig;

use crate::admission::AdmissionFigures;
use crate::auth::{AuthOptions, AuthParts, AuthSetupError, Authenticator};
use crate::cache::{self, Cache};
use crate::compress::Compression;
use crate::cors::Cors;
use crate::installation;
use crate::installation::Installations;
use crate::limit::{LimitFault, LimitOptions, Limits, LimitsOptions, Per, Units};
use crate::own::{Own, Shadowed, shadowed_in};
use crate::router::{Operation, Router, RouterFault, RouterOptions};
use crate::steps::admit;
use crate::steps::route::Route;
use crate::tls::{self, TlsError};
use crate::upstream::{BreakerState, BudgetStatus, Endpoint, Pace, TargetError, UpstreamTls};

pub use api_keys::{TooManyApiKeyFields, check as check_api_keys};
pub(crate) use guards::Guard;
pub(crate) use services::Service;
use services::services;

/// Bytes by which hyper's own bound on a head lies above ours, so that the client gets a problem
/// document from us and not a bare status line.
const HEAD_SLACK: usize = 4 * 1024;

/// The name of the limit on tokens that must be verified, in problems and figures.
pub(crate) const UNVERIFIED_LIMIT: &str = "unverified-tokens";

/// Addresses that this limit tracks apart.
const UNVERIFIED_KEYS_MAX: u32 = 100_000;

/// What a configuration is made from.
#[derive(Debug, Clone)]
pub struct ConfigInput {
    /// A manifest or a contract says something of the services; else there are but their answers.
    pub declared: bool,
    /// The manifest, without a fault.
    pub manifest: Manifest,
    /// The routes made from its contracts.
    pub routes: Routes,
    /// The folder that relative paths in the manifest start from.
    pub base: PathBuf,
    /// Where the development issuer's keys are.
    pub data_dir: PathBuf,
    /// The hash of the static part, for people to compare nodes by.
    pub hash: String,
}

/// What stays the same over all configurations of a process.
#[derive(Debug, Clone)]
pub(crate) struct Environment {
    pub(crate) cores: usize,
    pub(crate) auth: AuthParts,
    /// For keyed hashes that nobody outside can foresee.
    pub(crate) seed: [u8; 16],
    /// Other nodes are told what callers used up of their limits.
    pub(crate) limits_shared: bool,
    /// What the response cache never forgets.
    pub(crate) cache: cache::Memory,
}

/// Why a configuration cannot be put into force.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The route table has a fault.
    #[error(transparent)]
    Router(#[from] RouterFault),
    /// A limit.
    #[error(transparent)]
    Limit(#[from] LimitFault),
    /// The certificate or its key.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// An issuer.
    #[error(transparent)]
    Auth(#[from] AuthSetupError),
    /// A URL of a service.
    #[error("service `{service}`: {source}")]
    Target {
        /// The service.
        service: String,
        /// What is wrong with the URL.
        source: TargetError,
    },
    /// A service has no URL, so nothing can be sent to it.
    #[error("service `{0}` has no URL; give it `urls` or a `[[service.release]]`")]
    NoUrl(String),
    /// A document that stands in for an answer.
    #[error("fallback_file `{file}`: {why}")]
    Fallback {
        /// The file.
        file: String,
        /// Why it cannot be used.
        why: String,
    },
    /// An operation that stands in for another is not there.
    #[error("fallback_operation: no operation is called `{0}`")]
    NoFallback(String),
    /// The contracts name too many header fields that hold API keys.
    #[error(transparent)]
    ApiKeys(#[from] TooManyApiKeyFields),
}

/// Bounds on connections and requests, from `[edge]`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) connections_max: u32,
    pub(crate) connections_per_ip_max: u32,
    pub(crate) keep_alive: Duration,
    pub(crate) header_timeout: Duration,
    pub(crate) body_idle: Duration,
    pub(crate) write_stall: Duration,
    pub(crate) http2_streams_max: u32,
    pub(crate) headers_max: usize,
    pub(crate) header_bytes_max: usize,
    pub(crate) body_bytes_max: u64,
}

impl Bounds {
    fn new(edge: &EdgeSection) -> Self {
        let header_bytes = usize::try_from(edge.header_bytes_max.0).unwrap_or(usize::MAX);
        Self {
            connections_max: edge.connections_max,
            connections_per_ip_max: edge.connections_per_ip_max,
            keep_alive: edge.keep_alive.0,
            header_timeout: edge.header_timeout.0,
            body_idle: edge.body_idle_timeout.0,
            write_stall: edge.write_stall_timeout.0,
            http2_streams_max: edge.http2_streams_max,
            headers_max: usize::from(edge.headers_max),
            header_bytes_max: header_bytes.saturating_add(HEAD_SLACK),
            body_bytes_max: edge.body_bytes_max.0,
        }
    }

    #[cfg(test)]
    pub(crate) fn for_tests() -> Self {
        Self::new(&EdgeSection::default())
    }
}

/// The compiled configuration. See the module's page.
#[derive(Debug)]
pub struct Config {
    pub(crate) manifest: Manifest,
    pub(crate) hash: String,
    pub(crate) bounds: Bounds,
    pub(crate) head_bounds: hygiene::Bounds,
    pub(crate) trusted: TrustedProxies,
    pub(crate) router: Router,
    pub(crate) services: Vec<Service>,
    /// By operation, the breaker before it.
    pub(crate) guards: Vec<Option<Guard>>,
    /// By operation, what it counts as when not everybody can be answered.
    pub(crate) classes: Box<[Criticality]>,
    /// By operation, how fast it is answered, where that is asked for.
    pub(crate) paces: Vec<Option<Arc<Pace>>>,
    /// The built-in services, where one is on.
    pub(crate) own: Option<Own>,
    pub(crate) limits: Limits,
    /// One limit by address on tokens that must be verified.
    pub(crate) unverified: Limits,
    /// `None` where it is off.
    pub(crate) installations: Option<Arc<Installations>>,
    pub(crate) auth: Option<Arc<Authenticator>>,
    pub(crate) any_token: Security,
    pub(crate) revocation_staleness_max: Duration,
    pub(crate) forward_principal: ForwardPrincipal,
    pub(crate) client_rules: ClientRules,
    /// The response cache, unless it is switched off.
    pub(crate) cache: Option<Cache>,
    /// The header fields in which API keys come, by custom and by the contracts.
    pub(crate) api_key_fields: Vec<HeaderName>,
    /// `None` where it is off.
    pub(crate) compression: Option<Compression>,
    pub(crate) cors: Option<Cors>,
    pub(crate) tls: Option<Arc<ServerConfig>>,
    documents: Vec<Document>,
    upstream_tls: UpstreamTls,
}

#[derive(Debug)]
struct Document {
    path: String,
    name: Arc<str>,
    bytes: Bytes,
}

impl Config {
    pub(crate) fn build(
        input: &ConfigInput,
        environment: &Environment,
        before: Option<&Config>,
    ) -> Result<Self, ConfigError> {
        let manifest = &input.manifest;
        let edge = &manifest.edge;
        let trusted = TrustedProxies::new(edge.trusted_proxies.iter().map(|cidr| cidr.0));
        let router = Router::build(&input.routes, &RouterOptions::from_manifest(manifest))?;
        let upstream_tls = before.map(|b| b.upstream_tls.clone()).unwrap_or_default();
        let numbering = numbering(&router);
        let services = services(input, environment, before, (&upstream_tls, numbering))?;
        let guards = guards::guards(input, &router, environment.cores, before)?;
        let paces = guards::paces(&router, before);
        let named = router.operations().iter().map(|o| (&*o.id, o.criticality));
        let classes = admit::classes(named, &manifest.must_not_fail_operations());
        let own_before = before.and_then(|b| b.own.as_ref());
        let own = Own::build(manifest, &input.data_dir, environment.cores, own_before);
        let ids = router.operations().iter().map(|operation| &*operation.id);
        let limits = Limits::build(
            &LimitsOptions::from_manifest(&manifest.limits, ids, environment.limits_shared),
            before.map(|b| &b.limits),
            &environment.seed,
        )?;
        let unverified = Limits::build(
            &unverified(&manifest.auth.unverified_per_ip),
            before.map(|b| &b.unverified),
            &environment.seed,
        )?;
        let installations = Installations::build(
            &manifest.client.installations,
            environment,
            before.and_then(|b| b.installations.as_deref()),
        )?;
        let auth = authenticator(input, environment, before)?;
        let api_key_fields = api_keys::fields(&input.routes)?;
        let cache_before = before.and_then(|b| b.cache.as_ref());
        let cache = Cache::build(
            (&manifest.cache, input.declared),
            &api_key_fields,
            &environment.cache,
            cache_before,
        );
        let compression_before = before.and_then(|b| b.compression.as_ref());
        let tls = match &edge.tls {
            None => None,
            Some(files) => Some(tls::server_config(
                &input.base.join(&files.certificate_file),
                &input.base.join(&files.key_file),
            )?),
        };
        Ok(Self {
            hash: input.hash.clone(),
            bounds: Bounds::new(edge),
            head_bounds: hygiene::Bounds {
                headers_max: usize::from(edge.headers_max),
                header_bytes_max: usize::try_from(edge.header_bytes_max.0).unwrap_or(usize::MAX),
            },
            trusted,
            router,
            services,
            guards,
            classes,
            paces,
            own,
            limits,
            unverified,
            installations,
            auth,
            any_token: Security::any_token(),
            revocation_staleness_max: manifest.auth.revocation_staleness_max.0,
            forward_principal: manifest.auth.forward_principal,
            client_rules: ClientRules::new(&manifest.client.headers),
            cache,
            api_key_fields,
            compression: Compression::of(manifest, compression_before),
            cors: manifest.cors.as_ref().map(Cors::new),
            tls,
            documents: documents(&input.routes),
            upstream_tls,
            manifest: manifest.clone(),
        })
    }

    /// Tells the URLs that were taken over what the manifest says of them now. Once it is in force,
    /// not while it may still be refused.
    pub(crate) fn apply(&self) {
        for service in &self.services {
            for endpoint in &service.release.endpoints {
                endpoint.reconfigure(service.pool, service.trip, service.health.as_ref());
            }
        }
        for guard in self.guards.iter().flatten() {
            guard.circuit.reconfigure(guard.trip);
        }
        for (gate, rules) in self.services.iter().filter_map(|s| s.admission.as_ref()) {
            gate.reconfigure(*rules);
        }
    }

    /// What a request to there counts as, before its client has a word.
    pub(crate) fn class(&self, route: Route<'_>) -> Criticality {
        let Route::Operation(operation) = route else { return Criticality::default() };
        let index = usize::try_from(operation.index).unwrap_or(usize::MAX);
        self.classes.get(index).copied().unwrap_or_default()
    }

    /// How each service that has an admission is loaded.
    pub fn admissions(&self, now: Nanos) -> impl Iterator<Item = (&str, AdmissionFigures)> {
        self.services.iter().filter_map(move |service| {
            let (gate, _) = service.admission.as_ref()?;
            Some((&*service.name, gate.figures(now)))
        })
    }

    /// How fast the operation is answered, where a slow read is asked for a second time.
    pub(crate) fn pace(&self, route: Route<'_>, method: &Method) -> Option<&Pace> {
        let Route::Operation(operation) = route else { return None };
        let pace = self.paces.get(usize::try_from(operation.index).ok()?)?.as_deref()?;
        (method == Method::GET || method == Method::HEAD).then_some(pace)
    }

    /// The breaker before the operation, where there is one.
    pub(crate) fn guard(&self, route: Route<'_>) -> Option<&Guard> {
        let Route::Operation(operation) = route else { return None };
        self.guards.get(usize::try_from(operation.index).ok()?)?.as_ref()
    }

    pub(crate) fn service(&self, index: u16) -> Option<&Service> {
        self.services.get(usize::from(index))
    }

    pub(crate) fn endpoints(&self) -> impl Iterator<Item = &Arc<Endpoint>> {
        self.all_services().flat_map(|service| &service.release.endpoints)
    }

    /// The manifest's services and the built-in ones.
    pub(crate) fn all_services(&self) -> impl Iterator<Item = &Service> {
        self.services.iter().chain(self.own.as_ref().map(|own| &own.service))
    }

    /// The paths that built-in services answer, with their names in figures.
    pub fn own_paths(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.own.iter().flat_map(Own::paths)
    }

    /// Those of them that give way to a contract or a passthrough.
    #[must_use]
    pub fn shadowed(&self) -> Vec<Shadowed> {
        shadowed_in(&self.manifest, &self.router)
    }

    /// The edge's own document at `path`, with the name it has in figures.
    pub(crate) fn document(&self, path: &str) -> Option<(&Arc<str>, &Bytes)> {
        failpoint::hit("edge.document").ok()?;
        let found = self.documents.iter().find(|document| document.path == path)?;
        Some((&found.name, &found.bytes))
    }

    /// What was sent again to each service of late, and how much of that there may be.
    pub fn retry_budgets(&self, now: Nanos) -> impl Iterator<Item = (&str, BudgetStatus)> {
        self.services.iter().map(move |service| {
            (&*service.name, service.budget.status(service.retries.share(), now))
        })
    }

    /// How many operations have a breaker before them.
    #[must_use]
    pub fn guarded(&self) -> usize {
        self.guards.iter().flatten().count()
    }

    /// The operations whose breaker is not closed.
    pub fn breakers(&self, now: Nanos) -> impl Iterator<Item = (&Operation, BreakerState)> {
        let guarded = self.router.operations().iter().zip(&self.guards);
        guarded.filter_map(move |(operation, guard)| {
            let state = guard.as_ref()?.circuit.state(now);
            (state != BreakerState::Closed).then_some((&**operation, state))
        })
    }

    /// Loopback and trusted proxies stand for many clients.
    pub(crate) fn is_exempt_from_connection_limit(&self, ip: IpAddr) -> bool {
        ip.to_canonical().is_loopback() || self.trusted.trusts(ip)
    }

    /// The manifest in force.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The hash of its static part.
    #[must_use]
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// The route table.
    #[must_use]
    pub fn router(&self) -> &Router {
        &self.router
    }

    /// Addresses that were given installations of late, and how many are counted apart.
    #[must_use]
    pub fn installation_addresses(&self) -> Option<(usize, u32)> {
        let installations = self.installations.as_ref()?;
        Some((installations.addresses(), installation::ADDRESSES_MAX))
    }

    /// The limits.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The authenticator; `None` where no issuer is configured.
    #[must_use]
    pub fn auth(&self) -> Option<&Arc<Authenticator>> {
        self.auth.as_ref()
    }
}

/// `None` where no issuer is configured: nothing is verified and credentials pass through.
fn authenticator(
    input: &ConfigInput,
    environment: &Environment,
    before: Option<&Config>,
) -> Result<Option<Arc<Authenticator>>, ConfigError> {
    let section = &input.manifest.auth;
    if section.issuers.is_empty() {
        return Ok(None);
    }
    let options = AuthOptions::from_manifest(section, &input.base, &input.data_dir);
    let previous = before.and_then(|b| b.auth.as_deref());
    Ok(Some(Arc::new(Authenticator::build(&options, &environment.auth, previous)?)))
}

/// Tokens that were never seen before, by address.
fn unverified(rate: &Rate) -> LimitsOptions {
    let limit = LimitOptions {
        name: UNVERIFIED_LIMIT.to_owned(),
        per: Per::Ip,
        quota: rate.quota,
        window: rate.window.0,
        burst: rate.quota,
        units: Units::Requests,
        operations: Vec::new(),
        keys_max: UNVERIFIED_KEYS_MAX,
    };
    LimitsOptions { limits: vec![limit], ..LimitsOptions::default() }
}

/// `/openapi.json` and `/openapi/{service}.json`, once a service has a contract.
fn documents(routes: &Routes) -> Vec<Document> {
    let mut documents = Vec::new();
    let mut add = |path: String, value: &serde_json::Value| {
        let name = format!("plimsoll:{path}").into();
        documents.push(Document { path, name, bytes: value.to_string().into() });
    };
    for service in &routes.services {
        if let Some(document) = &service.document {
            add(format!("/openapi/{}.json", service.service), document);
        }
    }
    if let Some(merged) = contracts::merged_document(routes) {
        add("/openapi.json".to_owned(), &merged);
    }
    documents
}

/// Stands for the operations and their numbers: the same as long as each keeps its own.
fn numbering(router: &Router) -> u64 {
    let mut hasher = DefaultHasher::new();
    for operation in router.operations() {
        (&operation.service_name, &operation.id).hash(&mut hasher);
    }
    hasher.finish()
}
