//! What the backend's spans and the app's figures say: database calls by operation, with repeated
//! statements (N+1) named; the slowest statements; cold starts.

use maud::{Markup, html};
use plimsoll_telemetry::ingest::{OperationCalls, RepeatedStatement, StatementFigures};

use super::format::{aligned, count, moment, ms, percent, real, span};
use super::section_head;
use super::tables::{csv, scroll};
use crate::csv::Table;
use crate::view::View;

/// Operations on the page; the rest stand in the CSV and the JSON.
const OPERATIONS_SHOWN_MAX: usize = 50;
/// Statements on the page.
const STATEMENTS_SHOWN_MAX: usize = 10;
/// Pairs of device model and app version on the page.
const STARTS_SHOWN_MAX: usize = 20;

pub(super) fn calls(view: &View) -> Markup {
    let ingest = &view.ingest;
    let says = html! {
        @match ingest.spans_age_seconds {
            None => "from the spans of your backend",
            Some(age) => {
                "last " (span(ingest.window_seconds.round() as u64)) ", sampled requests, spans "
                span.age { (age.round()) " s old" }
            },
        }
    };
    html! {
        section #database {
            (section_head("Database calls", &says, csv(Table::DatabaseCalls, view.asked())))
            @if ingest.operations.is_empty() {
                (how_to_send(view))
            } @else {
                (scroll("Database calls", &operations(&ingest.operations)))
                @let hidden = ingest.operations.len().saturating_sub(OPERATIONS_SHOWN_MAX);
                @if hidden > 0 { p.quiet { (count(hidden as u64)) " more stand in the CSV." } }
                (scroll("Slowest statements", &slowest(&ingest.operations)))
            }
        }
    }
}

/// The empty state: three lines that any OpenTelemetry SDK reads.
fn how_to_send(view: &View) -> Markup {
    html! {
        @if view.ingest.traces_waiting > 0 {
            p { "Spans are arriving; a trace is put together when it has been quiet for 10 s." }
        } @else {
            p.quiet {
                "No spans yet. Start your backend, with its OpenTelemetry SDK switched on, in this \
                environment; every SDK reads it:"
            }
            pre role="region" aria-label="Environment" tabindex="0" { code {
                "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:8081/otlp   # this page's address\n"
                "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf\n"
                "OTEL_TRACES_SAMPLER=parentbased_always_on\n"
            } }
        }
    }
}

fn operations(rows: &[OperationCalls]) -> Markup {
    html! {
        table {
            thead { tr {
                th.name scope="col" { "Operation" }
                th.n scope="col" { "Requests" }
                th.n scope="col" { "Calls a request" }
                th.n scope="col" { "In the database, s" }
            } }
            tbody {
                @for row in rows.iter().take(OPERATIONS_SHOWN_MAX) {
                    tr {
                        th.name scope="row" {
                            div.operation {
                                span.id { (row.operation) }
                                span.service { (row.service) }
                            }
                        }
                        td.n { (count(row.requests)) }
                        td.n { (aligned(&real(row.calls_per_request), 1)) }
                        td.n { (aligned(&format!("{:.2}", row.total_seconds), 2)) }
                    }
                    @if !row.repeated.is_empty() {
                        tr { td.repeated colspan="4" {
                            @for one in &row.repeated { (repeated(one)) }
                        } }
                    }
                }
            }
        }
    }
}

fn repeated(one: &RepeatedStatement) -> Markup {
    html! {
        div {
            span.sign.near aria-hidden="true" {}
            span.near { "N+1" } " " code { (one.statement) } " "
            b { (count(one.median_calls)) } " times a request (p95 " (count(one.p95_calls)) ") in "
            (percent(one.request_share)) " % of requests, first seen "
            (moment(one.first_seen_unix_ms)) ". "
            span.next { "Fetch them in one query." }
        }
    }
}

fn slowest(rows: &[OperationCalls]) -> Markup {
    let mut all: Vec<(&OperationCalls, &StatementFigures)> =
        rows.iter().flat_map(|row| row.slowest.iter().map(move |one| (row, one))).collect();
    all.sort_by(|a, b| b.1.total_seconds.total_cmp(&a.1.total_seconds));
    html! {
        table.statements {
            thead { tr {
                th.name scope="col" { "Statement, by time in all calls" }
                th.word scope="col" { "Operation" }
                th.n scope="col" { "Calls" }
                th.n scope="col" { "p50 ms" }
                th.n scope="col" { "p95 ms" }
                th.n scope="col" { "All calls, s" }
            } }
            tbody {
                @for (row, one) in all.into_iter().take(STATEMENTS_SHOWN_MAX) {
                    tr {
                        th.name scope="row" { code { (one.statement) } }
                        td.word { (row.operation) }
                        td.n { (count(one.calls)) }
                        td.n { (aligned(&ms(Some(one.p50_seconds)), 1)) }
                        td.n { (aligned(&ms(Some(one.p95_seconds)), 1)) }
                        td.n { (aligned(&format!("{:.2}", one.total_seconds), 2)) }
                    }
                }
            }
        }
    }
}

pub(super) fn cold_starts(view: &View) -> Markup {
    let rows = &view.ingest.cold_starts;
    let hidden = rows.len().saturating_sub(STARTS_SHOWN_MAX);
    let table = html! {
        table {
            thead { tr {
                th.name scope="col" { "Device model" }
                th.word scope="col" { "App version" }
                th.n scope="col" { "Starts" }
                th.n scope="col" { "p50 ms" }
                th.n scope="col" { "p95 ms" }
                th.n scope="col" { "Last reported" }
            } }
            tbody {
                @for row in rows.iter().take(STARTS_SHOWN_MAX) {
                    tr {
                        th.name scope="row" { (row.device_model) }
                        td.word { (row.app_version) }
                        td.n { (count(row.starts)) }
                        td.n { (aligned(&ms(Some(row.p50_seconds)), 1)) }
                        td.n { (aligned(&ms(Some(row.p95_seconds)), 1)) }
                        td.n { (span(row.age_seconds.round() as u64)) " ago" }
                    }
                }
                @if rows.is_empty() {
                    tr { td.empty colspan="6" {
                        "None reported. Send a histogram or gauge " code { "app.start.cold" }
                        " in seconds, with " code { "device.model.identifier" } " and "
                        code { "app.version" } ", to " code { "/otlp/v1/metrics" } "."
                    } }
                }
            }
        }
    };
    html! {
        section #cold-starts {
            (section_head("Cold starts of the app", &html! { "since this process started" },
                csv(Table::ColdStarts, view.asked())))
            (scroll("Cold starts of the app", &table))
            @if hidden > 0 { p.quiet { (count(hidden as u64)) " more stand in the CSV." } }
        }
    }
}
