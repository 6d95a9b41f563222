//! `plimsoll backup` and `plimsoll restore`: one file with everything, and the way back.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use plimsoll_base::{SharedClock, SystemClock};
use plimsoll_ledger::end_with_copied_checkpoints;
use plimsoll_manifest::env::{self, Secret};
use plimsoll_store::RUNTIME_ROLE;
use plimsoll_store::backup::{self, BackupOptions, RestoreOptions, Source};
use plimsoll_store::cluster::{BinarySearch, Cluster, ClusterOptions};
use serde_json::{Map, json};

use crate::cli::{Backup, Output, Restore};
use crate::commands::acts::{Done, tell};
use crate::commands::ask::{data_dir, runtime, say, say_json};
use crate::commands::rehearse;
use crate::data_dir::{DataDir, DataDirLock};
use crate::exit::Failure;
use crate::memory;

/// The database that is copied or restored.
struct Opened {
    source: Source,
    /// Whom the tables are granted to; `None` where one role does both.
    runtime_role: Option<String>,
    /// A private server that runs for this command alone, and what keeps others away from it.
    ours: Option<(Cluster, DataDirLock)>,
}

impl Opened {
    async fn close(self) {
        if let Some((cluster, _lock)) = self.ours {
            cluster.stop().await;
        }
    }
}

pub(crate) fn backup(arguments: &Backup) -> Result<(), Failure> {
    let directory = data_dir(arguments.data_dir.as_deref())?;
    let report = runtime()?.block_on(async {
        let opened = open(&directory, true).await?;
        let report = write(&opened.source, &directory, arguments.file.clone()).await;
        opened.close().await;
        let report = report?;
        tell(&directory, taken(&report)).await;
        Ok::<_, Failure>(report)
    })?;
    if arguments.output == Output::Json {
        let manifest = serde_json::to_value(&report.manifest).map_err(Failure::failed)?;
        return say_json(
            &json!({ "file": report.path, "bytes": report.bytes, "manifest": manifest }),
        );
    }
    say(format!("wrote {} ({} bytes)", report.path.display(), report.bytes))?;
    say(format!(
        "The keys in {} are not in it. Keep them elsewhere: without them nothing sealed can be \
         read, and the ledger goes on under another key.",
        directory.join("keys").display()
    ))
}

/// What the ledger says of a backup.
fn taken(report: &backup::BackupReport) -> Done {
    let mut detail = Map::new();
    detail.insert("bytes".into(), report.bytes.into());
    detail.insert("taken_at".into(), report.manifest.taken_at.clone().into());
    Done { act: "backup", subject: report.path.display().to_string(), detail }
}

/// What the ledger says of a restore: in the database that was restored, from its next start on.
fn restored(arguments: &Restore, report: &backup::RestoreReport) -> Done {
    let mut detail = Map::new();
    detail.insert("rows".into(), report.rows.into());
    detail.insert("taken_at".into(), report.manifest.taken_at.clone().into());
    detail.insert("replaced".into(), report.replaced.clone().into());
    Done { act: "restore", subject: arguments.file.display().to_string(), detail }
}

async fn write(
    source: &Source,
    directory: &Path,
    out: PathBuf,
) -> Result<backup::BackupReport, Failure> {
    // Copied first: they grow while a Plimsoll runs, and must not know more than what is dumped.
    // What the dump notes beyond them is put right by the restore.
    let copies = tempfile::tempdir().map_err(Failure::failed)?;
    let extra = copy_checkpoints(&memory::checkpoints(directory), copies.path())
        .map_err(|error| Failure::Failed(format!("the ledger's checkpoints: {error}")))?;
    let options = BackupOptions {
        out,
        extra,
        rooms: memory::rooms(),
        plimsoll: env!("CARGO_PKG_VERSION").to_owned(),
        search: search()?,
        clock: clock(),
    };
    backup::backup(source, options).await.map_err(Failure::failed)
}

/// The copies of a folder's checkpoints, and of nothing else that lies there; none where there is
/// no folder.
fn copy_checkpoints(from: &Path, into: &Path) -> io::Result<Vec<PathBuf>> {
    let mut copies = Vec::new();
    let ours = |path: &PathBuf| path.extension().is_some_and(|kind| kind == "checkpoints");
    for path in files(from)?.into_iter().filter(ours) {
        let copy = into.join(path.file_name().unwrap_or_default());
        match fs::copy(&path, &copy) {
            Ok(_) => copies.push(copy),
            // The oldest goes when a new one begins.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(copies)
}

fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            files.push(entry.path());
        }
    }
    files.sort_unstable();
    Ok(files)
}

