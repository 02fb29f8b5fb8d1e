#!/usr/bin/env bash
# Checks that the toolchains are there and installs the packages of the tests inside the checkout. Quick when
# there is nothing to do.
set -euo pipefail
cd "$(dirname "$0")/.."

need() {
  command -v "$1" >/dev/null && return
  echo "missing: $1. $2" >&2
  exit 1
}
need cargo "Install Rust (the version in rust-toolchain.toml)."
need cc "Install a C compiler (Debian: apt-get install build-essential)."
need python3 "Install Python 3.11 or newer."
need node "Install Node.js 20 or newer."
need npm "Install Node.js 20 or newer, with npm."

if ! python3 -c 'import venv, ensurepip' 2>/dev/null; then
  if [ "$(id -u)" != 0 ]; then
    echo "run first: sudo apt-get install python3-venv" >&2
    exit 1
  fi
  apt-get update -qq && apt-get install -y -qq python3-venv
fi

if [ "$(uname)" = Linux ] && ! command -v nft >/dev/null; then
  if [ "$(id -u)" != 0 ]; then
    echo "run first: sudo apt-get install nftables" >&2
    exit 1
  fi
  apt-get update -qq && apt-get install -y -qq nftables
fi

PYTHONPATH=tests python3 -c 'from harness import setup; setup.python_packages(); setup.grpc_cpp(); setup.protobuf_c(); setup.cjson(); setup.c_tests(); setup.spanwire_python_packages(); setup.node_packages(setup.NODE_BINDING)'
stamp=.venv/.lint-stamp
if ! cmp -s tests/requirements-lint.txt "$stamp"; then
  echo "setting up: linters"
  .venv/bin/pip install --quiet --disable-pip-version-check -r tests/requirements-lint.txt
  cp tests/requirements-lint.txt "$stamp"
fi
