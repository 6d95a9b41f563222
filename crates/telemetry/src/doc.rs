//! `docs/metrics.md`, made from [`crate::names`].

use crate::names::{ALL, Name};

const HEAD: &str = "\
# Metrics

Made from `crates/telemetry/src/names.rs`: write with
`cargo run -p plimsoll-telemetry --example metrics_page > docs/metrics.md`.

`GET /metrics` on the ops listener answers in the Prometheus text format 0.0.4.

## What to know

- **Two families** measure requests: `plimsoll_request*` by service, operation, release, platform
  and app version; `plimsoll_device_*` by service, operation and device model.
- **Bound.** Both families together hold at most `telemetry.series_max` label sets (20,000 by
  default). A label set of the first family is about 18 lines of this page, one of the second about
  13, in nine buckets (0.05 to 5 s and the objective). Beyond seven eighths of the bound a new app version or device model counts as `other` of its
  operation, beyond all of it everything new counts as `other`;
  `plimsoll_metric_series_folded_total` says how often.
- **Label values a client chose** are trimmed to 64 bytes; what is neither letter, digit, ASCII
  punctuation nor space becomes `_`. Nothing said is `unknown`.
- **A series that was idle for an hour** is forgotten and starts again at zero.
- **The objective** (`telemetry.objective_latency`, 300 ms by default) is a bucket boundary, so
  `le=\"0.3\"` is exact. `plimsoll_requests_within_objective_total` leaves out server errors (5xx):
  a fast error is not a good answer.
- **Status classes** that never occurred have no line.
- **Over OTLP** ([telemetry](telemetry.md)) the same figures lose unit and `_total`, and underscores
  become points: `plimsoll_request_duration_seconds` is `plimsoll.request.duration` in `s`. A
  collector that makes Prometheus names of them arrives at the ones on this page.
- Quantiles on the console come from finer buckets (at most 25 % wide, interpolated) than the ones
  exposed here.
";

/// The page, in Markdown.
#[must_use]
pub fn metrics_page() -> String {
    let mut page = HEAD.to_owned();
    section(&mut page, "Requests", |name| {
        name.labels.contains(&"operation") || name.name.contains("objective")
    });
    section(&mut page, "Connections and answers", |name| {
        let parts = [
            "connections_",
            "tls_",
            "slow_",
            "requests_in_flight",
            "problems",
            "drain_",
            "ready",
            "compress",
        ];
        parts.iter().any(|part| own(name).starts_with(part))
    });
    section(&mut page, "Limits and authentication", |name| {
        ["limit_", "limits_", "installations_", "auth_", "token_", "key_"]
            .iter()
            .any(|part| own(name).starts_with(part))
    });
    section(&mut page, "Upstreams", |name| {
        ["upstream_", "retry_", "health_checks", "breaker", "admission_"]
            .iter()
            .any(|part| own(name).starts_with(part))
    });
    section(&mut page, "The cache", |name| own(name).starts_with("cache_"));
    section(&mut page, "OpenTelemetry", |name| {
        ["otlp_", "database_calls", "app_start_"].iter().any(|part| own(name).starts_with(part))
    });
    section(&mut page, "Memory", |name| {
        ["database_up", "epoch", "revocations", "ledger_", "audit_", "keyed_writes"]
            .iter()
            .any(|part| own(name).starts_with(part))
    });
    section(&mut page, "The node", |name| {
        let own = own(name);
        ["reloads", "access_log", "metric_", "build_", "process_"]
            .iter()
            .any(|part| own.starts_with(part))
    });
    page
}

fn own(name: &Name) -> &'static str {
    name.name.strip_prefix("plimsoll_").unwrap_or(name.name)
}

fn section(page: &mut String, title: &str, holds: impl Fn(&Name) -> bool) {
    page.push_str(&format!(
        "\n## {title}\n\n| Metric | Type | Unit | Labels | Meaning |\n|---|---|---|---|---|\n"
    ));
    for name in ALL.iter().filter(|name| holds(name)) {
        let labels: Vec<String> = name.labels.iter().map(|label| format!("`{label}`")).collect();
        let labels = if labels.is_empty() { "none".to_owned() } else { labels.join(", ") };
        page.push_str(&format!(
            "| `{}` | {} | {} | {labels} | {} |\n",
            name.name,
            name.kind.as_str(),
            name.unit,
            name.help
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_stands_in_one_section() {
        let page = metrics_page();
        for name in ALL {
            let row = format!("| `{}` |", name.name);
            assert_eq!(page.matches(&row).count(), 1, "{}", name.name);
        }
    }
}
