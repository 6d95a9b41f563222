//! Starting the edge, and what can be asked of it while it runs: reload, figures, drain.

mod sharing;

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use plimsoll_base::{Nanos, SharedClock};
use plimsoll_outbound::{Outbound, OutboundOptions};
use plimsoll_snapshot::{RevocationKeys, Revocations};
use plimsoll_store::Redis;
use plimsoll_telemetry::{AccessLog, Counter, Gauge, KeyRefresh, Metrics, Reload};
use plimsoll_writes::{Resent, ResentSeen, Writes};
use tokio::sync::watch;
use zeroize::Zeroizing;

use crate::admission::AdmissionTried;
use crate::auth::{AuthParts, CallerKey};
use crate::body::Place;
use crate::cache::{self, CacheSharing, SharedCacheOptions};
use crate::compress::CompressionTried;
use crate::config::{Config, ConfigError, ConfigInput, Environment};
use crate::connections::Connections;
use crate::core::{self, CoreListener, CoreOptions, Load, Phase, Shared};
use crate::deny::DenySet;
use crate::itself::{OwnConnection, Told};
use crate::limit::sharing::{Reconciler, Sharing};
use crate::listen::Listener;
use crate::rehearse::{BreakersTried, LimitsTried, Rehearsal, Rehearsed};
use crate::router::Operation;
use crate::status;
use crate::steps::audit::AuditSink;
use crate::tasks::{Kind, Tasks};
use crate::upstream::EndpointStatus;

/// How often a drain looks whether it is done.
const DRAIN_LOOK: Duration = Duration::from_millis(20);

/// A drain that only waits for idle keep-alive connections gives them this long to ask once more
/// (and be told `Connection: close`) before it closes them.
const DRAIN_QUIET: Duration = Duration::from_secs(5);

/// How long before the deadline streams without an end of their own are ended, at most; and which
/// part of a shorter drain.
const STREAMS_END_BEFORE: Duration = Duration::from_secs(1);
const STREAMS_END_BEFORE_PART: u32 = 4;

/// How long nothing must have been asked before idle connections are closed.
const DRAIN_SILENCE: Duration = Duration::from_secs(1);

/// How long a reload may wait for the keys of an issuer that is new.
const KEYS_WAIT_MAX: Duration = Duration::from_secs(2);

/// What the edge is started with.
pub struct EdgeOptions {
    /// The manifest and the routes to begin with.
    pub input: ConfigInput,
    /// One entry a listening address, each with one socket a core.
    pub listeners: Vec<Listener>,
    /// How many cores: threads with a runtime of their own.
    pub cores: usize,
    /// Where time comes from.
    pub clock: SharedClock,
    /// Where figures go.
    pub metrics: Arc<Metrics>,
    /// Where the access log goes; `None` = off.
    pub access_log: Option<AccessLog>,
    /// Where calls of operations that say `audit = true` are noted; without it they are refused.
    pub audit: Option<AuditSink>,
    /// Where keyed writes are recorded; without it they are refused, unless their operation says
    /// `on_store_down = "pass"`.
    pub writes: Option<Writes>,
    /// The key of the hashes that callers are counted by: the same on nodes that count together.
    pub caller_key: Zeroizing<[u8; 32]>,
    /// The Redis by which nodes share their limits, and what their key is known by there.
    pub limits_shared: Option<(Redis, String)>,
    /// By what nodes share their caches; `None`: each caches for itself.
    pub cache_shared: Option<SharedCacheOptions>,
    /// The runtime that keeps issuers' keys fresh.
    pub control: tokio::runtime::Handle,
}

/// Why the edge did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The manifest cannot be put into force.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A thread or a runtime could not be made.
    #[error("cannot start a core: {0}; check the limits on threads and open files")]
    Core(#[from] io::Error),
}

fn environment(options: &mut EdgeOptions, cores: usize) -> Result<Environment, StartError> {
    let mut random = [0u8; 8];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| io::Error::other("no random numbers"))?;
    let caller_key = CallerKey::new(&options.caller_key);
    let outbound = Outbound::new(OutboundOptions::default()).map_err(io::Error::other)?;
    let metrics = Arc::clone(&options.metrics);
    let seed = caller_key.hash("limits", &[]).as_u128().to_le_bytes();
    let mut cache = cache::Memory::new(&seed);
    cache.shared = options.cache_shared.take().map(|shared| {
        let (clock, metrics) = (Arc::clone(&options.clock), Arc::clone(&options.metrics));
        let (keys, stamps) = (cache.keys.clone(), Arc::clone(&cache.stamps));
        Arc::new(cache::Shared::new(shared, clock, metrics, keys, stamps))
    });
    Ok(Environment {
        cores,
        auth: AuthParts {
            outbound,
            clock: Arc::clone(&options.clock),
            control: options.control.clone(),
            caller_key,
            seed: u64::from_le_bytes(random),
            on_refresh: Arc::new(move |ok| {
                let outcome = if ok { KeyRefresh::Ok } else { KeyRefresh::Failed };
                metrics.count(Counter::KeyRefresh(outcome));
            }),
        },
        seed,
        limits_shared: options.limits_shared.is_some(),
        cache,
    })
}

