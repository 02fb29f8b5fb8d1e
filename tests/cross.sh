#!/usr/bin/env bash
# Checks that the engine compiles for phones, Windows and macOS. Nothing is linked and nothing runs: this finds
# code that a system does not have, not what it does there.
#
# A nightly compiler is needed, because it can check a standard library from its sources: no target has to be
# installed. It checks only; what is released is built by the compiler in rust-toolchain.toml.
set -euo pipefail
cd "$(dirname "$0")/.."

targets=(aarch64-linux-android aarch64-apple-ios aarch64-apple-darwin x86_64-pc-windows-msvc)

nightly=$(./tests/nightly.sh rust-src)
echo "cross: $(rustc "+$nightly" --version)"

# ring and zstd compile C in their build scripts, even for a check. A check links nothing, so a compiler that
# writes empty files will do, and no SDK of any system is needed. (A real one, such as zig's, would have to be
# installed, and has no headers for Android or iOS either.)
stub=$PWD/tests/cross_cc.sh
arguments=()
for target in "${targets[@]}"; do
  name=${target//-/_}
  export "CC_$name=$stub" "CXX_$name=$stub" "AR_$name=$stub" "RANLIB_$name=$stub"
  arguments+=(--target "$target")
done
# Keeps build scripts from asking Xcode for them; any directory but the root will do for the first.
mkdir -p target/cross
export SDKROOT=$PWD/target/cross IPHONEOS_DEPLOYMENT_TARGET=13.0 MACOSX_DEPLOYMENT_TARGET=11.0

# In a directory of its own: it is for another compiler, and must not disturb the builds of the other suites.
CARGO_TARGET_DIR=target/cross \
  cargo "+$nightly" check --locked -p spanwire --lib -Zbuild-std=std,panic_abort "${arguments[@]}"
