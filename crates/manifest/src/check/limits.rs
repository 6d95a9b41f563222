//! Rate limits: names, the operations they name, costs that could never pass.

use super::Context;
use crate::{Limit, LimitPer, LimitUnits};

pub(super) fn check(cx: &mut Context<'_>) {
    let limits = &cx.manifest.limits;
    let names = limits.iter().enumerate();
    let names =
        names.map(|(index, limit)| (format!("limit[{index}].name"), limit.name.to_string()));
    cx.refuse_repeated("limit", names);
    for (index, limit) in limits.iter().enumerate() {
        let key = format!("limit[{index}]");
        let operations = limit.operations.iter().map(String::as_str);
        cx.require_operations(&format!("{key}.operations"), operations);
        rate(cx, &key, limit);
        if limit.units == LimitUnits::Cost {
            costs(cx, limit);
        }
    }
}

/// The time between two requests is kept in nanoseconds.
fn rate(cx: &mut Context<'_>, key: &str, limit: &Limit) {
    if limit.window.0.as_nanos() < u128::from(limit.quota) {
        let message = format!("{} in {} is faster than time is kept", limit.quota, limit.window);
        cx.refuse(&format!("{key}.quota"), message, "at most one in a nanosecond");
    }
    if limit.per == LimitPer::Operation && limit.keys_max == 1 && limit.operations.len() > 1 {
        let message = "several operations would share one count";
        cx.refuse(&format!("{key}.keys_max"), message, "room for a key for each operation");
    }
}

/// An operation that costs more than may come at once would be refused for ever.
fn costs(cx: &mut Context<'_>, limit: &Limit) {
    for (index, operation) in cx.manifest.operations.iter().enumerate() {
        let Some(cost) = operation.cost else { continue };
        let applies = limit.operations.is_empty()
            || operation.id.as_ref().is_some_and(|id| limit.operations.contains(id));
        if applies && cost > limit.burst() {
            let message = format!(
                "a cost of {cost} can never pass the limit `{}`, where at most {} may come at once",
                limit.name,
                limit.burst()
            );
            cx.refuse(&format!("operation[{index}].cost"), message, "at most the limit's burst");
        }
    }
}
