"""Plimsoll: service. Is it well, and if not, which part?"""

from .build import (
    AVAILABLE, ERRORS, FAST, LATENCY_SECONDS, NODE, REQUESTS, SERVICE, SHARE, dashboard, errors,
    gauge, group, latency, lines, marker, metric, per_second, ratio, red_below, table, total,
    value, within,
)

OPERATION = "plimsoll_service,operation"


def one(title, description, query, unit=None, width=6, **more):
    """Lines of one query."""
    return lines(title, description, [metric(query)], ["a"], unit, width, **more)


def is_it_well():
    failed, share = errors(SERVICE)
    good, objective = within(SERVICE)
    ready = [metric(gauge("plimsoll.ready", NODE, aggregation="avg"), "a", "last")]
    return group(
        "Is it well?",
        value("Nodes that take traffic", "Ready nodes of all that answer. If it is below 100 %, "
              "open /readyz of the node that is not ready: it says why.",
              ready, "a * 100", "percent", red_below(100)),
        value("Availability", "Answers that were no server error; 99.9 % are promised. If it is "
              "below, look at errors by operation, then at upstream errors by kind.",
              failed, f"100 - ({share})", "percent", AVAILABLE, precision=3),
        value("Within the objective", "Answers without a server error and within the latency "
              "objective, by an exact counter; 95 % are promised. If it is below, sort the table "
              "by p95.", good, objective, "percent", SHARE),
        value("p95", "95 % of the answers were faster; 300 ms are promised. If it is above, sort "
              "the table by p95. If it is empty, switch percentiles on for "
              "plimsoll.request_duration_seconds.",
              [latency(SERVICE, 95)], "a", "second", FAST),
        value("Requests", "Requests answered a second. If it drops to nothing while apps are in "
              "use, check DNS, the load balancer and certificates before the edge.",
              [metric(per_second(REQUESTS, SERVICE))], "a", "request/second"),
        value("Objective in force", "The latency objective of the manifest. If it is not 300 ms, "
              "change the thresholds here together with it.",
              [metric(gauge("plimsoll.objective_latency_seconds", NODE, aggregation="max"))], "a",
              "second"),
    )


def requests():
    failed, share = errors(SERVICE, OPERATION)
    good, objective = within(SERVICE, OPERATION)
    quantiles = [latency(SERVICE, q, name=f"p{q}") for q in (50, 95, 99)]
    return group(
        "Requests",
        one("Requests by operation", "Requests answered a second. If one jumps, compare app "
            "versions on \"Plimsoll: by endpoint\".",
            per_second(REQUESTS, SERVICE, OPERATION), "request/second"),
        lines("Server errors by operation", "The share of 5xx; 0.1 % is promised at most. If it "
              "is crossed, problems by code tell whether the edge failed; answers of the backend "
              "have no code.", failed, [share], "percent", markers=marker(0.1, "promised")),
        lines("Latency", "p50, p95 and p99. If all rise together, look at the node's CPU; if p99 "
              "alone rises, at one operation or one upstream.",
              quantiles, ["p50", "p95", "p99"], "second",
              markers=marker(LATENCY_SECONDS, "promised for p95")),
        lines("p95 by operation", "300 ms are promised. If one is above, its backend is slow.",
              [latency(SERVICE, 95, OPERATION)], ["a"], "second",
              markers=marker(LATENCY_SECONDS, "promised")),
        lines("Within the objective, by operation", "By the exact counter; 95 % are promised. If "
              "one is below, it is slow or it fails: the panels above say which.",
              good, [objective], "percent", markers=marker(95, "promised")),
        one("Answers by status class", "If 4xx rise, look at problems and authentication; if 5xx "
            "rise, at the upstreams.",
            per_second(REQUESTS, SERVICE, "status_class"), "request/second", bars=True),
        table("Operations", "If a figure is red, its service level is broken: begin with the row "
              "that has the most requests.",
              [("requests/s", [metric(per_second(REQUESTS, SERVICE, OPERATION))], "a",
                "request/second", None),
               ("errors", failed, share, "percent", ERRORS),
               ("within objective", good, objective, "percent", SHARE),
               ("p95", [latency(SERVICE, 95, OPERATION)], "a", "second", FAST),
               ("p99", [latency(SERVICE, 99, OPERATION)], "a", "second", None)]),
        lines("Bodies", "Bytes a second. If answers grow without more requests, an operation lost "
              "its page size.",
              [metric(per_second("plimsoll.request_body_bytes.count", SERVICE), "received"),
               metric(per_second("plimsoll.response_body_bytes.count", SERVICE), "sent"),
               metric(per_second("plimsoll.response_body_bytes_saved.count", SERVICE), "saved")],
              ["received", "sent", "saved"], "byte/second"),
        one("Compressed answers", "Answers a second that the edge compressed, by coding. "
            "If there are none under traffic, clients or services do not allow it.",
            per_second("plimsoll.compressed_answers.count", NODE, "coding")),
        one("Not compressed for want of memory", "If it grows, raise [compression] memory_max or look "
            "for slow readers.",
            per_second("plimsoll.compression_skipped.count", NODE)),
        one("In flight", "Requests whose answer is not complete. If it climbs while requests a "
            "second do not, a backend has stopped answering.",
            gauge("plimsoll.requests_in_flight", NODE, "host")),
    )


