#!/usr/bin/env bash
# Follows docs/c.md as a reader would: runs its commands in order, compiles its snippets, and runs those that are
# statements against a shop. SPANWIRE_LIB_DIR is a folder with built libraries (by default they are built).
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
library=${SPANWIRE_LIB_DIR:-}
if [ -z "$library" ]; then
  cargo build --quiet --locked -p spanwire-library
  library=$target/debug
fi
cargo build --quiet --locked -p spanwire-cli
scratch=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$scratch"' EXIT
python3 ffi-c/tests/docs/split.py docs/c.md "$scratch"

diff <(sed -n '/^\/\/ proto\/shop\/v1\/orders.proto$/,/^```$/p' docs/c.md | sed '1d;$d') \
  proto/examples/shop/v1/orders.proto || { echo "the service of the guide is not the one of the examples" >&2; exit 1; }

# Not the ports of the guide, which others may use: two that are free.
ports=$(python3 -c 'import socket; s = [socket.create_server(("127.0.0.1", 0)) for _ in "ab"]
print(*(each.getsockname()[1] for each in s))')
sed -i "s/50051/${ports% *}/g; s/50052/${ports#* }/g" "$scratch/guide.sh"
mkdir "$scratch/reader"
cat >"$scratch/all.sh" <<END
set -meuo pipefail
trap 'for job in \$(jobs -p); do kill -- -\$job; done' EXIT
# What takes minutes is done already.
make() { command make "\$@" BUILT="$library"; }
cargo() { cp "$target/debug/spanwire" "\$HOME/.local/"; }
export PATH="\$HOME/.local:\$PATH"
. "$scratch/guide.sh"
END
(cd "$scratch/reader" && HOME=$scratch/reader SPANWIRE=$root timeout 300 bash "$scratch/all.sh") >"$scratch/log" 2>&1 || {
  cat "$scratch/log" >&2
  exit 1
}
for answer in 'order 7 is paid' 'order 7 is STATE_PAID'; do
  grep -qx "$answer" "$scratch/log" || { cat "$scratch/log" >&2; echo "no answer: $answer" >&2; exit 1; }
done
echo "ok: the commands of docs/c.md"

cd "$scratch/reader"
export PKG_CONFIG_PATH=$PWD/.local/lib/pkgconfig LD_LIBRARY_PATH=$PWD/.local/lib
warnings=(-Wall -Wextra -Werror -Wno-unused-function -Wno-unused-variable -g -I"$root/ffi-c/tests/docs")
read -ra c <<<"gcc -std=c11 -Igenerated $(pkg-config --cflags spanwire libprotobuf-c)"
read -ra cpp <<<"g++ -std=c++20 -Igenerated-cpp $(pkg-config --cflags spanwire protobuf)"
"${c[@]}" -c generated/shop/v1/*.c
"${cpp[@]}" -c generated-cpp/shop/v1/*.cc
read -ra with_c <<<"orders.spanwire.o orders.pb-c.o $(pkg-config --libs spanwire libprotobuf-c)"
read -ra with_cpp <<<"orders.pb.o $(pkg-config --libs spanwire protobuf) -pthread"

"${c[@]}" "${warnings[@]}" "$root/ffi-c/tests/docs/shop.c" "${with_c[@]}" -o shop
shop=unix:$PWD/shop.sock
./shop "$shop" &
count=0
for source in "$scratch"/run-*.c "$scratch"/compile-*.c "$scratch"/run-*.cpp "$scratch"/compile-*.cpp; do
  case $source in
    */run-*.c) "${c[@]}" "${warnings[@]}" "$source" "${with_c[@]}" -o snippet ;;
    */run-*.cpp) "${cpp[@]}" "${warnings[@]}" -Wno-subobject-linkage "$source" "${with_cpp[@]}" -o snippet ;;
    *.c) "${c[@]}" "${warnings[@]}" -Wno-unused-function -c "$source" -o snippet.o ;;
    *.cpp) "${cpp[@]}" "${warnings[@]}" -c "$source" -o snippet.o ;;
  esac
  if [[ $source == */run-* ]]; then
    timeout 20 ./snippet "$shop" >"$scratch/said" 2>&1 || {
      echo "docs/c.md, the snippet at line $(basename "$source" | tr -dc 0-9): $(cat "$scratch/said")" >&2
      exit 1
    }
  fi
  count=$((count + 1))
done
echo "ok: $count snippets of docs/c.md"
