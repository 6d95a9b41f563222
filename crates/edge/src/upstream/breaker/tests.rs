use proptest::prelude::*;

use super::*;

const TRIP: Trip = Trip {
    consecutive: 3,
    success_percent_min: 50,
    requests_min: 10,
    window: Duration::from_secs(10),
    open: Duration::from_secs(5),
    open_max: Duration::from_secs(12),
    slow_start: Duration::from_secs(20),
    poor_in_row: true,
};

fn at(ms: u64) -> Nanos {
    Nanos::default().plus(Duration::from_millis(ms))
}

fn fail(breaker: &mut Breaker, now: Nanos) -> bool {
    breaker.failed(&TRIP, Outcome::Failed, (now, now), 0)
}

fn open(now: Nanos) -> Breaker {
    let mut breaker = Breaker::default();
    assert_eq!([0; 3].map(|_| fail(&mut breaker, now)), [false, false, true]);
    breaker
}

#[test]
fn failures_in_a_row_open_it_for_longer_each_time_up_to_the_limit() {
    let mut now = at(1);
    let mut breaker = open(now);
    for open_s in [5, 10, 12, 12] {
        let refused = breaker.admits(&TRIP, now, || 0);
        assert_eq!(refused, Err(Duration::from_secs(open_s)));
        now = now.plus(Duration::from_secs(open_s));
        assert_eq!(breaker.admits(&TRIP, now, || 0), Ok(Pass::ToTry), "one may try");
        assert!(fail(&mut breaker, now));
    }
}

#[test]
fn exactly_one_tries_and_another_when_nothing_was_heard_of_it() {
    let mut breaker = open(at(0));
    let admitted = |breaker: &mut Breaker, ms| breaker.admits(&TRIP, at(ms), || 0).is_ok();
    assert!(!admitted(&mut breaker, 4_999));
    assert!(admitted(&mut breaker, 5_000));
    assert!((5_000..15_000).all(|ms| !admitted(&mut breaker, ms)));
    assert!(admitted(&mut breaker, 15_000));
}

#[test]
fn what_began_before_says_how_it_was() {
    let mut breaker = open(at(100));
    breaker.good(&TRIP, at(99), at(200));
    assert!(matches!(breaker.state(&TRIP, at(200)), BreakerState::Open { .. }));
    breaker.admits(&TRIP, at(5_100), || 0).unwrap();
    assert!(
        !breaker.failed(&TRIP, Outcome::Failed, (at(50), at(5_200)), 0),
        "not the one that tries"
    );
    breaker.good(&TRIP, at(5_100), at(5_300));
    for _ in 0..9 {
        assert!(!breaker.failed(&TRIP, Outcome::Failed, (at(60), at(5_400)), 0));
    }
    assert_eq!(breaker.state(&TRIP, at(5_400)), BreakerState::SlowStart);
}

#[test]
fn after_a_success_a_growing_share_passes() {
    let mut breaker = open(at(0));
    breaker.admits(&TRIP, at(5_000), || 0).unwrap();
    breaker.good(&TRIP, at(5_000), at(5_000));
    let mut share = |ms: u64| {
        (0..100)
            .filter(|n| {
                breaker.admits(&TRIP, at(ms), || n * (u64::MAX / 100) + u64::MAX / 200).is_ok()
            })
            .count()
    };
    assert_eq!([5_000, 6_000, 15_000, 20_000].map(&mut share), [10, 10, 50, 75]);
    assert_eq!(share(25_000), 100);
    assert!(breaker.is_calm());
}

#[test]
fn a_slow_start_ends_even_where_nobody_asks() {
    let mut breaker = open(at(0));
    breaker.good(&TRIP, at(6_000), at(6_000));
    breaker.good(&TRIP, at(25_999), at(25_999));
    assert!(!breaker.is_calm());
    breaker.good(&TRIP, at(26_000), at(26_000));
    assert!(breaker.is_calm());
}

#[test]
fn the_share_of_successes_counts_only_among_enough_requests() {
    let trip = Trip { consecutive: 0, ..TRIP };
    let mut breaker = Breaker::default();
    let mut failed = |ms, good| breaker.failed(&trip, Outcome::Poor, (at(ms), at(ms)), good);
    assert!((0..8).all(|ms| !failed(ms, 1)), "nine requests");
    assert!(!failed(9, 9), "as many are good as must be");
    assert!((20_000..20_006).all(|ms| !failed(ms, 3)), "the window has passed on");
    assert!(failed(20_006, 3));
}

#[derive(Debug, Clone)]
enum Event {
    Ask(u64),
    Good(usize),
    Fail(usize),
    Later(u64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => any::<u64>().prop_map(Event::Ask),
        2 => any::<usize>().prop_map(Event::Good),
        3 => any::<usize>().prop_map(Event::Fail),
        2 => (0_u64..6_000).prop_map(Event::Later),
    ]
}

proptest! {
    /// Whatever happens in whatever order: nothing passes while it is open, at most one tries at a
    /// time, and it opens only for something that was let through.
    #[test]
    fn it_never_lets_through_what_it_must_not(events in prop::collection::vec(event(), 0..400)) {
        let mut breaker = Breaker::default();
        let mut now = at(0);
        let mut under_way: Vec<Nanos> = Vec::new();
        let (mut closed_until, mut trying): (Nanos, Option<Nanos>) = (at(0), None);
        for event in events {
            match event {
                Event::Ask(random) => {
                    let before = breaker.state(&TRIP, now);
                    let passed = breaker.admits(&TRIP, now, || random).is_ok();
                    prop_assert!(!passed || now >= closed_until);
                    match before {
                        BreakerState::Closed => prop_assert!(passed),
                        BreakerState::Open { .. } => prop_assert!(!passed),
                        BreakerState::Probing => {
                            let free = trying.is_none_or(|since| now.since(since) >= PROBE_MAX);
                            prop_assert_eq!(passed, free);
                            trying = if passed { Some(now) } else { trying };
                        }
                        BreakerState::SlowStart => {}
                    }
                    if passed {
                        under_way.push(now);
                    }
                }
                Event::Good(which) if !under_way.is_empty() => {
                    let begun = under_way.swap_remove(which % under_way.len());
                    breaker.good(&TRIP, begun, now);
                }
                Event::Fail(which) if !under_way.is_empty() => {
                    let begun = under_way.swap_remove(which % under_way.len());
                    if breaker.failed(&TRIP, Outcome::Failed, (begun, now), 0) {
                        let BreakerState::Open { left } = breaker.state(&TRIP, now) else {
                            return Err(TestCaseError::fail("it opened and is not open"));
                        };
                        prop_assert!(left >= TRIP.open && left <= TRIP.open_max);
                        closed_until = now.plus(left);
                    }
                }
                Event::Later(ms) => now = now.plus(Duration::from_millis(ms)),
                Event::Good(_) | Event::Fail(_) => {}
            }
            let state = breaker.state(&TRIP, now);
            if state != BreakerState::Probing {
                trying = None;
            }
            if !matches!(state, BreakerState::Open { .. }) {
                closed_until = now;
            }
        }
    }
}
