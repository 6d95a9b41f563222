//! The pages of the board. They stand still: the verdicts are made when a page is asked for.

pub(crate) mod gate;
mod list;
mod parts;
mod risks;
pub(crate) mod summary;
mod timeline;

use maud::{DOCTYPE, Markup, html};
use plimsoll_ledger::How;
use plimsoll_plan::{Board, Judged, Light};

use super::format::{count, moment};
use super::{mark, rooms_nav};
use crate::board::{BoardRow, DAYS, Due, Narrow, Standing, day};
use crate::problem::{OpsCode, Problem};
use parts::{bar, command_box, how, link, prose, state};

/// The whole board.
pub(crate) fn document(board: &Board, narrow: &Narrow) -> Markup {
    let standing = Standing::of(board);
    let body = html! {
        (stands(board, &standing))
        (next(board))
        (timeline::timeline(board))
        (risks::map(board))
        (list::list(board, &standing, narrow))
    };
    let json = narrow.path("/board");
    let json = format!("{json}{}format=json", if json.contains('?') { "&" } else { "?" });
    around(
        "board",
        &body,
        &[
            (&json, "This page as JSON"),
            (&narrow.path("/board.csv"), "Gates as CSV"),
            ("/board/summary", "One page to print"),
        ],
    )
}

/// Why there is no board, and what next.
pub(crate) fn refused(problem: &Problem, database_down: Option<&str>) -> Markup {
    let code = problem.code();
    let body = html! {
        section.state {
            h1 { span.sign.over aria-hidden="true" {} (code.title()) }
            p {
                @if let Some(why) = database_down { "The database: " (why) ". " }
                (problem.detail())
            }
            @if code == OpsCode::NoDatabase {
                p {
                    "Evidence stands in the ledger, so without it nothing can be judged. The edge "
                    "goes on serving. "
                    span.next {
                        a href="/readyz" { "/readyz" } " says why; "
                        code { "plimsoll doctor" } " says what is weak. Then load this page again."
                    }
                }
            } @else {
                p { span.next { a href="/board" { "The board, with every gate" } } }
            }
            p.quiet { code { (code.as_str()) } }
        }
    };
    around("board", &body, &[])
}

/// What stands around every page of the board but the printed one.
fn around(name: &str, body: &Markup, links: &[(&str, &str)]) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            (page_head(name))
            body {
                a.skip href="#view" { "Skip to the board" }
                header.bar {
                    a.brand href="/" { (mark::sign()) span { "Plimsoll" } }
                    (rooms_nav("/board"))
                }
                main #view.board { (body) }
                footer {
                    ul { @for (href, says) in links { li { a href=(href) { (says) } } } }
                    p.quiet { "Nothing on this page changes anything." }
                }
            }
        }
    }
}

fn page_head(name: &str) -> Markup {
    html! {
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            title { "Plimsoll: " (name) }
            link rel="icon" href="/assets/icon.svg" type="image/svg+xml";
            link rel="stylesheet" href="/assets/console.css";
            link rel="stylesheet" href="/assets/board.css";
        }
    }
}

/// The headline, the load line, and how all gates stand.
fn stands(board: &Board, standing: &Standing) -> Markup {
    let summary = standing.summary;
    let counts = [summary.green, summary.amber, summary.red];
    html! {
        section.standing aria-label="How it stands" {
            (load_line(standing.load(), &standing.load_says()))
            div.says-all {
                h1 { (standing.headline) }
                p { (dates(board)) (due_this_week(board, standing)) }
                (bar(counts))
                ul.tally {
                    @for (light, number) in [
                        (Light::Green, summary.green),
                        (Light::Amber, summary.amber),
                        (Light::Red, summary.red),
                    ] {
                        li { b { (count(number as u64)) } " " (state(light)) }
                    }
                    li.quiet { (kinds(board)) }
                }
                p.quiet {
                    "A gate is one question about readiness. It holds while fresh evidence answers "
                    "it; evidence expires, and nobody can tick a gate off. Judged "
                    (moment(board.at_unix_ms)) "."
                }
            }
        }
    }
}

