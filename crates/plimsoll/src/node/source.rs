//! What the console shows, read from the edge.

mod sharing;

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use plimsoll_console::{
    CachedRow, Listening, LoadRow, MemoryRow, NodeInfo, Notice, NoticeLevel, Readiness, Reason,
    RouteRow, Source, UpstreamRow,
};
use plimsoll_edge::router::Operation;
use plimsoll_edge::{AdmissionFigures, BreakerState, CacheFigures, Config};
use plimsoll_ledger::SealerState;
use plimsoll_manifest::{Limit, LimitUnits, Manifest};
use plimsoll_snapshot::{Criticality, Security};
use plimsoll_telemetry::Metrics;
use plimsoll_telemetry::ingest::Ingest;

use super::Node;

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
        reasons.extend(config.admissions(self.clock.now()).filter_map(|(s, f)| shedding(s, &f)));
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
        notices.extend(open.take(BREAKERS_NOTICED_MAX).map(|(o, state)| set_aside(o, state)));
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

/// How an operation that is set aside is answered.
fn answered_by(operation: &Operation) -> String {
    match (&operation.fallback_operation, &operation.fallback_file) {
        (Some(other), Some(_)) => format!("answered by {}, else by its document", other.id),
        (Some(other), None) => format!("answered by {}, or 503", other.id),
        (None, Some(_)) => "answered by its document".to_owned(),
        (None, None) => "answered 503".to_owned(),
    }
}

fn set_aside(operation: &Operation, state: BreakerState) -> Notice {
    let why = match state {
        BreakerState::Open { left } => format!(
            "It failed too often: for {} s more its requests are {}.",
            left.as_secs() + 1,
            answered_by(operation)
        ),
        BreakerState::Probing => "It failed too often. The next request tries it.".to_owned(),
        _ => "It works again: a growing share of its requests is sent on.".to_owned(),
    };
    Notice {
        level: NoticeLevel::Warning,
        title: format!("{} is set aside", operation.id),
        why,
        next: format!("Look at the log of {}.", operation.service_name),
    }
}

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

/// A service that has more to do than it can take. The node serves all the same.
fn shedding(service: &str, figures: &AdmissionFigures) -> Option<Reason> {
    figures.shedding.then(|| Reason {
        code: "load_shed".to_owned(),
        why: format!(
            "{service} has all it can take, {} requests at once: others are refused.",
            figures.limit
        ),
        next: "Critical operations go first; docs/admission.md, When load is shed, says what to \
               look at."
            .to_owned(),
    })
}

impl Node {
    fn refusals(&self) -> Vec<Notice> {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(first) = refused.first() else { return Vec::new() };
        vec![Notice {
            level: NoticeLevel::Critical,
            title: "The changed manifest was refused".to_owned(),
            why: format!(
                "{} faults, the first: {first}. The one before is in force.",
                refused.len()
            ),
            next: "Mend it; it is read again when the file changes.".to_owned(),
        }]
    }
}

impl Node {
    fn restart_notice(&self) -> Option<Notice> {
        let keys = self.waits_for_restart();
        if keys.is_empty() {
            return None;
        }
        Some(Notice {
            level: NoticeLevel::Warning,
            title: "The changed manifest needs a restart".to_owned(),
            why: format!("Not in force before that: {}. All else is.", keys.join(", ")),
            next: "Restart the process; with LISTEN_FDS no request is lost.".to_owned(),
        })
    }
}

