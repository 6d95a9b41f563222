//! The process that keeps the tests' server: started by the first test, ended by idleness.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use plimsoll_base::{Clock as _, Deadline, SystemClock};
use plimsoll_store::SUPERUSER_ROLE;
use plimsoll_store::cluster::{Cluster, ClusterOptions};
use rustix::fs::FlockOperation;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};

/// The server ends when nobody has used it for this long.
const IDLE_MAX: Duration = Duration::from_secs(10);
/// Between two looks at who is gone.
const LOOK_EVERY: Duration = Duration::from_millis(300);
/// How long a test waits for the server, and for its turn to ask for it.
const START_WITHIN: Duration = Duration::from_secs(60);
const WAIT_EVERY: Duration = Duration::from_millis(5);

/// The folder that the tests of this user share.
struct Shared {
    root: PathBuf,
}

impl Shared {
    fn open() -> io::Result<Self> {
        let user = rustix::process::geteuid();
        let root = std::env::temp_dir().join(format!("plimsoll-test-postgres-{}", user.as_raw()));
        let users = root.join("users");
        fs::DirBuilder::new().recursive(true).mode(0o711).create(&root)?;
        // Its name is no secret: somebody else may have made it first.
        let found = fs::symlink_metadata(&root)?;
        if !found.is_dir() || found.uid() != user.as_raw() || found.mode() & 0o022 != 0 {
            let text = format!("{} is not a private folder of this user", root.display());
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
        }
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&users)?;
        Ok(Self { root })
    }

    /// Held by the keeper as long as it lives.
    fn keeper_lock(&self) -> io::Result<File> {
        lock_file(&self.root.join("keeper.lock"))
    }

    /// Held while somebody begins to use the server, or the keeper looks at who does.
    fn gate(&self) -> io::Result<File> {
        lock_file(&self.root.join("gate.lock"))
    }

    /// Names the data directory while the server accepts connections.
    fn ready(&self) -> PathBuf {
        self.root.join("ready")
    }

    fn users(&self) -> PathBuf {
        self.root.join("users")
    }

    fn log(&self) -> PathBuf {
        self.root.join("keeper.log")
    }
}

fn lock_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)
}

fn try_lock(file: &File) -> bool {
    rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive).is_ok()
}

fn wait_lock(file: &File, what: &str) -> io::Result<()> {
    let clock = SystemClock::new();
    let deadline = Deadline::after(clock.now(), START_WITHIN);
    while !try_lock(file) {
        if deadline.left(clock.now()).is_zero() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, format!("waiting for {what}")));
        }
        sleep(WAIT_EVERY);
    }
    Ok(())
}

/// Makes sure that the server runs, and says that the database of that name is in use for as long
/// as the file is open. Returns the server's data directory.
pub(super) fn using(database: &str) -> io::Result<(PathBuf, File)> {
    let shared = Shared::open()?;
    let gate = shared.gate()?;
    wait_lock(&gate, "other tests to begin")?;
    let keeper = shared.keeper_lock()?;
    if try_lock(&keeper) || !shared.ready().exists() {
        drop(keeper);
        start(&shared)?;
    }
    let held = lock_file(&shared.users().join(database))?;
    wait_lock(&held, "a file of one's own")?;
    let data_dir = PathBuf::from(fs::read_to_string(shared.ready())?);
    Ok((data_dir, held))
}

/// Starts the keeper: in a process group of its own, so that ending the test does not end it.
fn start(shared: &Shared) -> io::Result<()> {
    remove_if_there(&shared.ready())?;
    let log = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(shared.log())?;
    let mut keeper = Command::new(crate::binary::test_postgres()?)
        .current_dir(&shared.root)
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()?;
    let clock = SystemClock::new();
    let deadline = Deadline::after(clock.now(), START_WITHIN);
    while !shared.ready().exists() {
        let ended = keeper.try_wait()?;
        if ended.is_some() || deadline.left(clock.now()).is_zero() {
            let said = fs::read_to_string(shared.log()).unwrap_or_default();
            return Err(io::Error::other(format!("it did not start: {}", said.trim())));
        }
        sleep(WAIT_EVERY);
    }
    Ok(())
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// What `plimsoll-test-postgres` does: runs the server, drops the databases of tests that are
/// gone, and ends when none has come for a while.
///
/// # Errors
/// When another keeper runs, or the server cannot be started.
pub async fn keep() -> io::Result<()> {
    let shared = Shared::open()?;
    let keeper = shared.keeper_lock()?;
    // The one before may still be on its way out.
    wait_lock(&keeper, "another keeper to end")?;
    remove_older(&shared);
    // In the open, for the user that Postgres runs as; the folders in it are closed.
    let folder = tempfile::Builder::new().prefix("server-").tempdir_in(&shared.root)?;
    let mut options = ClusterOptions::new(folder.path());
    options.settings = [
        ("fsync", "off"),
        ("synchronous_commit", "off"),
        ("full_page_writes", "off"),
        ("max_connections", "500"),
        ("max_wal_size", "1GB"),
        ("autovacuum_naptime", "5min"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec();
    let cluster = Cluster::start(options).await.map_err(io::Error::other)?;
    let said = shared.root.join("ready.new");
    fs::write(&said, folder.path().as_os_str().as_encoded_bytes())?;
    fs::rename(said, shared.ready())?;
    let result = serve(&shared, &cluster).await;
    remove_if_there(&shared.ready())?;
    cluster.stop().await;
    result
}

/// What keepers left that were killed.
fn remove_older(shared: &Shared) {
    let Ok(entries) = fs::read_dir(&shared.root) else { return };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with("server-")
            && let Err(error) = fs::remove_dir_all(entry.path())
        {
            tracing_free_log(&format!("{}: {error}", entry.path().display()));
        }
    }
}

#[expect(clippy::print_stderr, reason = "the keeper's log is its standard error")]
fn tracing_free_log(text: &str) {
    eprintln!("{text}");
}

async fn serve(shared: &Shared, cluster: &Cluster) -> io::Result<()> {
    let clock = SystemClock::new();
    let mut used = clock.now();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let gate = shared.gate()?;
        if !try_lock(&gate) {
            used = clock.now();
            continue;
        }
        let (living, gone) = look(shared)?;
        if living > 0 || !gone.is_empty() {
            used = clock.now();
        } else if clock.now().since(used) > IDLE_MAX {
            // Before the gate opens again, so that the next test starts a new one.
            return remove_if_there(&shared.ready());
        }
        drop(gate);
        if let Err(error) = drop_databases(cluster, &gone).await {
            tracing_free_log(&format!("databases of past tests stay: {error}"));
        }
    }
}

/// How many databases are in use, and the names of those that are not any more.
fn look(shared: &Shared) -> io::Result<(usize, Vec<String>)> {
    let (mut living, mut gone) = (0, Vec::new());
    for entry in fs::read_dir(shared.users())? {
        let entry = entry?;
        if try_lock(&lock_file(&entry.path())?) {
            remove_if_there(&entry.path())?;
            gone.extend(entry.file_name().into_string());
        } else {
            living += 1;
        }
    }
    Ok((living, gone))
}

async fn drop_databases(cluster: &Cluster, names: &[String]) -> Result<(), sqlx::Error> {
    if names.is_empty() {
        return Ok(());
    }
    let options = cluster.connect_options(SUPERUSER_ROLE, SUPERUSER_ROLE);
    let mut server = PgConnection::connect_with(&options).await?;
    for name in names {
        let statement = format!("drop database if exists \"{name}\" with (force)");
        server.execute(AssertSqlSafe(statement)).await?;
    }
    server.close().await
}
