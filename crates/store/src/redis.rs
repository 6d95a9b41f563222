//! Redis: what nodes share for a while. One connection, made anew when it breaks; every call has a
//! deadline, and nothing waits in a queue.

mod link;

use std::fmt;
use std::time::Duration;

use plimsoll_manifest::env::Secret;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Script};

pub use link::{LinkBounds, RedisLink};

/// How long making a connection may take.
const CONNECT_MAX: Duration = Duration::from_secs(2);
/// How long an answer may take. A node that is slower is as good as gone.
const ANSWER_MAX: Duration = Duration::from_secs(1);

/// Why Redis was not asked, or did not answer. Never shows the URL.
#[derive(Debug, thiserror::Error)]
pub enum RedisError {
    /// The URL is none that Redis is reached by.
    #[error("REDIS_URL is no Redis URL; expected `redis://host:6379/0` or `rediss://` for TLS")]
    Url,
    /// It cannot be reached, or broke off.
    #[error("Redis cannot be reached: {0}")]
    Unreachable(#[source] redis::RedisError),
    /// There is no connection to it.
    #[error("Redis is not connected")]
    Away,
    /// It refuses: a password, a right, a command it does not know.
    #[error("Redis refuses: {0}")]
    Refused(#[source] redis::RedisError),
}

impl RedisError {
    fn of(error: redis::RedisError) -> Self {
        let gone = error.is_io_error() || error.is_timeout() || error.is_connection_dropped();
        if gone { Self::Unreachable(error) } else { Self::Refused(error) }
    }
}

/// A Lua script that Redis runs whole, with nothing in between.
pub struct RedisScript(Script);

impl RedisScript {
    /// Takes its text.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(Script::new(text))
    }
}

impl fmt::Debug for RedisScript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisScript({})", self.0.get_hash())
    }
}

/// A Redis, reached when it is first asked.
pub struct Redis {
    client: Client,
    connection: Option<MultiplexedConnection>,
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis")
            .field("connected", &self.connection.is_some())
            .finish_non_exhaustive()
    }
}

impl Redis {
    /// From `redis://` or `rediss://`; nothing is sent yet.
    ///
    /// # Errors
    /// [`RedisError::Url`].
    pub fn new(url: &Secret) -> Result<Self, RedisError> {
        let client = Client::open(url.expose()).map_err(|_| RedisError::Url)?;
        Ok(Self { client, connection: None })
    }

    /// Runs a script whose answer is a list of whole numbers. Where the answer is lost it may have
    /// run all the same.
    ///
    /// # Errors
    /// Not reached within 2 s, no answer within 1 s, or refused. The next call connects anew.
    pub async fn run(
        &mut self,
        script: &RedisScript,
        keys: &[String],
        arguments: &[String],
    ) -> Result<Vec<i64>, RedisError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let mut invocation = script.0.prepare_invoke();
        invocation.key(keys).arg(arguments);
        let answer = invocation.invoke_async(&mut connection).await.map_err(RedisError::of)?;
        self.connection = Some(connection);
        Ok(answer)
    }

    async fn connect(&self) -> Result<MultiplexedConnection, RedisError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_MAX))
            .set_response_timeout(Some(ANSWER_MAX));
        let connected = self.client.get_multiplexed_async_connection_with_config(&config);
        connected.await.map_err(RedisError::of)
    }
}
