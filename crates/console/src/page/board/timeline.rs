//! The 90 days: areas as rows, weeks as columns, each gate a shape in the band of its weeks, at
//! whose end it is due. Drawn twice, for wide and for narrow screens; the style sheet shows one.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use maud::{Markup, html};
use plimsoll_ledger::How;
use plimsoll_plan::{Area, Board, Judged, Light, Summary, WEEKS};

use super::parts::{address, class};
use crate::board::{area_name, title, word};
use crate::page::format::short_day;
use crate::page::section_head;
use crate::page::tables::scroll;

const DAY_MS: u64 = 86_400_000;
const WEEK_DAYS: u32 = 7;
/// Between bands, and around their shapes.
const GAP: f64 = 4.0;

/// A drawing's measures, in its own units.
#[derive(Clone, Copy)]
struct Form {
    class: &'static str,
    /// A week.
    column: f64,
    /// A shape.
    dot: f64,
    /// From one shape to the next, at least.
    pitch: f64,
}

const WIDE: Form = Form { class: "wide", column: 80.0, dot: 10.0, pitch: 15.0 };
const NARROW: Form = Form { class: "narrow", column: 28.0, dot: 7.0, pitch: 9.0 };

/// Gates with the same window, as a band with its shapes.
struct Band<'b> {
    weeks: [u8; 2],
    gates: Vec<&'b Judged>,
    /// Shapes beside each other.
    across: usize,
    top: f64,
    height: f64,
}

pub(super) fn timeline(board: &Board) -> Markup {
    let says = html! { "each gate in its weeks; it is due at the end of the last" };
    html! {
        section #plan {
            (section_head("The 90 days", &says, None))
            div.timeline {
                (grid(board))
                (weeks(board))
                @for area in Area::ALL { (row(board, area)) }
            }
            (legend())
            (table(board))
        }
    }
}

/// What lies behind all areas: the weeks' ends, and today. Stretched to the height of the rows.
fn grid(board: &Board) -> Markup {
    let width = WIDE.column * f64::from(WEEKS);
    let ends: String =
        (1..WEEKS).map(|week| format!("M{} 0V1", WIDE.column * f64::from(week))).collect();
    html! {
        svg.grid viewBox={"0 0 " (short(width)) " 1"} preserveAspectRatio="none"
            aria-hidden="true" {
            path.rule d=(ends) {}
            @if let Some(now) = today(board, width) { path.today d={"M" (short(now)) " 0V1"} {} }
        }
    }
}

fn weeks(board: &Board) -> Markup {
    html! {
        div.label aria-hidden="true" { "Week" }
        ol.weeks aria-hidden="true" {
            @for week in 1..=u32::from(WEEKS) {
                li.now[board.week == Some(week)] {
                    b { (week) }
                    @if let Some(start) = board.start {
                        span { (short_day(start.plus_days((week - 1) * WEEK_DAYS).unix_ms())) }
                    }
                }
            }
        }
    }
}

fn row(board: &Board, area: Area) -> Markup {
    let gates: Vec<&Judged> = board.gates.iter().filter(|gate| gate.area == area).collect();
    let summary = Summary::of(gates.iter().copied());
    let held = summary.green + summary.amber;
    html! {
        @if !gates.is_empty() {
            div.label {
                a href={ "#" (area_name(area)) } { (area.title()) } " "
                span.quiet { (held) " of " (gates.len()) }
            }
            @for form in [WIDE, NARROW] { (drawing(area, &gates, form)) }
        }
    }
}

fn drawing(area: Area, gates: &[&Judged], form: Form) -> Markup {
    let bands = bands(gates, form);
    let height = bands.last().map_or(0.0, |band| band.top + band.height) + GAP;
    let width = form.column * f64::from(WEEKS);
    html! {
        svg.row.(form.class) viewBox={"0 0 " (short(width)) " " (short(height))} role="group"
            aria-label=(format!("{}, gates in their weeks", area.title())) {
            @for band in &bands {
                @let (left, wide) = band.span(form);
                rect.window x=(short(left)) y=(short(band.top)) width=(short(wide))
                    height=(short(band.height)) rx="4" {}
            }
            @for band in &bands {
                @for (n, gate) in band.gates.iter().enumerate() {
                    (shape(gate, band.place(form, n), form.dot))
                }
            }
        }
    }
}

