"""What the sources say there is: metrics, labels, label values, fields of the access log."""

import pathlib
import re

REPO = pathlib.Path(__file__).resolve().parents[2]
TELEMETRY = REPO / "crates" / "telemetry" / "src"
# Labels that Prometheus adds, and the one of a histogram's buckets.
ADDED = {"job", "instance"}


class Metric:
    def __init__(self, name, kind, labels):
        self.name = name
        self.kind = kind
        self.labels = set(labels)


def metrics():
    """By name, from docs/metrics.md, which another test holds to the code."""
    row = re.compile(r"^\| `(\w+)` \| (\w+) \| [^|]+ \| ([^|]+) \| [^|]+ \|$", re.M)
    page = (REPO / "docs" / "metrics.md").read_text()
    found = {
        name: Metric(name, kind, re.findall(r"`(\w+)`", labels))
        for name, kind, labels in row.findall(page)
    }
    if len(found) < 40:
        raise RuntimeError(f"docs/metrics.md has only {len(found)} rows that can be read")
    return found


def exposed(found):
    """By the name of a line: a histogram has three, a summary two."""
    lines = {}
    for metric in found.values():
        if metric.kind in ("histogram", "summary"):
            lines[f"{metric.name}_sum"] = lines[f"{metric.name}_count"] = metric
            if metric.kind == "histogram":
                bucket = Metric(metric.name, "histogram", metric.labels | {"le"})
                lines[f"{metric.name}_bucket"] = bucket
        else:
            lines[metric.name] = metric
    return lines


def label_values():
    """Label values that stand in the code: enums of counters, status classes, the own limit."""
    texts = [
        (TELEMETRY / "counter" / "labels.rs").read_text(),
        (TELEMETRY / "exposition.rs").read_text(),
        (REPO / "crates" / "edge" / "src" / "config.rs").read_text(),
    ]
    return {value for text in texts for value in re.findall(r'"([\w-]+)"', text)}


def log_fields():
    """Fields of a line of the access log."""
    text = (TELEMETRY / "access" / "format.rs").read_text().split("pub(super) fn human")[0]
    found = set(re.findall(r'\\"(\w+)\\":', text))
    if len(found) < 18:
        raise RuntimeError(f"format.rs has only {len(found)} fields that can be read: {found}")
    return found
