//! What holds whatever happens: no slot is lost, none is given beyond the limit, nobody waits while
//! one is free, the queue is bounded, and critical requests never go for others.

use std::collections::BTreeMap;
use std::time::Duration;

use plimsoll_base::Nanos;
use plimsoll_snapshot::Criticality;
use proptest::prelude::*;

use super::concurrency::{Bounds, Ended};
use super::model::{Admission, Asked, Asking, Reason, Rules, Told};
use super::queue::{BUCKETS, Patience, Place, WEIGHTS};

const MS: u64 = 1_000_000;

fn rules(min: u32, max: u32, queue_depth_max: u32) -> Rules {
    Rules {
        bounds: Bounds { min, max },
        operations: 0,
        queue_depth_max,
        patience: Patience { target: Duration::from_millis(100), interval: Duration::from_secs(1) },
        retry_after_max: Duration::from_secs(300),
    }
}

fn asking(class: Criticality, caller: u64, deadline: Nanos) -> Asking {
    Asking { class, again: false, caller, operation: 0, deadline }
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Ask { class: usize, again: bool, caller: u64, left_ms: u64 },
    End { which: usize, how: u8 },
    Leave { which: usize },
    Wait { ms: u64 },
    Bounds { min: u32, max: u32, depth: u32 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..4_usize, any::<bool>(), 0..6_u64, 0..3_000_u64).prop_map(
            |(class, again, caller, left_ms)| Step::Ask { class, again, caller, left_ms }
        ),
        5 => (any::<usize>(), 0..4_u8).prop_map(|(which, how)| Step::End { which, how }),
        1 => any::<usize>().prop_map(|which| Step::Leave { which }),
        3 => (0..400_u64).prop_map(|ms| Step::Wait { ms }),
        1 => (1..9_u32, 0..9_u32, 0..12_u32)
            .prop_map(|(min, more, depth)| Step::Bounds { min, max: min + more, depth }),
    ]
}

/// What is known from outside of those who asked.
#[derive(Default)]
struct Outside {
    now: Nanos,
    next: u32,
    depth: u32,
    running: Vec<(u32, Nanos)>,
    waiting: BTreeMap<u32, (Place, Criticality)>,
}

impl Outside {
    fn told(&mut self, told: Vec<Told<u32>>, arriving: Option<Criticality>) {
        for told in told {
            match told {
                Told::Admitted(id) => {
                    assert!(self.waiting.remove(&id).is_some(), "{id} waited");
                    self.running.push((id, self.now));
                }
                Told::Refused(id, refusal) => {
                    let (_, class) = self.waiting.remove(&id).unwrap();
                    assert_eq!(class, refusal.class);
                    assert!(refusal.retry_after >= Duration::from_secs(1));
                    if refusal.reason == Reason::QueueFull {
                        let lower = class >= arriving.unwrap();
                        assert!(lower || class != Criticality::Critical, "for a lower class");
                    }
                }
            }
        }
    }
}

fn apply(admission: &mut Admission<u32>, outside: &mut Outside, step: Step) {
    let mut told = Vec::new();
    match step {
        Step::Ask { class, again, caller, left_ms } => {
            let (id, class) = (outside.next, Criticality::ALL[class]);
            outside.next += 1;
            let deadline = outside.now.plus(Duration::from_millis(left_ms));
            let asking = Asking { again, ..asking(class, caller, deadline) };
            let asked = admission.ask(asking, id, outside.now, &mut told);
            outside.told(told, Some(class));
            match asked {
                Asked::Admitted => outside.running.push((id, outside.now)),
                Asked::Queued(place) => drop(outside.waiting.insert(id, (place, class))),
                Asked::Refused(refusal) => assert_eq!(refusal.class, class),
            }
            let figures = admission.figures(outside.now);
            if matches!(asked, Asked::Admitted) {
                assert!(figures.in_flight <= figures.limit);
            }
        }
        Step::End { which, how } if !outside.running.is_empty() => {
            let (_, sent) = outside.running.remove(which % outside.running.len());
            let how = match how {
                0 => Ended::Answered(outside.now.since(sent)),
                1 => Ended::Overloaded,
                2 => Ended::Failed,
                _ => Ended::Unknown,
            };
            admission.ended((0, sent, how), outside.now, &mut told);
            outside.told(told, None);
        }
        Step::Leave { which } if !outside.waiting.is_empty() => {
            let id = *outside.waiting.keys().nth(which % outside.waiting.len()).unwrap();
            let (place, _) = outside.waiting.remove(&id).unwrap();
            assert_eq!(admission.leave(place, outside.now), Some(id));
            assert_eq!(admission.leave(place, outside.now), None, "a place is left once");
        }
        Step::Wait { ms } => {
            outside.now = outside.now.plus(Duration::from_millis(ms));
            admission.serve(outside.now, &mut told);
            outside.told(told, None);
        }
        Step::Bounds { min, max, depth } => {
            outside.depth = depth;
            admission.reconfigure(rules(min, max, depth));
            admission.serve(outside.now, &mut told);
            outside.told(told, None);
        }
        Step::End { .. } | Step::Leave { .. } => {}
    }
}

