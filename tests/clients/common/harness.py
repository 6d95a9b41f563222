"""What the client suites share: an origin, a tap, the edge in front of them, and the evidence.

A suite is a script `run` that takes the binary from PLIMSOLL_BIN. It starts everything on free
ports in temporary directories, lets a third party's unmodified client do its work through the
edge, and proves from the origin's own log that every request came that way. It ends with
`N passed, M failed`.
"""

import collections
import contextlib
import hashlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.error
import urllib.request
import venv

from tap import Tap

REPO = pathlib.Path(__file__).resolve().parents[3]
TOOLS = REPO / ".tools"
READY_SECONDS = 60


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def venv_of(name, requirements):
    """A virtual environment that holds the requirements, made when it is missing; its folder."""
    where = TOOLS / "venv" / name
    wanted = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()
    stamp = where / ".requirements"
    python = where / "bin" / "python"
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"installing {requirements.relative_to(REPO)} to .tools", flush=True)
        venv.create(where, clear=True, with_pip=True)
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--no-deps", "--requirement", requirements], check=True)
        stamp.write_text(wanted)
    return where


def in_venv(name, requirements):
    """Goes on inside such an environment."""
    if pathlib.Path(sys.prefix) == TOOLS / "venv" / name:
        return
    python = venv_of(name, requirements) / "bin" / "python"
    os.execv(python, [str(python), *sys.argv])


class Checks:
    """Counts what holds and what does not."""

    def __init__(self):
        self.passed = 0
        self.failed = 0

    def that(self, name, holds, detail=""):
        if holds:
            self.passed += 1
            print(f"ok      {name}", flush=True)
        else:
            self.failed += 1
            print(f"FAILED  {name}  {detail}", flush=True)

    @contextlib.contextmanager
    def section(self, name):
        """What raises in here is one failed check."""
        print(f"-- {name}", flush=True)
        try:
            yield
        except Exception:  # The suite goes on with the next section.
            self.that(name, False, traceback.format_exc(limit=8))

    def end(self):
        print(f"{self.passed} passed, {self.failed} failed", flush=True)
        return 1 if self.failed or not self.passed else 0


class Child:
    """A process in a group of its own; both its streams go to files."""

    def __init__(self, name, command, directory, **options):
        self.name = name
        self.out = pathlib.Path(directory) / f"{name}.out"
        self.err = pathlib.Path(directory) / f"{name}.err"
        with open(self.out, "wb") as out, open(self.err, "wb") as err:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                start_new_session=True, **options,
            )

    def wait_for(self, url):
        """Until the URL answers, whatever it says."""
        end = time.monotonic() + READY_SECONDS
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} ended: {self.last_words()}")
            with contextlib.suppress(OSError):
                fetch(url)
                return
            time.sleep(0.1)
        raise RuntimeError(f"{self.name} does not answer on {url}: {self.last_words()}")

    def last_words(self):
        texts = [path.read_text(errors="replace")[-2000:] for path in (self.out, self.err)]
        return "\n".join(texts)

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def fetch(url, method="GET", headers=None, body=None):
    """Status, headers and body, redirects not followed."""

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_):
            return None

    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), Stay())
    request = urllib.request.Request(url, body, headers or {}, method=method)
    try:
        with opener.open(request, timeout=30) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as answer:
        with answer:
            return answer.code, answer.headers, answer.read()


def database(binary, data_dir, name):
    """The environment that gives a program a database of its own beside a Plimsoll that runs."""
    command = [binary, "database", "create", name, "--data-dir", data_dir]
    made = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    return dict(os.environ, DATABASE_URL=made.stdout.strip())


class Front:
    """What the client talks to: the edge, or with `--direct` the tap itself."""

    def __init__(self, port, edge, tap):
        self.port = port
        self.edge = edge
        self.tap = tap
        self.url = f"http://127.0.0.1:{port}"

    def access_log(self):
        """The requests that the edge sent on, from its access log, complete."""
        self.edge.stop()
        lines = self.edge.out.read_text().splitlines()
        entries = [json.loads(line) for line in lines if line.startswith("{")]
        return [entry for entry in entries if entry.get("upstream_latency_us") is not None]


@contextlib.contextmanager
def front(directory, origin_port, manifest):
    """Tap and edge in front of the origin. `{tap}` in the manifest becomes the tap's address."""
    directory = pathlib.Path(directory)
    with Tap(origin_port) as tap:
        if "--direct" in sys.argv:
            yield Front(tap.port, None, tap)
            return
        binary = os.environ.get("PLIMSOLL_BIN")
        if not binary:
            sys.exit("PLIMSOLL_BIN names no binary of Plimsoll; --direct runs without the edge")
        path = directory / "plimsoll.toml"
        path.write_text(manifest.replace("{tap}", f"http://127.0.0.1:{tap.port}"))
        port, ops_port = free_port(), free_port()
        command = [
            os.path.abspath(binary), "up", "--manifest", path, "--data-dir", directory / "data",
            "--listen", f"127.0.0.1:{port}", "--ops-listen", f"127.0.0.1:{ops_port}",
        ]
        with Child("plimsoll", command, directory) as edge:
            edge.wait_for(f"http://127.0.0.1:{ops_port}/readyz")
            yield Front(port, edge, tap)


def prove(checks, front, origin_log, bypass):
    """Every request in the origin's own log came through the edge, and the proof can fail.

    `origin_log` gives (method, path) of each request that the origin says it served; `bypass`
    sends the origin one request past the edge.
    """
    count = collections.Counter
    requests = front.tap.requests()
    seen = count((request.method, request.path) for request in requests)
    said = count(origin_log())
    checks.that("the origin logged what the wire carried", said == seen and said,
                f"only logged: {said - seen}; only on the wire: {seen - said}")
    if front.edge is None:
        return
    host = f"127.0.0.1:{front.port}"
    checks.that("each request names the edge as its host",
                all(request.header("host") == host for request in requests))
    checks.that("each request says whom the edge sent it for",
                all(request.header("x-forwarded-for") for request in requests))
    bypass()
    later = count(origin_log())
    checks.that("a request past the edge is noticed", later != seen)
    sent = count((e["request_id"], e["method"], e["path"]) for e in front.access_log())
    got = count((r.header("x-request-id"), r.method, r.path) for r in requests)
    checks.that(f"all {sum(got.values())} requests stand in the edge's access log, by id",
                sent == got and got, f"only sent: {sent - got}; only arrived: {got - sent}")


def main(suite):
    """Runs a suite in a temporary directory and exits as its checks say."""
    checks = Checks()
    with tempfile.TemporaryDirectory(prefix="plimsoll-client-") as directory:
        # As root, Postgres runs as another user, who has to get through to its data.
        os.chmod(directory, 0o711)
        with checks.section("the suite runs to its end"):
            suite(checks, pathlib.Path(directory))
    sys.exit(checks.end())
