//! Whether what was seen is worth an entry. Pure.

use std::time::Duration;

use plimsoll_ledger::{Evidence, Recorded};
use plimsoll_plan::{Found, Gate, Gates, Light, judge};
use uuid::Uuid;

use super::facts::Nature;

/// Evidence is written anew when this part of its shortest life is over, and at this age at last.
const RENEWED_PART: u32 = 4;
const RENEWED_AT_MAX: Duration = Duration::from_secs(6 * 60 * 60);

/// Live figures under the same light are written this often at most.
const REASONS_EVERY: Duration = Duration::from_secs(10 * 60);

/// Who brought the evidence that stands there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bearer {
    /// Another node, which is still there and will say when it changes.
    Another,
    /// This node, or one that is gone.
    Nobody,
}

/// Whether `evidence`, seen now, is worth an entry beside the newest one.
pub(super) fn worth_keeping(
    gates: &Gates,
    evidence: &Evidence,
    nature: Nature,
    newest: Option<&Recorded>,
    bearer: Bearer,
    now_unix_ms: u64,
) -> bool {
    let Some(newest) = newest else { return true };
    if nature == Nature::Idle {
        return false;
    }
    let seen = as_recorded(evidence, now_unix_ms);
    let asking = || gates.iter().filter(|gate| gate.evidence == evidence.kind);
    let light = |recorded: &Recorded, gate| judge(gate, Found::Newest(recorded), now_unix_ms).light;
    // One node that is broken is not mended by another that is not.
    let lighter = |gate| light(&seen, gate) > light(newest, gate);
    if bearer == Bearer::Another && asking().any(lighter) && newest.genuine {
        return false;
    }
    let age = Duration::from_millis(now_unix_ms.saturating_sub(newest.at_unix_ms));
    let differs = |gate| {
        let (seen, stands) =
            (verdict(&seen, gate, now_unix_ms), verdict(newest, gate, now_unix_ms));
        // A figure that moves in a reason is no news.
        let steady = nature == Nature::Live && age < REASONS_EVERY;
        if steady { seen.0 != stands.0 } else { seen != stands }
    };
    asking().any(differs) || age >= renewed_at(asking())
}

fn verdict(recorded: &Recorded, gate: &Gate, now_unix_ms: u64) -> (Light, Option<String>) {
    let verdict = judge(gate, Found::Newest(recorded), now_unix_ms);
    (verdict.light, (verdict.light != Light::Green).then_some(verdict.reason))
}

fn renewed_at<'g>(gates: impl Iterator<Item = &'g Gate>) -> Duration {
    let shortest = gates.map(|gate| gate.freshness() / RENEWED_PART).min();
    shortest.unwrap_or(RENEWED_AT_MAX).min(RENEWED_AT_MAX)
}

fn as_recorded(evidence: &Evidence, now_unix_ms: u64) -> Recorded {
    Recorded {
        id: Uuid::nil(),
        at_unix_ms: now_unix_ms,
        evidence: evidence.clone(),
        actor_kind: "system".to_owned(),
        actor: None,
        genuine: true,
        position: None,
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_ledger::How;
    use serde_json::json;

    use super::*;

    const GATES: &str = r#"
[[gate]]
id = "closed"
title = "Doors are closed"
clause = "c"
area = "architecture"
weeks = [1, 2]
asks = "?"
room = "edge"
evidence = "edge.doors"
how = "measured"
fresh = "1d"
require = [{ fact = "open", at_most = 0, else = "{open} doors stand open" }]
next = "n"
"#;
    const NOW: u64 = 1_795_335_000_000;
    const HOUR: u64 = 60 * 60 * 1_000;

    fn doors(open: u64) -> Evidence {
        let facts = json!({ "open": open, "seen": NOW + open }).as_object().cloned().unwrap();
        Evidence { kind: "edge.doors".to_owned(), how: How::Measured, facts }
    }

    fn stands(open: u64, age_ms: u64) -> Recorded {
        as_recorded(&doors(open), NOW - age_ms)
    }

    fn kept(open: u64, newest: Option<&Recorded>, bearer: Bearer) -> bool {
        let gates = Gates::parse(GATES).unwrap();
        worth_keeping(&gates, &doors(open), Nature::Found, newest, bearer, NOW)
    }

    #[test]
    fn the_first_and_what_changes_a_verdict_is_kept() {
        assert!(kept(0, None, Bearer::Nobody));
        assert!(!kept(0, Some(&stands(0, HOUR)), Bearer::Nobody));
        assert!(kept(1, Some(&stands(0, HOUR)), Bearer::Nobody));
        assert!(kept(2, Some(&stands(1, HOUR)), Bearer::Nobody), "the reason says how many");
        assert!(kept(0, Some(&stands(1, HOUR)), Bearer::Nobody));
        let forged = Recorded { genuine: false, ..stands(0, HOUR) };
        assert!(kept(0, Some(&forged), Bearer::Another));
    }

    #[test]
    fn it_is_renewed_after_a_quarter_of_its_life_or_six_hours() {
        assert!(!kept(0, Some(&stands(0, 6 * HOUR - 1)), Bearer::Nobody));
        assert!(kept(0, Some(&stands(0, 6 * HOUR)), Bearer::Nobody));
        let hourly = Gates::parse(&GATES.replace("1d", "1h")).unwrap();
        let kept = |age| {
            let newest = stands(0, age);
            let nature = Nature::Found;
            worth_keeping(&hourly, &doors(0), nature, Some(&newest), Bearer::Nobody, NOW)
        };
        assert!(!kept(HOUR / 4 - 1));
        assert!(kept(HOUR / 4));
        let none = Gates::parse(&GATES.replace("edge.doors", "edge.windows")).unwrap();
        let newest = stands(3, HOUR);
        let (newest, nature) = (Some(&newest), Nature::Found);
        assert!(
            !worth_keeping(&none, &doors(0), nature, newest, Bearer::Nobody, NOW),
            "no gate is judged by it"
        );
    }

    #[test]
    fn live_figures_are_no_news_while_the_light_stays() {
        let gates = Gates::parse(GATES).unwrap();
        let live = |open, newest: &Recorded| {
            worth_keeping(&gates, &doors(open), Nature::Live, Some(newest), Bearer::Nobody, NOW)
        };
        assert!(!live(2, &stands(1, 60_000)));
        assert!(live(2, &stands(1, HOUR)));
        assert!(live(0, &stands(1, 60_000)));
    }

    #[test]
    fn a_sound_node_does_not_speak_for_a_broken_one_that_lives() {
        assert!(!kept(0, Some(&stands(1, HOUR)), Bearer::Another));
        assert!(kept(1, Some(&stands(0, HOUR)), Bearer::Another), "but the other way round");
        assert!(kept(0, Some(&stands(0, 6 * HOUR)), Bearer::Another));
    }

    #[test]
    fn where_nothing_was_to_be_seen_what_stands_there_stays() {
        let gates = Gates::parse(GATES).unwrap();
        let idle = |newest: Option<&Recorded>| {
            worth_keeping(&gates, &doors(1), Nature::Idle, newest, Bearer::Nobody, NOW)
        };
        assert!(idle(None));
        assert!(!idle(Some(&stands(0, 20 * HOUR))));
    }
}
