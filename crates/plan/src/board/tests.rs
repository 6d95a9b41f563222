use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::tests::{DAY_MS, HOUR_MS, gate, good, noon, recorded};

const LIMITS: EvidenceKind = EvidenceKind { kind: "edge.limits", room: "edge", how: How::Measured };

fn day(text: &str) -> Date {
    text.parse().unwrap()
}

fn facts(start: &str) -> PlanFacts {
    PlanFacts { start: Some(day(start)), risks: Vec::new() }
}

/// Gates `a`, `b`, … on the kinds `k.a`, `k.b`, … with these windows.
fn gates(windows: &[[u8; 2]]) -> Gates {
    let texts: Vec<String> = windows
        .iter()
        .zip('a'..)
        .map(|([first, last], id)| {
            format!(
                "[[gate]]\nid = '{id}'\ntitle = 'A gate of tests'\nclause = 'c'\n\
                 area = 'architecture'\nweeks = [{first}, {last}]\nasks = 'Is it?'\n\
                 room = 'edge'\nevidence = 'k.{id}'\nhow = 'measured'\nfresh = '10d'\n\
                 require = [{{ fact = 'open', at_most = 0, else = '{{open}} stand open.' }}]\n\
                 better = [{{ fact = 'per_ip', at_least = 1, else = 'None is per IP.' }}]\n\
                 next = 'Do it.'\n"
            )
        })
        .collect();
    Gates::parse(&texts.join("\n")).unwrap()
}

const KINDS: [&str; 6] = ["k.a", "k.b", "k.c", "k.d", "k.e", "k.f"];

fn built() -> Vec<EvidenceKind> {
    let kind = |kind| EvidenceKind { kind, room: "edge", how: How::Measured };
    KINDS.into_iter().map(kind).collect()
}

fn amber(kind: &str, at: u64) -> Recorded {
    recorded(kind, How::Measured, at, json!({ "open": 0, "per_ip": 0 }))
}

#[test]
fn weeks_are_counted_from_the_first_day() {
    let start = day("2026-11-30");
    for (at, counted) in [
        ("2026-11-29", None),
        ("2026-11-30", Some(1)),
        ("2026-12-06", Some(1)),
        ("2026-12-07", Some(2)),
        // The 90th day is the sixth of the thirteenth week.
        ("2027-02-27", Some(13)),
        ("2027-02-28", Some(13)),
        ("2027-03-01", Some(14)),
    ] {
        assert_eq!(week(start, day(at)), counted, "{at}");
    }
    assert_eq!(start.days_to(day("2027-02-27")), 89);
    assert_eq!(week(start, start.plus_days(u32::from(WEEKS) * 7 - 1)), Some(u32::from(WEEKS)));
}

#[test]
fn a_gate_is_due_when_its_last_week_is_over() {
    let gates = gates(&[[1, 1], [1, 2], [1, 13]]);
    let due = |start: &str| -> Vec<String> {
        let board = made(&gates, &[], &built(), &facts(start), noon());
        board.gates.into_iter().filter(|gate| gate.due).map(|gate| gate.id).collect()
    };
    assert_eq!(due("2026-12-01"), [""; 0], "before the start");
    assert_eq!(due("2026-11-24"), [""; 0], "the last day of week 1");
    assert_eq!(due("2026-11-23"), ["a"]);
    assert_eq!(due("2026-11-16"), ["a", "b"]);
    assert_eq!(due("2026-01-01"), ["a", "b", "c"], "after the 90 days");
    let board = made(&gates, &[], &built(), &PlanFacts::default(), noon());
    assert_eq!((board.start, board.week), (None, None));
    assert!(board.gates.iter().all(|gate| !gate.due), "without a plan nothing is");
    let by = |week| board.due_by(week).map(|gate| gate.id.as_str()).collect::<Vec<_>>();
    assert_eq!((by(0).len(), by(1), by(12)), (0, vec!["a"], vec!["a", "b"]));
}

