//! The sealer: one for each database. It chains what is committed, so that no writer waits for the
//! chain, and writes signed checkpoints outside the database.
//!
//! Why nothing is skipped and nothing sealed twice: an entry carries the number of its transaction
//! (`xid8`, never reused). Numbers are given out in order but transactions commit in any order, so
//! the highest number seen says nothing. `pg_snapshot_xmin` does: below it every transaction has
//! ended. What one statement sees below its own snapshot's xmin is final, and everything written
//! later has a number at or above it. So the order (xid, id) below xmin only ever grows at its end.

mod door;
mod place;
mod session;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use plimsoll_base::SharedClock;
use plimsoll_protection::Keyring;
use plimsoll_store::PgPool;
use sqlx::{Connection as _, PgConnection};
use tokio::sync::{mpsc, watch};

use crate::checkpoints::Checkpoints;
use crate::error::SealerError;
use crate::store::seals;

pub use door::{AcceptError, SealerDoor};

use door::{ASKED_MAX, Asked};
use place::Place;
use session::Session;

/// How often the sealer looks.
pub const SEAL_EVERY: Duration = Duration::from_millis(200);
/// The most entries sealed by one statement.
pub const SEAL_BATCH_ENTRIES_MAX: u32 = 4_000;
/// A checkpoint is written at the latest this long after an entry was sealed.
pub const CHECKPOINT_EVERY: Duration = Duration::from_secs(1);
/// A checkpoint stands at every multiple of this many entries.
pub const CHECKPOINT_ENTRIES: u64 = 1_000;
/// After a failure, before the next attempt.
const RETRY_EVERY: Duration = Duration::from_secs(1);
/// How long connecting, or one statement of a round, may take. Beyond it the connection is given
/// up: a server that vanished behind a broken network says nothing for as long as TCP waits.
const ROUND_WITHIN: Duration = Duration::from_secs(20);
/// "plimledg": held by the session that seals.
const LOCK: i64 = 0x706c_696d_6c65_6467;

/// What the sealer does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SealerState {
    /// Not connected yet.
    Starting,
    /// Another node seals.
    Waiting,
    /// Sealing.
    Sealing {
        /// How many entries are sealed.
        size: u64,
        /// The size of the last checkpoint.
        checkpoint_size: u64,
    },
    /// Sealing, but the database is not the one that our checkpoints speak of: none is written
    /// until somebody has looked. Says what differs.
    Diverged {
        /// How many entries are sealed.
        size: u64,
        /// The size of the last checkpoint.
        checkpoint_size: u64,
        /// What differs and what to do.
        why: String,
    },
    /// Sealing, and nothing can be signed: the checkpoints cannot be opened. That is tried again.
    Unsigned {
        /// How many entries are sealed.
        size: u64,
        /// What stands in the way and what to do.
        why: String,
    },
    /// It failed and tries again.
    Down {
        /// What failed.
        why: String,
    },
    /// Stopped in good order.
    Stopped,
}

/// Seals the ledger of one database, or waits until it may.
#[derive(Debug)]
pub struct Sealer {
    pool: PgPool,
    place: Place,
    clock: SharedClock,
    state: watch::Sender<SealerState>,
    asked: (mpsc::Sender<Asked>, mpsc::Receiver<Asked>),
    within: Duration,
}

impl Sealer {
    /// A sealer for the database behind `pool`, of which it takes one connection of its own.
    #[must_use]
    pub fn new(pool: PgPool, checkpoints: Checkpoints, clock: SharedClock) -> Self {
        Self::with(pool, Place::of(checkpoints), clock)
    }

    /// The same with checkpoints that are opened as soon as they can be: until then it seals and
    /// signs nothing, and its state says why.
    #[must_use]
    pub fn signing_in(
        pool: PgPool,
        directory: PathBuf,
        keyring: Arc<Keyring>,
        clock: SharedClock,
    ) -> Self {
        Self::with(pool, Place::new(directory, keyring), clock)
    }

    fn with(pool: PgPool, place: Place, clock: SharedClock) -> Self {
        let (state, _) = watch::channel(SealerState::Starting);
        Self { pool, place, clock, state, asked: mpsc::channel(ASKED_MAX), within: ROUND_WITHIN }
    }

    /// With another bound on how long the database may take for one statement.
    #[must_use]
    pub fn within(self, within: Duration) -> Self {
        Self { within, ..self }
    }

