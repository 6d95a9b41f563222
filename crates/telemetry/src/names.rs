//! Every metric: its name, unit, labels and meaning. `docs/metrics.md` is made from this file.
//!
//! Names follow the Prometheus conventions: `plimsoll_` first, the unit (`seconds`, `bytes`) as a
//! suffix, `_total` on counters. `process_*` are the conventional names for any process.

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only ever grows, until the process ends or the series has been idle for an hour.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Cumulative buckets, `_sum` and `_count`.
    Histogram,
}

impl Kind {
    /// The word of the exposition format's `# TYPE` line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

/// One metric.
#[derive(Debug)]
pub struct Name {
    /// The name as it is exposed.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// What one of it is.
    pub unit: &'static str,
    /// The labels, in the order they are written.
    pub labels: &'static [&'static str],
    /// What it means.
    pub help: &'static str,
}

macro_rules! names {
    ($($id:ident = $name:literal $kind:ident $unit:literal $labels:expr, $help:literal;)+) => {
        $(
            #[doc = $help]
            pub static $id: Name = Name {
                name: $name, kind: Kind::$kind, unit: $unit, labels: &$labels, help: $help,
            };
        )+
        /// Every metric, in the order of the exposition.
        pub static ALL: &[&Name] = &[$(&$id),+];
    };
}

