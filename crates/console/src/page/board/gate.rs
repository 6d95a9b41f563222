//! The page of one gate: what it asks, how it stands and why, what it rests on, how it stood.

use maud::{Markup, html};
use plimsoll_ledger::{How, Recorded};
use plimsoll_plan::{Light, Turn};
use serde_json::Value;

use super::parts::{age, class, command_box, how, how_says, prose, state, weeks};
use crate::api::board::{GateView, Seen};
use crate::board::{area_name, title, word};
use crate::client::escaped;
use crate::page::board::around;
use crate::page::format::{count, day, moment, span};
use crate::page::section_head;
use crate::page::tables::scroll;

/// Turns on the page; the rest stand in the JSON.
const TURNS_SHOWN_MAX: usize = 50;
/// The strip of the history, in its own units.
const WIDTH: f64 = 910.0;
const LANE: f64 = 14.0;
const HEIGHT: f64 = LANE * 3.0;

pub(crate) fn document(view: &GateView) -> Markup {
    let body = html! {
        (stands(view))
        (conditions(view))
        (evidence(view))
        (history(view))
    };
    let path = super::parts::address(&view.judged.id);
    let json = format!("{path}?format=json");
    around(title(&view.judged), &body, &[(&json, "This page as JSON"), ("/board", "The board")])
}

fn stands(view: &GateView) -> Markup {
    let gate = &view.judged;
    let light = gate.verdict.light;
    let area = format!("/board?area={}#gates", area_name(gate.area));
    html! {
        section.one-gate aria-label="How it stands" {
            p.crumbs { a href="/board" { "Board" } " / " a href=(area) { (gate.area.title()) } }
            h1 { (title(gate)) }
            @if title(gate) != gate.asks { p.question { (gate.asks) } }
            p.verdict {
                (state(light)) " " (how(gate.how)) " "
                span.why { (prose(&gate.verdict.reason)) }
            }
            @if !gate.next.is_empty() {
                div.do {
                    h2 { "Do next" }
                    p { (prose(&gate.next)) }
                    (command_box(&gate.next))
                }
            }
            dl.facts {
                dt { "Window" }
                dd {
                    (weeks(gate.weeks)) ", due at the end of week " (gate.weeks[1])
                    @if gate.due { @if light == Light::Red { ": " span.over { "due" } } }
                }
                dt { "It answers" } dd { "“" (gate.clause) "”" }
                dt { "Evidence" }
                dd { code { (view.gate.evidence) } ", " (gate.how.as_str()) ": "
                    (how_says(gate.how)) }
                dt { "It counts for" } dd { (span(view.gate.freshness().as_secs()))
                    @if gate.how == How::Declared { " from the day the document is dated" } }
                dt { "Gate" } dd { code { (gate.id) } }
            }
        }
    }
}

fn conditions(view: &GateView) -> Markup {
    let seen = html! { @if view.newest.is_none() { "nothing was seen yet" } @else {
        "against the newest evidence"
    } };
    let table = html! {
        table.conditions {
            thead { tr {
                th scope="col" { "So?" }
                th scope="col" { "Fact" }
                th scope="col" { "Has to be" }
                th scope="col" { "Seen" }
            } }
            tbody { @for condition in view.conditions() { (self::condition(view, &condition)) } }
        }
    };
    html! {
        section {
            (section_head("What has to hold", &seen, None))
            (scroll("Conditions", &table))
        }
    }
}

fn condition(view: &GateView, condition: &Seen<'_>) -> Markup {
    let (class, says) = match (view.newest.is_some(), condition.holds, condition.better) {
        (false, ..) => ("note", "not seen"),
        (true, true, _) => ("ok", "yes"),
        (true, false, false) => ("over", "no"),
        (true, false, true) => ("near", "no"),
    };
    html! {
        tr {
            td { span.(class) { span.sign.(class) aria-hidden="true" {} (says) } }
            th scope="row" { (in_words(condition.fact)) }
            td { (condition.wanted) @if condition.better { span.quiet { ", else amber" } } }
            td {
                @match condition.seen {
                    Some(seen) => { b { (value(seen)) } },
                    None => span.quiet { "nothing" },
                }
            }
        }
    }
}

