//! Plimsoll as a running process.

use std::fs::{File, Permissions};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use plimsoll_base::{Clock as _, Deadline, SystemClock};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::balancer::Balancer;
use crate::client::RawClient;
use crate::fleet::{SharedState, nodes_wanted};
use crate::ports::free_addr;
use crate::process::ProcessFacts;
use crate::seed;

/// How a process is started.
#[derive(Debug, Default)]
pub struct PlimsollOptions {
    /// The binary; [`crate::binary::plimsoll`] when `None`.
    pub binary: Option<PathBuf>,
    /// Text of a manifest, written to the working directory and passed with `--manifest`.
    pub manifest: Option<String>,
    /// Further files of the working directory, by name (contracts, key sets, certificates).
    pub files: Vec<(String, Vec<u8>)>,
    /// Arguments after `plimsoll up`, beside those that the other options make.
    pub args: Vec<String>,
    /// Environment variables.
    pub env: Vec<(String, String)>,
    /// Where the edge listens, by its arguments; when `None` that of the inherited socket, else a
    /// free port.
    pub listen: Option<SocketAddr>,
    /// Where the ops listener listens; a free port when `None`.
    pub ops_listen: Option<SocketAddr>,
    /// Sockets handed over as `LISTEN_FDS`, at most two: the edge's, and the ops listener's.
    pub inherited: Vec<TcpListener>,
    /// The data directory; one of its own that goes with the process when `None`.
    pub data_dir: Option<PathBuf>,
    /// Whether the data directory is left as it is: without it, one without a cluster gets one that
    /// was made before.
    pub unseeded: bool,
    /// How long it may take until `/readyz` answers 200; 20 s when `None`.
    pub ready_within: Option<Duration>,
    /// One process, however many nodes the test run wants: it counts exactly, or looks into it.
    pub one_node: bool,
    /// Start only; do not wait until it is ready.
    pub no_wait: bool,
}

impl PlimsollOptions {
    /// Whether nothing here speaks of one process: its sockets, its data, how it starts.
    fn leaves_room_for_others(&self) -> bool {
        if self.one_node {
            return false;
        }
        let sockets = self.listen.is_none() && self.ops_listen.is_none();
        let data = self.data_dir.is_none() && !self.unseeded && self.env.is_empty();
        self.manifest.is_some() && sockets && data && self.inherited.is_empty() && !self.no_wait
    }
}

/// A running `plimsoll up`. It is killed when it is dropped.
#[derive(Debug)]
pub struct Plimsoll {
    child: Child,
    listen: SocketAddr,
    ops: SocketAddr,
    work: TempDir,
    data_dir: PathBuf,
    clock: SystemClock,
    fleet: Option<Fleet>,
}

/// The other nodes of a test run that wants several behind each address.
#[derive(Debug)]
struct Fleet {
    balancer: Balancer,
    others: Vec<Plimsoll>,
    _shared: SharedState,
}

/// Moves stdin and stdout, where the runner put the sockets, to the descriptors 3 and 4 that
/// `LISTEN_FDS` speaks of, and sets `LISTEN_PID`, which only the process itself can know.
const HAND_OVER: &str = r#"
exec 3<&0
if [ "$LISTEN_FDS" = 2 ]; then exec 4<&1; fi
exec 0</dev/null 1>>"$PLIMSOLL_TEST_STDOUT"
unset PLIMSOLL_TEST_STDOUT
LISTEN_PID=$$; export LISTEN_PID
exec "$0" "$@"
"#;

impl Plimsoll {
    /// Starts `plimsoll up` and waits until it is ready. Where the test run wants several nodes
    /// ([`nodes_wanted`](crate::nodes_wanted)) and the options leave them room, as many are
    /// started, and [`Plimsoll::addr`] is that of a balancer.
    ///
    /// # Errors
    /// When it cannot be started, ends, or is not ready in time; the text has what it wrote.
    pub fn start(options: &PlimsollOptions) -> io::Result<Self> {
        match nodes_wanted() {
            nodes @ 2.. if options.leaves_room_for_others() => Self::fleet(options, nodes),
            _ => Self::one(options),
        }
    }