/// The gauge with what it means: it is the same for the whole board and for its line elsewhere.
fn load_line(load: f64, says: &str) -> Markup {
    let level = mark::Level::of(load);
    html! {
        figure.load-line {
            (mark::gauge(load, &format!("{says}: {}", level.word())))
            figcaption {
                b.(level.class()) { (level.word()) }
                span { (says) "." }
                span.quiet { "The water is what is due, the line is what holds." }
            }
        }
    }
}

fn dates(board: &Board) -> Markup {
    html! {
        @match (board.start, day(board)) {
            (None, _) => {
                "Nothing can be due without a first day. "
                span.next { "Say it with " code { "plimsoll plan init --start DATE" } "." }
            },
            (Some(start), None) => { "The first day is " (start) ". Nothing is due before it." },
            (Some(start), Some(today)) => {
                "Day " (today) " of " (DAYS) ", from " (start) " to "
                (start.plus_days(DAYS - 1)) "."
            },
        }
    }
}

/// What is red and due when the week ends.
fn due_this_week(board: &Board, standing: &Standing) -> Markup {
    let number = standing.due_this_week;
    let asks = Narrow { state: Some(Light::Red), due: Some(Due::Now), ..Narrow::default() };
    html! {
        @if number > 0 && board.week.is_some() {
            " " a href={ (asks.path("/board")) "#gates" } { (number) " more" }
            @if number == 1 { " is" } @else { " are" } " due and red when this week ends."
        }
    }
}

/// Of the gates that hold, how many rest on what.
fn kinds(board: &Board) -> Markup {
    let of = |how: How| {
        let holds = |gate: &&Judged| gate.verdict.light != Light::Red;
        board.gates.iter().filter(holds).filter(|gate| gate.how == how).count()
    };
    html! {
        "of those that hold: "
        (of(How::Measured)) " measured, " (of(How::Imported)) " imported, "
        (of(How::Declared)) " declared"
    }
}

/// The next three steps, each with what can be typed.
fn next(board: &Board) -> Markup {
    let gates: Vec<&Judged> = board.next.iter().filter_map(|id| board.gate(id)).collect();
    html! {
        section #next {
            div.head {
                h2 { "Do next" }
                p.says { "what can be done and is due first" }
            }
            @if gates.is_empty() {
                p.empty { "Every gate that this Plimsoll can answer is green." }
            }
            ol.cards { @for gate in gates { (card(gate)) } }
        }
    }
}

fn card(gate: &Judged) -> Markup {
    html! {
        li {
            p.top {
                (state(gate.verdict.light)) " " (how(gate.how))
                span.quiet { (gate.area.title()) ", " (parts::weeks(gate.weeks)) }
            }
            h3 { (link(gate)) }
            p { (prose(&gate.verdict.reason)) }
            p.step { (prose(&gate.next)) }
            (command_box(&gate.next))
        }
    }
}

/// The board in a line, on the page of live figures. Its place is kept while it is not judged yet.
pub(super) fn line(row: Option<&BoardRow>) -> Markup {
    html! {
        section #board aria-label="Board" {
            div.head {
                h2 { a href="/board" { "Board" } }
                p.says {
                    "readiness"
                    @if let Some(row) = row { ", judged " (moment(row.at_unix_ms)) }
                }
            }
            div.board-line {
                @match row {
                    Some(row) => { (filled(row)) },
                    None => p.quiet { "Judged once the database is reached." },
                }
            }
        }
    }
}

fn filled(row: &BoardRow) -> Markup {
    let summary = row.summary;
    html! {
        (mark::gauge(row.load, &format!("Board: {}", mark::Level::of(row.load).word())))
        div {
            p { b { (row.headline) } }
            p {
                (state(Light::Green)) " " (summary.green) ", "
                (state(Light::Amber)) " " (summary.amber) ", "
                (state(Light::Red)) " " (summary.red)
            }
        }
        @if !row.next.is_empty() {
            div {
                p.quiet #board-next { "Do next" }
                ol aria-labelledby="board-next" {
                    @for next in &row.next {
                        li { a href=(parts::address(&next.id)) { (next.title) } }
                    }
                }
            }
        }
    }
}
