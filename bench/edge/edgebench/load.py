"""Upstream, closed-loop and open-loop load: everything that runs on the other core."""

import json
import subprocess

from .peers import HEADERS, PATH, Peer, free_port, pinned

# Requests are made once, before the clock runs; the token changes with every request.
LUA = """
local requests, at = {}, 0
function init(args)
  for token in io.lines(args[1]) do
    local headers = { %s ["Authorization"] = "Bearer " .. token }
    requests[#requests + 1] = wrk.format("GET", "%s", headers)
  end
end
function request()
  at = at %% #requests + 1
  return requests[at]
end
function done(summary, latency, _)
  local e = summary.errors
  io.write(string.format(
    'JSON {"requests":%%d,"us":%%d,"bytes":%%d,"bad":%%d,"p50":%%d,"p99":%%d}\\n',
    summary.requests, summary.duration, summary.bytes,
    e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50), latency:percentile(99)))
end
"""


class Load:
    """Runs the load programs on their core. With `few_tokens`, only so many of the tokens are
    used: where a proxy runs slowly, verifying a thousand would be all it does."""

    def __init__(self, bench, core, few_tokens=None):
        self.bench, self.core, self.few_tokens = bench, core, few_tokens
        headers = "".join(f'["{k}"] = {json.dumps(v)}, ' for k, v in HEADERS.items())
        self.script = bench.dir / "load.lua"
        self.script.write_text(LUA % (headers, PATH))
        self.tokens = bench.dir / "tokens.txt"
        if few_tokens:
            self.tokens = bench.dir / "few-tokens.txt"
            self.tokens.write_text("".join(f"{t}\n" for t in bench.tokens[:few_tokens]))

    def closed(self, port, connections, seconds):
        """wrk: each connection asks again as soon as it has its answer."""
        command = [self.bench.programs["wrk"], "-t1", f"-c{connections}", f"-d{seconds}s",
                   "-s", str(self.script), f"http://127.0.0.1:{port}", "--", str(self.tokens)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 30,
                              preexec_fn=pinned(self.core))
        lines = [line for line in done.stdout.splitlines() if line.startswith("JSON ")]
        if not lines:
            raise RuntimeError(f"wrk said nothing: {done.stdout[-300:]} {done.stderr[-300:]}")
        out = json.loads(lines[-1][5:])
        if out["requests"] and out["bytes"] < out["requests"] * len(self.bench.extra["body"]):
            out["bad"] += 1
        out["rps"] = out["requests"] * 1e6 / out["us"]
        return out

    def open(self, port, rate, connections, seconds):
        """h2load: requests leave on a timer, whether or not earlier ones have their answers."""
        log = self.bench.dir / "open.log"
        log.unlink(missing_ok=True)
        headers = [f"{k}: {v}" for k, v in HEADERS.items() if k != "Host"]
        headers.append(f"Authorization: Bearer {self.bench.tokens[0]}")
        command = [self.bench.programs["h2load"], "--h1", "-t1", f"-c{connections}",
                   f"-D{seconds}", f"--rps={rate / connections:.3f}", f"--log-file={log}",
                   *(f"-H{h}" for h in headers), f"http://127.0.0.1:{port}{PATH}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 30,
                              preexec_fn=pinned(self.core))
        rows = [line.split("\t") for line in log.read_text().splitlines()] if log.exists() else []
        if not rows:
            raise RuntimeError(f"h2load said nothing: {done.stdout[-300:]} {done.stderr[-300:]}")
        log.unlink()
        times = sorted(int(row[2]) for row in rows)
        span = (max(int(r[0]) for r in rows) - min(int(r[0]) for r in rows)) / 1e6 or 1
        return {
            "requests": len(rows), "rps": len(rows) / span,
            "bad": sum(row[1] != "200" for row in rows),
            "p50": times[len(times) // 2], "p99": times[min(len(times) - 1, len(times) * 99 // 100)],
        }


class Upstream:
    """The prepared answer of 1 KB behind every proxy."""

    def __init__(self, program, core, body=1024):
        self.port = free_port()
        command = [program, "--listen", f"127.0.0.1:{self.port}", "--body", str(body)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True,
                                        preexec_fn=pinned(core))
        Peer.running.add(self)
        if not self.process.stdout.readline().startswith("listening"):
            raise RuntimeError("the upstream did not start")

    def stop(self):
        Peer.running.discard(self)
        self.process.terminate()
        self.process.wait()
