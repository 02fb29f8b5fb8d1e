#!/usr/bin/env bash
# Prints the name of a nightly toolchain that has the components given as arguments. Checks for other systems and
# fuzzing need options that only nightly compilers have.
#
# An installed one is taken as it is; where there is none, the one that these suites are known to pass with.
set -euo pipefail
known=nightly-2026-05-20

has() {
  local root
  root=$(rustc "+$1" --print sysroot 2>/dev/null) || return 1
  local toolchain=$1
  shift
  for component in "$@"; do
    grep -qE "^$component(-|\$)" "$root/lib/rustlib/components" || return 1
  done
  echo "$toolchain"
}

# Without this, asking for a toolchain installs it.
export RUSTUP_AUTO_INSTALL=0
for toolchain in "${SPANWIRE_NIGHTLY:-$known}" nightly; do
  has "$toolchain" "$@" && exit
done
echo "setting up: ${SPANWIRE_NIGHTLY:-$known} with $*" >&2
components=()
for component in "$@"; do components+=(--component "$component"); done
if ! rustup toolchain install "${SPANWIRE_NIGHTLY:-$known}" --profile minimal "${components[@]}" >&2; then
  echo "install a nightly toolchain: rustup toolchain install nightly --profile minimal --component $*" >&2
  exit 1
fi
has "${SPANWIRE_NIGHTLY:-$known}" "$@"
