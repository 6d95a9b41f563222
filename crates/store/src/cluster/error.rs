//! Why there is no private cluster. Each says what to do.

use std::io;
use std::path::PathBuf;

/// Why the private Postgres cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// No binaries anywhere.
    #[error(
        "no PostgreSQL {min} or later on this machine (looked in {looked}); install it with \
         `{install}`, or name its folder with PLIMSOLL_PG_BIN, or point DATABASE_URL at a server"
    )]
    NoBinaries {
        /// The lowest major version that will do.
        min: u32,
        /// Where we looked, in words.
        looked: String,
        /// The command that installs it here.
        install: String,
    },
    /// The folder that was named holds no binaries.
    #[error(
        "{} holds no `postgres` and `initdb` (PLIMSOLL_PG_BIN): {why}",
        path.display()
    )]
    NotBinaries {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// All binaries found are too old.
    #[error(
        "PostgreSQL {found} in {} is too old: {min} or later is needed; install it with `{install}`",
        path.display()
    )]
    TooOld {
        /// The newest found.
        found: u32,
        /// Its folder.
        path: PathBuf,
        /// The lowest major version that will do.
        min: u32,
        /// The command that installs a newer one here.
        install: String,
    },
    /// The data was made by another major version.
    #[error(
        "the data in {} was made by PostgreSQL {data}, and only {found} is installed; install \
         PostgreSQL {data} beside it (`{install}`), or move the data over: with the old binaries \
         run `plimsoll backup`, move the folder away, then `plimsoll restore` with the new ones",
        path.display()
    )]
    VersionMismatch {
        /// The data folder.
        path: PathBuf,
        /// The major version that made it.
        data: u32,
        /// The major versions that were found, in words.
        found: String,
        /// The command that installs the old version here.
        install: String,
    },
    /// The data folder is there, and is not a cluster.
    #[error(
        "{} is no Postgres data folder ({why}); move it away, and a new one is made",
        path.display()
    )]
    NotACluster {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Another process has it.
    #[error(
        "the database in {} is in use by another Plimsoll (pid {holder}); stop that one, or name \
         another directory with --data-dir DIR",
        path.display()
    )]
    InUse {
        /// The cluster's folder.
        path: PathBuf,
        /// The process id of the other, or `unknown`.
        holder: String,
    },
    /// A Postgres that we did not start runs on the data and does not end.
    #[error(
        "a Postgres (pid {pid}) still runs on {} and does not end; stop it with `kill -INT {pid}`",
        path.display()
    )]
    StillRunning {
        /// The data folder.
        path: PathBuf,
        /// The process that does not end.
        pid: u32,
    },
    /// The user that Postgres runs as cannot reach the folder.
    #[error(
        "Postgres refuses to run as root, so it runs as the user {user}, who cannot pass through \
         {}; `chmod o+x {}` mends it, or name another directory with --data-dir DIR",
        blocked.display(), blocked.display()
    )]
    Unreachable {
        /// The user.
        user: String,
        /// The first folder on the way that the user may not enter.
        blocked: PathBuf,
    },
    /// The directory lies in a home that only root may enter.
    #[error(
        "Postgres refuses to run as root, so it runs as the user {user}, who cannot enter root's \
         home, where {} lies; name another directory with --data-dir DIR (/var/lib/plimsoll is \
         the usual one)",
        path.display()
    )]
    RootsHome {
        /// The user.
        user: String,
        /// The cluster's folder.
        path: PathBuf,
    },
    /// The data belongs to root.
    #[error(
        "{} belongs to root, whom Postgres refuses to run as; `chown -R {user} {}` mends it",
        path.display(), path.display()
    )]
    OwnedByRoot {
        /// The data folder.
        path: PathBuf,
        /// The user it should belong to.
        user: String,
    },
    /// The data belongs to somebody else.
    #[error(
        "{} belongs to user {owner}, not to user {user} who runs this; `chown -R {user} {}` as \
         root mends it, or name another directory with --data-dir DIR",
        path.display(), path.display()
    )]
    WrongOwner {
        /// The data folder.
        path: PathBuf,
        /// The user id it belongs to.
        owner: u32,
        /// The user id that runs this.
        user: u32,
    },
    /// There is nobody to run as.
    #[error(
        "Postgres refuses to run as root, and this machine has no user plimsoll, postgres or \
         nobody to run it as; `useradd --system plimsoll` makes one"
    )]
    NoUser,
    /// The user id has no name.
    #[error(
        "user {uid} has no entry in /etc/passwd, without which Postgres refuses to make a \
         database; add one to the image (`plimsoll:x:{uid}:0::/var/lib/plimsoll:/sbin/nologin`), \
         or point DATABASE_URL at a server"
    )]
    NoPasswdEntry {
        /// The user id.
        uid: u32,
    },
    /// No room on the device.
    #[error(
        "no space left where {} lies, and Postgres needs some ({detail}); free some or name \
         another directory with --data-dir DIR; nothing was damaged",
        path.display()
    )]
    DiskFull {
        /// The folder.
        path: PathBuf,
        /// What Postgres or the system said.
        detail: String,
    },
    /// The directory cannot be written.
    #[error(
        "cannot write in {}: {source}; the private database needs a directory of its own that \
         can be written, name one with --data-dir DIR",
        path.display()
    )]
    Directory {
        /// The folder or file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A program could not be run.
    #[error("cannot run {}: {source}", path.display())]
    Run {
        /// The program.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The system refused a process or a thread.
    #[error("cannot start what watches over Postgres: {source}")]
    Watch {
        /// Why.
        source: io::Error,
    },
    /// `initdb` failed.
    #[error("initdb could not make a database in {}: {output}", path.display())]
    Initdb {
        /// The data folder.
        path: PathBuf,
        /// What it wrote.
        output: String,
    },
    /// Postgres ended while it started.
    #[error("Postgres did not start: {said} (all of it: {})", log.display())]
    Start {
        /// What it said.
        said: String,
        /// Its log.
        log: PathBuf,
    },
    /// It was told to stop while it started.
    #[error("the private database was stopped while it started")]
    Stopped,
    /// The name of a database or role is not one we make.
    #[error(
        "{name:?} cannot be the name of a database: a lower-case letter, then letters, digits and \
         _, at most 63 characters, and none of {reserved}"
    )]
    DatabaseName {
        /// What was asked for.
        name: String,
        /// Names that are taken.
        reserved: &'static str,
    },
    /// Roles and databases could not be made.
    #[error("the private database is up, but could not be prepared: {source}")]
    Prepare {
        /// Why.
        #[from]
        source: sqlx::Error,
    },
}

impl ClusterError {
    /// A failed file operation, told apart by what mends it.
    pub(crate) fn file(path: impl Into<PathBuf>, source: io::Error) -> Self {
        let path = path.into();
        if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
            return Self::DiskFull { path, detail: source.to_string() };
        }
        Self::Directory { path, source }
    }
}