proptest! {
    #[test]
    fn no_slot_is_lost_and_nobody_waits_for_nothing(
        steps in prop::collection::vec(step(), 1..300),
    ) {
        let mut outside = Outside { depth: 6, ..Outside::default() };
        let mut admission = Admission::new(rules(2, 6, outside.depth), outside.now);
        for step in steps {
            let waited_before = outside.waiting.len();
            apply(&mut admission, &mut outside, step);
            let figures = admission.figures(outside.now);
            prop_assert_eq!(figures.in_flight as usize, outside.running.len());
            let queued: u32 = figures.queued.iter().sum();
            prop_assert_eq!(queued as usize, outside.waiting.len());
            let bound = waited_before.max(outside.depth as usize);
            prop_assert!(queued as usize <= bound, "the queue is bounded");
            let idle = figures.in_flight < figures.limit;
            prop_assert!(queued == 0 || !idle, "somebody waits while a slot is free");
        }
        // Everybody who has a slot gives it back, and then nobody is left.
        let mut guard = 0;
        while let Some((_, sent)) = outside.running.pop() {
            let mut told = Vec::new();
            admission.ended((0, sent, Ended::Unknown), outside.now, &mut told);
            outside.told(told, None);
            guard += 1;
            prop_assert!(guard < 1_000);
        }
        let figures = admission.figures(outside.now);
        prop_assert_eq!((figures.in_flight, figures.queued), (0, [0; 4]));
        prop_assert!(outside.waiting.is_empty());
    }
}

/// One slot, taken; everybody else waits.
fn full(depth: u32) -> Admission<u32> {
    let mut admission = Admission::new(rules(1, 1, depth), Nanos(0));
    assert!(admission.enter());
    admission
}

fn ask(admission: &mut Admission<u32>, asking: Asking, id: u32, now: Nanos) -> (Asked, Vec<u32>) {
    let mut told = Vec::new();
    let asked = admission.ask(asking, id, now, &mut told);
    let gone = told.into_iter().map(|told| match told {
        Told::Refused(id, _) => id,
        Told::Admitted(id) => panic!("{id} got a slot"),
    });
    (asked, gone.collect())
}

/// Who gets the slot next, one after the other.
fn served(admission: &mut Admission<u32>, times: usize, now: Nanos) -> Vec<u32> {
    let mut order = Vec::new();
    for _ in 0..times {
        let mut told = Vec::new();
        admission.ended((0, Nanos(0), Ended::Unknown), now, &mut told);
        order.extend(told.into_iter().map(|told| match told {
            Told::Admitted(id) => id,
            Told::Refused(id, refusal) => panic!("{id} was refused: {refusal:?}"),
        }));
    }
    order
}

const LATE: Nanos = Nanos(60_000 * MS);

#[test]
fn every_class_gets_its_share_and_the_highest_goes_first() {
    let mut admission = full(4_000);
    for id in 0..4_000_u32 {
        let class = Criticality::ALL[(3 - id % 4) as usize];
        ask(&mut admission, asking(class, u64::from(id), LATE), id, Nanos(1));
    }
    let round = WEIGHTS.iter().sum::<u32>() as usize;
    for _ in 0..3 {
        let mut shares = [0; 4];
        let order = served(&mut admission, round, Nanos(2));
        order.iter().for_each(|id| shares[(3 - id % 4) as usize] += 1);
        assert_eq!(shares, WEIGHTS);
        assert!(order[..WEIGHTS[0] as usize].iter().all(|id| id % 4 == 3), "critical first");
    }
}

#[test]
fn what_one_class_does_not_need_another_has() {
    let mut admission = full(100);
    for id in 0..100 {
        ask(&mut admission, asking(Criticality::Background, 1, LATE), id, Nanos(1));
    }
    assert_eq!(served(&mut admission, 100, Nanos(2)), (0..100).collect::<Vec<_>>());
}

#[test]
fn callers_take_turns_and_first_tries_go_first() {
    let mut admission = full(100);
    // Caller 7 asks thirty times, 8 and 9 once each, and 10 has been here before.
    let callers = (0..30).map(|_| (7, false)).chain([(10, true), (8, false), (9, false)]);
    for (id, (caller, again)) in (0..).zip(callers) {
        let asking = Asking { again, ..asking(Criticality::Default, caller, LATE) };
        ask(&mut admission, asking, id, Nanos(1));
    }
    let order = served(&mut admission, 33, Nanos(2));
    assert_eq!(order[..5], [0, 31, 32, 1, 2]);
    assert_eq!(order[32], 30, "whoever tried before goes after all first tries");
}