/// What a person should know although it works.
pub(crate) fn weaknesses(config: &Config) -> Vec<Notice> {
    let mut notices = Vec::new();
    let mut note = |title: &str, why: &str, next: &str| {
        notices.push(Notice {
            level: NoticeLevel::Warning,
            title: title.to_owned(),
            why: why.to_owned(),
            next: next.to_owned(),
        });
    };
    let manifest = config.manifest();
    if config.auth().is_none() {
        note(
            "No issuer is configured",
            "Nothing is verified: credentials pass through to the backend.",
            "Name your issuer in [[auth.issuer]].",
        );
    } else if manifest.auth.issuers.iter().any(|issuer| issuer.development) {
        note(
            "The development issuer is trusted",
            "Whoever can read the data directory can make tokens.",
            "Name your real issuer before clients can reach this edge.",
        );
    }
    if config.limits().is_empty() {
        note(
            "No limit is configured",
            "Nobody is refused for asking too often.",
            "Name limits in [[limit]]; `plimsoll init` suggests some.",
        );
    }
    for overlap in config.router().overlaps() {
        let why = format!("{}: the operations keep their own policies.", overlap.said());
        note(
            "A passthrough covers operations",
            &why,
            "Give the passthrough a prefix of its own, unless this is meant.",
        );
    }
    for shadowed in config.shadowed() {
        note(
            "A path of our own is never reached",
            &format!("{} is taken by {}, which goes first.", shadowed.path, shadowed.by),
            "Rename the operation's path, or set [status] public = false.",
        );
    }
    let public = manifest.edge.listen.iter().any(|address| !address.0.ip().is_loopback());
    if public && manifest.edge.tls.is_none() && manifest.edge.trusted_proxies.is_empty() {
        note(
            "Clients are served without TLS",
            "The edge listens beyond this machine, has no certificate and trusts no proxy.",
            "Set [edge.tls], or name the proxy that ends TLS in trusted_proxies.",
        );
    }
    notices
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

impl Node {
    /// What of the memory is not as it should be. An edge serves all the same.
    fn memory_reasons(&self) -> Vec<Reason> {
        let standing = self.memory.standing(self.clock.now());
        let mut reasons = Vec::new();
        if let Some(why) = standing.database_down {
            let age = match standing.known_ago {
                Some(ago) => format!("known {} s ago", ago.as_secs()),
                None => "from the last snapshot on disk".to_owned(),
            };
            reasons.push(Reason {
                code: "database_down".to_owned(),
                why: format!("The database is not used: {why}. Epoch {} is {age}.", standing.epoch),
                next: "Requests go on; operations with revocation = \"strict\" are refused and \
                       audited ones wait in the spool until it is back."
                    .to_owned(),
            });
        }
        reasons.extend(standing.sealer.and_then(of_sealer));
        if standing.unsealed_for >= UNSEALED_MAX {
            reasons.push(Reason {
                code: "ledger_lags".to_owned(),
                why: format!(
                    "The oldest entry that is not sealed was written {} s ago.",
                    standing.unsealed_for.as_secs()
                ),
                next: "An open transaction in the database's cluster holds the sealer back, or no \
                       node seals; docs/ledger.md, When sealing lags, names the query that finds it."
                    .to_owned(),
            });
        }
        if let Some(why) = standing.spool_damaged {
            reasons.push(Reason {
                code: "audit_spool_damaged".to_owned(),
                why: format!("Records on this node's disk do not reach the ledger: {why}."),
                next: "docs/ledger.md, A spool that cannot be read, says what to do.".to_owned(),
            });
        }
        reasons
    }
}

/// What the sealer cannot do, and what to do about it.
fn of_sealer(state: SealerState) -> Option<Reason> {
    let (code, why, next) = match state {
        SealerState::Down { why } => (
            "ledger_not_sealed",
            format!("The ledger is written but not sealed: {why}."),
            "It is tried again every second; docs/ledger.md, When sealing lags, says what to do.",
        ),
        SealerState::Diverged { why, .. } => (
            "ledger_not_signed",
            format!("The ledger is sealed but not signed: {why}."),
            "Run `plimsoll ledger verify`; docs/ledger.md says what each fault means.",
        ),
        SealerState::Unsigned { why, .. } => (
            "ledger_not_signed",
            format!("The ledger is sealed but not signed: {why}."),
            "It is tried again every 5 s; docs/ledger.md, After replacing the signing key, says \
             what to do where the key is another one.",
        ),
        _ => return None,
    };
    Some(Reason { code: code.to_owned(), why, next: next.to_owned() })
}

/// An entry that waits longer for the sealer is worth a word.
const UNSEALED_MAX: Duration = Duration::from_secs(60);
