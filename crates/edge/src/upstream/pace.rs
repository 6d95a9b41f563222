//! How fast an operation is answered: a running estimate of the 95th percentile, in one word that
//! all cores share.
//!
//! Each sample moves the estimate by a small share of itself: up by 19 parts where it was slower,
//! down by one part where it was not. It stands still where one in twenty is slower.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// Samples before the estimate says anything.
const SAMPLES_MIN: u32 = 50;

/// One part of the estimate; a slower sample moves it by 19 of these, which is 5 %.
const PART: u64 = 400;
const SLOWER_PARTS: u64 = 19;

/// The least estimate, nanoseconds: below it a part would be nothing.
const LEAST_NS: u64 = 10_000;

/// See the module's page.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    p95_ns: AtomicU64,
    samples: AtomicU32,
}

impl Pace {
    /// An answer took so long. Two cores at once may lose one of two moves, which is too small to
    /// matter.
    pub(crate) fn note(&self, took: Duration) {
        let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX).max(LEAST_NS);
        let samples = self.samples.load(Ordering::Relaxed);
        let held = self.p95_ns.load(Ordering::Relaxed);
        let moved = match samples {
            0 => took,
            _ if took > held => held.saturating_add(held / PART * SLOWER_PARTS),
            _ => held.saturating_sub(held / PART).max(LEAST_NS),
        };
        self.p95_ns.store(moved, Ordering::Relaxed);
        if samples < SAMPLES_MIN {
            self.samples.store(samples + 1, Ordering::Relaxed);
        }
    }

    /// One in twenty answers takes longer; `None` before enough of them came.
    pub(crate) fn p95(&self) -> Option<Duration> {
        let enough = self.samples.load(Ordering::Relaxed) >= SAMPLES_MIN;
        enough.then(|| Duration::from_nanos(self.p95_ns.load(Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exceeded(latency: impl Fn(&mut fastrand::Rng) -> f64) -> f64 {
        let (pace, mut random) = (Pace::default(), fastrand::Rng::with_seed(7));
        let mut above = 0;
        for number in 0..60_000 {
            let took = Duration::from_secs_f64(latency(&mut random));
            if number >= 10_000 && pace.p95().is_none_or(|p95| took > p95) {
                above += 1;
            }
            pace.note(took);
        }
        f64::from(above) / 50_000.0
    }

    #[test]
    fn one_in_twenty_is_slower_whatever_the_latencies_are() {
        let even = exceeded(|random| 0.010 + 0.090 * random.f64());
        let tailed = exceeded(|random| 0.005 * -(1.0 - random.f64()).ln());
        let two = exceeded(|random| if random.f64() < 0.9 { 0.010 } else { 0.5 + random.f64() });
        for (name, share) in [("even", even), ("tailed", tailed), ("two kinds", two)] {
            assert!((0.03..0.07).contains(&share), "{name}: {share}");
        }
    }

    #[test]
    fn it_says_nothing_before_it_has_seen_enough() {
        let pace = Pace::default();
        for _ in 0..SAMPLES_MIN {
            assert_eq!(pace.p95(), None);
            pace.note(Duration::from_millis(20));
        }
        let p95 = pace.p95().unwrap();
        let around = Duration::from_millis(15)..Duration::from_millis(21);
        assert!(around.contains(&p95), "{p95:?}");
    }
}
