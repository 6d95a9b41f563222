//! What the response cache did, by operation.

use maud::{Markup, html};

use super::format::{NONE, bytes, count, percent};
use super::section_head;
use super::tables::{csv, scroll};
use crate::csv::Table;
use crate::model::CachedRow;
use crate::view::View;

/// Operations on the page; the rest stand in the CSV and the JSON.
const OPERATIONS_SHOWN_MAX: usize = 50;

pub(super) fn cached(view: &View) -> Markup {
    let shown = csv(Table::Cached, view.asked());
    html! {
        section #cache {
            (section_head("Cache", &html! { "since the start; what is held, now" }, shown))
            @match &view.cached {
                None => p.quiet {
                    "Switched off: every request goes to its service. " code { "[cache] enabled" }
                    " switches it on."
                },
                Some(rows) if rows.is_empty() => p.quiet {
                    "No answer could be stored yet. Let a service say how long an answer is fresh: "
                    code { "Cache-Control: max-age=30" } "; " code { "Cache-Status" }
                    " on each answer says why it is not stored."
                },
                Some(rows) => {
                    (scroll("Cache", &table(rows)))
                    @let hidden = rows.len().saturating_sub(OPERATIONS_SHOWN_MAX);
                    @if hidden > 0 { p.quiet { (count(hidden as u64)) " more stand in the CSV." } }
                }
            }
        }
    }
}

fn table(rows: &[CachedRow]) -> Markup {
    html! {
        table {
            thead { tr {
                th.name scope="col" { "Operation" }
                th.n scope="col" { "Hits" }
                th.n scope="col" { "Stale" }
                th.n scope="col" { "Revalidated" }
                th.n scope="col" { "Collapsed" }
                th.n scope="col" { "Misses" }
                th.n scope="col" { "% without the service" }
                th.n scope="col" { "Answers held" }
                th.n scope="col" { "Bytes held" }
            } }
            tbody { @for row in rows.iter().take(OPERATIONS_SHOWN_MAX) { (line(row)) } }
        }
    }
}

fn line(row: &CachedRow) -> Markup {
    let spared = row.hits + row.stale + row.collapsed;
    let all = spared + row.revalidated + row.misses;
    let share = if all == 0 { NONE.into() } else { percent(spared as f64 / all as f64) };
    html! {
        tr {
            th.name scope="row" { (row.operation) }
            td.n { (count(row.hits)) }
            td.n { (count(row.stale)) }
            td.n { (count(row.revalidated)) }
            td.n { (count(row.collapsed)) }
            td.n { (count(row.misses)) }
            td.n { (share) }
            td.n { (count(row.entries)) }
            td.n { (bytes(row.bytes)) }
        }
    }
}
