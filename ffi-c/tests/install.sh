#!/usr/bin/env bash
# Installs into a temporary folder and builds one client in every way that a program may be built with it.
#
# usage: install.sh [FOLDER]   FOLDER has the built libraries; without it they are built as a release
set -euo pipefail
cd "$(dirname "$0")/../.."
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT

DESTDIR=$stage/staged PREFIX=/opt/spanwire make --no-print-directory install ${1:+BUILT="$1"}
# What a package manager does: moves it to its place. All of it must still be found there.
mv "$stage/staged/opt/spanwire" "$stage/usr"
library=$stage/usr/lib

readelf -d "$library/libspanwire.so" | grep -q 'SONAME.*\[libspanwire.so.0\]'
[ "$(readlink "$library/libspanwire.so.0")" = libspanwire.so.0.1.0 ]
[ "$(readlink "$library/libspanwire.so")" = libspanwire.so.0 ]

cat >"$stage/client.c" <<'END'
#include <spanwire.h>
#include <stdio.h>
#include <string.h>

/* A server and a client in one process, one call. */
int main(void) {
  spanwire_queue *queue = spanwire_queue_new();
  spanwire_server *server = spanwire_server_new(NULL, NULL);
  char target[64] = "";
  spanwire_server_method(server, "/a.B/C", SPANWIRE_KIND_UNARY, queue, NULL, 0);
  spanwire_server_listen(server, "127.0.0.1:0");
  spanwire_server_target(server, target, sizeof target);
  spanwire_channel *channel = spanwire_channel_new(NULL, target, NULL);
  spanwire_buffer text = {.data = "installed", .len = 9};
  spanwire_call_unary(channel, "/a.B/C", &text, NULL, queue, NULL, NULL);
  spanwire_event event;
  if (spanwire_queue_next(queue, &event, 1, 20000) != 1) return 1;
  spanwire_server_call_respond(event.server_call, &text, NULL);
  spanwire_server_call_free(event.server_call);
  spanwire_event_free(&event);
  if (spanwire_queue_next(queue, &event, 1, 20000) != 1) return 1;
  printf("%.*s %s\n", (int)event.message.len, (const char *)event.message.data, spanwire_version());
  spanwire_event_free(&event);
  return 0;
}
END

check() {
  local said
  said=$("$2")
  [ "$said" = "installed 0.1.0" ] || { echo "$1: the client says: $said" >&2; exit 1; }
  echo "ok: $1"
}

export PKG_CONFIG_PATH=$library/pkgconfig
pc() { pkg-config --define-variable=prefix="$stage/usr" "$@" spanwire; }
[ "$(pc --modversion)" = 0.1.0 ]
# shellcheck disable=SC2046
gcc -Wall -Werror "$stage/client.c" -o "$stage/shared" $(pc --cflags --libs) "-Wl,-rpath,$library"
readelf -d "$stage/shared" | grep -q 'NEEDED.*\[libspanwire.so.0\]'
check "pkg-config, shared" "$stage/shared"

# Linkers take a shared library before an archive: a folder with the archive alone.
mkdir "$stage/archive"
ln "$library/libspanwire.a" "$stage/archive/"
# shellcheck disable=SC2046
gcc -Wall -Werror "$stage/client.c" -o "$stage/static" $(pc --cflags) "-L$stage/archive" $(pc --static --libs-only-l) \
  -Wl,--gc-sections
if readelf -d "$stage/static" | grep -q libspanwire; then echo "static: still needs libspanwire.so" >&2; exit 1; fi
check "pkg-config, static" "$stage/static"

mkdir "$stage/cmake"
cat >"$stage/cmake/CMakeLists.txt" <<END
cmake_minimum_required(VERSION 3.16)
project(client C)
find_package(spanwire 0.1 REQUIRED)
add_executable(shared $stage/client.c)
target_link_libraries(shared PRIVATE spanwire::spanwire)
add_executable(static $stage/client.c)
target_link_libraries(static PRIVATE spanwire::static)
END
configure() { cmake -S "$stage/cmake" -B "$stage/cmake/build" -DCMAKE_PREFIX_PATH="$stage/usr" "$@"; }
configure >"$stage/cmake.log" && cmake --build "$stage/cmake/build" >>"$stage/cmake.log" || {
  cat "$stage/cmake.log" >&2
  exit 1
}
check "CMake, shared" "$stage/cmake/build/shared"
check "CMake, static" "$stage/cmake/build/static"
sed -i 's/spanwire 0.1/spanwire 0.2/' "$stage/cmake/CMakeLists.txt"
if configure >/dev/null 2>&1; then echo "CMake: 0.1.0 is taken for 0.2" >&2; exit 1; fi
echo "ok: CMake, another version"
