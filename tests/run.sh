#!/usr/bin/env bash
# Every suite, one after the other; stops at the first that fails.
set -euo pipefail
cd "$(dirname "$0")/.."

step() {
  printf '\n=== %s (%ss)\n' "$*" "$SECONDS"
}

step "setup"
./tests/setup.sh
step "Rust: build"
cargo build --workspace --all-targets
step "Rust: tests"
cargo test --workspace
step "Rust: the engine compiles for phones, Windows and macOS"
./tests/cross.sh
step "C and C++: tests, sanitizers, valgrind"
./ffi-c/tests/run.sh
./ffi-c/tests/symbols.sh
step "C and C++: what is generated compiles and runs"
SPANWIRE_LIB_DIR=$PWD/target/debug SPANWIRE_BIN_DIR=$PWD/target/debug ./ffi-c/tests/codegen.sh
step "Python: the wheel, its tests, types and sources"
./bindings-python/tests/run.sh
step "Node: the package and its tests"
npm run --prefix bindings-node --silent native
npm run --prefix bindings-node --silent build
npm test --prefix bindings-node --silent
step "C and C++: installed, as the guide says, and the examples of all languages"
./ffi-c/tests/install.sh target/debug
./ffi-c/tests/docs.sh
./examples/test.sh
step "the runners' own tests"
.venv/bin/python -m unittest discover -s tests/interop
.venv/bin/python -m unittest discover -s tests/demo
.venv/bin/python -m unittest discover -s tests/scenarios
step "interop: official clients and servers, both directions"
.venv/bin/python tests/interop/run.py --check-docs
step "scenarios: load balancing, names and retries, our clients; restarts under load"
.venv/bin/python tests/scenarios/run.py --check-docs
.venv/bin/python tests/scenarios/run.py --quick
.venv/bin/python tests/scenarios/run.py --load 12
step "attacks on servers of all languages, and honest traffic that looks alike"
.venv/bin/python tests/attack/run.py --quick
step "services: grpcurl and its like read health, reflection and channelz"
.venv/bin/python tests/services/run.py
step "traces: one through Python, Node and C++"
.venv/bin/python tests/traces/run.py
step "web: clients of gRPC-Web, in Node and in a browser, against ours and others"
.venv/bin/python tests/web/run.py --quick
step "h2spec"
.venv/bin/python tests/h2spec/run.py
step "demo"
.venv/bin/python tests/demo/run.py
step "bench: the programs run, and the pages show the newest results"
./bench/run.sh --check
./bench/run.sh --quick --only rust,c,python,node
step "size of the demo's server"
.venv/bin/python bench/size.py
step "size of the package for Node"
npm run --prefix bindings-node --silent size
step "fuzz: what was found before, and some seconds of the same search every time (make fuzz goes on)"
FUZZ_SECONDS=15 FUZZ_SEED=1 ./tests/fuzz.sh
step "all suites passed"
