//! What outlives the process, on the page: the nodes with their epochs, and how the ledger stands.

use maud::{Markup, html};

use super::format::{count, moment, span};
use super::section_head;
use crate::api::{NodeAnswer, nodes_differ};
use crate::model::{LedgerRow, MemoryRow};
use crate::view::View;

/// Nodes on the page; the rest stand in the CSV and the JSON.
const NODES_SHOWN_MAX: usize = 50;
/// They are listed every two seconds.
const NODES_STALE_AFTER_MS: u64 = 6_000;

pub(crate) fn nodes(view: &View) -> Markup {
    let Some(memory) = &view.memory else { return html! {} };
    let says = html! {
        "epoch " (count(memory.epoch)) ", " (known(memory))
    };
    html! {
        section #nodes aria-label="Nodes" {
            (section_head("Nodes", &says, Some("/nodes.csv".into())))
            @if let Some(ago) = stale(memory) {
                p.near { "Listed " (span(ago / 1_000)) " ago; what the other nodes have done since is not known." }
            }
            @if memory.nodes.is_empty() {
                p.empty { "No node has been heard of: the database was not reached yet." }
            } @else {
                div.scroll tabindex="0" role="region" aria-label="Nodes, scrollable" {
                    table {
                        caption { "One row a node that was heard of in the last day" }
                        thead { tr {
                            th scope="col" { "node" }
                            th scope="col" { "state" }
                            th scope="col" { "roles" }
                            th scope="col" { "version" }
                            th.n scope="col" { "epoch" }
                            th.n scope="col" { "applied, ago" }
                            th.n scope="col" { "seen, ago" }
                            th scope="col" { "manifest" }
                        } }
                        tbody {
                            @for node in memory.nodes.iter().take(NODES_SHOWN_MAX) {
                                (row(node, nodes_differ(&memory.nodes)))
                            }
                        }
                    }
                }
                @let hidden = memory.nodes.len().saturating_sub(NODES_SHOWN_MAX);
                @if hidden > 0 { p.quiet { (count(hidden as u64)) " more stand in the CSV." } }
                (steps(&memory.nodes))
            }
        }
    }
}

fn row(node: &NodeAnswer, nodes_differ: bool) -> Markup {
    let (class, word) = match node.state.as_str() {
        "current" => ("ok", "current"),
        "behind" => ("near", "behind"),
        _ => ("over", "silent"),
    };
    html! {
        tr {
            th scope="row" { (node.name) }
            td class=(class) { (word) }
            td { (node.roles) }
            td { (node.version) }
            td.n { (count(node.epoch)) }
            td.n { (span(node.applied_ago_ms / 1_000)) }
            td.n { (span(node.seen_ago_ms / 1_000)) }
            td {
                code { (node.manifest_hash.get(..12).unwrap_or(&node.manifest_hash)) }
                @if nodes_differ { " " span.near { "nodes differ" } }
                @else if node.manifest_differs { " " span.near { "differs from most nodes'" } }
            }
        }
    }
}

/// What is the case with the nodes that are not as they should be, and what to do.
fn steps(nodes: &[NodeAnswer]) -> Markup {
    let any = |state: &str| nodes.iter().any(|node| node.state == state);
    let differs = nodes.iter().any(|node| node.manifest_differs);
    html! {
        @if any("behind") {
            p {
                span.near { "Behind" } ": it has not applied the epoch in force, so it does not obey "
                "the latest revocations. "
                span.next { "If it lasts for more than a second, read its /readyz: it may not reach \
                    the database." }
            }
        }
        @if any("silent") {
            p {
                span.over { "Silent" } ": not heard of for 5 s or more. "
                span.next { "If it should run, look at its log and start it again; one that was \
                    stopped leaves this list after a day." }
            }
        }
        @if differs {
            p {
                span.near { "Manifests differ" } ": the nodes do not do the same. "
                span.next { "Give all of them the same plimsoll.toml; it is read again when it \
                    changes." }
            }
        }
    }
}

/// How old the list is, where it is older than it should be, milliseconds.
fn stale(memory: &MemoryRow) -> Option<u64> {
    memory.nodes_ago_ms.filter(|ago| *ago >= NODES_STALE_AFTER_MS)
}

fn known(memory: &MemoryRow) -> String {
    match (&memory.database_down, memory.known_ago_ms) {
        (Some(_), Some(ago)) => {
            format!("last known {} ago: the database is down", span(ago / 1_000))
        }
        (Some(_), None) => "from the last snapshot on disk: the database is down".to_owned(),
        (None, _) => "known to be all there is".to_owned(),
    }
}

pub(crate) fn ledger(view: &View) -> Markup {
    let Some(memory) = &view.memory else { return html! {} };
    let says = html! { "append-only, chained and signed" };
    html! {
        section #ledger aria-label="Ledger" {
            (section_head("Ledger", &says, Some("/ledger.csv".into())))
            (standing(&memory.ledger))
            p { a href="/ledger" { "Entries, with filters" } }
        }
    }
}

/// How the chain stands, in words.
pub(crate) fn standing(ledger: &LedgerRow) -> Markup {
    html! {
        dl.facts {
            dt { "Sealed" }
            dd { (count(ledger.sealed)) " entries" }
            dt { "Signed outside the database" }
            dd {
                @match ledger.checkpointed {
                    Some(size) => { "up to entry " (count(size)) },
                    None => "not known on this node",
                }
            }
            dt { "Sealer" }
            dd { (ledger.sealer) }
            dt { "Waiting in the audit spool" }
            dd { (count(ledger.spool_records)) " calls" }
            dt { "Verified" }
            dd {
                @match &ledger.verified {
                    None => "not yet since the start; it is done half a minute after it, then every hour",
                    Some(verified) => {
                        @if verified.whole {
                            span.ok { "whole" } ", " (count(verified.entries)) " entries, "
                        } @else {
                            span.over { "NOT WHOLE: " (verified.faults.first().map_or("", |f| f)) }
                            " Run `plimsoll ledger verify`. "
                        }
                        (moment(verified.at_unix_ms))
                    }
                }
            }
        }
    }
}
