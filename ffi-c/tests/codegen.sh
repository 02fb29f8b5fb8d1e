#!/usr/bin/env bash
# Generates C and C++ by the commands of docs/codegen-c.md, compiles all of it, and runs a program for each way to have
# messages: usage: codegen.sh [WORD...], with words only those programs whose name has one of them.
#
# Needs the Debian packages protobuf-c-compiler, libprotobuf-c-dev, nanopb, libnanopb-dev, protobuf-compiler,
# libprotobuf-dev. SPANWIRE_LIB_DIR is a folder with libspanwire.so (by default that of `cargo build -p
# spanwire-library`), SPANWIRE_BIN_DIR one with spanwire and the plugins (by default that of cargo build).
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD
out=$root/target/ffi-c-codegen
rm -rf "$out"
mkdir -p "$out/lib"

step() { printf '\n=== generated C and C++: %s (%ss)\n' "$*" "$SECONDS"; }

if [ -z "${SPANWIRE_LIB_DIR:-}" ]; then
  cargo build --quiet --locked -p spanwire-library
  SPANWIRE_LIB_DIR=$root/target/debug
fi
if [ -z "${SPANWIRE_BIN_DIR:-}" ]; then
  cargo build --quiet --locked -p spanwire-cli -p spanwire-codegen
  SPANWIRE_BIN_DIR=$root/target/debug
fi
ln -sfn "$(realpath "$SPANWIRE_LIB_DIR/libspanwire.so")" "$out/lib/libspanwire.so"
ln -sfn libspanwire.so "$out/lib/libspanwire.so.0"
export PATH=$SPANWIRE_BIN_DIR:$PATH

# The compilers of messages, for all files of a folder: compile_messages FOLDER COMPILER ARGUMENT...
compile_messages() {
  local protos=$1
  shift
  local -a files
  mapfile -t files < <(cd "$protos" && find . -name '*.proto' | sed 's|^\./||' | sort)
  (cd "$protos" && "$@" -I. -I/usr/include "${files[@]}" google/protobuf/empty.proto google/protobuf/timestamp.proto)
}

# The edge cases, less what the compilers of messages do not take: protoc-c optional fields and methods that have the
# name of a keyword, nanopb messages within themselves, and C in general methods that it does not tell apart.
edges=$out/edges
mkdir -p "$edges/edge" "$edges/money"
cp codegen/tests/protos/money/money.proto "$edges/money/"
cp codegen/tests/protos/no_package.proto "$edges/"
cp codegen/tests/protos/edge/names.proto "$edges/edge/"
sed 's/optional string/string/' codegen/tests/protos/orders.proto >"$edges/orders.proto"
cp -r "$edges" "$out/edges-protobuf-c"
sed -i -E '/rpc (Default|Delete)/d' "$out/edges-protobuf-c/edge/names.proto"

c_flags=(-std=c11 -Wall -Wextra -Wpedantic -Werror -Iffi-c/include)
cpp_flags=(-std=c++20 -Wall -Wextra -Wpedantic -Werror -Iffi-c/include)
# All generated sources of a folder, as C; their headers also as C++.
check_c() {
  local source compiler
  while read -r source; do
    for compiler in gcc clang; do
      "$compiler" "${c_flags[@]}" -Wconversion -Wshadow -fsyntax-only "-I$1" "$1/$source"
    done
    echo "#include \"${source%.c}.h\"" | g++ "${cpp_flags[@]}" -fsyntax-only "-I$1" -xc++ -
  done < <(cd "$1" && find . -name '*.spanwire.c')
}

# Generates from a folder for a runtime, has its compiler compile the messages, and checks the result.
generate_c() {
  local protos=$1 runtime=$2 generated=$3
  mkdir -p "$generated"
  spanwire gen "$protos" -I "$protos" --lang c --out "$generated" --opt "runtime=$runtime" >/dev/null
  case $runtime in
    protobuf-c) compile_messages "$protos" protoc-c --c_out="$generated" ;;
    nanopb) compile_messages "$protos" protoc --nanopb_out="$generated" ;;
  esac
  check_c "$generated"
}
generate_cpp() {
  local protos=$1 generated=$2 compiler
  mkdir -p "$generated"
  spanwire gen "$protos" -I "$protos" --lang cpp --out "$generated" >/dev/null
  compile_messages "$protos" protoc --cpp_out="$generated"
  (cd "$generated" && find . -name '*.spanwire.hpp' | sort | sed 's|.*|#include "&"|') >"$generated/all.cpp"
  for compiler in g++ clang++; do
    "$compiler" "${cpp_flags[@]}" -Wshadow -fno-exceptions -fsyntax-only "-I$generated" "$generated/all.cpp"
  done
}

