//! Plots of the last five minutes: inline SVG drawn here, with a title and a table behind it.
//!
//! The drawing is stretched to the width it gets, so nothing in it is text: the labels of the axes
//! stand beside it and keep their size on a phone.

use maud::{Markup, html};
use plimsoll_telemetry::{HISTORY, Second};

use super::format::{ms, real};

/// The height of a drawing, in its own units; its width is a second a unit.
const HEIGHT: f64 = 100.0;
/// Seconds a row of the table behind a plot covers.
const ROW_SECONDS: f64 = 30.0;

/// One line of a plot.
struct Line {
    class: &'static str,
    /// Whether the space below is filled.
    filled: bool,
    /// Whether nothing is worth a line along the bottom.
    zero: bool,
    name: &'static str,
    of: fn(&Second) -> Option<f64>,
}

impl Line {
    const fn new(class: &'static str, name: &'static str, of: fn(&Second) -> Option<f64>) -> Self {
        Self { class, filled: false, zero: true, name, of }
    }

    fn drawn(&self, second: &Second) -> Option<f64> {
        (self.of)(second).filter(|value| self.zero || *value > 0.0)
    }
}

/// A limit drawn across a plot.
struct Limit {
    at: f64,
    name: String,
}

/// How values become heights.
#[derive(Clone, Copy)]
enum Scale {
    /// From nothing to the top.
    Linear { top: f64 },
    /// Whole decades, for values whose ratios matter.
    Decades { from: i32, to: i32 },
}

struct Plot<'v> {
    title: &'static str,
    unit: &'static str,
    lines: &'v [Line],
    limit: Option<Limit>,
    scale: fn(&mut dyn Iterator<Item = f64>) -> Scale,
    /// A value as it is written on an axis and in the table.
    write: fn(f64) -> String,
    /// How the seconds of a table row become one figure.
    row_says: &'static str,
    row: fn(&mut dyn Iterator<Item = f64>) -> Option<f64>,
}

/// Requests and server errors a second.
pub(crate) fn requests(history: &[Second]) -> Markup {
    let lines = [
        Line {
            filled: true,
            ..Line::new("rate", "requests", |second| Some(second.requests_per_second))
        },
        Line {
            zero: false,
            ..Line::new("bad", "server errors", |second| Some(second.errors_per_second))
        },
    ];
    let plot = Plot {
        title: "Requests",
        unit: "a second",
        lines: &lines,
        limit: None,
        scale: |values| Scale::Linear { top: nice(values.fold(0.0, f64::max)) },
        write: real,
        row_says: "mean of 30 s",
        row: mean,
    };
    plot.draw(history)
}

/// Latency quantiles and the objective.
pub(crate) fn latency(history: &[Second], objective_seconds: f64) -> Markup {
    let lines = [
        Line::new("p99", "p99", |second| second.p99_seconds),
        Line::new("p95", "p95", |second| second.p95_seconds),
        Line::new("p50", "p50", |second| second.p50_seconds),
    ];
    let name = format!("objective {} ms", ms(Some(objective_seconds)));
    let plot = Plot {
        title: "Latency",
        unit: "in ms, of each second",
        lines: &lines,
        limit: Some(Limit { at: objective_seconds, name }),
        scale: decades,
        write: |seconds| ms(Some(seconds)),
        row_says: "worst second of 30 s",
        row: largest,
    };
    plot.draw(history)
}

