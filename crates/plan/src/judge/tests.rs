use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::tests::{DAY_MS, HOUR_MS, gate, good, noon, recorded};

const KIND: &str = "edge.limits";

fn limits() -> Gate {
    gate("limits", KIND, How::Measured, "")
}

fn told(gate: &Gate, recorded: &Recorded, now: u64) -> (Light, String) {
    let verdict = judge(gate, Found::Newest(recorded), now);
    (verdict.light, verdict.reason)
}

#[test]
fn without_evidence_it_is_red_and_says_whether_any_can_come() {
    let nothing = judge(&limits(), Found::Nothing, noon());
    assert_eq!((nothing.light, nothing.reason.as_str()), (Light::Red, "No evidence yet."));
    let not_built = judge(&limits(), Found::NotBuilt, noon());
    assert_eq!(not_built.light, Light::Red);
    assert!(not_built.reason.starts_with("No evidence yet: this Plimsoll"), "{not_built:?}");
    assert_eq!((nothing.seen, not_built.seen), (None, None));
}

#[test]
fn good_evidence_is_green_in_its_own_words_and_says_where_it_stands() {
    let found = good(KIND, noon());
    let verdict = judge(&limits(), Found::Newest(&found), noon() + HOUR_MS);
    assert_eq!((verdict.light, verdict.reason.as_str()), (Light::Green, "All are shut."));
    let seen = Seen {
        entry: found.id,
        at_unix_ms: noon(),
        until_unix_ms: noon() + 10 * DAY_MS,
        by: "system".to_owned(),
        how: How::Measured,
    };
    assert_eq!(verdict.seen, Some(seen));
    for says in [json!(null), json!(""), json!(7)] {
        let facts = json!({ "open": 0, "per_ip": 1, "says": says });
        let found = recorded(KIND, How::Measured, noon(), facts);
        assert_eq!(told(&limits(), &found, noon()), (Light::Green, "It holds.".to_owned()));
    }
}

#[test]
fn evidence_that_is_not_ours_is_red_whatever_it_says() {
    let forged = Recorded { genuine: false, ..good(KIND, noon()) };
    let verdict = judge(&limits(), Found::Newest(&forged), noon());
    assert_eq!(verdict.light, Light::Red);
    assert!(verdict.reason.contains(&forged.id.to_string()), "{}", verdict.reason);
    assert!(verdict.reason.contains("is not what this Plimsoll wrote"), "{}", verdict.reason);
    assert_eq!(verdict.seen, None, "nothing rests on it");
}

#[test]
fn nobodys_word_stands_for_what_is_to_be_measured() {
    let facts = json!({ "open": 0, "per_ip": 1 });
    for how in [How::Declared, How::Imported] {
        let (light, reason) = told(&limits(), &recorded(KIND, how, noon(), facts.clone()), noon());
        assert_eq!(light, Light::Red);
        assert_eq!(reason, format!("The evidence is {}; it has to be measured.", how.as_str()));
    }
}

#[test]
fn what_does_not_hold_is_red_and_named_with_its_figure() {
    for (facts, says) in [
        (json!({ "open": 2, "per_ip": 1 }), "2 stand open."),
        (json!({ "per_ip": 1 }), "? stand open."),
        (json!({ "open": "0", "per_ip": 1 }), "0 stand open."),
    ] {
        let found = recorded(KIND, How::Measured, noon(), facts);
        assert_eq!(told(&limits(), &found, noon()), (Light::Red, says.to_owned()));
        // Age is not what is wrong with it.
        assert_eq!(told(&limits(), &found, noon() + 99 * DAY_MS), (Light::Red, says.to_owned()));
    }
}

#[test]
fn what_could_be_better_is_amber_until_it_expires() {
    let found = recorded(KIND, How::Measured, noon(), json!({ "open": 0, "per_ip": 0 }));
    let amber = (Light::Amber, "None is per IP.".to_owned());
    assert_eq!(told(&limits(), &found, noon()), amber);
    assert_eq!(told(&limits(), &found, noon() + 9 * DAY_MS), amber);
    assert_eq!(told(&limits(), &found, noon() + 10 * DAY_MS).0, Light::Red);
}

