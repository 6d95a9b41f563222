"""Plimsoll: by device model. Which devices have a bad time, and with which app version?"""

from .build import (
    ERRORS, FAST, LATENCY_SECONDS, REQUESTS, SERVICE, SHARE, dashboard, errors, group, latency,
    lines, marker, metric, per_second, table, total, value, within,
)

DEVICES = "plimsoll.device_requests.count"
GOOD = "plimsoll.device_requests_within_objective.count"
CHOSEN = f"{SERVICE},$operation,$device_model"
APPS = f"{SERVICE},$operation"
MODEL = "device_model"


DURATION = "plimsoll.device_request_duration_seconds"


def mean(by=""):
    return [metric(total(f"{DURATION}.sum", CHOSEN, by), "part", "sum"),
            metric(total(f"{DURATION}.count", CHOSEN, by), "whole", "sum")], "part / whole"


def busiest(formula):
    """The ten greatest alone."""
    return {"formula": formula, "limit": {"count": 10, "order": "desc"}}


def worst(formula):
    """The ten least alone."""
    return {"formula": formula, "limit": {"count": 10, "order": "asc"}}


def devices():
    failed, share = errors(CHOSEN, MODEL, DEVICES)
    good, objective = within(CHOSEN, MODEL, GOOD, DEVICES)
    all_good, all_objective = within(CHOSEN, "", GOOD, DEVICES)
    all_failed, all_share = errors(CHOSEN, "", DEVICES)
    slow, of_slow = mean(MODEL)
    return group(
        "By device model",
        value("Within the objective", "Of what is chosen; 95 % are promised. If it is below for "
              "one model alone, the network it is used on is the usual cause.",
              all_good, all_objective, "percent", SHARE, 6),
        value("Server errors", "Of what is chosen; 0.1 % is promised at most. If it is above for "
              "one model alone, its app sends something that the backend fails on.",
              all_failed, all_share, "percent", ERRORS, 6, 3),
        lines("p95 by device model", "The ten slowest. 300 ms are promised. If one is above, its "
              "network or its age is the usual cause: compare its errors.",
              [latency(CHOSEN, 95, MODEL, of=DURATION)], [busiest("a")], "second",
              markers=marker(LATENCY_SECONDS, "promised")),
        lines("p95 within the objective? By device model", "The ten worst. At 95 %, p95 is the "
              "objective itself: above it p95 is better, below it worse. If one model is below, "
              "compare its mean and its errors beside.",
              good, [worst(objective)], "percent", markers=marker(95, "p95 is the objective")),
        lines("Server errors by device model", "The ten worst. If one is above, look at its "
              "requests: the same operation, the same app version?",
              failed, [busiest(share)], "percent", 4, marker(0.1, "promised")),
        lines("Mean latency by device model", "The ten slowest. If the mean is high while the "
              "share within the objective is good, a few answers were very slow.",
              slow, [busiest(of_slow)], "second", 4),
        lines("Requests by device model", "The ten busiest. If unknown is large, let the app send "
              "its model in Plimsoll-Client, or map what it sends in [client.headers].",
              [metric(per_second(DEVICES, CHOSEN, MODEL))], [busiest("a")], "request/second", 4,
              bars=True),
        table("Device models", "If a share within the objective is red, p95 of that model is "
              "slower than the objective.",
              [("requests/s", [metric(per_second(DEVICES, CHOSEN, MODEL))], "a",
                "request/second", None),
               ("within objective", good, objective, "percent", SHARE),
               ("errors", failed, share, "percent", ERRORS),
               ("mean", slow, of_slow, "second", None),
               ("p95", [latency(CHOSEN, 95, MODEL, of=DURATION)], "a", "second", FAST)]),
    )


def versions():
    by = "platform,app_version"
    failed, share = errors(APPS, by)
    return group(
        "App versions by platform",
        lines("Requests by app version", "If an old version does not fade after a release, people "
              "cannot update: think of them before you remove an operation.",
              [metric(per_second(REQUESTS, APPS, by))], ["a"], "request/second", 4, bars=True),
        lines("p95 by app version", "300 ms are promised. If a new version is above the one "
              "before, it asks for more at once.",
              [latency(APPS, 95, by)], ["a"], "second", 4, marker(LATENCY_SECONDS, "promised")),
        lines("Server errors by app version", "0.1 % is promised at most. If a new version is "
              "above the one before, stop its rollout in the stores.",
              failed, [share], "percent", 4, marker(0.1, "promised")),
        table("App versions", "If a version has few requests, its shares say little.",
              [("requests/s", [metric(per_second(REQUESTS, APPS, by))], "a", "request/second",
                None),
               ("errors", failed, share, "percent", ERRORS),
               ("p95", [latency(APPS, 95, by)], "a", "second", FAST)]),
    )


def make():
    return dashboard(
        "Plimsoll: by device model",
        "Which devices have a bad time, and with which app version? By device model buckets "
        "are few; the share within the objective is exact.",
        ["host", "plimsoll_service", "operation", "device_model"], [devices(), versions()],
    )
