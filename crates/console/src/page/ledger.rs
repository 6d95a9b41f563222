//! The page of the ledger: its standing, and its entries by action, outcome, actor and subject.

use maud::{DOCTYPE, Markup, html};

use super::format::{count, field_time, moment};
use super::{mark, memory, rooms_nav, section_head};
use crate::api::{EntryRow, Found, LedgerAsked};
use crate::client::escaped;
use crate::model::LedgerRow;
use crate::problem::{OpsCode, Problem};

const OUTCOMES: [&str; 4] = ["ok", "refused", "failed", "unknown"];

/// One page of entries.
pub(crate) fn document(standing: Option<&LedgerRow>, asked: &LedgerAsked, found: &Found) -> Markup {
    let here = asked.before.as_deref();
    let body = html! {
        @if let Some(standing) = standing { (memory::standing(standing)) }
        (filter(asked))
        (section_head("Entries", &window(asked, found), Some(query("/ledger.csv", asked, here))))
        (table(&found.entries))
        @if let Some(next) = &found.next {
            p { a href=(query("/ledger", asked, Some(next))) { "Older entries" } }
        }
    };
    let mut json = query("/ledger", asked, here);
    json.extend([if json.contains('?') { "&" } else { "?" }, "format=json"]);
    around(&body, Some(&json))
}

/// Why there is no page of entries, and what next.
pub(crate) fn refused(problem: &Problem, database_down: Option<&str>) -> Markup {
    let code = problem.code();
    let body = html! {
        p.state {
            span.sign.over aria-hidden="true" {} " " strong { (code.title()) "." } " "
            @if let Some(why) = database_down { "The database: " (why) ". " }
            (problem.detail())
        }
        @if code == OpsCode::NoDatabase {
            p {
                "The edge goes on serving, and what it audits waits in the spool. "
                span.next {
                    a href="/readyz" { "/readyz" } " says why; "
                    code { "plimsoll doctor" } " says what is weak. Then load this page again."
                }
            }
        } @else {
            p { span.next { a href="/ledger" { "Begin again without a filter." } } }
        }
        p.quiet { code { (code.as_str()) } }
    };
    around(&body, None)
}

/// What stands around every page of the ledger.
fn around(body: &Markup, json: Option<&str>) -> Markup {
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
                header.bar {
                    a.brand href="/" { (mark::sign()) span { "Plimsoll" } }
                    (rooms_nav("/ledger"))
                }
                main #view { h1 { "Ledger" } (body) }
                footer {
                    ul {
                        @if let Some(json) = json {
                            li { a href=(json) { "This page as JSON" } }
                        }
                        li { a href="/" { "The console" } }
                    }
                    p.quiet { "Nothing on this page changes anything." }
                }
            }
        }
    }
}

/// How many, of which time, and when they were read.
fn window(asked: &LedgerAsked, found: &Found) -> Markup {
    let (from, to) = times(asked);
    html! {
        (count(found.entries.len() as u64)) " entries"
        @if found.next.is_some() { " and older ones" }
        @match (from, to) {
            (None, None) => " of all time",
            (Some(from), None) => { " from " (moment(from)) " on" },
            (None, Some(to)) => { " before " (moment(to)) },
            (Some(from), Some(to)) => { " from " (moment(from)) " to " (moment(to)) },
        }
        ", read at " (moment(found.read_unix_ms))
    }
}

/// The times asked for. What means nothing was refused before.
fn times(asked: &LedgerAsked) -> (Option<u64>, Option<u64>) {
    (asked.earliest_unix_ms().ok().flatten(), asked.end_unix_ms().ok().flatten())
}

fn filter(asked: &LedgerAsked) -> Markup {
    let (from, to) = times(asked);
    let from = from.map(field_time).unwrap_or_default();
    let to = to.map(field_time).unwrap_or_default();
    html! {
        form.filter method="get" action="/ledger" {
            (choice("action", "Action ", &plimsoll_ledger::ACTIONS, asked.action.as_deref()))
            (choice("outcome", "Outcome ", &OUTCOMES, asked.outcome.as_deref()))
            (field("actor", "Actor ", "text", asked.actor.as_deref()))
            (field("subject", "Subject ", "text", asked.subject.as_deref()))
            (field("from", "From, UTC ", "datetime-local", Some(&from)))
            (field("to", "Before, UTC ", "datetime-local", Some(&to)))
            @if let Some(limit) = asked.limit { input type="hidden" name="limit" value=(limit); }
            button type="submit" { "Show" }
        }
    }
}

fn choice(name: &str, label: &str, all: &[&str], chosen: Option<&str>) -> Markup {
    html! {
        label {
            (label)
            select name=(name) {
                option value="" { "every" }
                @for one in all { option value=(one) selected[chosen == Some(*one)] { (one) } }
            }
        }
    }
}

fn field(name: &str, label: &str, kind: &str, value: Option<&str>) -> Markup {
    html! {
        label {
            (label)
            input type=(kind) name=(name) value=(value.unwrap_or_default());
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

/// A path with what was asked for, from an entry on.
pub(crate) fn query(path: &str, asked: &LedgerAsked, before: Option<&str>) -> String {
    let (from, to) = times(asked);
    let number = |value: Option<u64>| value.map(|value| value.to_string());
    let (from, to, limit) = (number(from), number(to), number(asked.limit.map(u64::from)));
    let named = [
        ("action", asked.action.as_deref()),
        ("outcome", asked.outcome.as_deref()),
        ("actor", asked.actor.as_deref()),
        ("subject", asked.subject.as_deref()),
        ("from_unix_ms", from.as_deref()),
        ("to_unix_ms", to.as_deref()),
        ("limit", limit.as_deref()),
        ("before", before),
    ];
    let mut path = format!("{path}?");
    for (name, value) in named {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            path.extend([name, "=", &escaped(value), "&"]);
        }
    }
    path.pop();
    path
}
