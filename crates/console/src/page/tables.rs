//! The tables. Columns have fixed widths, so that nothing moves when figures do.

use maud::{Markup, html};
use plimsoll_telemetry::Figures;

use super::format::{NONE, aligned, bytes, count, ms, percent, real, span, timeout};
use super::mark::{Level, gauge, share};
use super::{ERRORS_MARKED, query, section_head, window_and_age};
use crate::csv::Table;
use crate::model::{RouteRow, UpstreamRow};
use crate::view::{Asked, MODELS_SHOWN_MAX, OPERATIONS_SHOWN_MAX, OperationRow, Sort, View};

/// A table in a frame that scrolls sideways by itself on a narrow screen, keyboard too.
pub(super) fn scroll(label: &str, table: &Markup) -> Markup {
    html! { div.scroll role="region" aria-label=(label) tabindex="0" { (table) } }
}

pub(super) fn csv(table: Table, asked: Asked) -> Option<String> {
    Some(query(&format!("/{}", table.file()), asked))
}

/// The head cells of the figures every traffic table has.
fn figure_heads(objective: f64, sorted: Option<(Asked, Sort)>) -> Markup {
    let columns = [
        ("Requests/s", Some(Sort::Requests)),
        ("p50 ms", None),
        ("p95 ms", Some(Sort::P95)),
        ("p99 ms", Some(Sort::P99)),
        ("5xx %", Some(Sort::Errors)),
    ];
    html! {
        @for (name, sort) in columns {
            @match (sorted, sort) {
                (Some((asked, now)), Some(sort)) => {
                    th.n scope="col" aria-sort=[(now == sort).then_some("descending")] {
                        a href={ (query("/", Asked { sort, ..asked })) "#operations" } { (name) }
                    }
                }
                _ => th.n scope="col" { (name) },
            }
        }
        th.n.share scope="col" { "% ≤ " (ms(Some(objective))) " ms" }
        th.n scope="col" title="of the bytes of answers, by compressing them" { "Saved %" }
        th.line scope="col" { "p95 to the line" }
    }
}

fn figure_cells(figures: &Figures, objective: f64) -> Markup {
    let quiet = figures.requests == 0;
    let marked = figures.error_share >= ERRORS_MARKED;
    let against = figures.p95_seconds.and_then(|p95| share(p95, objective));
    let rate = if quiet { "0".into() } else { real(figures.requests_per_second) };
    let errors = if quiet { NONE.into() } else { percent(figures.error_share) };
    let within = figures.within_objective_share.map_or(NONE.into(), percent);
    html! {
        td.n { (aligned(&rate, 1)) }
        @for quantile in [figures.p50_seconds, figures.p95_seconds, figures.p99_seconds] {
            td.n { (aligned(&ms(quantile), 1)) }
        }
        td.n.bad[marked] {
            @if marked { span title="1 % or more" { "▲ " } }
            (aligned(&errors, 2))
        }
        td.n { (aligned(&within, 2)) }
        td.n { (aligned(&saved(figures), 1)) }
        td.line {
            @if let Some(share) = against {
                @let level = Level::of(share);
                (gauge(share, &format!("p95 is {} % of the objective", percent(share))))
                span.(level.class()) { (level.word()) }
            } @else {
                span.quiet { "no request" }
            }
        }
    }
}

/// The share of answers' bytes that compressing them saved.
fn saved(figures: &Figures) -> String {
    let whole = figures.bytes_out_per_second + figures.bytes_saved_per_second;
    if figures.bytes_saved_per_second > 0.0 {
        percent(figures.bytes_saved_per_second / whole)
    } else {
        NONE.into()
    }
}

pub(super) fn operations(view: &View) -> Markup {
    let asked = view.asked();
    let objective = view.objective_seconds;
    let hidden = view.operations.len().saturating_sub(OPERATIONS_SHOWN_MAX);
    let table = html! {
        table.figured {
            thead { tr {
                th.name scope="col" aria-sort=[(view.sort == Sort::Contract).then_some("other")] {
                    a href={ (query("/", Asked { sort: Sort::Contract, ..asked })) "#operations" } {
                        "Operation"
                    }
                }
                (figure_heads(objective, Some((asked, view.sort))))
            } }
            tbody {
                @for row in view.operations.iter().take(OPERATIONS_SHOWN_MAX) {
                    tr.idle[row.figures.requests == 0] {
                        th.name scope="row" { (operation(row)) }
                        (figure_cells(&row.figures, objective))
                    }
                }
                @if view.operations.is_empty() {
                    tr { td.empty colspan="9" { (no_traffic(view)) } }
                }
            }
        }
    };
    html! {
        section #operations {
            (section_head("Operations", &window_and_age(view), csv(Table::Operations, asked)))
            (scroll("Operations", &table))
            @if hidden > 0 {
                p.quiet { (count(hidden as u64)) " more stand in the CSV." }
            }
        }
    }
}

fn operation(row: &OperationRow) -> Markup {
    html! {
        div.operation {
            span.id { (row.operation) }
            span.route {
                @match &row.route {
                    Some(route) => code { (route) },
                    None => "not in a contract",
                }
            }
            span.service { (row.service) }
        }
    }
}

fn no_traffic(view: &View) -> Markup {
    let listening = view.node.listeners.first();
    html! {
        "No request in the last " (span(view.window_asked_seconds)) ". "
        @if let Some(listening) = listening {
            "Send one: " code { "curl -i http://" (listening.address) "/" }
        }
    }
}

