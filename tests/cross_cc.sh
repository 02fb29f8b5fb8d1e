#!/usr/bin/env bash
# A C compiler and archiver for checks that link nothing: makes the file it is asked for, empty.
out=
take=
for argument in "$@"; do
  if [ -n "$take" ]; then
    out=$argument
    take=
    continue
  fi
  case $argument in
    -E) echo clang && exit ;; # the build scripts' question which compiler this is
    -out:*) out=${argument#-out:} ;; # Windows' archiver
    -o) take=yes ;;
    -o?*) out=${argument#-o} ;;
    -Fo*) out=${argument#-Fo} ;; # Windows' compiler
    *.a) out=$argument ;; # an archiver names it without an option
  esac
done
[ -z "$out" ] || : >"$out"
