//! The manifest: what it declares.

use plimsoll_manifest::{Objective, ObjectiveKind};

use super::Observer;
use super::facts::{Seen, many};

/// Which objectives are declared.
pub(super) fn objectives(observer: &Observer) -> Seen {
    let config = observer.node.edge.config();
    let objectives = &config.manifest().objectives;
    let has = |kind| objectives.iter().any(|objective| objective.kind == kind);
    let said: Vec<String> = objectives.iter().map(in_words).collect();
    let says = if said.is_empty() {
        "no objective is declared".to_owned()
    } else {
        format!("{} declared: {}", many(said.len(), "objective"), said.join(", "))
    };
    Seen::saying(says)
        .count("objectives", objectives.len())
        .flag("availability", has(ObjectiveKind::Availability))
        .flag("latency", has(ObjectiveKind::Latency))
        .flag("crash_free", has(ObjectiveKind::CrashFree))
}

/// `99.9 % available`.
fn in_words(objective: &Objective) -> String {
    // Thousandths of a percent: 0.9995 is 99.95 and not 99.949999.
    let percent = (objective.target * 1e5).round() / 1e3;
    match (objective.kind, &objective.threshold) {
        (ObjectiveKind::Availability, _) => format!("{percent} % available"),
        (ObjectiveKind::CrashFree, _) => format!("{percent} % free of crashes"),
        (ObjectiveKind::Latency, Some(within)) => format!("{percent} % within {within}"),
        (ObjectiveKind::Latency, None) => format!("{percent} % in time"),
    }
}
