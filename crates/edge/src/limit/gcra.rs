//! The generic cell rate algorithm, as a pure function of one stored number.
//!
//! A key's whole state is its *theoretical arrival time* (`tat`): the instant at which everything
//! used so far is paid off. Each unit costs one emission interval; a request is allowed while what
//! it would leave unpaid stays within the burst. No window edges, no counters to reset, and exact:
//! after a pause exactly `burst` units pass, then one each interval.

use std::time::Duration;

/// One limit's figures. All times are in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gcra {
    /// What one unit costs.
    emission: u64,
    /// What may stand unpaid: `emission * burst`.
    tolerance: u64,
    burst: u32,
}

/// What one request of some cost may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It may pass, and leaves this `tat`.
    Allowed {
        /// To be stored once all other limits agree.
        tat: u64,
    },
    /// It may pass after this long, if nobody else uses the key meanwhile.
    Refused {
        /// More than zero.
        wait: u64,
    },
}

impl Gcra {
    /// From `quota` units in `window`, `burst` of them at once. None when a figure is zero or the
    /// burst takes centuries to earn. The interval is rounded up to whole nanoseconds, so the limit
    /// is never exceeded by rounding.
    pub(crate) fn new(quota: u32, window: Duration, burst: u32) -> Option<Self> {
        if quota == 0 || burst == 0 {
            return None;
        }
        let window = u64::try_from(window.as_nanos()).ok().filter(|window| *window > 0)?;
        let emission = window.div_ceil(u64::from(quota));
        let tolerance = emission.checked_mul(u64::from(burst))?;
        (tolerance <= u64::MAX / 4).then_some(Self { emission, tolerance, burst })
    }

    /// The units that a request of some cost counts as. A cost above the burst counts as the whole
    /// burst: else such a request could never pass.
    pub(crate) fn units(&self, cost: u32) -> u32 {
        cost.min(self.burst)
    }

    /// Decides on a request of so many [`Gcra::units`]. `tat` is the stored value, zero for a key
    /// never seen.
    pub(crate) fn decide(&self, tat: u64, now: u64, units: u32) -> Verdict {
        let next = tat.max(now).saturating_add(self.cost(units));
        let limit = now.saturating_add(self.tolerance);
        if next <= limit {
            Verdict::Allowed { tat: next }
        } else {
            Verdict::Refused { wait: next - limit }
        }
    }

    /// What is stored of a key that may use one more unit at `now`, and no second one.
    pub(crate) fn with_one_unit_left(&self, now: u64) -> u64 {
        now.saturating_add(self.tolerance - self.emission)
    }

    /// What so many units cost, in nanoseconds.
    pub(crate) fn cost(&self, units: u32) -> u64 {
        self.emission.saturating_mul(u64::from(units))
    }

    /// How many units could be used at once, now.
    pub(crate) fn remaining(&self, tat: u64, now: u64) -> u64 {
        self.tolerance.saturating_sub(tat.saturating_sub(now)) / self.emission
    }

    /// How long until the whole burst is there again.
    pub(crate) fn full_after(&self, tat: u64, now: u64) -> u64 {
        tat.saturating_sub(now)
    }

