//! Every gate by area, narrowed by what was asked for.

use maud::{Markup, html};
use plimsoll_ledger::How;
use plimsoll_plan::{Area, Board, Judged, Light, Summary, WEEKS};

use super::parts::{age, bar, how, link, prose, state, weeks};
use crate::api::board::narrowed;
use crate::board::{Due, Narrow, Standing, area_name, word};

pub(super) fn list(board: &Board, standing: &Standing, narrow: &Narrow) -> Markup {
    let gates = narrowed(board, narrow);
    html! {
        section #gates {
            div.head {
                h2 { "Gates" }
                p.says { (gates.len()) " of " (board.gates.len()) " shown" }
                a.csv href=(narrow.path("/board.csv")) aria-label="Gates as CSV" { "CSV" }
            }
            (chips(board, standing, narrow))
            (form(narrow))
            @if gates.is_empty() {
                p.empty { "No gate is like that. " a href="/board#gates" { "Show all." } }
            }
            @for area in Area::ALL { (self::area(board, &gates, area)) }
        }
    }
}

/// The usual questions, each a link.
fn chips(board: &Board, standing: &Standing, narrow: &Narrow) -> Markup {
    let all = standing.summary;
    let by = |state| Narrow { state: Some(state), ..Narrow::default() };
    let due = |due| Narrow { due: Some(due), ..by(Light::Red) };
    let chip = |says: &str, asks: Narrow, number: usize| {
        html! {
            li { a href={ (asks.path("/board")) "#gates" }
                aria-current=[(asks == *narrow).then_some("true")] { (says) " " b { (number) } } }
        }
    };
    html! {
        ul.chips aria-label="Usual questions" {
            (chip("All", Narrow::default(), board.gates.len()))
            (chip("Due and red", due(Due::Past), standing.due_red))
            @if standing.due_this_week > 0 && board.week.is_some() {
                @let number = standing.due_red + standing.due_this_week;
                (chip("Red, due by the end of this week", due(Due::Now), number))
            }
            (chip("Red", by(Light::Red), all.red))
            (chip("Amber", by(Light::Amber), all.amber))
            (chip("Green", by(Light::Green), all.green))
        }
    }
}

fn form(narrow: &Narrow) -> Markup {
    let lights = [Light::Red, Light::Amber, Light::Green].map(|light| (word(light), word(light)));
    let areas = Area::ALL.map(|area| (area_name(area), area.title()));
    let hows =
        [How::Measured, How::Imported, How::Declared].map(|how| (how.as_str(), how.as_str()));
    let week = narrow.week.map(|week| week.to_string());
    html! {
        form.filter method="get" action="/board#gates" {
            (choice("state", "State ", &lights, narrow.state.map(word)))
            (choice("area", "Area ", &areas, narrow.area.map(area_name)))
            label {
                "In week "
                select name="week" {
                    option value="" { "any" }
                    @for number in (1..=WEEKS).map(|week| week.to_string()) {
                        option value=(number) selected[week.as_ref() == Some(&number)] { (number) }
                    }
                }
            }
            (choice("how", "Evidence ", &hows, narrow.how.map(How::as_str)))
            button type="submit" { "Show" }
            @if !narrow.is_all() { a href="/board#gates" { "Show all" } }
        }
    }
}

fn choice(name: &str, label: &str, all: &[(&str, &str)], chosen: Option<&str>) -> Markup {
    html! {
        label {
            (label)
            select name=(name) {
                option value="" { "every" }
                @for (value, says) in all {
                    option value=(value) selected[chosen == Some(*value)] { (says) }
                }
            }
        }
    }
}

fn area(board: &Board, gates: &[&Judged], area: Area) -> Markup {
    let of_area = || gates.iter().copied().filter(move |gate| gate.area == area);
    let summary = Summary::of(of_area());
    let (built, later): (Vec<&Judged>, Vec<&Judged>) = of_area().partition(|gate| gate.built);
    let held = summary.green + summary.amber;
    let due = of_area().filter(|gate| gate.due && gate.verdict.light == Light::Red).count();
    html! {
        @if summary.all() > 0 {
            div.area id=(area_name(area)) {
                div.head {
                    h3 { (area.title()) }
                    p.says {
                        (held) " of " (summary.all()) " hold"
                        @if due > 0 { ", " span.over { (due) " due and red" } }
                    }
                    (bar([summary.green, summary.amber, summary.red]))
                }
                @if !built.is_empty() { ul.gates { @for gate in built { (row(board, gate)) } } }
                @if !later.is_empty() {
                    h4 { "Red, and this Plimsoll cannot answer it yet" }
                    ul.later { @for gate in later { (waits(gate)) } }
                }
            }
        }
    }
}

fn row(board: &Board, gate: &Judged) -> Markup {
    let verdict = &gate.verdict;
    html! {
        li.calm[verdict.light == Light::Green] {
            p.stands { (state(verdict.light)) @if gate.due { " " (due(gate)) } }
            div.asks {
                h4 { (link(gate)) }
                p { (prose(&verdict.reason)) }
                @if !gate.next.is_empty() { p.step { b { "Next: " } (prose(&gate.next)) } }
            }
            p.evidence {
                (how(gate.how)) " "
                @match &verdict.seen {
                    Some(seen) => { (age(seen, board.at_unix_ms)) },
                    None => span.quiet { "no evidence" },
                }
            }
            p.when.quiet { (weeks(gate.weeks)) }
        }
    }
}

/// Whether its window has ended, said where it matters.
fn due(gate: &Judged) -> Markup {
    html! { @if gate.verdict.light == Light::Red { span.due { "due" } } }
}

/// A gate whose capability is not built: one line, and what to do meanwhile.
fn waits(gate: &Judged) -> Markup {
    html! {
        li {
            span.sign.over aria-hidden="true" {}
            div {
                (link(gate)) " " span.quiet { (weeks(gate.weeks)) }
                @if gate.due { " " (due(gate)) }
                @if !gate.next.is_empty() { p.quiet { (prose(&gate.next)) } }
            }
        }
    }
}
