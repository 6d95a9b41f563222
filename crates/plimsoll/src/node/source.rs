//! What the console shows, read from the edge.

mod notices;
mod reasons;
mod sharing;

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use plimsoll_console::{
    CachedRow, Listening, LoadRow, MemoryRow, NodeInfo, Notice, Readiness, Reason, RouteRow,
    Source, UpstreamRow,
};
use plimsoll_edge::{AdmissionFigures, CacheFigures, Config};
use plimsoll_manifest::{Limit, LimitUnits, Manifest};
use plimsoll_snapshot::{Criticality, Security};
use plimsoll_telemetry::Metrics;
use plimsoll_telemetry::ingest::Ingest;

use super::Node;
pub(crate) use notices::weaknesses;

impl Source for Node {
    fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    fn ingest(&self) -> Option<Arc<Ingest>> {
        Some(Arc::clone(&self.telemetry.ingest))
    }

    fn routes(&self) -> Vec<RouteRow> {
        let config = self.edge.config();
        let manifest = config.manifest();
        let total_ms = |service: &str| {
            let timeouts = manifest.service(service).map(|service| &service.timeouts);
            timeouts.and_then(|t| u64::try_from(t.total.0.as_millis()).ok())
        };
        let mut rows: Vec<RouteRow> = Vec::new();
        for operation in config.router().operations() {
            let own = operation.total_timeout.and_then(|t| u64::try_from(t.as_millis()).ok());
            rows.push(RouteRow {
                service: operation.service_name.to_string(),
                operation: operation.id.to_string(),
                method: operation.method.to_string(),
                template: operation.template.to_string(),
                security: security(&config, &operation.security),
                limits: limits(manifest, Some(&operation.id)),
                cost: operation.cost,
                body_bytes_max: operation.body_bytes_max.or(Some(manifest.edge.body_bytes_max.0)),
                total_timeout_ms: own.or_else(|| total_ms(&operation.service_name)),
            });
        }
        for route in config.router().passthroughs() {
            rows.push(RouteRow {
                service: route.service_name.to_string(),
                method: "ANY".to_owned(),
                template: route.id.to_string(),
                security: security(&config, &route.security),
                limits: limits(manifest, None),
                cost: 1,
                ..RouteRow::default()
            });
        }
        for (path, name) in config.own_paths() {
            rows.push(RouteRow {
                service: "plimsoll".to_owned(),
                operation: name.to_owned(),
                method: "GET".to_owned(),
                template: path.to_owned(),
                security: "public".to_owned(),
                limits: limits(manifest, None),
                cost: 1,
                ..RouteRow::default()
            });
        }
        for service in config.router().services().iter().filter(|service| service.pass_unknown) {
            rows.push(RouteRow {
                service: service.name.to_string(),
                method: "ANY".to_owned(),
                template: "other paths".to_owned(),
                security: security(&config, &Security::any_token()),
                limits: limits(manifest, None),
                cost: 1,
                body_bytes_max: Some(manifest.edge.body_bytes_max.0),
                total_timeout_ms: total_ms(&service.name),
                ..RouteRow::default()
            });
        }
        rows
    }

    fn upstreams(&self) -> Vec<UpstreamRow> {
        self.edge
            .upstreams()
            .into_iter()
            .map(|upstream| UpstreamRow {
                service: upstream.service,
                release: upstream.release,
                url: upstream.endpoint.url,
                ejected_for_ms: upstream
                    .endpoint
                    .ejected_for
                    .map(|span| u64::try_from(span.as_millis()).unwrap_or(u64::MAX)),
                state: match upstream.endpoint.down {
                    true => "down".to_owned(),
                    false => upstream.endpoint.state.word().to_owned(),
                },
                consecutive_failures: upstream.endpoint.consecutive_failures,
                failures_total: upstream.endpoint.failures_total,
                connections: upstream.endpoint.connections as u64,
                idle: upstream.endpoint.idle as u64,
            })
            .collect()
    }

    fn cached(&self) -> Option<Vec<CachedRow>> {
        let row = |figures: CacheFigures| CachedRow {
            operation: figures.operation.to_string(),
            hits: figures.hits,
            stale: figures.stale,
            revalidated: figures.revalidated,
            collapsed: figures.collapsed,
            misses: figures.misses,
            entries: figures.entries,
            bytes: figures.bytes,
        };
        self.edge.cached().map(|all| all.into_iter().map(row).collect())
    }

