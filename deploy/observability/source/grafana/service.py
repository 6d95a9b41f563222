"""Plimsoll: service. Is it well, and if not, which part?"""

from .build import (
    ANY, AVAILABLE, ERRORS, FAST, NODE, PER_SECOND, POINTS, SERVICE, SHARE, WITHIN, above, below,
    dashboard, errors, lines, nodes_and_services, quantile, query, rate, row, share, stat, table,
)

OPERATION = "service, operation"
OF_OPERATION = "{{service}}.{{operation}}"
REQUESTS = "plimsoll_requests_total"
WITHIN_OBJECTIVE = "plimsoll_requests_within_objective_total"


def within(by="", window="$__rate_interval"):
    return share(rate(WITHIN_OBJECTIVE, SERVICE, by, window), rate(REQUESTS, SERVICE, by, window))


def is_it_well():
    return row(
        "Is it well?",
        stat("Nodes that take traffic",
             "Ready nodes of all that answer. If it is below 100 %, open /readyz of the node that "
             "is not ready: it says why.",
             f"sum(plimsoll_ready{{{NODE}}}) / count(plimsoll_ready{{{NODE}}})", SHARE,
             below(1, 0.5)),
        stat("Availability",
             "Answers of the time range that were no server error; 99.9 % are promised. If it is "
             "below, look at errors by operation, then at upstream errors by kind.",
             "1 - (" + errors(REQUESTS, SERVICE, window="$__range") + ")", SHARE, AVAILABLE,
             decimals=3),
        stat("Within the objective",
             "Answers of the time range that were no server error and came within the latency "
             "objective, by an exact counter; 95 % are promised. If it is below, sort the table "
             "of operations by p95.",
             within(window="$__range"), SHARE, WITHIN, decimals=2),
        stat("p95",
             "95 % of the answers of the time range were faster; 300 ms are promised. If it is "
             "above, sort the table of operations by p95.",
             quantile(0.95, SERVICE, window="$__range"), "s", FAST),
        stat("Requests",
             "Requests answered a second. If it drops to nothing while apps are in use, check "
             "DNS, the load balancer and certificates before the edge.",
             rate(REQUESTS, SERVICE), PER_SECOND),
        stat("Objective in force",
             "The latency objective of the manifest. If it is not 300 ms, the thresholds drawn "
             "here are not yours: change them together with telemetry.objective_latency.",
             f"max(plimsoll_objective_latency_seconds{{{NODE}}})", "s", width=2),
        stat("Version",
             "The versions that run. If there are two for longer than a rollout takes, a node was "
             "forgotten.",
             f"count by (version) (plimsoll_build_info{{{NODE}}})", POINTS, text="name",
             legend="{{version}}", width=2),
    )