#[test]
fn the_newest_evidence_of_its_own_kind_judges_a_gate() {
    let gates = gates(&[[1, 2], [1, 2], [1, 2]]);
    let newest = [good("k.a", noon()), amber("k.c", noon()), good("k.unheard-of", noon())];
    let board = made(&gates, &newest, &built(), &facts("2026-11-30"), noon());
    let lights: Vec<Light> = board.gates.iter().map(|gate| gate.verdict.light).collect();
    assert_eq!(lights, [Light::Green, Light::Red, Light::Amber]);
    let nexts: Vec<&str> = board.gates.iter().map(|gate| gate.next.as_str()).collect();
    assert_eq!(nexts, ["", "Do it.", "Do it."]);
    let summary = board.summary();
    assert_eq!(summary, Summary { red: 1, amber: 1, green: 1, declared: 0 });
    assert_eq!(summary.all(), 3);
    assert_eq!(board.gate("c").unwrap().title, "A gate of tests");
    assert!(board.gate("z").is_none());
}

#[test]
fn evidence_of_what_is_not_built_counts_for_nothing() {
    let gates = gates(&[[1, 2]]);
    let board = made(&gates, &[good("k.a", noon())], &[LIMITS], &facts("2026-11-30"), noon());
    assert!(!board.gates[0].built);
    assert_eq!(board.gates[0].verdict.light, Light::Red);
    assert_eq!(board.next, [""; 0], "nothing there can be done");
}

#[test]
fn declared_is_counted_apart_where_it_is_not_red() {
    let judged = |how: How, open: u64| {
        let gate = gate("x", "k.a", how, "");
        let found = recorded("k.a", how, noon(), json!({ "open": open, "per_ip": 1 }));
        let verdict = judge(&gate, Found::Newest(&found), noon());
        let board = made(&gates(&[[1, 2]]), &[], &built(), &PlanFacts::default(), noon());
        Judged { how, verdict, ..board.gates.into_iter().next().unwrap() }
    };
    let all = [
        judged(How::Declared, 0),
        judged(How::Declared, 1),
        judged(How::Measured, 0),
        judged(How::Imported, 0),
    ];
    assert_eq!(Summary::of(&all), Summary { red: 1, amber: 0, green: 3, declared: 1 });
}

#[test]
fn what_is_due_comes_first_then_red_then_the_earlier_window() {
    // Week 5 of the plan: a, b and c are due.
    let gates = gates(&[[1, 3], [2, 3], [1, 2], [1, 6], [1, 5], [5, 13]]);
    let newest = [amber("k.a", noon()), good("k.e", noon())];
    let plan = facts("2026-11-01");
    let board = made(&gates, &newest, &built(), &plan, noon());
    assert_eq!(board.week, Some(5));
    assert_eq!(board.next, ["c", "b", "a"]);
    // Once those are turned, what comes next is what can be done of the rest.
    let newest: Vec<Recorded> = ["k.a", "k.b", "k.c"].map(|kind| good(kind, noon())).into();
    let without_d: Vec<_> = built().into_iter().filter(|kind| kind.kind != "k.d").collect();
    let board = made(&gates, &newest, &without_d, &plan, noon());
    assert_eq!(board.next, ["e", "f"]);
    let all: Vec<Recorded> = KINDS.map(|kind| good(kind, noon())).into();
    assert_eq!(made(&gates, &all, &built(), &plan, noon()).next, [""; 0]);
}

#[test]
fn a_risk_has_the_colour_of_its_worst_gate() {
    let gates = gates(&[[1, 2], [1, 2]]);
    let newest = [good("k.a", noon()), amber("k.b", noon())];
    let light = |ids: &[&str]| {
        let risk = Risk {
            id: "r".into(),
            title: "Checkout fails".into(),
            area: RiskArea::Reliability,
            gates: ids.iter().map(|id| (*id).to_owned()).collect(),
        };
        let plan = PlanFacts { start: None, risks: vec![risk] };
        made(&gates, &newest, &built(), &plan, noon()).risks[0].light
    };
    assert_eq!(light(&["a"]), Light::Green);
    assert_eq!(light(&["a", "b"]), Light::Amber);
    assert_eq!(light(&["a", "gone"]), Light::Red);
    assert_eq!(light(&[]), Light::Red, "a risk that nothing answers");
}