def upstreams():
    by = "plimsoll_service"
    return group(
        "Upstreams",
        one("Upstream errors by kind", "If it is connect or none_healthy, the backend is down; a "
            "timeout: it is slow; pool_full: it is slow and its pool is full.",
            per_second("plimsoll.upstream_errors.count", SERVICE, f"{by},kind"),
            "request/second"),
        one("Ejections", "Times a URL was taken out of the rotation. If there are any, look at "
            "that backend's own log.",
            total("plimsoll.upstream_ejections.count", SERVICE, by), bars=True),
        one("Health checks", "If some fail, that address takes no requests while another can: look "
            "at its log.",
            per_second("plimsoll.health_checks.count", SERVICE, f"{by},outcome"), width=4),
        one("Operations set aside", "Operations whose breaker is not closed. If there are any, the "
            "console names them: look at the backend's log.",
            gauge("plimsoll.breakers_open", NODE, "host"), width=4),
        one("Breakers opened", "Times an operation failed too often. If there are any, "
            "look at the backend's log.",
            total("plimsoll.breakers_opened.count", SERVICE, by), bars=True, width=4),
        one("Not sent on", "Requests answered 503 or by a fallback because a breaker was open. "
            "If there are any, the console names the operations.",
            per_second("plimsoll.breaker_refused.count", SERVICE, by), width=4),
        one("Load against the limit", "Requests that services have at once, by their admission. If it "
            "stands at the limit, others wait.",
            gauge("plimsoll.admission_in_flight_requests", NODE, "host"), width=4),
        one("Limit", "Requests that services may have at once. If it falls, their answers take "
            "longer: look at what they wait for.",
            gauge("plimsoll.admission_limit_requests", NODE, "host"), width=4),
        one("Queue", "Requests that wait for a place. If it does not run empty, there is more to "
            "do than the services can take.",
            gauge("plimsoll.admission_queued_requests", NODE, "host"), width=4),
        one("Queue delay", "How long the longest waits. If it stays over queue_target, load is "
            "shed.",
            gauge("plimsoll.admission_queue_delay_milliseconds", NODE, "host", "max"), width=4),
        one("Waited", "Requests that waited and got a place. If there are many, the service is at "
            "its limit.",
            per_second("plimsoll.admission_waited.count", SERVICE, by), width=4),
        one("Shed", "Requests refused for want of a place. If critical ones are among them, too "
            "much is critical.",
            per_second("plimsoll.admission_shed.count", NODE, "class,reason"), width=4),
        one("Pool", "Connections to backends that are open. If it stands at its bound "
            "(service.pool.connections_max), answers are slow or the bound is too small.",
            gauge("plimsoll.upstream_connections_open", NODE, "host"), width=4),
        one("Connections opened", "If it comes near the requests a second, the backend closes "
            "connections after each answer: switch keep-alive on there.",
            per_second("plimsoll.upstream_connects.count", SERVICE, by), width=4),
        one("Sent again", "Requests sent again: their kept connection was dead, or the backend "
            "failed and they may be repeated. If there are many, look at its log.",
            per_second("plimsoll.upstream_retries.count", SERVICE, by), width=4),
        one("Stored answers", "Reads by what the cache made of them. If hits fall to nought, the "
            "services' Cache-Control has changed.",
            per_second("plimsoll.cache_requests.count", NODE, "result"), width=4),
        one("Bytes of stored answers", "If it stands at [cache] bytes_max and misses are many, raise "
            "that.",
            gauge("plimsoll.cache_bytes", NODE, "host"), "byte", width=4),
        one("Hedged", "Slow reads asked for a second time. If there are many, some address is slow.",
            per_second("plimsoll.upstream_hedged.count", SERVICE, by), width=4),
        one("Retry budget used up", "Requests not sent again because too many were. If there are "
            "any, the backend fails more than retries can hide: mend it.",
            total("plimsoll.retry_budget_exhausted.count", SERVICE, by), bars=True, width=4),
    )


