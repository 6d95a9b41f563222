//! The manifest's services as requests are sent to them. Connections and health of a URL that did
//! not change are taken over.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Uri};
use plimsoll_manifest::Admission;

use super::guards::url_trip;
use super::{Config, ConfigError, ConfigInput, Environment};
use crate::admission::{Bounds, Gate, Patience, Rules};
use crate::upstream::{
    Budget, Endpoint, HealthRule, PoolLimits, Release, RetryPolicy, TargetError, Timeouts, Trip,
    UpstreamTls,
};

/// A service as requests are sent to it.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) name: Arc<str>,
    pub(crate) release: Release,
    pub(crate) timeouts: Timeouts,
    pub(crate) total_timeout: Duration,
    pub(crate) pool: PoolLimits,
    /// When one of its URLs is passed over.
    pub(crate) trip: Trip,
    pub(crate) health: Option<Arc<HealthRule>>,
    /// Who gets in, and what it is told once this configuration is in force. Kept over reloads:
    /// what was learned holds, and who waits goes on waiting.
    pub(crate) admission: Option<(Arc<Gate>, Rules)>,
    pub(crate) retries: RetryPolicy,
    /// Kept over reloads: what was sent of late was sent.
    pub(crate) budget: Arc<Budget>,
    /// What `ca_file` holds; with other trust a connection is another one.
    pub(crate) private_ca: Option<Arc<[u8]>>,
    /// What `Host` says where the client gave none.
    pub(crate) authority: HeaderValue,
    /// The version prefix that is taken off before the request is sent.
    pub(crate) strip_prefix: Option<Arc<str>>,
}

impl Service {
    /// Where it is decided who gets in.
    pub(crate) fn gate(&self) -> Option<&Arc<Gate>> {
        self.admission.as_ref().map(|(gate, _)| gate)
    }
}

/// Every service of the manifest, in its order.
pub(super) fn services(
    input: &ConfigInput,
    environment: &Environment,
    before: Option<&Config>,
    (tls, numbering): (&UpstreamTls, u64),
) -> Result<Vec<Service>, ConfigError> {
    input
        .manifest
        .services
        .iter()
        .map(|service| {
            let name = service.name.to_string();
            let release = service
                .active_release()
                .filter(|release| !release.urls.is_empty())
                .ok_or_else(|| ConfigError::NoUrl(name.clone()))?;
            let authority = private_authority(input, service)?;
            let tls = &authority.as_ref().map_or_else(|| tls.clone(), UpstreamTls::trusting);
            let limits = PoolLimits {
                connections_max: usize::try_from(service.pool.connections_max)
                    .unwrap_or(usize::MAX),
                idle: service.timeouts.idle.0,
            };
            let trip = url_trip(service);
            let endpoints = release
                .urls
                .iter()
                .map(|url| {
                    let given = url.to_string();
                    let known = before
                        .and_then(|b| {
                            b.services
                                .iter()
                                .find(|s| *s.name == *name && s.private_ca == authority)
                        })
                        .and_then(|s| s.release.endpoints.iter().find(|e| e.is_at(&given)))
                        .map(Arc::clone);
                    if let Some(endpoint) = known {
                        return Ok(endpoint);
                    }
                    let uri: Uri = given.parse().map_err(|_| TargetError::NoHost(given.clone()))?;
                    let cores = environment.cores;
                    Endpoint::new(&given, &uri, cores, limits, trip, tls).map(Arc::new)
                })
                .collect::<Result<Vec<_>, _>>()
                .map_err(|source| ConfigError::Target { service: name.clone(), source })?;
            let prefix = service.version.as_ref().and_then(|version| version.prefix.as_ref());
            Ok(Service {
                name: service.name.shared(),
                release: Release::new(release.id.shared(), endpoints),
                timeouts: Timeouts {
                    connect: service.timeouts.connect.0,
                    first_byte: service.timeouts.first_byte.0,
                },
                total_timeout: service.timeouts.total.0,
                pool: limits,
                trip,
                health: health(service),
                admission: admission(service, environment, before, numbering),
                retries: RetryPolicy::new(&service.retries),
                budget: before
                    .and_then(|b| b.services.iter().find(|s| *s.name == *name))
                    .map_or_else(
                        || Arc::new(Budget::new(environment.cores)),
                        |s| Arc::clone(&s.budget),
                    ),
                private_ca: authority,
                authority: release
                    .urls
                    .first()
                    .and_then(|url| HeaderValue::from_str(url.authority()).ok())
                    .unwrap_or(HeaderValue::from_static("localhost")),
                strip_prefix: prefix
                    .filter(|_| service.strip_prefix)
                    .map(|prefix| prefix.as_str().into()),
            })
        })
        .collect()
}

fn admission(
    service: &plimsoll_manifest::Service,
    environment: &Environment,
    before: Option<&Config>,
    numbering: u64,
) -> Option<(Arc<Gate>, Rules)> {
    let section = service.admission.as_ref()?;
    let rules = rules(section, numbering);
    let known = before
        .and_then(|b| b.services.iter().find(|s| *s.name == *service.name.as_str()))
        .and_then(|s| s.admission.as_ref());
    let gate = match known {
        Some((gate, _)) => Arc::clone(gate),
        None => Gate::new(rules, &environment.auth.clock),
    };
    Some((gate, rules))
}

fn rules(section: &Admission, operations: u64) -> Rules {
    let bounds = match section.concurrency {
        Some(fixed) => Bounds { min: fixed, max: fixed },
        None => Bounds { min: section.concurrency_min, max: section.concurrency_max },
    };
    Rules {
        bounds,
        operations,
        queue_depth_max: section.queue_depth_max,
        patience: Patience { target: section.queue_target.0, interval: section.queue_interval.0 },
        retry_after_max: section.retry_after_max.0,
    }
}

/// How the service's URLs are checked.
fn health(service: &plimsoll_manifest::Service) -> Option<Arc<HealthRule>> {
    let health = service.health.as_ref()?;
    let release = service.active_release()?;
    let authority = release.urls.first().map(|url| HeaderValue::from_str(url.authority()));
    Some(Arc::new(HealthRule {
        // The manifest has looked at it.
        path: health.path.parse().ok()?,
        authority: authority?.unwrap_or(HeaderValue::from_static("localhost")),
        every: health.every.0,
        timeout: health.timeout.0,
        healthy_after: health.healthy_after,
        unhealthy_after: health.unhealthy_after,
    }))
}

/// The certificates in `[service.tls] ca_file`.
fn private_authority(
    input: &ConfigInput,
    service: &plimsoll_manifest::Service,
) -> Result<Option<Arc<[u8]>>, ConfigError> {
    let Some(file) = &service.tls.ca_file else { return Ok(None) };
    let read = std::fs::read(input.base.join(file)).map_err(|error| ConfigError::Target {
        service: service.name.to_string(),
        source: TargetError::Authority(error.to_string()),
    })?;
    Ok(Some(read.into()))
}
