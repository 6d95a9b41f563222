use http::HeaderValue;
use proptest::prelude::*;

use super::super::ticks::TICKS;
use super::*;

fn policy() -> RetryPolicy {
    RetryPolicy::new(&manifest::Retries::default())
}

fn seconds(seconds: u64) -> Nanos {
    Nanos::default().plus(Duration::from_secs(seconds))
}

#[test]
fn a_wait_is_drawn_below_a_bound_that_doubles_and_ends() {
    let section = manifest::Retries { tries_max: 9, ..manifest::Retries::default() };
    let policy = RetryPolicy::new(&section);
    for (tries, most_ms) in [(1, 25), (2, 50), (3, 100), (6, 800), (7, 1000), (8, 1000)] {
        let wait = |random| policy.wait(tries, Duration::ZERO, random).unwrap();
        assert_eq!(wait(0), Duration::ZERO);
        let (half, most) = (wait(u64::MAX / 2), wait(u64::MAX));
        assert!(most < Duration::from_millis(most_ms) && most.as_millis() + 1 >= most_ms.into());
        assert!(half.abs_diff(most / 2) < Duration::from_micros(1), "{half:?} {most:?}");
    }
    assert_eq!(policy.wait(9, Duration::ZERO, 0), None);
}

#[test]
fn what_the_service_asks_for_is_waited_at_least_or_left_to_the_client() {
    let wait = |asked, random| policy().wait(1, Duration::from_millis(asked), random);
    assert_eq!(wait(900, 0), Some(Duration::from_millis(900)));
    assert!(wait(900, u64::MAX).unwrap() > Duration::from_millis(920));
    assert_eq!(wait(1_001, 0), None);
}

#[test]
fn retry_after_is_read_in_seconds_and_as_a_date() {
    let of = |said: &'static str, date: Option<&'static str>| {
        let mut headers = HeaderMap::new();
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static(said));
        if let Some(date) = date {
            headers.insert(header::DATE, HeaderValue::from_static(date));
        }
        retry_after(&headers)
    };
    assert_eq!(retry_after(&HeaderMap::new()), Duration::ZERO);
    assert_eq!(of(" 7 ", None), Duration::from_secs(7));
    let date = "Sun, 29 Nov 2026 10:00:00 GMT";
    assert_eq!(of("Sun, 29 Nov 2026 10:00:05 GMT", Some(date)), Duration::from_secs(5));
    assert_eq!(of("Sun, 29 Nov 2026 09:00:05 GMT", Some(date)), Duration::ZERO);
    assert_eq!(of("Sun, 29 Nov 2026 10:00:05 GMT", None), Duration::MAX);
    assert_eq!(of("soon", Some(date)), Duration::MAX);
    assert_eq!(of("-1", None), Duration::MAX);
}

#[test]
fn a_post_is_covered_by_no_rule() {
    for rule in [RetryRule::Off, RetryRule::Safe, RetryRule::Idempotent] {
        for method in [Method::POST, Method::PATCH] {
            assert!(!covers(rule, &method));
        }
        for method in [Method::PUT, Method::DELETE] {
            assert_eq!(covers(rule, &method), rule == RetryRule::Idempotent);
        }
    }
}

#[test]
fn a_budget_is_a_share_of_recent_requests_and_never_less_than_its_least() {
    let budget = Arc::new(Budget::new(2));
    let share = Share { percent: 20, least: 3 };
    let now = seconds(100);
    let mut places: Vec<Place> =
        (0..3).map(|_| Budget::place(&budget, share, now).unwrap()).collect();
    assert!(Budget::place(&budget, share, now).is_none(), "the waiting count");
    for number in 0..100 {
        budget.note(number % 2, now);
    }
    places.extend(std::iter::from_fn(|| Budget::place(&budget, share, now)));
    assert_eq!(places.len(), 20);
    places.into_iter().for_each(|place| place.sent(now));
    assert!(Budget::place(&budget, share, now).is_none(), "and so do those that were sent");
    let status = budget.status(share, now);
    assert_eq!(status, BudgetStatus { sent_again: 20, waiting: 0, allowed: 20 });
    let later = seconds(112);
    assert_eq!(budget.status(share, later), BudgetStatus { allowed: 3, ..BudgetStatus::default() });
    drop(Budget::place(&budget, share, later).unwrap());
    assert_eq!(budget.status(share, later).waiting, 0, "one that was given up counts no more");
}

#[derive(Debug, Clone)]
enum Event {
    First(usize),
    Place,
    Sent,
    GivenUp,
    Later(u64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0_usize..3).prop_map(Event::First),
        4 => Just(Event::Place),
        2 => Just(Event::Sent),
        1 => Just(Event::GivenUp),
        1 => (0_u64..4_000_000_000).prop_map(Event::Later),
    ]
}

proptest! {
    /// Against a list of every event there was.
    #[test]
    fn no_more_are_sent_again_than_the_budget_allows(
        events in prop::collection::vec(event(), 0..300),
        percent in 0_u32..=100,
        least in 0_u32..4,
    ) {
        let budget = Arc::new(Budget::new(3));
        let share = Share { percent, least };
        let (mut now, mut first, mut again) = (Nanos(5), Vec::new(), Vec::new());
        let mut waiting: Vec<Place> = Vec::new();
        let of_late = |all: &[u64], now: Nanos| {
            let recent = |at: &&u64| (now.0 >> TICK_BITS) - (**at >> TICK_BITS) < TICKS;
            u32::try_from(all.iter().filter(recent).count()).unwrap()
        };
        for event in events {
            match event {
                Event::First(core) => {
                    budget.note(core, now);
                    first.push(now.0);
                }
                Event::Place => {
                    let used = of_late(&again, now) + u32::try_from(waiting.len()).unwrap();
                    let allowed = (of_late(&first, now) * percent / 100).max(least);
                    let place = Budget::place(&budget, share, now);
                    prop_assert_eq!(place.is_some(), used < allowed);
                    waiting.extend(place);
                }
                Event::Sent => if let Some(place) = waiting.pop() {
                    place.sent(now);
                    again.push(now.0);
                },
                Event::GivenUp => drop(waiting.pop()),
                Event::Later(by) => now = Nanos(now.0 + by),
            }
        }
    }

    #[test]
    fn a_wait_is_never_longer_than_was_asked_for_and_the_bound_together(
        tries in 0_u32..20, asked_ms in 0_u64..2_000, random: u64,
    ) {
        let asked = Duration::from_millis(asked_ms);
        if let Some(wait) = policy().wait(tries, asked, random) {
            prop_assert!(tries < 3 && asked <= Duration::from_secs(1));
            prop_assert!(wait >= asked && wait <= asked + Duration::from_secs(1));
        }
    }
}
