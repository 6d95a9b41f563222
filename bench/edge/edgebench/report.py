"""Ratios, targets, the table and the last line."""

from dataclasses import dataclass
from pathlib import Path
from statistics import median

# A generated part of a document stands between these.
MARKERS = ("<!-- bench/edge: begin -->", "<!-- bench/edge: end -->")

# Where the processor's counters are not there, user instructions are counted under valgrind and
# the kernel's share is taken as this figure for every proxy alike: with one request and one answer
# relayed over loopback sockets it was 25,200 to 26,900 for every proxy that speaks HTTP, measured
# with counters (nginx, HAProxy, hyper, pingora). What comes of it is called an estimate.
KERNEL_INSTRUCTIONS = 26_000


class Results:
    """Everything measured in one run."""

    def __init__(self, peers):
        self.peers = {peer.name: peer for peer in peers}
        self.rounds = {"c64": {}, "c8": {}, "open": {}}
        self.counted, self.profiles = {}, {}
        self.idle = {}
        self.skipped = []
        self.notes = []

    def add(self, section, name, figures):
        self.rounds[section].setdefault(name, []).append(figures)

    def base(self, name):
        base = self.peers[name].base
        return base if base in self.peers else "nginx"

    def pairs(self, section, name, key, base=None):
        """Figure of `name` over that of its base, round by round."""
        own = self.rounds[section].get(name, [])
        other = self.rounds[section].get(base or self.base(name), [])
        return [a[key] / b[key] for a, b in zip(own, other) if a.get(key) and b.get(key)]

    def ratio(self, section, name, key, base=None):
        pairs = self.pairs(section, name, key, base)
        return median(pairs) if pairs else None

    def figure(self, section, name, key):
        values = [r[key] for r in self.rounds[section].get(name, []) if r.get(key) is not None]
        return median(values) if values else None

    def user_instructions(self, name):
        counted = self.figure("c64", name, "instr_u")
        return counted if counted is not None else self.counted.get(name)

    def user_ratio(self, name, base=None):
        own = self.user_instructions(name)
        other = self.user_instructions(base or self.base(name))
        return own / other if own and other else None

    def instructions(self, name, base=None):
        """Ratio of all instructions per request, and whether its kernel part is an assumption."""
        base = base or self.base(name)
        both = [self.figure("c64", n, "instr_k") for n in (name, base)]
        users = [self.user_instructions(n) for n in (name, base)]
        if None in users:
            return None, False
        measured = None not in both
        own, other = both if measured else (KERNEL_INSTRUCTIONS, KERNEL_INSTRUCTIONS)
        return (users[0] + own) / (users[1] + other), not measured


@dataclass
class Budget:
    """One target of the design (section 9)."""

    key: str
    text: str
    target: float
    value: float | None
    at_most: bool
    estimated: bool = False
    digits: int = 2

    def verdict(self):
        if self.value is None:
            return "not measured"
        met = self.value <= self.target if self.at_most else self.value >= self.target
        word = "met" if met else "MISSED"
        return f"{word} (estimate)" if self.estimated else word

    def missed(self):
        """An estimate is shown and does not fail a run; a measured figure does."""
        return not self.estimated and self.verdict() == "MISSED"


def budgets(results):
    policy, default, bare = "plimsoll-policy", "plimsoll-default", "plimsoll-bare"
    out = []

    def add(key, text, target, value, at_most=False, estimated=False):
        out.append(Budget(key, text, target, value, at_most, estimated))

    def instructions(key, text, target, name, base=None):
        value, estimated = results.instructions(name, base)
        add(key, text, target, value, at_most=True, estimated=estimated)

    if policy in results.peers:
        add("policy_rps", "policy: requests/s over nginx", 1.0,
            results.ratio("c64", policy, "rps", "nginx"))
        instructions("policy_instr", "policy: instructions per request over nginx", 1.3, policy)
        add("policy_traefik", "policy: requests/s over Traefik", 3.0,
            results.ratio("c64", policy, "rps", "traefik"))
    if default in results.peers:
        add("default_rps", "default: requests/s over nginx with its log", 0.8,
            results.ratio("c64", default, "rps"))
        instructions("default_instr", "default: instructions per request over nginx with its log",
                     1.6, default)
        instructions("default_bare", "default: instructions per request over our bare proxy", 1.25,
                     default, bare)
    for name in (default, policy, bare):
        if name in results.idle:
            idle = results.idle[name]
            add("idle_rss_mb", f"idle: RSS of the edge role, MB ({name})", 50.0, idle["rss"], True)
            add("first_answer_s", f"idle: first answer after start, s ({name})", 1.0,
                idle["first"], True)
            break
    return out


def number(value, digits=2):
    return "–" if value is None else f"{value:.{digits}f}"


def markdown(rows):
    head, *body = rows
    lines = ["| " + " | ".join(head) + " |", "|---" + "|---:" * (len(head) - 1) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in body])