/// `first_open` as people read it.
fn in_words(fact: &str) -> String {
    fact.replace('_', " ")
}

fn value(value: &Value) -> String {
    match value {
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(number) => match number.as_u64() {
            Some(number) => count(number),
            None => number.to_string(),
        },
        other => other.to_string(),
    }
}

fn evidence(view: &GateView) -> Markup {
    let says = html! { "the newest, from the ledger; older evidence is never judged again" };
    html! {
        section #evidence {
            (section_head("Evidence", &says, None))
            @match &view.newest {
                None => p.empty {
                    "No evidence yet: the ledger has no entry of the kind "
                    code { (view.gate.evidence) } "."
                },
                Some(newest) => { (recorded(view, newest)) },
            }
        }
    }
}

fn recorded(view: &GateView, newest: &Recorded) -> Markup {
    let kind = &newest.evidence.kind;
    let ledger = format!("/ledger?action=evidence.add&subject={}", escaped(kind));
    let seen = view.judged.verdict.seen.as_ref();
    html! {
        dl.facts {
            dt { "Age" }
            dd {
                @match seen {
                    Some(seen) => { (age(seen, view.at_unix_ms)) ", until "
                        (moment(seen.until_unix_ms)) },
                    None => span.over { "it does not count" },
                }
            }
            dt { "Written down" } dd { (moment(newest.at_unix_ms)) }
            dt { "By" }
            dd {
                (newest.actor_kind)
                @if let Some(actor) = newest.actor {
                    @let hash = actor.to_string();
                    " " code title=(hash) { (hash.get(..12).unwrap_or(&hash)) }
                } @else if newest.actor_kind == "system" { ", Plimsoll itself" }
            }
            dt { "Entry" }
            dd {
                a href=(ledger) { code { (newest.id) } }
                @match newest.position {
                    Some(position) => { ", number " (count(position)) " in the chain" },
                    None => span.quiet { ", not sealed yet" },
                }
            }
            dt { "As it was written" }
            dd {
                @if newest.genuine { span.ok { "yes" } ", its mark is this Plimsoll's" }
                @else { span.over { "NO" } ": run " code { "plimsoll ledger verify" } }
            }
        }
        (facts(newest))
    }
}

fn facts(newest: &Recorded) -> Markup {
    let mut sorted: Vec<(&String, &Value)> = newest.evidence.facts.iter().collect();
    sorted.sort_unstable_by_key(|(fact, _)| *fact);
    let table = html! {
        table.all-facts {
            caption { "Everything that was seen" }
            thead { tr { th scope="col" { "Fact" } th scope="col" { "Seen" } } }
            tbody {
                @for (fact, seen) in sorted {
                    tr { th scope="row" { (in_words(fact)) } td { (value(seen)) } }
                }
            }
        }
    };
    html! { @if !newest.evidence.facts.is_empty() { (scroll("Facts", &table)) } }
}

fn history(view: &GateView) -> Markup {
    let says = html! { "how it stood; without colour there was no evidence" };
    let hidden = view.turns.len().saturating_sub(TURNS_SHOWN_MAX);
    html! {
        section #history {
            (section_head("History", &says, None))
            (strip(view))
            @if view.turns.is_empty() {
                p.empty { "It never turned: there was no evidence in this time." }
            } @else {
                ol.turns {
                    @for turn in view.turns.iter().take(TURNS_SHOWN_MAX) {
                        li {
                            span.quiet { (moment(turn.at_unix_ms)) } (state(turn.light))
                            span { (prose(&turn.reason)) }
                        }
                    }
                }
                @if hidden > 0 { p.quiet { (hidden) " older turns stand in the JSON." } }
            }
            @if view.known_from_unix_ms > view.from_unix_ms {
                p.quiet {
                    "There is more evidence than is read at once; what was before "
                    (moment(view.known_from_unix_ms)) " is not drawn. "
                    a href={ "/ledger?action=evidence.add&subject=" (escaped(&view.gate.evidence)) }
                        { "All of it" } " stands in the ledger."
                }
            }
        }
    }
}

