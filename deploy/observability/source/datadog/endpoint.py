"""Plimsoll: by endpoint. Which operation, release, platform or app version is slow or fails?"""

from .build import (
    AVAILABLE, ERRORS, FAST, LATENCY_SECONDS, REQUESTS, SERVICE, SHARE, dashboard, errors, group,
    latency, lines, marker, metric, per_second, table, value, within,
)

NARROWED = ["operation", "release", "platform", "app_version"]
CHOSEN = ",".join([SERVICE, *(f"${name}" for name in NARROWED)])


def chosen():
    failed, share = errors(CHOSEN)
    good, objective = within(CHOSEN)
    return group(
        "What is chosen above",
        value("Requests", "Requests a second. If there are none, nothing that fits the choice was "
              "seen: widen it.", [metric(per_second(REQUESTS, CHOSEN))], "a", "request/second",
              width=3),
        value("Availability", "99.9 % are promised. If it is below, compare releases below: a new "
              "one is the usual cause.", failed, f"100 - ({share})", "percent", AVAILABLE, 3, 3),
        value("Within the objective", "95 % are promised, by the exact counter. If it is below, "
              "look at p95.", good, objective, "percent", SHARE, 3),
        value("p95", "300 ms are promised. If it is above, the table names the operation.",
              [latency(CHOSEN, 95)], "a", "second", FAST, 3),
    )


def compared(title, by, why):
    """p95, errors and requests by one tag or two."""
    failed, share = errors(CHOSEN, by)
    return group(
        title,
        lines(f"p95 {title.lower()}", f"300 ms are promised. If one is above and the others are "
              f"not, {why}.", [latency(CHOSEN, 95, by)], ["a"], "second", 4,
              marker(LATENCY_SECONDS, "promised")),
        lines(f"Server errors {title.lower()}", f"0.1 % is promised at most. If one is above and "
              f"the others are not, {why}.", failed, [share], "percent", 4,
              marker(0.1, "promised")),
        lines(f"Requests {title.lower()}", f"If one grows faster than its share of users, {why}.",
              [metric(per_second(REQUESTS, CHOSEN, by))], ["a"], "request/second", 4,
              bars=True),
    )


def operations():
    by = "plimsoll_service,operation"
    failed, share = errors(CHOSEN, by)
    good, objective = within(CHOSEN, by)
    return group(
        "Operations",
        table("Operations", "If a figure is red, its service level is broken.",
              [("requests/s", [metric(per_second(REQUESTS, CHOSEN, by))], "a",
                "request/second", None),
               ("errors", failed, share, "percent", ERRORS),
               ("within objective", good, objective, "percent", SHARE),
               ("p95", [latency(CHOSEN, 95, by)], "a", "second", FAST)]),
    )


def make():
    return dashboard(
        "Plimsoll: by endpoint",
        "Which operation, release, platform or app version is slow or fails?",
        ["host", "plimsoll_service", *NARROWED],
        [chosen(), operations(),
         compared("By operation", "plimsoll_service,operation",
                  "choose it above and compare releases, platforms and versions"),
         compared("By release", "plimsoll_service,release",
                  "send its traffic back to the release before"),
         compared("By platform", "platform",
                  "look at what that platform's app does differently"),
         compared("By app version", "platform,app_version",
                  "tell the team of that version; a limit for it can hold the damage")],
    )
