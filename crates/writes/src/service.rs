//! What an edge asks: to begin a write, to wait for another's, to say how it ended. None of it
//! touches the database: that is the [engine](crate::engine)'s, on the control runtime.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use plimsoll_base::{Nanos, SharedClock};
use plimsoll_protection::Keyring;
use tokio::sync::{Notify, mpsc, oneshot};

use crate::answer::Answer;
use crate::engine::{Engine, Standing};
use crate::error::WritesError;
use crate::model::{Claim, Hash, Owner, WriteId};

/// How long a lease lasts unless it is renewed: what a crash can lock, and no longer.
pub const LEASE: Duration = Duration::from_secs(5);

/// Claims that wait for the database, at most.
const QUEUE_CLAIMS_MAX: usize = 4_096;
/// Ends that wait for the database, at most.
const QUEUE_ENDS_MAX: usize = 1_024;
/// Duplicates that wait on this node for another's answer, at most.
const WAITING_MAX: usize = 4_096;

/// Pause before a claim that the database refused is made again.
const AGAIN_AFTER: Duration = Duration::from_millis(100);

/// The shortest and the longest pause before a duplicate looks again. An end on this node wakes it
/// at once; one on another node is only seen by looking.
const LOOK_AFTER: Duration = Duration::from_millis(50);
const LOOK_AFTER_MAX: Duration = Duration::from_millis(400);

/// The records of keyed writes, as an edge sees them.
#[derive(Clone)]
pub struct Writes(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) claims: mpsc::Sender<Asked>,
    pub(crate) ends: mpsc::Sender<Ended>,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) clock: SharedClock,
    /// What this node executes: by whom, and when its lease was last made or renewed.
    leases: Mutex<HashMap<WriteId, (Owner, Nanos)>>,
    waiting: Mutex<Waiters>,
    pub(crate) standing: Mutex<Standing>,
}

/// Who waits on this node, and how many all together.
#[derive(Default)]
struct Waiters {
    by_id: HashMap<WriteId, (Arc<Notify>, usize)>,
    total: usize,
}

/// A claim on its way to the database.
pub(crate) struct Asked {
    pub(crate) claim: Claim,
    pub(crate) reply: oneshot::Sender<Result<Begun, WritesError>>,
}

/// How an execution ended, on its way to the database.
pub(crate) struct Ended {
    pub(crate) id: WriteId,
    pub(crate) owner: Owner,
    /// `None` where the owner does not know whether it was granted.
    pub(crate) fence: Option<u64>,
    pub(crate) ending: Ending,
    pub(crate) reply: Option<oneshot::Sender<Result<(), WritesError>>>,
}

pub(crate) enum Ending {
    Answered(Box<Answer>),
    Released,
    Unknown,
}

/// What a claim came to.
#[derive(Debug)]
pub enum Begun {
    /// Execute it.
    Granted(Lease),
    /// Another executes it: [`Writes::waiting`].
    Running,
    /// It was executed, and this was the answer.
    Replay(Box<Answer>),
    /// It may have been executed, so long ago.
    Unknown {
        /// How long nobody has worked on it.
        since: Duration,
    },
    /// The key was used for another request.
    OtherPayload,
    /// The key was used by another caller.
    OtherCaller,
}

impl fmt::Debug for Writes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Writes(..)")
    }
}

impl Writes {
    /// The edge's side and the database's side.
    #[must_use]
    pub fn new(keyring: Arc<Keyring>, clock: SharedClock) -> (Self, Engine) {
        let (claims, asked) = mpsc::channel(QUEUE_CLAIMS_MAX);
        let (ends, ended) = mpsc::channel(QUEUE_ENDS_MAX);
        let inner = Arc::new(Inner {
            claims,
            ends,
            keyring,
            clock,
            leases: Mutex::default(),
            waiting: Mutex::default(),
            standing: Mutex::default(),
        });
        (Self(Arc::clone(&inner)), Engine::new(Self(inner), asked, ended))
    }

    /// A keyed hash of `parts` for `purpose`: the same on every node that shares the keys.
    ///
    /// # Errors
    /// [`WritesError::Keyring`].
    pub fn hash(&self, purpose: &'static str, parts: &[&[u8]]) -> Result<Hash, WritesError> {
        let mut message = Vec::with_capacity(256);
        for part in parts {
            message.extend_from_slice(&(part.len() as u64).to_be_bytes());
            message.extend_from_slice(part);
        }
        Ok(Hash(self.0.keyring.mark(purpose, &message)?))
    }

    /// Makes the claim, and again while the database does not take it, for `within` at most. What
    /// was not taken then is withdrawn.
    ///
    /// # Errors
    /// [`WritesError::Unavailable`], [`WritesError::Full`]: nothing may be sent.
    pub async fn begin(&self, claim: &Claim, within: Duration) -> Result<Begun, WritesError> {
        let trying = async {
            loop {
                match self.ask(claim).await {
                    Err(WritesError::Database(error)) => {
                        tracing::debug!(%error, "a keyed write waits for the database");
                        tokio::time::sleep(AGAIN_AFTER).await;
                    }
                    other => return other,
                }
            }
        };
        let begun = tokio::time::timeout(within, trying).await;
        let begun = begun.unwrap_or(Err(WritesError::Unavailable));
        if begun.is_err() {
            // It may have been committed although nobody could say so.
            self.leave(claim.id, claim.owner, None, Ending::Released);
        }
        begun
    }

    async fn ask(&self, claim: &Claim) -> Result<Begun, WritesError> {
        let (reply, answer) = oneshot::channel();
        let asked = Asked { claim: claim.clone(), reply };
        self.0.claims.try_send(asked).map_err(|_| WritesError::Full)?;
        answer.await.unwrap_or(Err(WritesError::Unavailable))
    }

