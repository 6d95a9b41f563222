"""Grafana's dashboards: by Grafana's own types, by the house's rules, by the names they use."""

import json
import re
import subprocess

import known

# Panels whose options have types of their own.
PANELS = {
    "heatmap": "heatmap/panelcfg/x/HeatmapPanelCfg", "logs": "logs/panelcfg/x/LogsPanelCfg",
    "stat": "stat/panelcfg/x/StatPanelCfg", "table": "table/panelcfg/x/TablePanelCfg",
    "timeseries": "timeseries/panelcfg/x/TimeSeriesPanelCfg",
}
# Metrics that no panel shows, each with its reason. Keep it short.
NOT_SHOWN = {}
# Enums of the schema are taken by their values, which is what JSON holds.
TYPES = """\
import type { Dashboard, Panel, RowPanel } from "@grafana/schema";
%(imports)s
type Plain<T> = T extends string ? `${T}` : T extends number | boolean | null | undefined ? T
  : T extends (infer E)[] ? Plain<E>[] : T extends object ? { [K in keyof T]: Plain<T[K]> } : T;
type Of<K extends string, O> = Omit<Plain<Panel>, "type" | "options"> & {
  type: K; title: string; description: string; id: number; options: Plain<O>;
};
type Row = Omit<Plain<RowPanel>, "type"> & { type: "row"; title: string };
type Known = Row | %(union)s;
type Checked = Omit<Plain<Dashboard>, "panels"> & {
  uid: string; title: string; description: string; panels: Known[];
};
export const dashboard: Checked = %(json)s;
"""


def dashboards(tree):
    """File name and content of each."""
    found = [(path.name, json.loads(path.read_text()))
             for path in sorted((tree / "grafana").glob("*.json"))]
    if len(found) < 4:
        raise RuntimeError(f"only {len(found)} dashboards in {tree / 'grafana'}")
    return found


def typed(tree, directory):
    """What the TypeScript compiler says of each dashboard as a literal of Grafana's type."""
    imports = "\n".join(
        f'import type {{ Options as {kind} }} from '
        f'"@grafana/schema/dist/esm/raw/composable/{path}_types.gen";'
        for kind, path in PANELS.items())
    union = " | ".join(f'Of<"{kind}", {kind}>' for kind in PANELS)
    where = directory / "typed"
    where.mkdir(exist_ok=True)
    for old in where.glob("*.ts"):
        old.unlink()
    for name, content in dashboards(tree):
        text = TYPES % {"imports": imports, "union": union,
                        "json": json.dumps(content, indent=1, ensure_ascii=False)}
        (where / name.replace(".json", ".ts")).write_text(text)
    (where / "tsconfig.json").write_text(json.dumps({
        "compilerOptions": {
            "strict": True, "noEmit": True, "skipLibCheck": True, "target": "es2022",
            "module": "preserve", "moduleResolution": "bundler", "types": []},
        "include": ["*.ts"]}))
    done = subprocess.run(
        ["node", directory / "node_modules" / "typescript" / "bin" / "tsc", "-p", where],
        capture_output=True, text=True, timeout=300)
    if done.returncode == 0:
        return []
    said = (done.stdout + done.stderr).strip().replace(str(where), "")
    return [f"Grafana's types refuse it: {said[:1500]}"]


def panels(dashboard):
    return [one for one in dashboard["panels"] if one["type"] != "row"]


def house_rules(tree):
    """What we ask of every panel."""
    faults, uids = [], set()
    for name, dashboard in dashboards(tree):
        uids.add(dashboard["uid"])
        text = json.dumps(dashboard)
        defined = {one["name"] for one in dashboard["templating"]["list"]}
        used = set(re.findall(r"\$\{?(\w+)", text))
        faults += [f"{name}: ${one} is no variable of it"
                   for one in used - defined if not one.startswith("__")]
        faults += [f"{name}: nothing uses the variable {one}" for one in defined - used]
        faults += [f"{name}: {found} is an address" for found in
                   re.findall(r"\b(?:localhost|\d+\.\d+\.\d+\.\d+)\b", text)]
        faults += laid_out(name, dashboard)
        for panel in panels(dashboard):
            faults += [f"{name}, {panel['title']}: {fault}" for fault in of_panel(panel)]
    if len(uids) != len(dashboards(tree)):
        faults.append("two dashboards have the same uid")
    return faults


