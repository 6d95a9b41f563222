//! The rate: one slot after another, never closer together than the rate allows.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// One wave of the simulated day.
const WAVE: Duration = Duration::from_secs(120);

/// Hands out slots. A phone that waits for its slot is an app whose person is a little slower.
#[derive(Debug)]
pub(super) struct Pacer {
    start: Instant,
    rps: f64,
    next: Mutex<Instant>,
}

impl Pacer {
    pub(super) fn new(rps: u32, start: Instant) -> Self {
        Self { start, rps: f64::from(rps.max(1)), next: Mutex::new(start) }
    }

    /// The pause between slots: between 70 % and 100 % of the rate, in waves.
    fn gap(&self, at: Instant) -> Duration {
        let turns = at.duration_since(self.start).as_secs_f64() / WAVE.as_secs_f64();
        let wave = 0.85 + 0.15 * (turns * std::f64::consts::TAU).sin();
        Duration::from_secs_f64(1.0 / (self.rps * wave))
    }

    /// Takes the next slot; the time that nobody used is lost, not saved up.
    fn take(&self, now: Instant) -> Instant {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = (*next).max(now);
        *next = slot + self.gap(slot);
        slot
    }

    /// Waits for the next slot.
    pub(super) async fn slot(&self) {
        sleep_until(self.take(Instant::now())).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_never_exceeded_and_nearly_reached() {
        let start = Instant::now();
        let pacer = Pacer::new(20, start);
        let slots: Vec<Instant> = (0..2_400).map(|_| pacer.take(start)).collect();
        for window in slots.windows(21) {
            let span = window[20].duration_since(window[0]);
            assert!(span >= Duration::from_millis(999), "{span:?}");
        }
        let all = slots[2_399].duration_since(start).as_secs_f64();
        assert!(all < 2_400.0 / (20.0 * 0.8), "{all}");
    }

    #[test]
    fn unused_time_makes_no_burst() {
        let start = Instant::now();
        let pacer = Pacer::new(10, start);
        pacer.take(start);
        let later = start + Duration::from_secs(60);
        let (a, b) = (pacer.take(later), pacer.take(later));
        assert_eq!(a, later);
        assert!(b.duration_since(a) >= Duration::from_millis(99));
    }
}