    /// A place among those who wait for another's execution; `None` when there is none left. Ask
    /// again once it is taken, and then whenever [`Waiting::next`] says.
    #[must_use]
    pub fn waiting(&self, id: WriteId) -> Option<Waiting> {
        let mut waiting = self.waiters();
        if waiting.total >= WAITING_MAX {
            return None;
        }
        waiting.total += 1;
        let (told, many) = waiting.by_id.entry(id).or_default();
        *many += 1;
        let told = Arc::clone(told);
        drop(waiting);
        Some(Waiting { writes: self.clone(), id, told, pause: LOOK_AFTER })
    }

    /// Records by state, as the database last said.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.0.standing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn leases(&self) -> MutexGuard<'_, HashMap<WriteId, (Owner, Nanos)>> {
        self.0.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its lease is not renewed any more.
    pub(crate) fn forget(&self, id: WriteId, owner: Owner) {
        let mut leases = self.leases();
        if leases.get(&id).is_some_and(|(held, _)| *held == owner) {
            leases.remove(&id);
        }
    }

    fn waiters(&self) -> MutexGuard<'_, Waiters> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes who waits for this write on this node.
    pub(crate) fn tell(&self, id: WriteId) {
        if let Some((told, _)) = self.waiters().by_id.get(&id) {
            told.notify_waiters();
        }
    }

    /// Says how it ended without waiting for the database. What finds no room is found by its lease
    /// that runs out.
    fn leave(&self, id: WriteId, owner: Owner, fence: Option<u64>, ending: Ending) {
        let ended = Ended { id, owner, fence, ending, reply: None };
        if self.0.ends.try_send(ended).is_err() {
            tracing::warn!("how a keyed write ended could not be noted: its lease runs out");
        }
    }
}

/// A duplicate that waits for the first one's answer.
#[derive(Debug)]
pub struct Waiting {
    writes: Writes,
    id: WriteId,
    told: Arc<Notify>,
    pause: Duration,
}

impl Waiting {
    /// Until it is worth asking again.
    pub async fn next(&mut self) {
        let told = self.told.notified();
        // Told or not, it is asked.
        let _told = tokio::time::timeout(self.pause, told).await.is_ok();
        self.pause = LOOK_AFTER_MAX.min(self.pause * 2);
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut waiting = self.writes.waiters();
        waiting.total -= 1;
        if let Some((_, many)) = waiting.by_id.get_mut(&self.id) {
            *many -= 1;
            if *many == 0 {
                waiting.by_id.remove(&self.id);
            }
        }
    }
}

/// The right to execute a write once. Dropped before it was said that something was sent, the write
/// is released; afterwards its outcome is unknown.
pub struct Lease {
    writes: Writes,
    id: WriteId,
    owner: Owner,
    fence: u64,
    unknown_for: Option<Duration>,
    sent: bool,
    ended: bool,
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("id", &self.id).field("fence", &self.fence).finish()
    }
}

impl Lease {
    pub(crate) fn new(
        writes: &Writes,
        claim: &Claim,
        fence: u64,
        unknown_for: Option<Duration>,
        made: Nanos,
    ) -> Self {
        writes.leases().insert(claim.id, (claim.owner, made));
        Self {
            writes: writes.clone(),
            id: claim.id,
            owner: claim.owner,
            fence,
            unknown_for,
            sent: false,
            ended: false,
        }
    }

    /// Where an execution before this one has an unknown outcome: for how long.
    #[must_use]
    pub fn unknown_for(&self) -> Option<Duration> {
        self.unknown_for
    }

    /// Whether nobody can have taken over yet. What is not alive must not be sent.
    #[must_use]
    pub fn lives(&self) -> bool {
        let now = self.writes.0.clock.now();
        let leases = self.writes.leases();
        leases
            .get(&self.id)
            .is_some_and(|(owner, made)| *owner == self.owner && now.since(*made) < LEASE)
    }

    /// From now on the service may have something of it.
    pub fn sent(&mut self) {
        self.sent = true;
    }

    /// Nothing of it reached the service after all.
    pub fn not_sent(&mut self) {
        self.sent = false;
    }

    /// It was answered. Returns once that is durable; where it does not become so `within`, it is
    /// still tried, and nobody waits for it.
    ///
    /// # Errors
    /// [`WritesError`]: the record may say that the outcome is unknown.
    pub async fn answered(self, answer: Answer, within: Duration) -> Result<(), WritesError> {
        self.ended(Ending::Answered(Box::new(answer)), within).await
    }

    /// The service said that it did not execute it. Returns once that is durable, so that whoever
    /// is told so may use the key again at once.
    ///
    /// # Errors
    /// [`WritesError`]: it may not be noted yet.
    pub async fn declined(mut self, within: Duration) -> Result<(), WritesError> {
        self.sent = false;
        self.ended(Ending::Released, within).await
    }

    async fn ended(mut self, ending: Ending, within: Duration) -> Result<(), WritesError> {
        let (reply, done) = oneshot::channel();
        let ended = Ended {
            id: self.id,
            owner: self.owner,
            fence: Some(self.fence),
            ending,
            reply: Some(reply),
        };
        let writes = self.writes.clone();
        let recording = async {
            writes.0.ends.send(ended).await.map_err(|_| WritesError::Unavailable)?;
            self.ended = true;
            done.await.unwrap_or(Err(WritesError::Unavailable))
        };
        tokio::time::timeout(within, recording).await.unwrap_or(Err(WritesError::Unavailable))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        // No longer renewed: should its end get lost, the lease runs out.
        self.writes.forget(self.id, self.owner);
        let ending = if self.sent { Ending::Unknown } else { Ending::Released };
        self.writes.leave(self.id, self.owner, Some(self.fence), ending);
    }
}