    /// How long until one more unit is there.
    pub(crate) fn next_unit_after(&self, tat: u64, now: u64) -> u64 {
        match self.decide(tat, now, 1) {
            Verdict::Allowed { .. } => 0,
            Verdict::Refused { wait } => wait,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_burst_passes_then_one_each_interval() {
        let gcra = Gcra::new(60, Duration::from_secs(60), 3).unwrap();
        let mut tat = 0;
        let mut take = |now: u64| match gcra.decide(tat, now, 1) {
            Verdict::Allowed { tat: next } => {
                tat = next;
                None
            }
            Verdict::Refused { wait } => Some(wait),
        };
        let start = 500;
        assert_eq!([take(start), take(start), take(start)], [None; 3]);
        assert_eq!(take(start), Some(SECOND));
        assert_eq!(take(start + SECOND - 1), Some(1));
        assert_eq!(take(start + SECOND), None);
        assert_eq!(take(start + SECOND), Some(SECOND));
    }

    #[test]
    fn figures_that_make_no_limit_are_refused() {
        let day = Duration::from_secs(86_400);
        assert_eq!(Gcra::new(0, day, 1), None);
        assert_eq!(Gcra::new(1, day, 0), None);
        assert_eq!(Gcra::new(1, Duration::ZERO, 1), None);
        assert_eq!(Gcra::new(1, day, u32::MAX), None);
        assert!(Gcra::new(1_000_000_000, Duration::from_secs(1), 1_000_000_000).is_some());
    }

    #[test]
    fn a_cost_above_the_burst_passes_when_everything_is_there() {
        let gcra = Gcra::new(10, Duration::from_secs(10), 5).unwrap();
        let units = gcra.units(1_000);
        assert_eq!(gcra.decide(0, 7, units), Verdict::Allowed { tat: 7 + 5 * SECOND });
        assert_eq!(gcra.decide(8, 7, units), Verdict::Refused { wait: 1 });
    }

    /// The same limit told as a leaky bucket in exact integers: a level in nanoseconds of debt.
    struct Bucket {
        debt: u128,
        at: u64,
    }

    impl Bucket {
        fn take(&mut self, gcra: &Gcra, now: u64, cost: u32) -> bool {
            self.debt = self.debt.saturating_sub(u128::from(now - self.at));
            self.at = now;
            let add = u128::from(cost.min(gcra.burst)) * u128::from(gcra.emission);
            if self.debt + add > u128::from(gcra.emission) * u128::from(gcra.burst) {
                return false;
            }
            self.debt += add;
            true
        }
    }

    proptest! {
        #[test]
        fn it_decides_as_a_leaky_bucket_does(
            quota in 1u32..1_000,
            window_ms in 1u64..100_000,
            burst in 1u32..50,
            steps in prop::collection::vec((0u64..3_000, 0u32..60), 1..200),
        ) {
            let gcra = Gcra::new(quota, Duration::from_millis(window_ms), burst).unwrap();
            let mut bucket = Bucket { debt: 0, at: 0 };
            let (mut tat, mut now) = (0, 0);
            for (pause_ms, cost) in steps {
                now += pause_ms * 1_000_000;
                let expected = bucket.take(&gcra, now, cost);
                let units = gcra.units(cost);
                match gcra.decide(tat, now, units) {
                    Verdict::Allowed { tat: next } => {
                        prop_assert!(expected);
                        tat = next;
                    }
                    Verdict::Refused { wait } => {
                        prop_assert!(!expected && wait > 0);
                        let later = gcra.decide(tat, now + wait, units);
                        let allowed = matches!(later, Verdict::Allowed { .. });
                        prop_assert!(allowed, "the wait is enough");
                        let sooner = gcra.decide(tat, now + wait - 1, units);
                        let refused = matches!(sooner, Verdict::Refused { .. });
                        prop_assert!(refused, "and not too long");
                    }
                }
                let remaining = gcra.remaining(tat, now);
                let free = u128::from(gcra.tolerance) - bucket.debt;
                prop_assert_eq!(u128::from(remaining), free / u128::from(gcra.emission));
                prop_assert_eq!(u128::from(gcra.full_after(tat, now)), bucket.debt);
                prop_assert_eq!(gcra.next_unit_after(tat, now) == 0, remaining > 0);
            }
        }

        #[test]
        fn no_window_passes_more_than_quota_and_burst(
            quota in 1u32..50,
            burst in 1u32..20,
            pauses in prop::collection::vec(0u64..200, 1..300),
        ) {
            let window = 1_000u64;
            let gcra = Gcra::new(quota, Duration::from_millis(window), burst).unwrap();
            let (mut tat, mut now) = (0, 0);
            let mut passed: Vec<u64> = Vec::new();
            for pause in pauses {
                now += pause * 1_000_000;
                if let Verdict::Allowed { tat: next } = gcra.decide(tat, now, 1) {
                    tat = next;
                    passed.push(now);
                }
            }
            for (at, start) in passed.iter().enumerate() {
                let end = start + window * 1_000_000;
                let inside = passed[at..].iter().take_while(|t| **t < end).count();
                prop_assert!(inside as u64 <= u64::from(quota) + u64::from(burst));
            }
        }

        #[test]
        fn extremes_never_overflow(tat in any::<u64>(), now in any::<u64>(), cost in any::<u32>()) {
            let gcra = Gcra::new(1, Duration::from_secs(86_400), 50_000).unwrap();
            let _ = gcra.decide(tat, now, cost);
            let _ = gcra.next_unit_after(tat, now);
            prop_assert!(gcra.remaining(tat, now) <= 50_000);
        }
    }
}