def requests():
    return row(
        "Requests",
        lines("Requests by operation",
              "Requests answered a second. If one operation jumps, compare app versions on "
              "\"Plimsoll: by endpoint\": a new version may poll.",
              [query(rate(REQUESTS, SERVICE, OPERATION), OF_OPERATION)], PER_SECOND),
        lines("Server errors by operation",
              "The share of answers that were 5xx; the line is the promised 0.1 %. If it is "
              "crossed, \"Problems by code\" tells whether the edge or the backend failed: "
              "answers of the backend have no code.",
              [query(errors(REQUESTS, SERVICE, OPERATION), OF_OPERATION)], SHARE, ERRORS),
        lines("Latency",
              "p50, p95 and p99 of all answers; the line is the promised 300 ms for p95. If all "
              "three rise together, look at the node's CPU; if p99 alone rises, at one operation "
              "or one upstream.",
              [query(quantile(q, SERVICE), name) for q, name in
               [(0.5, "p50"), (0.95, "p95"), (0.99, "p99")]], "s", FAST),
        lines("p95 by operation",
              "95 % of an operation's answers were faster; the line is the promised 300 ms. If "
              "one is above, its backend is slow: \"Plimsoll: requests\" has the time that the "
              "upstream took, request by request.",
              [query(quantile(0.95, SERVICE, OPERATION), OF_OPERATION)], "s", FAST),
        lines("Within the objective, by operation",
              "Answers within the latency objective and without a server error, by the exact "
              "counter; the line is the promised 95 %. If one is below, either it is slow or it "
              "fails: the two panels above say which.",
              [query(within(OPERATION), OF_OPERATION)], SHARE, WITHIN, max=1),
        lines("Answers by status class",
              "Answers a second by the class of their status code. If 4xx rise, look at "
              "\"Problems by code\" and \"Authentication\"; if 5xx rise, at the upstreams.",
              [query(rate(REQUESTS, SERVICE, "status_class"), "{{status_class}}")], PER_SECOND,
              stacked=True),
        table("Operations",
              "The last five minutes by operation. If a figure is red, its service level is "
              "broken: begin with the row that has the most requests.",
              ["service", "operation"],
              [("requests/s", rate(REQUESTS, SERVICE, OPERATION, "5m"), PER_SECOND, None),
               ("errors", errors(REQUESTS, SERVICE, OPERATION, "5m"), SHARE, ERRORS),
               ("within objective", within(OPERATION, "5m"), SHARE, WITHIN),
               ("p50", quantile(0.5, SERVICE, OPERATION, "5m"), "s", None),
               ("p95", quantile(0.95, SERVICE, OPERATION, "5m"), "s", FAST),
               ("p99", quantile(0.99, SERVICE, OPERATION, "5m"), "s", None)],
              sort="requests/s"),
        lines("Bodies",
              "Bytes of request and answer bodies a second. If answers grow without more "
              "requests, an operation lost its page size; if requests grow, look for an upload "
              "that is tried again and again. Saved is what compression kept off the network.",
              [query(rate("plimsoll_request_body_bytes_total", SERVICE), "received"),
               query(rate("plimsoll_response_body_bytes_total", SERVICE), "sent"),
               query(rate("plimsoll_response_body_bytes_saved_total", SERVICE), "saved")], "Bps"),
        lines("Compressed answers",
              "Answers that the edge compressed, by coding, and those that found no memory for it: if "
              "they grow, raise [compression] memory_max or look for slow readers.",
              [query(rate("plimsoll_compressed_answers_total", NODE, "coding"), "{{coding}}"),
               query(rate("plimsoll_compression_skipped_total", NODE), "no memory")],
              PER_SECOND),
        lines("In flight",
              "Requests whose answer is not complete. If it climbs while requests a second do "
              "not, a backend has stopped answering.",
              [query(f"sum by (instance) (plimsoll_requests_in_flight{{{NODE}}})",
                     "{{instance}}")], POINTS),
    )


