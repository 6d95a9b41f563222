//! The documents of the plan: read anew at each look, since nobody tells when they change.

use std::path::PathBuf;

use plimsoll_ledger::Evidence;
use plimsoll_plan::documents::{Read, ReadError, read};

use super::Observer;

/// What the documents say; and whether there is a plan at all.
pub(super) struct Said {
    pub(super) evidence: Vec<Evidence>,
    /// Without a plan, only what was said before has to be taken back.
    pub(super) there: bool,
}

/// Reads the folder and shows the board what it says.
pub(super) async fn documents(observer: &Observer) -> Result<Said, String> {
    let folder = folder(observer);
    let now = observer.node.clock.unix_ms();
    let reading = tokio::task::spawn_blocking({
        let folder = folder.clone();
        move || read(&folder, now)
    });
    let (found, there) = match reading.await.map_err(|error| error.to_string())? {
        Ok(found) => (found, true),
        Err(ReadError::NotThere(_)) => (Read::absent(&folder), false),
        Err(error) => return Err(error.to_string()),
    };
    observer.node.memory.plan_says(found.facts.clone());
    Ok(Said { evidence: found.evidence(), there })
}

/// A relative folder starts where the manifest is.
fn folder(observer: &Observer) -> PathBuf {
    let manifest = observer.node.facts.manifest_path.as_deref();
    let base = manifest.and_then(|path| path.parent()).map(PathBuf::from).unwrap_or_default();
    base.join(&observer.node.edge.config().manifest().plan.directory)
}