/// A running edge. Dropping it stops it at once; [`Edge::drain`] stops it without losing a request.
pub struct Edge {
    shared: Arc<Shared>,
    tasks: Tasks,
    clock: SharedClock,
    metrics: Arc<Metrics>,
    environment: Environment,
    phase: watch::Sender<Phase>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    reconciler: Mutex<Option<Reconciler>>,
    sharing: Mutex<Sharing>,
    rehearsal: Rehearsal,
}

/// One URL of a service, and how it is.
#[derive(Debug, Clone)]
pub struct Upstream {
    /// The service.
    pub service: String,
    /// The release.
    pub release: String,
    /// The URL's health and connections.
    pub endpoint: EndpointStatus,
}

/// How a drain ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// How long it took.
    pub took: Duration,
    /// Requests that were cut because the deadline came first.
    pub requests_cut: u64,
}

impl Edge {
    /// Compiles the configuration and starts every core.
    ///
    /// # Errors
    /// Says which part of the manifest cannot be put into force, or what the system refused.
    pub fn start(mut options: EdgeOptions) -> Result<Self, StartError> {
        let cores = options.cores.max(1);
        let environment = environment(&mut options, cores)?;
        let config = Config::build(&options.input, &environment, None)?;
        config.apply();
        let shared = Arc::new(Shared {
            config: Arc::new(ArcSwap::from_pointee(config)),
            draining: AtomicBool::new(false),
            connections: Arc::new(Connections::default()),
            own: OwnConnection::default(),
            deny: Arc::new(DenySet::default()),
            held: Place::new(options.input.data_dir.clone()),
            unflushed: Arc::default(),
            status: Arc::default(),
            resent: Resent::new(cores),
            load: (0..cores).map(|_| Load::default()).collect(),
        });
        let tasks = Tasks::default();
        let (phase, watching) = watch::channel(Phase::Serving);
        let rehearsal = Rehearsal::new(&shared, &options.clock, watching.clone());
        let mut by_core: Vec<Vec<CoreListener>> = (0..cores).map(|_| Vec::new()).collect();
        for listener in options.listeners {
            let inherited = listener.inherited;
            for (core, socket) in by_core.iter_mut().zip(listener.sockets) {
                core.push(CoreListener { socket, inherited });
            }
        }
        let threads = by_core
            .into_iter()
            .enumerate()
            .map(|(index, listeners)| {
                core::start(CoreOptions {
                    index,
                    clock: Arc::clone(&options.clock),
                    tasks: tasks.clone(),
                    shared: Arc::clone(&shared),
                    shard: options.metrics.shard(index),
                    phase: watching.clone(),
                    audit: options.audit.clone(),
                    writes: options.writes.clone(),
                    access: options.access_log.as_ref().map(AccessLog::writer),
                    listeners,
                })
            })
            .collect::<io::Result<Vec<_>>>()?;
        let clock = Arc::clone(&options.clock);
        let reconciler = options
            .limits_shared
            .map(|(redis, namespace)| Reconciler::new(redis, clock, namespace));
        let sharing = reconciler.as_ref().map_or(Sharing::Off, |_| Sharing::Starting);
        Ok(Self {
            shared,
            tasks,
            clock: options.clock,
            metrics: options.metrics,
            environment,
            phase,
            threads: Mutex::new(threads),
            reconciler: Mutex::new(reconciler),
            sharing: Mutex::new(sharing),
            rehearsal,
        })
    }

    /// The configuration in force.
    #[must_use]
    pub fn config(&self) -> Arc<Config> {
        self.shared.config.load_full()
    }

    /// Puts a new manifest into force. Requests under way keep the one they began with;
    /// connections, pools, health, limits and keys that did not change are kept. Where an issuer is
    /// new, its keys are looked for first, for [`KEYS_WAIT_MAX`] at most: the one before goes on
    /// meanwhile, and no request has to wait for the first fetch.
    ///
    /// # Errors
    /// Says what cannot be put into force; the one before goes on.
    pub async fn reload(&self, input: &ConfigInput) -> Result<(), ConfigError> {
        let before = self.shared.config.load_full();
        match Config::build(input, &self.environment, Some(&before)) {
            Ok(config) => {
                let config = Arc::new(config);
                if let Some(auth) = &config.auth {
                    auth.settled(KEYS_WAIT_MAX).await;
                }
                self.shared.config.store(Arc::clone(&config));
                self.rehearsal.follow();
                config.apply();
                self.metrics.count(Counter::Reload(Reload::Ok));
                Ok(())
            }
            Err(error) => {
                self.metrics.count(Counter::Reload(Reload::Refused));
                Err(error)
            }
        }
    }

