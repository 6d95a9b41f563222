//! `plimsoll up`: start everything, keep the configuration fresh, stop without losing a request.

use std::io::IsTerminal as _;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use plimsoll_base::{SharedClock, SystemClock, failpoint};
use plimsoll_console::{LocalSocket, ServicesSocket};
use plimsoll_edge::auth::dev_issuer::DevIssuer;
use plimsoll_edge::{
    Drained, Edge, EdgeOptions, LINK_BOUNDS, Listener, SERVICES_SOCKET, SharedCacheOptions,
};
use plimsoll_manifest::{AccessLogFormat, ListenAddr, Manifest, Overrides, env};
use plimsoll_snapshot::NodeReport;
use plimsoll_store::{Redis, RedisLink};
use plimsoll_telemetry::{
    AccessFormat, AccessLog, AccessLogOptions, AccessLogStop, LogFormat, Metrics, MetricsOptions,
};
use tokio::runtime::Handle;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use tokio::time::Interval;

use crate::cli::{Role, Up};
use crate::data_dir::{DataDir, DataDirLock};
use crate::exit::Failure;
use crate::memory::{Memory, MemoryOptions};
use crate::node::{Facts, Node, development_exposed};
use crate::setup::{Setup, Source, failure, lines};
use crate::smoke::Smoke;
use crate::telemetry::Telemetry;
use crate::watch::{LOOK_EVERY, Watched};
use crate::{banner, inherited, observe};

/// How often figures move on.
const TICK: Duration = Duration::from_secs(1);

/// How long the access log's last lines may take to be written.
const ACCESS_LOG_FLUSH: Duration = Duration::from_secs(2);

/// How long the console may take to close its connections at the end.
const OPS_SHUTDOWN: Duration = Duration::from_secs(2);

pub(crate) fn run(arguments: &Up) -> Result<(), Failure> {
    // What tests break on purpose; no build that is shipped has it.
    if failpoint::ENABLED
        && let Some(names) = env::var("PLIMSOLL_FAILPOINTS").map_err(Failure::failed)?
    {
        failpoint::fail_everywhere(&names);
    }
    let terminal = std::io::stderr().is_terminal();
    plimsoll_telemetry::init_logging(if terminal { LogFormat::Human } else { LogFormat::Json })
        .map_err(Failure::failed)?;
    let source = Source::find(
        arguments.manifest.as_deref(),
        arguments.upstream.as_deref(),
        arguments.openapi.as_deref(),
    )?;
    let data_dir = DataDir::open(arguments.data_dir.as_deref())?;
    let setup =
        source.load(data_dir.path(), &overrides(arguments)).map_err(|faults| failure(&faults))?;
    let sockets = inherited::sockets().map_err(Failure::Unavailable)?;
    let lock = if sockets.is_empty() {
        Some(data_dir.lock_soon(&SystemClock::new())?)
    } else {
        data_dir.lock_when_free()?
    };
    let control = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("control")
        .enable_all()
        .build()
        .map_err(Failure::failed)?;
    let outcome = control.block_on(async {
        let started = Started::new(arguments, &setup, &data_dir, sockets, lock).await?;
        serve(started, arguments, &source, setup).await
    });
    control.shutdown_timeout(OPS_SHUTDOWN);
    outcome
}

/// What the command line puts over the manifest.
fn overrides(arguments: &Up) -> Overrides {
    Overrides {
        listen: arguments.listen.iter().copied().map(ListenAddr).collect(),
        ops_listen: arguments.ops_listen.map(ListenAddr),
    }
}

struct Started {
    node: Arc<Node>,
    access_log_stop: AccessLogStop,
    ops: TcpListener,
    local: LocalSocket,
    services: ServicesSocket,
    clock: SharedClock,
    lock: Option<DataDirLock>,
}

