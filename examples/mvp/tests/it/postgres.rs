//! A Postgres for one test, over the binaries of this machine; gone with it.
//!
//! What `initdb` makes is made once and copied: a test waits for a tenth of a second.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use tempfile::TempDir;

/// Where distributions put the servers.
const FOLDERS: [&str; 3] = ["/usr/lib/postgresql", "/opt/homebrew/opt", "/usr/local/opt"];

/// A server on a Unix socket; stopped when it goes.
pub(crate) struct Postgres {
    child: Option<Child>,
    folder: TempDir,
}

/// Whom the server runs as: it refuses root.
struct User {
    uid: u32,
    gid: u32,
    other: bool,
}

impl User {
    fn find(folder: &Path) -> Self {
        let ours = fs::metadata(folder).unwrap();
        if ours.uid() != 0 {
            return Self { uid: ours.uid(), gid: ours.gid(), other: false };
        }
        let passwd = fs::read_to_string("/etc/passwd").unwrap();
        let id = |name: &str| {
            let line = passwd.lines().find(|line| line.split(':').next() == Some(name))?;
            let mut numbers = line.split(':').skip(2).map_while(|field| field.parse().ok());
            Some((numbers.next()?, numbers.next()?))
        };
        let (uid, gid) = id("postgres").or_else(|| id("nobody")).unwrap();
        Self { uid, gid, other: true }
    }

    fn give(&self, folder: &Path) {
        if self.other {
            chown(folder, Some(self.uid), Some(self.gid)).unwrap();
        }
    }

    /// A program of Postgres, run as that user, which ends when we do.
    fn run(&self, program: &Path) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "QUIT"]);
        if self.other {
            command.args(["--reuid", &self.uid.to_string(), "--regid", &self.gid.to_string()]);
            command.arg("--clear-groups");
        }
        command.arg("--").arg(program);
        command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }
}

impl Postgres {
    pub(crate) fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let user = User::find(folder.path());
        user.give(folder.path());
        let bin = binaries();
        let data = folder.path().join("data");
        let template = template(&bin, &user);
        let copied = Command::new("cp").arg("-a").arg(&template).arg(&data).status().unwrap();
        assert!(copied.success());
        Self { child: Some(serve(folder.path(), &user)), folder }
    }

    /// Starts it again, on the same data.
    pub(crate) fn start_again(&mut self) {
        self.child = Some(serve(self.folder.path(), &User::find(Path::new("/proc/self"))));
    }

    /// The URL of its database.
    pub(crate) fn url(&self) -> String {
        format!("postgresql://mvp@localhost/postgres?host={}", self.folder.path().display())
    }

    /// Stops it at once, as a crash would.
    pub(crate) fn stop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        // The shell's own `kill`: a minimal system has no other.
        let quit = format!("kill -QUIT {}", child.id());
        drop(Command::new("sh").args(["-c", &quit]).status());
        drop(child.wait());
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Runs the server; returns when it accepts connections.
fn serve(folder: &Path, user: &User) -> Child {
    let data = folder.join("data");
    let mut command = user.run(&binaries().join("postgres"));
    command.arg("-D").arg(&data).arg("-k").arg(folder);
    let cheap = ["fsync=off", "full_page_writes=off", "shared_buffers=16MB"];
    for setting in ["listen_addresses=", "max_connections=40"].into_iter().chain(cheap) {
        command.args(["-c", setting]);
    }
    let mut child = command.spawn().unwrap();
    for _ in 0..600 {
        let said = fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
        if said.lines().nth(7).is_some_and(|state| state.trim() == "ready") {
            return child;
        }
        sleep(Duration::from_millis(20));
    }
    drop(child.kill());
    panic!("Postgres does not start in {}: {:?}", data.display(), child.wait());
}

/// The folder of the newest server's binaries.
fn binaries() -> PathBuf {
    let versions = FOLDERS.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten();
    let bins = versions.flatten().map(|version| version.path().join("bin"));
    let mut found: Vec<PathBuf> = bins.filter(|bin| bin.join("initdb").exists()).collect();
    found.sort();
    found.pop().expect("no Postgres: apt-get install postgresql")
}

/// A fresh data folder, made by the first test that needs it.
fn template(bin: &Path, user: &User) -> PathBuf {
    let version = bin.parent().and_then(Path::file_name).unwrap().to_string_lossy();
    let name = format!("mvp-tests-postgres-{}-{version}", user.uid);
    let template = Path::new("/tmp").join(name);
    // In a place that everybody writes to: only what is ours is believed.
    if fs::symlink_metadata(&template).is_ok_and(|found| found.is_dir() && found.uid() == user.uid)
    {
        return template;
    }
    let fresh = tempfile::Builder::new().prefix("mvp-initdb-").tempdir_in("/tmp").unwrap();
    user.give(fresh.path());
    let data = fresh.path().join("data");
    let mut initdb = user.run(&bin.join("initdb"));
    initdb.args(["-N", "-U", "mvp", "-A", "trust", "-E", "UTF8", "--locale=C", "-D"]).arg(&data);
    assert!(initdb.status().unwrap().success());
    if fs::rename(&data, &template).is_ok() {
        return template;
    }
    // Another test was faster, or the name is somebody else's.
    let ours = fs::metadata(&template).is_ok_and(|found| found.uid() == user.uid);
    assert!(ours, "{} is not ours: remove it", template.display());
    template
}