#[test]
fn evidence_grows_old_soon_expires_and_is_gone() {
    let found = good(KIND, noon());
    let at = |days: u64, ms: i64| {
        told(&limits(), &found, (noon() + days * DAY_MS).saturating_add_signed(ms))
    };
    assert_eq!(at(8, -1).0, Light::Green);
    let soon = (Light::Amber, "It holds; the evidence expires in 2 days.".to_owned());
    assert_eq!(at(8, 0), soon);
    assert_eq!(at(10, -1), (Light::Amber, "It holds; the evidence expires in 0 seconds.".into()));
    assert_eq!(at(10, 0), (Light::Red, "The evidence expired on 2026-12-10.".to_owned()));
    assert_eq!(at(10_000, 0).0, Light::Red);
}

#[test]
fn what_is_dated_counts_from_the_end_of_that_day() {
    let agreed = gate("brief", "document.product-brief", How::Declared, "better = []");
    let dated = |day: &str, at| {
        let facts = json!({ "open": 0, "dated": day });
        recorded("document.product-brief", How::Declared, at, facts)
    };
    let midnight = noon() + 12 * HOUR_MS;
    // Read again and again, it grows no younger.
    for read in [midnight, midnight + DAY_MS, midnight + 5 * DAY_MS] {
        let found = dated("2026-11-30", read);
        let seen = judge(&agreed, Found::Newest(&found), read).seen.unwrap();
        assert_eq!(seen.at_unix_ms, midnight - 1);
        assert_eq!(seen.until_unix_ms, midnight - 1 + 10 * DAY_MS);
    }
    // What was written this morning counts from when it was read.
    let found = dated("2026-11-30", noon());
    assert_eq!(judge(&agreed, Found::Newest(&found), noon()).seen.unwrap().at_unix_ms, noon());
    // A day to come makes nothing younger, and one long gone is expired when it is read.
    let found = dated("2027-11-30", noon());
    assert_eq!(judge(&agreed, Found::Newest(&found), noon()).seen.unwrap().at_unix_ms, noon());
    let expired = (Light::Red, "The evidence expired on 2026-11-11.".to_owned());
    assert_eq!(told(&agreed, &dated("2026-11-01", noon()), noon()), expired);
    // What is no day says nothing.
    let found = dated("yesterday", noon());
    assert_eq!(judge(&agreed, Found::Newest(&found), noon()).seen.unwrap().at_unix_ms, noon());
}

#[test]
fn a_report_of_last_night_is_good_for_the_day() {
    let tests = gate("tests", "report.tests", How::Imported, "fresh = '1d'\nbetter = []");
    let facts = json!({ "open": 0, "dated": "2026-11-29" });
    let found = recorded("report.tests", How::Imported, noon() - 11 * HOUR_MS, facts);
    assert_eq!(told(&tests, &found, noon()).0, Light::Green);
    assert_eq!(told(&tests, &found, noon() + 12 * HOUR_MS).0, Light::Red);
}

#[test]
fn spans_are_told_in_the_unit_that_fits() {
    for (ms, says) in [
        (0, "0 seconds"),
        (1_999, "1 second"),
        (119_999, "119 seconds"),
        (120_000, "2 minutes"),
        (7_199_999, "119 minutes"),
        (2 * HOUR_MS, "2 hours"),
        (2 * DAY_MS - 1, "47 hours"),
        (2 * DAY_MS, "2 days"),
    ] {
        assert_eq!(span(ms), says);
    }
}

proptest! {
    /// Time alone never turns a gate greener, and what expired stays red.
    #[test]
    fn time_alone_makes_nothing_better(
        open in 0_i64..2, per_ip in 0_i64..2, dated in proptest::option::of(0_u32..40),
        first in 0_u64..20, then in 0_u64..20,
    ) {
        let day = |days| Date::of_unix_ms(noon() - 20 * DAY_MS).plus_days(days).to_string();
        let mut facts = json!({ "open": open, "per_ip": per_ip });
        if let Some(days) = dated {
            facts["dated"] = json!(day(days));
        }
        let found = recorded(KIND, How::Measured, noon(), facts);
        let at = |now| judge(&limits(), Found::Newest(&found), now);
        let (first, then) = (noon() + first * 13 * HOUR_MS, noon() + (first + then) * 13 * HOUR_MS);
        let (before, after) = (at(first), at(then));
        prop_assert!(after.light <= before.light, "{before:?} then {after:?}");
        let until = before.seen.unwrap().until_unix_ms;
        prop_assert_eq!(at(until).light, Light::Red);
        prop_assert_eq!(at(until + then).light, Light::Red);
    }
}
