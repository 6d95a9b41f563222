//! The board as a table.

use plimsoll_plan::Judged;

use super::Lines;
use crate::board::{area_name, title, word};

pub(crate) fn board(gates: &[&Judged]) -> String {
    let mut lines = Lines::with_head(&[
        "id",
        "area",
        "title",
        "state",
        "reason",
        "next",
        "first_week",
        "last_week",
        "due",
        "how",
        "built",
        "evidence_entry",
        "evidence_at_unix_ms",
        "evidence_until_unix_ms",
        "evidence_by",
        "clause",
    ]);
    for gate in gates {
        let (verdict, seen) = (&gate.verdict, gate.verdict.seen.as_ref());
        lines.text(&gate.id).text(area_name(gate.area)).text(title(gate));
        lines.text(word(verdict.light)).text(&verdict.reason).text(&gate.next);
        lines.number(gate.weeks[0]).number(gate.weeks[1]).number(gate.due);
        lines.text(gate.how.as_str()).number(gate.built);
        lines.maybe(seen.map(|seen| seen.entry)).maybe(seen.map(|seen| seen.at_unix_ms));
        lines.maybe(seen.map(|seen| seen.until_unix_ms));
        lines.text(seen.map_or("", |seen| &seen.by)).text(&gate.clause).end();
    }
    lines.text
}
