#!/usr/bin/env bash
# What linkers and compilers see of the library: symbols, names, size, and a header that both languages take.
#
# usage: symbols.sh [FOLDER]   FOLDER has libspanwire.so (by default that of `cargo build -p spanwire-library`)
# `--bless` writes the layout of the structs to abi.txt, which is compared otherwise.
set -euo pipefail
cd "$(dirname "$0")/../.."
bless=false
if [ "${1:-}" = --bless ]; then bless=true && shift; fi
library=${1:-target/debug}/libspanwire.so
header=ffi-c/include/spanwire.h
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

fail() {
  echo "$*" >&2
  exit 1
}

# Every function that the header declares, and no other symbol.
gcc -E -P -Iffi-c/include "$header" | grep -oE '\bspanwire_[a-z0-9_]+\(' | tr -d '(' | sort -u >"$scratch/declared"
nm -D --defined-only "$library" | awk '{ print $3 }' | sort -u >"$scratch/exported"
diff "$scratch/declared" "$scratch/exported" >"$scratch/diff" ||
  fail "declared in the header (<) and exported by the library (>) differ:"$'\n'"$(cat "$scratch/diff")"
echo "ok: $(wc -l <"$scratch/exported") symbols, those of the header"

dynamic=$(readelf -d "$library")
grep -q 'SONAME.*\[libspanwire\.so\.0\]' <<<"$dynamic" || fail "the soname is not libspanwire.so.0"$'\n'"$dynamic"
grep -q NODELETE <<<"$dynamic" || fail "dlclose could unload it, and its threads with it: NODELETE is missing"
for needed in $(sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p' <<<"$dynamic"); do
  case $needed in
    libc.so.* | libm.so.* | libgcc_s.so.* | ld-linux*) ;;
    *) fail "it needs $needed" ;;
  esac
done
echo "ok: soname, NODELETE, no library beside libc, libm and libgcc_s"

release=target/release/libspanwire.so
if [ -f "$release" ]; then
  strip --strip-unneeded -o "$scratch/stripped" "$release"
  size=$(stat -c %s "$scratch/stripped")
  [ "$size" -le $((17 * 256 * 1024)) ] || fail "the stripped release library has $size bytes, more than 4.25 MiB"
  echo "ok: the stripped release library has $size bytes"
fi

printf '#include <spanwire.h>\nint main(void) { return (int)sizeof(spanwire_event) == 0; }\n' >"$scratch/user.c"
cp "$scratch/user.c" "$scratch/user.cpp"
warnings=(-Wall -Wextra -Wpedantic -Werror -fsyntax-only -Iffi-c/include)
for compiler in gcc clang; do "$compiler" -std=c11 "${warnings[@]}" "$scratch/user.c"; done
for compiler in g++ clang++; do "$compiler" -std=c++17 "${warnings[@]}" "$scratch/user.cpp"; done
echo "ok: the header is C11 and C++17"

# The same file is compared with the layout that Rust sees, in abi.rs.
python3 ffi-c/tests/abi.py "$header" >"$scratch/facts.c"
gcc -std=c11 -Wall -Wextra -Werror -Iffi-c/include "$scratch/facts.c" -o "$scratch/facts"
if $bless; then
  "$scratch/facts" >ffi-c/tests/abi.txt
else
  "$scratch/facts" | diff ffi-c/tests/abi.txt - || fail "the layout of the ABI has changed: symbols.sh --bless if it may"
fi
echo "ok: the layout of $(grep -vc '\.' ffi-c/tests/abi.txt) structs"
