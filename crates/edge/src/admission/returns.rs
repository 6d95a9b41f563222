//! When those who were refused are asked to come back (`Retry-After`, RFC 9110 §10.2.3).
//!
//! Each one who is refused is given a place in an imagined queue that the service serves at the
//! pace it is known to keep, a share of it left for whoever comes anew. So the more are refused the
//! longer the times, and however many there are, they come back no faster than they can be served.
//! Critical requests have a queue and a share of their own, so that they do not wait for the rest.
//! On top comes a share that only the caller's hash decides, so that callers who were refused
//! together do not come back together.

use std::time::Duration;

use plimsoll_base::Nanos;
use plimsoll_snapshot::Criticality;

/// The shares of the service's pace that critical requests and the others come back at.
const PACE_CRITICAL: f64 = 0.2;
const PACE_OTHERS: f64 = 0.6;

/// Answers a second that are assumed of a service that was never seen to answer.
const PACE_UNKNOWN: f64 = 10.0;

/// The caller's own share is up to this part of the time, and a second at least.
const SPREAD_PART: u32 = 8;
const SPREAD_MIN: Duration = Duration::from_secs(1);

/// Until when the refused are served.
#[derive(Debug, Default)]
pub(super) struct Returns {
    critical: Nanos,
    others: Nanos,
}

impl Returns {
    /// After how long one who is refused now comes back: whole seconds, one at least. `per_second`
    /// is the service's pace, 0 where it is not known.
    pub(super) fn refuse(
        &mut self,
        (now, longest): (Nanos, Duration),
        class: Criticality,
        caller: u64,
        per_second: f64,
    ) -> Duration {
        let (until, share) = match class {
            Criticality::Critical => (&mut self.critical, PACE_CRITICAL),
            _ => (&mut self.others, PACE_OTHERS),
        };
        let pace = if per_second > 0.0 { per_second } else { PACE_UNKNOWN };
        let step = Duration::from_secs_f64((1.0 / (pace * share)).min(1.0));
        // Bounded: what lies further ahead than can be told is told alike.
        *until = (*until).max(now).plus(step).min(now.plus(longest).plus(step));
        let drain = until.since(now);
        let after = if drain <= longest {
            let spread = (drain / SPREAD_PART).max(SPREAD_MIN);
            drain + part_of(spread, caller)
        } else {
            // More than can be told: evenly over the second half of what can.
            longest / 2 + part_of(longest / 2, caller)
        };
        let after = after.min(longest);
        Duration::from_secs(after.as_secs() + u64::from(after.subsec_nanos() > 0)).max(SPREAD_MIN)
    }
}

/// The part of `whole` that a hash stands for.
fn part_of(whole: Duration, hash: u64) -> Duration {
    let nanos = (whole.as_nanos() * u128::from(hash)) >> 64;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    #[test]
    fn the_more_are_refused_the_longer_and_the_wider() {
        let mut returns = Returns::default();
        let mut times = Vec::new();
        for caller in 0..10_000_u64 {
            let hash = caller.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let now = (Nanos(5), HOUR);
            times.push(returns.refuse(now, Criticality::Default, hash, 100.0).as_secs());
        }
        assert!(times[..60].iter().all(|time| (1..=2).contains(time)), "{:?}", &times[..60]);
        // 10,000 at 60 a second.
        assert!((166..=189).contains(&times[9_999]), "{}", times[9_999]);
        let mut each = vec![0; 200];
        times.iter().for_each(|time| each[*time as usize] += 1);
        assert!(each.iter().all(|many| *many <= 100), "{each:?}");
    }

    #[test]
    fn a_caller_gets_the_same_time_whenever_the_queue_is_the_same() {
        let time = |hash| {
            let mut returns = Returns::default();
            returns.refuse((Nanos(9), HOUR), Criticality::Critical, hash, 0.5)
        };
        assert_eq!(time(7), time(7));
    }

    #[test]
    fn higher_classes_do_not_wait_for_lower_ones() {
        let mut returns = Returns::default();
        let mut refuse = |class| returns.refuse((Nanos(5), HOUR), class, 0, 10.0).as_secs();
        for _ in 0..800 {
            refuse(Criticality::Background);
        }
        assert_eq!(refuse(Criticality::Critical), 1);
        assert!(refuse(Criticality::Background) >= 100);
    }

    #[test]
    fn nobody_is_told_more_than_the_longest() {
        let mut returns = Returns::default();
        let longest = Duration::from_secs(30);
        for caller in 0..5_000_u64 {
            let hash = caller.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let time = returns.refuse((Nanos(5), longest), Criticality::Default, hash, 10.0);
            assert!(time <= longest && time >= Duration::from_secs(1));
        }
    }
}
