//! The parts of the page that are no tables.

use maud::{Markup, html};

use super::format::{count, moment, ms, percent, real, span};
use super::mark::{Level, gauge, share};
use super::{ERRORS_MARKED, section_head, window_and_age};
use crate::csv::Table;
use crate::model::{LoadRow, Notice, NoticeLevel, Readiness};
use crate::view::View;

/// A state as a shape, a word and a colour.
fn state_class(readiness: &Readiness) -> &'static str {
    match (readiness.ready, readiness.draining) {
        (true, false) => "ok",
        (_, true) => "near",
        (false, false) => "over",
    }
}

pub(super) fn state_word(readiness: &Readiness) -> &'static str {
    match (readiness.ready, readiness.draining) {
        (true, false) => "ready",
        (_, true) => "draining",
        (false, false) => "not ready",
    }
}

/// Whether the node takes traffic, and why not.
pub(super) fn state(view: &View) -> Markup {
    let readiness = &view.readiness;
    let says = match (readiness.ready, readiness.draining) {
        (true, false) => "The node takes traffic.",
        (_, true) => "The node finishes what it has and takes no new connection.",
        (false, false) => "The node should get no traffic.",
    };
    let up = view.unix_ms.saturating_sub(view.node.started_unix_ms) / 1_000;
    html! {
        section.state aria-label="State" {
            h1 {
                span.sign.(state_class(readiness)) aria-hidden="true" {}
                span.word { (state_word(readiness)) }
            }
            p { (says) }
            p.quiet.id {
                "version " (view.node.version) ", up " (span(up)) ", manifest "
                code title=(view.node.manifest_hash) { (short(&view.node.manifest_hash)) }
            }
            @if !readiness.reasons.is_empty() {
                ul.reasons {
                    @for reason in &readiness.reasons {
                        li { (reason.why) " " span.next { (reason.next) } }
                    }
                }
            }
            (notices(view))
        }
    }
}

fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}

/// What someone should know or do.
fn notices(view: &View) -> Markup {
    html! {
        @if view.notices.is_empty() {
            p.notices.quiet { "No notices." }
        } @else {
            ul.notices aria-label="Notices" {
                @for notice in &view.notices { (self::notice(notice)) }
            }
        }
    }
}

fn notice(notice: &Notice) -> Markup {
    let (class, word) = match notice.level {
        NoticeLevel::Critical => ("over", "critical"),
        NoticeLevel::Warning => ("near", "warning"),
        NoticeLevel::Information => ("note", "note"),
    };
    html! {
        li {
            span.level { span.sign.(class) aria-hidden="true" {} (word) }
            div {
                strong { (notice.title) } " " (notice.why)
                @if !notice.next.is_empty() { " " span.next { (notice.next) } }
            }
        }
    }
}

/// The figures of everything together.
pub(super) fn traffic(view: &View) -> Markup {
    let total = &view.total;
    let in_flight = view.in_flight();
    let max = view.node.connections_max;
    let objective = ms(Some(view.objective_seconds));
    let within = total.within_objective_share;
    html! {
        section #traffic {
            (section_head("Traffic", &window_and_age(view), None))
            dl.figures {
                div.first {
                    dt { "Requests" }
                    dd { b { (real(total.requests_per_second)) } " a second" }
                    dd.of { (count(in_flight)) " in flight, bound " (count(max)) }
                    @if let Some(share) = share(in_flight as f64, max as f64) {
                        dd.gauge { (gauge(share, &format!(
                            "{} requests in flight against {} connections allowed: {}",
                            count(in_flight), count(max), Level::of(share).word()
                        ))) }
                    }
                }
                (quantile("p50", total.p50_seconds, None))
                (quantile("p95", total.p95_seconds, Some(view.objective_seconds)))
                (quantile("p99", total.p99_seconds, None))
                div {
                    dt { "Within " (objective) " ms" }
                    dd { b { (within.map_or("–".into(), percent)) } " %" }
                    dd.of { "and no server error" }
                }
                div {
                    dt { "Server errors" }
                    dd.bad[total.error_share >= ERRORS_MARKED] {
                        @if total.error_share >= ERRORS_MARKED {
                            span title="1 % or more" { "▲ " }
                        }
                        b { (percent(total.error_share)) } " %"
                    }
                    dd.of { "5xx; 4xx " (percent(total.client_error_share)) " %" }
                }
            }
        }
    }
}

fn quantile(name: &str, seconds: Option<f64>, objective: Option<f64>) -> Markup {
    let against = seconds.zip(objective).and_then(|(value, max)| share(value, max));
    html! {
        div {
            dt { "Latency " (name) }
            dd { b { (ms(seconds)) } " ms" }
            @match (against, objective) {
                (Some(share), _) => dd.of.(Level::of(share).class()) {
                    @let word = Level::of(share).word();
                    (gauge(share, &format!("p95 against the objective: {word}")))
                    (word)
                },
                (None, Some(_)) => dd.of { "no request" },
                (None, None) => dd.of { "all operations" },
            }
        }
    }
}

/// Everything that is bounded, against its bound.
pub(super) fn loads(view: &View) -> Markup {
    let says = html! { "now, each against its bound" };
    html! {
        section #loads {
            (section_head("Loads", &says, Some(format!("/{}", Table::Loads.file()))))
            ul.loads { @for load in &view.loads { (self::load(load)) } }
        }
    }
}

fn load(load: &LoadRow) -> Markup {
    let share = share(load.value as f64, load.max as f64);
    let level = share.map(Level::of);
    let of = format!("{} of {} {}", count(load.value), count(load.max), load.unit);
    html! {
        li title=(load.at_bound) {
            @if let (Some(share), Some(level)) = (share, level) {
                (gauge(share, &format!("{}: {of}, {}", load.name, level.word())))
            }
            div {
                h3 { (load.name) }
                p { b { (count(load.value)) } " of " (count(load.max)) " " (load.unit) }
                @if let (Some(share), Some(level)) = (share, level) {
                    p.of.(level.class()) {
                        (percent(share)) " %, " (level.word())
                        @if level != Level::Below { ". " (load.at_bound) }
                    }
                } @else {
                    p.of { "no bound" }
                }
            }
        }
    }
}

/// What runs here.
pub(super) fn node(view: &View) -> Markup {
    let node = &view.node;
    html! {
        section #node {
            (section_head("Node", &html! { "what runs here" }, None))
            dl.facts {
                dt { "Version" } dd { (node.version) }
                dt { "Started" } dd { (moment(node.started_unix_ms)) }
                dt { "Manifest" }
                dd {
                    @match &node.manifest_path {
                        Some(path) => code { (path) },
                        None => "none: started with an upstream alone",
                    }
                }
                dt { "Manifest hash" } dd { code { (node.manifest_hash) } }
                dt { "Data directory" } dd { code { (node.data_dir) } }
                dt { "Listens on" }
                dd {
                    ul {
                        @for listening in &node.listeners {
                            li { code { (listening.address) } " " (listening.speaks) }
                        }
                    }
                }
            }
        }
    }
}