    fn memory(&self) -> Option<MemoryRow> {
        Some(self.memory.shown())
    }

    fn readiness(&self) -> Readiness {
        let draining = self.draining.load(Ordering::Relaxed);
        let mut reasons = Vec::new();
        if draining {
            reasons.push(Reason {
                code: "draining".to_owned(),
                why: "The process was asked to stop and finishes what is under way.".to_owned(),
                next: "Send traffic to another node.".to_owned(),
            });
        }
        let config = self.edge.config();
        let issuers = config.auth().map(|auth| auth.status()).unwrap_or_default();
        let keys_missing =
            !issuers.is_empty() && !issuers.iter().any(|issuer| issuer.state.serves());
        for issuer in issuers {
            if !issuer.state.serves() {
                reasons.push(Reason {
                    code: "issuer_keys_missing".to_owned(),
                    why: format!(
                        "The keys of {} are not there: {}.",
                        issuer.issuer,
                        issuer.last_error.as_deref().unwrap_or("not fetched yet")
                    ),
                    next: "Tokens of this issuer are refused with 503 until it can be reached."
                        .to_owned(),
                });
            }
        }
        reasons.extend(
            config.admissions(self.clock.now()).filter_map(|(s, f)| reasons::shedding(s, &f)),
        );
        reasons.extend(self.memory_reasons());
        reasons.extend(sharing::limits(&self.edge.sharing()));
        reasons.extend(sharing::cache(&self.edge.cache_sharing()));
        Readiness { ready: !draining && !keys_missing, draining, reasons }
    }

    fn notices(&self) -> Vec<Notice> {
        let config = self.edge.config();
        let mut notices = self.refusals();
        notices.extend(self.smoked.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned());
        notices.extend(sharing::apart(&self.edge.sharing()));
        let open = config.breakers(self.clock.now());
        notices
            .extend(open.take(BREAKERS_NOTICED_MAX).map(|(o, state)| notices::set_aside(o, state)));
        notices.extend(self.restart_notice());
        notices.extend(weaknesses(&config));
        notices
    }

    fn identity(&self) -> NodeInfo {
        let config = self.edge.config();
        let tls = config.manifest().edge.tls.is_some();
        let speaks = if tls { "TLS: HTTP/1.1, HTTP/2" } else { "HTTP/1.1, HTTP/2" };
        NodeInfo {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_unix_ms: self.facts.started_unix_ms,
            manifest_path: self.facts.manifest_path.as_ref().map(|p| p.display().to_string()),
            manifest_hash: config.hash().to_owned(),
            data_dir: self.facts.data_dir.display().to_string(),
            listeners: self
                .facts
                .listeners
                .iter()
                .map(|address| Listening {
                    address: address.to_string(),
                    speaks: speaks.to_owned(),
                })
                .collect(),
            connections_max: u64::from(config.manifest().edge.connections_max),
        }
    }

    fn status_is(&self, degraded: bool, epoch: u64) {
        self.edge.say_status(degraded, epoch);
    }

