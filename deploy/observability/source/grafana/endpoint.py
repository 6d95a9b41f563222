"""Plimsoll: by endpoint. Which operation, release, platform or app version is slow or fails?"""

from .build import (
    ERRORS, FAST, PER_SECOND, SERVICE, SHARE, WITHIN, choice, dashboard, errors,
    lines, nodes_and_services, panel, quantile, query, rate, row, share, stat, table,
)

REQUESTS = "plimsoll_requests_total"
CHOSEN = (
    f'{SERVICE},operation=~"$operation",release=~"$release",platform=~"$platform",'
    'app_version=~"$app_version"'
)
OPERATION = "service, operation"
OF_OPERATION = "{{service}}.{{operation}}"


def within(by="", window="$__rate_interval"):
    good = rate("plimsoll_requests_within_objective_total", CHOSEN, by, window)
    return share(good, rate(REQUESTS, CHOSEN, by, window))


def chosen():
    return row(
        "What is chosen above",
        stat("Requests", "Requests a second of what is chosen. If there are none, nothing that "
             "fits the choice was seen within the last hour: widen it.",
             rate(REQUESTS, CHOSEN), PER_SECOND, width=6),
        stat("Server errors", "The share of 5xx in the time range; 0.1 % is promised at most. If "
             "it is above, compare releases below: a new one is the usual cause.",
             errors(REQUESTS, CHOSEN, window="$__range"), SHARE, ERRORS, width=6, decimals=3),
        stat("Within the objective", "Answers within the latency objective and without a server "
             "error, by the exact counter; 95 % are promised. If it is below, look at p95.",
             within(window="$__range"), SHARE, WITHIN, width=6, decimals=2),
        stat("p95", "95 % of the answers in the time range were faster; 300 ms are promised. If "
             "it is above, the heatmap shows whether all answers are slow or some.",
             quantile(0.95, CHOSEN, window="$__range"), "s", FAST, width=6),
    )


def operations():
    return row(
        "By operation",
        lines("p95 by operation", "The line is the promised 300 ms. If one operation is above, "
              "choose it above and compare releases, platforms and versions below.",
              [query(quantile(0.95, CHOSEN, OPERATION), OF_OPERATION)], "s", FAST),
        lines("Server errors by operation", "The share of 5xx; the line is the promised 0.1 %. If "
              "one operation is above, choose it above and compare releases below.",
              [query(errors(REQUESTS, CHOSEN, OPERATION), OF_OPERATION)], SHARE, ERRORS),
        lines("Requests by operation", "Requests answered a second. If one jumps, look which app "
              "version it comes from, below.",
              [query(rate(REQUESTS, CHOSEN, OPERATION), OF_OPERATION)], PER_SECOND),
        heatmap(),
        table("Operations", "The last five minutes. If a figure is red, its service level is "
              "broken; sort by a column to find the worst.",
              ["service", "operation"],
              [("requests/s", rate(REQUESTS, CHOSEN, OPERATION, "5m"), PER_SECOND, None),
               ("errors", errors(REQUESTS, CHOSEN, OPERATION, "5m"), SHARE, ERRORS),
               ("within objective", within(OPERATION, "5m"), SHARE, WITHIN),
               ("p95", quantile(0.95, CHOSEN, OPERATION, "5m"), "s", FAST)],
              sort="p95"),
    )


def heatmap():
    options = {
        "calculate": False, "cellGap": 1, "legend": {"show": True}, "showValue": "never",
        "color": {"exponent": 0.5, "fill": "dark-orange", "mode": "scheme", "reverse": False,
                  "scale": "exponential", "scheme": "Oranges", "steps": 64},
        "exemplars": {"color": "rgba(255,0,255,0.7)"}, "filterValues": {"le": 1e-9},
        "rowsFrame": {"layout": "auto"}, "tooltip": {"mode": "single", "yHistogram": False},
        "yAxis": {"axisPlacement": "left", "reverse": False, "unit": "s"},
    }
    expr = rate("plimsoll_request_duration_seconds_bucket", CHOSEN, "le")
    return panel(
        "heatmap", "Latency of what is chosen",
        "Answers a second by latency. If there are two bands, two kinds of request share an "
        "operation: hits and misses, or a fast and a slow backend.",
        [query(expr, "{{le}}", format="heatmap")], PER_SECOND, FAST, (12, 8), options)


def compared(heading, label, legend, why):
    """p95, errors and requests by one label."""
    return row(
        heading,
        lines(f"p95 {heading.lower()}", f"The line is the promised 300 ms. If one is above and "
              f"the others are not, {why}.",
              [query(quantile(0.95, CHOSEN, label), legend)], "s", FAST, width=8),
        lines(f"Server errors {heading.lower()}", f"The share of 5xx; the line is the promised "
              f"0.1 %. If one is above and the others are not, {why}.",
              [query(errors(REQUESTS, CHOSEN, label), legend)], SHARE, ERRORS, width=8),
        lines(f"Requests {heading.lower()}", "Requests answered a second. If one grows faster "
              f"than its share of users, {why}.",
              [query(rate(REQUESTS, CHOSEN, label), legend)], PER_SECOND, width=8,
              stacked=True),
    )


def make():
    variables = nodes_and_services()
    for name, label in [("operation", "Operation"), ("release", "Release"),
                        ("platform", "Platform"), ("app_version", "App version")]:
        variables.append(choice(name, label, REQUESTS, SERVICE))
    return dashboard(
        "plimsoll-endpoint", "Plimsoll: by endpoint",
        "Which operation, release, platform or app version is slow or fails?", variables,
        [chosen(), operations(),
         compared("By release", "service, release", "{{service}} {{release}}",
                  "send its traffic back to the release before"),
         compared("By platform", "platform", "{{platform}}",
                  "look at what that platform's app does differently"),
         compared("By app version", "platform, app_version", "{{platform}} {{app_version}}",
                  "tell the team of that version; a limit for it can hold the damage")],
    )
