//! Small things that every page of the board shows the same way.

use maud::{Markup, html};
use plimsoll_ledger::How;
use plimsoll_plan::{Judged, Light, Seen};

use crate::board::{title, word};
use crate::client::escaped;
use crate::page::format::{day, span};

/// The class that colours a state and gives it its shape.
pub(super) const fn class(light: Light) -> &'static str {
    match light {
        Light::Red => "over",
        Light::Amber => "near",
        Light::Green => "ok",
    }
}

/// A state as a shape, a word and a colour.
pub(super) fn state(light: Light) -> Markup {
    let class = class(light);
    html! { span.light.(class) { span.sign.(class) aria-hidden="true" {} (word(light)) } }
}

/// How evidence comes to be, as a mark of its own kind.
pub(super) fn how(how: How) -> Markup {
    html! { span.how.(how.as_str()) title=(how_says(how)) { (how.as_str()) } }
}

pub(super) const fn how_says(how: How) -> &'static str {
    match how {
        How::Measured => "Plimsoll watched, asked or tried it itself",
        How::Imported => "another tool measured it, and an operator brought its report",
        How::Declared => "a person said so, in a document with an owner and a date",
    }
}

/// The address of a gate's page.
pub(super) fn address(id: &str) -> String {
    format!("/board/gates/{}", escaped(id))
}

pub(super) fn link(gate: &Judged) -> Markup {
    html! { a href=(address(&gate.id)) { (title(gate)) } }
}

/// `week 1`, `weeks 2 to 4`.
pub(super) fn weeks([first, last]: [u8; 2]) -> String {
    if first == last { format!("week {first}") } else { format!("weeks {first} to {last}") }
}

/// What is between backticks is typed.
pub(super) fn prose(text: &str) -> Markup {
    html! {
        @for (n, part) in text.split('`').enumerate() {
            @if n % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

/// The last command in a text, to be copied: what stands before it is how it comes to be needed.
pub(super) fn command(text: &str) -> Option<&str> {
    let typed = text.split('`').skip(1).step_by(2);
    let commands = typed.filter(|typed| {
        ["plimsoll ", "make ", "curl "].iter().any(|program| typed.starts_with(program))
    });
    commands.last()
}

/// A command in a box: one click marks all of it.
pub(super) fn command_box(text: &str) -> Markup {
    html! {
        @if let Some(command) = command(text) {
            pre.command { code { (command) } }
        }
    }
}

/// How old evidence is and until when it counts.
pub(super) fn age(seen: &Seen, now_unix_ms: u64) -> Markup {
    let ago = span(now_unix_ms.saturating_sub(seen.at_unix_ms) / 1_000);
    html! {
        (ago) " old, "
        @if seen.until_unix_ms <= now_unix_ms {
            span.over { "expired " (day(seen.until_unix_ms)) }
        } @else {
            "counts " (span((seen.until_unix_ms - now_unix_ms) / 1_000)) " more"
        }
    }
}

/// Green, amber and red as parts of one bar. The words stand beside it.
pub(super) fn bar(counts: [usize; 3]) -> Markup {
    let all = counts.iter().sum::<usize>().max(1) as f64;
    let mut from = 0.0;
    let parts = ["ok", "near", "over"].into_iter().zip(counts).map(|(class, number)| {
        let (x, width) = (from, number as f64 / all * 100.0);
        from += width;
        (class, x, width)
    });
    html! {
        svg.share viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true" {
            @for (class, x, width) in parts {
                rect.(class) x=(format!("{x:.2}")) y="0" width=(format!("{width:.2}")) height="6" {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_found_among_other_typed_things() {
        let text = "Set `[[limit]]`, then run `plimsoll check` and `plimsoll up`.";
        assert_eq!(command(text), Some("plimsoll up"));
        assert_eq!(command("Ask the team, not `plimsoll-like` tools."), None);
        assert_eq!(command("An odd `backtick"), None);
        let shown = prose("Run `plimsoll <check>`.").into_string();
        assert_eq!(shown, "Run <code>plimsoll &lt;check&gt;</code>.");
    }

    #[test]
    fn weeks_read_well() {
        assert_eq!((weeks([3, 3]), weeks([2, 4])), ("week 3".into(), "weeks 2 to 4".into()));
    }
}
