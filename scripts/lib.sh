# shellcheck shell=bash
# Shared by the scripts here. Sourced, never run.

# The root of the repository; every script starts there.
repo="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
cd "$repo" || exit 1

# Where tools go that the system has not: never outside this directory.
tools="$repo/.tools"
PATH="$tools/bin:$PATH"

# rustup's own place, for shells that have not read its profile.
if ! command -v cargo >/dev/null && [ -x "${CARGO_HOME:-$HOME/.cargo}/bin/cargo" ]; then
  PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
fi
export PATH

# Where cargo puts what it builds.
# shellcheck disable=SC2034 # used by the scripts that source this
target_dir="${CARGO_TARGET_DIR:-$repo/target}"

say() { printf '%s\n' "$*"; }
heading() { printf '\n== %s\n' "$*"; }
die() {
  printf '%s\n' "$*" >&2
  exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

# Seconds with one decimal, from nanoseconds.
seconds() { printf '%d.%d s' "$(($1 / 1000000000))" "$(($1 / 100000000 % 10))"; }
now_ns() { date +%s%N; }

# step NAME COMMAND...: says what runs, and afterwards how long it took.
step() {
  local name="$1" start status=0
  shift
  heading "$name"
  start=$(now_ns)
  "$@" || status=$?
  say "-- $name: $(seconds $(($(now_ns) - start)))"
  return "$status"
}
