#!/usr/bin/env bash
# Installs the library for C and C++: libspanwire.so and .a, the headers, and what pkg-config and CMake need to find them.
#
#   PREFIX   where it will be used from (default /usr/local)
#   DESTDIR  put in front of every path that is written, for packagers
#   LIB      the folder of libraries below PREFIX (default lib)
#
# usage: install.sh [FOLDER]   FOLDER has libspanwire.so and libspanwire.a; without it they are built as a release
set -euo pipefail
cd "$(dirname "$0")/.."
prefix=${PREFIX:-/usr/local} lib=${LIB:-lib} destdir=${DESTDIR:-}

version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"$/\1/p' Cargo.toml)
major=${version%%.*}
minor=${version#*.}
minor=${minor%%.*}

built=${1:-}
if [ -z "$built" ]; then
  cargo build --locked --release -p spanwire-library
  built=${CARGO_TARGET_DIR:-target}/release
fi

# The libraries that the archive needs beside itself: what rustc names for it (--print native-static-libs).
case $(uname -s) in
  Darwin)
    shared=libspanwire.$version.dylib soname=libspanwire.$major.dylib link=libspanwire.dylib
    static_libs="-framework Security -framework CoreFoundation -liconv -lm"
    ;;
  *)
    shared=libspanwire.so.$version soname=libspanwire.so.$major link=libspanwire.so
    static_libs="-lgcc_s -lutil -lrt -lpthread -lm -ldl"
    ;;
esac

to() {
  mkdir -p "$destdir$prefix/$1"
  echo "$destdir$prefix/$1"
}
filled() {
  # The way from the CMake package's folder back to the prefix.
  local up
  up=$(sed 's|[^/][^/]*|..|g' <<<"$lib/cmake/spanwire")
  sed -e "s|@prefix@|$prefix|; s|@lib@|$lib|; s|@version@|$version|; s|@major@|$major|; s|@minor@|$minor|" \
    -e "s|@static_libs@|$static_libs|; s|@shared_file@|$shared|; s|@soname@|$soname|; s|@up@|$up|" "$1"
}

folder=$(to "$lib")
install -m 755 "$built/$link" "$folder/$shared"
ln -sfn "$shared" "$folder/$soname"
ln -sfn "$soname" "$folder/$link"
install -m 644 "$built/libspanwire.a" "$folder/libspanwire.a"
strip --strip-unneeded "$folder/$shared" 2>/dev/null || strip -x "$folder/$shared"

(cd ffi-c/include && find . -name '*.h*' -type f) | while read -r header; do
  install -m 644 "ffi-c/include/$header" "$(to "include/$(dirname "$header")")"
done

filled ffi-c/package/spanwire.pc.in >"$(to "$lib/pkgconfig")/spanwire.pc"
for file in spanwire-config.cmake spanwire-config-version.cmake; do
  filled "ffi-c/package/$file.in" >"$(to "$lib/cmake/spanwire")/$file"
done
echo "installed Spanwire $version in $destdir$prefix"
