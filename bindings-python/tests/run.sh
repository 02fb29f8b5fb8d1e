#!/usr/bin/env bash
# Tests the package as users get it: a wheel, installed into an environment. SPANWIRE_WHEEL is a wheel (by default it is
# built).
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD
out=$root/target/python
python=$out/venv/bin/python
PYTHONPATH=tests python3 -c 'from harness import setup; setup.spanwire_python()'
wheel=${SPANWIRE_WHEEL:-$(echo "$out"/dist/*.whl)}

fail() {
  echo "$*" >&2
  exit 1
}

size=$(stat -c %s "$wheel")
# A release, which takes longer to build, has a tenth less: below 4 MB.
[ "$size" -le 4300000 ] || fail "$(basename "$wheel") has $size bytes, more than 4.3 MB"
echo "ok: $(basename "$wheel") has $size bytes"

# Nothing else is needed, not even protobuf, to import it and to generate code.
rm -rf "$out/bare"
python3 -m venv --without-pip "$out/bare"
"$python" -m pip --python "$out/bare/bin/python" install --quiet --no-index --no-compile "$wheel"
(
  cd "$out"
  ./bare/bin/python -m spanwire gen --lang python -I "$root/proto" --out "$out/bare/generated" "$root/proto/bench/v1/echo.proto"
  ./bare/bin/python -c 'import spanwire, spanwire.sync, spanwire.details'
)
echo "ok: a bare environment"
# Reported, not judged: the machine may do other things.
"$out/bare/bin/python" bindings-python/tests/import_time.py

(cd "$out" && "$python" -m pytest -q -p no:cacheprovider --timeout 120 -c "$root/bindings-python/pyproject.toml" \
  --rootdir "$root/bindings-python" "$root/bindings-python/tests")

(cd "$out" && "$python" -m mypy.stubtest --concise spanwire._native)
echo "ok: the stub of the native module"

# The sources of a release: complete, and checked with what the linter has compiled already. The lock file is that of the
# whole workspace, of which they are a part.
rm -rf "$out/sdist"
(cd bindings-python && "$out/venv/bin/maturin" sdist --out "$out/sdist" >"$out/sdist.log" 2>&1) || fail "$(cat "$out/sdist.log")"
tar -xzf "$out"/sdist/*.tar.gz -C "$out/sdist"
(cd "$out"/sdist/spanwire-*/ && CARGO_TARGET_DIR=$root/target cargo check --quiet --offline \
  --manifest-path bindings-python/Cargo.toml)
echo "ok: the sources compile"
