//! Time as an argument: a monotonic reading for durations and a wall reading for what people see.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A monotonic instant in nanoseconds since the clock was made. Only differences mean anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Nanos(pub u64);

impl Nanos {
    /// Time from `earlier` to `self`; zero when `earlier` lies after it.
    #[must_use]
    pub fn since(self, earlier: Nanos) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// This instant moved by `by`, saturating.
    #[must_use]
    pub fn plus(self, by: Duration) -> Nanos {
        Nanos(self.0.saturating_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// Where time comes from. Code that needs time takes a clock; it never asks the system itself, so
/// that a test can move time by hand.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Monotonic time.
    fn now(&self) -> Nanos;
    /// Wall time in milliseconds since 1970-01-01T00:00:00Z.
    fn unix_ms(&self) -> u64;
    /// Wall time in whole seconds since 1970-01-01T00:00:00Z.
    fn unix_seconds(&self) -> u64 {
        self.unix_ms() / 1000
    }
}

/// A clock that is handed around.
pub type SharedClock = Arc<dyn Clock>;

/// The machine's clock.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// A clock whose monotonic zero is now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one door to the machine's clock")]
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }

    /// The same, ready to be handed around.
    #[must_use]
    pub fn shared() -> SharedClock {
        Arc::new(Self::new())
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Nanos {
        let elapsed = self.start.elapsed();
        // In 64 bits it is good for 584 years.
        Nanos(elapsed.as_secs().saturating_mul(1_000_000_000) + u64::from(elapsed.subsec_nanos()))
    }

    #[expect(clippy::disallowed_methods, reason = "the one door to the machine's clock")]
    fn unix_ms(&self) -> u64 {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
    }
}

/// A clock that stands still until it is moved.
#[derive(Debug, Default)]
pub struct ManualClock {
    nanos: AtomicU64,
    unix_ms: AtomicU64,
}

impl ManualClock {
    /// A clock at monotonic zero and the given wall time in milliseconds.
    #[must_use]
    pub fn at_unix_ms(unix_ms: u64) -> Self {
        Self { nanos: AtomicU64::new(0), unix_ms: AtomicU64::new(unix_ms) }
    }

    /// Moves both readings forward.
    pub fn advance(&self, by: Duration) {
        let nanos = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        self.nanos.fetch_add(nanos, Ordering::SeqCst);
        self.unix_ms.fetch_add(nanos / 1_000_000, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Nanos {
        Nanos(self.nanos.load(Ordering::SeqCst))
    }

    fn unix_ms(&self) -> u64 {
        self.unix_ms.load(Ordering::SeqCst)
    }
}

/// The instant after which an answer is no longer wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Nanos);

impl Deadline {
    /// A deadline `after` from `now`.
    #[must_use]
    pub fn after(now: Nanos, after: Duration) -> Self {
        Self(now.plus(after))
    }

    /// What is left at `now`; zero once it has passed.
    #[must_use]
    pub fn left(self, now: Nanos) -> Duration {
        self.0.since(now)
    }

    /// The same, so much later.
    #[must_use]
    pub fn later(self, by: Duration) -> Deadline {
        Deadline(self.0.plus(by))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_counts_down_and_stops_at_zero() {
        let clock = ManualClock::at_unix_ms(1_000);
        let deadline = Deadline::after(clock.now(), Duration::from_secs(3));
        clock.advance(Duration::from_secs(1));
        assert_eq!(deadline.left(clock.now()), Duration::from_secs(2));
        clock.advance(Duration::from_secs(9));
        assert_eq!(deadline.left(clock.now()), Duration::ZERO);
        assert_eq!(clock.unix_ms(), 11_000);
    }
}