def upstreams():
    of = "{{service}}"
    return row(
        "Upstreams",
        lines("Upstream errors by kind",
              "Requests a second that a backend failed. If it is connect or none_healthy, the "
              "backend is down; a timeout: it is slow; pool_full: it is slow and its pool is "
              "full; protocol: what answers is no HTTP.",
              [query(rate("plimsoll_upstream_errors_total", SERVICE, "service, kind"),
                     "{{service}} {{kind}}")], PER_SECOND, ANY),
        lines("Ejections",
              "Times a URL was taken out of the rotation, in ten minutes. If there are any, that "
              "backend refused or broke off several requests in a row: look at its own log.",
              [query("sum by (service) (increase(plimsoll_upstream_ejections_total"
                     f"{{{SERVICE}}}[10m]))", of)], POINTS, ANY),
        lines("Health checks",
              "Checks of the backends' addresses a second, by outcome. If some fail, that address "
              "takes no requests while another can: look at its log.",
              [query(rate("plimsoll_health_checks_total", SERVICE, "service, outcome"),
                     "{{service}} {{outcome}}")], PER_SECOND),
        lines("Operations set aside",
              "Operations whose breaker is not closed, and the requests a second that were not "
              "sent on because of it. If there are any, the console names them: look at the "
              "backend's log.",
              [query(f"sum by (instance) (plimsoll_breakers_open{{{NODE}}})", "{{instance}}"),
               query(rate("plimsoll_breaker_refused_total", SERVICE, "service"),
                     f"{of} not sent on"),
               query("sum by (service) (increase(plimsoll_breakers_opened_total"
                     f"{{{SERVICE}}}[10m]))", f"{of} opened")], POINTS),
        lines("Load against the limit",
              "Requests that services have at once, what they may have, and who waits for a place. "
              "If the load stands at the limit and the queue does not run empty, there is more to "
              "do than the services can take.",
              [query(f"sum by (instance) (plimsoll_admission_in_flight_requests{{{NODE}}})",
                     "{{instance}} at once"),
               query(f"sum by (instance) (plimsoll_admission_limit_requests{{{NODE}}})",
                     "{{instance}} limit"),
               query(f"sum by (instance) (plimsoll_admission_queued_requests{{{NODE}}})",
                     "{{instance}} wait")], POINTS),
        lines("Shed",
              "Requests a second that found no place, by class and reason, and those that waited "
              "and got one. If critical ones are among the shed, too much is critical.",
              [query(rate("plimsoll_admission_shed_total", NODE, "class, reason"),
                     "{{class}} {{reason}}"),
               query(rate("plimsoll_admission_waited_total", SERVICE, "service"),
                     f"{of} waited")], PER_SECOND),
        lines("Queue delay",
              "How long the request that waits longest has waited, milliseconds. If it stays over "
              "queue_target, load is shed.",
              [query(f"max by (instance) (plimsoll_admission_queue_delay_milliseconds{{{NODE}}})",
                     "{{instance}}")], "ms"),
        lines("Pool",
              "Connections to backends that are open. If it stands at its bound "
              "(service.pool.connections_max, for each URL and core), answers are slow or the "
              "bound is too small.",
              [query(f"sum by (instance) (plimsoll_upstream_connections_open{{{NODE}}})",
                     "{{instance}}")], POINTS, width=8),
        lines("Connections opened",
              "New connections to backends a second. If it comes near the requests a second, the "
              "backend closes connections after each answer: switch keep-alive on there.",
              [query(rate("plimsoll_upstream_connects_total", SERVICE, "service"), of)],
              "cps", width=8),
        lines("Stored answers",
              "Reads a second by what the cache made of them. If hits fall to "
              "nought, the services' Cache-Control has changed.",
              [query(rate("plimsoll_cache_requests_total", NODE, "result"), "{{result}}")],
              PER_SECOND, width=8),
        lines("Bytes of stored answers",
              "If it stands at [cache] bytes_max and misses are many, raise that.",
              [query(f"plimsoll_cache_bytes{{{NODE}}}", "{{instance}}")], "bytes", width=8),
        lines("Sent again",
              "Requests that were sent again: their kept connection was dead, or the backend "
              "failed and they may be repeated. If some were not because the retry budget was "
              "used up, the backend fails more than that can hide: mend it.",
              [query(rate("plimsoll_upstream_retries_total", SERVICE, "service"), of),
               query(rate("plimsoll_upstream_hedged_total", SERVICE, "service"),
                     f"{of} hedged"),
               query(rate("plimsoll_retry_budget_exhausted_total", SERVICE, "service"),
                     f"{of} not: budget used up")],
              PER_SECOND, width=8),
    )


