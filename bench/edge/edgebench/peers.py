"""The proxies that are compared, each with one worker on one core, all in front of one upstream."""

import http.client
import http.server
import json
import os
import signal
import socket
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

ISSUER, AUDIENCE, SCOPE = "https://id.bench.example", "bench", "items:read"
HOST = "api.bench.example"
PATH = "/v1/items/42"
# What an app sends beside its token; with it a head has about 640 bytes.
HEADERS = {
    "Host": HOST,
    "User-Agent": "BenchApp/3.1.0 (iPhone15,2; iOS 17.2; Scale/3.00)",
    "Accept": "application/json",
    "Accept-Language": "en-GB,en;q=0.9,de;q=0.8",
    "Plimsoll-Client": 'platform=ios, version="3.1.0", build=412, os="17.2", '
                       'model="iPhone15,2", network="4g", state=foreground',
}
RESOURCES = ("accounts", "addresses", "articles", "baskets", "comments", "devices", "events",
             "feeds", "friends", "items", "likes", "media", "messages", "orders", "payments",
             "posts", "profiles", "reviews", "sessions", "tags")
QUIET_ENV = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LANG": "C", "HOME": "/nonexistent"}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def pinned(core):
    """Pins a child to a core; to none where `core` is `None`."""
    cores = range(os.cpu_count()) if core is None else {core}
    return lambda: os.sched_setaffinity(0, cores)


@dataclass
class Bench:
    """What every peer needs to know."""

    upstream: int
    dir: Path
    core: int | None
    tokens: list
    programs: dict
    extra: dict = field(default_factory=dict)


class Peer:
    """One proxy. `base` is the peer its ratios are taken to."""

    name = ""
    base = "nginx"
    what = ""
    # Every process that runs now, so that an end by signal or fault leaves none behind.
    running = set()

    def __init__(self, bench):
        self.bench, self.process, self.port = bench, None, 0
        self.log_file = None

    def dir(self):
        path = self.bench.dir / self.name
        path.mkdir(exist_ok=True)
        return path

    def write(self, name, text):
        path = self.dir() / name
        path.write_text(text)
        return str(path)

    def command(self):
        raise NotImplementedError

    def environment(self):
        return QUIET_ENV

    def start(self, wrapper=(), patience=20.0):
        """Starts it, waits for a good answer, and gives the seconds that took."""
        self.port = free_port()
        command = [*wrapper, *self.command()]
        output = open(self.dir() / "output.log", "ab")
        began = time.monotonic()
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=self.stdout() or output, stderr=output,
            env=self.environment(), cwd=self.dir(), preexec_fn=pinned(self.bench.core))
        output.close()
        Peer.running.add(self)
        while True:
            fault = self.fault()
            if fault is None:
                return time.monotonic() - began
            if self.process.poll() is not None or time.monotonic() - began > patience:
                log = (self.dir() / "output.log").read_text(errors="replace")[-800:]
                self.stop()
                raise RuntimeError(f"{self.name}: {fault}\n{log}")
            time.sleep(0.002)

    def stdout(self):
        return None

    def fault(self):
        """What is wrong with its answer; `None` when it is the upstream's own, whole."""
        try:
            status, body = get(self.port, self.bench.tokens[0])
        except OSError as error:
            return str(error)
        if status != 200:
            return f"status {status}, not 200: {body[:200]!r}"
        if body != self.bench.extra["body"]:
            return f"{len(body)} bytes that are not the upstream's"
        return None

    def rest(self):
        """Stands still while others are measured: what it does by itself is no business of theirs."""
        self.process.send_signal(signal.SIGSTOP)

    def wake(self):
        self.process.send_signal(signal.SIGCONT)

    def proof(self):
        """What shows after a load that it did not do what it is compared for; `None` if it did."""

    def pid(self):
        return self.process.pid

    def cut_log(self):
        """A log that grew in a run is cut, so that the disk stays as it was."""
        if self.log_file and os.path.exists(self.log_file):
            os.truncate(self.log_file, 0)

    def stop(self):
        Peer.running.discard(self)
        if self.process and self.process.poll() is None:
            self.wake()
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(3)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def get(port, token):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", PATH, headers={**HEADERS, "Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    except http.client.HTTPException as error:
        raise OSError(repr(error)) from error
    finally:
        connection.close()


