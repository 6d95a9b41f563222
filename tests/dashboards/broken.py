"""Copies with one fault each: a check that lets one pass proves nothing."""

import json
import re
import shutil


def edit(path, change):
    """Changes a JSON file in place."""
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def replaced(path, old, new):
    text = path.read_text()
    if old not in text:
        raise RuntimeError(f"{path.name} has no {old!r} to break")
    path.write_text(text.replace(old, new))


def first(dashboard, kind):
    return next(one for one in dashboard["panels"] if one["type"] == kind)


GRAFANA = "grafana/plimsoll-service.json"
REQUESTS = "grafana/plimsoll-requests.json"
DATADOG = "datadog/plimsoll-service.json"


def in_json(change, file=GRAFANA):
    return lambda tree: edit(tree / file, change)


def in_text(file, old, new):
    return lambda tree: replaced(tree / file, old, new)


def stat(change):
    return in_json(lambda dashboard: change(first(dashboard, "stat")))


def of_first_request(dashboard):
    """The first request of the first widget of the first group."""
    return dashboard["widgets"][0]["definition"]["widgets"][0]["definition"]["requests"][0]


# What is broken, the check that must notice, a word of what it must say, and how it is broken.
FAULTS = [
    ("a dashboard that was edited by hand", "fresh", "not fresh",
     in_text(GRAFANA, "Is it well?", "Well?")),
    ("a rule that is no PromQL", "promtool", "alerts.yml",
     in_text("prometheus/alerts.yml", "plimsoll_ready == 0", "plimsoll_ready === 0")),
    ("a configuration with an unknown key", "promtool", "not found in type",
     in_text("prometheus/scrape.yml", "evaluation_interval", "evaluation_intervall")),
    ("an alert that fires too late", "promtool tests", "PlimsollNotReady",
     in_text("prometheus/alerts.yml", "plimsoll_ready == 0\n        for: 5m",
             "plimsoll_ready == 0\n        for: 20m")),
    ("the first ejection overlooked", "promtool tests", "PlimsollUpstreamEjected",
     lambda tree: (tree / "prometheus/alerts.yml").write_text(re.sub(
         r"\n +or \(\n +plimsoll_upstream.*?> 0", "",
         (tree / "prometheus/alerts.yml").read_text(), count=1, flags=re.S))),
    ("errors that count as slow", "promtool tests", "slow_ratio",
     in_text("prometheus/rules.yml", '{status_class!="5xx"}', "")),
    ("an alert without a runbook", "alerts", "has no runbook",
     in_text("prometheus/alerts.yml",
             "          runbook: docs/runbooks.md#plimsolldown\n", "")),
    ("a severity nobody knows", "alerts", "severity",
     in_text("prometheus/alerts.yml", "severity: ticket", "severity: info")),
    ("a metric in a rule that does not exist", "names", "no metric plimsoll_redy",
     in_text("prometheus/alerts.yml", "plimsoll_ready == 0", "plimsoll_redy == 0")),
    ("a label in a rule that does not exist", "names", "no label kinds",
     in_text("prometheus/alerts.yml", '{kind="none_healthy"}', '{kinds="none_healthy"}')),
    ("a label value that never occurs", "names", "never none_helthy",
     in_text("prometheus/alerts.yml", '"none_healthy"', '"none_helthy"')),
    ("a metric in a panel that does not exist", "names", "plimsoll_problem_total",
     in_text(GRAFANA, "plimsoll_problems_total", "plimsoll_problem_total")),
    ("a metric that no panel shows", "names", "no panel shows plimsoll_drain_cut_requests_total",
     in_text(GRAFANA, "plimsoll_drain_cut_requests_total", "plimsoll_requests_in_flight")),
    ("a grouping by a label that is not there", "names", "the label device",
     in_text(GRAFANA, "sum by (code)", "sum by (device)")),
    ("a legend of a label that is not there", "names", "legend names codes",
     in_text(GRAFANA, "{{code}}", "{{codes}}")),
    ("a query of a panel that does not parse", "names", "does not parse",
     stat(lambda panel: panel["targets"][0].update(expr="sum(plimsoll_ready"))),
    ("a LogQL query that does not parse", "names", "does not parse",
     in_text(REQUESTS, "unwrap latency_us", "unwrap")),
    ("a field that the log has not", "names", "no field latency_ms",
     in_text(REQUESTS, "unwrap latency_us", "unwrap latency_ms")),
    ("a column that the log has not", "names", "no field remote_ip",
     in_text(REQUESTS, '"client_ip"', '"remote_ip"')),
    ("a number where Grafana wants text", "grafana types", "not assignable",
     stat(lambda panel: panel.update(title=7))),
    ("an option that Grafana does not know", "grafana types", "graphModus",
     stat(lambda panel: panel["options"].update(graphModus="none"))),
    ("an option with a value Grafana does not know", "grafana types", "pie",
     stat(lambda panel: panel["options"].update(graphMode="pie"))),
    ("a panel of an unknown kind", "grafana types", "type",
     stat(lambda panel: panel.update(type="speedometer"))),
    ("a panel without a unit", "house", "no unit",
     stat(lambda panel: panel["fieldConfig"]["defaults"].pop("unit"))),
    ("a panel that does not say what to do", "house", "what to do",
     stat(lambda panel: panel.update(description="The number of ready nodes of all nodes."))),
    ("a data source by its name", "house", "names a data source",
     stat(lambda panel: panel["datasource"].update(uid="PBFA97CFB590B2093"))),
    ("a node's address", "house", "is an address",
     in_text(GRAFANA, 'instance=~\\"$instance\\"', 'instance=\\"10.0.0.7:8081\\"')),
    ("panels over one another", "house", "lies over",
     stat(lambda panel: panel["gridPos"].update(w=9))),
    ("another service level", "house", "300 ms",
     in_text("grafana/plimsoll-endpoint.json", '"value": 0.3', '"value": 0.5')),
    ("a widget of an unknown kind", "datadog model", "fits no type",
     in_json(lambda one: one["widgets"][0]["definition"]["widgets"][0]["definition"].update(
         type="speedometer"), DATADOG)),
    ("a key that Datadog's model has not", "datadog model", "unknown key colour",
     in_json(lambda one: of_first_request(one).update(colour="red"), DATADOG)),
    ("a key of the whole that Datadog's model has not", "datadog model", "theme",
     in_json(lambda one: one.update(theme="dark"), DATADOG)),
    ("a dashboard without widgets", "datadog model", "widgets",
     in_json(lambda one: one.pop("widgets"), DATADOG)),
    ("a metric that Datadog does not get", "datadog names", "plimsoll.problems.total",
     in_text(DATADOG, "plimsoll.problems.count", "plimsoll.problems.total")),
    ("a tag that Datadog does not get", "datadog names", "no tag service",
     in_text(DATADOG, "by {plimsoll_service}", "by {service}")),
    ("percentiles of a count", "datadog names", "no percentiles",
     in_text(DATADOG, "p95:plimsoll.request_duration_seconds{",
             "p95:plimsoll.requests_in_flight{")),
    ("a formula of a query that is not there", "datadog names", "no query of it",
     in_text(DATADOG, '"formula": "p95"', '"formula": "p90"')),
    ("a log attribute that is not there", "datadog names", "no field latency_ms",
     in_text("datadog/plimsoll-requests.json", "@latency_us", "@latency_ms")),
    ("a metric that the Agent is not told of", "datadog names", "conf.yaml lacks plimsoll_ready",
     in_text("datadog/conf.yaml", "      - plimsoll_ready: ready\n", "")),
    ("a label that means something else to Datadog", "agent", "forbidden tag: service",
     in_text("datadog/conf.yaml", "      service: plimsoll_service\n", "")),
    ("a metric under another name than we say", "datadog names", "no metric plimsoll.ready",
     in_text("datadog/conf.yaml", "plimsoll_ready: ready", "plimsoll_ready: redy")),
    ("a count that the Agent leaves out", "agent", "duration_seconds.count does not come",
     in_text("datadog/conf.yaml", "collect_counters_with_distributions: true",
             "collect_counters_with_distributions: false")),
    ("a mount that is not there", "files", "no such file",
     in_text("compose.yml", "./loki/config.alloy", "./loki/config.river")),
]


def copies(tree, directory):
    """Each fault with a fresh copy that has it."""
    for number, (what, check, says, breaks) in enumerate(FAULTS):
        copy = directory / f"broken-{number}"
        shutil.copytree(tree, copy, ignore=shutil.ignore_patterns("__pycache__"))
        before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
        breaks(copy)
        if all(path.read_bytes() == content for path, content in before.items()):
            raise RuntimeError(f"{what}: nothing was broken")
        yield what, check, says, copy
        shutil.rmtree(copy)