    /// From now on revocations come from a database: an operation with `revocation = "strict"` is
    /// refused while they are not known or too old.
    pub fn follow_revocations(&self) {
        self.shared.deny.follow();
    }

    /// Puts revocations into force on every core at once.
    pub fn revoke(&self, revocations: Revocations) {
        self.shared.deny.replace(revocations);
    }

    /// What is revoked was known to be all there is at `now`.
    pub fn revocations_known(&self, now: Nanos) {
        self.shared.deny.known(now);
    }

    /// What becomes of a request without credentials for an operation of `config`: it goes through
    /// the steps of the stack up to authenticate and never on. Nothing is sent, counted, charged to
    /// a limit or noted for it, so it is safe for operations that write.
    pub async fn rehearse(&self, config: &Config, operation: &Operation) -> Rehearsed {
        self.rehearsal.ask(config, operation).await
    }

    /// GETs `path` from our own listener at `address`, which speaks plain HTTP, over a connection
    /// that no limit, figure or log counts. The caller bounds the time.
    ///
    /// # Errors
    /// It cannot be connected to, breaks off, or answers with more than `bytes_max`.
    pub async fn ask_itself(
        &self,
        address: SocketAddr,
        path: &str,
        bytes_max: usize,
    ) -> io::Result<Told> {
        self.shared.own.ask(address, path, bytes_max).await
    }

    /// Overdraws every limit of `config` by a key of no caller's, under every operation it applies
    /// to. Nobody has less for it, and no other node hears of it.
    #[must_use]
    pub fn try_limits(&self, config: &Config) -> LimitsTried {
        LimitsTried::of(config, self.clock.now())
    }

    /// Compresses a large answer of each operation of `config`, and of each service whose paths no
    /// contract names, for a client that takes every coding. Nothing is asked of a service.
    #[must_use]
    pub fn try_compression(&self, config: &Config) -> CompressionTried {
        self.rehearsal.compress(config)
    }

    /// Lets trial breakers like those of `config` see nothing but failures, and asks them.
    #[must_use]
    pub fn try_breakers(&self, config: &Config) -> BreakersTried {
        BreakersTried::of(config)
    }

    /// Which operations that write were seen of late, and which of them were sent again without a
    /// key after they had failed.
    #[must_use]
    pub fn resent(&self, now: Nanos) -> ResentSeen {
        self.shared.resent.seen(now)
    }

    /// Offers each service's admission of `config`, made anew, more than it can take of its own
    /// operations, on a clock of the trial's own. No request and no real queue notices.
    #[must_use]
    pub fn try_admission(&self, config: &Config) -> AdmissionTried {
        AdmissionTried::of(config)
    }

    /// What answers say of the node from now on, where `[status] header` is on: whether something
    /// is degraded, and the epoch that changes with it.
    pub fn say_status(&self, degraded: bool, epoch: u64) {
        self.shared.status.store(status::header_value(degraded, epoch).map(Arc::new));
    }

    /// Whether a token is revoked as far as this edge knows, on every core at once.
    #[must_use]
    pub fn is_revoked(&self, token: &RevocationKeys) -> bool {
        self.shared.deny.names(token)
    }

    /// How many revocations are in force.
    #[must_use]
    pub fn revocations(&self) -> usize {
        self.shared.deny.len()
    }

    /// Counts a reload that was refused before it reached the edge.
    pub fn reload_refused(&self) {
        self.metrics.count(Counter::Reload(Reload::Refused));
    }

