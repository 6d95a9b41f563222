use std::collections::HashMap;
use std::sync::Barrier;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use http::HeaderMap;
use proptest::prelude::*;

use super::*;

const SECOND: u64 = 1_000_000_000;
const SEED: [u8; 16] = [7; 16];

fn limit(name: &str, per: Per, quota: u32, burst: u32) -> LimitOptions {
    LimitOptions {
        name: name.to_owned(),
        per,
        quota,
        window: Duration::from_secs(60),
        burst,
        units: Units::Requests,
        operations: Vec::new(),
        keys_max: 1_000,
    }
}

fn options(limits: impl IntoIterator<Item = LimitOptions>) -> LimitsOptions {
    let operations = ["createOrder", "listOrders"].map(str::to_owned).to_vec();
    LimitsOptions { limits: limits.into_iter().collect(), operations, shared: false }
}

fn build(limits: impl IntoIterator<Item = LimitOptions>) -> Limits {
    Limits::build(&options(limits), None, &SEED).unwrap()
}

/// All limits of the first operation.
fn check(limits: &Limits, ip: u64, caller: u64, cost: u32, now: u64) -> Decision {
    let operation = limits.policies_for(Some(0));
    let set = operation.by_ip.union(operation.by_caller);
    limits.check(set, &operation.keys(ip, caller), cost, Nanos(now))
}

fn allowed(decision: &Decision) -> bool {
    matches!(decision, Decision::Allowed(_))
}

fn refused(decision: Decision) -> Refused {
    match decision {
        Decision::Refused(refused) => refused,
        Decision::Allowed(standings) => panic!("allowed: {standings:?}"),
    }
}

#[test]
fn a_refusal_by_one_limit_charges_no_other() {
    let limits =
        build([limit("wide", Per::Caller, 60, 10), limit("narrow", Per::Operation, 60, 1)]);
    assert!(allowed(&check(&limits, 0, 1, 1, 0)));
    for _ in 0..50 {
        let refused = refused(check(&limits, 0, 1, 1, 0));
        assert_eq!(limits.violated(&refused).collect::<Vec<_>>(), ["narrow"]);
        assert_eq!(refused.retry_after_seconds(), 1);
    }
    let mut fields = HeaderMap::new();
    let last = refused(check(&limits, 0, 1, 1, 0));
    limits.write_fields(last.standings(), &mut fields);
    // Nine of ten are left: only the first request was charged.
    assert_eq!(fields["ratelimit"], "\"wide\";r=9;t=1, \"narrow\";r=0;t=1");
    assert_eq!(limits.stats()[0].refused, 0);
    assert_eq!(limits.stats()[1].refused, 51);
}

