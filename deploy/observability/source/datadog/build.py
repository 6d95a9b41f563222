"""What Datadog's widgets have in common. Metric names are as the Agent's OpenMetrics check makes
them with `conf.yaml`: `plimsoll_x_total` is `plimsoll.x.count`, a histogram a distribution."""

COLUMNS = 12

# The promised service levels, in percent and seconds.
AVAILABILITY = 99.9
LATENCY_SECONDS = 0.3
LATENCY_SHARE = 95

# Template variables, as queries name them. The Agent's file renames `service`, which means
# something else to Datadog.
NODE = "$host"
SERVICE = "$host,$plimsoll_service"
REQUESTS = "plimsoll.requests.count"
WITHIN = "plimsoll.requests_within_objective.count"
DURATION = "plimsoll.request_duration_seconds"


def units(unit):
    """A unit of Datadog's; `percent` and `second` scale, `request` a second as a rate."""
    if not unit:
        return {}
    canonical = {"type": "canonical_unit", "unit_name": unit.split("/")[0]}
    if "/" in unit:
        canonical["per_unit_name"] = unit.split("/")[1]
    return {"number_format": {"unit": canonical}}


def red_below(limit):
    return [{"comparator": "<", "value": limit, "palette": "white_on_red"},
            {"comparator": ">=", "value": limit, "palette": "white_on_green"}]


def red_above(limit):
    return [{"comparator": ">", "value": limit, "palette": "white_on_red"},
            {"comparator": "<=", "value": limit, "palette": "white_on_green"}]


AVAILABLE = red_below(AVAILABILITY)
FAST = red_above(LATENCY_SECONDS)
SHARE = red_below(LATENCY_SHARE)
ERRORS = red_above(round(100 - AVAILABILITY, 6))


def metric(query, name="a", aggregator="avg"):
    """One metric query. `aggregator` makes one value of many."""
    return {"data_source": "metrics", "name": name, "query": query, "aggregator": aggregator}


def total(name, filters, by="", more=""):
    """A count's increase, summed over nodes."""
    of = f" by {{{by}}}" if by else ""
    labels = f"{filters},{more}" if more else filters
    return f"sum:{name}{{{labels}}}{of}.as_count()"


def per_second(name, filters, by="", more=""):
    return total(name, filters, by, more).replace(".as_count()", ".as_rate()")


def gauge(name, filters, by="", aggregation="sum"):
    of = f" by {{{by}}}" if by else ""
    return f"{aggregation}:{name}{{{filters}}}{of}"


def ratio(part, whole):
    """The queries and the formula of a share, in percent; no part is nought."""
    queries = [metric(part, "part", "sum"), metric(whole, "whole", "sum")]
    return queries, "default_zero(part) / whole * 100"


def errors(filters, by="", name=REQUESTS):
    return ratio(total(name, filters, by, "status_class:5xx"), total(name, filters, by))


def within(filters, by="", good=WITHIN, name=REQUESTS):
    return ratio(total(good, filters, by), total(name, filters, by))


def latency(filters, quantile, by="", name="a", of=DURATION):
    """A percentile of the distribution; percentiles must be switched on for it."""
    groups = f" by {{{by}}}" if by else ""
    return metric(f"p{quantile}:{of}{{{filters}}}{groups}", name)


def response(kind, queries, formulas, unit, **more):
    shown = [{**({"formula": one} if isinstance(one, str) else one), **units(unit)}
             for one in formulas]
    return {"response_format": kind, "queries": queries, "formulas": shown, **more}


def widget(definition, width, height):
    return {"definition": definition, "layout": {"width": width, "height": height}}


def value(title, description, queries, formula, unit, formats=None, width=2, precision=2):
    more = {"conditional_formats": formats} if formats else {}
    return widget({
        "type": "query_value", "title": title, "description": description,
        "autoscale": True, "precision": precision,
        "requests": [response("scalar", queries, [formula], unit, **more)],
    }, width, 2)


def marker(limit, label):
    """A line drawn at a promised level."""
    return [{"value": f"y = {limit}", "display_type": "error dashed", "label": label}]


def lines(title, description, queries, formulas, unit, width=6, markers=None, bars=False):
    """Lines over time, or stacked bars."""
    plain = [{key: each for key, each in one.items() if key != "aggregator"} for one in queries]
    more = {"display_type": "bars" if bars else "line"}
    return widget({
        "type": "timeseries", "title": title, "description": description, "show_legend": True,
        "legend_layout": "auto", "legend_columns": ["avg", "max", "value"],
        "requests": [response("timeseries", plain, formulas, unit, **more)],
        **({"markers": markers} if markers else {}),
    }, width, 3)


def table(title, description, columns, limit=50, width=12, height=5):
    """A row for each group. `columns` are (alias, queries, formula, unit, formats)."""
    requests, formulas = [], []
    for number, (alias, queries, formula, unit, formats) in enumerate(columns):
        names = {one["name"]: f"{one['name']}{number}" for one in queries}
        for old, new in names.items():
            formula = formula.replace(old, new) if old != "a" else formula
        if "a" in names:
            formula = names["a"]
        requests += [{**one, "name": names[one["name"]]} for one in queries]
        formulas.append({"formula": formula, "alias": alias, **units(unit),
                         **({"conditional_formats": formats} if formats else {})})
    sort = {"count": limit, "order_by": [{"type": "formula", "index": 0, "order": "desc"}]}
    return widget({
        "type": "query_table", "title": title, "description": description,
        "requests": [{"response_format": "scalar", "queries": requests, "formulas": formulas,
                      "sort": sort}],
        "has_search_bar": "auto",
    }, width, height)


def group(title, *widgets):
    """A heading and what stands below it, laid out from left to right, then downwards."""
    across = down = high = 0
    for one in widgets:
        place = one["layout"]
        if across + place["width"] > COLUMNS:
            across, down, high = 0, down + high, 0
        place["x"], place["y"] = across, down
        across, high = across + place["width"], max(high, place["height"])
    definition = {"type": "group", "title": title, "layout_type": "ordered",
                  "widgets": list(widgets)}
    return {"definition": definition, "layout": {
        "x": 0, "y": 0, "width": COLUMNS, "height": down + high + 1}}


def variable(name):
    return {"name": name, "prefix": name, "available_values": [], "defaults": ["*"]}


def dashboard(title, description, variables, groups):
    down = 0
    for one in groups:
        one["layout"]["y"] = down
        down += one["layout"]["height"]
    return {
        "title": title, "description": description, "layout_type": "ordered",
        "reflow_type": "fixed", "notify_list": [],
        "template_variables": [variable(name) for name in variables], "widgets": groups,
    }
