//! The thread that starts Postgres, starts it again when it dies, and stops it.
//!
//! It is one thread from the first start to the last stop, because the kernel ends Postgres when
//! the thread that started it ends.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::Duration;

use plimsoll_base::{Clock as _, Deadline, Nanos, SystemClock};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process};
use tokio::sync::watch;

use crate::cluster::binaries::clean_command;
use crate::cluster::error::ClusterError;
use crate::cluster::layout::socket_in;
use crate::cluster::log::BoundedLog;
use crate::cluster::prepare::Prepared;
use crate::cluster::spawn::{as_user, end_with_us};
use crate::cluster::{ClusterState, ping, processes};

/// Messages waiting for the thread, at most.
pub(crate) const EVENTS_MAX: usize = 16;
/// Between two looks while it starts.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Between two looks at the size of the log.
const LOG_LOOK_EVERY: Duration = Duration::from_secs(2);
/// Before the second restart in a row; the first is at once, each further waits twice as long …
const BACK_OFF: Duration = Duration::from_millis(100);
/// … up to this: also after many in a row it is back within five seconds.
const BACK_OFF_MAX: Duration = Duration::from_secs(2);
/// After this long without a death, the next restart is a first one again.
const CALM_AFTER: Duration = Duration::from_secs(30);
/// Starts tried while something transient stands in the way, and how long apart.
const FIRST_STARTS_MAX: u32 = 20;
const FIRST_STARTS_APART: Duration = Duration::from_millis(250);
/// How long it may take to end after SIGQUIT, and again after SIGKILL.
const QUIT_WITHIN: Duration = Duration::from_secs(5);

/// Before it replays anything, Postgres makes sure that all of the data is on the disk: file by
/// file, which takes seconds for the thousand files of a fresh cluster, or by one call.
#[cfg(target_os = "linux")]
const INIT_SYNC: &str = "syncfs";
#[cfg(not(target_os = "linux"))]
const INIT_SYNC: &str = "fsync";

/// What the thread is told.
#[derive(Debug)]
pub(crate) enum Event {
    /// Stop Postgres, and end.
    Stop,
    /// The process that was started as number so-and-so ended.
    Ended(u32),
}

/// How it is run.
#[derive(Debug)]
pub(crate) struct Terms {
    pub(crate) settings: Vec<(String, String)>,
    pub(crate) start_within: Duration,
    pub(crate) stop_within: Duration,
}

/// The supervisor, on its thread.
pub(crate) struct Supervisor {
    prepared: Prepared,
    terms: Terms,
    log: BoundedLog,
    clock: SystemClock,
    events: Receiver<Event>,
    sender: SyncSender<Event>,
    state: watch::Sender<ClusterState>,
    /// The process id of the postmaster, 0 while there is none.
    postmaster: Arc<AtomicU32>,
    started: u32,
}

struct Running {
    child: Child,
    number: u32,
    since: Nanos,
    log_from: u64,
}

enum Launch {
    Ready(Running),
    Stopped,
    Failed(ClusterError),
}

impl Supervisor {
    pub(crate) fn new(
        prepared: Prepared,
        terms: Terms,
        (sender, events): (SyncSender<Event>, Receiver<Event>),
        state: watch::Sender<ClusterState>,
        postmaster: Arc<AtomicU32>,
    ) -> Self {
        let log = BoundedLog::new(prepared.layout.log());
        let clock = SystemClock::new();
        Self { prepared, terms, log, clock, events, sender, state, postmaster, started: 0 }
    }

    /// Starts for the first time, says how that went, then watches until it is told to stop.
    pub(crate) fn run(mut self, report: impl FnOnce(Result<(), ClusterError>)) {
        let mut running = match self.first_launch() {
            Launch::Ready(running) => running,
            Launch::Stopped => return report(Err(ClusterError::Stopped)),
            Launch::Failed(error) => return report(Err(error)),
        };
        self.publish(ClusterState::Ready);
        report(Ok(()));
        let mut deaths = 0_u32;
        loop {
            if !self.watch(&mut running) {
                break self.stop(running);
            }
            if self.clock.now().since(running.since) > CALM_AFTER {
                deaths = 0;
            }
            deaths += 1;
            let why = self.describe_end(&mut running);
            tracing::warn!(why, deaths, "the private database ended; it is started again");
            self.publish(ClusterState::Down { why });
            match self.relaunch(deaths) {
                Some(again) => running = again,
                None => break,
            }
            tracing::info!("the private database is back");
            self.publish(ClusterState::Ready);
        }
        self.publish(ClusterState::Stopped);
    }

    fn publish(&self, state: ClusterState) {
        self.state.send_replace(state);
    }

    /// What stands in the way of a first start may be the last of a process that was killed: it is
    /// tried again for a bounded time.
    fn first_launch(&mut self) -> Launch {
        let mut tries = 1;
        loop {
            match self.launch() {
                Launch::Failed(error) if tries < FIRST_STARTS_MAX && is_transient(&error) => {
                    tracing::debug!(%error, tries, "trying again");
                }
                other => return other,
            }
            tries += 1;
            if !self.pause(FIRST_STARTS_APART) {
                return Launch::Stopped;
            }
        }
    }

