#!/usr/bin/env bash
# Builds the examples in C and C++ as a user does, against an installed library, those for Node against the package, and runs
# those of every language against those of the others. SPANWIRE_LIB_DIR is a folder with built libraries, SPANWIRE_WHEEL a wheel (by default they are
# built).
set -euo pipefail
cd "$(dirname "$0")/.."
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
out=$target/examples
library=${SPANWIRE_LIB_DIR:-}
if [ -z "$library" ]; then
  cargo build --quiet --locked -p spanwire-library
  library=$target/debug
fi
cargo build --quiet --locked -p spanwire-cli -p spanwire-examples
mkdir -p "$out"
PREFIX=$out/usr ./ffi-c/install.sh "$library" >"$out/install.log"
export PKG_CONFIG_PATH=$out/usr/lib/pkgconfig PATH=$target/debug:$PATH
warnings="-O1 -g -Wall -Wextra -Wpedantic -Werror"

built() {
  "$@" >"$out/build.log" 2>&1 || { cat "$out/build.log" >&2; exit 1; }
}
built make -j2 -C examples/c BUILD="$out/c" CFLAGS="$warnings"
built make -j2 -C examples/cpp BUILD="$out/cpp" CXXFLAGS="$warnings"
# The same by CMake; of C++ one program is enough.
for language in c cpp; do
  built cmake -S examples/$language -B "$out/cmake-$language" -DCMAKE_PREFIX_PATH="$out/usr"
  built cmake --build "$out/cmake-$language" --target greeter
done
PYTHONPATH=tests python3 -c 'from harness import setup; setup.spanwire_python()'
python=$PWD/target/python/venv/bin/python
rm -rf "$out/python" && mkdir -p "$out/python/sync"
"$python" -m spanwire gen --lang python -I proto/examples --out "$out/python/generated" proto/examples
program() {
  printf '#!/bin/sh\nPYTHONPATH="%s" exec "%s" "%s" "$@"\n' "$out/python" "$python" "$PWD/examples/python/$1.py" >"$out/python/$2"
  chmod +x "$out/python/$2"
}
for name in greeter chat files; do program $name $name; done
program greeter_sync sync/greeter
PYTHONPATH=tests python3 -c 'from harness import paths, setup; setup.node_packages(paths.NODE_BINDING)'
for step in native build; do npm run --prefix bindings-node --silent $step; done
rm -rf "$out/node" && mkdir -p "$out/node/node_modules"
cp examples/node/*.ts examples/node/*.json "$out/node"
ln -s "$PWD/bindings-node" "$out/node/node_modules/spanwire"
for name in @bufbuild @types typescript undici-types; do
  ln -s "$PWD/bindings-node/node_modules/$name" "$out/node/node_modules/$name"
done
protos=$PWD/proto/examples
(cd "$out/node" && built node node_modules/spanwire/esm/cli.js gen --out gen "$protos" && built node node_modules/typescript/bin/tsc)
for name in greeter chat files; do
  printf '#!/bin/sh\nexec node "%s" "$@"\n' "$out/node/dist/$name.js" >"$out/node/$name"
  chmod +x "$out/node/$name"
done
python3 examples/test_examples.py node="$out/node" rust="$target/debug" c="$out/c" cpp="$out/cpp" python="$out/python" \
  python-sync="$out/python/sync"