#[test]
fn a_full_queue_sheds_the_newest_of_whoever_has_most_of_a_class_above_its_share() {
    use Criticality::{Background, Critical, Default, Sheddable};
    let mut admission = full(6);
    let places = [(Critical, 1), (Default, 2), (Sheddable, 3), (Sheddable, 3), (Sheddable, 4)];
    for (id, (class, caller)) in (0..).zip(places.into_iter().chain([(Background, 5)])) {
        ask(&mut admission, asking(class, caller, LATE), id, Nanos(1));
    }
    let mut come =
        |class, caller, id| ask(&mut admission, asking(class, caller, LATE), id, Nanos(2));
    assert_eq!(come(Critical, 1, 6).1, [3], "the lowest class above its share");
    let (asked, gone) = come(Background, 5, 7);
    assert!(matches!(asked, Asked::Refused(_)) && gone.is_empty(), "nobody goes for background");
    assert_eq!(come(Sheddable, 9, 8).1, [4], "the newest of one who has most");
    let (asked, gone) = come(Sheddable, 3, 9);
    assert!(
        matches!(asked, Asked::Refused(_)) && gone.is_empty(),
        "who has his share gets no more"
    );
    assert_eq!(come(Default, 2, 10).1, [8]);
    assert_eq!(served(&mut admission, 2, Nanos(3)), [0, 6]);
}

#[test]
fn a_standing_queue_is_served_newest_first_and_nobody_waits_long_in_it() {
    let mut admission = full(100);
    for id in 0..10 {
        ask(&mut admission, asking(Criticality::Default, 1, LATE), id, Nanos(u64::from(id) * MS));
    }
    assert_eq!(served(&mut admission, 1, Nanos(20 * MS)), [0], "the oldest first");
    let at = Nanos(1_050 * MS);
    ask(&mut admission, asking(Criticality::Default, 1, LATE), 10, at);
    ask(&mut admission, asking(Criticality::Default, 1, LATE), 11, at);
    let mut told = Vec::new();
    admission.serve(at, &mut told);
    let waited = |told: &Told<u32>| match told {
        Told::Refused(_, refusal) => refusal.reason == Reason::Waited,
        Told::Admitted(_) => false,
    };
    assert!(told.len() == 9 && told.iter().all(waited), "{told:?}");
    assert_eq!(served(&mut admission, 2, Nanos(1_060 * MS)), [11, 10], "the newest first");
}

#[test]
fn who_cannot_be_answered_in_time_is_told_at_once() {
    let mut admission: Admission<u32> = Admission::new(rules(1, 1, 10), Nanos(0));
    // The operation takes 50 ms.
    for _ in 0..20 {
        assert!(admission.enter());
        let ended = (0, Nanos(0), Ended::Answered(Duration::from_millis(50)));
        admission.ended(ended, Nanos(MS), &mut Vec::new());
    }
    assert!(admission.enter());
    let come = |left_ms: u64| asking(Criticality::Critical, 1, Nanos((1 + left_ms) * MS));
    let (asked, _) = ask(&mut admission, come(40), 1, Nanos(MS));
    assert!(matches!(asked, Asked::Refused(refusal) if refusal.reason == Reason::Deadline));
    let (asked, _) = ask(&mut admission, come(80), 2, Nanos(MS));
    assert!(matches!(asked, Asked::Queued(_)));
    let mut told = Vec::new();
    admission.ended((0, Nanos(0), Ended::Unknown), Nanos(60 * MS), &mut told);
    let [Told::Refused(2, refusal)] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!(refusal.reason, Reason::Deadline);
}

#[test]
fn what_an_operation_takes_is_forgotten_when_its_number_is_anothers() {
    let mut admission: Admission<u32> = Admission::new(rules(1, 1, 10), Nanos(0));
    assert!(admission.enter());
    let ended = (0, Nanos(0), Ended::Answered(Duration::from_secs(1)));
    admission.ended(ended, Nanos(MS), &mut Vec::new());
    assert!(admission.enter());
    let hasty = asking(Criticality::Default, 1, Nanos(500 * MS));
    assert!(matches!(ask(&mut admission, hasty, 1, Nanos(MS)).0, Asked::Refused(_)));
    admission.reconfigure(rules(1, 1, 10));
    assert!(matches!(ask(&mut admission, hasty, 2, Nanos(MS)).0, Asked::Refused(_)));
    admission.reconfigure(Rules { operations: 1, ..rules(1, 1, 10) });
    assert!(matches!(ask(&mut admission, hasty, 3, Nanos(MS)).0, Asked::Queued(_)));
}

#[test]
fn a_crowd_of_callers_shares_a_bounded_number_of_turns() {
    let mut admission = full(10_000);
    for id in 0..10_000_u32 {
        let caller = u64::from(id).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        // One of them asks as often as all others together.
        let caller = if id % 2 == 0 { 5 } else { caller };
        ask(&mut admission, asking(Criticality::Default, caller, LATE), id, Nanos(1));
    }
    let order = served(&mut admission, 2_000, Nanos(2));
    let greedy = order.iter().filter(|id| *id % 2 == 0).count();
    assert!(greedy <= 2 * 2_000 / BUCKETS, "{greedy} of 2,000 for one of many");
}
