"""Plimsoll: requests. The access log in Loki: what happened to this request?"""

import json
import urllib.parse

from .build import (
    LATENCY_SECONDS, LOKI, PER_SECOND, PLAIN, POINTS, above, dashboard, lines, panel, query, row,
    source, stat,
)

STREAM = '{job=~"$logs_job"}'
ENTRIES = (
    f'{STREAM} | json | __error__="" | service=~"$service.*" | operation=~"$operation.*"'
)
ASKED = f'{ENTRIES} | request_id=~"$request_id.*" | trace_id=~"$trace_id.*"'
SLOW_US = above(LATENCY_SECONDS * 1_000_000)
COLUMNS = [
    "time", "request_id", "trace_id", "method", "path", "service", "operation", "release",
    "status", "problem", "latency_us", "upstream_latency_us", "bytes_in", "bytes_out",
    "protocol", "platform", "app_version", "client_ip", "caller",
]


def typed(name, label, text="", description=""):
    """A variable that one types."""
    return {"type": "textbox", "name": name, "label": label, "query": text,
            "description": description, "hide": 0, "options": [],
            "current": {"selected": True, "text": text, "value": text}}


def job():
    """The Loki label `job`, by which the access log's streams are found."""
    return {
        "type": "query", "name": "logs_job", "label": "Log job", "datasource": LOKI,
        "query": {"label": "job", "refId": "LokiVariableQueryEditor-VariableQuery",
                  "stream": "", "type": 1},
        "refresh": 1, "sort": 1, "regex": "", "multi": True, "includeAll": True,
        "allValue": ".+", "current": {"selected": True, "text": ["plimsoll"],
                                      "value": ["plimsoll"]},
        "options": [], "hide": 0,
    }


def explore():
    """Where Grafana shows a trace of the data source that was picked."""
    pane = {"plimsoll": {
        "datasource": "${traces}", "range": {"from": "now-24h", "to": "now"},
        "queries": [{"refId": "A", "queryType": "traceql", "query": "${__value.raw}"}]}}
    panes = urllib.parse.quote(json.dumps(pane, separators=(",", ":")), safe="${}:,_")
    return f"/explore?schemaVersion=1&panes={panes}&orgId=${{__org.id}}"


def loki(expr, legend="", kind="range", **more):
    return query(expr, legend, queryType=kind, **more)


def log_lines(title, description, queries, unit, thresholds=None, **more):
    return lines(title, description, queries, unit, thresholds, datasource=LOKI, **more)


def entries(title, description, expr, sort, height):
    """Lines of the log as a table, newest or slowest first."""
    links = {
        "request_id": [
            {"title": "This request alone", "targetBlank": False,
             "url": "/d/plimsoll-requests?${__url_time_range}&${logs:queryparam}&"
                    "${traces:queryparam}&${logs_job:queryparam}&"
                    "var-request_id=${__value.raw}"}],
        "trace_id": [
            {"title": "All requests of this trace", "targetBlank": False,
             "url": "/d/plimsoll-requests?${__url_time_range}&${logs:queryparam}&"
                    "${traces:queryparam}&${logs_job:queryparam}&var-trace_id=${__value.raw}"},
            {"title": "The trace in Tempo", "targetBlank": True,
             "url": explore()}],
    }
    overrides = [
        {"matcher": {"id": "byName", "options": name},
         "properties": [{"id": "links", "value": value}]}
        for name, value in links.items()
    ]
    overrides += [
        {"matcher": {"id": "byName", "options": name}, "properties": [
            {"id": "unit", "value": "µs"},
            {"id": "thresholds", "value": {"mode": "absolute", "steps": SLOW_US}},
            {"id": "custom.cellOptions", "value": {"type": "color-text"}}]}
        for name in ("latency_us", "upstream_latency_us")
    ]
    overrides += [
        {"matcher": {"id": "byName", "options": name},
         "properties": [{"id": "unit", "value": "bytes"}]}
        for name in ("bytes_in", "bytes_out")
    ]
    transformations = [
        {"id": "extractFields", "options": {"source": "Line", "format": "json",
                                            "replace": True, "keepTime": False}},
        {"id": "organize", "options": {
            "excludeByName": {}, "renameByName": {},
            "indexByName": {name: place for place, name in enumerate(COLUMNS)}}},
    ]
    options = {"cellHeight": "sm", "frameIndex": 0, "showHeader": True, "sortBy": [sort]}
    return panel("table", title, description, [loki(expr, maxLines=500)], POINTS, PLAIN,
                 (24, height), options, {"filterable": True}, datasource=LOKI,
                 overrides=overrides, transformations=transformations)


