//! One edge core: a thread with a runtime of its own that accepts, serves and forwards. A request
//! never leaves the core that accepted it; only short CPU and edge I/O run here.

use std::io;
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption, Cache};
use http::HeaderValue;
use plimsoll_base::SharedClock;
use plimsoll_telemetry::{
    AccessWriter, ConnectionRefusal, Counter, Metrics, MetricsOptions, Shard,
};
use plimsoll_writes::{Resent, Writes};
use tokio::sync::watch;

use crate::body::Place;
use crate::config::Config;
use crate::conn;
use crate::connections::Connections;
use crate::deny::DenySet;
use crate::exchange::Names;
use crate::itself::OwnConnection;
use crate::steps::audit::AuditSink;
use crate::tasks::{Kind, Tasks};
use crate::upstream;

/// How often a core does its housekeeping: flush the access log, close idle upstream connections.
const HOUSEKEEPING_EVERY: Duration = Duration::from_millis(100);

/// How many housekeeping rounds pass between two sweeps of idle connections and limit keys.
const SWEEP_ROUNDS: u32 = 10;

/// Names that a core looks up at once; the look-ups of a name server that is gone wait in a queue,
/// and their requests give up at the connect timeout.
const NAME_LOOKUPS_MAX: usize = 4;

/// How long a core waits when the machine has no file descriptor left for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Where the process stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Accepting and serving.
    Serving,
    /// No longer accepting; what is under way finishes.
    Draining,
    /// The drain is nearly over; streams that have no end of their own are ended.
    Ending,
    /// The drain is over; what is left is cut.
    Stopped,
}

/// What all cores share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Arc<ArcSwap<Config>>,
    /// The phase is past [`Phase::Serving`]; what every answer asks, without the lock of a watch.
    pub(crate) draining: AtomicBool,
    pub(crate) connections: Arc<Connections>,
    /// Who is no client.
    pub(crate) own: OwnConnection,
    /// A rehearsal asks the same.
    pub(crate) deny: Arc<DenySet>,
    /// Where the bodies of keyed writes are held.
    pub(crate) held: Arc<Place>,
    /// Connections that hold bytes of an answer which the client has not taken yet.
    pub(crate) unflushed: Arc<AtomicU32>,
    /// What `Plimsoll-Status` says; nothing before the state is known.
    pub(crate) status: Arc<ArcSwapOption<HeaderValue>>,
    /// Which writes are sent again without a key.
    pub(crate) resent: Resent,
    /// One a core: requests begun and ended, on cache lines of their own.
    pub(crate) load: Vec<Load>,
}

/// Requests of one core.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct Load {
    begun: AtomicU64,
    ended: AtomicU64,
}

impl Load {
    pub(crate) fn begin(&self) {
        self.begun.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn end(&self) {
        self.ended.fetch_add(1, Ordering::Relaxed);
    }
}

impl Shared {
    /// Requests begun since the start, and those not ended.
    pub(crate) fn requests(&self) -> (u64, u64) {
        // Ended is read first: a request that ends in between must not make the rest negative.
        let ended: u64 = self.load.iter().map(|l| l.ended.load(Ordering::Acquire)).sum();
        let begun: u64 = self.load.iter().map(|l| l.begun.load(Ordering::Acquire)).sum();
        (begun, begun.saturating_sub(ended))
    }
}

/// One core, as everything that runs on it sees it.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) index: usize,
    pub(crate) clock: SharedClock,
    pub(crate) tasks: Tasks,
    pub(crate) shared: Arc<Shared>,
    pub(crate) shard: Arc<Shard>,
    pub(crate) phase: watch::Receiver<Phase>,
    pub(crate) access: Option<Mutex<AccessWriter>>,
    pub(crate) names: Names,
    pub(crate) audit: Option<AuditSink>,
    pub(crate) writes: Option<Writes>,
    /// The configuration this core saw last. Housekeeping looks anew every second, so that a core
    /// without requests does not hold on to one that was replaced.
    config: Mutex<Cache<Arc<ArcSwap<Config>>, Arc<Config>>>,
    random: Mutex<fastrand::Rng>,
}

impl Core {
    /// A core on which nothing runs, for requests that no client sent: it acts on the same
    /// configuration and revocations, and counts where nobody looks.
    pub(crate) fn for_rehearsals(
        running: &Shared,
        clock: &SharedClock,
        phase: watch::Receiver<Phase>,
    ) -> Arc<Self> {
        let uncounted =
            Metrics::new(MetricsOptions { series_max: 16, ..MetricsOptions::default() });
        let shared = Shared {
            config: Arc::clone(&running.config),
            draining: AtomicBool::new(false),
            connections: Arc::default(),
            own: OwnConnection::default(),
            deny: Arc::clone(&running.deny),
            held: Arc::clone(&running.held),
            unflushed: Arc::default(),
            status: Arc::default(),
            resent: Resent::new(1),
            load: vec![Load::default()],
        };
        Arc::new(Self {
            index: 0,
            config: Mutex::new(Cache::new(Arc::clone(&running.config))),
            clock: Arc::clone(clock),
            tasks: Tasks::default(),
            shared: Arc::new(shared),
            shard: uncounted.shard(0),
            phase,
            access: None,
            names: Names::default(),
            audit: None,
            writes: None,
            random: Mutex::new(fastrand::Rng::new()),
        })
    }

    /// The configuration in force now. A request takes it once and keeps it to its end.
    pub(crate) fn config(&self) -> Arc<Config> {
        Arc::clone(self.config.lock().unwrap_or_else(PoisonError::into_inner).load())
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.shared.draining.load(Ordering::Relaxed)
    }