    fn fleet(options: &PlimsollOptions, nodes: usize) -> io::Result<Self> {
        let shared = SharedState::start()?;
        let mut started = Vec::new();
        for _ in 0..nodes {
            started.push(Self::one(&PlimsollOptions {
                manifest: options.manifest.clone(),
                files: options.files.clone(),
                args: options.args.clone(),
                env: [options.env.clone(), shared.env()].concat(),
                unseeded: true,
                ready_within: Some(Duration::from_secs(60)),
                ..PlimsollOptions::default()
            })?);
        }
        let balancer = Balancer::start(started.iter().map(|node| node.listen).collect())?;
        let mut first = started.remove(0);
        first.fleet = Some(Fleet { balancer, others: started, _shared: shared });
        Ok(first)
    }

    fn one(options: &PlimsollOptions) -> io::Result<Self> {
        let work = tempfile::Builder::new().prefix("plimsoll-test-").tempdir_in(seed::place())?;
        for (name, bytes) in &options.files {
            std::fs::write(work.path().join(name), bytes)?;
        }
        // As root, Postgres runs as another user, who has to get through to the data directory.
        std::fs::set_permissions(work.path(), Permissions::from_mode(0o711))?;
        let data_dir = options.data_dir.clone().unwrap_or_else(|| work.path().join("data"));
        if !options.unseeded && !data_dir.join("postgres").exists() {
            seed::seed(&data_dir)?;
        }
        let address =
            |nth: usize, wanted: Option<SocketAddr>| match (wanted, options.inherited.get(nth)) {
                (Some(wanted), _) => Ok(wanted),
                (None, Some(listener)) => listener.local_addr(),
                (None, None) => free_addr(),
            };
        let (listen, ops) = (address(0, options.listen)?, address(1, options.ops_listen)?);
        let mut args = vec!["up".to_owned()];
        if let Some(text) = &options.manifest {
            let path = work.path().join("plimsoll.toml");
            std::fs::write(&path, text)?;
            args.extend(["--manifest".into(), path.display().to_string()]);
        }
        args.extend(["--data-dir".into(), data_dir.display().to_string()]);
        args.extend(["--listen".into(), listen.to_string()]);
        args.extend(["--ops-listen".into(), ops.to_string()]);
        args.extend(options.args.iter().cloned());
        let child = spawn(options, &args, work.path())?;
        let clock = SystemClock::new();
        let mut running = Self { child, listen, ops, work, data_dir, clock, fleet: None };
        if !options.no_wait {
            running.wait_ready(options.ready_within.unwrap_or(Duration::from_secs(20)))?;
        }
        Ok(running)
    }

