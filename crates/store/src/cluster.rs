//! The private cluster: a real Postgres that nobody installs by hand, over the binaries of this
//! machine.
//!
//! It listens on a Unix socket in a folder that only its user may enter, and on nothing else. A
//! thread of ours starts it, starts it again when it dies, and stops it; when we are killed, the
//! kernel tells it to stop (Linux), and the next start ends what is left of it. One process uses a
//! cluster at a time: a lock sees to that.

mod access;
mod binaries;
mod error;
mod layout;
mod log;
mod ping;
mod prepare;
mod processes;
mod roles;
mod spawn;
mod supervisor;
mod user;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use tokio::sync::{oneshot, watch};

pub use self::binaries::{Binaries, BinarySearch};
pub(crate) use self::binaries::{clean_command, install_command};
pub use self::error::ClusterError;
use self::layout::{Layout, socket_in};
pub(crate) use self::log::quote;
use self::supervisor::{EVENTS_MAX, Event, Supervisor, Terms, places};
use crate::connect::Local;

/// How the cluster is run.
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    /// The folder of the cluster: `postgres` in the data directory.
    pub directory: PathBuf,
    /// Where its binaries may be.
    pub search: BinarySearch,
    /// Settings of Postgres that outweigh ours, by name and value.
    pub settings: Vec<(String, String)>,
    /// How long another process may still hold the cluster: the kernel frees the lock of a killed
    /// one a little after its death.
    pub lock_wait: Duration,
    /// How long it may take until a connection is accepted, recovery included.
    pub start_within: Duration,
    /// How long it may take to stop before it is told more firmly.
    pub stop_within: Duration,
}

impl ClusterOptions {
    /// The cluster of that data directory, with the binaries of this machine.
    #[must_use]
    pub fn new(data_dir: &Path) -> Self {
        Self {
            directory: data_dir.join("postgres"),
            search: BinarySearch::of_this_machine(None),
            settings: Vec::new(),
            lock_wait: Duration::from_secs(3),
            start_within: Duration::from_secs(60),
            stop_within: Duration::from_secs(20),
        }
    }
}

/// What the cluster does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClusterState {
    /// It starts for the first time.
    Starting,
    /// It accepts connections.
    Ready,
    /// It died, and is being started again.
    Down {
        /// What happened, in words.
        why: String,
    },
    /// It was stopped.
    Stopped,
}

/// A cluster that runs, or is being started again. Dropping it stops it and waits for that; so
/// does [`Cluster::stop`], without blocking the thread.
#[derive(Debug)]
pub struct Cluster {
    local: Local,
    binaries: Binaries,
    log: PathBuf,
    state: watch::Receiver<ClusterState>,
    commands: SyncSender<Event>,
    postmaster: Arc<AtomicU32>,
    thread: Option<JoinHandle<()>>,
}

type Started = Result<(Local, Binaries, PathBuf), ClusterError>;

impl Cluster {
    /// Starts the cluster, making it first when it is not there, and prepares our roles and our
    /// database. Returns when connections are accepted.
    ///
    /// # Errors
    /// When it cannot be had; the text says what to do.
    pub async fn start(options: ClusterOptions) -> Result<Self, ClusterError> {
        let cluster = Self::start_bare(options).await?;
        roles::prepare(&cluster.local).await?;
        Ok(cluster)
    }

    /// The same without any role or database of ours: for tests, and for a restore.
    ///
    /// # Errors
    /// As [`Cluster::start`].
    pub async fn start_bare(options: ClusterOptions) -> Result<Self, ClusterError> {
        let (commands, events) = sync_channel(EVENTS_MAX);
        let (publish, state) = watch::channel(ClusterState::Starting);
        let (report, started) = oneshot::channel::<Started>();
        let postmaster = Arc::new(AtomicU32::new(0));
        let thread = {
            let (commands, postmaster) = (commands.clone(), Arc::clone(&postmaster));
            std::thread::Builder::new()
                .name("postgres".to_owned())
                .spawn(move || supervise(options, (commands, events), publish, postmaster, report))
                .map_err(|source| ClusterError::Watch { source })?
        };
        // Should the caller lose patience, this guard ends the thread.
        let mut guard = Ending { commands: Some(commands), thread: Some(thread) };
        let (local, binaries, log) = started.await.map_err(|_| ClusterError::Stopped)??;
        let (commands, thread) = (guard.commands.take(), guard.thread.take());
        let Some(commands) = commands else { return Err(ClusterError::Stopped) };
        Ok(Self { local, binaries, log, state, commands, postmaster, thread })
    }

