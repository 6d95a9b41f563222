"""Plimsoll: requests. The access log in Datadog Logs: what happened to this request?"""

from .build import (
    LATENCY_SECONDS, dashboard, group, lines, marker, red_above, value, widget,
)

LOG = "source:plimsoll $host $service $operation $request_id $trace_id"
COLUMNS = ["request_id", "trace_id", "method", "path", "service", "operation", "release",
           "status", "problem", "latency_us", "upstream_latency_us", "bytes_in", "bytes_out",
           "platform", "app_version", "client_ip", "caller"]
MICROSECONDS = "microsecond"


def log(search, compute, name="a", by=()):
    """One query of the log. `compute` is (aggregation, field) or `count` alone."""
    aggregation, field = compute if isinstance(compute, tuple) else (compute, None)
    how = {"aggregation": aggregation, **({"metric": f"@{field}"} if field else {})}
    groups = [{"facet": f"@{facet}", "limit": 20, "sort": {**how, "order": "desc"}}
              for facet in by]
    return {"data_source": "logs", "name": name, "indexes": ["*"],
            "search": {"query": search}, "compute": how, "group_by": groups}


def entries(title, description, search, sort):
    """Lines of the log as a list."""
    return widget({
        "type": "list_stream", "title": title, "description": description,
        "requests": [{
            "response_format": "event_list",
            "columns": [{"field": "timestamp", "width": "auto"}]
            + [{"field": f"@{name}", "width": "auto"} for name in COLUMNS],
            "query": {"data_source": "logs_stream", "query_string": search, "indexes": [],
                      "storage": "hot", "sort": sort},
        }],
    }, 12, 5)


def how_many():
    by = ["service", "operation"]
    return group(
        "How many",
        value("Requests", "Lines of the access log. If there are none, check the Agent's logs "
              "section and that telemetry.access_log is json.", [log(LOG, "count")], "a", None,
              width=4),
        value("Server errors", "Lines with a status of 500 and above. If there are any, the list "
              "of failures below has each of them.",
              [log(f"{LOG} @status:>=500", "count")], "a", None, red_above(0), 4),
        value("p95", "From the log; 300 ms are promised. If it is above, compare it with the "
              "upstream's below.",
              [log(LOG, ("pc95", "latency_us"))], "a", MICROSECONDS,
              red_above(LATENCY_SECONDS * 1_000_000), 4),
        lines("Requests by status", "If a code rises, choose an operation above to see whether it "
              "is one or all.", [log(LOG, "count", by=["status"])], ["a"], None, bars=True),
        lines("Problems by code", "Lines that the edge itself answered. If one rises, "
              "docs/errors/CODE.md says what to do.",
              [log(f"{LOG} @problem:*", "count", by=["problem"])], ["a"], None, bars=True),
        lines("p95 by operation", "300 ms are promised. If one is above, compare it with the "
              "upstream's time beside.",
              [log(LOG, ("pc95", "latency_us"), by=by)], ["a"], MICROSECONDS,
              markers=marker(int(LATENCY_SECONDS * 1_000_000), "promised")),
        lines("The upstream's p95, by operation", "If it is near the latency beside, the backend "
              "is slow; if not, the client is, or the edge.",
              [log(LOG, ("pc95", "upstream_latency_us"), by=by)], ["a"], MICROSECONDS),
    )


def which():
    newest = {"column": "timestamp", "order": "desc"}
    return group(
        "Which",
        entries("By request id", "Newest first. If a user names a request id, choose it above; "
                "a trace id finds its other requests.", LOG, newest),
        entries("The slowest", "Lines of 300 ms and more, slowest first. If upstream_latency_us "
                "is near latency_us, the backend took the time.",
                f"{LOG} @latency_us:>=300000", {"column": "@latency_us", "order": "desc"}),
        entries("The failures", "Lines with a status of 500 and above. If problem is empty, the "
                "backend gave that answer; else the edge did.",
                f"{LOG} @status:>=500", newest),
    )


def make():
    made = dashboard(
        "Plimsoll: requests",
        "What happened to this request? The JSON access log, line by line.", ["host"],
        [how_many(), which()],
    )
    made["template_variables"] += [
        {"name": name, "prefix": f"@{name}", "available_values": [], "defaults": ["*"]}
        for name in ("service", "operation", "request_id", "trace_id")
    ]
    return made
