"""What Grafana's panels have in common, so that a dashboard's file says only what is its own."""

SCHEMA_VERSION = 42  # As @grafana/schema has it, which tests/dashboards pins.
COLUMNS = 24

# The promised service levels.
AVAILABILITY = 0.999
LATENCY_SECONDS = 0.3
LATENCY_SHARE = 0.95

PROMETHEUS = {"type": "prometheus", "uid": "${datasource}"}
LOKI = {"type": "loki", "uid": "${logs}"}

# What every query of the node and every query of requests is narrowed by.
NODE = 'job=~"$job",instance=~"$instance"'
SERVICE = f'{NODE},service=~"$service"'

GREEN, AMBER, RED = "green", "orange", "red"


def above(red, amber=None):
    """Red from `red` on, amber from `amber` on."""
    steps = [{"color": GREEN, "value": None}]
    if amber is not None:
        steps.append({"color": AMBER, "value": amber})
    return [*steps, {"color": RED, "value": red}]


def below(green, amber=None):
    """Green from `green` on, amber from `amber` on, red below."""
    steps = [{"color": RED, "value": None}]
    if amber is not None:
        steps.append({"color": AMBER, "value": amber})
    return [*steps, {"color": GREEN, "value": green}]


AVAILABLE = below(AVAILABILITY)
ERRORS = above(round(1 - AVAILABILITY, 6))
FAST = above(LATENCY_SECONDS)
WITHIN = below(LATENCY_SHARE)
ANY = above(0.000001)  # One is too many.
# For figures that are neither good nor bad.
PLAIN = [{"color": GREEN, "value": None}]

POINTS = "short"
PER_SECOND = "reqps"
SHARE = "percentunit"


def rate(metric, labels, by="", window="$__rate_interval"):
    """Per second, summed over nodes."""
    of = f" by ({by})" if by else ""
    return f"sum{of} (rate({metric}{{{labels}}}[{window}]))"


def share(part, whole):
    """`part` of `whole`: nought where there is no part, nothing where there is no whole."""
    return f"(({part}) or 0 * ({whole})) / (({whole}) > 0)"


def errors(metric, labels, by="", window="$__rate_interval"):
    """The share of server errors. A class that never occurred has no series, hence `share`."""
    failed = rate(metric, f'{labels},status_class="5xx"', by, window)
    return share(failed, rate(metric, labels, by, window))


def quantile(q, labels, by="", window="$__rate_interval",
             metric="plimsoll_request_duration_seconds"):
    groups = f"le, {by}" if by else "le"
    return f"histogram_quantile({q}, {rate(f'{metric}_bucket', labels, groups, window)})"


def query(expr, legend="__auto", **more):
    """One PromQL query of a panel."""
    return {"expr": expr, "legendFormat": legend, **more}


def at_once(expr, legend="__auto"):
    """One value now, not a line."""
    return query(expr, legend, instant=True, range=False, format="table")


def panel(kind, title, description, queries, unit, thresholds, size, options, custom=None,
          datasource=None, **more):
    """A panel of any kind. `size` is width and height in Grafana's grid."""
    datasource = datasource or PROMETHEUS
    targets = [
        {
            "datasource": datasource, "editorMode": "code", "range": True, "instant": False,
            **one, "refId": chr(ord("A") + number),
        }
        for number, one in enumerate(queries)
    ]
    defaults = {
        "unit": unit,
        "color": {"mode": "thresholds" if kind in ("stat", "table") else "palette-classic"},
        "thresholds": {"mode": "absolute", "steps": thresholds},
        "custom": custom or {},
    }
    for key in ("min", "max", "decimals", "noValue", "mappings", "links"):
        if key in more:
            defaults[key] = more.pop(key)
    return {
        "type": kind, "title": title, "description": description, "datasource": datasource,
        "targets": targets, "options": options, "gridPos": {"w": size[0], "h": size[1]},
        "fieldConfig": {"defaults": defaults, "overrides": more.pop("overrides", [])},
        **more,
    }


def stat(title, description, expr, unit, thresholds=None, text="auto", legend="__auto",
         width=4, **more):
    options = {
        "colorMode": "value", "graphMode": "none", "justifyMode": "auto",
        "orientation": "auto", "percentChangeColorMode": "standard",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "showPercentChange": False, "textMode": text, "wideLayout": True,
    }
    one = query(expr, legend, instant=True, range=False)
    return panel("stat", title, description, [one], unit, thresholds or PLAIN, (width, 4),
                 options, **more)


