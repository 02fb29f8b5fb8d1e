#!/usr/bin/env bash
# Formatting and static checks of everything that is written here.
set -euo pipefail
cd "$(dirname "$0")/.."
./tests/setup.sh
cargo fmt --all --check
cargo clippy --workspace --all-targets -- -D warnings
.venv/bin/ruff check tests
.venv/bin/ruff format --check tests
.venv/bin/mypy --strict tests/interop/run.py tests/demo/run.py
unformatted=$(gofmt -l tests)
if [ -n "$unformatted" ]; then
  echo "gofmt: $unformatted" >&2
  exit 1
fi