/// The bands of an area, by their weeks. Each is as high as its shapes need.
fn bands<'b>(gates: &[&'b Judged], form: Form) -> Vec<Band<'b>> {
    let mut by_window: BTreeMap<[u8; 2], Vec<&Judged>> = BTreeMap::new();
    for gate in gates {
        by_window.entry(gate.weeks).or_default().push(gate);
    }
    let mut top = GAP;
    let mut bands = Vec::new();
    for (weeks, mut gates) in by_window {
        // What holds first, so that a band fills up from its beginning.
        gates.sort_by_key(|gate| Reverse(gate.verdict.light));
        let wide = form.column * f64::from(weeks[1] - weeks[0] + 1);
        let fit = ((wide / form.pitch) as usize).max(1);
        let rows = gates.len().div_ceil(fit);
        let height = rows as f64 * form.pitch + GAP;
        let across = gates.len().div_ceil(rows);
        bands.push(Band { weeks, gates, across, top, height });
        top += height + GAP;
    }
    bands
}

impl Band<'_> {
    /// Where it begins and how wide it is.
    fn span(&self, form: Form) -> (f64, f64) {
        let [first, last] = self.weeks;
        (form.column * f64::from(first - 1), form.column * f64::from(last - first + 1))
    }

    /// The middle of the shape of that number: evenly over the band.
    fn place(&self, form: Form, number: usize) -> (f64, f64) {
        let (left, wide) = self.span(form);
        let (column, row) = ((number % self.across) as f64, (number / self.across) as f64);
        let x = left + (column + 0.5) * wide / self.across as f64;
        (x, self.top + GAP / 2.0 + (row + 0.5) * form.pitch)
    }
}

/// Where today is, in the width of the drawing; none outside the 13 weeks.
fn today(board: &Board, width: f64) -> Option<f64> {
    let start = board.start?.unix_ms();
    let span = u64::from(WEEKS) * u64::from(WEEK_DAYS) * DAY_MS;
    let past = board.at_unix_ms.checked_sub(start).filter(|past| *past <= span)?;
    Some(past as f64 / span as f64 * width)
}

/// A link for the pointer. By keyboard the list below has the same links, in the same order.
fn shape(gate: &Judged, at: (f64, f64), size: f64) -> Markup {
    let light = gate.verdict.light;
    let says = format!("{}: {}", word(light), title(gate));
    html! {
        a.dot.(class(light)).declared[gate.how == How::Declared] href=(address(&gate.id))
            tabindex="-1" aria-label=(says) {
            title { (says) }
            (outline(light, at, if gate.built { size } else { size * 0.55 }))
        }
    }
}

/// Green is round, amber three-cornered, red square.
fn outline(light: Light, (x, y): (f64, f64), size: f64) -> Markup {
    let half = size / 2.0;
    html! {
        @match light {
            Light::Green => circle cx=(short(x)) cy=(short(y)) r=(short(half)) {},
            Light::Amber => polygon points={
                (short(x)) "," (short(y - half)) " " (short(x + half)) "," (short(y + half)) " "
                (short(x - half)) "," (short(y + half))
            } {},
            Light::Red => rect x=(short(x - half * 0.9)) y=(short(y - half * 0.9))
                width=(short(size * 0.9)) height=(short(size * 0.9)) {},
        }
    }
}

fn short(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

fn legend() -> Markup {
    let key = |light: Light, declared: bool, size: f64, says: &str| {
        html! {
            li {
                svg.key viewBox="0 0 14 14" aria-hidden="true" {
                    g.dot.(class(light)).declared[declared] { (outline(light, (7.0, 7.0), size)) }
                }
                (says)
            }
        }
    };
    html! {
        ul.keys {
            (key(Light::Green, false, 10.0, "green: holds, on fresh evidence"))
            (key(Light::Amber, false, 10.0, "amber: holds, but not for long or not well"))
            (key(Light::Red, false, 10.0, "red: no evidence, or it says no"))
            (key(Light::Red, false, 5.5, "red: this Plimsoll cannot answer it yet"))
            (key(Light::Green, true, 10.0, "hollow: people declare it, nothing measures it"))
        }
    }
}

fn table(board: &Board) -> Markup {
    let held = |area: Area, week: u8| {
        let due = board.gates.iter().filter(|gate| gate.area == area && gate.weeks[1] == week);
        let summary = Summary::of(due);
        (summary.green + summary.amber, summary.all())
    };
    let table = html! {
        table.by-week {
            caption { "Gates that hold, of those due at the end of each week" }
            thead { tr {
                th.name scope="col" { "Area" }
                @for week in 1..=WEEKS { th.n scope="col" { (week) } }
            } }
            tbody {
                @for area in Area::ALL {
                    tr {
                        th.name scope="row" { (area.title()) }
                        @for week in 1..=WEEKS {
                            td.n {
                                @match held(area, week) {
                                    (_, 0) => span.quiet { "–" },
                                    (held, all) => { (held) " of " (all) },
                                }
                            }
                        }
                    }
                }
            }
        }
    };
    html! {
        details { summary { "As a table" } (scroll("Gates by area and week", &table)) }
    }
}