step "the edge cases and the examples in C"
for runtime in protobuf-c nanopb bytes; do
  protos=$edges
  [ $runtime = protobuf-c ] && protos=$out/edges-protobuf-c
  generate_c "$protos" $runtime "$out/edges-$runtime-code"
  generate_c "$root/proto/examples" $runtime "$out/examples-$runtime-code"
done

step "the edge cases and the examples in C++"
generate_cpp "$root/codegen/tests/protos" "$out/edges-cpp-code"
generate_cpp "$root/proto/examples" "$out/examples-cpp-code"

step "the commands of the guide"
# Where users are: a project with its .proto files.
mkdir -p "$out/project"
cp -r proto/examples "$out/project/proto"
cp ffi-c/tests/codegen/orders.options "$out/project/proto/shop/v1/"
cd "$out/project"
# The shell's blocks in order; those of a file are written to it.
awk '/^```sh$/ { in_sh = 1; next }
     /^```toml$/ { getline; print "cat >" $2 " <<\"END\""; in_toml = 1; next }
     /^```$/ { if (in_toml) print "END"; in_sh = in_toml = 0 }
     in_sh || in_toml' "$root/docs/codegen-c.md" >commands.sh
bash -euxo pipefail commands.sh >commands.log 2>&1 || {
  cat commands.log >&2
  exit 1
}
# Its code, in one piece for each language.
for language in c cpp; do
  awk -v start="^\`\`\`$language\$" '$0 ~ start { in_code = 1; next } /^```$/ { in_code = 0 } in_code' \
    "$root/docs/codegen-c.md" >"guide.$language"
done
cd "$root"
for path in protobuf-c nanopb bytes cpp; do
  [ -d "$out/project/generated/$path" ] || { echo "the guide generates no $path" >&2; exit 1; }
done
check_c "$out/project/generated/protobuf-c"
check_c "$out/project/generated/nanopb"
check_c "$out/project/generated/bytes"
gcc "${c_flags[@]}" -fsyntax-only "-I$out/project/generated/protobuf-c" "$out/project/guide.c"
g++ "${cpp_flags[@]}" -fsyntax-only "-I$out/project/generated/cpp" "$out/project/guide.cpp"
grep -q . "$out/project/guide.c" && grep -q . "$out/project/guide.cpp"

# Programs: what is generated for the shop, by the commands above.
wanted() {
  [ ${#words[@]} = 0 ] && return
  local word
  for word in "${words[@]}"; do [[ $1 == *"$word"* ]] && return; done
  return 1
}
words=("$@")
export ASAN_OPTIONS=exitcode=99
# program NAME COMPILER GENERATED ARGUMENT...
program() {
  local name=$1 compiler=$2 generated=$out/project/generated/$3
  shift 3
  wanted "$name" || return 0
  local -a flags=("${c_flags[@]}" -D_GNU_SOURCE)
  [[ $compiler == *++ ]] && flags=("${cpp_flags[@]}")
  step "$name"
  "$compiler" "${flags[@]}" -g -O1 -pthread -fsanitize=address,undefined -fno-sanitize-recover=all "-I$generated" "$@" \
    -o "$out/$name" "-L$out/lib" "-Wl,-rpath,$out/lib" -lspanwire "${libraries[@]}"
  timeout --kill-after=5 120 "$out/$name"
}
source=ffi-c/tests/codegen
shop=shop/v1/orders
generated=$out/project/generated
libraries=(-lprotobuf-c)
program protobuf_c_test gcc protobuf-c $source/protobuf_c_test.c "$generated/protobuf-c/$shop".{pb-c,spanwire}.c
libraries=(-lprotobuf-nanopb)
program nanopb_test gcc nanopb $source/nanopb_test.c "$generated/nanopb/$shop".{pb,spanwire}.c
libraries=()
program bytes_test gcc bytes $source/bytes_test.c "$generated/bytes/$shop.spanwire.c"
libraries=(-lprotobuf)
program cpp_test g++ cpp $source/cpp_test.cpp "$generated/cpp/$shop.pb.cc"
echo "all passed (${SECONDS}s)"
