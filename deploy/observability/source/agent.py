"""The Datadog Agent's file for the OpenMetrics check, from the page of metrics."""

import re

HEAD = """\
# The Datadog Agent's OpenMetrics check, for a Plimsoll node on the same host. Made by
# deploy/observability/generate from docs/metrics.md. Copy it to
# /etc/datadog-agent/conf.d/openmetrics.d/conf.yaml and restart the Agent.
init_config:

instances:
  - openmetrics_endpoint: http://127.0.0.1:8081/metrics # `ops.listen` of the manifest
    namespace: plimsoll
    # A histogram becomes a distribution of the same name; _count and _sum come beside it.
    histogram_buckets_as_distributions: true
    collect_counters_with_distributions: true
    # `service` and `version` mean something of their own to Datadog.
    rename_labels:
      service: plimsoll_service
      version: plimsoll_version
    # Off, because its tag would make a series of each node's address.
    tag_by_endpoint: false
    # The check stops at 2,000 values unless told otherwise; a node at the default bound on series
    # has some 300,000. Datadog bills by series: lower telemetry.series_max before you raise this.
    max_returned_metrics: 20000
    # Names as they are exposed, without _total, to what comes after `plimsoll.`.
    metrics:
"""


def documented(page):
    """Name, type and labels of each metric of docs/metrics.md."""
    row = re.compile(r"^\| `(\w+)` \| (\w+) \| [^|]+ \| ([^|]+) \| [^|]+ \|$", re.M)
    for name, kind, labels in row.findall(page):
        yield name, kind, re.findall(r"`(\w+)`", labels)


def exposed(name):
    """The name without the suffix that the check takes off a counter."""
    return name.removesuffix("_total")


def sent(name):
    """What stands after `plimsoll.` in Datadog."""
    return exposed(name).removeprefix("plimsoll_")


def conf(page):
    lines = [f"      - {exposed(name)}: {sent(name)}\n" for name, _, _ in documented(page)]
    return HEAD + "".join(lines)