def of_panel(panel):
    defaults = panel["fieldConfig"]["defaults"]
    described = panel.get("description", "")
    if len(described) < 40 or "If " not in described and " if " not in described:
        yield "its description does not say what to do if it is bad"
    if not defaults.get("unit"):
        yield "it has no unit"
    if not defaults.get("thresholds", {}).get("steps"):
        yield "it has no thresholds"
    if not panel["targets"]:
        yield "it asks for nothing"
    for target in [panel, *panel["targets"]]:
        if not re.fullmatch(r"\$\{(datasource|logs)\}", target["datasource"]["uid"]):
            yield f"it names a data source: {target['datasource']['uid']}"
    if defaults.get("unit") == "s" and "p95" in panel["title"]:
        if defaults["thresholds"]["steps"][-1]["value"] != 0.3:
            yield "its threshold is not the promised 300 ms"


def laid_out(name, dashboard):
    """Panels neither overlap nor share a number."""
    taken, ids = {}, set()
    for panel in dashboard["panels"]:
        if panel["id"] in ids:
            yield f"{name}: two panels have the id {panel['id']}"
        ids.add(panel["id"])
        place = panel["gridPos"]
        if place["x"] + place["w"] > 24:
            yield f"{name}, {panel['title']}: it is wider than the page"
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                if (x, y) in taken:
                    yield f"{name}: {panel['title']} lies over {taken[x, y]}"
                    return
                taken[x, y] = panel["title"]


def queries(dashboard):
    """Every query of a panel or a variable: where, language, text, legend."""
    for panel in panels(dashboard):
        for target in panel["targets"]:
            language = "logql" if target["datasource"]["type"] == "loki" else "promql"
            yield panel["title"], language, target["expr"], target.get("legendFormat", "")
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query" and variable["datasource"]["type"] == "prometheus":
            yield f"variable {variable['name']}", "promql", variable["query"]["query"], ""


def named(tree, names):
    """Each metric, label and field that a dashboard names exists; each metric is shown."""
    faults, used = [], set()
    for name, dashboard in dashboards(tree):
        for title, language, text, legend in queries(dashboard):
            where = f"{name}, {title}"
            if language == "logql":
                faults += names.logql(where, text)
                allowed = names.fields
            else:
                asked, label = values_of(text)
                faults += names.promql(where, asked, used=used)
                allowed = {one for line, metric in names.lines.items() if line in asked
                           for one in metric.labels} | known.ADDED
                if label and label not in allowed:
                    faults.append(f"{where}: no metric here has the label {label}")
            faults += [f"{where}: its legend names {one}, which it does not have"
                       for one in re.findall(r"\{\{(\w+)\}\}", legend) if one not in allowed]
        faults += fields_of_tables(name, dashboard, names)
    every = set(known.metrics())
    faults += [f"no panel shows {one}, and no exception says why"
               for one in sorted(every - used - set(NOT_SHOWN))]
    return faults + [f"the exception for {one} is not needed" for one in set(NOT_SHOWN) & used]


def values_of(text):
    """The query inside label_values, and the label it asks for."""
    found = re.fullmatch(r"label_values\((.*), (\w+)\)", text)
    return (found[1], found[2]) if found else (text, None)


def fields_of_tables(name, dashboard, names):
    """Columns of the tables that are made of log lines."""
    for panel in panels(dashboard):
        if panel["type"] != "table" or panel["datasource"]["type"] != "loki":
            continue
        columns = {one["matcher"]["options"] for one in panel["fieldConfig"]["overrides"]}
        columns |= {one["displayName"] for one in panel["options"]["sortBy"]}
        for step in panel["transformations"]:
            columns |= set(step["options"].get("indexByName", {}))
        for column in sorted(columns - names.fields):
            yield f"{name}, {panel['title']}: the access log has no field {column}"
