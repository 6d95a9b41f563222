//! How often somebody took the figures, so that it shows where nobody looks at them.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use plimsoll_base::Nanos;

use crate::shard::lock;

/// Times that are remembered; with more in the window they all count as so many.
pub const READS_MAX: usize = 1_024;

/// When figures were taken, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Reads(Mutex<VecDeque<Nanos>>);

impl Reads {
    pub(crate) fn note(&self, now: Nanos) {
        let mut times = lock(&self.0);
        if times.len() == READS_MAX {
            times.pop_front();
        }
        times.push_back(now);
    }

    pub(crate) fn within(&self, window: Duration, now: Nanos) -> usize {
        lock(&self.0).iter().filter(|at| now.since(**at) < window).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_than_the_window_does_not_count() {
        let (reads, second) = (Reads::default(), Duration::from_secs(1));
        let at = |seconds: u32| Nanos(0).plus(second * seconds);
        for seconds in [1, 5, 6] {
            reads.note(at(seconds));
        }
        assert_eq!(reads.within(second * 3, at(7)), 2);
        assert_eq!(reads.within(second * 300, at(7)), 3);
        for _ in 0..2 * READS_MAX {
            reads.note(at(8));
        }
        assert_eq!(reads.within(second, at(8)), READS_MAX);
    }
}