pub(crate) fn restore(arguments: &Restore) -> Result<(), Failure> {
    if arguments.rehearse {
        return rehearse::run(arguments);
    }
    let directory = DataDir::open(arguments.data_dir.as_deref())?.path().to_owned();
    let (report, aside) = runtime()?.block_on(async {
        let opened = open(&directory, false).await?;
        let done = put_back(&opened, &directory, arguments).await;
        opened.close().await;
        let done = done?;
        tell(&directory, restored(arguments, &done.0)).await;
        Ok::<_, Failure>(done)
    })?;
    if arguments.output == Output::Json {
        let manifest = serde_json::to_value(&report.manifest).map_err(Failure::failed)?;
        return say_json(&json!({
            "manifest": manifest, "rows": report.rows, "replaced": report.replaced,
            "checkpoints": report.extra, "checkpoints_before": aside,
        }));
    }
    let manifest = &report.manifest;
    say(format!("restored {} rows, taken at {}", report.rows, manifest.taken_at))?;
    if !report.replaced.is_empty() {
        say(format!("replaced: {}", report.replaced.join(", ")))?;
    }
    if let Some(aside) = aside {
        say(format!(
            "The checkpoints that were there say what the ledger held before; they are kept in {}",
            aside.display()
        ))?;
    }
    say("`plimsoll up` goes on from here; `plimsoll ledger verify` checks the ledger then")
}

async fn put_back(
    opened: &Opened,
    directory: &Path,
    arguments: &Restore,
) -> Result<(backup::RestoreReport, Option<PathBuf>), Failure> {
    let place = memory::checkpoints(directory);
    let aside = make_room(&place, arguments.replace)?;
    let options = RestoreOptions {
        archive: arguments.file.clone(),
        replace: arguments.replace,
        extra_into: Some(place.clone()),
        scratch: directory.to_owned(),
        rooms: memory::rooms(),
        runtime_role: opened.runtime_role.clone(),
        search: search()?,
    };
    match backup::restore(&opened.source, options).await {
        Ok(report) => {
            let mut connection = opened.source.connect().await.map_err(Failure::failed)?;
            let ended = end_with_copied_checkpoints(&mut connection, &place).await;
            ended.map_err(Failure::failed)?;
            Ok((report, aside))
        }
        Err(error) => {
            let mut said = error.to_string();
            // After a restore whose migrations failed there is something in it, and it stays.
            let back = aside.map(|aside| fs::remove_dir(&place).and(fs::rename(&aside, &place)));
            if let Some(Err(error)) = back {
                said.push_str(&format!("; the checkpoints before it are not put back: {error}"));
            }
            Err(Failure::Failed(said))
        }
    }
}

/// An empty folder for the checkpoints; those that are there are moved aside, when they may be.
fn make_room(place: &Path, replace: bool) -> Result<Option<PathBuf>, Failure> {
    let failed = |error: io::Error| Failure::Failed(format!("{}: {error}", place.display()));
    let mut aside = None;
    if !files(place).map_err(failed)?.is_empty() {
        if !replace {
            return Err(Failure::Failed(format!(
                "{} holds the checkpoints of another ledger; --replace keeps them under another \
                 name and restores",
                place.display()
            )));
        }
        let name = format!("checkpoints-before-{}", clock().unix_seconds());
        let to = place.with_file_name(name);
        fs::rename(place, &to).map_err(failed)?;
        aside = Some(to);
    }
    fs::DirBuilder::new().recursive(true).mode(0o700).create(place).map_err(failed)?;
    Ok(aside)
}

/// The database that the environment names; else the private one: of the Plimsoll that runs, where
/// that will do, else started for this command alone.
async fn open(directory: &Path, beside_a_running_one: bool) -> Result<Opened, Failure> {
    if let Some(url) = secret("DATABASE_URL")? {
        return of_environment(&url);
    }
    if beside_a_running_one && let Some(cluster) = Cluster::of_running(directory) {
        let (source, runtime_role) = (Source::of_running(&cluster), Some(RUNTIME_ROLE.to_owned()));
        return Ok(Opened { source, runtime_role, ours: None });
    }
    if beside_a_running_one && !directory.join("postgres/data").exists() {
        return Err(Failure::Failed(format!(
            "there is no database in {}; name the data directory with --data-dir DIR, or another \
             database with DATABASE_URL",
            directory.display()
        )));
    }
    let lock = DataDir::open(Some(directory))?.lock()?;
    let mut options = ClusterOptions::new(directory);
    options.search = search()?;
    let cluster = Cluster::start(options).await.map_err(Failure::failed)?;
    Ok(Opened {
        source: Source::of_cluster(&cluster),
        runtime_role: Some(RUNTIME_ROLE.to_owned()),
        ours: Some((cluster, lock)),
    })
}

fn of_environment(url: &Secret) -> Result<Opened, Failure> {
    let runtime = Source::of_url("DATABASE_URL", url).map_err(Failure::failed)?;
    let Some(owner) = secret("PLIMSOLL_DATABASE_OWNER_URL")? else {
        return Ok(Opened { source: runtime, runtime_role: None, ours: None });
    };
    let source = Source::of_url("PLIMSOLL_DATABASE_OWNER_URL", &owner).map_err(Failure::failed)?;
    let one = source.role() == runtime.role();
    let runtime_role = (!one).then(|| runtime.role().to_owned());
    Ok(Opened { source, runtime_role, ours: None })
}

fn secret(name: &str) -> Result<Option<Secret>, Failure> {
    env::secret(name).map_err(Failure::failed)
}

pub(super) fn search() -> Result<BinarySearch, Failure> {
    let named = env::var("PLIMSOLL_PG_BIN").map_err(Failure::failed)?.map(PathBuf::from);
    Ok(BinarySearch::of_this_machine(named))
}

pub(super) fn clock() -> SharedClock {
    SystemClock::shared()
}