    /// How `role` connects to `database`.
    #[must_use]
    pub fn connect_options(&self, role: &str, database: &str) -> PgConnectOptions {
        self.local.options(role, database)
    }

    /// A database of that name for somebody else's program, with a role of the same name that owns
    /// it; made when it is not there. Returns its URL, as libpq and its kin read it.
    ///
    /// # Errors
    /// When the name will not do, or the server refuses.
    pub async fn create_database(&self, name: &str) -> Result<String, ClusterError> {
        roles::create_database(&self.local, name).await
    }

    /// The cluster of that data directory while another process runs it: for a command beside a
    /// running server. `None` when none answers.
    #[must_use]
    pub fn of_running(data_dir: &Path) -> Option<RunningCluster> {
        let root = data_dir.join("postgres").canonicalize().ok()?;
        let socket_dir = Layout { root }.known_socket_dir();
        let answers = ping::accepts(&socket_in(&socket_dir));
        answers.then_some(RunningCluster { local: Local { socket_dir } })
    }

    /// What it does, as it changes.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<ClusterState> {
        self.state.clone()
    }

    /// The binaries that it runs.
    #[must_use]
    pub fn binaries(&self) -> &Binaries {
        &self.binaries
    }

    /// The folder of its socket.
    #[must_use]
    pub fn socket_dir(&self) -> &Path {
        &self.local.socket_dir
    }

    /// What Postgres says.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The process id of the postmaster; `None` while there is none.
    #[must_use]
    pub fn postmaster(&self) -> Option<u32> {
        Some(self.postmaster.load(Ordering::Acquire)).filter(|pid| *pid != 0)
    }

    /// Stops it: fast first, then more firmly, each for a bounded time. Returns when it has ended.
    pub async fn stop(mut self) {
        self.tell_to_stop();
        let mut state = self.state.clone();
        // An error means that the thread is gone, and Postgres with it.
        let _gone = state.wait_for(|state| *state == ClusterState::Stopped).await;
        drop(self.thread.take());
    }

    pub(crate) fn local(&self) -> &Local {
        &self.local
    }

    fn tell_to_stop(&self) {
        if self.commands.send(Event::Stop).is_err() {
            tracing::debug!("the private database has ended already");
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let thread = self.thread.take();
        if thread.is_some() {
            self.tell_to_stop();
        }
        join(thread);
    }
}

/// A cluster that another process runs.
#[derive(Debug, Clone)]
pub struct RunningCluster {
    local: Local,
}

impl RunningCluster {
    pub(crate) fn local(&self) -> &Local {
        &self.local
    }

    /// How `role` connects to `database`.
    #[must_use]
    pub fn connect_options(&self, role: &str, database: &str) -> PgConnectOptions {
        self.local.options(role, database)
    }

    /// The same as a URL, as libpq and its kin read it.
    #[must_use]
    pub fn url(&self, role: &str, database: &str) -> String {
        self.local.url(role, database)
    }

    /// See [`Cluster::create_database`].
    ///
    /// # Errors
    /// When the name will not do, or the server refuses.
    pub async fn create_database(&self, name: &str) -> Result<String, ClusterError> {
        roles::create_database(&self.local, name).await
    }
}

struct Ending {
    commands: Option<SyncSender<Event>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        if let Some(commands) = self.commands.take() {
            let _ended_already = commands.send(Event::Stop);
        }
        join(self.thread.take());
    }
}

fn join(thread: Option<JoinHandle<()>>) {
    if thread.is_some_and(|thread| thread.join().is_err()) {
        tracing::error!("the thread that watches over Postgres panicked");
    }
}

fn supervise(
    options: ClusterOptions,
    channel: (SyncSender<Event>, std::sync::mpsc::Receiver<Event>),
    state: watch::Sender<ClusterState>,
    postmaster: Arc<AtomicU32>,
    report: oneshot::Sender<Started>,
) {
    let prepared = prepare::prepare(&options.directory, &options.search, options.lock_wait);
    let prepared = match prepared {
        Ok(prepared) => prepared,
        Err(error) => {
            let _nobody_waits = report.send(Err(error));
            return;
        }
    };
    let (socket_dir, log) = places(&prepared);
    let binaries = prepared.binaries.clone();
    let terms = Terms {
        settings: options.settings,
        start_within: options.start_within,
        stop_within: options.stop_within,
    };
    Supervisor::new(prepared, terms, channel, state, postmaster).run(move |started| {
        let _nobody_waits = report.send(started.map(|()| (Local { socket_dir }, binaries, log)));
    });
}