    /// Where the edge listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.fleet.as_ref().map_or(self.listen, |fleet| fleet.balancer.addr())
    }

    /// Where the ops listener listens.
    #[must_use]
    pub fn ops_addr(&self) -> SocketAddr {
        self.ops
    }

    /// Its working directory, with the manifest (`plimsoll.toml`) and the files of the options.
    #[must_use]
    pub fn work_dir(&self) -> &Path {
        self.work.path()
    }

    /// Its data directory.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What the kernel says about it.
    #[must_use]
    pub fn facts(&self) -> ProcessFacts {
        ProcessFacts::of(self.pid())
    }

    /// What it wrote to stderr so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        read_lossy(&self.work.path().join("stderr.log"))
    }

    /// What it wrote to stdout so far.
    #[must_use]
    pub fn stdout(&self) -> String {
        read_lossy(&self.work.path().join("stdout.log"))
    }

    /// Writes the manifest anew, in one step as an editor or a deployment does (rename).
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_manifest(&self, text: &str) -> io::Result<()> {
        let (new, path) =
            (self.work.path().join("new.toml"), self.work.path().join("plimsoll.toml"));
        std::fs::write(&new, text)?;
        std::fs::rename(new, path)
    }

    /// A connection to the edge.
    ///
    /// # Errors
    /// When it does not listen.
    pub fn client(&self) -> io::Result<RawClient> {
        RawClient::connect(self.addr()).map_err(io::Error::other)
    }

    /// `GET` on the ops listener: status and body.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn ops_get(&self, path: &str) -> io::Result<(u16, String)> {
        let mut client = RawClient::connect(self.ops).map_err(io::Error::other)?;
        let host = self.ops.to_string();
        let fields = [("host", host.as_str()), ("connection", "close")];
        let answer = client.get(path, &fields).map_err(io::Error::other)?;
        Ok((answer.status, answer.text()))
    }

    /// The value of one series of `/metrics`, by its whole name with labels as printed; the sum
    /// over all nodes.
    ///
    /// # Errors
    /// When the ops listener does not answer.
    pub fn metric(&self, series: &str) -> io::Result<Option<f64>> {
        let (_, text) = self.ops_get("/metrics")?;
        let value = |line: &str| -> Option<f64> {
            line.strip_prefix(series)?.strip_prefix(' ')?.trim().parse().ok()
        };
        let mut sum = text.lines().find_map(value);
        for node in self.fleet.iter().flat_map(|fleet| &fleet.others) {
            sum = sum.into_iter().chain(node.metric(series)?).reduce(|a, b| a + b);
        }
        Ok(sum)
    }

    /// Waits until `/readyz` answers 200.
    ///
    /// # Errors
    /// When it ends or is not ready in time; the text has what it wrote.
    pub fn wait_ready(&mut self, within: Duration) -> io::Result<()> {
        let deadline = Deadline::after(self.clock.now(), within);
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Err(self.told(&format!("it ended: {status}")));
            }
            if self.ops_get("/readyz").is_ok_and(|(status, _)| status == 200) {
                return Ok(());
            }
            if deadline.left(self.clock.now()).is_zero() {
                return Err(self.told(&format!("not ready within {within:?}")));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn told(&self, what: &str) -> io::Error {
        let tail = |text: String| text.lines().rev().take(30).collect::<Vec<_>>().join("\n");
        io::Error::other(format!(
            "plimsoll: {what}\nstderr, last line first:\n{}\nstdout:\n{}",
            tail(self.stderr()),
            tail(self.stdout())
        ))
    }

    /// Sends a signal to this process.
    ///
    /// # Errors
    /// When it is gone.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| io::Error::other("no process id"))?;
        Ok(kill_process(pid, signal)?)
    }

    /// Asks it to read its manifest again (SIGHUP).
    ///
    /// # Errors
    /// When it is gone.
    pub fn reload(&self) -> io::Result<()> {
        self.signal(Signal::HUP)
    }

    /// Waits until it has ended by itself; `None` when it has not within `within`.
    ///
    /// # Errors
    /// When the system cannot say.
    pub fn wait(&mut self, within: Duration) -> io::Result<Option<ExitStatus>> {
        let deadline = Deadline::after(self.clock.now(), within);
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(Some(status));
            }
            if deadline.left(self.clock.now()).is_zero() {
                return Ok(None);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// SIGTERM, and its exit status. When it has not ended within `within` it is killed, and that
    /// is the error.
    ///
    /// # Errors
    /// When it had to be killed.
    pub fn stop(&mut self, within: Duration) -> io::Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        if let Some(status) = self.wait(within)? {
            return Ok(status);
        }
        self.kill()?;
        Err(self.told(&format!("did not stop within {within:?} of SIGTERM")))
    }

    /// SIGKILL.
    ///
    /// # Errors
    /// When the system cannot.
    pub fn kill(&mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }
}

impl Drop for Plimsoll {
    fn drop(&mut self) {
        // Already ended is as good.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn spawn(options: &PlimsollOptions, args: &[String], work: &Path) -> io::Result<Child> {
    let binary = options.binary.clone().map_or_else(crate::binary::plimsoll, Ok)?;
    let stdout = work.join("stdout.log");
    let errors = File::options().create(true).append(true).open(work.join("stderr.log"))?;
    let mut command = if options.inherited.is_empty() {
        let mut command = Command::new(&binary);
        let out = File::options().create(true).append(true).open(&stdout)?;
        command.stdin(Stdio::null()).stdout(out);
        command
    } else {
        let mut sockets = options.inherited.iter().map(|l| l.try_clone().map(OwnedFd::from));
        let mut command = Command::new("/bin/sh");
        command.args(["-c", HAND_OVER]).arg(&binary);
        command.env("PLIMSOLL_TEST_STDOUT", &stdout);
        command.env("LISTEN_FDS", options.inherited.len().min(2).to_string());
        command.stdin(sockets.next().transpose()?.map_or_else(Stdio::null, Stdio::from));
        command.stdout(sockets.next().transpose()?.map_or_else(Stdio::null, Stdio::from));
        command
    };
    command.args(args).current_dir(work).stderr(errors);
    command.envs(options.env.iter().map(|(k, v)| (k, v)));
    command.spawn()
}

fn read_lossy(path: &Path) -> String {
    std::fs::read(path).map(|b| String::from_utf8_lossy(&b).into_owned()).unwrap_or_default()
}
