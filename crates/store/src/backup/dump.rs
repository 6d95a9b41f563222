//! Writing an archive.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use sqlx::{Connection as _, PgConnection};
use tempfile::NamedTempFile;

use crate::backup::archive::{self, DUMP, EXTRA, FORMAT, Manifest, ManifestRoom};
use crate::backup::error::BackupError;
use crate::backup::{BackupOptions, Source};
use crate::cluster::{Binaries, BinarySearch, clean_command, install_command, quote};
use crate::migrate::applied;

/// What a backup did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupReport {
    /// The archive.
    pub path: PathBuf,
    /// Its length in bytes.
    pub bytes: u64,
    /// What it says of itself.
    pub manifest: Manifest,
}

/// Writes the rooms' schemas and the files handed in to one archive, whole or not at all.
///
/// # Errors
/// When the archive is there already, the database or its programs fail, or a file cannot be read.
pub async fn backup(source: &Source, options: BackupOptions) -> Result<BackupReport, BackupError> {
    let mut connection = PgConnection::connect_with(&source.options.0).await?;
    let (server, major) = server_version(&mut connection).await?;
    let binaries = client_for(&options.search, major)?;
    let rooms = rooms(&mut connection, &options).await?;
    if rooms.is_empty() {
        return Err(BackupError::Nothing);
    }
    let out = out_path(&options)?;
    let folder = folder_of(&out).to_owned();
    let refused = |source| BackupError::file(&folder, source);
    let dump = NamedTempFile::with_prefix_in(".plimsoll-dump-", &folder).map_err(refused)?;
    pg_dump(source, &binaries, &rooms, dump.path()).await?;
    let after = self::rooms(&mut connection, &options).await?;
    connection.close().await?;
    if after != rooms {
        return Err(BackupError::Migrated);
    }
    let write = move || write(&out, &dump, server, rooms, &options);
    tokio::task::spawn_blocking(write).await.map_err(|e| refused(io::Error::other(e)))?
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

async fn server_version(connection: &mut PgConnection) -> Result<(String, u32), sqlx::Error> {
    let (version, number): (String, i32) = sqlx::query_as(
        "select current_setting('server_version'), current_setting('server_version_num')::int4",
    )
    .fetch_one(connection)
    .await?;
    Ok((version, u32::try_from(number / 10_000).unwrap_or_default()))
}

/// Programs that know that server: of its own version, else the next newer.
pub(crate) fn client_for(search: &BinarySearch, server: u32) -> Result<Binaries, BackupError> {
    let mut found = Binaries::find_all(search)?;
    found.sort_by_key(Binaries::major);
    let newest = found.last().map(|b| b.version().to_owned()).unwrap_or_default();
    found.into_iter().find(|b| b.major() >= server).ok_or_else(|| BackupError::ToolTooOld {
        server,
        found: newest,
        install: install_command(Some(server)),
    })
}

async fn rooms(
    connection: &mut PgConnection,
    options: &BackupOptions,
) -> Result<Vec<ManifestRoom>, BackupError> {
    let mut found = Vec::new();
    for room in &options.rooms {
        let applied = applied(connection, room.name).await?;
        if let Some(version) = applied.keys().next_back() {
            found.push(ManifestRoom { name: room.name.to_owned(), version: *version });
        }
    }
    Ok(found)
}

async fn pg_dump(
    source: &Source,
    binaries: &Binaries,
    rooms: &[ManifestRoom],
    to: &Path,
) -> Result<(), BackupError> {
    let program = binaries.program("pg_dump");
    let mut command = clean_command(&program);
    command
        .args(["--format=custom", "--no-owner", "--no-privileges", "--no-password"])
        .arg("--lock-wait-timeout=30s")
        .args(rooms.iter().map(|room| format!("--schema=\"{}\"", room.name)))
        .arg(format!("--dbname={}", source.conninfo))
        .arg("--file")
        .arg(to);
    if let Some(password) = &source.password {
        command.env("PGPASSWORD", password.expose());
    }
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut command = tokio::process::Command::from(command);
    let output = command
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| BackupError::file(program, error))?;
    if output.status.success() {
        return Ok(());
    }
    let said = quote(&String::from_utf8_lossy(&output.stderr));
    Err(BackupError::Program { program: "pg_dump", said })
}

fn out_path(options: &BackupOptions) -> Result<PathBuf, BackupError> {
    let out = if options.out.is_dir() {
        let stamp: String = rfc3339(options.clock.unix_seconds())
            .chars()
            .filter(|c| c.is_ascii_alphanumeric())
            .collect();
        options.out.join(format!("plimsoll-{stamp}.tar"))
    } else {
        options.out.clone()
    };
    if out.exists() { Err(BackupError::Exists(out)) } else { Ok(out) }
}

fn write(
    out: &Path,
    dump: &NamedTempFile,
    server: String,
    rooms: Vec<ManifestRoom>,
    options: &BackupOptions,
) -> Result<BackupReport, BackupError> {
    let mut files: Vec<(archive::Part, &Path)> =
        vec![(archive::describe(DUMP.to_owned(), dump.path())?, dump.path())];
    for path in &options.extra {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let name = format!("{EXTRA}{name}");
        if files.iter().any(|(part, _)| part.name == name) {
            return Err(BackupError::SameName(name));
        }
        files.push((archive::describe(name, path)?, path));
    }
    let now = options.clock.unix_seconds();
    let manifest = Manifest {
        format: FORMAT,
        plimsoll: options.plimsoll.clone(),
        server,
        taken_at: rfc3339(now),
        rooms,
        parts: files.iter().map(|(part, _)| part.clone()).collect(),
    };
    let refused = |source| BackupError::file(out, source);
    let folder = folder_of(out);
    let mut fresh = NamedTempFile::with_prefix_in(".plimsoll-backup-", folder).map_err(refused)?;
    let parts: Vec<(&archive::Part, &Path)> = files.iter().map(|(p, path)| (p, *path)).collect();
    archive::write(fresh.as_file_mut(), &manifest, now, &parts).map_err(refused)?;
    let bytes = fresh.as_file().metadata().map_err(refused)?.len();
    fresh.as_file().set_permissions(std::fs::Permissions::from_mode(0o600)).map_err(refused)?;
    // Never over a file that came meanwhile.
    fresh.persist_noclobber(out).map_err(|error| match error.error.kind() {
        io::ErrorKind::AlreadyExists => BackupError::Exists(out.to_owned()),
        _ => refused(error.error),
    })?;
    std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(refused)?;
    Ok(BackupReport { path: out.to_owned(), bytes, manifest })
}

/// As RFC 3339 in UTC; the epoch for a time that no calendar holds.
fn rfc3339(unix_seconds: u64) -> String {
    let seconds = i64::try_from(unix_seconds).unwrap_or_default();
    let time = time::OffsetDateTime::from_unix_timestamp(seconds)
        .unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
    time.format(&time::format_description::well_known::Rfc3339).unwrap_or_default()
}
