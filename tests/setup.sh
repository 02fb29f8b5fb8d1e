#!/usr/bin/env bash
# Sets up what the suites need beside the toolchains, inside the checkout. Quick when there is nothing to do.
set -euo pipefail
cd "$(dirname "$0")/.."

need() {
  command -v "$1" >/dev/null && return
  echo "missing: $1. $2" >&2
  exit 1
}
need cargo "Install Rust (the version in rust-toolchain.toml)."
need python3 "Install Python 3.11 or newer."
need node "Install Node.js 20 or newer."
need go "Install Go 1.24 or newer."

if ! python3 -c 'import venv, ensurepip' 2>/dev/null; then
  if [ "$(id -u)" = 0 ]; then
    apt-get update -qq && apt-get install -y -qq python3-venv
  else
    echo "run first: sudo apt-get install python3-venv" >&2
    exit 1
  fi
fi

if [ ! -x .venv/bin/python ]; then
  echo "setup: creating .venv"
  python3 -m venv .venv
fi
stamp=.venv/.installed
if ! cmp -s tests/requirements.txt "$stamp"; then
  echo "setup: installing the Python packages of the tests"
  .venv/bin/pip install --quiet --disable-pip-version-check -r tests/requirements.txt
  cp tests/requirements.txt "$stamp"
fi
