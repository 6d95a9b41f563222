//! Telemetry: what spans say of the database, and whether anybody takes the figures.

use super::Observer;
use super::facts::{Seen, many};

/// Operations whose spans arrived, and those that repeat a statement within one request.
pub(super) fn database(observer: &Observer) -> Seen {
    let overview = observer.node.telemetry.ingest.overview();
    let operations = overview.operations;
    let repeating: Vec<String> = operations
        .iter()
        .filter(|operation| !operation.repeated.is_empty())
        .map(|operation| format!("{} {}", operation.service, operation.operation))
        .collect();
    let says = match (operations.len(), repeating.len()) {
        (0, _) => "no database span has arrived".to_owned(),
        (all, 0) => format!("spans of {}, none repeats a statement", many(all, "operation")),
        (all, repeat) => format!("spans of {}, {repeat} with N+1", many(all, "operation")),
    };
    let seen = Seen::saying(says)
        .count("operations", operations.len())
        .count("n_plus_one", repeating.len())
        .first("first_n_plus_one", &repeating);
    if operations.is_empty() { seen.idle() } else { seen }
}

/// How often figures were scraped, or taken by an OTLP receiver.
pub(super) fn read(observer: &Observer) -> Seen {
    let (window, now) = (observer.window(), observer.node.clock.now());
    let reads = observer.node.metrics.reads(window, now);
    let span = format!("{} s", window.as_secs());
    Seen::saying(match reads {
        0 => format!("nobody took the figures in {span}"),
        _ => format!("figures were taken {} in {span}", many(reads, "time")),
    })
    .count("reads", reads)
}
