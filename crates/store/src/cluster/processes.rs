//! What still runs on a data folder that nobody supervises: found by the folder it stands in,
//! never by a process id alone, since ids are given out again.

use std::io;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use plimsoll_base::{Clock as _, SystemClock};
use rustix::process::{Pid, Signal, kill_process};

use crate::cluster::error::ClusterError;

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// A Postgres that has lost its supervisor is told to stop after this long …
const ASK_AFTER: Duration = Duration::from_millis(300);
/// … to stop at once after this long, which leaves recovery to the next start …
const QUIT_AFTER: Duration = Duration::from_millis(2_000);
/// … and is killed after this long.
const KILL_AFTER: Duration = Duration::from_millis(3_000);
/// The same two steps for what a killed postmaster leaves behind: nobody can use it any more.
const QUIT_LEFT_AFTER: Duration = Duration::from_millis(300);
const KILL_LEFT_AFTER: Duration = Duration::from_millis(800);
/// When waiting ends.
const GIVE_UP_AFTER: Duration = Duration::from_secs(10);

/// Waits until no process stands in `data` any more, ending those that do, then removes what says
/// that one does. The caller holds the lock of the cluster, so that nothing of ours starts there.
pub(crate) fn clear(data: &Path, socket_dir: &Path) -> Result<(), ClusterError> {
    let pid_file = data.join("postmaster.pid");
    if !pid_file.exists() {
        return remove_sockets(socket_dir);
    }
    let postmaster = read_pid(&pid_file);
    let clock = SystemClock::new();
    let began = clock.now();
    let mut asked = false;
    loop {
        let Some(living) = standing_in(data) else {
            // No way to look: Postgres's own test of the file has to do.
            return Ok(());
        };
        let Some(first) = living.first() else { break };
        let waited = clock.now().since(began);
        if waited > GIVE_UP_AFTER {
            return Err(ClusterError::StillRunning {
                path: data.to_owned(),
                pid: postmaster.unwrap_or(*first).as_raw_nonzero().get().unsigned_abs(),
            });
        }
        let head = postmaster.filter(|pid| living.contains(pid));
        let (quit_after, kill_after) = match head {
            Some(_) => (QUIT_AFTER, KILL_AFTER),
            None => (QUIT_LEFT_AFTER, KILL_LEFT_AFTER),
        };
        match head {
            _ if waited >= kill_after => signal_all(&living, Signal::KILL),
            Some(pid) if waited >= quit_after => signal_all(&[pid], Signal::QUIT),
            None if waited >= quit_after => signal_all(&living, Signal::QUIT),
            Some(pid) if waited >= ASK_AFTER && !asked => {
                asked = true;
                signal_all(&[pid], Signal::INT);
            }
            _ => {}
        }
        sleep(LOOK_EVERY);
    }
    // Nothing stands there, whatever the file says: its id belongs to a zombie, to somebody
    // else's process, or to nobody.
    remove(&pid_file)?;
    remove_sockets(socket_dir)
}

/// Ends whatever still stands in a folder that is to be removed.
pub(crate) fn end_all(folder: &Path) {
    for _ in 0..100 {
        match standing_in(folder) {
            Some(living) if !living.is_empty() => signal_all(&living, Signal::KILL),
            _ => return,
        }
        sleep(LOOK_EVERY);
    }
}

/// The socket and its lock file name a process id as well, and are believed as readily.
fn remove_sockets(socket_dir: &Path) -> Result<(), ClusterError> {
    remove(&socket_dir.join(".s.PGSQL.5432.lock"))?;
    remove(&socket_dir.join(".s.PGSQL.5432"))
}

fn remove(path: &Path) -> Result<(), ClusterError> {
    match std::fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(ClusterError::file(path, source))
        }
        _ => Ok(()),
    }
}

fn read_pid(pid_file: &Path) -> Option<Pid> {
    let text = std::fs::read_to_string(pid_file).ok()?;
    // A standalone backend writes its id with a minus sign.
    let pid: i32 = text.lines().next()?.trim().trim_start_matches('-').parse().ok()?;
    Pid::from_raw(pid)
}

/// A process that ended meanwhile is no fault.
fn signal_all(pids: &[Pid], signal: Signal) {
    for pid in pids {
        if let Err(error) = kill_process(*pid, signal) {
            tracing::debug!(pid = pid.as_raw_nonzero().get(), %error, "no signal sent");
        }
    }
}

/// The living processes whose working directory is `folder`, as that of every process of Postgres
/// is its data folder. `None` where the system does not tell. A zombie stands nowhere.
#[cfg(target_os = "linux")]
pub(crate) fn standing_in(folder: &Path) -> Option<Vec<Pid>> {
    let folder = folder.canonicalize().ok()?;
    let entries = std::fs::read_dir("/proc").ok()?;
    let mut found = Vec::new();
    for entry in entries.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let stands_there =
            std::fs::read_link(entry.path().join("cwd")).is_ok_and(|stands_in| stands_in == folder);
        if stands_there && let Some(pid) = Pid::from_raw(pid) {
            found.push(pid);
        }
    }
    // Without a /proc there would be nothing in it, not even us.
    Path::new("/proc/self/cwd").exists().then_some(found)
}

/// The same by the command line of the postmaster, where there is no /proc.
#[cfg(not(target_os = "linux"))]
pub(crate) fn standing_in(folder: &Path) -> Option<Vec<Pid>> {
    let mut command = crate::cluster::binaries::clean_command("ps");
    let output = command.args(["-A", "-o", "pid=,stat=,command="]).output().ok()?;
    let named = format!("-D {}", folder.display());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let pids = text.lines().filter_map(|line| {
        let mut fields = line.split_whitespace();
        let pid = fields.next()?.parse().ok().and_then(Pid::from_raw)?;
        let zombie = fields.next()?.starts_with('Z');
        (!zombie && line.contains(&named)).then_some(pid)
    });
    Some(pids.collect())
}

/// Collects what a killed postmaster left to us to collect: as the first process of a container
/// its children become ours, and would stay zombies.
#[cfg(target_os = "linux")]
pub(crate) fn collect_adopted() {
    let ours = rustix::process::getpid();
    if !ours.is_init() {
        return;
    }
    let Ok(entries) = std::fs::read_dir("/proc") else { return };
    for entry in entries.flatten() {
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        let Some((head, tail)) = stat.rsplit_once(')') else { continue };
        let mut fields = tail.split_whitespace();
        let zombie = fields.next() == Some("Z");
        let parent = fields.next().and_then(|parent| parent.parse().ok()).and_then(Pid::from_raw);
        if !zombie || parent != Some(ours) || !head.ends_with("(postgres") {
            continue;
        }
        let pid = head.split_whitespace().next().and_then(|pid| pid.parse().ok());
        if let Some(pid) = pid.and_then(Pid::from_raw) {
            let options = rustix::process::WaitOptions::NOHANG;
            if let Err(error) = rustix::process::waitpid(Some(pid), options) {
                tracing::debug!(%error, "a process of Postgres was not ours to collect");
            }
        }
    }
}

/// See above.
#[cfg(not(target_os = "linux"))]
pub(crate) fn collect_adopted() {}
