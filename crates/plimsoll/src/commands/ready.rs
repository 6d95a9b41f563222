//! `plimsoll ready`: which gates are due, how they stand, and what to do next.

use std::io::{self, IsTerminal as _};

use http::Method;
use plimsoll_manifest::env;
use plimsoll_plan::Area;
use serde_json::Value;

use crate::cli::{Output, Ready};
use crate::commands::ask::{ask, data_dir, say, say_json};
use crate::exit::Failure;

pub(crate) fn run(arguments: &Ready) -> Result<(), Failure> {
    let directory = data_dir(arguments.running.data_dir.as_deref())?;
    let answer = ask(&directory, Method::GET, &path(arguments), None)?;
    let due = due_by(arguments, &answer);
    if arguments.running.output == Output::Json {
        say_json(&answer)?;
    } else {
        let colour =
            io::stdout().is_terminal() && env::var("NO_COLOR").is_ok_and(|no| no.is_none());
        say(report(&answer, &due, Paint { colour }))?;
    }
    verdict(&answer, &due)
}

fn path(arguments: &Ready) -> String {
    let mut path = match arguments.week {
        Some(week) => format!("/api/v1/board?due={week}"),
        None => "/api/v1/board?due=now".to_owned(),
    };
    if let Some(area) = &arguments.area {
        path.push_str(&format!("&area={area}"));
    }
    path
}

/// Which gates these are, in words.
fn due_by(arguments: &Ready, answer: &Value) -> String {
    let week = arguments.week.map(u64::from).or(answer["week"].as_u64());
    match week {
        Some(week) if week <= u64::from(plimsoll_plan::WEEKS) => {
            format!("due by the end of week {week}")
        }
        _ => "of the whole plan".to_owned(),
    }
}

/// The exit code: red is a failure.
fn verdict(answer: &Value, due: &str) -> Result<(), Failure> {
    let red = answer["shown"]["red"].as_u64().unwrap_or_default();
    if red == 0 {
        return Ok(());
    }
    let all = gates(answer).len();
    Err(Failure::Failed(format!("{red} of {all} gates {due} {}", is_red(red))))
}

fn is_red(number: u64) -> &'static str {
    if number == 1 { "is red" } else { "are red" }
}

fn gates(answer: &Value) -> &[Value] {
    answer["gates"].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// A gate's name as people read it.
fn title(gate: &Value) -> String {
    text(gate, "title")
}

/// A text of an answer. What moves a terminal's cursor or changes its colours is left out: facts
/// come from outside.
fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().chars().filter(|c| !c.is_control()).collect()
}

/// Colour, where somebody looks; the word is there in any case.
#[derive(Clone, Copy)]
struct Paint {
    colour: bool,
}

impl Paint {
    /// The word for a state, as wide as the longest.
    fn state(self, state: &str) -> String {
        let code = match state {
            "green" => "32",
            "amber" => "33",
            _ => "31",
        };
        if self.colour {
            format!("\u{1b}[{code}m{state:<5}\u{1b}[0m")
        } else {
            format!("{state:<5}")
        }
    }
}

fn report(answer: &Value, due: &str, paint: Paint) -> String {
    let mut out = format!("{}\n\n", text(&answer["standing"], "headline"));
    let shown = gates(answer);
    match shown.len() {
        0 => out.push_str(&format!("No gate {due}.\n")),
        1 => out.push_str(&format!("1 gate {due}:\n")),
        number => out.push_str(&format!("{number} gates {due}:\n")),
    }
    for area in Area::ALL {
        let name = serde_json::to_value(area).unwrap_or_default();
        let of_area: Vec<&Value> = shown.iter().filter(|gate| gate["area"] == name).collect();
        if of_area.is_empty() {
            continue;
        }
        let held = of_area.iter().filter(|gate| gate["light"] != "red").count();
        out.push_str(&format!("\n{}: {held} of {} hold\n", area.title(), of_area.len()));
        for gate in of_area {
            line(&mut out, gate, paint);
        }
    }
    next(&mut out, answer);
    out.truncate(out.trim_end().len());
    out
}

