"""Datadog's dashboards by the model of its API, and what the Agent's own check makes of ours."""

import json
import os
import re

import yaml

import known

QUERY = re.compile(
    r"(?P<space>\w+):(?P<metric>[\w.]+)\{(?P<filters>[^}]*)\}(?: by \{(?P<by>[^}]*)\})?"
    r"(?P<as>\.as_(?:count|rate)\(\))?")
# A word of a formula that is a function.
FUNCTIONS = {"default_zero"}
RESERVED = {"host", "source"}


def dashboards(tree):
    found = [(path.name, json.loads(path.read_text()))
             for path in sorted((tree / "datadog").glob("*.json"))]
    if len(found) < 4:
        raise RuntimeError(f"only {len(found)} dashboards in {tree / 'datadog'}")
    return found


def modelled(tree):
    """Reads each dashboard by the model of Datadog's own client; nothing may be left over."""
    from datadog_api_client.v1.model.dashboard import Dashboard
    from datadog_api_client.v1.model.widget import Widget

    faults = []
    for name, content in dashboards(tree):
        # The innermost first: a group with one wrong widget fits no type as a whole.
        for title, widget in widgets(content.get("widgets", [])):
            faults += [f"{name}, {title}{fault}" for fault in read(widget, Widget)]
        if not any(fault.startswith(name) for fault in faults):
            faults += [f"{name}{fault}" for fault in read(content, Dashboard)]
    return faults


def widgets(of):
    for one in of:
        yield from widgets(one["definition"].get("widgets", []))
        yield one["definition"].get("title", "?"), one


def read(content, model):
    """What the client says of the content, and what it kept without understanding it."""
    from datadog_api_client import Configuration
    from datadog_api_client.model_utils import validate_and_convert_types

    try:
        found = validate_and_convert_types(content, (model,), [""], True, True, Configuration())
    except Exception as error:  # Several kinds, none of them documented as all.
        return [f": {str(error)[:300]}"]
    return list(left_over(found, ""))


def left_over(value, where):
    """The client refuses nothing by itself: it keeps what it does not understand."""
    if type(value).__name__ == "UnparsedObject":
        yield f"{where}: fits no type: {str(value)[:200]}"
    elif isinstance(value, list):
        for number, one in enumerate(value):
            yield from left_over(one, f"{where}[{number}]")
    elif isinstance(value, dict):
        yield f"{where}: is an object without a type"
    elif getattr(value, "_composed_instances", None):
        for one in value._composed_instances:
            yield from left_over(one, where)
    elif hasattr(value, "_data_store"):
        for key, one in value._data_store.items():
            if key not in value.openapi_types:
                yield f"{where}: unknown key {key} in {type(value).__name__}"
            yield from left_over(one, f"{where}.{key}")


def sent(conf):
    """By Datadog's name: kind and tags of each metric, as `conf.yaml` maps it."""
    instance = conf["instances"][0]
    renamed = instance["rename_labels"]
    names = {key: value for one in instance["metrics"] for key, value in one.items()}
    found = {}
    for metric in known.metrics().values():
        base = f"plimsoll.{names.get(metric.name.removesuffix('_total'), '?')}"
        tags = {renamed.get(label, label) for label in metric.labels} | {"host"}
        if metric.kind == "counter":
            found[f"{base}.count"] = ("count", tags)
        elif metric.kind == "gauge":
            found[base] = ("gauge", tags)
        else:
            found[f"{base}.count"] = found[f"{base}.sum"] = ("count", tags)
            if metric.kind == "histogram":
                found[base] = ("distribution", tags)
    return found


def configured(tree):
    return yaml.safe_load((tree / "datadog" / "conf.yaml").read_text())


def mapped(tree):
    """conf.yaml names each metric, and nothing else."""
    names = {key for one in configured(tree)["instances"][0]["metrics"] for key in one}
    ours = {name.removesuffix("_total") for name in known.metrics()}
    return ([f"conf.yaml lacks {name}" for name in sorted(ours - names)]
            + [f"conf.yaml: there is no metric {name}" for name in sorted(names - ours)])


def requests(widget):
    """Requests of a widget and of those inside it, with their titles."""
    definition = widget["definition"]
    for inside in definition.get("widgets", []):
        yield from requests(inside)
    for request in definition.get("requests", []):
        yield definition, request