def lines(title, description, queries, unit, thresholds=None, width=12, stacked=False, **more):
    """Lines over time. Thresholds that are given are drawn."""
    custom = {
        "drawStyle": "line", "fillOpacity": 30 if stacked else 0, "lineWidth": 1,
        "showPoints": "auto", "spanNulls": False,
        "stacking": {"group": "A", "mode": "normal" if stacked else "none"},
        "thresholdsStyle": {"mode": "dashed" if thresholds else "off"},
    }
    options = {
        "legend": {"calcs": ["lastNotNull", "max"], "displayMode": "table",
                   "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    return panel("timeseries", title, description, queries, unit, thresholds or PLAIN,
                 (width, 8), options, custom, **{"min": 0, **more})


def column(name, unit=None, thresholds=None, **more):
    """What a table's column has of its own."""
    properties = []
    if unit:
        properties.append({"id": "unit", "value": unit})
    if thresholds:
        steps = {"mode": "absolute", "steps": thresholds}
        properties.append({"id": "thresholds", "value": steps})
        cell = {"type": "color-text"}
        properties.append({"id": "custom.cellOptions", "value": cell})
    properties += [{"id": key, "value": value} for key, value in more.items()]
    return {"matcher": {"id": "byName", "options": name}, "properties": properties}


def table(title, description, keys, columns, sort, width=24, height=10):
    """A row for each value of the labels `keys`; `columns` are (name, PromQL, unit, thresholds)."""
    names = {"Value #" + chr(ord("A") + n): name for n, (name, *_) in enumerate(columns)}
    order = {name: place for place, name in enumerate([*keys, *names])}
    transformations = [
        {"id": "merge", "options": {}},
        {"id": "organize", "options": {
            "excludeByName": {"Time": True}, "indexByName": order, "renameByName": names}},
    ]
    options = {"cellHeight": "sm", "frameIndex": 0, "showHeader": True,
               "sortBy": [{"desc": True, "displayName": sort}]}
    overrides = [column(name, unit, steps) for name, _, unit, steps in columns]
    return panel("table", title, description, [at_once(expr) for _, expr, _, _ in columns],
                 POINTS, PLAIN, (width, height), options, {"filterable": True},
                 overrides=overrides, transformations=transformations)


def row(title, *panels):
    """A heading and what stands below it."""
    return [{"type": "row", "title": title, "collapsed": False, "panels": []}, *panels]


def placed(panels):
    """Numbers the panels and lays them out from left to right, then downwards."""
    across = down = high = 0
    for number, one in enumerate(panels, 1):
        one["id"] = number
        if one["type"] == "row":
            one["gridPos"] = {"w": COLUMNS, "h": 1}
        place = one["gridPos"]
        if across + place["w"] > COLUMNS:
            across, down, high = 0, down + high, 0
        place["x"], place["y"] = across, down
        across, high = across + place["w"], max(high, place["h"])
    return panels


def source(name="datasource", label="Metrics", kind="prometheus", hide=0):
    """A variable that picks a data source, so that no dashboard names one."""
    return {"type": "datasource", "name": name, "label": label, "query": kind, "refresh": 1,
            "regex": "", "options": [], "hide": hide, "includeAll": False,
            "multi": False}


def choice(name, label, metric, within=""):
    """A variable with the values of a label, all of them at first."""
    text = f"label_values({metric}{{{within}}}, {name})" if within else (
        f"label_values({metric}, {name})")
    return {
        "type": "query", "name": name, "label": label, "datasource": PROMETHEUS,
        "query": {"qryType": 1, "query": text, "refId": "PrometheusVariableQueryEditor"},
        "refresh": 2, "sort": 1, "regex": "", "multi": True, "includeAll": True,
        "allValue": ".*", "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        "options": [], "hide": 0,
    }


def nodes_and_services():
    """The variables that every dashboard of metrics begins with."""
    return [
        source(),
        choice("job", "Job", "plimsoll_build_info"),
        choice("instance", "Node", "plimsoll_build_info", 'job=~"$job"'),
        choice("service", "Service", "plimsoll_requests_total", NODE),
    ]


def dashboard(uid, title, description, variables, rows, refresh="30s", since="now-3h"):
    panels = [one for of_row in rows for one in of_row]
    link = {
        "asDropdown": False, "icon": "external link", "includeVars": False, "keepTime": True,
        "tags": ["plimsoll"], "targetBlank": False, "title": "Plimsoll", "tooltip": "",
        "type": "dashboards", "url": "",
    }
    return {
        "uid": uid, "title": title, "description": description, "tags": ["plimsoll"],
        "schemaVersion": SCHEMA_VERSION, "version": 1, "editable": True, "graphTooltip": 1,
        "timezone": "browser", "refresh": refresh, "time": {"from": since, "to": "now"},
        "links": [link], "annotations": {"list": []},
        "templating": {"list": variables}, "panels": placed(panels),
    }
