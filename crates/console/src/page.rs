//! The page, drawn on the server. It reads without script; with it, it is drawn anew each second.

pub(crate) mod board;
mod cached;
mod database;
mod format;
pub(crate) mod ledger;
mod mark;
mod memory;
mod plot;
mod sections;
mod tables;
mod writes;

use maud::{DOCTYPE, Markup, html};

use crate::view::{Asked, View, WINDOWS};
use format::span;

/// From this share on server errors are marked, by shape and colour.
const ERRORS_MARKED: f64 = 0.01;

/// The whole document.
pub(crate) fn document(view: &View) -> Markup {
    let asked = view.asked();
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "Plimsoll: " (sections::state_word(&view.readiness)) }
                link rel="icon" href="/assets/icon.svg" type="image/svg+xml";
                link rel="stylesheet" href="/assets/console.css";
                script src="/assets/console.js" defer {}
            }
            body data-live=(query("/live", asked)) {
                a.skip href="#view" { "Skip to the figures" }
                (head(asked))
                (self::view(view))
                (foot(asked))
            }
        }
    }
}

/// What changes from second to second.
pub(crate) fn view(view: &View) -> Markup {
    html! {
        main #view data-age=(format!("{:.1}", view.age_seconds.unwrap_or(0.0))) {
            (sections::state(view))
            @if let Some(memory) = &view.memory { (board::line(memory.board.as_ref())) }
            (sections::traffic(view))
            div.plots {
                (plot::requests(&view.history))
                (plot::latency(&view.history, view.objective_seconds))
            }
            (sections::loads(view))
            (tables::operations(view))
            (tables::platforms(view))
            (tables::device_models(view))
            (database::calls(view))
            (database::cold_starts(view))
            (cached::cached(view))
            (tables::upstreams(view))
            (tables::routes(view))
            (memory::nodes(view))
            (memory::ledger(view))
            (writes::keyed(view))
            (sections::node(view))
        }
    }
}

fn head(asked: Asked) -> Markup {
    html! {
        header.bar {
            a.brand href="/" { (mark::sign()) span { "Plimsoll" } }
            (rooms_nav("/"))
            nav aria-label="Window" {
                span.quiet { "Window" }
                @for window in WINDOWS {
                    @let here = window == asked.window;
                    @let there = query("/", Asked { window, ..asked });
                    a href=(there) aria-current=[here.then_some("true")] {
                        (span(window))
                    }
                }
            }
            div.live {
                span #link role="status" data-state="still" { "Not live" }
                button #pause type="button" hidden { "Pause" }
                noscript { a href=(query("/", asked)) { "Reload" } }
            }
        }
    }
}

/// The pages there are, with the one that is shown marked.
fn rooms_nav(here: &str) -> Markup {
    html! {
        nav.rooms aria-label="Pages" {
            @for (path, name) in [("/", "Live"), ("/board", "Board"), ("/ledger", "Ledger")] {
                a href=(path) aria-current=[(path == here).then_some("page")] { (name) }
            }
        }
    }
}

fn foot(asked: Asked) -> Markup {
    html! {
        footer {
            ul {
                li { a href={ (query("/", asked)) "&format=json" } { "This page as JSON" } }
                li { a href="/metrics" { "Metrics for Prometheus" } }
                li { a href="/readyz" { "Readiness" } }
                li { a href="/healthz" { "Liveness" } }
                li { a href="/history.csv" { "Five minutes as CSV" } }
            }
            p.quiet { "Nothing on this page changes anything." }
        }
    }
}

/// A path with what was asked for.
fn query(path: &str, asked: Asked) -> String {
    format!("{path}?window={}&sort={}", asked.window, asked.sort.name())
}

/// A section's head: what it is, what its figures cover, and where to have it as CSV.
fn section_head(title: &str, says: &Markup, csv: Option<String>) -> Markup {
    html! {
        div.head {
            h2 { (title) }
            p.says { (says) }
            @if let Some(csv) = csv { a.csv href=(csv) aria-label={ (title) " as CSV" } { "CSV" } }
        }
    }
}

/// Unit, window and age in words.
fn window_and_age(view: &View) -> Markup {
    let seconds = view.window_seconds.round() as u64;
    html! {
        "last " (span(seconds)) ", " span.age { (view.age_seconds.unwrap_or(0.0).round()) " s old" }
    }
}