impl Started {
    async fn new(
        arguments: &Up,
        setup: &Setup,
        data_dir: &DataDir,
        sockets: Vec<TcpListener>,
        lock: Option<DataDirLock>,
    ) -> Result<Self, Failure> {
        let manifest = &setup.input.manifest;
        if manifest.auth.issuers.iter().any(|issuer| issuer.development) {
            DevIssuer::open(data_dir.path()).map_err(Failure::failed)?;
        }
        let clock = SystemClock::shared();
        let cores = cores(manifest);
        let (listeners, ops) = listen(manifest, cores, sockets)?;
        let addresses: Vec<SocketAddr> = listeners.iter().map(|l| l.address).collect();
        if let Some(fault) = development_exposed(manifest, &addresses) {
            return Err(Failure::faults(vec![fault]));
        }
        let metrics = Metrics::new(MetricsOptions {
            cores,
            series_max: usize::try_from(manifest.telemetry.series_max).unwrap_or(usize::MAX),
            objective: manifest.telemetry.objective_latency.0,
        });
        let log = AccessLogOptions::to_stdout(access_format(manifest), Arc::clone(&metrics));
        let (access_log, access_log_stop) = AccessLog::start(log).map_err(Failure::failed)?;
        let report = report(arguments, setup, &clock);
        let node = report.id;
        let memory = Memory::open(MemoryOptions {
            data_dir: data_dir.path(),
            clock: &clock,
            report,
            owned: lock.is_some(),
            spool_bytes_max: manifest.ledger.spool_bytes_max.0,
        })
        .await?;
        let (caller_key, key_id) = memory.caller_key()?;
        let cache_shared = cache_shared(&memory, &key_id)?;
        let limits_shared = redis()?.map(|redis| (redis, key_id));
        // Before the first request: whoever is answered finds these, too.
        let local = LocalSocket::open(data_dir.path()).await.map_err(Failure::failed)?;
        let services = ServicesSocket::open(data_dir.path(), SERVICES_SOCKET).await;
        let services = services.map_err(Failure::failed)?;
        let edge = Edge::start(EdgeOptions {
            input: setup.input.clone(),
            listeners,
            cores,
            clock: Arc::clone(&clock),
            metrics: Arc::clone(&metrics),
            access_log: Some(access_log),
            audit: Some(memory.audit()),
            writes: Some(memory.writes()),
            caller_key,
            limits_shared,
            cache_shared,
            control: Handle::current(),
        });
        let edge = Arc::new(edge.map_err(|error| Failure::faults(vec![error.to_string()]))?);
        memory.lead(&edge);
        let ops_address = ops.local_addr().map_err(Failure::failed)?;
        let facts = Facts {
            listeners: addresses,
            ops: ops_address,
            data_dir: data_dir.path().to_owned(),
            manifest_path: setup.manifest.clone(),
            started_unix_ms: clock.unix_ms(),
        };
        let telemetry = Telemetry::start(&edge.config(), &metrics, &clock, node)?;
        let node = Node::new(edge, metrics, &clock, facts, memory, telemetry);
        banner::print(&node);
        Ok(Self { node: Arc::new(node), access_log_stop, ops, local, services, clock, lock })
    }
}

/// The Redis that the environment names, by which nodes share their limits.
fn redis() -> Result<Option<Redis>, Failure> {
    let url = env::secret("REDIS_URL").map_err(Failure::failed)?;
    url.map(|url| Redis::new(&url)).transpose().map_err(Failure::failed)
}

/// By what nodes share their caches, where the environment names a Redis.
fn cache_shared(memory: &Memory, key_id: &str) -> Result<Option<SharedCacheOptions>, Failure> {
    let Some(url) = env::secret("REDIS_URL").map_err(Failure::failed)? else { return Ok(None) };
    let link = || RedisLink::new(&url, LINK_BOUNDS).map_err(Failure::failed);
    Ok(Some(SharedCacheOptions {
        links: [link()?, link()?, link()?],
        namespace: key_id.to_owned(),
        keyring: memory.keyring(),
        node: uuid::Uuid::new_v4().as_u128(),
    }))
}

