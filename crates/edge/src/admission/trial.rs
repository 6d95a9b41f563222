//! Whether critical requests go on under overload: an admission by the very rules in force is
//! offered ten times what it can take, on a clock of the trial's own.

use std::collections::VecDeque;
use std::time::Duration;

use plimsoll_base::Nanos;
use plimsoll_snapshot::Criticality;

use super::concurrency::{Bounds, Ended};
use super::model::{Admission, Asked, Asking, Rules, Told};
use crate::config::Config;

/// Requests at once in a trial, as far as the rules allow.
const SLOTS: u32 = 16;

/// How long each takes, and how long the trial lasts, milliseconds.
const TAKES_MS: u64 = 50;
const TRIAL_MS: u64 = 1_000;

/// So many times what can be answered is offered.
const OVERLOAD: u32 = 10;

/// One request in so many is for a critical operation, where there is one.
const CRITICAL_PART: u64 = 20;

/// What trying the admission of every service came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AdmissionTried {
    /// The services there are.
    pub services: usize,
    /// Those without an admission, by name.
    pub open: Vec<String>,
    /// Requests that were offered.
    pub offered: u64,
    /// Those of them that were refused.
    pub refused: u64,
    /// Those for critical operations.
    pub critical: u64,
    /// Those of these that were refused.
    pub critical_refused: u64,
}

impl AdmissionTried {
    pub(crate) fn of(config: &Config) -> Self {
        let mut tried = Self { services: config.services.len(), ..Self::default() };
        for (index, service) in config.services.iter().enumerate() {
            let Some((_, rules)) = &service.admission else {
                tried.open.push(service.name.to_string());
                continue;
            };
            let operations = config.router.operations().iter().zip(&config.classes);
            let of_service = operations.filter(|(o, _)| usize::from(o.service) == index);
            let takes_part = of_service.filter(|(o, _)| o.admission != Some(false));
            tried.offer(*rules, &takes_part.map(|(_, class)| *class).collect::<Vec<_>>());
        }
        tried
    }

    fn offer(&mut self, rules: Rules, classes: &[Criticality]) {
        let slots = SLOTS.min(rules.bounds.max);
        let rules = Rules { bounds: Bounds { min: slots, max: slots }, ..rules };
        let others: Vec<Criticality> =
            classes.iter().copied().filter(|class| *class != Criticality::Critical).collect();
        let has_critical = others.len() < classes.len();
        let mut admission = Admission::new(rules, Nanos(0));
        let mut running: VecDeque<(u64, Criticality)> = VecDeque::new();
        let (mut due, mut number) = (0_u64, 0_u64);
        for ms in 0..TRIAL_MS {
            let now = at(ms);
            let mut told = Vec::new();
            while running.front().is_some_and(|(begun, _)| begun + TAKES_MS <= ms) {
                let Some((begun, _)) = running.pop_front() else { break };
                let ended = Ended::Answered(Duration::from_millis(TAKES_MS));
                admission.ended((0, at(begun), ended), now, &mut told);
            }
            due += u64::from(slots * OVERLOAD);
            while due >= TAKES_MS {
                due -= TAKES_MS;
                number += 1;
                let class = match number.is_multiple_of(CRITICAL_PART) && has_critical {
                    true => Criticality::Critical,
                    false if others.is_empty() => Criticality::Default,
                    false => others[(number % others.len() as u64) as usize],
                };
                self.offered += 1;
                self.critical += u64::from(class == Criticality::Critical);
                match admission.ask(asking(class, number, now), class, now, &mut told) {
                    Asked::Admitted => running.push_back((ms, class)),
                    Asked::Queued(_) => {}
                    Asked::Refused(_) => self.refuse(class),
                }
            }
            for told in told {
                match told {
                    Told::Admitted(class) => running.push_back((ms, class)),
                    Told::Refused(class, _) => self.refuse(class),
                }
            }
        }
    }

    fn refuse(&mut self, class: Criticality) {
        self.refused += 1;
        self.critical_refused += u64::from(class == Criticality::Critical);
    }
}

fn asking(class: Criticality, number: u64, now: Nanos) -> Asking {
    // As evenly over the callers' buckets as a hash is.
    let caller = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let deadline = now.plus(Duration::from_secs(10));
    Asking { class, again: false, caller, operation: 0, deadline }
}

fn at(ms: u64) -> Nanos {
    Nanos(ms * 1_000_000)
}

#[cfg(test)]
mod tests {
    use plimsoll_base::failpoint;

    use super::super::queue::Patience;
    use super::*;

    const RULES: Rules = Rules {
        bounds: Bounds { min: 8, max: 1_000 },
        operations: 0,
        queue_depth_max: 100,
        patience: Patience { target: Duration::from_millis(100), interval: Duration::from_secs(1) },
        retry_after_max: Duration::from_secs(60),
    };

    fn tried(rules: Rules) -> AdmissionTried {
        let mut tried = AdmissionTried::default();
        tried.offer(rules, &[Criticality::Critical, Criticality::Default, Criticality::Background]);
        tried
    }

    #[test]
    fn the_rest_is_shed_and_critical_requests_are_not() {
        let tried = tried(RULES);
        assert_eq!((tried.offered, tried.critical, tried.critical_refused), (3_200, 160, 0));
        assert!(tried.refused > 2_000, "{tried:?}");
    }

    #[test]
    fn it_costs_the_same_however_many_may_be_in_flight() {
        let bounds = Bounds { min: 100_000, max: 100_000 };
        assert_eq!(tried(Rules { bounds, ..RULES }).offered, tried(RULES).offered);
    }

    #[test]
    fn without_a_queue_or_without_classes_critical_ones_are_shed_like_others() {
        assert!(tried(Rules { queue_depth_max: 0, ..RULES }).critical_refused > 0);
        let _broken = failpoint::fail("edge.admission");
        assert!(tried(RULES).critical_refused > 0);
    }
}
