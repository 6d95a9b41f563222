"""A real edge with traffic and mischief, a real Prometheus that asks what the panels ask."""

import contextlib
import json
import os
import pathlib
import re
import subprocess
import time
import urllib.parse

import harness
import known
import of_datadog
import of_grafana

WARM_SECONDS = 30
PEOPLE = 12
SCOPES = "profile:write posts:write orders:write orders:read media:write"
# What does not happen here, so that queries for it find nothing.
NEVER = ["plimsoll_upstream_retries_total", "plimsoll_retry_budget_exhausted_total",
         "plimsoll_health_checks_total", "plimsoll_upstream_hedged_total", "plimsoll_breakers_opened_total", "plimsoll_breaker_refused_total",
         "plimsoll_limit_keys_folded_total", "plimsoll_admission_waited_total",
         "plimsoll_admission_shed_total",
         "plimsoll_connections_refused_total"]
# Each metric keeps so many of its series in the recording.
RECORDED_SERIES = 2


def binary():
    return pathlib.Path(os.environ["PLIMSOLL_BIN"]).resolve()


def manifest(directory, edge, ops, mvp):
    """The example's on other ports, with an address that is dead and a small limit."""
    example = known.REPO / "examples" / "mvp"
    text = (example / "plimsoll.toml").read_text()
    dead = harness.free_port()
    for old, new in [
        ('"127.0.0.1:8080"', f'"127.0.0.1:{edge}"'), ('"127.0.0.1:8081"', f'"127.0.0.1:{ops}"'),
        ('"http://127.0.0.1:8090"', f'"http://127.0.0.1:{mvp}", "http://127.0.0.1:{dead}"'),
        ('"openapi.json"', json.dumps(str(example / "openapi.json"))),
        ('"journeys/', f'"{example}/journeys/'),
        # Nobody who could sign up is named here; `make up` does that.
        ("smoke = true\n", ""),
    ]:
        if old not in text:
            raise RuntimeError(f"the example's manifest has no {old} any more")
        text = text.replace(old, new)
    text = text.replace('first_byte = "5s"', 'first_byte = "400ms"')
    text += '\n[auth.unverified_per_ip]\nquota = 20\nwindow = "60s"\n'
    path = directory / "plimsoll.toml"
    path.write_text(text)
    return path