class Nginx(Peer):
    """One process, one worker loop. Idle connections on both sides are kept."""

    name, what = "nginx", "plain reverse proxy, access log off"
    access_log = "access_log off;"

    def command(self):
        config = f"""
daemon off; master_process off; pid {self.dir()}/pid; error_log stderr crit;
events {{ worker_connections 4096; }}
http {{
  {self.access_log.replace("DIR", str(self.dir()))}
  client_body_temp_path {self.dir()}/body; proxy_temp_path {self.dir()}/proxy;
  fastcgi_temp_path {self.dir()}/f; uwsgi_temp_path {self.dir()}/u; scgi_temp_path {self.dir()}/s;
  keepalive_timeout 75s; keepalive_requests 1000000000; tcp_nodelay on;
  upstream backend {{
    server 127.0.0.1:{self.bench.upstream};
    keepalive 128; keepalive_requests 1000000000;
  }}
  server {{
    listen 127.0.0.1:{self.port} backlog=4096;
    location / {{
      proxy_pass http://backend; proxy_http_version 1.1;
      proxy_set_header Host $host; proxy_set_header Connection "";
    }}
  }}
}}
"""
        path = self.write("nginx.conf", config)
        return [self.bench.programs["nginx"], "-p", str(self.dir()), "-e", "stderr", "-c", path]


class NginxLog(Nginx):
    """The buffered log, which is the cheaper of nginx's two: the harder base for us."""

    name, base, what = "nginx-log", "nginx-log", "plain, access log on (combined, buffered)"
    access_log = "access_log DIR/access.log combined buffer=64k flush=1s;"

    def __init__(self, bench):
        super().__init__(bench)
        self.log_file = self.dir() / "access.log"


class Traefik(Peer):
    name, what = "traefik", "plain reverse proxy, GOMAXPROCS=1"

    def command(self):
        self.write("dynamic.yml", f"""
http:
  routers: {{ all: {{ rule: "PathPrefix(`/`)", service: backend, entryPoints: [web] }} }}
  services:
    backend: {{ loadBalancer: {{ servers: [{{ url: "http://127.0.0.1:{self.bench.upstream}" }}] }} }}
""")
        path = self.write("traefik.yml", f"""
global: {{ checkNewVersion: false, sendAnonymousUsage: false }}
log: {{ level: ERROR }}
entryPoints: {{ web: {{ address: "127.0.0.1:{self.port}" }} }}
serversTransport: {{ maxIdleConnsPerHost: 256 }}
providers: {{ file: {{ filename: "{self.dir()}/dynamic.yml", watch: false }} }}
""")
        return [self.bench.programs["traefik"], f"--configfile={path}"]

    def environment(self):
        return {**QUIET_ENV, "GOMAXPROCS": "1"}


class Haproxy(Peer):
    name, what = "haproxy", "plain reverse proxy, one thread"

    def command(self):
        path = self.write("haproxy.cfg", f"""
global
  nbthread 1
  maxconn 4096
defaults
  mode http
  timeout connect 2s
  timeout client 75s
  timeout server 30s
  http-reuse always
frontend web
  bind 127.0.0.1:{self.port} backlog 4096
  default_backend backend
backend backend
  server one 127.0.0.1:{self.bench.upstream} pool-max-conn 256
""")
        return [self.bench.programs["haproxy"], "-db", "-f", path]


