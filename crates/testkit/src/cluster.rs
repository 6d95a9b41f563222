//! A private cluster in a process of its own.

use std::io::{self, BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// How the process is started.
#[derive(Debug, Clone, Default)]
pub struct ClusterProcessOptions {
    /// The user and group to run as; ourselves when `None`.
    pub user: Option<(u32, u32)>,
    /// The largest file it may write, in bytes; none when `None`.
    pub file_bytes_max: Option<u64>,
}

/// `plimsoll-test-cluster` as a running process; killed when it is dropped.
#[derive(Debug)]
pub struct ClusterProcess {
    child: Child,
    postmaster: u32,
}

impl ClusterProcess {
    /// Starts it on that data directory, and waits until it is ready.
    ///
    /// # Errors
    /// When it cannot be started; when it refuses, the text is what it said.
    pub fn start(data_dir: &Path, options: &ClusterProcessOptions) -> io::Result<Self> {
        let program = crate::binary::test_cluster()?;
        let mut command = match options.file_bytes_max {
            None => Command::new(&program),
            Some(bytes) => limited(&program, bytes),
        };
        command.arg(data_dir).current_dir("/").stdin(Stdio::piped()).stdout(Stdio::piped());
        if let Some((uid, gid)) = options.user {
            command.uid(uid).gid(gid);
        }
        let mut child = command.spawn()?;
        let mut said = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut said)?;
        }
        match said.strip_prefix("ready ").and_then(|pid| pid.trim().parse().ok()) {
            Some(postmaster) => Ok(Self { child, postmaster }),
            None => {
                child.wait()?;
                Err(io::Error::other(said.trim_start_matches("refused: ").trim().to_owned()))
            }
        }
    }

    /// The process id of its postmaster.
    #[must_use]
    pub fn postmaster(&self) -> u32 {
        self.postmaster
    }

    /// Kills it (SIGKILL), as a crash would; its Postgres is left to itself.
    ///
    /// # Errors
    /// When it cannot be collected.
    pub fn kill(mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }

    /// Lets it stop in order, and waits for that.
    ///
    /// # Errors
    /// When it cannot be collected.
    pub fn stop(mut self) -> io::Result<()> {
        drop(self.child.stdin.take());
        self.child.wait().map(drop)
    }
}

impl Drop for ClusterProcess {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _collected = self.child.wait();
    }
}

/// Under a limit on the size of files, which the shell sets in blocks of 512 bytes or 1,024.
fn limited(program: &Path, bytes: u64) -> Command {
    let mut command = Command::new("bash");
    let script = "ulimit -f \"$1\"; shift; exec \"$@\"";
    command.args(["-c", script, "bash"]).arg((bytes / 1024).to_string()).arg(program);
    command
}

/// The living processes whose working directory is that folder, as is that of every process of a
/// Postgres and its data folder (Linux).
///
/// # Errors
/// When `/proc` cannot be read.
pub fn standing_in(folder: &Path) -> io::Result<Vec<u32>> {
    let folder: PathBuf = folder.canonicalize()?;
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let stands = std::fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd == folder);
        if stands {
            found.extend(entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()));
        }
    }
    Ok(found)
}