def limits_and_authentication():
    cache = "plimsoll.token_cache_lookups.count"
    found, share = ratio(total(cache, NODE, more="result:hit"), total(cache, NODE))
    return group(
        "Limits and authentication",
        one("Refused by limits", "By the limit's name. If it is one of your manifest, find the "
            "caller before you raise it; unverified-tokens means that someone tries tokens.",
            per_second("plimsoll.limit_refused.count", NODE, "policy"), "request/second"),
        one("Authentication", "By outcome. If expired or unknown_key jumps, an app does not "
            "refresh its tokens or the issuer rotated keys.",
            per_second("plimsoll.auth.count", NODE, "outcome"), "request/second"),
        one("Installations", "By what became of them. If bounded stays above nought, many new apps "
            "share an address; forged: somebody makes them up, or nodes have other keys.",
            per_second("plimsoll.installations.count", NODE, "outcome"), "request/second"),
        lines("Token cache: found", "If it is below 80 % under steady traffic, apps fetch a new "
              "token for each request.", found, [share], "percent", width=4),
        lines("Keys and tokens held", "Both are bounded. If they only grow, look at the number of "
              "callers.",
              [metric(gauge("plimsoll.limit_keys", NODE), "keys"),
               metric(gauge("plimsoll.token_cache_entries", NODE), "tokens")],
              ["keys", "tokens"], None, width=4),
        one("Keys that shared a bucket", "If there are any, raise limit.keys_max, or ask who makes "
            "so many keys.",
            per_second("plimsoll.limit_keys_folded.count", NODE, "policy"), width=4),
        one("Issuers' keys fetched", "If fetches fail, mend the way to the issuer before the keys "
            "at hand are too old.",
            total("plimsoll.key_refreshes.count", NODE, "outcome"), width=6, bars=True),
        one("Limits shared between nodes", "1 where a node shares its limits over Redis. If one "
            "that did falls to 0, each node counts for itself: bring Redis back.",
            gauge("plimsoll.limits_shared", NODE, "host"), width=6),
        one("Cache shared between nodes", "1 where a node shares its cache over Redis. If one that "
            "did falls to 0, it asks the services for whoever may have written elsewhere: bring "
            "Redis back.",
            gauge("plimsoll.cache_shared", NODE, "host"), width=4),
        one("Answers of other nodes", "Looks among them, and answers stored for them. If slow or "
            "away are many, Redis is too far or gone; if dropped are many, it is too slow.",
            per_second("plimsoll.cache_shared_answers.count", NODE, "result"), width=4),
        one("Writes told to other nodes", "If some are late, a node or Redis does not answer in "
            "time; alone means that Redis is gone.",
            per_second("plimsoll.cache_writes_told.count", NODE, "outcome"), width=4),
    )


def connections_and_answers():
    return group(
        "Connections and answers",
        one("Problems by code", "Answers that the edge itself made. If one rises, its page "
            "docs/errors/CODE.md says what to do.",
            per_second("plimsoll.problems.count", NODE, "code"), "request/second"),
        one("Connections open", "If they come near edge.connections_max, the next ones are "
            "refused: add a node or raise the bound.",
            gauge("plimsoll.connections_open", NODE, "host")),
        one("Connections accepted", "If it jumps without more requests, clients no longer keep "
            "their connections.",
            per_second("plimsoll.connections_accepted.count", NODE, "host"), width=3),
        one("Connections refused", "By the bound that was reached. If descriptors is among them, "
            "raise the limit of open files.",
            per_second("plimsoll.connections_refused.count", NODE, "reason"), width=3),
        one("TLS handshakes failed", "If they jump, check the certificate's date and its chain.",
            per_second("plimsoll.tls_handshakes_failed.count", NODE, "host"), width=3),
        one("Slow clients cut", "By what they held open; keep_alive is usual. If header or body "
            "rises, someone keeps connections busy on purpose.",
            per_second("plimsoll.slow_clients_cut.count", NODE, "held"), width=3),
        one("Cut off by a stop", "If there are any at a deployment, raise edge.drain_deadline.",
            total("plimsoll.drain_cut_requests.count", NODE, "host"), width=12, bars=True),
    )


