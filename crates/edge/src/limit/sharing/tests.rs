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

impl Node {
    fn new(quota: u32, window: Duration, burst: u32, shared: bool) -> Self {
        let limit = LimitOptions {
            name: "per-caller".to_owned(),
            per: Per::Caller,
            quota,
            window,
            burst,
            units: Units::Requests,
            operations: Vec::new(),
            keys_max: 1_000,
        };
        let options = LimitsOptions { limits: vec![limit], operations: Vec::new(), shared };
        Self { limits: Limits::build(&options, None, &SEED).unwrap(), known: Known::default() }
    }

    fn ask(&self, now: u64) -> bool {
        let of = self.limits.policies_for(None);
        let decision = self.limits.check(of.by_caller, &of.keys(0, CALLER), 1, Nanos(now));
        matches!(decision, Decision::Allowed(_))
    }

    /// A round, `lost` when Redis does not answer.
    fn round(&mut self, counters: &mut Counters, now: u64, lost: bool) {
        for spent in self.limits.spent(Nanos(now)) {
            if lost {
                spent.keep();
            } else {
                let total = counters.add(&spent, now);
                self.known.hear(&spent, total, now);
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
    nodes[0].round(&mut counters, 50 * MS, false);
    // The other knows nothing before it asks; what it lets through until then is the allowance.
    assert!(nodes[1].ask(60 * MS));
    nodes[1].round(&mut counters, 100 * MS, false);
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
    nodes[0].round(&mut counters, 50 * MS, false);
    let mut fresh = Node::new(1, Duration::from_secs(1), 10, true);
    assert!(fresh.ask(60 * MS));
    fresh.round(&mut counters, 100 * MS, false);
    assert!(!fresh.ask(110 * MS));
}

#[test]
fn what_could_not_be_told_is_told_later_and_no_more_than_is_owed() {
    let (mut counters, mut nodes) = (Counters::default(), nodes(2, 10, 10));
    for second in 0..60 {
        for _ in 0..5 {
            assert!(nodes[0].ask(second * 1_000 * MS));
        }
        nodes[0].round(&mut counters, second * 1_000 * MS + 50 * MS, true);
    }
    // 300 units in all; of the last five 450 ms are still owed.
    nodes[0].round(&mut counters, 59_050 * MS, false);
    assert!(nodes[1].ask(59_060 * MS));
    nodes[1].round(&mut counters, 59_100 * MS, false);
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
        node.round(&mut counters, 50 * MS, false);
    }
    counters = Counters::default();
    assert!(nodes[0].ask(60 * MS));
    nodes[0].round(&mut counters, 100 * MS, false);
    // Its own count stands: one and two before are owed.
    assert!(nodes[0].ask(110 * MS));
    assert!(!nodes[0].ask(120 * MS));
}

proptest! {
    /// Redis or not, one node decides the same.
    #[test]
    fn one_node_counts_exactly(
        quota in 1u32..50,
        burst in 1u32..20,
        steps in prop::collection::vec((0u64..200, any::<bool>(), any::<bool>()), 1..300),
    ) {
        let window = Duration::from_secs(1);
        let alone = Node::new(quota, window, burst, false);
        let mut shared = Node::new(quota, window, burst, true);
        let (mut counters, mut now) = (Counters::default(), 0);
        for (pause_ms, round, lost) in steps {
            now += pause_ms * MS + 12_345;
            prop_assert_eq!(alone.ask(now), shared.ask(now));
            if round {
                shared.round(&mut counters, now, lost);
            }
        }
    }

    /// The bound that the module's page states, and that it is not bought by refusing.
    #[test]
    fn together_they_pass_at_most_so_much(
        count in 2usize..5,
        quota in 1u32..100,
        burst in 1u32..30,
        pauses in prop::collection::vec((0u64..40, 0usize..5), 50..400),
    ) {
        let (mut counters, mut nodes) = (Counters::default(), nodes(count, quota, burst));
        let (mut now, mut told) = (0u64, 0u64);
        let mut passed: Vec<u64> = Vec::new();
        let mut asked = 0u64;
        for (pause_ms, at) in pauses {
            now += pause_ms * MS;
            while told + 50 * MS <= now {
                told += 50 * MS;
                for node in &mut nodes {
                    node.round(&mut counters, told, false);
                }
            }
            asked += 1;
            if nodes[at % count].ask(now) {
                passed.push(now);
            }
        }
        let over = (count as u64 - 1) * u64::from(burst);
        for (from, start) in passed.iter().enumerate() {
            for (to, end) in passed.iter().enumerate().skip(from) {
                let earned = (end - start) * u64::from(quota) / (1_000 * MS);
                let most = earned + u64::from(burst) + 1 + over;
                prop_assert!((to - from + 1) as u64 <= most);
            }
        }
        // One node would have let through so much of an even flow; sharing costs at most a round.
        let earned = now * u64::from(quota) / (1_000 * MS);
        let fair = asked.min(u64::from(burst));
        prop_assert!(passed.len() as u64 + earned / 10 + 1 >= fair / count as u64);
    }
}
