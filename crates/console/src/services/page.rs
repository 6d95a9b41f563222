//! `GET /.plimsoll/status`: the same as `/status.json`, for people. One document that loads nothing
//! and asks nothing; it comes anew by itself twice a minute.

use http::HeaderValue;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::status::Answer;

/// No script runs and nothing is loaded; the style stands in the document.
pub(super) const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; \
     form-action 'none'",
);

const STYLE: &str = include_str!("../assets/status.css");
const AGAIN_SECONDS: u32 = 30;

pub(super) fn document(answer: &Answer) -> Markup {
    let (word, class, says) = match answer.is_ok() {
        true => ("Everything works", "ok", "Nothing is known to be wrong."),
        false => ("Some things do not work", "near", "This is what is known to be wrong:"),
    };
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta http-equiv="refresh" content=(AGAIN_SECONDS);
                title { (word) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    (load_line(class))
                    h1 { span.sign.(class) aria-hidden="true" {} (word) }
                    p { (says) }
                    @if !answer.degraded.is_empty() {
                        ul { @for sentence in &answer.degraded { li { (sentence) } } }
                    }
                    p.quiet {
                        "So since "
                        time datetime=(answer.since) { (readable(&answer.since)) }
                        ". This page looks again every " (AGAIN_SECONDS) " seconds."
                    }
                }
            }
        }
    }
}

/// The sign of the house: water below the line, or over it.
fn load_line(class: &str) -> Markup {
    let water = if class == "ok" {
        "M13.67 32A20 20 0 0 0 50.33 32Z"
    } else {
        "M12.92 18A20 20 0 1 0 51.08 18Z"
    };
    html! {
        svg.mark.(class) viewBox="0 0 64 48" aria-hidden="true" {
            path.water d=(water) {}
            circle.rim cx="32" cy="24" r="20" {}
            path.line d="M4 24H60" {}
        }
    }
}

/// `2026-11-29T15:04:05Z` as people read it.
fn readable(moment: &str) -> String {
    match (moment.get(..10), moment.get(11..16)) {
        (Some(day), Some(time)) => format!("{day} {time} UTC"),
        _ => moment.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_readable() {
        assert_eq!(readable("2026-11-29T15:04:05Z"), "2026-11-29 15:04 UTC");
        assert_eq!(readable(""), "");
    }
}
