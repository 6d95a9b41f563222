//! Ground under every other crate: ids, clock, deadline, and sizes and durations as people write
//! them.
//!
//! It never does I/O, never logs, and knows nothing of HTTP. "Think twice before adding": a type
//! belongs here only when two floors need it.

mod clock;
pub mod failpoint;
mod human;
mod ids;

pub use clock::{Clock, Deadline, ManualClock, Nanos, SharedClock, SystemClock};
pub use human::{ByteSize, HumanDuration, ParseHumanError};
pub use ids::{Name, NameError, RequestId};
