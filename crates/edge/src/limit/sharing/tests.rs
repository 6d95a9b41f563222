use proptest::prelude::*;

use super::*;
use crate::limit::{Decision, LimitOptions, LimitsOptions, Per, Units};

const MS: u64 = 1_000_000;
const SEED: [u8; 16] = [7; 16];
const CALLER: u64 = 42;

/// What Redis does with the counters, told apart from how it is asked.
#[derive(Default)]
struct Counters(HashMap<(u64, u64), (u64, u64)>);

impl Counters {
    fn add(&mut self, spent: &Spent, now: u64) -> Total {
        let now = now / 1_000;
        let [units, age, cost, owed] = spent.told();
        let counter = self.0.entry((spent.state.shared_id, spent.key)).or_default();
        counter.0 += units;
        counter.1 = (counter.1.max(now - age) + cost).max(now + owed);
        Total { units: counter.0, owed: counter.1.saturating_sub(now) * 1_000 }
    }
}

struct Node {
    limits: Limits,
    known: Known,
}

/// What became of a call to Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Answered,
    NotMade,
}

impl Node {
    fn new(quota: u32, window: Duration, burst: u32, shared: bool) -> Self {
        let limit = LimitOptions {
            name: "per-caller".to_owned(),
            per: Per::Caller,
            quota,
            window,
            burst,
            units: Units::Cost,
            operations: Vec::new(),
            keys_max: 1_000,
        };
        let options = LimitsOptions { limits: vec![limit], operations: Vec::new(), shared };
        Self { limits: Limits::build(&options, None, &SEED).unwrap(), known: Known::default() }
    }

    fn ask(&self, now: u64) -> bool {
        self.ask_for(1, now)
    }

    fn ask_for(&self, cost: u32, now: u64) -> bool {
        let of = self.limits.policies_for(None);
        let decision = self.limits.check(of.by_caller, &of.keys(0, CALLER), cost, Nanos(now));
        matches!(decision, Decision::Allowed(_))
    }

    fn round(&mut self, counters: &mut Counters, now: u64, call: Call) {
        for spent in self.limits.spent(Nanos(now), KEYS_PER_ROUND_MAX, 0) {
            match call {
                Call::Answered => {
                    let total = counters.add(&spent, now);
                    self.known.hear(&spent, total, now);
                }
                Call::NotMade => spent.keep(),
            }
        }
    }
}

fn nodes(count: usize, quota: u32, burst: u32) -> Vec<Node> {
    (0..count).map(|_| Node::new(quota, Duration::from_secs(1), burst, true)).collect()
}

#[test]
fn what_one_node_let_through_another_refuses() {
    let (mut counters, mut nodes) = (Counters::default(), nodes(2, 1, 5));
    for _ in 0..5 {
        assert!(nodes[0].ask(0));
    }
    nodes[0].round(&mut counters, 50 * MS, Call::Answered);
    // The other knows nothing before it asks; what it lets through until then is the allowance.
    assert!(nodes[1].ask(60 * MS));
    nodes[1].round(&mut counters, 100 * MS, Call::Answered);
    assert!(!nodes[1].ask(110 * MS));
    // What was let through too much is owed before anything passes again.
    assert!(!nodes[0].ask(900 * MS));
    assert!(!nodes[1].ask(1_900 * MS));
    assert!(nodes[1].ask(2_100 * MS));
}

#[test]
fn a_node_that_starts_again_gives_nobody_a_fresh_quota() {
    let (mut counters, mut nodes) = (Counters::default(), nodes(1, 1, 10));
    for _ in 0..10 {
        assert!(nodes[0].ask(0));
    }
    nodes[0].round(&mut counters, 50 * MS, Call::Answered);
    let mut fresh = Node::new(1, Duration::from_secs(1), 10, true);
    assert!(fresh.ask(60 * MS));
    fresh.round(&mut counters, 100 * MS, Call::Answered);
    assert!(!fresh.ask(110 * MS));
}