/// A small table by one name.
fn by_name(
    view: &View,
    title: &str,
    column: &str,
    table: Table,
    rows: &[(String, &Figures)],
) -> Markup {
    let objective = view.objective_seconds;
    let drawn = html! {
        table.figured {
            thead { tr { th.name scope="col" { (column) } (figure_heads(objective, None)) } }
            tbody {
                @for (name, figures) in rows {
                    tr { th.name scope="row" { (name) } (figure_cells(figures, objective)) }
                }
                @if rows.is_empty() { tr { td.empty colspan="9" { (no_traffic(view)) } } }
            }
        }
    };
    html! {
        section {
            (section_head(title, &window_and_age(view), csv(table, view.asked())))
            (scroll(title, &drawn))
        }
    }
}

pub(super) fn platforms(view: &View) -> Markup {
    let rows: Vec<_> =
        view.platforms.iter().map(|row| (row.platform.to_string(), &row.figures)).collect();
    by_name(view, "Platforms", "Platform", Table::Platforms, &rows)
}

pub(super) fn device_models(view: &View) -> Markup {
    let shown = view.device_models.iter().take(MODELS_SHOWN_MAX);
    let rows: Vec<_> = shown.map(|row| (row.device_model.to_string(), &row.figures)).collect();
    let title = if view.device_models.len() > rows.len() {
        "Busiest device models"
    } else {
        "Device models"
    };
    by_name(view, title, "Model", Table::DeviceModels, &rows)
}

pub(super) fn upstreams(view: &View) -> Markup {
    let table = html! {
        table {
            thead { tr {
                th.name scope="col" { "URL" }
                th.wide scope="col" { "State" }
                th.word scope="col" { "Service" }
                th.word scope="col" { "Release" }
                th.n scope="col" { "Failed in a row" }
                th.n scope="col" { "Failed since start" }
                th.n scope="col" { "Connections" }
                th.n scope="col" { "of these idle" }
            } }
            tbody {
                @for row in &view.upstreams { (upstream(row)) }
                @if view.upstreams.is_empty() {
                    tr { td.empty colspan="8" {
                        "No upstream: nothing can be answered. Give a service its urls."
                    } }
                }
            }
        }
    };
    html! {
        section #upstreams {
            (section_head("Upstreams", &html! { "now" }, csv(Table::Upstreams, view.asked())))
            (scroll("Upstreams", &table))
        }
    }
}

fn upstream(row: &UpstreamRow) -> Markup {
    html! {
        tr {
            th.name scope="row" { code { (row.url) } }
            td.wide {
                @match row.ejected_for_ms {
                    Some(ms) => {
                        span.sign.over aria-hidden="true" {}
                        span.over { "passed over" }
                        " for " (span(ms.div_ceil(1_000))) " more after failing in a row; then one \
                        request tries it again. Look at its log."
                    },
                    None if row.state == "down" => {
                        span.sign.over aria-hidden="true" {}
                        span.over { "down" }
                        ": its health checks fail, requests go elsewhere. Look at its log."
                    },
                    None if row.state == "probing" => {
                        span.sign.near aria-hidden="true" {}
                        span.near { "on trial" } ": one request tries it, the rest go elsewhere"
                    },
                    None if row.state == "slow_start" => {
                        span.sign.near aria-hidden="true" {}
                        span.near { "coming back" } ": a growing share of the requests goes there"
                    },
                    None if row.consecutive_failures > 0 => {
                        span.sign.near aria-hidden="true" {}
                        span.near { "failing" } ", still in the rotation"
                    },
                    None => {
                        span.sign.ok aria-hidden="true" {}
                        span.ok { "in the rotation" }
                    },
                }
            }
            td.word { (row.service) }
            td.word { (row.release) }
            td.n { (count(u64::from(row.consecutive_failures))) }
            td.n { (count(row.failures_total)) }
            td.n { (count(row.connections)) }
            td.n { (count(row.idle)) }
        }
    }
}

pub(super) fn routes(view: &View) -> Markup {
    let table = html! {
        table {
            thead { tr {
                th.name scope="col" { "Route" }
                th.word scope="col" { "Operation" }
                th.word scope="col" { "Service" }
                th.word scope="col" { "Security" }
                th.wide scope="col" { "Limits" }
                th.n scope="col" { "Cost" }
                th.n scope="col" { "Body at most" }
                th.n scope="col" { "Timeout" }
            } }
            tbody {
                @for row in &view.routes { (route(row)) }
                @if view.routes.is_empty() {
                    tr { td.empty colspan="8" {
                        "No contract: every path is passed on. Give a service its OpenAPI document \
                        as contract, and each operation gets its policy and its figures."
                    } }
                }
            }
        }
    };
    html! {
        section #routes {
            (section_head("Routes", &html! { "as the manifest in force has them" },
                csv(Table::Routes, view.asked())))
            (scroll("Routes", &table))
        }
    }
}

fn route(row: &RouteRow) -> Markup {
    html! {
        tr {
            th.name scope="row" { code { b.method { (row.method) } " " (row.template) } }
            td.word { (row.operation) }
            td.word { (row.service) }
            td.word { (row.security) }
            td.wide {
                @if row.limits.is_empty() {
                    span.quiet { "none" }
                } @else {
                    (row.limits.join(", "))
                }
            }
            td.n { (row.cost) }
            td.n { (row.body_bytes_max.map_or(NONE.into(), bytes)) }
            td.n { (row.total_timeout_ms.map_or(NONE.into(), timeout)) }
        }
    }
}