impl Plot<'_> {
    fn draw(&self, history: &[Second]) -> Markup {
        let seen =
            history.iter().flat_map(|second| self.lines.iter().filter_map(|l| (l.of)(second)));
        let scale = (self.scale)(&mut seen.chain(self.limit.as_ref().map(|limit| limit.at)));
        let ticks = scale.ticks();
        let label = self.label(history);
        html! {
            figure.plot {
                figcaption {
                    h3 { (self.title) " " span.unit { (self.unit) } }
                    ul.legend {
                        @for line in self.lines { li.(line.class) { (line.name) } }
                        @if let Some(limit) = &self.limit { li.limit { (limit.name) } }
                    }
                }
                div.frame {
                    ol.y aria-hidden="true" { @for tick in &ticks { li { (self.axis(*tick)) } } }
                    svg.drawing viewBox={"0 0 " (HISTORY.as_secs()) " " (HEIGHT)}
                        preserveAspectRatio="none" role="img" aria-label=(label) {
                        title { (label) }
                        path.grid d=(across(ticks.iter().map(|tick| scale.height(*tick)))) {}
                        @if let Some(limit) = &self.limit {
                            path.limit d=(across(std::iter::once(scale.height(limit.at)))) {}
                        }
                        @for line in self.lines {
                            @let drawn = |second: &Second| line.drawn(second);
                            @if line.filled {
                                path.area d=(path(history, drawn, scale, true)) {}
                            }
                            path.(line.class) d=(path(history, drawn, scale, false)) {}
                        }
                    }
                    ol.x aria-hidden="true" { li { "5 min ago" } li { "2½ min" } li { "now" } }
                }
                (self.table(history))
            }
        }
    }

    fn axis(&self, value: f64) -> String {
        let text = (self.write)(value);
        text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
    }

    fn label(&self, history: &[Second]) -> String {
        let last = |line: &Line| {
            let last = history.last().and_then(line.of);
            format!("{} {}", line.name, last.map_or("none".into(), self.write))
        };
        let now: Vec<String> = self.lines.iter().map(last).collect();
        format!("{} {}, last five minutes. Now: {}.", self.title, self.unit, now.join(", "))
    }

    fn table(&self, history: &[Second]) -> Markup {
        html! {
            details {
                summary { "As a table" }
                table {
                    caption { (self.title) " " (self.unit) ", " (self.row_says) }
                    thead { tr {
                        th scope="col" { "Seconds ago" }
                        @for line in self.lines { th.n scope="col" { (line.name) } }
                    } }
                    tbody {
                        @for row in 0..(HISTORY.as_secs_f64() / ROW_SECONDS) as u32 {
                            @let from = f64::from(row) * ROW_SECONDS;
                            @let to = from + ROW_SECONDS;
                            tr {
                                th scope="row" { (from) " to " (to) }
                                @for line in self.lines { td.n {
                                    @let inside = |second: &&Second|
                                        (from..to).contains(&second.age_seconds);
                                    @let mut values =
                                        history.iter().filter(inside).filter_map(line.of);
                                    ((self.row)(&mut values).map_or("–".into(), self.write))
                                } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn mean(values: &mut dyn Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0u32), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}

fn largest(values: &mut dyn Iterator<Item = f64>) -> Option<f64> {
    values.reduce(f64::max)
}

/// The smallest of a few round figures that holds the value, so that the axis stays still while the
/// figures move.
fn nice(value: f64) -> f64 {
    if value <= 0.0 || !value.is_finite() {
        return 1.0;
    }
    let power = 10f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 4.0, 6.0, 8.0, 10.0];
    let step = steps.into_iter().find(|step| step * power >= value * 0.999_999);
    step.unwrap_or(10.0) * power
}

/// Every decade that a value lies in, from a tenth of a millisecond up.
fn decades(values: &mut dyn Iterator<Item = f64>) -> Scale {
    let (least, most) = values
        .filter(|value| *value > 0.0)
        .fold((0.1f64, 0.1f64), |seen, value| (seen.0.min(value), seen.1.max(value)));
    let from = least.max(0.000_1).log10().floor() as i32;
    Scale::Decades { from, to: (most.log10().ceil() as i32).max(from + 1) }
}

impl Scale {
    /// Where the axis is labelled, from the top down, evenly apart.
    fn ticks(self) -> Vec<f64> {
        match self {
            Scale::Linear { top } => vec![top, top / 2.0, 0.0],
            Scale::Decades { from, to } => (from..=to).rev().map(|n| 10f64.powi(n)).collect(),
        }
    }

    fn height(self, value: f64) -> f64 {
        let part = match self {
            Scale::Linear { top } => value / top,
            Scale::Decades { from, to } => (value.log10() - f64::from(from)) / f64::from(to - from),
        };
        // Half a unit of room keeps a line at the edge whole.
        HEIGHT - 0.5 - part.clamp(0.0, 1.0) * (HEIGHT - 1.0)
    }
}

/// Level lines.
fn across(heights: impl Iterator<Item = f64>) -> String {
    heights.map(|height| format!("M0 {height:.2}H{}", HISTORY.as_secs())).collect()
}

/// The line through every second that has a value; a second without one breaks it.
fn path(
    history: &[Second],
    of: impl Fn(&Second) -> Option<f64>,
    scale: Scale,
    area: bool,
) -> String {
    let mut d = String::new();
    let mut run: Vec<(f64, String)> = Vec::new();
    for second in history {
        match of(second) {
            Some(value) => {
                let x = HISTORY.as_secs_f64() - second.age_seconds;
                run.push((x, format!("{:.2}", scale.height(value))));
            }
            None => draw_run(&mut d, &mut run, area),
        }
    }
    draw_run(&mut d, &mut run, area);
    if d.is_empty() { "M0 0".into() } else { d }
}

fn draw_run(d: &mut String, run: &mut Vec<(f64, String)>, area: bool) {
    let (Some((first, y)), Some((last, _))) = (run.first(), run.last()) else { return };
    d.push_str(&format!("M{first:.1} {y}"));
    for (x, y) in run.iter().skip(1) {
        d.push_str(&format!("L{x:.1} {y}"));
    }
    if run.len() == 1 {
        // One second alone is a dot.
        d.push_str("h.01");
    } else if area {
        d.push_str(&format!("L{last:.1} {HEIGHT}H{first:.1}Z"));
    }
    run.clear();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(age: f64, rate: f64, p50: Option<f64>) -> Second {
        Second {
            age_seconds: age,
            requests_per_second: rate,
            errors_per_second: 0.0,
            p50_seconds: p50,
            p95_seconds: p50,
            p99_seconds: p50,
            connections_open: 0,
            requests_in_flight: 0,
        }
    }

    #[test]
    fn axes_end_at_round_figures() {
        let tops = [0.0, 0.3, 1.0, 1.01, 47.0, 99.0, 1_284.0].map(nice);
        assert_eq!(tops, [1.0, 0.4, 1.0, 2.0, 60.0, 100.0, 2_000.0]);
    }

    #[test]
    fn latency_is_drawn_over_whole_decades() {
        let scale = decades(&mut [0.004, 0.3, 0.54].into_iter());
        assert_eq!(scale.ticks(), [1.0, 0.1, 0.01, 0.001]);
        let heights = [1.0, 0.1, 0.001, 0.0, 9.0].map(|value| scale.height(value).round());
        assert_eq!(heights, [1.0, 34.0, 100.0, 100.0, 1.0]);
        assert_eq!(decades(&mut std::iter::empty()).ticks(), [1.0, 0.1]);
    }

    #[test]
    fn a_second_without_requests_breaks_the_line() {
        let history = [
            second(3.0, 1.0, Some(0.1)),
            second(2.0, 0.0, None),
            second(1.0, 1.0, Some(0.2)),
            second(0.0, 1.0, Some(0.2)),
        ];
        let d = path(&history, |second| second.p50_seconds, Scale::Linear { top: 0.2 }, false);
        assert_eq!(d, "M297.0 50.00h.01M299.0 0.50L300.0 0.50");
        let top = Scale::Linear { top: 1.0 };
        let d = path(&history, |second| Some(second.requests_per_second), top, true);
        assert!(d.ends_with("L300.0 100H297.0Z"), "{d}");
        assert_eq!(path(&[], |_| None, top, true), "M0 0");
    }

    #[test]
    fn the_table_behind_a_plot_has_its_figures() {
        let history =
            [second(31.0, 4.0, None), second(30.0, 2.0, None), second(0.0, 7.0, Some(0.25))];
        let page = requests(&history).into_string();
        assert!(page.contains("<th scope=\"row\">30 to 60</th><td class=\"n\">3.0</td>"), "{page}");
        let page = latency(&history, 0.3).into_string();
        assert!(page.contains("<th scope=\"row\">0 to 30</th><td class=\"n\">250</td>"), "{page}");
        assert!(page.contains("objective 300 ms"));
    }
}