#[test]
fn every_limit_that_refuses_is_named_and_the_longest_wait_counts() {
    let limits = build([limit("a", Per::Caller, 60, 1), limit("b", Per::Ip, 6, 1)]);
    assert!(allowed(&check(&limits, 7, 1, 1, 0)));
    let refused = refused(check(&limits, 7, 1, 1, SECOND / 2));
    assert_eq!(limits.violated(&refused).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(refused.retry_after_seconds(), 10);
    let problem: serde_json::Value =
        serde_json::from_slice(&limits.problem(&refused).to_json()).unwrap();
    assert_eq!(problem["violated-policies"], serde_json::json!(["a", "b"]));
    assert_eq!(problem["retry_after_seconds"], 10);
    assert_eq!(problem["status"], 429);
}

#[test]
fn the_fields_tell_every_policy_and_two_checks_add_up() {
    let cost = LimitOptions { units: Units::Cost, ..limit("spend", Per::Caller, 100, 100) };
    let limits = build([limit("address", Per::Ip, 60, 60), cost]);
    let operation = limits.policies_for(Some(0));
    let keys = operation.keys(1, 2);
    let mut standings = Standings::default();
    for set in [operation.by_ip, operation.by_caller] {
        match limits.check(set, &keys, 40, Nanos(0)) {
            Decision::Allowed(more) => standings.extend(more),
            Decision::Refused(refused) => panic!("{refused:?}"),
        }
    }
    let mut fields = HeaderMap::new();
    fields.insert("ratelimit", http::HeaderValue::from_static("limit=9"));
    limits.write_fields(&standings, &mut fields);
    assert_eq!(fields["ratelimit"], "\"address\";r=59;t=1, \"spend\";r=60;t=24");
    assert_eq!(
        fields["ratelimit-policy"],
        "\"address\";q=60;w=60, \"spend\";q=100;qu=\"cost\";w=60"
    );
    let mut none = HeaderMap::new();
    limits.write_fields(&Standings::default(), &mut none);
    assert!(none.is_empty());
}

#[test]
fn limits_apply_where_they_say() {
    let orders = LimitOptions {
        operations: vec!["createOrder".to_owned()],
        ..limit("orders", Per::Operation, 60, 1)
    };
    let limits = build([orders, limit("all", Per::Caller, 60, 10), limit("ip", Per::Ip, 60, 10)]);
    let sizes = |operation| {
        let limits = limits.policies_for(operation);
        (limits.by_ip.len(), limits.by_caller.len())
    };
    assert_eq!(sizes(Some(0)), (1, 2));
    assert_eq!(sizes(Some(1)), (1, 1));
    assert_eq!(sizes(None), (1, 1));
    assert_eq!(sizes(Some(99)), (1, 1));
    // Callers do not share, an operation's callers do.
    assert!(allowed(&check(&limits, 1, 1, 1, 0)));
    assert!(!allowed(&check(&limits, 2, 2, 1, 0)));
}

#[test]
fn limits_that_cannot_be_are_refused_with_the_reason() {
    let fault = |limits: Vec<LimitOptions>| {
        Limits::build(&options(limits), None, &SEED).unwrap_err().to_string()
    };
    let twice = fault(vec![limit("a", Per::Ip, 1, 1), limit("a", Per::Caller, 1, 1)]);
    assert!(twice.contains("`a`"), "{twice}");
    let immense = LimitOptions {
        window: Duration::from_secs(31 * 86_400),
        ..limit("huge", Per::Ip, 1, 1_000_000_000)
    };
    assert!(fault(vec![immense]).contains("100 years"));
    let lost = LimitOptions { operations: vec!["nope".to_owned()], ..limit("a", Per::Ip, 1, 1) };
    assert!(fault(vec![lost]).contains("`nope`"));
    let many = (0..65).map(|n| limit(&n.to_string(), Per::Ip, 1, 1)).collect();
    assert!(fault(many).contains("64"));
}

#[test]
fn a_reload_gives_nobody_a_fresh_quota() {
    let first = build([limit("a", Per::Caller, 60, 2), limit("b", Per::Ip, 60, 2)]);
    for _ in 0..2 {
        assert!(allowed(&check(&first, 1, 1, 1, 0)));
    }
    // `b` now applies to one operation only, a new limit comes first, and all are in another order.
    let narrower =
        LimitOptions { operations: vec!["createOrder".to_owned()], ..limit("b", Per::Ip, 60, 2) };
    let reordered =
        options([limit("new", Per::Caller, 60, 2), narrower, limit("a", Per::Caller, 60, 2)]);
    let second = Limits::build(&reordered, Some(&first), &[9; 16]).unwrap();
    let refused = refused(check(&second, 1, 1, 1, 0));
    assert_eq!(second.violated(&refused).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(
        first.hasher().verified("i", "t", "s"),
        second.hasher().verified("i", "t", "s"),
        "keys stay what they are"
    );
    // A limit whose figures changed begins anew.
    let changed = options([limit("a", Per::Caller, 60, 3)]);
    let third = Limits::build(&changed, Some(&second), &SEED).unwrap();
    assert!(allowed(&check(&third, 1, 1, 1, 0)));
}

#[test]
fn threads_take_exactly_the_burst() {
    const THREADS: usize = 8;
    const BURST: u32 = 1_000;
    let limits =
        build([limit("a", Per::Caller, 60, BURST), limit("b", Per::Operation, 60, 100_000)]);
    let (start, passed) = (Barrier::new(THREADS), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                start.wait();
                for _ in 0..BURST {
                    if allowed(&check(&limits, 1, 1, 1, 5)) {
                        passed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert_eq!(passed.into_inner(), u64::from(BURST));
    let mut fields = HeaderMap::new();
    let last = refused(check(&limits, 1, 1, 1, 5));
    limits.write_fields(last.standings(), &mut fields);
    // The other limit was charged for each that passed, and for none that was refused.
    assert_eq!(fields["ratelimit"], "\"a\";r=0;t=1, \"b\";r=99000;t=1000");
    assert_eq!(limits.stats()[0].refused, (THREADS as u64 - 1) * u64::from(BURST) + 1);
}

#[test]
fn two_generations_in_opposite_order_cannot_lock_each_other() {
    let (a, b) = (limit("a", Per::Caller, 60, 2_000), limit("b", Per::Operation, 60, 3_000));
    let old = build([a.clone(), b.clone()]);
    let new = Limits::build(&options([b, a]), Some(&old), &SEED).unwrap();
    let passed = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for limits in [&old, &new, &old, &new] {
            let passed = &passed;
            scope.spawn(move || {
                for _ in 0..100_000 {
                    if allowed(&check(limits, 1, 1, 1, 5)) {
                        passed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert_eq!(passed.into_inner(), 2_000);
}

#[test]
fn a_million_keys_take_bounded_room_and_the_rest_share() {
    let bounded = LimitOptions { keys_max: 50_000, ..limit("ip", Per::Ip, 60, 5) };
    let limits = build([bounded]);
    let operation = limits.policies_for(None);
    let mut passed = 0u64;
    for n in 0..1_000_000u64 {
        let key = limits.hasher().credentials(&[&n.to_le_bytes()]);
        let keys = operation.keys(key, 0);
        passed += u64::from(allowed(&limits.check(operation.by_ip, &keys, 1, Nanos(1))));
    }
    let stats = &limits.stats()[0];
    assert!((48_000..=50_000).contains(&stats.keys), "{}", stats.keys);
    // Each shard lets its burst pass for all those it cannot track, and no more.
    assert_eq!(passed, stats.keys as u64 + stats.folded);
    assert!(stats.folded <= 64 * 5, "{}", stats.folded);
    assert_eq!(stats.refused + passed, 1_000_000);
    // Once nobody owes anything, all room comes back and new keys are tracked again.
    let later = Nanos(61 * SECOND);
    assert_eq!(limits.sweep(later), Swept { forgotten: stats.keys, tracked: 0 });
    assert!(allowed(&limits.check(operation.by_ip, &operation.keys(1, 0), 1, later)));
    assert_eq!(limits.stats()[0].folded, stats.folded);
}

/// The same limits told with leaky buckets that never forget, one key at a time.
#[derive(Default)]
struct Oracle {
    debts: HashMap<(usize, u64), (u128, u64)>,
}

impl Oracle {
    fn debt(&self, at: (usize, u64), now: u64) -> u128 {
        let (debt, since) = self.debts.get(&at).copied().unwrap_or_default();
        debt.saturating_sub(u128::from(now - since))
    }

    fn take(&mut self, limits: &[LimitOptions], ip: u64, caller: u64, cost: u32, now: u64) -> bool {
        let mut after = Vec::new();
        for (index, limit) in limits.iter().enumerate() {
            let key = match limit.per {
                Per::Ip => ip,
                Per::Caller => caller,
                Per::Operation => 0,
            };
            let units = if limit.units == Units::Cost { cost.min(limit.burst) } else { 1 };
            let interval = limit.window.as_nanos().div_ceil(u128::from(limit.quota));
            let debt = self.debt((index, key), now) + interval * u128::from(units);
            if debt > interval * u128::from(limit.burst) {
                return false;
            }
            after.push(((index, key), (debt, now)));
        }
        self.debts.extend(after);
        true
    }
}

fn any_limits() -> impl Strategy<Value = Vec<LimitOptions>> {
    let per = prop::sample::select(vec![Per::Ip, Per::Caller, Per::Operation]);
    let one = (per, 1u32..200, 1u32..20, any::<bool>(), 1u64..100);
    prop::collection::vec(one, 1..6).prop_map(|list| {
        let limit = |(index, (per, quota, burst, cost, window))| LimitOptions {
            units: if cost { Units::Cost } else { Units::Requests },
            window: Duration::from_secs(window),
            ..limit(&format!("l{index}"), per, quota, burst)
        };
        list.into_iter().enumerate().map(limit).collect()
    })
}

proptest! {
    #[test]
    fn decisions_equal_those_of_the_oracle(
        list in any_limits(),
        steps in prop::collection::vec(
            (0u64..3_000, 0u64..3, 0u64..3, 0u32..30, any::<bool>()),
            1..120,
        ),
    ) {
        let limits = build(list.clone());
        let mut oracle = Oracle::default();
        let mut now = 0;
        for (pause_ms, ip, caller, cost, sweep) in steps {
            now += pause_ms * 1_000_000;
            if sweep {
                limits.sweep(Nanos(now));
            }
            let expected = oracle.take(&list, ip, caller, cost, now);
            let decision = check(&limits, ip, caller, cost, now);
            prop_assert_eq!(allowed(&decision), expected);
            if let Decision::Refused(refused) = decision {
                let wait = refused.retry_after_seconds() * SECOND;
                prop_assert!(limits.violated(&refused).count() > 0);
                // Alone, the client passes after waiting as told; a copy of the oracle says so.
                let mut later = Oracle { debts: oracle.debts.clone() };
                prop_assert!(later.take(&list, ip, caller, cost, now + wait));
            }
        }
    }
}
