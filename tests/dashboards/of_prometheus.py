"""Rules and the example of a configuration, by promtool and by what the sources know."""

import json
import re
import subprocess

import yaml

import known


def promtool(tool, *words, cwd):
    """What promtool complains of."""
    done = subprocess.run([tool, *words], cwd=cwd, capture_output=True, text=True, timeout=120)
    if done.returncode == 0:
        return []
    return [f"promtool {' '.join(words[:2])}: {(done.stdout + done.stderr).strip()[-1500:]}"]


def checked(tree, tool):
    where = tree / "prometheus"
    return (
        promtool(tool, "check", "config", "scrape.yml", cwd=where)
        + promtool(tool, "check", "rules", "rules.yml", "alerts.yml", cwd=where)
    )


def tested(tree, tool):
    where = tree / "prometheus"
    tests = sorted(f"tests/{path.name}" for path in (where / "tests").glob("*.yml"))
    return promtool(tool, "test", "rules", *tests, cwd=where) if tests else ["there are no tests"]


def rules(tree):
    """Every rule of both files."""
    for name in ("rules.yml", "alerts.yml"):
        for group in yaml.safe_load((tree / "prometheus" / name).read_text())["groups"]:
            yield from group["rules"]


def promised(tree):
    """An alert says what is wrong and where to read on, and a test has seen it fire."""
    fired = set()
    for path in (tree / "prometheus" / "tests").glob("*.yml"):
        for test in yaml.safe_load(path.read_text())["tests"]:
            for one in test.get("alert_rule_test", []):
                if one["exp_alerts"]:
                    fired.add(one["alertname"])
    page = (known.REPO / "docs" / "runbooks.md").read_text()
    headings = {line[3:].strip().lower() for line in page.splitlines() if line.startswith("## ")}
    faults, alerts = [], set()
    for rule in rules(tree):
        if "alert" not in rule:
            continue
        name, notes = rule["alert"], rule.get("annotations", {})
        alerts.add(name.lower())
        for wanted in ("summary", "description", "runbook"):
            if not notes.get(wanted):
                faults.append(f"alert {name} has no {wanted}")
        if rule.get("labels", {}).get("severity") not in ("page", "ticket"):
            faults.append(f"alert {name}: its severity is neither page nor ticket")
        if notes.get("runbook") != f"docs/runbooks.md#{name.lower()}":
            faults.append(f"alert {name}: its runbook is {notes.get('runbook')!r}")
        if name.lower() not in headings:
            faults.append(f"docs/runbooks.md has no section {name}")
        if name not in fired:
            faults.append(f"no test sees {name} fire")
    faults += [f"docs/runbooks.md: there is no alert {name}"
               for name in headings - alerts if name.startswith("plimsoll")]
    return faults


def queries(tree):
    """Where a query stands, and the query."""
    for rule in rules(tree):
        name = rule.get("alert") or rule.get("record")
        yield f"rule {name}", rule["expr"]


def recorded(tree):
    """Names that recording rules make, with the labels they leave."""
    made = {}
    for rule in rules(tree):
        if "record" in rule:
            level = rule["record"].split(":")[0]
            labels = {"service", "operation", "device_model"}
            made[rule["record"]] = known.Metric(
                rule["record"], "gauge", {one for one in labels if one in level})
    return made


class Names:
    """Judges the names in PromQL and LogQL; a process of Node's reads the queries."""

    def __init__(self, directory):
        self.node = subprocess.Popen(
            ["node", "queries.mjs"], cwd=directory, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True)
        self.lines = known.exposed(known.metrics())
        self.values = known.label_values()
        self.fields = known.log_fields()

    def close(self):
        self.node.stdin.close()
        self.node.wait(10)

    def read(self, language, query):
        self.node.stdin.write(json.dumps({"language": language, "query": query}) + "\n")
        self.node.stdin.flush()
        return json.loads(self.node.stdout.readline())

    def promql(self, where, query, made=None, used=None):
        """Faults of one query. `made` are recorded names, `used` collects the metrics."""
        seen = self.read("promql", query)
        if "error" in seen:
            return [f"{where}: {seen['error']}"]
        lines = {**self.lines, "up": known.Metric("up", "gauge", []), **(made or {})}
        faults, labels = [], set(known.ADDED)
        for one in seen["metrics"]:
            metric = lines.get(one["name"])
            if metric is None:
                faults.append(f"{where}: there is no metric {one['name']}")
                continue
            if used is not None:
                used.add(metric.name)
            labels |= metric.labels
            for label, operator, value in one["matchers"]:
                if label not in metric.labels | known.ADDED:
                    faults.append(f"{where}: {one['name']} has no label {label}")
                faults += self.value(where, label, operator, value)
        faults += [f"{where}: no metric here has the label {label}"
                   for label in seen["groups"] if label not in labels]
        return faults

    def value(self, where, label, operator, value):
        """A value that is spelt out must stand in the code."""
        if label in known.ADDED or value in ("x", ""):
            return []
        parts = value.split("|") if "~" in operator else [value]
        return [f"{where}: {label} is never {part}" for part in parts
                if part not in self.values and not re.search(r"[$.*]", part)]

    def logql(self, where, query):
        seen = self.read("logql", query)
        if "error" in seen:
            return [f"{where}: {seen['error']}"]
        faults = [f"{where}: the access log has no field {field}" for field in seen["fields"]
                  if field not in self.fields | {"__error__"}]
        return faults + [f"{where}: streams are chosen by job, not by {label}"
                         for label in seen["stream"] if label != "job"]
