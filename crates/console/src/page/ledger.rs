//! The page of the ledger: its standing, and its entries by action, outcome, actor and subject.

use maud::{DOCTYPE, Markup, html};

use super::format::moment;
use super::{mark, memory};
use crate::api::{EntryRow, LedgerAsked};
use crate::client::escaped;
use crate::model::LedgerRow;

/// One page of entries.
pub(crate) fn document(
    standing: Option<&LedgerRow>,
    asked: &LedgerAsked,
    entries: &[EntryRow],
    next: Option<&str>,
) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "Plimsoll: ledger" }
                link rel="icon" href="/assets/icon.svg" type="image/svg+xml";
                link rel="stylesheet" href="/assets/console.css";
            }
            body {
                a.skip href="#view" { "Skip to the entries" }
                header.bar { a.brand href="/" { (mark::sign()) span { "Plimsoll" } } }
                main #view {
                    h1 { "Ledger" }
                    @if let Some(standing) = standing { (memory::standing(standing)) }
                    (filter(asked))
                    (table(entries))
                    @if let Some(next) = next {
                        p { a href=(query(asked, Some(next), false)) { "Older entries" } }
                    }
                }
                footer {
                    ul { li { a href=(query(asked, asked.before.as_deref(), true)) {
                        "This page as JSON"
                    } } }
                    p.quiet { "Nothing on this page changes anything." }
                }
            }
        }
    }
}

fn filter(asked: &LedgerAsked) -> Markup {
    let field = |name: &str, label: &str, value: Option<&str>| {
        html! {
            label { (label) " " input type="text" name=(name) value=(value.unwrap_or_default()); }
        }
    };
    html! {
        form.filter method="get" action="/ledger" {
            label {
                "Action "
                select name="action" {
                    option value="" { "every" }
                    @for action in plimsoll_ledger::ACTIONS {
                        option value=(action) selected[asked.action.as_deref() == Some(action)] {
                            (action)
                        }
                    }
                }
            }
            label {
                "Outcome "
                select name="outcome" {
                    option value="" { "every" }
                    @for outcome in ["ok", "refused", "failed", "unknown"] {
                        option value=(outcome) selected[asked.outcome.as_deref() == Some(outcome)] {
                            (outcome)
                        }
                    }
                }
            }
            (field("actor", "Actor", asked.actor.as_deref()))
            (field("subject", "Subject", asked.subject.as_deref()))
            button type="submit" { "Show" }
        }
    }
}

fn table(entries: &[EntryRow]) -> Markup {
    html! {
        @if entries.is_empty() {
            p.empty { "No entry is like that." }
        } @else {
            div.scroll tabindex="0" role="region" aria-label="Entries, scrollable" {
                table.entries {
                    caption { "Newest first. An actor is a keyed hash; the command line finds one by name." }
                    thead { tr {
                        th scope="col" { "when" }
                        th.n scope="col" { "place" }
                        th scope="col" { "action" }
                        th scope="col" { "outcome" }
                        th scope="col" { "actor" }
                        th scope="col" { "subject" }
                        th scope="col" { "detail" }
                    } }
                    tbody { @for entry in entries { (row(entry)) } }
                }
            }
        }
    }
}

fn row(entry: &EntryRow) -> Markup {
    let class = match entry.outcome.as_str() {
        "ok" => "ok",
        "refused" | "unknown" => "near",
        _ => "over",
    };
    let actor = entry.actor.as_deref().map_or("", |actor| actor.get(..12).unwrap_or(actor));
    html! {
        tr {
            th scope="row" { (moment(u64::try_from(entry.at_unix_ms).unwrap_or_default())) }
            td.n {
                @match entry.position {
                    Some(position) => (position),
                    None => span.quiet { "not sealed yet" },
                }
            }
            td { code { (entry.action) } }
            td class=(class) { (entry.outcome) }
            td { (entry.actor_kind) " " code { (actor) } }
            td { (entry.subject) @if entry.has_personal { span.quiet { " (personal part sealed)" } } }
            td { code { (entry.detail) } }
        }
    }
}

/// The page with what was asked for, from an entry on.
fn query(asked: &LedgerAsked, before: Option<&str>, json: bool) -> String {
    let mut path = String::from(if json { "/api/v1/ledger?" } else { "/ledger?" });
    let named = [
        ("action", asked.action.as_deref()),
        ("outcome", asked.outcome.as_deref()),
        ("actor", asked.actor.as_deref()),
        ("subject", asked.subject.as_deref()),
        ("before", before),
    ];
    for (name, value) in named {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            path.extend([name, "=", &escaped(value), "&"]);
        }
    }
    path.pop();
    path
}
