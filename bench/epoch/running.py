"""What the benchmarks of whole nodes share: the binary, a Postgres, a backend, and running nodes."""

import http.client
import importlib.machinery
import importlib.util
import json
import os
import signal
import socket
import subprocess
import threading
import time
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ISSUER, AUDIENCE = "https://issuer.bench", "bench"


def _ledger():
    """The ledger's benchmark has the Postgres already."""
    loader = importlib.machinery.SourceFileLoader("ledger_run", str(ROOT / "bench/ledger/run"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("ledger_run", loader))
    loader.exec_module(module)
    return module


_LEDGER = _ledger()
Missing, Server = _LEDGER.Missing, _LEDGER.Server

CONTRACT = {
    "openapi": "3.1.0", "info": {"title": "Bench", "version": "1"},
    "security": [{"bearer": []}],
    "paths": {
        "/open": {"get": {"operationId": "open", "security": [],
                          "responses": {"200": {"description": "ok"}}}},
        "/closed": {"get": {"operationId": "closed", "responses": {"200": {"description": "ok"}}}},
    },
    "components": {"securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}}},
}


def build(profile):
    """The programs of that profile, by name."""
    wanted = ["plimsoll", "plimsoll-bench-tokens"]
    command = ["cargo", "build", "--locked", "--package", "plimsoll", "--package",
               "plimsoll-testkit", "--profile", profile, "--message-format", "json"]
    for name in wanted:
        command += ["--bin", name]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise Missing("plimsoll does not build")
    found = {}
    for line in done.stdout.splitlines():
        message = json.loads(line)
        if message.get("executable"):
            found[message["target"]["name"]] = message["executable"]
    if any(name not in found for name in wanted):
        raise Missing("cargo built no plimsoll")
    return found


def percentile(values, share):
    """The nearest rank: a figure that was measured."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, max(0, -(-int(share * 1000) * len(ranked) // 1000) - 1))]


def circumstances(profile):
    return (f"- Taken {datetime.now(timezone.utc).date()} on {os.cpu_count()} cores, "
            f"{os.uname().sysname} {os.uname().release}, profile `{profile}`, load "
            f"{os.getloadavg()[0]:.1f} at the end.")


def put(path, begin, end, text):
    """Writes the text between its markers, or the whole file where it has none."""
    path = Path(path)
    there = path.read_text() if path.exists() else ""
    if begin in there and end in there:
        before, rest = there.split(begin, 1)
        text = f"{before}{begin}\n\n{text}\n\n{end}{rest.split(end, 1)[1]}"
    path.write_text(text)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Backend:
    """Answers every GET with a few bytes."""

    def __enter__(self):
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                self.send_response(200)
                self.send_header("content-length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        return self

    def __exit__(self, *_):
        self.server.shutdown()


class Node:
    """A `plimsoll up` with a data directory of its own."""

    def __init__(self, program, folder, backend, env=()):
        self.program, self.folder, self.env = program, Path(folder), dict(env)
        self.folder.mkdir(exist_ok=True)
        self.folder.chmod(0o711)
        self.data = self.folder / "data"
        self.port, self.ops = free_port(), free_port()
        (self.folder / "openapi.json").write_text(json.dumps(CONTRACT))
        self.manifest = self.folder / "plimsoll.toml"
        self.manifest.write_text(
            f'[[service]]\nname = "app"\ncontract = "openapi.json"\nurls = ["{backend}"]\n'
            f'[[auth.issuer]]\nissuer = "{ISSUER}"\naudience = ["{AUDIENCE}"]\n'
            'jwks_file = "jwks.json"\n')
        self.child = None

    def start(self):
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("PLIMSOLL_", "DATABASE"))}
        with open(self.folder / "log", "ab") as log:
            self.child = subprocess.Popen(
                [self.program, "up", "--manifest", self.manifest, "--data-dir", self.data,
                 "--listen", f"127.0.0.1:{self.port}", "--ops-listen", f"127.0.0.1:{self.ops}"],
                cwd=self.folder, env=clean | self.env, stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=log)

    def stop(self, within=30):
        if self.child is None:
            return
        self.child.send_signal(signal.SIGTERM)
        try:
            self.child.wait(within)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
        self.child = None

    def ended(self):
        if self.child.poll() is not None:
            tail = (self.folder / "log").read_text(errors="replace")[-2_000:]
            raise Missing(f"plimsoll ended by itself:\n{tail}")

    def until(self, done, within=60, every=0.001):
        """Waits until `done()` is true; the time that took, in seconds."""
        begun = time.perf_counter()
        while not done():
            self.ended()
            if time.perf_counter() - begun > within:
                raise Missing(f"a node was not there within {within} s")
            time.sleep(every)
        return time.perf_counter() - begun

    def answers(self):
        return get(self.port, "/open")[0] == 200

    def remembers(self):
        """Ready, and nothing says that the database is not used."""
        status, body = get(self.ops, "/readyz")
        return status == 200 and b"database_down" not in body


def get(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except OSError:
        return 0, b""
    finally:
        connection.close()


class OverSocket(http.client.HTTPConnection):
    """HTTP over the `ops.sock` of a data directory."""

    def __init__(self, data):
        super().__init__("localhost", timeout=10)
        self.path = str(Path(data) / "ops.sock")

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)

    def ask(self, method, path, body=None):
        text = None if body is None else json.dumps(body)
        self.request(method, path, text, {"content-type": "application/json"})
        answer = self.getresponse()
        said = answer.read()
        if answer.status != 200:
            raise Missing(f"{path}: {answer.status} {said.decode(errors='replace')}")
        return json.loads(said)