    fn loads(&self) -> Vec<LoadRow> {
        let config = self.edge.config();
        let mut rows: Vec<LoadRow> = config
            .limits()
            .stats()
            .iter()
            .map(|limit| LoadRow {
                name: format!("Keys of limit {}", limit.name),
                unit: "keys".to_owned(),
                value: limit.keys as u64,
                max: config
                    .manifest()
                    .limits
                    .iter()
                    .find(|named| named.name.as_str() == &*limit.name)
                    .map_or(0, |named| u64::from(named.keys_max)),
                at_bound: "beyond it new callers share one bucket; raise keys_max".to_owned(),
            })
            .collect();
        if let Some((addresses, max)) = config.installation_addresses() {
            rows.push(LoadRow {
                name: "Addresses with new installations".to_owned(),
                unit: "addresses".to_owned(),
                value: addresses as u64,
                max: u64::from(max),
                at_bound: "beyond it new addresses share one allowance".to_owned(),
            });
        }
        if let Some(auth) = config.auth() {
            rows.push(LoadRow {
                name: "Verified tokens".to_owned(),
                unit: "tokens".to_owned(),
                value: auth.cached_tokens() as u64,
                max: u64::from(config.manifest().auth.token_cache_max),
                at_bound: "beyond it the least used are verified again; raise token_cache_max"
                    .to_owned(),
            });
        }
        if config.guarded() > 0 {
            rows.push(LoadRow {
                name: "Operations set aside".to_owned(),
                unit: "operations".to_owned(),
                value: config.breakers(self.clock.now()).count() as u64,
                max: config.guarded() as u64,
                at_bound: "nothing is sent on: look at the services' logs".to_owned(),
            });
        }
        for (service, figures) in config.admissions(self.clock.now()) {
            rows.extend(admission_rows(service, &figures));
        }
        for (service, budget) in config.retry_budgets(self.clock.now()) {
            rows.push(LoadRow {
                name: format!("Requests sent again to {service}"),
                unit: "requests in 10 s, waiting ones too".to_owned(),
                value: u64::from(budget.sent_again) + u64::from(budget.waiting),
                max: u64::from(budget.allowed),
                at_bound: "beyond it failures are passed on; mend the service, or raise \
                           budget_percent in [service.retries]"
                    .to_owned(),
            });
        }
        if let Some(bytes) = self.edge.cached_bytes() {
            rows.push(LoadRow {
                name: "Stored answers".to_owned(),
                unit: "bytes".to_owned(),
                value: bytes,
                max: config.manifest().cache.bytes_max.0,
                at_bound: "beyond it what is asked for least goes first; raise cache.bytes_max"
                    .to_owned(),
            });
        }
        rows
    }
}

/// Breakers that are not closed, each with a notice of its own; the load says how many there are.
const BREAKERS_NOTICED_MAX: usize = 8;

/// Load against the limit, and who waits.
fn admission_rows(service: &str, figures: &AdmissionFigures) -> [LoadRow; 2] {
    let by_class = |numbers: &[u64]| {
        let classes = Criticality::ALL.iter().zip(numbers).filter(|(_, number)| **number > 0);
        let words: Vec<String> =
            classes.map(|(class, number)| format!("{number} {}", class.as_str())).collect();
        if words.is_empty() { "none".to_owned() } else { words.join(", ") }
    };
    let shed = figures.shed.map(|reasons| reasons.iter().sum::<u64>());
    let found = if figures.learning { "still being found out" } else { "found out" };
    [
        LoadRow {
            name: format!("Requests {service} has at once"),
            unit: "requests".to_owned(),
            value: u64::from(figures.in_flight),
            max: u64::from(figures.limit),
            at_bound: format!("the limit ({found}) is reached: others wait in the queue"),
        },
        LoadRow {
            name: format!("Requests that wait for {service}"),
            unit: "requests".to_owned(),
            value: figures.queued.iter().copied().map(u64::from).sum(),
            max: u64::from(figures.queue_depth_max),
            at_bound: format!(
                "the longest waits {} ms; waiting: {}; refused since the start: {}",
                figures.queue_delay.as_millis(),
                by_class(&figures.queued.map(u64::from)),
                by_class(&shed)
            ),
        },
    ]
}

fn security(config: &Config, security: &Security) -> String {
    if config.auth().is_none() {
        return "passed through".to_owned();
    }
    match security {
        Security::Public => "public".to_owned(),
        Security::PassThrough => "passed through".to_owned(),
        Security::Token { any_of, optional, pass_through } => {
            let scopes: Vec<String> =
                any_of.iter().filter(|all| !all.is_empty()).map(|all| all.join(" ")).collect();
            let mut text = "token".to_owned();
            if !scopes.is_empty() {
                text = format!("token: {}", scopes.join(" or "));
            }
            if *optional {
                text.push_str(", optional");
            }
            if *pass_through {
                text.push_str(", or other credentials passed through");
            }
            text
        }
    }
}

fn limits(manifest: &Manifest, operation: Option<&str>) -> Vec<String> {
    let applies = |limit: &&Limit| {
        limit.operations.is_empty()
            || operation.is_some_and(|id| limit.operations.iter().any(|named| named == id))
    };
    let text = |limit: &Limit| {
        let unit = if limit.units == LimitUnits::Cost { " cost" } else { "" };
        format!("{}: {}{unit} / {}", limit.name, limit.quota, limit.window)
    };
    manifest.limits.iter().filter(applies).map(text).collect()
}
