//! What was sent and what came back.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;

/// Counts answers by class, and remembers when the last one came.
#[derive(Debug)]
pub(super) struct Tally {
    start: Instant,
    /// By the first digit of the status.
    classes: [AtomicU64; 6],
    failed: AtomicU64,
    /// Milliseconds after `start`.
    last_answer_ms: AtomicU64,
}

impl Tally {
    pub(super) fn new(start: Instant) -> Self {
        Self {
            start,
            classes: Default::default(),
            failed: AtomicU64::new(0),
            last_answer_ms: AtomicU64::new(0),
        }
    }

    pub(super) fn answered(&self, status: StatusCode, now: Instant) {
        if let Some(class) = self.classes.get(usize::from(status.as_u16() / 100)) {
            class.fetch_add(1, Ordering::Relaxed);
        }
        let ms = u64::try_from(now.duration_since(self.start).as_millis()).unwrap_or(u64::MAX);
        self.last_answer_ms.fetch_max(ms, Ordering::Relaxed);
    }

    pub(super) fn failed(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    /// How long no answer has come.
    pub(super) fn silence(&self, now: Instant) -> Duration {
        let last = Duration::from_millis(self.last_answer_ms.load(Ordering::Relaxed));
        now.duration_since(self.start).saturating_sub(last)
    }

    pub(super) fn summary(&self, now: Instant) -> Summary {
        let class = |n: usize| self.classes[n].load(Ordering::Relaxed);
        Summary {
            elapsed: now.duration_since(self.start),
            success: class(2) + class(3),
            client_errors: class(4),
            server_errors: class(5),
            failed: self.failed.load(Ordering::Relaxed),
        }
    }
}

/// A run so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Since the start.
    pub elapsed: Duration,
    /// Answers 200 to 399.
    pub success: u64,
    /// Answers 400 to 499.
    pub client_errors: u64,
    /// Answers 500 to 599.
    pub server_errors: u64,
    /// Requests without an answer.
    pub failed: u64,
}

impl Summary {
    /// All requests.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.success + self.client_errors + self.server_errors + self.failed
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { elapsed, success, client_errors, server_errors, failed } = self;
        let seconds = elapsed.as_secs();
        let requests = self.requests();
        write!(f, "simulated traffic: {requests} requests in {seconds} s ({success} well, ")?;
        write!(f, "{client_errors} answered 4xx, {server_errors} answered 5xx, ")?;
        write!(f, "{failed} without an answer)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_counted_from_the_last_answer() {
        let start = Instant::now();
        let tally = Tally::new(start);
        let after = |s| start + Duration::from_secs(s);
        assert_eq!(tally.silence(after(29)), Duration::from_secs(29));
        tally.answered(StatusCode::BAD_GATEWAY, after(29));
        tally.failed();
        assert_eq!(tally.silence(after(40)), Duration::from_secs(11));
        let summary = tally.summary(after(40));
        assert_eq!((summary.server_errors, summary.failed, summary.requests()), (1, 1, 2));
    }
}