#[test]
fn what_could_not_be_told_is_told_later_and_no_more_than_is_owed() {
    let (mut counters, mut nodes) = (Counters::default(), nodes(2, 10, 10));
    for second in 0..60 {
        for _ in 0..5 {
            assert!(nodes[0].ask(second * 1_000 * MS));
        }
        nodes[0].round(&mut counters, second * 1_000 * MS + 50 * MS, Call::NotMade);
    }
    // 300 units in all; of the last five 450 ms are still owed.
    nodes[0].round(&mut counters, 59_050 * MS, Call::Answered);
    assert!(nodes[1].ask(59_060 * MS));
    nodes[1].round(&mut counters, 59_100 * MS, Call::Answered);
    let passed = (0..10).filter(|_| nodes[1].ask(59_100 * MS)).count();
    assert!((4..=6).contains(&passed), "{passed}");
}

#[test]
fn a_redis_that_lost_its_memory_starts_anew() {
    let (mut counters, mut nodes) = (Counters::default(), nodes(2, 1, 4));
    for at in 0..2 {
        assert!(nodes[0].ask(at));
        assert!(nodes[1].ask(at));
    }
    for node in &mut nodes {
        node.round(&mut counters, 50 * MS, Call::Answered);
    }
    counters = Counters::default();
    assert!(nodes[0].ask(60 * MS));
    nodes[0].round(&mut counters, 100 * MS, Call::Answered);
    // Its own count stands: one and two before are owed.
    assert!(nodes[0].ask(110 * MS));
    assert!(!nodes[0].ask(120 * MS));
}

/// A cost above the burst counts as the burst, to others as here.
#[test]
fn a_cost_above_the_burst_is_told_as_it_was_counted() {
    let (mut counters, mut nodes) = (Counters::default(), nodes(2, 1, 5));
    assert!(nodes[0].ask_for(1_000, 0));
    nodes[0].round(&mut counters, 50 * MS, Call::Answered);
    assert!(nodes[1].ask(60 * MS));
    nodes[1].round(&mut counters, 100 * MS, Call::Answered);
    assert!(!nodes[1].ask(110 * MS));
    // Five units of the other node and one here are paid after six seconds.
    assert!(nodes[1].ask(2_100 * MS));
    assert!(nodes[1].ask_for(5, 7_200 * MS));
}

/// A caller who was away is known to Redis a little longer than here. What Redis says is owed then
/// is what was used here, and the way to Redis and back is not charged.
#[test]
fn a_caller_who_comes_back_is_charged_what_was_used_and_no_more() {
    for away in [1, 9, 11, 14, 59, 61] {
        let (mut counters, mut nodes) = (Counters::default(), nodes(1, 10, 10));
        assert!(nodes[0].ask_for(3, 0));
        nodes[0].round(&mut counters, 50 * MS, Call::Answered);
        let back = 300 * MS + away * 1_000 * MS;
        assert!(nodes[0].ask_for(3, back));
        for spent in nodes[0].limits.spent(Nanos(back + 50 * MS), KEYS_PER_ROUND_MAX, 0) {
            let total = counters.add(&spent, back + 70 * MS);
            nodes[0].known.hear(&spent, total, back + 90 * MS);
        }
        assert!(nodes[0].ask_for(7, back + 91 * MS), "{away} s");
        // 100 ms a unit, and ten in all: the next one is there 100 ms after the first of today.
        assert!(!nodes[0].ask(back + 99 * MS) && nodes[0].ask(back + 100 * MS), "{away} s");
    }
}

