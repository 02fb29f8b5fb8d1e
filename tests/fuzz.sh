#!/usr/bin/env bash
# Runs the fuzz targets, two at a time, from the inputs in fuzz/corpus and fuzz/regressions. Fails if one finds
# something, and says how to see it again.
#
#   tests/fuzz.sh                            every target, half a minute each; ffi, the slowest, a whole one
#   FUZZ_SECONDS=600 tests/fuzz.sh server    some targets, for longer
#   FUZZ_SEED=1 tests/fuzz.sh                the same inputs every time (as far as threads allow), for suites
#   tests/fuzz.sh --keep server              puts what the last run found into fuzz/corpus, as few inputs as will do
#
# A nightly compiler is needed for the sanitizer and the counters.
set -euo pipefail
cd "$(dirname "$0")/.."

build=target/fuzz
programs=$build/x86_64-unknown-linux-gnu/release
work=$build/work

# Runs one target, and says in one line what came of it.
one() {
  local target=$1 seconds=${FUZZ_SECONDS:-30} folders=("$work/$1" "fuzz/corpus/$1") options=()
  if [ "$target" = ffi ]; then
    seconds=${FUZZ_SECONDS:-60}
    # The process's own engine may still put things away when an input ends. Leaks are looked for at the end of all.
    options=(-detect_leaks=0)
  fi
  [ -z "${FUZZ_SEED:-}" ] || options+=("-seed=$FUZZ_SEED")
  rm -rf "$work/$target"
  mkdir -p "$work/$target" "$build/crashes"
  [ ! -d "fuzz/regressions/$target" ] || folders+=("fuzz/regressions/$target")
  # Weighing inputs by how rare their paths are costs more than running them where the paths are many.
  if ! "$programs/$target" -max_total_time="$seconds" -entropic=0 -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 \
    "${options[@]}" -artifact_prefix="$build/crashes/$target-" "${folders[@]}" >"$work/$target.log" 2>&1; then
    grep -aE -A 20 'panicked at|ERROR: |SUMMARY' "$work/$target.log" | head -40
    # There is none for what only shows when all have run.
    input=$(grep -aoE "$build/crashes/[^ ]+" "$work/$target.log" | tail -1 || true)
    printf 'fuzz: %s FAILED. See it again: %s %s\n' "$target" "$programs/$target" "$input"
    return 1
  fi
  local last rate
  last=$(grep -aE 'DONE +cov:' "$work/$target.log" | tail -1)
  rate=$(sed -n 's/^stat::average_exec_per_sec: *//p' "$work/$target.log")
  printf 'fuzz: %-10s %7s a second, %s\n' "$target" "$rate" "$(grep -oE 'cov: .*corp: [0-9]+' <<<"$last")"
}

if [ "${1:-}" = --one ]; then
  one "$2"
  exit
fi

keep=
if [ "${1:-}" = --keep ]; then
  keep=yes
  shift
fi
targets=("$@")
if [ ${#targets[@]} = 0 ]; then
  mapfile -t targets < <(cd fuzz/fuzz_targets && ls | sed 's/\.rs$//')
fi

if [ -n "$keep" ]; then
  for target in "${targets[@]}"; do
    rm -rf "$work/kept"
    mkdir -p "$work/kept"
    "$programs/$target" -set_cover_merge=1 "$work/kept" "fuzz/corpus/$target" "$work/$target" 2>&1 | tail -1
    rm -f "fuzz/corpus/$target"/*
    # Inputs are found by size, so those that are left out are the large ones.
    ls -Sr "$work/kept" | head -199 | while read -r input; do cp "$work/kept/$input" "fuzz/corpus/$target/"; done
  done
  exit
fi

nightly=$(./tests/nightly.sh rustc)
PATH=$PWD/target/tools/bin:$PATH
if ! command -v cargo-fuzz >/dev/null; then
  echo "setting up: cargo-fuzz"
  cargo install --quiet --locked --root target/tools --version 0.13.2 cargo-fuzz
fi
cargo "+$nightly" fuzz build --fuzz-dir fuzz --target-dir "$build"
echo "fuzz: built (${SECONDS}s)"
printf '%s\n' "${targets[@]}" | xargs -P 2 -I '{}' "$0" --one '{}'
