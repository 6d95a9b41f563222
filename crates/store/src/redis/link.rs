//! A connection that many calls use at once, for what a request may wait for: no call ever makes
//! the connection, and where there is none every call says so at once.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use plimsoll_manifest::env::Secret;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Value};

use super::{RedisError, RedisScript};

/// How long a link waits.
#[derive(Clone, Copy, Debug)]
pub struct LinkBounds {
    /// For a connection.
    pub connect_max: Duration,
    /// For an answer.
    pub answer_max: Duration,
}

/// See the module's page.
pub struct RedisLink {
    client: Client,
    bounds: LinkBounds,
    connection: Mutex<Option<MultiplexedConnection>>,
}

impl fmt::Debug for RedisLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisLink").field("bounds", &self.bounds).finish_non_exhaustive()
    }
}

impl RedisLink {
    /// From `redis://` or `rediss://`; nothing is sent yet.
    ///
    /// # Errors
    /// [`RedisError::Url`].
    pub fn new(url: &Secret, bounds: LinkBounds) -> Result<Self, RedisError> {
        let client = Client::open(url.expose()).map_err(|_| RedisError::Url)?;
        Ok(Self { client, bounds, connection: Mutex::new(None) })
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Option<MultiplexedConnection>> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is a connection, as far as is known.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.held().is_some()
    }

    /// Gives the connection up, which another link's loss says is broken.
    pub fn give_up(&self) {
        *self.held() = None;
    }

    /// Connects where there is no connection. It lives on the runtime that this is called on.
    ///
    /// # Errors
    /// Not reached in time, or refused.
    pub async fn connect(&self) -> Result<(), RedisError> {
        if self.held().is_some() {
            return Ok(());
        }
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.bounds.connect_max))
            .set_response_timeout(Some(self.bounds.answer_max));
        let connected = self.client.get_multiplexed_async_connection_with_config(&config).await;
        *self.held() = Some(connected.map_err(RedisError::of)?);
        Ok(())
    }

    /// Runs a script whose answer is a flat list of texts. Where the answer is lost it may have run
    /// all the same.
    ///
    /// # Errors
    /// [`RedisError::Away`] where nobody connected, no answer in time, or refused. After an answer
    /// that did not come the connection is given up.
    pub async fn run(
        &self,
        script: &RedisScript,
        keys: &[Vec<u8>],
        arguments: &[Vec<u8>],
    ) -> Result<Vec<Vec<u8>>, RedisError> {
        let mut connection = self.held().clone().ok_or(RedisError::Away)?;
        let mut invocation = script.0.prepare_invoke();
        invocation.key(keys).arg(arguments);
        let answer = invocation.invoke_async(&mut connection).await;
        answer.map_err(|error| self.failed(error))
    }

    /// Waits until the stream has an entry behind number `after`, `longest` at most, which must lie
    /// below [`LinkBounds::answer_max`]. Nothing else goes over this link meanwhile.
    ///
    /// # Errors
    /// As [`RedisLink::run`].
    pub async fn wait(
        &self,
        stream: &[u8],
        after: u64,
        longest: Duration,
    ) -> Result<(), RedisError> {
        let mut connection = self.held().clone().ok_or(RedisError::Away)?;
        let mut command = redis::cmd("XREAD");
        command.arg("COUNT").arg(1).arg("BLOCK").arg(longest.as_millis().to_string());
        command.arg("STREAMS").arg(stream).arg(format!("{after}-0"));
        let answer: Result<Value, _> = command.query_async(&mut connection).await;
        answer.map(drop).map_err(|error| self.failed(error))
    }

    fn failed(&self, error: redis::RedisError) -> RedisError {
        let error = RedisError::of(error);
        if matches!(error, RedisError::Unreachable(_)) {
            *self.held() = None;
        }
        error
    }
}