    /// Starts again for as long as it takes; `None` when told to stop.
    fn relaunch(&mut self, deaths: u32) -> Option<Running> {
        let mut tries = deaths;
        loop {
            let wait = match tries {
                0 | 1 => Duration::ZERO,
                more => BACK_OFF.saturating_mul(1 << (more - 2).min(10)).min(BACK_OFF_MAX),
            };
            if !wait.is_zero() && !self.pause(wait) {
                return None;
            }
            match self.launch() {
                Launch::Ready(running) => return Some(running),
                Launch::Stopped => return None,
                Launch::Failed(error) => {
                    tracing::warn!(%error, "the private database does not start");
                    self.publish(ClusterState::Down { why: error.to_string() });
                }
            }
            tries = tries.saturating_add(1);
        }
    }

    /// Waits; false when told to stop meanwhile.
    fn pause(&self, wait: Duration) -> bool {
        let until = Deadline::after(self.clock.now(), wait);
        loop {
            match self.events.recv_timeout(until.left(self.clock.now())) {
                Ok(Event::Stop) => return false,
                Ok(Event::Ended(_)) => {}
                Err(RecvTimeoutError::Timeout) => return true,
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
    }

    fn launch(&mut self) -> Launch {
        let data = self.prepared.layout.data();
        processes::collect_adopted();
        if let Err(error) = processes::clear(&data, &self.prepared.socket_dir) {
            return Launch::Failed(error);
        }
        let mut running = match self.spawn() {
            Ok(running) => running,
            Err(error) => return Launch::Failed(error),
        };
        let socket = socket_in(&self.prepared.socket_dir);
        let deadline = Deadline::after(self.clock.now(), self.terms.start_within);
        loop {
            match self.events.recv_timeout(LOOK_EVERY) {
                Ok(Event::Ended(number)) if number == running.number => {
                    self.describe_end(&mut running);
                    let said = self.log.said_since(running.log_from);
                    return Launch::Failed(self.start_error(said));
                }
                Ok(Event::Ended(_)) => {}
                Ok(Event::Stop) | Err(RecvTimeoutError::Disconnected) => {
                    self.stop(running);
                    return Launch::Stopped;
                }
                Err(RecvTimeoutError::Timeout) if says_ready(&data) && ping::accepts(&socket) => {
                    return Launch::Ready(running);
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
            if deadline.left(self.clock.now()).is_zero() {
                let said = self.log.said_since(running.log_from);
                self.stop(running);
                let within = self.terms.start_within.as_secs();
                let said = format!("no connection within {within} s: {said}");
                return Launch::Failed(self.start_error(said));
            }
        }
    }

    fn start_error(&self, said: String) -> ClusterError {
        if said.contains("No space left on device") {
            return ClusterError::DiskFull {
                path: self.prepared.layout.root.clone(),
                detail: said,
            };
        }
        ClusterError::Start { said, log: self.log.path().to_owned() }
    }

    fn spawn(&mut self) -> Result<Running, ClusterError> {
        let log_refused = |source| ClusterError::file(self.log.path(), source);
        self.log.rotate().map_err(log_refused)?;
        let log_from = self.log.len();
        let log = self.log.open().map_err(log_refused)?;
        let program = self.prepared.binaries.program("postgres");
        let data = self.prepared.layout.data();
        let mut command = clean_command(&program);
        command.arg("-D").arg(&data).current_dir(&data);
        for (name, value) in self.settings() {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        command.stdout(Stdio::null()).stderr(log);
        as_user(&mut command, &self.prepared.run_as);
        end_with_us(&mut command, Signal::INT);
        // Ctrl-C reaches all processes of a terminal's group, and this one has to end last.
        command.process_group(0);
        let mut child =
            command.spawn().map_err(|source| ClusterError::Run { path: program, source })?;
        self.started = self.started.wrapping_add(1);
        let number = self.started;
        if let Err(source) = self.tell_when_ended(&child, number) {
            let pid = child.id();
            if let Err(error) = child.kill().and_then(|()| child.wait()) {
                tracing::warn!(%error, pid, "could not be ended");
            }
            return Err(ClusterError::Watch { source });
        }
        self.postmaster.store(child.id(), Ordering::Release);
        Ok(Running { child, number, since: self.clock.now(), log_from })
    }

    /// A thread that sleeps until the process has ended and says so. It leaves the process to be
    /// collected by us, so that its id cannot be given out again while we may still signal it.
    fn tell_when_ended(&self, child: &Child, number: u32) -> io::Result<()> {
        let pid = pid_of(child).ok_or(io::ErrorKind::NotFound)?;
        let sender = self.sender.clone();
        let wait = move || {
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            while rustix::process::waitid(WaitId::Pid(pid), options)
                .is_err_and(|error| error == rustix::io::Errno::INTR)
            {}
            if sender.send(Event::Ended(number)).is_err() {
                tracing::debug!("nobody waits for the private database any more");
            }
        };
        let name = "postgres-wait".to_owned();
        std::thread::Builder::new().name(name).stack_size(128 * 1024).spawn(wait).map(drop)
    }

    /// Waits until Postgres dies (true) or is to be stopped (false).
    fn watch(&self, running: &mut Running) -> bool {
        loop {
            match self.events.recv_timeout(LOG_LOOK_EVERY) {
                Ok(Event::Ended(number)) if number == running.number => return true,
                Ok(Event::Stop) | Err(RecvTimeoutError::Disconnected) => return false,
                Ok(Event::Ended(_)) => {}
                Err(RecvTimeoutError::Timeout) => {
                    if let Err(error) = self.log.rotate() {
                        tracing::warn!(%error, "Postgres's log cannot be kept small");
                    }
                }
            }
        }
    }

    /// Collects a process that ended, and says how it did.
    fn describe_end(&self, running: &mut Running) -> String {
        self.postmaster.store(0, Ordering::Release);
        let how = match running.child.wait() {
            Ok(status) => ended_how(status),
            Err(error) => format!("ended ({error})"),
        };
        let said = self.log.said_since(running.log_from.max(self.log.len().saturating_sub(4_096)));
        format!("Postgres {how}; {said}")
    }

    /// Fast shutdown, then immediate, then by force, each for a bounded time.
    fn stop(&self, mut running: Running) {
        for (signal, within) in [
            (Signal::INT, self.terms.stop_within),
            (Signal::QUIT, QUIT_WITHIN),
            (Signal::KILL, QUIT_WITHIN),
        ] {
            if let Some(pid) = pid_of(&running.child)
                && let Err(error) = kill_process(pid, signal)
            {
                tracing::debug!(%error, "no signal sent to Postgres");
            }
            if self.ended_within(&running, within) {
                break;
            }
            tracing::warn!(?signal, "Postgres does not stop; next it is told so more firmly");
        }
        self.postmaster.store(0, Ordering::Release);
        if let Err(error) = running.child.wait() {
            tracing::warn!(%error, "Postgres could not be collected");
        }
    }

    fn ended_within(&self, running: &Running, within: Duration) -> bool {
        let until = Deadline::after(self.clock.now(), within);
        loop {
            match self.events.recv_timeout(until.left(self.clock.now())) {
                Ok(Event::Ended(number)) if number == running.number => return true,
                Ok(_) => {}
                Err(_) => return false,
            }
        }
    }

    /// What we decide stands on the command line, where it outweighs every file.
    fn settings(&self) -> Vec<(String, String)> {
        // A list of folders: quoted, because a comma or a blank in the path would divide it.
        let socket_dir = self.prepared.socket_dir.display().to_string().replace('"', "\"\"");
        let ours = [
            ("listen_addresses", String::new()),
            ("port", "5432".to_owned()),
            ("unix_socket_directories", format!("\"{socket_dir}\"")),
            // Changing it later would need a restart, and change feeds need it.
            ("wal_level", "logical".to_owned()),
            // A slot that somebody forgot must not fill the disk.
            ("max_slot_wal_keep_size", "1GB".to_owned()),
            // Little to replay after a kill, so that it is back within seconds.
            ("max_wal_size", "256MB".to_owned()),
            ("checkpoint_warning", "0".to_owned()),
            ("wal_compression", "on".to_owned()),
            ("recovery_init_sync_method", INIT_SYNC.to_owned()),
            ("fsync", "on".to_owned()),
            ("full_page_writes", "on".to_owned()),
            ("max_connections", "100".to_owned()),
            ("shared_buffers", "128MB".to_owned()),
            ("jit", "off".to_owned()),
            ("log_destination", "stderr".to_owned()),
            ("logging_collector", "off".to_owned()),
            ("log_line_prefix", "%m [%p] %q%u@%d ".to_owned()),
            ("log_timezone", "UTC".to_owned()),
            ("timezone", "UTC".to_owned()),
        ];
        let ours = ours.into_iter().map(|(name, value)| (name.to_owned(), value));
        ours.chain(self.terms.settings.iter().cloned()).collect()
    }
}

/// Whether the postmaster's file says so: asking before would fill the log with refusals.
fn says_ready(data: &Path) -> bool {
    std::fs::read_to_string(data.join("postmaster.pid"))
        .is_ok_and(|text| text.lines().nth(7).is_some_and(|status| status.trim() == "ready"))
}

fn pid_of(child: &Child) -> Option<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw)
}

fn ended_how(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with status {code}"),
        (None, Some(signal)) => format!("was killed by signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}

/// What a process that is still on its way out makes Postgres say.
fn is_transient(error: &ClusterError) -> bool {
    let ClusterError::Start { said, .. } = error else { return false };
    ["already exists", "still in use", "is another"].iter().any(|words| said.contains(words))
}

/// Where the cluster's socket and log lie, for those who ask.
pub(crate) fn places(prepared: &Prepared) -> (PathBuf, PathBuf) {
    (prepared.socket_dir.clone(), prepared.layout.log())
}