    /// What it does, as it changes.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<SealerState> {
        self.state.subscribe()
    }

    /// The way to it while it runs.
    #[must_use]
    pub fn door(&self) -> SealerDoor {
        SealerDoor { state: self.state.subscribe(), asked: self.asked.0.clone() }
    }

    /// Seals until `stop` says true, then once more, and signs a last checkpoint.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            match self.session(&mut stop).await {
                Ok(()) => {}
                Err(error) => {
                    tracing::warn!(%error, "the sealer tries again");
                    self.state.send_replace(SealerState::Down { why: error.to_string() });
                    self.pause(&mut stop, RETRY_EVERY).await;
                }
            }
        }
        self.state.send_replace(SealerState::Stopped);
    }

    async fn session(&mut self, stop: &mut watch::Receiver<bool>) -> Result<(), SealerError> {
        let within = self.within;
        let mut conn = self.connect().await?;
        while !in_time(within, seals::try_lock(&mut conn, LOCK)).await? {
            self.state.send_replace(SealerState::Waiting);
            self.pause(stop, RETRY_EVERY).await;
            if *stop.borrow() {
                return Ok(());
            }
        }
        let clock = SharedClock::clone(&self.clock);
        self.place.reopen(&clock).await;
        let mut session = in_time(within, Session::open(conn, &clock, self.place.last())).await?;
        loop {
            let stopping = *stop.borrow();
            if self.place.reopen(&clock).await {
                in_time(within, session.compare(self.place.last())).await?;
            }
            let more = in_time(within, session.seal()).await?;
            // Signing has no deadline: a disk that is slow must not leave two writers behind.
            if let Some(written) = session.sign(&mut self.place, stopping).await? {
                in_time(within, session.mark(&written)).await?;
            }
            self.state.send_replace(session.state(&self.place));
            if more {
                continue;
            }
            if stopping {
                return in_time(within, session.close()).await;
            }
            if let Some(asked) = self.pause(stop, SEAL_EVERY).await {
                self.accept(&mut session, asked).await?;
                self.state.send_replace(session.state(&self.place));
            }
        }
    }

    /// Answers as soon as it is signed: from then on it is accepted, whatever else fails, and the
    /// entry that says so must be written. What fails after that ends the session, and the next one
    /// compares afresh.
    async fn accept(&mut self, session: &mut Session<'_>, asked: Asked) -> Result<(), SealerError> {
        let Asked { why, answer } = asked;
        if answer.is_closed() {
            return Ok(());
        }
        let accepted = if session.differs() {
            session.accept(&mut self.place, why).await.map_err(AcceptError::from)
        } else {
            // Another who asked at the same time was first.
            Err(AcceptError::NothingDiffers)
        };
        let (written, said) = match accepted {
            Ok(written) => (Some(written), Ok(session.size())),
            Err(error) => (None, Err(error)),
        };
        let heard = answer.send(said).is_ok();
        let Some(written) = written else { return Ok(()) };
        if !heard {
            tracing::error!("the ledger is accepted, and whoever asked did not wait to note it");
        }
        in_time(self.within, session.mark(&written)).await?;
        in_time(self.within, session.compare(self.place.last())).await
    }

    async fn connect(&self) -> Result<PgConnection, SealerError> {
        in_time(self.within, async {
            let mut conn = PgConnection::connect_with(&self.pool.connect_options()).await?;
            seals::notice_dead_peers(&mut conn).await?;
            Ok::<_, SealerError>(conn)
        })
        .await
    }

    /// Seals all that can be sealed now, signs a checkpoint, and returns how many entries are
    /// sealed: one round, for tests and for commands that run without the rest.
    ///
    /// # Errors
    /// See [`SealerError`]; also when another node seals.
    pub async fn once(&mut self) -> Result<u64, SealerError> {
        let mut conn = self.connect().await?;
        if !seals::try_lock(&mut conn, LOCK).await? {
            return Err(SealerError::Interrupted(io::Error::other("another node seals")));
        }
        let clock = SharedClock::clone(&self.clock);
        self.place.reopen(&clock).await;
        let mut session = Session::open(conn, &clock, self.place.last()).await?;
        while session.seal().await? {}
        if let Some(written) = session.sign(&mut self.place, true).await? {
            session.mark(&written).await?;
        }
        self.state.send_replace(session.state(&self.place));
        let size = session.size();
        session.close().await?;
        Ok(size)
    }

    /// Until it is time to look again, to stop, or to answer somebody.
    async fn pause(
        &mut self,
        stop: &mut watch::Receiver<bool>,
        how_long: Duration,
    ) -> Option<Asked> {
        // Ends at once when told to stop; a sender that is gone can no longer tell.
        let told = async {
            if stop.wait_for(|stop| *stop).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = told => None,
            asked = self.asked.1.recv() => asked,
            () = tokio::time::sleep(how_long) => None,
        }
    }
}

/// Gives up on a database that does not answer in time.
async fn in_time<T, E>(
    within: Duration,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, SealerError>
where
    SealerError: From<E>,
{
    match tokio::time::timeout(within, work).await {
        Ok(done) => Ok(done?),
        Err(_elapsed) => Err(SealerError::Late { waited_s: within.as_secs() }),
    }
}
