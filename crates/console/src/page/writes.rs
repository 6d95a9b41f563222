//! Keyed writes by the state of their record.

use maud::{Markup, html};

use super::format::count;
use super::section_head;
use crate::view::View;

/// The section; nothing before the database was asked.
pub(crate) fn keyed(view: &View) -> Markup {
    let Some(writes) = view.memory.as_ref().and_then(|memory| memory.writes.as_ref()) else {
        return html! {};
    };
    let says = html! {
        "with an `Idempotency-Key`, on all nodes; those that were answered counted to 20,000"
    };
    html! {
        section #writes aria-label="Keyed writes" {
            (section_head("Keyed writes", &says, None))
            dl.facts {
                dt { "Executing" }
                dd { (count(writes.executing)) " writes" }
                dt { "Answered and kept" }
                dd { (count(writes.answered)) " writes" }
                dt { "Outcome unknown" }
                dd {
                    @if writes.unknown == 0 {
                        span.ok { "none" }
                    } @else {
                        span.near { (count(writes.unknown)) " writes" }
                        ": they may have been executed. "
                        span.next {
                            "Look each up in the service; whoever sends one again is told. "
                            "`unknown_outcome` of the operation says what happens then."
                        }
                    }
                }
            }
        }
    }
}
