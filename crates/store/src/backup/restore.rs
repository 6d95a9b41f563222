//! The way back from an archive.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use tempfile::{NamedTempFile, TempDir};

use crate::Room;
use crate::backup::archive::{self, DUMP, EXTRA, FORMAT, Manifest};
use crate::backup::dump::client_for;
use crate::backup::error::BackupError;
use crate::backup::{RestoreOptions, Source, script};
use crate::connect::{identifier, owner_pool};
use crate::migrate::{Migrated, migrate, ups};

/// What a restore did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoreReport {
    /// What was restored.
    pub manifest: Manifest,
    /// The schemas that were there before and were replaced.
    pub replaced: Vec<String>,
    /// Rows that were restored, all tables together.
    pub rows: u64,
    /// The files that were handed in, where they are now.
    pub extra: Vec<PathBuf>,
    /// What was migrated after it.
    pub migrated: Migrated,
}

/// What an archive held, on the disk for a moment.
struct Unpacked {
    manifest: Manifest,
    dump: NamedTempFile,
    extra: TempDir,
}

/// Restores an archive: checks all of it, then replaces the rooms' schemas in one transaction, then
/// migrates them to what this Plimsoll knows.
///
/// # Errors
/// When the archive is damaged or newer than this Plimsoll, the database is in use or not empty,
/// or something fails; then the database is as it was.
pub async fn restore(
    source: &Source,
    options: RestoreOptions,
) -> Result<RestoreReport, BackupError> {
    let (archive, scratch) = (options.archive.clone(), options.scratch.clone());
    let unpacking = tokio::task::spawn_blocking(move || unpack(&archive, &scratch));
    let unpacked = unpacking
        .await
        .map_err(|error| BackupError::file(&options.archive, io::Error::other(error)))??;
    check_known(&unpacked.manifest, &options.rooms)?;
    let targets = extra_targets(&unpacked.manifest, options.extra_into.as_deref())?;
    let mut connection = PgConnection::connect_with(&source.options.0).await?;
    let major: i32 = sqlx::query_scalar("select current_setting('server_version_num')::int4")
        .fetch_one(&mut connection)
        .await?;
    let client = client_for(&options.search, u32::try_from(major / 10_000).unwrap_or_default())?;
    let mut transaction = connection.begin().await?;
    check_unused(&mut transaction).await?;
    let present = present(&mut transaction, &unpacked.manifest, &options.rooms).await?;
    if !present.is_empty() && !options.replace {
        return Err(BackupError::NotEmpty { schemas: present.join(", ") });
    }
    for schema in &present {
        let drop = format!("drop schema {} cascade", identifier(schema));
        transaction.execute(AssertSqlSafe(drop)).await?;
    }
    let rows = script::run(&client, unpacked.dump.path(), &mut transaction).await?;
    transaction.commit().await?;
    connection.close().await?;
    for (from, to) in &targets {
        place(&unpacked.extra.path().join(from), to)?;
    }
    let owner = owner_pool(source.options.0.clone());
    let migrated = migrate(&owner, &options.rooms, options.runtime_role.as_deref()).await;
    owner.close().await;
    let extra = targets.into_iter().map(|(_, to)| to).collect();
    let manifest = unpacked.manifest;
    Ok(RestoreReport { manifest, replaced: present, rows, extra, migrated: migrated? })
}

fn unpack(path: &Path, scratch: &Path) -> Result<Unpacked, BackupError> {
    let refused = |source| BackupError::file(scratch, source);
    let dump = NamedTempFile::with_prefix_in(".plimsoll-restore-", scratch).map_err(refused)?;
    let extra = tempfile::Builder::new()
        .prefix(".plimsoll-extra-")
        .permissions(std::fs::Permissions::from_mode(0o700))
        .tempdir_in(scratch)
        .map_err(refused)?;
    let manifest = archive::read(path, |manifest, name| {
        if manifest.format != FORMAT {
            return Err(io::Error::other("a form of archive that is unknown here"));
        }
        let file: File = if name == DUMP {
            dump.reopen()?
        } else {
            let plain = name.strip_prefix(EXTRA).filter(|name| is_plain(name));
            let plain = plain.ok_or_else(|| io::Error::other("a name that leads elsewhere"))?;
            create_new(&extra.path().join(plain))?
        };
        Ok(Box::new(file))
    })?;
    if !manifest.parts.iter().any(|part| part.name == DUMP) {
        let why = "it holds no database".to_owned();
        return Err(BackupError::NotOurs { path: path.to_owned(), why });
    }
    Ok(Unpacked { manifest, dump, extra })
}

fn is_plain(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\0'])
}

fn create_new(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// An archive with a room, or a migration of one, that is unknown here would come up as a database
/// from a newer Plimsoll.
fn check_known(manifest: &Manifest, rooms: &[Room]) -> Result<(), BackupError> {
    let newer = |what: String| BackupError::Newer { made_by: manifest.plimsoll.clone(), what };
    for found in &manifest.rooms {
        let Some(room) = rooms.iter().find(|room| room.name == found.name) else {
            return Err(newer(format!("the room {} is unknown here", found.name)));
        };
        let known = ups(room).last().map_or(0, |up| up.version);
        if found.version > known {
            let (name, version) = (&found.name, found.version);
            return Err(newer(format!("{name} has migration {version}, known here is {known}")));
        }
    }
    Ok(())
}

/// Where each file goes: its name among the unpacked ones, and its place.
fn extra_targets(
    manifest: &Manifest,
    into: Option<&Path>,
) -> Result<Vec<(String, PathBuf)>, BackupError> {
    let Some(into) = into else { return Ok(Vec::new()) };
    let names = manifest.parts.iter().filter_map(|part| part.name.strip_prefix(EXTRA));
    names
        .map(|name| {
            let to = into.join(name);
            if to.exists() {
                return Err(BackupError::Exists(to));
            }
            Ok((name.to_owned(), to))
        })
        .collect()
}

/// Copied, because the place may lie on another file system.
fn place(from: &Path, to: &Path) -> Result<(), BackupError> {
    let refused = |source| BackupError::file(to, source);
    let mut target = create_new(to).map_err(refused)?;
    let mut origin = File::open(from).map_err(refused)?;
    io::copy(&mut origin, &mut target).and_then(|_| target.sync_all()).map_err(refused)
}

/// Nobody else may be at work there.
async fn check_unused(connection: &mut PgConnection) -> Result<(), BackupError> {
    let connections: i64 = sqlx::query_scalar(
        "select count(*) from pg_catalog.pg_stat_activity where datname = current_database() \
         and application_name = 'plimsoll' and pid <> pg_backend_pid()",
    )
    .fetch_one(connection)
    .await?;
    if connections > 0 { Err(BackupError::InUse { connections }) } else { Ok(()) }
}

/// The schemas that are there already, of the archive's rooms and of those known here.
async fn present(
    connection: &mut PgConnection,
    manifest: &Manifest,
    rooms: &[Room],
) -> Result<Vec<String>, sqlx::Error> {
    let names: BTreeSet<String> = manifest
        .rooms
        .iter()
        .map(|room| room.name.clone())
        .chain(rooms.iter().map(|room| room.name.to_owned()))
        .collect();
    let names: Vec<String> = names.into_iter().collect();
    sqlx::query_scalar(
        "select nspname::text from pg_catalog.pg_namespace where nspname = any($1) order by 1",
    )
    .bind(names)
    .fetch_all(connection)
    .await
}