    pub(crate) fn load(&self) -> &Load {
        &self.shared.load[self.index]
    }

    pub(crate) fn random_u64(&self) -> u64 {
        self.random.lock().unwrap_or_else(PoisonError::into_inner).u64(..)
    }

    /// Random bits for ids; not for secrets.
    pub(crate) fn random(&self) -> u128 {
        self.random.lock().unwrap_or_else(PoisonError::into_inner).u128(..)
    }
}

/// A socket of this core and how its clients are greeted.
#[derive(Debug)]
pub(crate) struct CoreListener {
    pub(crate) socket: TcpListener,
    pub(crate) inherited: bool,
}

/// What a core is started with.
pub(crate) struct CoreOptions {
    pub(crate) index: usize,
    pub(crate) clock: SharedClock,
    pub(crate) tasks: Tasks,
    pub(crate) shared: Arc<Shared>,
    pub(crate) shard: Arc<Shard>,
    pub(crate) phase: watch::Receiver<Phase>,
    pub(crate) access: Option<AccessWriter>,
    pub(crate) audit: Option<AuditSink>,
    pub(crate) writes: Option<Writes>,
    pub(crate) listeners: Vec<CoreListener>,
}

/// Starts the thread of a core; it ends when the phase is [`Phase::Stopped`].
pub(crate) fn start(options: CoreOptions) -> io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .event_interval(61)
        .max_blocking_threads(NAME_LOOKUPS_MAX)
        .build()?;
    let name = format!("edge-{}", options.index);
    std::thread::Builder::new().name(name).spawn(move || {
        runtime.block_on(run(options));
        // Whatever is left was given its time; blocking name lookups must not hold the exit.
        runtime.shutdown_background();
    })
}

async fn run(options: CoreOptions) {
    let listeners = options.listeners;
    let CoreOptions { index, clock, tasks, shared, shard, phase, access, audit, writes, .. } =
        options;
    let mut until = phase.clone();
    let config = Mutex::new(Cache::new(Arc::clone(&shared.config)));
    let core = Arc::new(Core {
        index,
        config,
        clock,
        tasks,
        shared,
        shard,
        phase,
        access: access.map(Mutex::new),
        audit,
        writes,
        names: Names::default(),
        random: Mutex::new(fastrand::Rng::new()),
    });
    for listener in listeners {
        let core = Arc::clone(&core);
        let tasks = core.tasks.clone();
        tasks.spawn(Kind::Housekeeping, accept(core, listener));
    }
    let tasks = core.tasks.clone();
    tasks.spawn(Kind::Housekeeping, housekeeping(Arc::clone(&core)));
    // The sender lives as long as the handle; a dropped handle means stop, too.
    let _stopped_or_gone = until.wait_for(|phase| *phase == Phase::Stopped).await.is_ok();
    flush_access_log(&core);
}

async fn accept(core: Arc<Core>, listener: CoreListener) {
    let socket = match tokio::net::TcpListener::from_std(listener.socket) {
        Ok(socket) => socket,
        Err(error) => {
            tracing::error!(%error, "a listening socket cannot be used");
            return;
        }
    };
    let mut phase = core.phase.clone();
    loop {
        let accepted = tokio::select! {
            biased;
            _ = phase.wait_for(|phase| *phase != Phase::Serving) => break,
            accepted = socket.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => take(&core, stream, peer),
            Err(error) => {
                if !is_of_one_connection(&error) {
                    core.shard.count(Counter::ConnectionRefused(ConnectionRefusal::Descriptors));
                    tracing::warn!(%error, "cannot accept; raise the limit on open files");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
    if !listener.inherited {
        // Nobody takes over this queue: who is in it already has a connection and must be served.
        while let Ok(Ok((stream, peer))) =
            tokio::time::timeout(Duration::ZERO, socket.accept()).await
        {
            take(&core, stream, peer);
        }
    }
}

fn take(core: &Arc<Core>, stream: tokio::net::TcpStream, peer: std::net::SocketAddr) {
    let tls = core.config().tls.clone();
    let serving = conn::serve(Arc::clone(core), stream, peer, tls);
    core.tasks.spawn(Kind::Connection, serving);
}

/// Errors that concern the connection that was to be accepted, not the listener (accept(2)).
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
}

async fn housekeeping(core: Arc<Core>) {
    let mut rounds = 0u32;
    loop {
        tokio::time::sleep(HOUSEKEEPING_EVERY).await;
        flush_access_log(&core);
        if core.index == 0 {
            upstream::look(&core);
            look_at_queues(&core);
        }
        rounds = rounds.wrapping_add(1);
        if rounds.is_multiple_of(SWEEP_ROUNDS) {
            let now = core.clock.now();
            let config = core.config();
            for endpoint in config.endpoints() {
                endpoint.sweep(core.index, now);
            }
            if core.index == 0 {
                config.limits.sweep(now);
                config.unverified.sweep(now);
                if let Some(installations) = &config.installations {
                    installations.sweep(now);
                }
            }
        }
    }
}

/// Whoever may not wait any longer is told, also where no answer ends.
fn look_at_queues(core: &Core) {
    for service in &core.config().services {
        if let Some((gate, _)) = &service.admission {
            gate.look();
        }
    }
}

fn flush_access_log(core: &Core) {
    if let Some(writer) = &core.access {
        writer.lock().unwrap_or_else(PoisonError::into_inner).flush();
    }
}