fn line(out: &mut String, gate: &Value, paint: Paint) {
    let due = if gate["due"] == true && gate["light"] == "red" { ", due" } else { "" };
    let (state, how) = (paint.state(&text(gate, "light")), text(gate, "how"));
    out.push_str(&format!("  {state}  {how:<8}  {}{due}\n", title(gate)));
    out.push_str(&format!("                   {}\n", text(gate, "reason")));
}

fn next(out: &mut String, answer: &Value) {
    let next = answer["next"].as_array().map(Vec::as_slice).unwrap_or_default();
    if next.is_empty() {
        return;
    }
    out.push_str("\nDo next:\n");
    for (number, gate) in (1..).zip(next) {
        out.push_str(&format!("  {number}. {}\n     {}\n", title(gate), text(gate, "next")));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer() -> Value {
        let gate = |light: &str, area: &str, title: &str, due: bool| {
            json!({ "light": light, "area": area, "title": title, "how": "measured", "due": due,
                "reason": "Why \u{1b}[2Jso.", "next": "Do it." })
        };
        let red = gate("red", "scope", "Is there a brief?", true);
        json!({
            "week": 3,
            "standing": { "headline": "Week 3 of 13: 1 of 2 gates holds; 1 is due and red" },
            "shown": { "red": 1, "amber": 0, "green": 1 },
            "gates": [gate("green", "architecture", "Are limits kept?", true), red],
            "next": [red],
        })
    }

    #[test]
    fn the_report_goes_by_area_and_colour_is_never_alone() {
        let plain = report(&answer(), "due by the end of week 3", Paint { colour: false });
        let wanted = "\
Week 3 of 13: 1 of 2 gates holds; 1 is due and red

2 gates due by the end of week 3:

Diagnostic and scope lock: 0 of 1 hold
  red    measured  Is there a brief?, due
                   Why [2Jso.

Architecture: 1 of 1 hold
  green  measured  Are limits kept?
                   Why [2Jso.

Do next:
  1. Is there a brief?
     Do it.";
        assert_eq!(plain, wanted);
        let painted = report(&answer(), "due by the end of week 3", Paint { colour: true });
        assert!(painted.contains("\u{1b}[31mred  \u{1b}[0m"), "{painted}");
        let without = ["\u{1b}[31m", "\u{1b}[32m", "\u{1b}[0m"]
            .iter()
            .fold(painted, |text, code| text.replace(code, ""));
        assert_eq!(without, plain);
    }

    #[test]
    fn red_fails_and_the_rest_does_not() {
        let Err(Failure::Failed(said)) = verdict(&answer(), "due by the end of week 3") else {
            panic!("one is red")
        };
        assert_eq!(said, "1 of 2 gates due by the end of week 3 is red");
        let mut amber = answer();
        amber["shown"] = json!({ "red": 0, "amber": 1, "green": 1 });
        assert!(verdict(&amber, "").is_ok());
    }

    #[test]
    fn which_gates_is_said_by_week_or_as_the_whole_plan() {
        let running = || crate::cli::Running { data_dir: None, output: Output::Text };
        let asked = |week| Ready { week, area: Some("people".into()), running: running() };
        assert_eq!(path(&asked(Some(4))), "/api/v1/board?due=4&area=people");
        assert_eq!(path(&asked(None)), "/api/v1/board?due=now&area=people");
        assert_eq!(due_by(&asked(Some(4)), &json!({ "week": 9 })), "due by the end of week 4");
        assert_eq!(due_by(&asked(None), &json!({ "week": 9 })), "due by the end of week 9");
        assert_eq!(due_by(&asked(None), &json!({ "week": 14 })), "of the whole plan");
        assert_eq!(due_by(&asked(None), &json!({})), "of the whole plan");
    }
}
