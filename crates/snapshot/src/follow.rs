//! Following the epoch: `NOTIFY` wakes, a poll backs it up, and what was applied is written back.

use std::sync::Arc;
use std::time::Duration;

use plimsoll_base::{Nanos, SharedClock};
use plimsoll_store::PgPool;
use sqlx::postgres::PgListener;
use tokio::sync::watch;

use crate::store::{self, CHANNEL, NodeReport};
use crate::{Dynamic, Saved};

/// How often the epoch is looked at when nothing wakes us.
const POLL: Duration = Duration::from_millis(500);

/// How often a node says that it is there.
const REPORT_EVERY: Duration = Duration::from_secs(1);

/// How long to wait before a lost database is tried again.
const AGAIN_AFTER: Duration = Duration::from_millis(500);

/// How often what has expired is dropped: no epoch says that it has.
const EXPIRE_EVERY: Duration = Duration::from_secs(30);

/// The longest a look may take before the database counts as gone.
const LOOK_MAX: Duration = Duration::from_secs(5);

/// What a follower works with.
pub struct Following {
    /// Where the epoch lies.
    pub pool: PgPool,
    /// What this node says of itself, as of now; its manifest may change.
    pub node: watch::Receiver<NodeReport>,
    /// Tells how old what we know is.
    pub clock: SharedClock,
    /// Where the last good state is kept.
    pub saved: Saved,
}

impl std::fmt::Debug for Following {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Following").finish_non_exhaustive()
    }
}

/// Whether the database is heard of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Contact {
    /// Not yet, or not any more, and why.
    Lost {
        /// The cause in words.
        why: String,
    },
    /// Everything up to the epoch was known to be applied then.
    Known,
}

/// Where a follower stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Followed {
    /// The epoch applied.
    pub epoch: u64,
    /// When what is applied was last known to be all there is; none before the first time.
    pub known_at: Option<Nanos>,
    /// Whether the database is heard of.
    pub contact: Contact,
}

impl Followed {
    /// Before the first look at the database: what the disk gave.
    #[must_use]
    pub fn from_disk(epoch: u64) -> Self {
        Self { epoch, known_at: None, contact: Contact::Lost { why: "not asked yet".to_owned() } }
    }
}

/// Keeps a node up to date until `stop` says so or is gone. `apply` gets every new state, at once
/// and in order. When it returns, the state must be obeyed: only then is the epoch written back,
/// and only then does `state` say that it is known.
pub async fn follow(
    following: Following,
    mut dynamic: Dynamic,
    mut apply: impl FnMut(&Arc<Dynamic>) + Send,
    state: watch::Sender<Followed>,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        let session = session(&following, &mut dynamic, &mut apply, &state);
        let error = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            Err(error) = session => error,
        };
        tracing::debug!(%error, "the epoch cannot be followed; trying again");
        state.send_if_modified(|state| {
            let lost = Contact::Lost { why: error.to_string() };
            std::mem::replace(&mut state.contact, lost.clone()) != lost
        });
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(AGAIN_AFTER) => {}
        }
    }
}

/// One connection's worth of following. It reads everything anew first: what was gone for longer
/// than rows of items that are gone are kept would be missed otherwise.
async fn session(
    following: &Following,
    dynamic: &mut Dynamic,
    apply: &mut (impl FnMut(&Arc<Dynamic>) + Send),
    state: &watch::Sender<Followed>,
) -> Result<(), sqlx::Error> {
    let Following { pool, clock, .. } = following;
    let mut listener = within(PgListener::connect_with(pool)).await?;
    within(listener.listen(CHANNEL)).await?;
    let asked = clock.now();
    let whole = within(async { store::whole(&mut *pool.acquire().await?).await }).await?;
    if whole.epoch() < dynamic.epoch() {
        tracing::warn!(
            had = dynamic.epoch(),
            found = whole.epoch(),
            "the database's epoch is older than ours: it was restored; its state is taken"
        );
    }
    // Kept on disk even where it says nothing yet: it shows that this node has run before.
    let mut applied = true;
    *dynamic = whole;
    dynamic.expire(clock.unix_seconds());
    let mut expired_at = asked;
    let mut reported: Option<Nanos> = None;
    let mut known_at = asked;
    loop {
        if applied {
            take(following, dynamic, apply);
        }
        let now = clock.now();
        if applied || reported.is_none_or(|at| now.since(at) >= REPORT_EVERY) {
            let node = following.node.borrow().clone();
            let first = applied || reported.is_none();
            let report = async {
                store::report(&mut *pool.acquire().await?, &node, dynamic.epoch(), first).await
            };
            within(report).await?;
            reported = Some(now);
        }
        state.send_replace(Followed {
            epoch: dynamic.epoch(),
            known_at: Some(known_at),
            contact: Contact::Known,
        });
        // An error of the listener shows at the next look.
        let _woken_or_not = tokio::time::timeout(POLL, listener.recv()).await.is_ok();
        known_at = clock.now();
        applied = within(refresh(pool, dynamic)).await?;
        if known_at.since(expired_at) >= EXPIRE_EVERY {
            expired_at = known_at;
            if dynamic.expire(clock.unix_seconds()) && !applied {
                take(following, dynamic, apply);
            }
        }
    }
}

/// Takes over what changed since; false when nothing did.
async fn refresh(pool: &PgPool, dynamic: &mut Dynamic) -> Result<bool, sqlx::Error> {
    let mut connection = pool.acquire().await?;
    let epoch = store::epoch(&mut connection).await?;
    if epoch == dynamic.epoch() {
        return Ok(false);
    }
    if epoch < dynamic.epoch() {
        // Restored under our feet.
        *dynamic = store::whole(&mut connection).await?;
        return Ok(true);
    }
    let changes = store::changes_since(&mut connection, dynamic.epoch()).await?;
    dynamic.apply(epoch, changes);
    Ok(true)
}

fn take(following: &Following, dynamic: &Dynamic, apply: &mut (impl FnMut(&Arc<Dynamic>) + Send)) {
    apply(&Arc::new(dynamic.clone()));
    if let Err(error) = following.saved.keep(dynamic) {
        tracing::error!(%error, "the last good snapshot could not be kept on disk");
    }
}

async fn within<T>(look: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    tokio::time::timeout(LOOK_MAX, look).await.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}