def prometheus(tree, directory, ops, port):
    """The checked-in configuration and rules, only faster and elsewhere."""
    where = directory / "prometheus"
    where.mkdir()
    for name in ("rules.yml", "alerts.yml"):
        text = (tree / "prometheus" / name).read_text()
        (where / name).write_text(text.replace("interval: 30s", "interval: 1s"))
    text = (tree / "prometheus" / "scrape.yml").read_text()
    text = text.replace("_interval: 15s", "_interval: 1s")
    (where / "scrape.yml").write_text(text.replace("127.0.0.1:8081", f"127.0.0.1:{ops}"))
    return ["prometheus", f"--config.file={where / 'scrape.yml'}",
            f"--storage.tsdb.path={where / 'data'}", f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=warn"]


@contextlib.contextmanager
def everything(tree, directory):
    """URLs of the edge, its ops listener and Prometheus; and the edge itself."""
    mvp, switches, edge, ops, prom = (harness.free_port() for _ in range(5))
    program, data = binary().with_name("mvp"), directory / "data"
    tokens = directory / "tokens"
    tokens.write_text("".join(
        subprocess.run([binary(), "dev", "token", "--data-dir", data, "--sub", f"sim_{number}",
                        "--ttl", "1h", "--scope", SCOPES],
                       check=True, capture_output=True, text=True).stdout
        for number in range(PEOPLE)))
    with contextlib.ExitStack() as stack:
        def start(name, ready, *command, **options):
            child = stack.enter_context(harness.Child(name, command, directory, **options))
            if ready:
                child.wait_for(ready)
            return child

        node = start("plimsoll", f"http://127.0.0.1:{ops}/readyz", binary(), "up", "--manifest",
                     manifest(directory, edge, ops, mvp), "--data-dir", data)
        start("mvp", f"http://127.0.0.1:{mvp}/healthz",
              program, "serve", "--listen", f"127.0.0.1:{mvp}", "--pace", "12ms",
              "--switches-listen", f"127.0.0.1:{switches}",
              env=harness.database(binary(), data, "mvp"))
        start("prometheus", f"http://127.0.0.1:{prom}/-/ready",
              *prometheus(tree, directory, ops, prom))
        start("traffic", None, program, "traffic", "--rps", "40", "--for", "10m",
              "--edge", f"http://127.0.0.1:{edge}", "--token-file", tokens,
              "--otlp", f"http://127.0.0.1:{ops}/otlp")
        # Slower than the edge waits.
        harness.fetch(f"http://127.0.0.1:{switches}/_switches/getFeed", "PUT",
                      {"Content-Type": "application/json"},
                      b'{"latency_ms": 600, "error_share": 0.0}')
        urls = [f"http://127.0.0.1:{port}" for port in (edge, ops, prom)]
        yield urls, node


def mischief(edge):
    """Too many requests of one address, tokens that nobody issued, paths that do not exist."""
    for number in range(140):
        harness.fetch(f"{edge}/v1/posts/none", headers={"X-Forwarded-For": "203.0.113.7"})
        if number < 40:
            token = f"Bearer x{number}.y.z"
            harness.fetch(f"{edge}/v1/orders", headers={
                "X-Forwarded-For": "203.0.113.9", "Authorization": token})
        if number < 5:
            harness.fetch(f"{edge}/nowhere")


def asked(prom, query):
    """What Prometheus answers now, as values."""
    text = urllib.parse.urlencode({"query": query})
    status, _, body = harness.fetch(f"{prom}/api/v1/query?{text}")
    answer = json.loads(body)
    if status != 200:
        raise RuntimeError(f"{answer.get('error')}: {query}")
    return [one["value"][1] for one in answer["data"]["result"]]


def filled(query):
    """As Grafana sends it with everything chosen."""
    query = re.sub(r"\$__(rate_)?interval\b", "20s", query).replace("$__range", "1m")
    return re.sub(r"\$\w+", ".*", query)


def panels_have_data(checks, tree, prom):
    count = 0
    for name, dashboard in of_grafana.dashboards(tree):
        bare = []
        for title, language, text, _ in of_grafana.queries(dashboard):
            if language != "promql" or title.startswith("variable "):
                continue
            count += 1
            values = [value for value in asked(prom, filled(text)) if value != "NaN"]
            if not values and not any(name in text for name in NEVER):
                bare.append(f"{title}: {text}")
        checks.that(f"{name}: every panel of metrics shows something", not bare, bare)
    checks.that("and there were many of them", count > 80, count)


def rules_work(checks, prom):
    _, _, body = harness.fetch(f"{prom}/api/v1/rules")
    rules = [rule for group in json.loads(body)["data"]["groups"] for rule in group["rules"]]
    ill = [rule["name"] for rule in rules if rule["health"] != "ok"]
    checks.that(f"all {len(rules)} rules are evaluated", not ill and len(rules) > 30, ill)
    bare = [rule["name"] for rule in rules
            if rule["type"] == "recording" and not asked(prom, rule["name"])]
    checks.that("every recording rule has a value", not bare, bare)
    firing = {rule["name"] for rule in rules if rule.get("state") == "firing"}
    checks.that("the dead address fires PlimsollUpstreamEjected",
                "PlimsollUpstreamEjected" in firing, firing)
    checks.that("and a node that is well fires nothing of its own",
                not firing & {"PlimsollDown", "PlimsollNotReady", "PlimsollReloadRefused"}, firing)


def log_is_as_said(checks, node):
    lines = [json.loads(line) for line in node.out.read_text().splitlines() if line[:1] == "{"]
    seen = {field for line in lines for field in line}
    fields = known.log_fields()
    checks.that(f"the access log has the {len(fields)} fields that were read from its source",
                seen == fields, {"only there": seen - fields, "only said": fields - seen})


def agent_faults(tree, url):
    """What the Agent's own check sends otherwise than we say, when it reads `url`."""
    try:
        said, made = of_datadog.sent(of_datadog.configured(tree)), of_datadog.submitted(tree, url)
    except RuntimeError as error:
        return [str(error)]
    never = {"plimsoll." + name.removeprefix("plimsoll_").replace("_total", ".count")
             for name in NEVER}
    return [
        *(f"{name} comes as {kind}, which we do not say" for name, kind in made.items()
          if said.get(name, ("",))[0] != kind),
        *(f"{name} does not come" for name in sorted(set(said) - set(made) - never)),
    ]


def recorded(text):
    """A page of metrics with few series of each metric, whole histograms among them."""
    kept, series = [], {}
    for line in text.splitlines():
        if not line.startswith("#"):
            name = line.split("{")[0].split(" ")[0]
            labels = re.sub(r',?le="[^"]*"', "", line.rsplit(" ", 1)[0])
            of_name = series.setdefault(name, [])
            if labels not in of_name:
                of_name.append(labels)
            if of_name.index(labels) >= RECORDED_SERIES:
                continue
        kept.append(line)
    return "\n".join(kept) + "\n"


def run(checks, tree, directory, record=None):
    with everything(tree, directory) as ((edge, ops, prom), node):
        mischief(edge)
        time.sleep(WARM_SECONDS)
        mischief(edge)
        time.sleep(3)
        panels_have_data(checks, tree, prom)
        rules_work(checks, prom)
        faults = agent_faults(tree, f"{ops}/metrics")
        checks.that("the Agent's own check sends each metric under the name we say", not faults,
                    faults)
        if record:
            text = harness.fetch(f"{ops}/metrics")[2].decode()
            record.write_text(recorded(text))
        log_is_as_said(checks, node)
