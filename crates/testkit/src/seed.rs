//! A data directory whose private Postgres is made already: making one takes a second, copying one
//! a few milliseconds, and most tests are about something else.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use plimsoll_store::cluster::{Cluster, ClusterOptions};
use rustix::fs::{FlockOperation, flock};

/// Part of the template's name: changes when what makes it changes.
const FORM: &str = "1";

/// Bytes of memory that must be free for data directories to lie in it.
const MEMORY_BYTES_MIN: u64 = 4 << 30;

/// Where data directories of tests lie: in memory where there is enough of it, since each is some
/// sixty megabytes and lives a second.
pub(crate) fn place() -> PathBuf {
    let memory = Path::new("/dev/shm");
    let free = rustix::fs::statvfs(memory).map_or(0, |found| found.f_bavail * found.f_frsize);
    if free >= MEMORY_BYTES_MIN { memory.to_owned() } else { std::env::temp_dir() }
}

/// Fills `data_dir`, which is made if it is not there, with a cluster that was stopped in order.
///
/// # Errors
/// When there is no Postgres on the machine, or the file system refuses.
pub(crate) fn seed(data_dir: &Path) -> io::Result<()> {
    let template = template()?;
    fs::create_dir_all(data_dir)?;
    fs::set_permissions(data_dir, Permissions::from_mode(0o700))?;
    let copied = Command::new("cp")
        .args(["-a", "--reflink=auto"])
        .arg(template.join("postgres"))
        .arg(data_dir)
        .status()?;
    if copied.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("the template of a cluster could not be copied: {copied}")))
}

/// The template, made by the first test that needs it; the others wait.
fn template() -> io::Result<PathBuf> {
    let user = rustix::process::geteuid().as_raw();
    let folder = place().join(format!("plimsoll-seed-{FORM}-{user}"));
    fs::create_dir_all(&folder)?;
    fs::set_permissions(&folder, Permissions::from_mode(0o700))?;
    let lock = File::create(folder.join("lock"))?;
    flock(&lock, FlockOperation::LockExclusive)?;
    let (data, done) = (folder.join("data"), folder.join("done"));
    if done.is_file() && data.join("postgres").is_dir() {
        return Ok(data);
    }
    if data.exists() {
        fs::remove_dir_all(&data)?;
    }
    fs::create_dir_all(&data)?;
    fs::set_permissions(&folder, Permissions::from_mode(0o711))?;
    let options = ClusterOptions::new(&data);
    // A thread of its own, because a test may be inside a runtime already.
    let made = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let cluster = Cluster::start(options).await.map_err(io::Error::other)?;
            cluster.stop().await;
            Ok::<_, io::Error>(())
        })
    });
    made.join().map_err(|_| io::Error::other("making the template panicked"))??;
    File::create(done)?;
    Ok(data)
}