/// What this node says of itself to the others.
fn report(arguments: &Up, setup: &Setup, clock: &SharedClock) -> NodeReport {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    NodeReport {
        id: uuid::Uuid::now_v7(),
        name: if name.is_empty() { "node".to_owned() } else { name },
        roles: match arguments.role {
            Role::All => "all".to_owned(),
            Role::Edge => "edge".to_owned(),
        },
        version: env!("CARGO_PKG_VERSION").to_owned(),
        manifest_hash: setup.input.hash.clone(),
        started_unix_ms: clock.unix_ms(),
    }
}

fn cores(manifest: &Manifest) -> usize {
    match usize::from(manifest.edge.cores) {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        chosen => chosen,
    }
}

fn access_format(manifest: &Manifest) -> AccessFormat {
    match manifest.telemetry.access_log {
        AccessLogFormat::Off => AccessFormat::Off,
        AccessLogFormat::Json => AccessFormat::Json,
        AccessLogFormat::Human => AccessFormat::Human,
        AccessLogFormat::Auto => AccessFormat::auto(std::io::stdout().is_terminal()),
    }
}

/// Sockets handed over come first, in the manifest's order; what is left to bind is bound.
fn listen(
    manifest: &Manifest,
    cores: usize,
    inherited: Vec<TcpListener>,
) -> Result<(Vec<Listener>, TcpListener), Failure> {
    let mut inherited = inherited.into_iter();
    let mut listeners = Vec::new();
    for address in &manifest.edge.listen {
        listeners.push(match inherited.next() {
            Some(socket) => Listener::inherit(socket, cores)
                .map_err(|error| Failure::Unavailable(format!("LISTEN_FDS: {error}")))?,
            None => Listener::bind(address.0, cores, "--listen")
                .map_err(|error| Failure::Unavailable(error.to_string()))?,
        });
    }
    let ops = match inherited.next() {
        Some(socket) => Listener::inherit(socket, 1)
            .map_err(|error| Failure::Unavailable(format!("LISTEN_FDS: {error}")))?,
        None => Listener::bind(manifest.ops.listen.0, 1, "--ops-listen")
            .map_err(|error| Failure::Unavailable(error.to_string()))?,
    };
    match ops.sockets.into_iter().next() {
        Some(socket) => Ok((listeners, socket)),
        None => Err(Failure::Unavailable("the ops listener has no socket".to_owned())),
    }
}

struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }
}

/// How the process was asked to stop.
enum Stop {
    Patiently,
    Promptly,
}

async fn serve(
    started: Started,
    arguments: &Up,
    source: &Source,
    setup: Setup,
) -> Result<(), Failure> {
    let Started { node, access_log_stop, ops, local, services, clock, mut lock } = started;
    let mut signals = Signals::new().map_err(Failure::failed)?;
    let (stop_ops, ops_stopped) = tokio::sync::watch::channel(false);
    let with_console = arguments.role == Role::All;
    let mut faces = JoinSet::new();
    faces.spawn(Arc::clone(&node).serve_ops(ops, with_console, ops_stopped.clone()));
    faces.spawn(Arc::clone(&node).serve_local(local, ops_stopped.clone()));
    faces.spawn(Arc::clone(&node).serve_services(services, ops_stopped.clone()));
    if let Some(smoke) = Smoke::of(&setup.input) {
        faces.spawn(smoke.run(Arc::clone(&node), ops_stopped.clone()));
    }
    if with_console {
        faces.spawn(observe::run(Arc::clone(&node), ops_stopped));
    }
    let edge = Arc::clone(&node.edge);
    faces.spawn(async move { edge.share_limits().await });
    let edge = Arc::clone(&node.edge);
    faces.spawn(async move { edge.share_cache().await });
    let stop =
        run_until_stopped(&node, &clock, &mut signals, arguments, source, setup, &mut lock).await;
    node.set_draining();
    let (deadline, asked) = (node.drain_deadline(), clock.now());
    tracing::info!(deadline_s = deadline.as_secs_f64(), "draining; a second signal stops at once");
    let drained = tokio::select! {
        drained = node.drain(deadline, matches!(stop, Stop::Patiently)) => Some(drained),
        _ = signals.terminate.recv() => None,
        _ = signals.interrupt.recv() => None,
    };
    let at_once = drained.is_none();
    // What a second signal cut is what was under way then.
    let ended = drained.unwrap_or_else(|| Drained {
        took: clock.now().since(asked),
        requests_cut: node.edge.in_flight(),
    });
    let outcome = match drained {
        Some(drained) if drained.requests_cut == 0 => {
            tracing::info!(took_s = drained.took.as_secs_f64(), "drained; no request was cut");
            Ok(())
        }
        Some(drained) => Err(Failure::Failed(format!(
            "stopped at the drain deadline with {} requests under way; raise [edge] drain_deadline",
            drained.requests_cut
        ))),
        None => Err(Failure::Failed("stopped at once by a second signal".to_owned())),
    };
    if !at_once {
        node.telemetry.stop().await;
    }
    stop_ops.send_replace(true);
    // What is being answered is answered; live pages are cut by the runtime's end.
    let left = async { while faces.join_next().await.is_some() {} };
    let _left_or_cut = tokio::time::timeout(OPS_SHUTDOWN, left).await.is_ok();
    node.memory.close("signal", ended).await;
    // A successor may have it now.
    drop(lock.take());
    if let Err(error) = access_log_stop.stop(ACCESS_LOG_FLUSH) {
        tracing::warn!(%error, "the last lines of the access log may be missing");
    }
    outcome
}

