//! One printed page for who invests or oversees: how it stands, by area, what threatens it, what is
//! red and why, what comes next, and when. Every list has a bound, so that it stays one page.

use maud::{DOCTYPE, Markup, html};
use plimsoll_plan::{Area, Board, Judged, JudgedRisk, Light, Summary};

use super::parts::{bar, how, state};
use super::{dates, kinds, load_line, page_head};
use crate::board::{DAYS, Standing, title};
use crate::page::board::risks::area_title;
use crate::page::format::{day, moment};

/// Red gates with their reasons.
const RED_SHOWN_MAX: usize = 8;
/// Risks, the worst first.
const RISKS_SHOWN_MAX: usize = 5;
/// Letters of a gate's or a risk's name, and of what is said of it: with all lists full of the
/// longest, it is still one page of the shorter paper.
const NAME_LETTERS_MAX: usize = 56;
const SAYS_LETTERS_MAX: usize = 80;

pub(crate) fn document(board: &Board) -> Markup {
    let standing = Standing::of(board);
    html! {
        (DOCTYPE)
        html lang="en" {
            (page_head("readiness summary"))
            body.paper {
                header.screen-only {
                    a href="/board" { "Back to the board" } " "
                    span.quiet { "Print this page, or save it as PDF, from your browser." }
                }
                main #view.sheet {
                    header.title {
                        div {
                            p.quiet { "Readiness of the service, " (day(board.at_unix_ms)) }
                            h1 { (standing.headline) }
                            p { (dates(board)) }
                        }
                        (load_line(standing.load(), &standing.load_says()))
                    }
                    (areas(board))
                    div.two {
                        (red(board))
                        div { (risks(board)) (next(board)) (ends(board)) }
                    }
                    p.quiet.small {
                        "A gate is one question about readiness, judged from dated evidence in a "
                        "sealed ledger at " (moment(board.at_unix_ms)) "; " (kinds(board)) ". "
                        "Measured: Plimsoll tried it itself. Imported: another tool's report. "
                        "Declared: people say so, in a dated document."
                    }
                }
            }
        }
    }
}

fn areas(board: &Board) -> Markup {
    html! {
        section {
            h2 { "By area" }
            table.by-area {
                thead { tr {
                    th.name scope="col" { "Area" }
                    th scope="col" { "Weeks" }
                    th.bars scope="col" { "Green, amber, red" }
                    th.n scope="col" { "Green" }
                    th.n scope="col" { "Amber" }
                    th.n scope="col" { "Red" }
                    th.n scope="col" { "Due and red" }
                } }
                tbody { @for area in Area::ALL { (self::area(board, area)) } }
            }
        }
    }
}

fn area(board: &Board, area: Area) -> Markup {
    let gates: Vec<&Judged> = board.gates.iter().filter(|gate| gate.area == area).collect();
    let summary = Summary::of(gates.iter().copied());
    let first = gates.iter().map(|gate| gate.weeks[0]).min().unwrap_or_default();
    let last = gates.iter().map(|gate| gate.weeks[1]).max().unwrap_or_default();
    let due = gates.iter().filter(|gate| gate.due && gate.verdict.light == Light::Red).count();
    html! {
        @if !gates.is_empty() {
            tr {
                th.name scope="row" { (area.title()) }
                td { (first) @if first != last { " to " (last) } }
                td.bars { (bar([summary.green, summary.amber, summary.red])) }
                td.n { (summary.green) }
                td.n { (summary.amber) }
                td.n { (summary.red) }
                td.n { @if due > 0 { b.over { (due) } } @else { "0" } }
            }
        }
    }
}

/// What is red and why: what is due first, and of that what could be answered.
fn red(board: &Board) -> Markup {
    let all = || board.gates.iter().filter(|gate| gate.verdict.light == Light::Red);
    let mut red: Vec<&Judged> = all().collect();
    red.sort_by_key(|gate| (!gate.due, !gate.built, gate.weeks[1], gate.weeks[0]));
    let hidden = red.len().saturating_sub(RED_SHOWN_MAX);
    html! {
        section {
            h2 { "Red, and why" }
            @if red.is_empty() { p { "No gate is red." } }
            ul.why {
                @for gate in red.into_iter().take(RED_SHOWN_MAX) {
                    li {
                        (state(Light::Red)) @if gate.due { " " span.due { "due" } } " "
                        b { (cut(title(gate), NAME_LETTERS_MAX)) } " "
                        (cut(&plain(&gate.verdict.reason), SAYS_LETTERS_MAX))
                    }
                }
            }
            @if hidden > 0 { p.quiet { "and " (hidden) " more on the board" } }
        }
    }
}

fn risks(board: &Board) -> Markup {
    let mut risks: Vec<&JudgedRisk> = board.risks.iter().collect();
    risks.sort_by_key(|risk| risk.light);
    let hidden = risks.len().saturating_sub(RISKS_SHOWN_MAX);
    html! {
        section {
            h2 { "Top risks" }
            @if risks.is_empty() { p.quiet { "No risk is written down." } }
            ul.why {
                @for judged in risks.into_iter().take(RISKS_SHOWN_MAX) {
                    li {
                        (state(judged.light)) " "
                        b { (cut(&judged.risk.title, NAME_LETTERS_MAX)) } " "
                        span.quiet { (area_title(judged.risk.area)) }
                    }
                }
            }
            @if hidden > 0 { p.quiet { "and " (hidden) " more on the board" } }
        }
    }
}

fn next(board: &Board) -> Markup {
    let gates: Vec<&Judged> = board.next.iter().filter_map(|id| board.gate(id)).collect();
    html! {
        section {
            h2 { "Next three" }
            @if gates.is_empty() { p.quiet { "Nothing that can be done now." } }
            ol.why {
                @for gate in gates {
                    li {
                        b { (cut(title(gate), NAME_LETTERS_MAX)) } " " (how(gate.how)) " "
                        (cut(&plain(&gate.next), SAYS_LETTERS_MAX))
                    }
                }
            }
        }
    }
}

fn ends(board: &Board) -> Markup {
    html! {
        @if let Some(start) = board.start {
            section {
                h2 { "Dates" }
                dl.facts {
                    dt { "First day" } dd { (start) }
                    @for area in [Area::Scope, Area::Delivery, Area::Security, Area::Launch] {
                        @let ends = board.gates.iter().filter(|gate| gate.area == area)
                            .map(|gate| u32::from(gate.weeks[1])).max();
                        @if let Some(week) = ends {
                            dt { (area.title()) }
                            dd { "by " (start.plus_days(week * 7 - 1)) }
                        }
                    }
                    dt { "Last day" } dd { (start.plus_days(DAYS - 1)) }
                }
            }
        }
    }
}

/// Without backticks: nothing is typed on paper.
fn plain(text: &str) -> String {
    text.replace('`', "")
}

/// At a word's end, within the bound.
fn cut(text: &str, letters_max: usize) -> String {
    if text.chars().count() <= letters_max {
        return text.to_owned();
    }
    let kept: String = text.chars().take(letters_max).collect();
    let kept = kept.rsplit_once(' ').map_or(kept.as_str(), |(kept, _)| kept);
    format!("{kept} …")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_at_a_word() {
        let long = "word ".repeat(60);
        let short = cut(&long, 100);
        assert!(short.chars().count() <= 102 && short.ends_with("word …"), "{short}");
        assert_eq!(cut("short", 100), "short");
        assert!(cut(&"ü".repeat(400), 100).chars().count() <= 102);
    }
}
