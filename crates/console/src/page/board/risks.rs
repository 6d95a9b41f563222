//! The risk map: what may happen, in the colour of the gates that answer it.

use maud::{Markup, html};
use plimsoll_plan::{Board, JudgedRisk, RiskArea};

use super::parts::{link, state};
use crate::page::section_head;

/// Gates that a risk lists on the page; its own document has all of them.
const GATES_SHOWN_MAX: usize = 6;

const AREAS: [RiskArea; 4] =
    [RiskArea::Reliability, RiskArea::Security, RiskArea::Data, RiskArea::Cadence];

pub(super) const fn area_title(area: RiskArea) -> &'static str {
    match area {
        RiskArea::Reliability => "Reliability",
        RiskArea::Security => "Security",
        RiskArea::Data => "Data",
        RiskArea::Cadence => "Release cadence",
    }
}

pub(super) fn map(board: &Board) -> Markup {
    let says = html! { "a risk is as red as the worst of the gates that answer it" };
    html! {
        section #risks {
            (section_head("Risk map", &says, None))
            @if board.risks.is_empty() {
                p.empty {
                    "No risk is written down. "
                    span.next {
                        "List them in " code { "plan/risk-map.md" } ", each with the gates that "
                        "answer it; " code { "plimsoll plan init" } " writes that document."
                    }
                }
            } @else {
                div.risk-map {
                    @for area in AREAS {
                        @let risks: Vec<&JudgedRisk> =
                            board.risks.iter().filter(|risk| risk.risk.area == area).collect();
                        div {
                            h3 { (area_title(area)) }
                            @if risks.is_empty() { p.quiet { "No risk is written down." } }
                            ul { @for risk in risks { (self::risk(board, risk)) } }
                        }
                    }
                }
            }
        }
    }
}

fn risk(board: &Board, judged: &JudgedRisk) -> Markup {
    let gates = &judged.risk.gates;
    let hidden = gates.len().saturating_sub(GATES_SHOWN_MAX);
    html! {
        li {
            p { (state(judged.light)) " " b { (judged.risk.title) } }
            @if gates.is_empty() {
                p.quiet { "No gate answers it: name one in " code { "plan/risk-map.md" } "." }
            }
            ul.answers {
                @for id in gates.iter().take(GATES_SHOWN_MAX) {
                    li {
                        @match board.gate(id) {
                            Some(gate) => { (state(gate.verdict.light)) " " (link(gate)) },
                            None => span.over { "There is no gate " code { (id) } "." },
                        }
                    }
                }
                @if hidden > 0 { li.quiet { "and " (hidden) " more" } }
            }
        }
    }
}