class Plimsoll(Peer):
    """One core, role edge. The manifests below are the whole configuration."""

    log = "off"
    policy = False
    more = ""

    def command(self):
        contract = 'contract = "openapi.json"\n' if self.policy else ""
        manifest = f"""
[edge]
cores = 1

[telemetry]
access_log = "{self.log}"
{self.more}
[[service]]
name = "bench"
{contract}urls = ["http://127.0.0.1:{self.bench.upstream}"]
"""
        if self.policy:
            manifest += POLICY
            self.write("openapi.json", json.dumps(contract_document()))
            self.write("jwks.json", (self.bench.dir / "jwks.json").read_text())
        path = self.write("plimsoll.toml", manifest)
        return [self.bench.programs["plimsoll"], "up", "--manifest", path, "--role", "edge",
                "--data-dir", str(self.dir() / "data"), "--listen", f"127.0.0.1:{self.port}",
                "--ops-listen", f"127.0.0.1:{free_port()}"]

    def stdout(self):
        if self.log == "off":
            return None
        self.log_file = self.dir() / "access.log"
        return open(self.log_file, "ab")


# Quotas that no run reaches: a limit that refuses would be measured as a fast answer. The bound on
# unverified tokens is lifted because a thousand callers behind one address are the point here.
POLICY = f"""
[auth]
unverified_per_ip = {{ quota = 1000000, window = "60s" }}

[[auth.issuer]]
issuer = "{ISSUER}"
audience = ["{AUDIENCE}"]
algorithms = ["ES256"]
jwks_file = "jwks.json"

[[limit]]
name = "per-caller"
per = "caller"
quota = 1000000000
window = "60s"

[[limit]]
name = "per-operation"
per = "operation"
quota = 1000000000
window = "60s"
"""


class Bare(Plimsoll):
    name, what = "plimsoll-bare", "no contract, no issuer, no limits, access log off"


class Policy(Plimsoll):
    name, policy = "plimsoll-policy", True
    what = "contract routes, ES256 tokens, two limits, histograms; access log off"


class Default(Plimsoll):
    name, base, policy, log = "plimsoll-default", "nginx-log", True, "json"
    what = "as policy, and client context, tracing and access log on"


class Otlp(Default):
    """What telemetry out costs: the same edge with somewhere to send it."""

    name, base = "plimsoll-otlp", "plimsoll-default"
    what = "as default, and spans (one of ten) and metrics sent to a receiver"

    def command(self):
        receiver = self.bench.extra.setdefault("receiver", Receiver())
        self.more = f"""
[telemetry.otlp]
endpoint = "http://127.0.0.1:{receiver.port}"
metrics_interval = "1s"
"""
        return super().command()

    def proof(self):
        return None if self.bench.extra["receiver"].taken else "nothing was sent to the receiver"


class Receiver:
    """Takes OTLP over HTTP, keeps nothing. It shares the load's core, as a collector would not be
    on the edge's."""

    def __init__(self):
        self.taken = 0
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                receiver.taken += 1
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def contract_document():
    """Twenty resources of five operations each, so that routing has something to choose from."""
    def operation(name, status="200"):
        return {"operationId": name, "responses": {status: {"description": "done"}},
                "security": [{"bench": [SCOPE]}]}

    paths = {}
    for name in RESOURCES:
        one, item = name.capitalize(), f"/v1/{name}/{{id}}"
        parameter = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
        paths[f"/v1/{name}"] = {"get": operation(f"list{one}"),
                                "post": operation(f"create{one}", "201")}
        paths[item] = {"parameters": [parameter], "get": operation(f"get{one}"),
                       "put": operation(f"replace{one}"), "delete": operation(f"delete{one}")}
    discovery = f"{ISSUER}/.well-known/openid-configuration"
    return {
        "openapi": "3.0.3", "info": {"title": "Bench", "version": "1"}, "paths": paths,
        "components": {"securitySchemes": {
            "bench": {"type": "openIdConnect", "openIdConnectUrl": discovery}}},
    }


ALL = {c.name: c for c in (Nginx, NginxLog, Traefik, Haproxy, Bare, Policy, Default, Otlp)}
DEFAULT = ("nginx", "nginx-log", "traefik", "plimsoll-bare", "plimsoll-policy", "plimsoll-default",
           "plimsoll-otlp")