def named(tree):
    """Each metric, tag and field that a dashboard names exists."""
    metrics, fields, faults = sent(configured(tree)), known.log_fields(), []
    for name, dashboard in dashboards(tree):
        variables = {one["name"] for one in dashboard["template_variables"]}
        for one in dashboard["template_variables"]:
            faults += [f"{name}: {fault}" for fault in of_variable(one, metrics, fields)]
        for widget in dashboard["widgets"]:
            for definition, request in requests(widget):
                where = f"{name}, {definition['title']}"
                if "If " not in definition.get("description", ""):
                    faults.append(f"{where}: it does not say what to do if it is bad")
                faults += [f"{where}: {fault}"
                           for fault in of_request(request, metrics, fields, variables)]
    return faults


def of_variable(one, metrics, fields):
    prefix = one["prefix"]
    tags = {tag for _, of in metrics.values() for tag in of}
    if prefix.startswith("@"):
        if prefix[1:] not in fields:
            yield f"the access log has no field {prefix}"
    elif prefix not in tags:
        yield f"no metric has the tag {prefix}"


def of_request(request, metrics, fields, variables):
    names = set()
    for query in request.get("queries", []):
        names.add(query["name"])
        if query["data_source"] == "metrics":
            yield from of_query(query["query"], metrics, variables)
        else:
            text = json.dumps(query)
            yield from of_log(text, query["search"]["query"], fields, variables)
    for formula in request.get("formulas", []):
        for word in re.findall(r"[a-z]\w*", formula["formula"]):
            if word not in names | FUNCTIONS:
                yield f"its formula names {word}, which is no query of it"
    if "columns" in request:
        text = json.dumps(request)
        yield from of_log(text, request["query"]["query_string"], fields, variables)


def of_query(text, metrics, variables):
    found = QUERY.fullmatch(text)
    if not found:
        yield f"cannot be read: {text}"
        return
    kind, tags = metrics.get(found["metric"], (None, set()))
    if kind is None:
        yield f"there is no metric {found['metric']}"
        return
    if (found["as"] is not None) != (kind == "count"):
        yield f"{found['metric']} is a {kind}: {text}"
    if re.fullmatch(r"p\d+", found["space"]) and kind != "distribution":
        yield f"{found['metric']} has no percentiles"
    for part in filter(None, found["filters"].split(",")):
        if part.startswith("$"):
            if part[1:] not in variables:
                yield f"{part} is no variable of it"
        elif part.split(":")[0] not in tags:
            yield f"{found['metric']} has no tag {part.split(':')[0]}"
    for tag in filter(None, (found["by"] or "").split(",")):
        if tag not in tags:
            yield f"{found['metric']} has no tag {tag}"


def of_log(text, search, fields, variables):
    for field in re.findall(r"@(\w+)", text):
        if field not in fields:
            yield f"the access log has no field {field}"
    for word in search.split():
        if word.startswith("$") and word[1:] not in variables:
            yield f"{word} is no variable of it"


def submitted(tree, url):
    """Names that the Agent's own check sends for what `url` answers, by kind."""
    # The check refuses tags that mean something else to Datadog unless this is set.
    os.environ.pop("DDEV_SKIP_GENERIC_TAGS_CHECK", None)
    from datadog_checks.base import OpenMetricsBaseCheckV2
    from datadog_checks.base.stubs import aggregator

    class Check(OpenMetricsBaseCheckV2):
        __NAMESPACE__ = ""
        DEFAULT_METRIC_LIMIT = 0

    instance = {**configured(tree)["instances"][0], "openmetrics_endpoint": url}
    aggregator.reset()
    check = Check("openmetrics", {}, [instance])
    for _ in range(2):
        failure = check.run()
        if failure:
            raise RuntimeError(f"the Agent's check failed: {failure[-600:]}")
    counts = {name for name in aggregator.metric_names
              if aggregator.metrics(name)[0].type == aggregator.MONOTONIC_COUNT}
    made = {name: "count" if name in counts else "gauge" for name in aggregator.metric_names}
    made.update({name: "distribution" for name in aggregator._histogram_buckets})
    return made