names! {
    REQUESTS = "plimsoll_requests_total" Counter "requests"
        ["service", "operation", "release", "platform", "app_version", "status_class"],
        "Requests answered, by the class of the status code.";
    WITHIN_OBJECTIVE = "plimsoll_requests_within_objective_total" Counter "requests"
        ["service", "operation", "release", "platform", "app_version"],
        "Requests answered within the latency objective and without a server error (5xx), exactly.";
    DURATION = "plimsoll_request_duration_seconds" Histogram "seconds"
        ["service", "operation", "release", "platform", "app_version"],
        "Time from a request's head read to its answer's end; one bucket ends at the objective.";
    REQUEST_BYTES = "plimsoll_request_body_bytes_total" Counter "bytes" ["service", "operation"],
        "Bytes of request bodies received.";
    RESPONSE_BYTES = "plimsoll_response_body_bytes_total" Counter "bytes" ["service", "operation"],
        "Bytes of answer bodies sent.";
    RESPONSE_BYTES_SAVED = "plimsoll_response_body_bytes_saved_total" Counter "bytes"
        ["service", "operation"],
        "Bytes of answer bodies that were not sent because the edge compressed them.";
    DEVICE_REQUESTS = "plimsoll_device_requests_total" Counter "requests"
        ["service", "operation", "device_model", "status_class"],
        "Requests answered, by device model and class of the status code.";
    DEVICE_WITHIN_OBJECTIVE = "plimsoll_device_requests_within_objective_total" Counter "requests"
        ["service", "operation", "device_model"],
        "Requests of a device model answered within the objective and without a server error.";
    DEVICE_DURATION = "plimsoll_device_request_duration_seconds" Histogram "seconds"
        ["service", "operation", "device_model"],
        "Time of a device model's requests, in fewer buckets; one ends at the objective.";
    OBJECTIVE = "plimsoll_objective_latency_seconds" Gauge "seconds" [],
        "The latency objective in force.";
    CONNECTIONS_OPEN = "plimsoll_connections_open" Gauge "connections" [],
        "Clients' connections that are open.";
    CONNECTIONS_ACCEPTED = "plimsoll_connections_accepted_total" Counter "connections" [],
        "Clients' connections accepted.";
    CONNECTIONS_REFUSED = "plimsoll_connections_refused_total" Counter "connections" ["reason"],
        "Clients' connections closed before they were served, by the bound that was reached.";
    TLS_HANDSHAKES_FAILED = "plimsoll_tls_handshakes_failed_total" Counter "handshakes" [],
        "TLS handshakes with clients that failed.";
    SLOW_CLIENTS_CUT = "plimsoll_slow_clients_cut_total" Counter "connections" ["held"],
        "Connections cut because the client was slow, by what it held open.";
    REQUESTS_IN_FLIGHT = "plimsoll_requests_in_flight" Gauge "requests" [],
        "Requests whose answer is not complete.";
    PROBLEMS = "plimsoll_problems_total" Counter "answers" ["code"],
        "Answers the edge itself made, by problem code.";
    LIMIT_REFUSED = "plimsoll_limit_refused_total" Counter "requests" ["policy"],
        "Requests a limit refused, by the limit's name.";
    LIMIT_KEYS = "plimsoll_limit_keys" Gauge "keys" [],
        "Keys the limits hold.";
    LIMITS_SHARED = "plimsoll_limits_shared" Gauge "boolean" [],
        "1 while limits are shared with other nodes over Redis, else 0.";
    LIMIT_KEYS_FOLDED = "plimsoll_limit_keys_folded_total" Counter "requests" ["policy"],
        "Requests counted in a limit's shared bucket because it held its most keys.";
    INSTALLATIONS = "plimsoll_installations_total" Counter "requests" ["outcome"],
        "Installations given to apps, refused to an address, or presented with a wrong mark.";
    AUTH = "plimsoll_auth_total" Counter "requests" ["outcome"],
        "Requests by how authenticating them ended.";
    TOKEN_CACHE_LOOKUPS = "plimsoll_token_cache_lookups_total" Counter "lookups" ["result"],
        "Lookups in the verified-token cache.";
    TOKEN_CACHE_ENTRIES = "plimsoll_token_cache_entries" Gauge "tokens" [],
        "Tokens in the verified-token cache.";
    CACHE_REQUESTS = "plimsoll_cache_requests_total" Counter "requests" ["result"],
        "Requests that the response cache answered, or whose answer it stored.";
    CACHE_BYTES = "plimsoll_cache_bytes" Gauge "bytes" [],
        "Bytes of answers that the response cache holds, heads and bodies together.";
    CACHE_SHARED = "plimsoll_cache_shared" Gauge "boolean" [],
        "1 while the response cache is shared with other nodes over Redis, else 0.";
    CACHE_SHARED_ANSWERS = "plimsoll_cache_shared_answers_total" Counter "answers" ["result"],
        "Answers looked for among those of other nodes, or stored for them, by what became of it.";
    CACHE_TOLD = "plimsoll_cache_writes_told_total" Counter "writes" ["outcome"],
        "Writes of which other nodes were told before their answer, by whether all had heard.";
    KEY_REFRESHES = "plimsoll_key_refreshes_total" Counter "fetches" ["outcome"],
        "Fetches of issuers' keys.";
    COMPRESSED = "plimsoll_compressed_answers_total" Counter "answers" ["coding"],
        "Answers that the edge compressed, by content coding.";
    COMPRESSION_SKIPPED = "plimsoll_compression_skipped_total" Counter "answers" [],
        "Answers passed on as they were because `[compression] memory_max` was in use.";
    UPSTREAM_CONNECTIONS_OPEN = "plimsoll_upstream_connections_open" Gauge "connections" [],
        "Connections to upstreams that are open, idle ones too.";
    UPSTREAM_CONNECTS = "plimsoll_upstream_connects_total" Counter "connections" ["service"],
        "Connections opened to upstreams.";
    UPSTREAM_ERRORS = "plimsoll_upstream_errors_total" Counter "requests" ["service", "kind"],
        "Requests to upstreams that failed, by kind.";
    UPSTREAM_RETRIES = "plimsoll_upstream_retries_total" Counter "requests" ["service"],
        "Requests sent to an upstream again.";
    RETRY_BUDGET_EXHAUSTED = "plimsoll_retry_budget_exhausted_total" Counter "requests" ["service"],
        "Requests not sent again because the service's retry budget was used up.";
    UPSTREAM_HEDGED = "plimsoll_upstream_hedged_total" Counter "requests" ["service"],
        "Slow reads asked for a second time while the first request went on.";
    UPSTREAM_EJECTIONS = "plimsoll_upstream_ejections_total" Counter "ejections" ["service"],
        "Times a URL was taken out of the rotation.";
    HEALTH_CHECKS = "plimsoll_health_checks_total" Counter "checks" ["service", "outcome"],
        "Active health checks of a service's URLs, by outcome.";
    BREAKERS_OPENED = "plimsoll_breakers_opened_total" Counter "openings" ["service"],
        "Times the breaker before an operation opened because the operation failed.";
    BREAKER_REFUSED = "plimsoll_breaker_refused_total" Counter "requests" ["service"],
        "Requests not sent on because a breaker was open: answered 503 or by a fallback.";
    BREAKERS_OPEN = "plimsoll_breakers_open" Gauge "breakers" [],
        "Operations whose breaker is not closed: open, trying, or letting a growing share through.";
    ADMISSION_LIMIT = "plimsoll_admission_limit_requests" Gauge "requests" [],
        "Requests that services may have at once, all services with [service.admission] together.";
    ADMISSION_IN_FLIGHT = "plimsoll_admission_in_flight_requests" Gauge "requests" [],
        "Requests that these services have now; at the limit others wait.";
    ADMISSION_QUEUED = "plimsoll_admission_queued_requests" Gauge "requests" [],
        "Requests that wait for a place among them.";
    ADMISSION_QUEUE_DELAY = "plimsoll_admission_queue_delay_milliseconds" Gauge "milliseconds" [],
        "How long the request that waits longest has waited; 0 where none does.";
    ADMISSION_WAITED = "plimsoll_admission_waited_total" Counter "requests" ["service"],
        "Requests that waited for a place and got one.";
    ADMISSION_SHED = "plimsoll_admission_shed_total" Counter "requests" ["class", "reason"],
        "Requests refused with 503 because their service had all it can take, by class and reason.";
    RELOADS = "plimsoll_reloads_total" Counter "reloads" ["outcome"],
        "Manifests that changed: put to use, or refused.";
    DRAIN_CUT = "plimsoll_drain_cut_requests_total" Counter "requests" [],
        "Requests cut off because the process stopped: at the drain deadline, gRPC before it.";
    READY = "plimsoll_ready" Gauge "boolean" [],
        "1 while the node takes traffic, else 0.";
    DATABASE_UP = "plimsoll_database_up" Gauge "boolean" [],
        "1 while the database is used, else 0; the edge serves without it from the last snapshot.";
    EPOCH = "plimsoll_epoch" Gauge "epochs" [],
        "The epoch of flags, splits and revocations that this node obeys.";
    EPOCH_AGE = "plimsoll_epoch_age_seconds" Gauge "seconds" [],
        "Seconds since that epoch was known to be all there is.";
    REVOCATIONS = "plimsoll_revocations" Gauge "revocations" [],
        "Revoked subjects and tokens that this node refuses.";
    LEDGER_SEALED = "plimsoll_ledger_sealed_entries" Gauge "entries" [],
        "Sealed entries of the ledger, as the node that seals says; 0 on others.";
    LEDGER_BROKEN = "plimsoll_ledger_broken" Gauge "boolean" [],
        "1 when the last verification found that the ledger is not what was sealed, else 0.";
    LEDGER_SEALER_UP = "plimsoll_ledger_sealer_up" Gauge "boolean" [],
        "1 while this node seals and signs, or another node seals, else 0; /readyz says what to do.";
    LEDGER_UNSEALED_AGE = "plimsoll_ledger_unsealed_age_seconds" Gauge "seconds" [],
        "Seconds since the oldest entry that is not sealed was written; 0 where none waits.";
    AUDIT_SPOOLED = "plimsoll_audit_spooled_calls" Gauge "calls" [],
        "Audited calls and entries of this node that wait on its disk for the database.";
    AUDIT_LOST = "plimsoll_audit_lost_calls" Gauge "calls" [],
        "Audited calls that left no entry since the start; more than 0 needs a person.";
    AUDIT_REFUSED = "plimsoll_audit_refused_total" Counter "calls" ["when"],
        "Calls refused because they could leave no entry, before or after the service had them.";
    KEYED_WRITES = "plimsoll_keyed_writes_total" Counter "requests" ["outcome"],
        "Writes with an Idempotency-Key, by what became of them.";
    KEYED_WRITES_EXECUTING = "plimsoll_keyed_writes_executing" Gauge "writes" [],
        "Keyed writes that a service has now, on any node, as the database last said.";
    KEYED_WRITES_UNKNOWN = "plimsoll_keyed_writes_unknown" Gauge "writes" [],
        "Keyed writes whose outcome is unknown, until they expire.";
    KEYED_WRITES_KEPT = "plimsoll_keyed_writes_kept" Gauge "writes" [],
        "Keyed writes whose answer is kept; counted to 20,000.";
    ACCESS_LOG_QUEUED = "plimsoll_access_log_queued_chunks" Gauge "chunks" [],
        "Chunks of the access log that wait to be written.";
    ACCESS_LOG_DROPPED = "plimsoll_access_log_dropped_total" Counter "lines" [],
        "Lines of the access log dropped because its queue was full or its output failed.";
    SPANS_EXPORTED = "plimsoll_otlp_spans_exported_total" Counter "spans" [],
        "Spans that the OTLP receiver took.";
    SPANS_DROPPED = "plimsoll_otlp_spans_dropped_total" Counter "spans" ["reason"],
        "Spans that were to be exported and were not, by reason.";
    EXPORTS_FAILED = "plimsoll_otlp_exports_failed_total" Counter "requests" ["signal"],
        "Requests to the OTLP receiver that failed, those tried again among them.";
    OTLP_RECEIVED = "plimsoll_otlp_received_total" Counter "items" ["signal"],
        "Spans, metric data points and log records that arrived on `/otlp` and could be read.";
    OTLP_REJECTED = "plimsoll_otlp_rejected_total" Counter "items" ["signal"],
        "Of these, the ones that were not kept: beyond a bound, invalid, or log records.";
    OTLP_REFUSED = "plimsoll_otlp_refused_total" Counter "requests" ["reason"],
        "Requests to `/otlp` that were refused whole, by reason.";
    DATABASE_CALLS_FOLDED = "plimsoll_database_calls_folded_total" Counter "calls" ["bound"],
        "Database calls counted without their statement, or not at all, by the bound reached.";
    APP_START_COLD = "plimsoll_app_start_cold_seconds" Histogram "seconds"
        ["device_model", "app_version"],
        "Cold starts of the app, as apps report them by `app.start.cold` over OTLP.";
    SERIES = "plimsoll_metric_series" Gauge "series" [],
        "Label sets held by the two request families.";
    SERIES_MAX = "plimsoll_metric_series_max" Gauge "series" [],
        "The bound on label sets; beyond it they fold into `other`.";
    SERIES_FOLDED = "plimsoll_metric_series_folded_total" Counter "requests" [],
        "Requests counted under `other` in a family because the bound was reached.";
    BUILD_INFO = "plimsoll_build_info" Gauge "constant 1" ["version"],
        "The version that runs.";
    PROCESS_CPU = "process_cpu_seconds_total" Counter "seconds" [],
        "CPU time of the process, user and system (Linux).";
    PROCESS_RSS = "process_resident_memory_bytes" Gauge "bytes" [],
        "Resident memory of the process (Linux).";
    PROCESS_FDS = "process_open_fds" Gauge "descriptors" [],
        "Open file descriptors of the process (Linux).";
    PROCESS_START = "process_start_time_seconds" Gauge "seconds" [],
        "When the process started, in seconds since 1970-01-01T00:00:00Z (Linux).";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_conventions() {
        let mut seen = std::collections::BTreeSet::new();
        for name in ALL {
            let text = name.name;
            assert!(seen.insert(text), "{text} stands twice");
            let own = text.starts_with("plimsoll_") || text.starts_with("process_");
            assert!(own, "{text}");
            assert!(text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{text}");
            assert_eq!(name.kind == Kind::Counter, text.ends_with("_total"), "{text}");
            if matches!(name.unit, "seconds" | "bytes") {
                assert!(text.contains(name.unit), "{text} lacks its unit");
            }
            assert!(name.help.ends_with('.') && !name.help.contains('\n'), "{text}");
        }
    }
}
