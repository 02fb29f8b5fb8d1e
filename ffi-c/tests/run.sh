#!/usr/bin/env bash
# Builds the tests in C and C++ and runs them: usage: run.sh [--all | --only=MODE] [WORD...]
#
#   plain      as they are
#   asan       the test's own code under AddressSanitizer and UBSan, leaks of the whole process found at its end
#   valgrind   every access of test and library
#   tsan       test and library under ThreadSanitizer, the library built for it by a nightly compiler (minutes)
#
# Without an option each test gets a choice of these that takes a few minutes altogether and needs no second build of the
# library. With words, only the tests whose name has one of them. SPANWIRE_LIB_DIR is a folder with libspanwire.so (by
# default that of `cargo build -p spanwire-library`).
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
out=$target/ffi-c-tests
export out

all=false only= words=()
for argument in "$@"; do
  case $argument in
    --all) all=true ;;
    --only=*) all=true only=${argument#*=} ;;
    *) words+=("$argument") ;;
  esac
done

step() { printf '\n=== C and C++: %s (%ss)\n' "$*" "$SECONDS"; }

if [ -z "${SPANWIRE_LIB_DIR:-}" ]; then
  cargo build --quiet --locked -p spanwire-library
  SPANWIRE_LIB_DIR=$target/debug
fi
# Programs look for the library by its soname.
provide() {
  mkdir -p "$out/$2"
  ln -sfn "$(realpath "$1/libspanwire.so")" "$out/$2/libspanwire.so"
  ln -sfn libspanwire.so "$out/$2/libspanwire.so.0"
}
provide "$SPANWIRE_LIB_DIR" lib
./ffi-c/tests/certs.sh "$out/certs"

tsan_library() {
  step "the library for ThreadSanitizer"
  local nightly triple=x86_64-unknown-linux-gnu
  nightly=$(./tests/nightly.sh rust-src)
  RUSTFLAGS=-Zsanitizer=thread CARGO_TARGET_DIR=$target/tsan \
    cargo "+$nightly" build --quiet --locked -Zbuild-std --target $triple -p spanwire-library
  provide "$target/tsan/$triple/debug" tsan-lib
  # Of the compiler that built the library: the C compiler's own may not know all that it calls.
  tsan_runtime=$(rustc "+$nightly" --print sysroot)/lib/rustlib/$triple/lib/librustc-nightly_rt.tsan.a
  export tsan_runtime
}

# The number behind a word in the comment at the top of a test, or a default.
directive() {
  local found
  found=$(sed -nE "1,20s|^// $2 ([0-9]+)$|\1|p" "$1")
  echo "${found:-$3}"
}

compile() {
  local mode=$1 compiler=$2 source=$3 program=$4
  local -a command flags=(-Wall -Wextra -Wpedantic -Werror -g -O1 -pthread -Iffi-c/include -Iffi-c/tests)
  local -a link=(-Wl,--as-needed -lspanwire "-Wl,-rpath,$out/lib" "-L$out/lib" -ldl)
  case $compiler-$source in
    gcc-*.c | clang-*.c) command=("$compiler" -std=c11 -D_GNU_SOURCE) ;;
    gcc-*) command=(g++ -std=c++20) ;;
    *) command=(clang++ -std=c++20) ;;
  esac
  case $mode in
    asan)
      flags+=(-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
      # It puts data in front of functions, which coroutines split.
      [[ $compiler == clang && $source == *.cpp ]] && flags+=(-fno-sanitize=function)
      ;;
    tsan)
      "${command[@]}" "${flags[@]}" -fsanitize=thread -c "$source" -o "$program.o"
      "${command[@]}" "$program.o" -o "$program" -pthread -rdynamic "-L$out/tsan-lib" "-Wl,-rpath,$out/tsan-lib" \
        -lspanwire -Wl,--whole-archive "$tsan_runtime" -Wl,--no-whole-archive -ldl -lm -lrt
      return
      ;;
  esac
  "${command[@]}" "${flags[@]}" "$source" -o "$program" "${link[@]}"
}