def limits_and_authentication():
    cache = "plimsoll_token_cache_lookups_total"
    return row(
        "Limits and authentication",
        lines("Refused by limits",
              "Requests a second that a limit refused, by its name. If it is a name of your "
              "manifest, find the caller on \"Plimsoll: requests\" (status 429) before you raise "
              "the limit; unverified-tokens means that someone tries tokens.",
              [query(rate("plimsoll_limit_refused_total", NODE, "policy"), "{{policy}}")],
              PER_SECOND),
        lines("Authentication",
              "Requests a second by how authenticating them ended. If expired or unknown_key "
              "jumps, an app does not refresh its tokens or the issuer rotated keys; "
              "unavailable: the issuer's keys cannot be fetched.",
              [query(rate("plimsoll_auth_total", NODE, "outcome") + " > 0", "{{outcome}}")],
              PER_SECOND),
        lines("Installations",
              "Requests a second by what became of an installation. If bounded stays above nought, "
              "many new apps share an address or somebody throws his away; forged: somebody makes "
              "them up, or nodes have other keys.",
              [query(rate("plimsoll_installations_total", NODE, "outcome"), "{{outcome}}")],
              PER_SECOND),
        lines("Token cache: found",
              "The share of tokens that needed no verification. If it is below 80 % under steady "
              "traffic, apps fetch a new token for each request.",
              [query(share(rate(cache, f'{NODE},result="hit"'), rate(cache, NODE)), "found")],
              SHARE, below(0.8), width=8, max=1),
        lines("Keys and tokens held",
              "Keys of the limits and tokens in the cache. If they only grow, look at the number "
              "of callers; both are bounded (limit.keys_max, auth.token_cache_max).",
              [query(f"sum(plimsoll_limit_keys{{{NODE}}})", "limit keys"),
               query(f"sum(plimsoll_token_cache_entries{{{NODE}}})", "tokens")],
              POINTS, width=8),
        lines("Keys that shared a bucket",
              "Requests a second that a full limit counted in its shared bucket. If there are "
              "any, raise limit.keys_max, or ask who makes so many keys.",
              [query(rate("plimsoll_limit_keys_folded_total", NODE, "policy"), "{{policy}}")],
              PER_SECOND, ANY, width=8),
        lines("Issuers' keys fetched",
              "Fetches of issuers' keys in ten minutes. If they fail, tokens stay valid until the "
              "keys at hand are too old: mend the way to the issuer before that.",
              [query(f"sum by (outcome) (increase(plimsoll_key_refreshes_total{{{NODE}}}[10m]))",
                     "{{outcome}}")], POINTS, width=12),
        lines("Limits shared between nodes",
              "1 where a node shares its limits over Redis. If one that did falls to 0, each node "
              "counts for itself: bring Redis back; /readyz of that node says why.",
              [query(f"plimsoll_limits_shared{{{NODE}}}", "{{instance}}")], POINTS, width=12),
        lines("Cache shared between nodes",
              "1 where a node shares its cache over Redis. If one that did falls to 0, it asks the "
              "services for whoever may have written elsewhere: bring Redis back; /readyz of that "
              "node says why.",
              [query(f"plimsoll_cache_shared{{{NODE}}}", "{{instance}}")], POINTS, width=8),
        lines("Answers of other nodes",
              "Looks among what other nodes stored, and answers stored for them. If slow or away "
              "are many, Redis is too far or gone; if dropped are many, it is too slow.",
              [query(rate("plimsoll_cache_shared_answers_total", NODE, "result"), "{{result}}")],
              PER_SECOND, width=8),
        lines("Writes told to other nodes",
              "Writes by whether all nodes had heard before the answer. If some are late, a node or "
              "Redis does not answer in time; alone means that Redis is gone.",
              [query(rate("plimsoll_cache_writes_told_total", NODE, "outcome"), "{{outcome}}")],
              PER_SECOND, width=8),
    )


def connections_and_answers():
    return row(
        "Connections and answers",
        lines("Problems by code",
              "Answers a second that the edge itself made. If one rises, its page "
              "docs/errors/CODE.md says what the caller and what you can do.",
              [query(rate("plimsoll_problems_total", NODE, "code"), "{{code}}")], PER_SECOND),
        lines("Connections open",
              "Clients' connections. If they come near edge.connections_max, the next ones are "
              "refused: add a node or raise the bound.",
              [query(f"sum by (instance) (plimsoll_connections_open{{{NODE}}})",
                     "{{instance}}")], POINTS),
        lines("Connections accepted, refused, failed",
              "New connections a second, those closed before they were served, by the bound that "
              "was reached, and TLS handshakes that failed. If descriptors is among them, raise "
              "the limit of open files; if handshakes fail, check the certificate's date.",
              [query(rate("plimsoll_connections_accepted_total", NODE), "accepted"),
               query(rate("plimsoll_connections_refused_total", NODE, "reason") + " > 0",
                     "refused: {{reason}}"),
               query(rate("plimsoll_tls_handshakes_failed_total", NODE), "TLS failed")], "cps"),
        lines("Slow clients cut",
              "Connections a second that were cut because the client held something open. "
              "keep_alive is usual. If header or body rises, someone keeps connections busy on "
              "purpose, or a network is very bad.",
              [query(rate("plimsoll_slow_clients_cut_total", NODE, "held"), "{{held}}")],
              "cps"),
        lines("Cut off by a stop",
              "Requests that the drain deadline cut off. If there are any at a deployment, raise "
              "edge.drain_deadline, or give the load balancer time to look elsewhere.",
              [query(f"sum by (instance) (increase(plimsoll_drain_cut_requests_total{{{NODE}}}"
                     "[10m]))", "{{instance}}")], POINTS, ANY, width=24),
    )