/// More keys than a round tells: each has its turn, and nothing of what it used is lost.
#[test]
fn what_one_round_has_no_room_for_is_told_in_the_next_ones() {
    let node = Node::new(10, Duration::from_secs(1), 10, true);
    let of = node.limits.policies_for(None);
    let (callers, per_round) = (100_u64, 7);
    let mut told = HashMap::<u64, u32>::new();
    for turn in 0..40 {
        // Somebody new in each round, and all the others at its start.
        let asking = if turn == 0 { 0..callers } else { callers + turn..callers + turn + 1 };
        for caller in asking.map(|n| n << 32 | n) {
            let decision = node.limits.check(of.by_caller, &of.keys(0, caller), 2, Nanos(turn));
            assert!(matches!(decision, Decision::Allowed(_)));
        }
        let spent = node.limits.spent(Nanos(turn), per_round, usize::try_from(turn).unwrap());
        assert!(spent.len() <= per_round);
        for spent in spent {
            *told.entry(spent.key).or_default() += spent.spending.units;
        }
    }
    assert_eq!(told.len(), 139, "everybody was told of");
    assert!(told.values().all(|units| *units == 2), "once");
}

proptest! {
    /// Redis or not, one node decides the same, as long as every answer is heard.
    #[test]
    fn one_node_counts_exactly(
        quota in 1u32..50,
        burst in 1u32..20,
        steps in prop::collection::vec((0u64..200, 0u32..25, any::<bool>(), any::<bool>()), 1..300),
    ) {
        let window = Duration::from_secs(1);
        let alone = Node::new(quota, window, burst, false);
        let mut shared = Node::new(quota, window, burst, true);
        let (mut counters, mut now) = (Counters::default(), 0);
        for (pause_ms, cost, round, made) in steps {
            now += pause_ms * MS + 12_345;
            prop_assert_eq!(alone.ask_for(cost, now), shared.ask_for(cost, now));
            if round {
                shared.round(&mut counters, now, if made { Call::Answered } else { Call::NotMade });
            }
        }
    }

    /// The bound that the module's page states, and that it is not bought by refusing.
    #[test]
    fn together_they_pass_at_most_so_much_and_refuse_a_round_too_early_at_most(
        count in 2usize..5,
        quota in 1u32..100,
        burst in 1u32..30,
        pause_max in 1u64..60,
        asks in prop::collection::vec((0u64..60, 0usize..5, 0u32..40), 50..400),
    ) {
        let (mut counters, mut nodes) = (Counters::default(), nodes(count, quota, burst));
        let (mut now, mut told) = (0u64, 0u64);
        let mut passed: Vec<(u64, u64)> = Vec::new();
        // One bucket that all they let through stands in, and until when that is paid.
        let emission = (1_000 * MS).div_ceil(u64::from(quota));
        let mut paid = 0u64;
        for (pause_ms, at, cost) in asks {
            now += pause_ms % pause_max * MS;
            while told + 50 * MS <= now {
                told += 50 * MS;
                for node in &mut nodes {
                    node.round(&mut counters, told, Call::Answered);
                }
            }
            // Mostly single units: what is dear seldom passes.
            let cost = if cost < 30 { 1 } else { cost };
            let units = u64::from(cost.min(burst));
            let after = paid.max(now) + units * emission;
            if nodes[at % count].ask_for(cost, now) {
                paid = after;
                passed.push((now, units));
            } else {
                // Rounding to microseconds adds up to less than a millisecond.
                let early = 51 * MS;
                prop_assert!(after + early > now + u64::from(burst) * emission);
            }
        }
        let over = bound(count, quota, burst);
        for (from, (start, _)) in passed.iter().enumerate() {
            let mut inside = 0;
            for (end, units) in &passed[from..] {
                inside += units;
                let earned = (end - start) * u64::from(quota) / (1_000 * MS);
                prop_assert!(inside <= earned + u64::from(burst) + 1 + over);
            }
        }
    }
}

/// By how much `count` nodes may exceed what one would pass: for each of the others a burst, and
/// what is earned between two rounds.
fn bound(count: usize, quota: u32, burst: u32) -> u64 {
    let round = (u64::from(quota) * 50).div_ceil(1_000);
    (count as u64 - 1) * (u64::from(burst) + round)
}