/// A successor's lock on the data directory, once the process before it has ended.
fn lock_if_free(lock: &mut Option<DataDirLock>, node: &Node) {
    if lock.is_none()
        && let Ok(directory) = DataDir::open(Some(node.data_dir()))
    {
        *lock = directory.lock().ok();
        if lock.is_some() {
            node.memory.own();
        }
    }
}

/// What goes on whatever is waited for: signals to stop are obeyed, and figures move on.
struct Beside<'a> {
    node: &'a Node,
    clock: &'a SharedClock,
    terminate: &'a mut Signal,
    interrupt: &'a mut Signal,
    lock: &'a mut Option<DataDirLock>,
    tick: Interval,
}

impl Beside<'_> {
    /// How the process was asked to stop. May be given up and awaited anew.
    async fn until_stopped(&mut self) -> Stop {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return Stop::Patiently,
                _ = self.interrupt.recv() => return Stop::Promptly,
                _ = self.tick.tick() => {
                    self.node.tick(self.clock.now());
                    lock_if_free(self.lock, self.node);
                }
            }
        }
    }
}

async fn run_until_stopped(
    node: &Node,
    clock: &SharedClock,
    signals: &mut Signals,
    arguments: &Up,
    source: &Source,
    setup: Setup,
    lock: &mut Option<DataDirLock>,
) -> Stop {
    let Signals { hangup, terminate, interrupt } = signals;
    let tick = tokio::time::interval(TICK);
    let mut beside = Beside { node, clock, terminate, interrupt, lock, tick };
    let mut watched = Watched::new(setup.files, setup.read_since_unix_ms);
    // Why the last change was refused. It may be mended by a file that nobody watches yet, such as
    // a contract that was missing, so it is tried again at each look.
    let mut refused: Option<Vec<String>> = None;
    let mut look = tokio::time::interval(LOOK_EVERY);
    loop {
        let asked = tokio::select! {
            stop = beside.until_stopped() => return stop,
            _ = hangup.recv() => true,
            _ = look.tick() => {
                if !watched.changed() && refused.is_none() {
                    continue;
                }
                false
            }
        };
        match source.load(node.data_dir(), &overrides(arguments)) {
            Ok(fresh) => {
                watched = Watched::new(fresh.files, fresh.read_since_unix_ms);
                refused = None;
                // It may wait for the keys of a new issuer, and is given up where that is too long.
                tokio::select! {
                    stop = beside.until_stopped() => return stop,
                    () = node.reload(&fresh.input) => {}
                }
            }
            Err(faults) => {
                let faults = lines(&faults);
                if asked || refused.as_ref() != Some(&faults) {
                    node.reload_refused(&faults);
                }
                refused = Some(faults);
            }
        }
    }
}