def the_node():
    by_node = "{{instance}}"
    return row(
        "The node",
        lines("CPU",
              "Seconds of CPU a second: 1 is one core. If it comes near the number of cores, add "
              "a node; latency rises before it is reached.",
              [query(f"rate(process_cpu_seconds_total{{{NODE}}}[$__rate_interval])", by_node)],
              POINTS, width=8),
        lines("Memory",
              "Resident memory. If it climbs for hours without more connections, keep a profile "
              "and report it: every table of the edge is bounded.",
              [query(f"process_resident_memory_bytes{{{NODE}}}", by_node)], "bytes", width=8),
        lines("Open files",
              "Open file descriptors. If they come near the limit of the process (ulimit -n), "
              "connections are refused.",
              [query(f"process_open_fds{{{NODE}}}", by_node)], POINTS, width=8),
        lines("Access log: dropped and queued",
              "Lines dropped in ten minutes, and chunks that wait. If lines are dropped, whoever "
              "reads standard output is too slow or gone; requests never wait for the log.",
              [query(f"sum by (instance) (increase(plimsoll_access_log_dropped_total{{{NODE}}}"
                     "[10m]))", "dropped {{instance}}"),
               query(f"plimsoll_access_log_queued_chunks{{{NODE}}}", "queued {{instance}}")],
              POINTS, ANY),
        lines("Series: held of the bound",
              "Label sets held, of telemetry.series_max. If it passes seven eighths (the line), "
              "new app versions and device models are counted as other: raise the bound, or ask "
              "who sends so many.",
              [query(f"plimsoll_metric_series{{{NODE}}} / plimsoll_metric_series_max{{{NODE}}}",
                     by_node)], SHARE, above(0.875), max=1),
        lines("Counted as other",
              "Requests a second that were folded into other because the bound on series was "
              "reached. If there are any, figures by version and device model are incomplete; "
              "the total is still right.",
              [query(rate("plimsoll_metric_series_folded_total", NODE, "instance"), by_node)],
              PER_SECOND, ANY, width=8),
        lines("Reloads of the manifest",
              "Changed manifests in ten minutes. If one was refused, the old one goes on: "
              "plimsoll check names file, line and key.",
              [query(f"sum by (outcome) (increase(plimsoll_reloads_total{{{NODE}}}[10m]))",
                     "{{outcome}}")], POINTS, width=8),
        lines("Uptime",
              "Time since the process started. If it keeps falling to nought, something ends the "
              "process: look for the supervisor's last words.",
              [query(f"time() - process_start_time_seconds{{{NODE}}}", by_node)], "s", width=8),
    )