def how_many():
    counted = f"sum(count_over_time({ENTRIES}"
    return row(
        "How many",
        stat("Requests", "Lines of the access log in the time range. If there are none, check "
             "the log job above and that telemetry.access_log is json.",
             f"{counted} [$__range]))", POINTS, width=6, datasource=LOKI),
        stat("Server errors", "Lines with a status of 500 and above. If there are any, the table "
             "of failures below has each of them.",
             f"{counted} | status >= 500 [$__range])) or vector(0)", POINTS,
             above(0.000001), width=6, datasource=LOKI),
        stat("Slower than 300 ms", "Lines whose latency is above the promised 300 ms. If there "
             "are many, the table of the slowest shows whether the upstream took the time.",
             f"{counted} | latency_us > 300000 [$__range])) or vector(0)", POINTS, width=6,
             datasource=LOKI),
        stat("Lines that are no JSON", "Lines of the same stream that are something else. If "
             "there are many, the edge writes its log for people, or another program writes to "
             "the same stream.",
             f'sum(count_over_time({STREAM} | json | __error__!="" [$__range])) or vector(0)',
             POINTS, width=6, datasource=LOKI),
        log_lines("Requests by status", "Lines a second by status code. If a code rises, type an "
                  "operation above to see whether it is one or all.",
                  [loki(f"sum by (status) (rate({ENTRIES} [$__auto]))", "{{status}}")],
                  PER_SECOND, stacked=True),
        log_lines("Problems by code", "Lines a second that the edge itself answered. If one "
                  "rises, docs/errors/CODE.md says what to do.",
                  [loki(f'sum by (problem) (rate({ENTRIES} | problem!="" [$__auto]))',
                        "{{problem}}")], PER_SECOND),
        log_lines("p95 by operation", "From the log, so of what is typed above; the line is the "
                  "promised 300 ms. If one is above, compare it with the upstream's time beside.",
                  [loki(f"quantile_over_time(0.95, {ENTRIES} | unwrap latency_us "
                        '| __error__="" [$__auto]) by (service, operation)',
                        "{{service}}.{{operation}}")], "µs", SLOW_US),
        log_lines("The upstream's p95, by operation", "The upstream's part of the latency, as the "
                  "edge saw it. If it is near the latency beside, the backend is slow; if not, "
                  "the client is, or the edge.",
                  [loki(f"quantile_over_time(0.95, {ENTRIES} | unwrap upstream_latency_us "
                        '| __error__="" [$__auto]) by (service, operation)',
                        "{{service}}.{{operation}}")], "µs", SLOW_US),
    )


def which():
    slowest = {"desc": True, "displayName": "latency_us"}
    newest = {"desc": True, "displayName": "time"}
    return row(
        "Which",
        entries("By request id", "Every line that fits what is typed above, newest first. If a "
                "user names a request id (X-Request-Id of the answer, instance of a problem), "
                "type it above; a click on a trace id finds its other requests.",
                ASKED, newest, 10),
        entries("The slowest", "Lines of 300 ms and more, slowest of the newest 500 first. If "
                "upstream_latency_us is near latency_us, the backend took the time.",
                f"{ASKED} | latency_us >= 300000", slowest, 8),
        entries("The failures", "Lines with a status of 500 and above, newest first. If problem "
                "is empty, the backend gave that answer; else the edge did, and its page says "
                "why.",
                f"{ASKED} | status >= 500", newest, 8),
        panel("logs", "The lines themselves", "The access log as it was written. If a line you "
              "expect is missing, look at \"Access log: dropped\" on \"Plimsoll: service\".",
              [loki(ASKED, maxLines=200)], POINTS, PLAIN, (24, 8),
              {"dedupStrategy": "none", "enableLogDetails": True, "prettifyLogMessage": False,
               "showCommonLabels": False, "showLabels": False, "showLogContextToggle": False,
               "showTime": True, "sortOrder": "Descending", "wrapLogMessage": False},
              datasource=LOKI),
    )


def make():
    variables = [
        source("logs", "Logs", "loki"),
        source("traces", "Traces", "tempo"),
        job(),
        typed("service", "Service"), typed("operation", "Operation"),
        typed("request_id", "Request id"), typed("trace_id", "Trace id"),
    ]
    return dashboard(
        "plimsoll-requests", "Plimsoll: requests",
        "What happened to this request? The JSON access log in Loki, line by line.",
        variables, [how_many(), which()], since="now-1h",
    )