# One test in one mode; its output is shown if it fails.
run_one() {
  local mode=$1 compiler=$2 source=$3
  local name expected limit times slowness=1 code=0 began=$SECONDS
  name=$(basename "${source%.*}")
  local folder=$out/$mode-$compiler/$(basename "$(dirname "$source")")
  mkdir -p "$folder"
  local program=$folder/$name log=$folder/$name.log
  local -a wrapper=()
  expected=$(directive "$source" exit 0)
  limit=$(directive "$source" within 60)
  times=$(directive "$source" times 1)
  local leaks=1
  [[ $source == */misuse/* ]] && leaks=0
  case $mode in
    asan) slowness=2 ;;
    tsan) slowness=5 times=1 ;;
    valgrind)
      slowness=10 times=1
      wrapper=(valgrind --quiet --error-exitcode=98 "--suppressions=ffi-c/tests/valgrind.supp" --num-callers=40
        --child-silent-after-fork=yes)
      # It cannot follow the assembler of AES-GCM, and takes every encrypted byte for undefined.
      grep -q SPANWIRE_TEST_CERTS "$source" && wrapper+=(--undef-value-errors=no)
      [ $leaks = 1 ] && wrapper+=(--leak-check=full --errors-for-leak-kinds=definite --show-leak-kinds=definite)
      ;;
  esac
  export SPANWIRE_TEST_SLOWNESS=$slowness SPANWIRE_TEST_CERTS=$out/certs SPANWIRE_LIBRARY=$out/lib/libspanwire.so
  [ "$mode" = tsan ] && SPANWIRE_LIBRARY=$out/tsan-lib/libspanwire.so
  export ASAN_OPTIONS=exitcode=99:detect_leaks=$leaks:quarantine_size_mb=8 UBSAN_OPTIONS=print_stacktrace=1
  export TSAN_OPTIONS=exitcode=97:suppressions=$PWD/ffi-c/tests/tsan.supp:second_deadlock_stack=1
  if ! compile "$mode" "$compiler" "$source" "$program" >"$log" 2>&1; then code=compiler; fi
  for ((i = 0; i < times && (i == 0 || code == expected); i++)); do
    [ "$code" = compiler ] && break
    code=0
    timeout --kill-after=5 $((limit * slowness)) "${wrapper[@]}" "$program" >"$log" 2>&1 </dev/null || code=$?
  done
  if [ "$code" = "$expected" ]; then
    printf 'ok      %-8s %-5s %-40s %ss\n' "$mode" "$compiler" "$name" $((SECONDS - began))
    return
  fi
  printf 'FAILED  %-8s %-5s %-40s exit %s instead of %s\n' "$mode" "$compiler" "$name" "$code" "$expected"
  head -n 60 "$log" | sed 's/^/    /'
  return 1
}
export -f run_one compile directive

# Whether a test says at its top that a mode is not for it.
fits() { ! sed -n 1,20p "$2" | grep -q "^// not under .*$1"; }

wanted() {
  [ ${#words[@]} = 0 ] && return
  local word
  for word in "${words[@]}"; do [[ $(basename "$1") == *"$word"* ]] && return; done
  return 1
}

jobs=()
add() { if [[ -z $only || $only == "$1" ]] && fits "$1" "$3"; then jobs+=("$1 $2 $3"); fi; }
for source in ffi-c/tests/c/*_test.c ffi-c/tests/misuse/*.c ffi-c/tests/cpp/*_test.cpp; do
  if ! [ -f "$source" ] || ! wanted "$source"; then continue; fi
  add plain gcc "$source"
  add asan clang "$source"
  # Slow: without --all only where memory is what it is about.
  case $source in
    */c/* | */misuse/frees_* | */misuse/uses_*) add valgrind gcc "$source" ;;
    *) if $all; then add valgrind gcc "$source"; fi ;;
  esac
  if $all; then
    add plain clang "$source"
    add asan gcc "$source"
    add tsan clang "$source"
  fi
done
[ ${#jobs[@]} -gt 0 ] || { echo "no test is called like that" >&2; exit 1; }

if printf '%s\n' "${jobs[@]}" | grep -q '^tsan '; then tsan_library; fi
step "${#jobs[@]} runs"
failed=0
printf '%s\n' "${jobs[@]}" | xargs -P "${SPANWIRE_TEST_JOBS:-2}" -L 1 bash -c 'set -uo pipefail; run_one "$@"' run_one || failed=$?
if [ $failed != 0 ]; then
  echo "some tests in C and C++ have failed" >&2
  exit 1
fi
echo "all passed (${SECONDS}s)"