def memory():
    by_node = "{{instance}}"
    return row(
        "Memory",
        lines("Database used",
              "1 on each node that uses its database. If it is 0, requests go on from the last "
              "snapshot; /readyz of the node says why it cannot use it.",
              [query(f"plimsoll_database_up{{{NODE}}}", by_node)], POINTS, below(1), width=8),
        lines("Epoch",
              "The epoch that each node obeys. If a node stays behind for more than a second, it "
              "misses revocations: look whether it reaches the database.",
              [query(f"plimsoll_epoch{{{NODE}}}", by_node)], POINTS, width=8),
        lines("Age of the epoch",
              "Seconds since a node knew that its epoch is all there is. If it passes "
              "auth.revocation_staleness_max, operations with revocation = strict are refused.",
              [query(f"plimsoll_epoch_age_seconds{{{NODE}}}", by_node)], "s", above(30), width=8),
        lines("Revocations",
              "Subjects and tokens that are refused. If it differs between nodes for long, one is "
              "behind.",
              [query(f"plimsoll_revocations{{{NODE}}}", by_node)], POINTS, width=8),
        lines("Ledger: entries sealed",
              "By the node that seals; 0 on others. If it stands still while the service works, "
              "/readyz of that node says why.",
              [query(f"plimsoll_ledger_sealed_entries{{{NODE}}}", by_node)], POINTS, width=8),
        lines("Ledger: not what was sealed",
              "1 where the hourly verification found a fault. If there is one, follow the runbook "
              "PlimsollLedgerBroken before anything else.",
              [query(f"plimsoll_ledger_broken{{{NODE}}}", by_node)], POINTS, above(1), width=8),
        lines("Ledger: sealed and signed",
              "1 on each node that seals and signs, or waits because another does. If it is 0, "
              "/readyz of that node says why and what to do.",
              [query(f"plimsoll_ledger_sealer_up{{{NODE}}}", by_node)], POINTS, below(1), width=8),
        lines("Ledger: age of the oldest unsealed entry",
              "Seconds. If it grows, an open transaction holds the sealer back, or no node seals: "
              "docs/ledger.md names the query that finds it.",
              [query(f"plimsoll_ledger_unsealed_age_seconds{{{NODE}}}", by_node)], "s", above(60),
              width=8),
        lines("Audited calls that wait, or left no entry",
              "Calls in the spool on disk. If they grow, the database is away. If any was lost, "
              "the log of that node names its request id.",
              [query(f"plimsoll_audit_spooled_calls{{{NODE}}}", "waiting: {{instance}}"),
               query(f"plimsoll_audit_lost_calls{{{NODE}}}", "lost: {{instance}}")],
              POINTS, width=8),
        lines("Audited calls refused",
              "Calls a second that could leave no entry. If there are any, the spool is full or "
              "the disk fails: bring the database back.",
              [query(rate("plimsoll_audit_refused_total", NODE, "when"), "{{when}}")],
              PER_SECOND, ANY, width=8),
        lines("Keyed writes",
              "Writes with an Idempotency-Key, a second, by what became of them. If many are "
              "unrecorded, the database is away; if many are unknown, the service breaks off.",
              [query(rate("plimsoll_keyed_writes_total", NODE, "outcome"), "{{outcome}}")],
              PER_SECOND, width=8),
        lines("Keyed writes by state",
              "Records in the database. If the unknown ones grow, look them up in the service; "
              "docs/idempotency.md says how.",
              [query(f"plimsoll_keyed_writes_executing{{{NODE}}}", "executing: {{instance}}"),
               query(f"plimsoll_keyed_writes_unknown{{{NODE}}}", "unknown: {{instance}}"),
               query(f"plimsoll_keyed_writes_kept{{{NODE}}}", "kept: {{instance}}")],
              POINTS, width=8),
    )


def telemetry():
    return row(
        "OpenTelemetry",
        lines("Spans sent",
              "Spans a second that the receiver took. If it falls to nought under traffic, see "
              "failed exports beside it.",
              [query(rate("plimsoll_otlp_spans_exported_total", NODE), "sent"),
               query(rate("plimsoll_otlp_spans_dropped_total", NODE, "reason"),
                     "dropped: {{reason}}")], PER_SECOND, width=8),
        lines("Exports that failed",
              "Requests to the receiver that failed. If there are any, check its address and its "
              "credentials; nothing of a request waits for it.",
              [query(rate("plimsoll_otlp_exports_failed_total", NODE, "signal"), "{{signal}}")],
              PER_SECOND, ANY, width=8),
        lines("Taken from backends and apps",
              "Items a second that /otlp took, refused, or counted beyond a bound. If many are "
              "rejected, the sender's log says why.",
              [query(rate("plimsoll_otlp_received_total", NODE, "signal"), "{{signal}}"),
               query(rate("plimsoll_otlp_rejected_total", NODE, "signal"),
                     "rejected: {{signal}}"),
               query(rate("plimsoll_otlp_refused_total", NODE, "reason"), "refused: {{reason}}"),
               query(rate("plimsoll_database_calls_folded_total", NODE, "bound"),
                     "folded: {{bound}}")], PER_SECOND, width=8),
    )


def make():
    return dashboard(
        "plimsoll-service", "Plimsoll: service",
        "Is the service well, and if not, which part? Thresholds: 99.9 % availability, p95 300 ms.",
        nodes_and_services(),
        [is_it_well(), requests(), upstreams(), limits_and_authentication(),
         connections_and_answers(), memory(), telemetry(), the_node()],
    )
