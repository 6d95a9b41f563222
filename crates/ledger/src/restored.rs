//! After a backup was restored: the database may speak of checkpoints that are not in it.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use sqlx::PgConnection;

use crate::checkpoints::read_all;
use crate::error::SealerError;
use crate::store::seals;

/// Takes the checkpoints in `directory` for the last of their keys. A backup copies them before it
/// dumps the database, so that the dump may note some that were signed in between: nobody removed
/// those, and the entries they were signed over are there. Returns of how many keys this was so.
///
/// Only for a database that was restored together with that directory, by its owner.
///
/// # Errors
/// See [`SealerError`].
pub async fn end_with_copied_checkpoints(
    conn: &mut PgConnection,
    directory: &Path,
) -> Result<usize, SealerError> {
    let directory = directory.to_owned();
    let read = tokio::task::spawn_blocking(move || read_all(&directory)).await;
    let (found, _files) =
        read.map_err(|error| SealerError::Interrupted(io::Error::other(error)))??;
    let mut last = BTreeMap::new();
    for checkpoint in found.into_iter().filter_map(|found| found.checkpoint) {
        let numbers = [checkpoint.sequence, checkpoint.size];
        last.insert(checkpoint.key_id, numbers.map(|n| i64::try_from(n).unwrap_or(i64::MAX)));
    }
    let mut lowered = 0;
    for (key_id, [sequence, size]) in last {
        lowered += usize::from(seals::lower_mark(conn, &key_id, sequence, size).await?);
    }
    Ok(lowered)
}
