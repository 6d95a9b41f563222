//! `plimsoll restore FILE --rehearse`: shows that a backup can be restored, beside what runs.
//!
//! The archive is restored into a private Postgres in a folder of its own, the ledger there is
//! verified against the archive's own checkpoints and this machine's key, and the folder is
//! removed. What came of it is told to the running Plimsoll, which keeps it as evidence: it is
//! Plimsoll's own measurement, though an operator started it, so the entry names the operator.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use http::Method;
use plimsoll_console::client;
use plimsoll_ledger::{
    Report, SUBJECT_BYTES_MAX, VerifyOptions, end_with_copied_checkpoints, former_keys, verify,
};
use plimsoll_store::RUNTIME_ROLE;
use plimsoll_store::backup::{self, RestoreOptions, Source};
use plimsoll_store::cluster::{Cluster, ClusterOptions};
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::cli::{Output, Restore};
use crate::commands::ask::{data_dir, runtime, say, say_json};
use crate::commands::backup::{clock, search};
use crate::exit::Failure;
use crate::memory;

/// What came of it.
struct Rehearsed {
    /// Entries of the ledger that were verified.
    entries: u64,
    /// Why it is no whole backup; none where it is one.
    why: Option<String>,
    /// When it was taken, in seconds since 1970-01-01T00:00:00Z, where that could be read.
    taken_unix_s: Option<i64>,
}

pub(crate) fn run(arguments: &Restore) -> Result<(), Failure> {
    let directory = data_dir(arguments.data_dir.as_deref())?;
    let file = &arguments.file;
    if !file.is_file() {
        return Err(Failure::Failed(format!("{}: there is no such file", file.display())));
    }
    if !directory.join("keys").is_dir() {
        return Err(Failure::Failed(format!(
            "{} has no keys, so nobody could tell whether the ledger in the backup is ours; name \
             the data directory with --data-dir DIR",
            directory.display()
        )));
    }
    let rehearsed = runtime()?.block_on(async {
        let rehearsed = rehearse(&directory, file).await?;
        tell(&directory, file, &rehearsed).await?;
        Ok::<_, Failure>(rehearsed)
    })?;
    let Rehearsed { entries, why, .. } = rehearsed;
    if arguments.output == Output::Json {
        say_json(&json!({ "entries": entries, "whole": why.is_none(), "why": why }))?;
    }
    match why {
        Some(why) => Err(Failure::Failed(why)),
        None if arguments.output == Output::Json => Ok(()),
        None => say(format!(
            "{} can be restored: {entries} entries of the ledger came back whole; nothing here was \
             changed",
            file.display()
        )),
    }
}

/// Only what is wrong with the archive is an outcome; all else is a failure to rehearse.
async fn rehearse(directory: &Path, file: &Path) -> Result<Rehearsed, Failure> {
    // As root, Postgres runs as another user, who has to get through.
    let place = tempfile::Builder::new()
        .prefix("plimsoll-rehearsal-")
        .permissions(Permissions::from_mode(0o711))
        .tempdir()
        .map_err(Failure::failed)?;
    let mut options = ClusterOptions::new(place.path());
    options.search = search()?;
    let cluster = Cluster::start(options).await.map_err(Failure::failed)?;
    let rehearsed = into(&Source::of_cluster(&cluster), place.path(), directory, file).await;
    cluster.stop().await;
    rehearsed
}

async fn into(
    source: &Source,
    place: &Path,
    directory: &Path,
    file: &Path,
) -> Result<Rehearsed, Failure> {
    let checkpoints = memory::checkpoints(place);
    std::fs::create_dir_all(&checkpoints).map_err(Failure::failed)?;
    let options = RestoreOptions {
        archive: file.to_owned(),
        replace: false,
        extra_into: Some(checkpoints.clone()),
        scratch: place.to_owned(),
        rooms: memory::rooms(),
        runtime_role: Some(RUNTIME_ROLE.to_owned()),
        search: search()?,
    };
    let restored = match backup::restore(source, options).await {
        Ok(restored) => restored,
        Err(error) => {
            let why = Some(format!("it cannot be restored: {error}"));
            return Ok(Rehearsed { entries: 0, why, taken_unix_s: None });
        }
    };
    let mut connection = source.connect().await.map_err(Failure::failed)?;
    let ended = end_with_copied_checkpoints(&mut connection, &checkpoints).await;
    ended.map_err(Failure::failed)?;
    let key = memory::keyring(directory)?.public_key().clone();
    let trusted = former_keys(&directory.join("keys/former")).map_err(Failure::failed)?;
    let options = VerifyOptions { checkpoints, key, further: Vec::new(), trusted };
    let report = verify(&mut connection, &options, &clock(), |_progress| {}).await;
    let report = report.map_err(Failure::failed)?;
    let taken = OffsetDateTime::parse(&restored.manifest.taken_at, &Rfc3339);
    Ok(Rehearsed {
        entries: report.entries,
        why: fault(&report),
        taken_unix_s: taken.ok().map(OffsetDateTime::unix_timestamp),
    })
}

fn fault(report: &Report) -> Option<String> {
    if report.checkpoints == 0 {
        return Some("it has no checkpoint, so nothing shows that its ledger is whole".to_owned());
    }
    let first = report.faults.first()?;
    Some(format!("the ledger in it is not whole: {first}"))
}

/// Evidence needs a Plimsoll that runs: only it can mark it as its own.
async fn tell(directory: &Path, file: &Path, rehearsed: &Rehearsed) -> Result<(), Failure> {
    let subject = file.display().to_string();
    let subject = subject.get(..subject.floor_char_boundary(SUBJECT_BYTES_MAX)).unwrap_or_default();
    let mut detail = json!({ "entries": rehearsed.entries, "whole": rehearsed.why.is_none() });
    if let Some(taken) = rehearsed.taken_unix_s {
        detail["taken_unix_s"] = taken.into();
    }
    if let Some(why) = &rehearsed.why {
        detail["why"] = why.as_str().into();
    }
    let told = json!({ "act": "backup.rehearse", "subject": subject, "detail": detail });
    let told = client::ask(directory, Method::POST, "/api/v1/acts", Some(&told)).await;
    told.map(drop).map_err(|error| {
        Failure::Failed(format!(
            "the backup was rehearsed ({}), and the readiness gate did not hear of it: {error}",
            rehearsed.why.as_deref().unwrap_or("it is whole")
        ))
    })
}