fn lights(turns: &[Turn]) -> Vec<(u64, Light)> {
    let hours = |at: u64| (at - noon()) / HOUR_MS;
    turns.iter().map(|turn| (hours(turn.at_unix_ms), turn.light)).collect()
}

#[test]
fn history_turns_by_evidence_and_by_time() {
    use Light::{Amber, Green, Red};

    let gate = gate("limits", "edge.limits", How::Measured, "fresh = '10h'");
    let open = |at| recorded("edge.limits", How::Measured, at, json!({ "open": 1, "per_ip": 1 }));
    let at = |hours: u64| noon() + hours * HOUR_MS;
    let newest_first = [
        good("edge.limits", at(30)),
        open(at(29)),
        // In time, so that what stood before it did not expire.
        good("edge.limits", at(8) + 1),
        good("edge.limits", at(1)),
        open(at(0)),
    ];
    let until_then = [(29, Red), (18, Red), (16, Amber), (1, Green), (0, Red)];
    let turns = |now| lights(&history(&gate, &newest_first, now));
    assert_eq!(turns(at(37)), [&[(30, Green)], &until_then[..]].concat());
    assert_eq!(turns(at(38)), [&[(38, Amber), (30, Green)], &until_then[..]].concat());
    let all = [&[(40, Red), (38, Amber), (30, Green)], &until_then[..]].concat();
    assert_eq!(turns(at(40)), all, "at the very moment");
    assert_eq!(turns(at(400)), all);
    let reasons: Vec<String> =
        history(&gate, &newest_first, at(37)).into_iter().map(|turn| turn.reason).collect();
    assert_eq!(reasons[1], "1 stand open.");
    assert_eq!(reasons[2], "The evidence expired on 2026-12-01.");
    assert_eq!(history(&gate, &[], at(40)), []);
}

#[test]
fn history_shows_what_is_not_ours() {
    let gate = gate("limits", "edge.limits", How::Measured, "");
    let forged = Recorded { genuine: false, ..good("edge.limits", noon() + HOUR_MS) };
    let turns = history(&gate, &[forged, good("edge.limits", noon())], noon() + 2 * HOUR_MS);
    assert_eq!(lights(&turns), [(1, Light::Red), (0, Light::Green)]);
}

/// Evidence: how many hours after the one before, whether it is open, and how old it says it is.
fn one() -> impl Strategy<Value = (u64, i64, i64, Option<u32>, bool)> {
    (0_u64..40, 0_i64..2, 0_i64..2, proptest::option::of(0_u32..6), proptest::bool::weighted(0.9))
}

proptest! {
    #[test]
    fn the_last_turn_is_how_it_stands_now(
        all in proptest::collection::vec(one(), 1..8), after in 0_u64..80,
    ) {
        let gate = gate("limits", "edge.limits", How::Measured, "fresh = '20h'");
        let mut at = noon();
        let mut newest_first = Vec::new();
        for (hours, open, per_ip, days_ago, genuine) in all {
            at += hours * HOUR_MS;
            let mut facts = json!({ "open": open, "per_ip": per_ip });
            if let Some(days) = days_ago {
                facts["dated"] = json!(Date::of_unix_ms(at - u64::from(days) * DAY_MS).to_string());
            }
            let found = recorded("edge.limits", How::Measured, at, facts);
            newest_first.insert(0, Recorded { genuine, ..found });
        }
        let now = at + after * HOUR_MS / 2;
        let turns = history(&gate, &newest_first, now);
        let verdict = judge(&gate, Found::Newest(&newest_first[0]), now);
        prop_assert_eq!(turns[0].light, verdict.light);
        prop_assert!(turns.is_sorted_by(|newer, older| newer.at_unix_ms >= older.at_unix_ms));
        prop_assert!(turns.iter().all(|turn| turn.at_unix_ms <= now));
        let is = |turn: &Turn| (turn.light, turn.reason.clone());
        let turned = |pair: &[Turn]| is(&pair[0]) != is(&pair[1]);
        prop_assert!(turns.windows(2).all(turned), "{turns:?}");
    }
}
