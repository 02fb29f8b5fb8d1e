#!/usr/bin/env bash
# Measures the engine beside its peers; see bench/README.md for the flags.
set -euo pipefail
cd "$(dirname "$0")/.."
exec python3 bench/run.py "$@"
