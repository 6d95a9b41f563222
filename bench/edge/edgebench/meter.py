"""What a run cost: processor time, instructions, memory."""

import os
import signal
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

from .profile import functions

TICK = os.sysconf("SC_CLK_TCK")


def cpu(pid):
    """Nanoseconds of all threads by the scheduler, and user and kernel ticks."""
    nanos = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            nanos += int((task / "schedstat").read_text().split()[0])
        except (OSError, IndexError):
            continue
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return nanos, int(fields[11]), int(fields[12])


def rss_mb(pid):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def stolen():
    """Ticks that the hypervisor gave to someone else, and all ticks."""
    fields = [int(x) for x in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return fields[7], sum(fields)


class Perf:
    """`perf stat` on a process for as long as it is held."""

    def __init__(self, pid):
        self.process = subprocess.Popen(
            ["perf", "stat", "-x,", "-e", "instructions:u,instructions:k", "-p", str(pid)],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        time.sleep(0.05)

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        _, text = self.process.communicate()
        counts = {}
        for line in text.splitlines():
            fields = line.split(",")
            if len(fields) > 2 and fields[0].isdigit():
                counts[fields[2]] = int(fields[0])
        return counts.get("instructions:u"), counts.get("instructions:k")


@contextmanager
def metered(peer, out, perf):
    """Adds what `peer` spent meanwhile to `out`; `out["requests"]` is set inside."""
    pid = peer.pid()
    counter = Perf(pid) if perf else None
    before = cpu(pid)
    yield
    after = cpu(pid)
    user, kernel = counter.stop() if counter else (None, None)
    requests = max(out.get("requests", 0), 1)
    spent, ticks = after[0] - before[0], (after[1] - before[1], after[2] - before[2])
    if spent == 0:
        spent = sum(ticks) * 1_000_000_000 // TICK
    out["cpu_us"] = spent / 1000 / requests
    out["user"] = ticks[0] / max(sum(ticks), 1)
    out["rss"] = rss_mb(pid)
    out["instr_u"] = user / requests if user is not None else None
    out["instr_k"] = kernel / requests if kernel is not None else None


def callgrind(peer, load, valgrind, seconds, connections=32):
    """User instructions per request, counted one by one on a simulated processor, and whose.

    The proxy runs dozens of times slower and is asked by the same load. Counts are written out and
    reset between three loads: one to settle, a short one and a longer one. The difference of the
    last two is free of start-up, of making connections and of what was in flight at the end.
    Counts do not depend on time, so other programs may run beside it.
    """
    out = peer.dir() / "callgrind"
    for old in peer.dir().glob("callgrind*"):
        old.unlink()
    wrapper = [valgrind, "--tool=callgrind", "--quiet", f"--callgrind-out-file={out}",
               "--trace-children=no"]
    peer.start(wrapper, patience=90)
    try:
        settled = load.closed(peer.port, connections, 2)
        while settled["requests"] < 3 * load.few_tokens:
            settled["requests"] += load.closed(peer.port, connections, 2)["requests"] or 1
        dump(peer.pid())
        runs = []
        for length in (1, seconds):
            runs.append(load.closed(peer.port, connections, length))
            dump(peer.pid())
        if peer.fault() or any(run["bad"] for run in runs):
            raise RuntimeError(f"{peer.name} failed under valgrind")
    finally:
        peer.stop()
        peer.cut_log()
    counts = sorted(peer.dir().glob("callgrind.*"), key=number)
    totals = [total(f) for f in counts]
    if len(totals) < 3:
        raise RuntimeError(f"{peer.name}: valgrind wrote {len(totals)} counts")
    more = runs[1]["requests"] - runs[0]["requests"]
    if more < 200:
        raise RuntimeError(f"{peer.name}: only {more} requests to count by")
    return (totals[2] - totals[1]) / more, functions(counts[2], max(runs[1]["requests"], 1))


def number(path):
    tail = path.name.rsplit(".", 1)[1]
    return int(tail) if tail.isdigit() else 1 << 30


def dump(pid):
    done = subprocess.run(["callgrind_control", "--dump", str(pid)], capture_output=True, text=True,
                          timeout=60)
    if done.returncode != 0:
        raise RuntimeError(f"callgrind_control: {done.stderr.strip() or done.stdout.strip()}")


def total(path):
    for line in path.read_text(errors="replace").splitlines():
        if line.startswith(("totals:", "summary:")):
            return int(line.split()[1])
    return 0