/// A stretch of the history: from, to, and how it stood; none where there was no evidence.
type Stretch = (u64, u64, Option<Light>);

fn stretches(view: &GateView) -> Vec<Stretch> {
    stretched(&view.turns, (view.known_from_unix_ms, view.at_unix_ms.min(view.to_unix_ms)))
}

fn stretched(newest_first: &[Turn], (from, to): (u64, u64)) -> Vec<Stretch> {
    let mut all = Vec::new();
    let (mut since, mut light) = (from, None);
    for turn in newest_first.iter().rev() {
        let at = turn.at_unix_ms.clamp(from, to);
        if at > since {
            all.push((since, at, light));
        }
        (since, light) = (at.max(since), Some(turn.light));
    }
    if to > since {
        all.push((since, to, light));
    }
    all
}

/// Three lanes, green above amber above red, so that the height says what the colour says.
fn strip(view: &GateView) -> Markup {
    let span = view.to_unix_ms.saturating_sub(view.from_unix_ms).max(1) as f64;
    let x = |at: u64| at.saturating_sub(view.from_unix_ms) as f64 / span * WIDTH;
    let now = x(view.at_unix_ms.min(view.to_unix_ms));
    let weeks: String =
        (1..13).map(|n| format!("M{:.1} 0V{HEIGHT}", WIDTH / 13.0 * f64::from(n))).collect();
    let label = format!(
        "How it stood from {} to {}: {}. Now {}.",
        day(view.from_unix_ms),
        day(view.to_unix_ms),
        match view.turns.len() {
            0 => "no evidence".to_owned(),
            turns => format!("{turns} times something changed"),
        },
        word(view.judged.verdict.light),
    );
    html! {
        div.strip-frame {
            ol.lanes aria-hidden="true" { li { "green" } li { "amber" } li { "red" } }
            svg.strip viewBox={"0 0 " (WIDTH) " " (HEIGHT)} preserveAspectRatio="none" role="img"
                aria-label=(label) {
                title { (label) }
                path.rule d=(weeks) {}
                @for (from, to, light) in stretches(view) {
                    @let lane = match light {
                        Some(Light::Green) => 0.0, Some(Light::Amber) => LANE, _ => LANE * 2.0,
                    };
                    rect.(light.map_or("none", class)) x=(format!("{:.1}", x(from)))
                        y=(lane + 2.0) width=(format!("{:.1}", (x(to) - x(from)).max(1.5)))
                        height=(LANE - 4.0) {}
                }
                path.today d={"M" (format!("{now:.1}")) " 0V" (HEIGHT)} {}
            }
            ol.ends aria-hidden="true" {
                li { (day(view.from_unix_ms)) }
                li { "the line is today" @if let Some(week) = view.week { ", week " (week) } }
                li { (day(view.to_unix_ms)) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(at_unix_ms: u64, light: Light) -> Turn {
        Turn { at_unix_ms, light, reason: String::new() }
    }

    #[test]
    fn a_history_is_cut_into_stretches_that_leave_no_gap() {
        let turns = [turn(70, Light::Green), turn(40, Light::Red), turn(5, Light::Amber)];
        let drawn = stretched(&turns, (10, 100));
        let wanted = [
            (10, 40, Some(Light::Amber)),
            (40, 70, Some(Light::Red)),
            (70, 100, Some(Light::Green)),
        ];
        assert_eq!(drawn, wanted);
        assert_eq!(stretched(&[], (10, 100)), [(10, 100, None)]);
        let first = stretched(&[turn(40, Light::Green)], (10, 100));
        assert_eq!(first, [(10, 40, None), (40, 100, Some(Light::Green))]);
    }

    #[test]
    fn facts_are_told_as_people_read_them() {
        let told = [Value::from(true), Value::from(1_234), Value::from("GET /a"), Value::from(-3)];
        assert_eq!(told.each_ref().map(value), ["yes", "1,234", "GET /a", "-3"]);
        assert_eq!(in_words("first_open"), "first open");
    }
}
