"""Plimsoll: by device model. Which devices have a bad time, and with which app version?"""

from .build import (
    ERRORS, FAST, PER_SECOND, POINTS, SERVICE, SHARE, WITHIN, choice, dashboard, errors, lines,
    nodes_and_services, quantile, query, rate, row, share, stat, table,
)

DEVICES = "plimsoll_device_requests_total"
CHOSEN = f'{SERVICE},operation=~"$operation",device_model=~"$device_model"'
MODEL = "device_model"
OF_MODEL = "{{device_model}}"
REQUESTS = "plimsoll_requests_total"
APPS = f'{SERVICE},operation=~"$operation"'
APP = "platform, app_version"
OF_APP = "{{platform}} {{app_version}}"
TOP = 10


def within(by="", window="$__rate_interval"):
    good = rate("plimsoll_device_requests_within_objective_total", CHOSEN, by, window)
    return share(good, rate(DEVICES, CHOSEN, by, window))


DURATION = "plimsoll_device_request_duration_seconds"


def mean(by="", window="$__rate_interval"):
    count = rate(f"{DURATION}_count", CHOSEN, by, window)
    return f"{rate(f'{DURATION}_sum', CHOSEN, by, window)} / ({count} > 0)"


def p95(by="", window="$__rate_interval"):
    return quantile(0.95, CHOSEN, by, window, DURATION)


def busiest(expr, window="$__rate_interval"):
    """The models with the most requests alone: a dozen requests make no percentage."""
    return f"({expr}) and topk({TOP}, {rate(DEVICES, CHOSEN, MODEL, window)})"


def devices():
    return row(
        "By device model",
        stat("Device models", "Models that sent a request within the last five minutes. If other "
             "is among them, the bound on series was reached: see \"Counted as other\" on "
             "\"Plimsoll: service\".",
             f"count({rate(DEVICES, CHOSEN, MODEL, '5m')} > 0)", POINTS, width=6),
        stat("Models whose p95 breaks the objective", "Models of which fewer than 95 % of the "
             "answers in the time range came within the objective without a server error. If "
             "there are any, the table names them.",
             f"count({within(MODEL, '$__range')} < 0.95) or vector(0)", POINTS, width=6),
        stat("Within the objective", "Of what is chosen, in the time range; 95 % are promised. If "
             "it is below for one model alone, the network it is used on is the usual cause.",
             within(window="$__range"), SHARE, WITHIN, width=6, decimals=2),
        stat("Server errors", "The share of 5xx in the time range; 0.1 % is promised at most. If "
             "it is above for one model alone, its app sends something that the backend fails "
             "on.",
             errors(DEVICES, CHOSEN, window="$__range"), SHARE, ERRORS, width=6, decimals=3),
        lines("p95 by device model",
              "The ten busiest models; the line is the promised 300 ms. Exact at 50, 100, 200, "
              "300 and 500 ms, 1, 2 and 5 s and at the objective, interpolated between. If one "
              "model is above, its network or its age is the usual cause: compare its errors.",
              [query(busiest(p95(MODEL)), OF_MODEL)], "s", FAST),
        lines("p95 within the objective? By device model",
              "Answers within the objective, without a server error; the ten busiest models. At "
              "the line, 95 %, p95 is the objective itself: above it p95 is better, below it "
              "worse. If one model is below, compare its mean and its errors beside.",
              [query(busiest(within(MODEL)), OF_MODEL)], SHARE, WITHIN, max=1),
        lines("Server errors by device model",
              "The share of 5xx; the line is the promised 0.1 %; the ten busiest models. If one "
              "is above, look at its requests: the same operation, the same app version?",
              [query(busiest(errors(DEVICES, CHOSEN, MODEL)), OF_MODEL)], SHARE, ERRORS, width=8),
        lines("Mean latency by device model",
              "The mean of the ten busiest models. If it is high while the share within the "
              "objective is good, a few answers were very slow.",
              [query(busiest(mean(MODEL)), OF_MODEL)], "s", width=8),
        lines("Requests by device model",
              "Requests answered a second; the ten busiest models. If unknown is large, let the "
              "app send its model in Plimsoll-Client, or map what it sends in [client.headers].",
              [query(f"topk({TOP}, {rate(DEVICES, CHOSEN, MODEL)})", OF_MODEL)], PER_SECOND,
              width=8, stacked=True),
        table("Device models",
              "The last five minutes. If a share within the objective is red, p95 of that model "
              "is slower than the objective.",
              [MODEL],
              [("requests/s", rate(DEVICES, CHOSEN, MODEL, "5m"), PER_SECOND, None),
               ("within objective", within(MODEL, "5m"), SHARE, WITHIN),
               ("errors", errors(DEVICES, CHOSEN, MODEL, "5m"), SHARE, ERRORS),
               ("mean", mean(MODEL, "5m"), "s", None),
               ("p95", p95(MODEL, "5m"), "s", FAST)],
              sort="requests/s"),
    )


def versions():
    return row(
        "App versions by platform",
        lines("Requests by app version", "Requests answered a second. If an old version does not "
              "fade after a release, people cannot update: think of them before you remove an "
              "operation.",
              [query(rate(REQUESTS, APPS, APP), OF_APP)], PER_SECOND, width=8, stacked=True),
        lines("p95 by app version", "The line is the promised 300 ms. If a new version is above "
              "the one before, it asks for more at once: compare by operation on \"Plimsoll: by "
              "endpoint\".",
              [query(quantile(0.95, APPS, APP), OF_APP)], "s", FAST, width=8),
        lines("Server errors by app version", "The share of 5xx; the line is the promised 0.1 %. "
              "If a new version is above the one before, stop its rollout in the stores.",
              [query(errors(REQUESTS, APPS, APP), OF_APP)], SHARE, ERRORS, width=8),
        table("App versions",
              "The last hour. If a version has few requests, its shares say little.",
              ["platform", "app_version"],
              [("requests/s", rate(REQUESTS, APPS, APP, "1h"), PER_SECOND, None),
               ("errors", errors(REQUESTS, APPS, APP, "1h"), SHARE, ERRORS),
               ("p95", quantile(0.95, APPS, APP, "1h"), "s", FAST)],
              sort="requests/s"),
    )


def cold_starts():
    name = f'plimsoll_app_start_cold_seconds_bucket{{device_model=~"$device_model"}}'

    def p95(by):
        return f"histogram_quantile(0.95, sum by (le, {by}) (rate({name}[1h])))"

    return row(
        "Cold starts",
        lines("Cold starts: 95 % are faster, by device model",
              "As apps report it by app.start.cold. If one model is slow alone, look at what the "
              "app loads before its first screen on it.",
              [query(p95("device_model"), OF_MODEL)], "s"),
        lines("Cold starts: 95 % are faster, by app version",
              "If a new version is slower than the one before, its start does more than it needs.",
              [query(p95("app_version"), "{{app_version}}")], "s"),
    )


def make():
    variables = [
        *nodes_and_services(),
        choice("operation", "Operation", DEVICES, SERVICE),
        choice("device_model", "Device model", DEVICES, SERVICE),
    ]
    return dashboard(
        "plimsoll-device", "Plimsoll: by device model",
        "Which devices have a bad time, and with which app version? By device model buckets are "
        "few (series cost memory); the share within the objective is exact.",
        variables, [devices(), versions(), cold_starts()],
    )