def the_node():
    series = [metric(gauge("plimsoll.metric_series", NODE, "host"), "held"),
              metric(gauge("plimsoll.metric_series_max", NODE, "host"), "bound")]
    return group(
        "The node",
        one("CPU", "Seconds of CPU a second: 1 is one core. If it comes near the number of cores, "
            "add a node.", per_second("plimsoll.process_cpu_seconds.count", NODE, "host"),
            width=4),
        one("Memory", "If it climbs for hours without more connections, report it: every table of "
            "the edge is bounded.",
            gauge("plimsoll.process_resident_memory_bytes", NODE, "host"), "byte", width=4),
        one("Open files", "If they come near the limit of the process, connections are refused.",
            gauge("plimsoll.process_open_fds", NODE, "host"), width=4),
        one("Access log: lines dropped", "If there are any, whoever reads standard output is too "
            "slow or gone.", total("plimsoll.access_log_dropped.count", NODE, "host"), width=4,
            bars=True),
        one("Access log: chunks queued", "If it stays above nought, lines will be dropped next.",
            gauge("plimsoll.access_log_queued_chunks", NODE, "host"), width=4),
        lines("Series: held of the bound", "If it passes 87.5 %, new versions and device models "
              "are counted as other: raise telemetry.series_max, and see what it costs here.",
              series, ["held / bound * 100"], "percent", width=4,
              markers=marker(87.5, "folding begins")),
        one("Counted as other", "If there are any, figures by version and device model are "
            "incomplete; the total is still right.",
            total("plimsoll.metric_series_folded.count", NODE, "host"), width=4, bars=True),
        one("Reloads of the manifest", "If one was refused, the old one goes on: plimsoll check "
            "names file, line and key.",
            total("plimsoll.reloads.count", NODE, "outcome"), width=4, bars=True),
        one("Versions", "Nodes by the version that runs. If there are two for longer than a "
            "rollout takes, a node was forgotten.",
            gauge("plimsoll.build_info", NODE, "plimsoll_version"), width=4),
    )


def memory():
    return group(
        "Memory",
        one("Database used", "1 on each node that uses its database. If it is 0, requests go on "
            "from the last snapshot; /readyz of the node says why.",
            gauge("plimsoll.database_up", NODE, "host"), width=4),
        one("Age of the epoch", "Seconds since a node knew that its epoch is all there is. If it "
            "passes auth.revocation_staleness_max, strict operations are refused.",
            gauge("plimsoll.epoch_age_seconds", NODE, "host"), "second", width=4),
        one("Spans for the receiver that were dropped", "By reason. If there are any, look at the "
            "receiver's address and at its answers in the node's log.",
            total("plimsoll.otlp_spans_dropped.count", NODE, "reason"), width=4, bars=True),
        one("Ledger: not what was sealed", "1 where the hourly verification found a fault. If "
            "there is one, follow the runbook PlimsollLedgerBroken before anything else.",
            gauge("plimsoll.ledger_broken", NODE, "host"), width=4),
        one("Audited calls that left no entry", "If there are any, the log of that node names "
            "their request ids.",
            gauge("plimsoll.audit_lost_calls", NODE, "host"), width=4),
        one("Audited calls that wait", "If they grow, the database is away.",
            gauge("plimsoll.audit_spooled_calls", NODE, "host"), width=4),
        one("Audited calls refused", "By when. If there are any, the spool is full or the disk "
            "fails: bring the database back.",
            total("plimsoll.audit_refused.count", NODE, "when"), width=4, bars=True),
        one("Ledger: sealed and signed", "1 on each node that seals and signs, or waits because "
            "another does. If it is 0, /readyz of that node says why and what to do.",
            gauge("plimsoll.ledger_sealer_up", NODE, "host"), width=4),
        one("Ledger: age of the oldest unsealed entry", "If it grows, an open transaction holds "
            "the sealer back, or no node seals.",
            gauge("plimsoll.ledger_unsealed_age_seconds", NODE, "host"), "second", width=4),
        one("Keyed writes", "By what became of them. If many are unrecorded, the database is "
            "away; if many are unknown, the service breaks off.",
            total("plimsoll.keyed_writes.count", NODE, "outcome"), width=4, bars=True),
        one("Keyed writes executing", "What services have now, on any node. If it grows, "
            "they answer slowly.",
            gauge("plimsoll.keyed_writes_executing", NODE, "host"), width=4),
        one("Keyed writes of unknown outcome", "If they grow, look them up in the service; "
            "docs/idempotency.md says how.",
            gauge("plimsoll.keyed_writes_unknown", NODE, "host"), width=4),
        one("Keyed writes kept", "Answers that can be replayed, until they expire. If "
            "there are too many, lower [idempotency] kept_for.",
            gauge("plimsoll.keyed_writes_kept", NODE, "host"), width=4),
    )


def make():
    return dashboard(
        "Plimsoll: service",
        "Is the service well, and if not, which part? Promised: 99.9 % availability, p95 300 ms.",
        ["host", "plimsoll_service"],
        [is_it_well(), requests(), upstreams(), limits_and_authentication(),
         connections_and_answers(), memory(), the_node()],
    )
