//! Objectives: names, and what belongs to which kind.

use super::Context;
use crate::{Objective, ObjectiveKind};

pub(super) fn check(cx: &mut Context<'_>) {
    let objectives = &cx.manifest.objectives;
    let names = objectives.iter().enumerate();
    let names = names.map(|(at, one)| (format!("objective[{at}].name"), one.name.to_string()));
    cx.refuse_repeated("objective", names);
    for (index, objective) in objectives.iter().enumerate() {
        let key = format!("objective[{index}]");
        threshold(cx, &key, objective);
        about(cx, &key, objective);
        let operations = objective.operations.iter().map(String::as_str);
        cx.require_operations(&format!("{key}.operations"), operations);
    }
}

fn threshold(cx: &mut Context<'_>, key: &str, objective: &Objective) {
    let latency = objective.kind == ObjectiveKind::Latency;
    if latency && objective.threshold.is_none() && !cx.lost(key, "threshold") {
        let message = "a latency needs the time within which an answer is good";
        cx.refuse(key, message, "threshold = \"300ms\"");
    } else if !latency && objective.threshold.is_some() {
        let message = "only a latency has a threshold";
        cx.refuse(&format!("{key}.threshold"), message, "kind = \"latency\", or no threshold");
    }
}

/// A crash ends a session, and a session is no operation.
fn about(cx: &mut Context<'_>, key: &str, objective: &Objective) {
    let operations = !objective.operations.is_empty();
    if operations && objective.kind == ObjectiveKind::CrashFree {
        let message = "sessions of the app belong to no operation";
        cx.refuse(&format!("{key}.operations"), message, "no operations");
    } else if operations && objective.journey.is_some() {
        let message = "a journey has its operations already";
        cx.refuse(&format!("{key}.operations"), message, "`operations` or `journey`, not both");
    }
}