    /// Brings the gauges up to date; called once a second before figures are read.
    pub fn observe(&self) {
        let config = self.shared.config.load();
        let (_, in_flight) = self.shared.requests();
        let upstream: usize =
            self.upstreams().iter().map(|upstream| upstream.endpoint.connections).sum();
        let set = |gauge, value: u64| self.metrics.set(gauge, value);
        set(Gauge::ConnectionsOpen, u64::from(self.shared.connections.open()));
        set(Gauge::RequestsInFlight, in_flight);
        set(Gauge::UpstreamConnectionsOpen, upstream as u64);
        let keys: usize = config.limits.stats().iter().map(|limit| limit.keys).sum();
        set(Gauge::LimitKeys, keys as u64);
        for (policy, many) in config.limits.take_folded() {
            self.metrics.count_many(Counter::LimitKeyFolded { policy }, many);
        }
        set(Gauge::LimitsShared, u64::from(matches!(self.sharing(), Sharing::Shared { .. })));
        set(Gauge::TokenCacheEntries, config.auth.as_ref().map_or(0, |a| a.cached_tokens()) as u64);
        set(Gauge::CacheShared, u64::from(self.cache_sharing() == CacheSharing::Shared));
        set(Gauge::CacheBytes, self.cached_bytes().unwrap_or_default());
        set(Gauge::Ready, u64::from(self.is_serving()));
        let now = self.clock.now();
        set(Gauge::BreakersOpen, config.breakers(now).count() as u64);
        let of = || config.admissions(now).map(|(_, figures)| figures);
        set(Gauge::AdmissionLimit, of().map(|f| u64::from(f.limit)).sum());
        set(Gauge::AdmissionInFlight, of().map(|f| u64::from(f.in_flight)).sum());
        set(Gauge::AdmissionQueued, of().flat_map(|f| f.queued).map(u64::from).sum());
        let delay = of().map(|f| f.queue_delay).max().unwrap_or_default();
        set(Gauge::AdmissionQueueDelay, u64::try_from(delay.as_millis()).unwrap_or(u64::MAX));
    }

    /// Every URL of every service.
    #[must_use]
    pub fn upstreams(&self) -> Vec<Upstream> {
        let now = self.clock.now();
        let config = self.shared.config.load();
        config
            .all_services()
            .flat_map(|service| {
                let urls = service.release.endpoints.iter();
                urls.map(|endpoint| Upstream {
                    service: service.name.to_string(),
                    release: service.release.id.to_string(),
                    endpoint: endpoint.status(now),
                })
            })
            .collect()
    }

    /// Requests under way now.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.shared.requests().1
    }

    /// Client connections open now.
    #[must_use]
    pub fn connections(&self) -> u32 {
        self.shared.connections.open()
    }

    /// Whether the edge accepts connections.
    #[must_use]
    pub fn is_serving(&self) -> bool {
        *self.phase.borrow() == Phase::Serving
    }

    /// Stops without losing a request: no new connection, `Connection: close` (HTTP/1.1) or GOAWAY
    /// (HTTP/2) on those that are open, and an end when all are gone or `deadline` has passed.
    /// Streams of events, gRPC calls and tunnels have no end to wait for: they are ended shortly
    /// before the deadline. `patient` also waits a while for idle keep-alive connections to ask
    /// once more.
    pub async fn drain(&self, deadline: Duration, patient: bool) -> Drained {
        let started = self.clock.now();
        self.shared.draining.store(true, Ordering::Relaxed);
        self.phase.send_replace(Phase::Draining);
        self.wait_until_drained(started, deadline, patient).await;
        let requests_cut = self.shared.requests().1;
        for _ in 0..requests_cut {
            self.metrics.count(Counter::DrainCut);
        }
        self.shared.draining.store(true, Ordering::Relaxed);
        self.phase.send_replace(Phase::Stopped);
        let threads =
            std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        let joined = tokio::task::spawn_blocking(move || {
            for thread in threads {
                if thread.join().is_err() {
                    tracing::error!("a core ended with a panic");
                }
            }
        });
        if joined.await.is_err() {
            tracing::error!("waiting for the cores failed");
        }
        Drained { took: self.clock.now().since(started), requests_cut }
    }

    async fn wait_until_drained(&self, started: Nanos, deadline: Duration, patient: bool) {
        let before = STREAMS_END_BEFORE.min(deadline / STREAMS_END_BEFORE_PART);
        let streams_end = deadline.saturating_sub(before);
        let (mut last_begun, mut last_change) = (self.shared.requests().0, started);
        loop {
            tokio::time::sleep(DRAIN_LOOK).await;
            let now = self.clock.now();
            let (begun, in_flight) = self.shared.requests();
            if begun != last_begun || in_flight > 0 {
                (last_begun, last_change) = (begun, now);
            }
            let unflushed = self.shared.unflushed.load(Ordering::Relaxed);
            let busy = in_flight > 0
                || unflushed > 0
                || self.tasks.running(Kind::Stream) > 0
                || self.tasks.running(Kind::Tunnel) > 0;
            let silent = now.since(last_change) >= DRAIN_SILENCE;
            let quiet = !patient || (now.since(started) >= DRAIN_QUIET && silent);
            let gone = self.shared.connections.open() == 0;
            if now.since(started) >= streams_end {
                self.phase.send_if_modified(|phase| {
                    *phase < Phase::Ending && {
                        *phase = Phase::Ending;
                        true
                    }
                });
            }
            if now.since(started) >= deadline || (!busy && (gone || quiet)) {
                return;
            }
        }
    }
}
