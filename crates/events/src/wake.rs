//! Waking up when something was committed, and anyway after a while.

use std::time::Duration;

use plimsoll_store::PgPool;
use sqlx::postgres::PgListener;

use crate::error::EventsError;

/// The channel of notifications. What is told is the topic, never a payload.
pub const CHANNEL: &str = "plimsoll_events";
/// An event can be read only once transactions older than its own have ended, which nobody tells:
/// after a notification the next look comes this soon.
const SETTLE: Duration = Duration::from_millis(50);

/// Waits for notifications, on a connection of its own.
#[derive(Debug)]
pub struct Waker {
    listener: PgListener,
    settling: bool,
}

impl Waker {
    /// Listens from now on.
    ///
    /// # Errors
    /// The database.
    pub async fn listen(pool: &PgPool) -> Result<Self, EventsError> {
        let mut listener = PgListener::connect_with(pool).await?;
        listener.listen(CHANNEL).await?;
        Ok(Self { listener, settling: false })
    }

    /// Until something was committed, or `at_most` has passed. Says whether it was told.
    ///
    /// After it was told it returns once more soon, since what was told of may not have been
    /// readable at once.
    ///
    /// # Errors
    /// The database; listening again is the next call's business.
    pub async fn wait(&mut self, at_most: Duration) -> Result<bool, EventsError> {
        let at_most = if self.settling { at_most.min(SETTLE) } else { at_most };
        let told = match tokio::time::timeout(at_most, self.listener.try_recv()).await {
            Ok(told) => told?.is_some(),
            Err(_) => false,
        };
        self.settling = told;
        Ok(told)
    }
}
