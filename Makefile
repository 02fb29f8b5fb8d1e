# Thin: each target calls the tool that a person would call. See README.md for what they do.
.PHONY: demo test soak bench lint fmt interop attack h2spec fuzz build install

demo:
	python3 tests/demo/run.py

test:
	./tests/run.sh

interop:
	python3 tests/interop/run.py

attack:
	cargo test -p spanwire-attack
	python3 tests/attack/run.py

h2spec:
	python3 tests/h2spec/run.py

fuzz:
	./tests/fuzz.sh

bench:
	./bench/run.sh

soak:
	cargo run --quiet -p spanwire-soak

lint:
	./tests/lint.sh

fmt:
	cargo fmt --all
	cargo fmt --manifest-path fuzz/Cargo.toml
	git ls-files "*.go" | xargs -r gofmt -w
	.venv/bin/ruff format tests
	.venv/bin/ruff format --config tests/ruff.toml bench examples
	.venv/bin/ruff format bindings-python
	git ls-files '*.c' '*.h' '*.cc' '*.cpp' '*.hpp' ':!codegen/tests/golden' ':!ffi-c/include/spanwire.h' | \
	  xargs .venv/bin/clang-format -i

build:
	cargo build --workspace --all-targets

install:
	DESTDIR="$(DESTDIR)" PREFIX="$(PREFIX)" ./ffi-c/install.sh $(BUILT)