def table(rows):
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0])] + [c.rjust(w) for c, w in zip(row[1:], widths[1:])]
        lines.append("  ".join(cells).rstrip())
    lines.insert(1, "-" * max(len(line) for line in lines))
    return "\n".join(lines)


def throughput_rows(results, section):
    rows = [["proxy", "req/s", "× base", "spread", "p50 ×", "p99 ×", "CPU ×", "CPU µs", "user",
             "core", "RSS MB", "bad"]]
    for name in results.rounds[section]:
        pairs = results.pairs(section, name, "rps")
        spread = f"{min(pairs):.2f}–{max(pairs):.2f}" if pairs else "–"
        user = results.figure(section, name, "user")
        rows.append([
            name, number(results.figure(section, name, "rps"), 0),
            number(results.ratio(section, name, "rps")), spread,
            number(results.ratio(section, name, "p50")),
            number(results.ratio(section, name, "p99")),
            number(results.ratio(section, name, "cpu_us")),
            number(results.figure(section, name, "cpu_us"), 1),
            f"{user:.0%}", f"{results.figure(section, name, 'core'):.0%}",
            number(results.figure(section, name, "rss"), 1),
            str(sum(r["bad"] for r in results.rounds[section][name])),
        ])
    return rows


def open_rows(results):
    rows = [["proxy", "req/s", "p50 µs", "p99 µs", "p50 ×", "p99 ×", "CPU ×", "bad"]]
    for name in results.rounds["open"]:
        rows.append([
            name, number(results.figure("open", name, "rps"), 0),
            number(results.figure("open", name, "p50"), 0),
            number(results.figure("open", name, "p99"), 0),
            number(results.ratio("open", name, "p50")),
            number(results.ratio("open", name, "p99")),
            number(results.ratio("open", name, "cpu_us")),
            str(sum(r["bad"] for r in results.rounds["open"][name])),
        ])
    return rows


def instruction_rows(results):
    rows = [["proxy", "user", "kernel", "user ×", "all ×"]]
    for name in results.peers:
        user = results.user_instructions(name)
        if user is None:
            continue
        kernel = results.figure("c64", name, "instr_k")
        ratio, estimated = results.instructions(name)
        whole = number(ratio) + (" (est.)" if estimated and ratio else "")
        rows.append([name, number(user, 0), number(kernel, 0), number(results.user_ratio(name)),
                     whole])
    return rows


def idle_rows(results):
    rows = [["proxy", "RSS MB", "first answer ms"]]
    for name, idle in results.idle.items():
        rows.append([name, number(idle["rss"], 1), number(idle["first"] * 1000, 0)])
    return rows


def budget_rows(found):
    rows = [["budget", "target", "measured", "verdict"]]
    for b in found:
        sign = "≤" if b.at_most else "≥"
        rows.append([b.text, f"{sign} {b.target:g}", number(b.value), b.verdict()])
    return rows


def sections(results, found):
    """Title, explanation and rows of every table that has something in it."""
    how = "counted by the processor" if any(
        r.get("instr_u") for rounds in results.rounds["c64"].values() for r in rounds
    ) else "user part counted under valgrind, kernel part not measured"
    everything = [
        ("64 connections, closed loop", "", throughput_rows(results, "c64")),
        ("8 connections, closed loop", "", throughput_rows(results, "c8")),
        ("Open loop at a constant rate", "", open_rows(results)),
        ("Instructions per request", how, instruction_rows(results)),
        ("Idle", "", idle_rows(results)),
        ("Targets", "", budget_rows(found)),
    ]
    return [s for s in everything if len(s[2]) > 1]


def result_line(results, found):
    """The last line: every budget, and what else a later run is compared by."""
    parts = []
    for b in found:
        value = "na" if b.value is None else f"{b.value:.3f}"
        parts.append(f"{b.key}{'_est' if b.estimated and b.value is not None else ''}={value}")
    for name in results.peers:
        if name.startswith("plimsoll-"):
            short = name.removeprefix("plimsoll-")
            value = results.user_ratio(name)
            parts.append(f"{short}_instr_user={'na' if value is None else f'{value:.3f}'}")
            value = results.ratio("open", name, "p99")
            parts.append(f"{short}_open_p99={'na' if value is None else f'{value:.2f}'}")
    parts.append(f"missed={sum(b.missed() for b in found)}")
    return "RESULT " + " ".join(parts)


def write_markdown(path, text):
    """Replaces what stands between the markers; a file without them is written anew."""
    path = Path(path)
    old = path.read_text() if path.exists() else ""
    begin, end = MARKERS
    if begin in old and end in old:
        text = old[:old.index(begin)] + f"{begin}\n{text}\n" + old[old.index(end):]
    path.write_text(text if text.endswith("\n") else text + "\n")
