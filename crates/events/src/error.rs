//! What can go wrong with events.

use std::io;

/// Why an event was not appended or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EventsError {
    /// A field is longer than allowed.
    #[error("`{field}` has {bytes} bytes, at most {bytes_max} are taken")]
    TooLong {
        /// Which.
        field: &'static str,
        /// How many it has.
        bytes: usize,
        /// The bound.
        bytes_max: usize,
    },
    /// A topic or a consumer's name is empty.
    #[error("`{field}` is empty")]
    Empty {
        /// Which.
        field: &'static str,
    },
    /// No consumer of that name, or it was declared dead.
    #[error("there is no living consumer `{name}`: register it, which begins anew")]
    NoConsumer {
        /// The name.
        name: String,
    },
    /// The batch is not the one that follows what the consumer has read.
    #[error("consumer `{name}` has moved on since this batch was read: read again")]
    Overtaken {
        /// The name.
        name: String,
    },
    /// The database refused or did not answer.
    #[error("the database: {0}")]
    Database(#[from] sqlx::Error),
    /// A failpoint of a test.
    #[error("failpoint: {0}")]
    Failpoint(io::Error),
}
