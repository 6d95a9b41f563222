//! One file with everything, and the way back.
//!
//! The archive is a tar file: `manifest.json` first, then `database.dump` (what `pg_dump` writes in
//! its custom format, the rooms' schemas only), then what was handed in beside it. The manifest has
//! the length and the SHA-256 of each part; nothing is restored before all of them were checked.

mod archive;
mod dump;
mod error;
mod restore;
mod script;

use std::path::PathBuf;

pub use self::archive::{Manifest, ManifestRoom, Part};
pub use self::dump::{BackupReport, backup};
pub use self::error::BackupError;
pub use self::restore::{RestoreReport, restore};
use crate::Room;
use crate::cluster::{BinarySearch, Cluster, RunningCluster};
use crate::connect::{DATABASE, Hidden, Local, OWNER_ROLE};
use crate::error::StoreError;
use plimsoll_base::SharedClock;
use plimsoll_manifest::env::Secret;
use sqlx::{Connection as _, PgConnection};

/// The database that is backed up or restored, as its owner.
#[derive(Debug, Clone)]
pub struct Source {
    options: Hidden,
    /// For the programs of Postgres, without the password.
    conninfo: String,
    password: Option<Secret>,
}

impl Source {
    /// Our database in a private cluster of this process.
    #[must_use]
    pub fn of_cluster(cluster: &Cluster) -> Self {
        Self::of_local(cluster.local())
    }

    /// Our database in a private cluster that another process runs.
    #[must_use]
    pub fn of_running(cluster: &RunningCluster) -> Self {
        Self::of_local(cluster.local())
    }

    fn of_local(local: &Local) -> Self {
        Self {
            options: Hidden(local.options(OWNER_ROLE, DATABASE)),
            conninfo: local.url(OWNER_ROLE, DATABASE),
            password: None,
        }
    }

    /// The role it connects as.
    #[must_use]
    pub fn role(&self) -> &str {
        self.options.0.get_username()
    }

    /// A connection to it.
    ///
    /// # Errors
    /// When it cannot be reached.
    pub async fn connect(&self) -> Result<PgConnection, BackupError> {
        Ok(PgConnection::connect_with(&self.options.0).await?)
    }

    /// A database elsewhere: the owner's URL where there is one, else `DATABASE_URL`.
    ///
    /// # Errors
    /// When the URL cannot be read.
    pub fn of_url(variable: &'static str, url: &Secret) -> Result<Self, StoreError> {
        let options = Hidden(crate::store::parse(variable, url)?);
        let refused = || StoreError::Url { variable, why: "its parts cannot be told apart".into() };
        let mut bare = url::Url::parse(url.expose()).map_err(|_| refused())?;
        let password = bare.password().map(decode);
        bare.set_password(None).map_err(|()| refused())?;
        Ok(Self { options, conninfo: bare.into(), password: password.map(Secret::from) })
    }
}

/// What is put into an archive beside the database.
#[derive(Debug, Clone)]
pub struct BackupOptions {
    /// The archive to write, or a folder in which it gets a name with the time.
    pub out: PathBuf,
    /// Files to put in beside the database, such as the ledger's checkpoints. Each is found again
    /// under its file name; two must not have the same.
    pub extra: Vec<PathBuf>,
    /// The rooms, whose schemas are dumped.
    pub rooms: Vec<Room>,
    /// This Plimsoll's version.
    pub plimsoll: String,
    /// Where the binaries of Postgres may be.
    pub search: BinarySearch,
    /// The time in the manifest and in the name.
    pub clock: SharedClock,
}

/// How an archive is restored.
#[derive(Debug, Clone)]
pub struct RestoreOptions {
    /// The archive.
    pub archive: PathBuf,
    /// Whether schemas that are there already are replaced.
    pub replace: bool,
    /// Where the files that were handed in are put; left out when `None`. None of that name may be
    /// there.
    pub extra_into: Option<PathBuf>,
    /// A folder with room for the database's dump for a moment.
    pub scratch: PathBuf,
    /// The rooms; what is newer here than in the archive is migrated after it.
    pub rooms: Vec<Room>,
    /// Whom the rooms' tables are granted to; `None` where one role does both.
    pub runtime_role: Option<String>,
    /// Where the binaries of Postgres may be.
    pub search: BinarySearch,
}

/// Undoes the percent signs of a URL.
fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let escaped = (*byte == b'%')
            .then(|| text.get(at + 1..at + 3))
            .flatten()
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        at += if escaped.is_some() { 3 } else { 1 };
        plain.push(escaped.unwrap_or(*byte));
    }
    String::from_utf8_lossy(&plain).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_of_a_url_stands_on_no_command_line() {
        let url = Secret::from("postgresql://u:h%40nter2@h:5433/d?sslmode=require".to_owned());
        let source = Source::of_url("DATABASE_URL", &url).unwrap();
        assert_eq!(source.conninfo, "postgresql://u@h:5433/d?sslmode=require");
        assert_eq!(source.password.as_ref().map(Secret::expose), Some("h@nter2"));
        assert!(!format!("{source:?}").contains("nter2"));
    }
}
