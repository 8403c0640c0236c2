#!/usr/bin/env bash
# Tries deps.sh on made-up machines: their files lie below a root of their own, and their PATH has only what they have.
set -uo pipefail

deps=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/deps.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset LIBCLANG_PATH LLVM_CONFIG_PATH LD_LIBRARY_PATH LIBRARY_PATH BINDGEN_EXTRA_CLANG_ARGS
run=0 failed=0

# A machine with Rust, a compiler and make; root without apt.
machine() {
  root=$work/$((++run)) && bin=$root/bin && environment=()
  mkdir -p "$bin"
  local tool
  for tool in bash cat cp cut dirname env head mkdir od sed sort tr uname; do ln -s "$(command -v "$tool")" "$bin/$tool"; done
  program cargo 'echo "cargo 99.0.0 (abc 2030-01-01)"'
  program c++ :
  program cc :
  program make :
  program id 'echo 0'
}

program() {
  printf '#!%s\n%s\n' "$(command -v bash)" "$2" >"$bin/$1"
  chmod +x "$bin/$1"
}

library() { # path below the root
  mkdir -p "$(dirname "$root$1")"
  printf '\x7fELF%b' "$([[ "$(uname -m)" == i?86 ]] && echo '\x01' || echo '\x02')" >"$root$1"
}

headers() { # of a library folder
  mkdir -p "$root$1/clang/14/include"
  : >"$root$1/clang/14/include/stddef.h"
}

# An apt-get that writes down what it was asked for, and brings libclang.
apt() {
  library /seed
  program apt-get "echo \"\$*\" >>'$root/asked'
case \" \$* \" in *' install '*) mkdir -p '$root/usr/lib/llvm-14/lib/clang/14/include'
  cat '$root/seed' >'$root/usr/lib/llvm-14/lib/libclang-14.so.1'
  : >'$root/usr/lib/llvm-14/lib/clang/14/include/stddef.h'
  for tool in c++ cc make; do cp '$bin/id' '$bin/'\$tool; done;; esac"
}

expect() { # name, exit code, words that must be told (none: silence)
  local name=$1 code=$2 said status word
  shift 2
  said=$(env -i PATH="$bin" ROWHOUSE_DEPS_ROOT="$root" "${environment[@]}" "$bin/bash" "$deps" 2>&1)
  status=$?
  [[ $status -eq $code ]] || { flaw "$name: exit code $status, not $code: $said" && return; }
  [[ $# -gt 0 || -z "$said" ]] || { flaw "$name: it should be silent: $said" && return; }
  for word in "$@"; do [[ "$said" == *"$word"* ]] || { flaw "$name: '$word' is not told: $said" && return; }; done
  echo "ok      $name"
}

asked() {
  grep -q -- "$2" "$root/asked" 2>/dev/null || flaw "$1: apt-get was not asked for '$2'"
}

flaw() {
  echo "FAILED  $1"
  ((++failed))
}

machine; library /usr/lib/llvm-14/lib/libclang.so.1; headers /usr/lib/llvm-14/lib
expect "all is there" 0

machine
expect "no clang at all, no apt" 1 "missing: libclang-dev" "apt-get install libclang-dev" "dnf install clang-devel"

machine; library /usr/lib/llvm-14/lib/libclang-cpp.so.14; library /usr/lib/x86_64-linux-gnu/libclang-cpp.so.14
headers /usr/lib/llvm-14/lib
expect "only libclang-cpp" 1 "missing: libclang-dev"

machine; library /usr/lib/llvm-14/lib/libclang-cpp.so.14; headers /usr/lib/llvm-14/lib; apt
expect "only libclang-cpp, apt" 0 "installing libclang-dev"
asked "only libclang-cpp, apt" "install .*libclang-dev"

machine; library /usr/lib/llvm-19/lib/libclang-19.so.1; headers /usr/lib/llvm-19/lib
expect "a versioned library only" 0

machine; library /usr/lib/x86_64-linux-gnu/libclang-14.so.1
expect "a library without its headers" 1 "missing: libclang-dev"
environment=(BINDGEN_EXTRA_CLANG_ARGS=-I/somewhere)
expect "headers from elsewhere" 0
environment=(); program clang :
expect "a clang that knows them" 0

machine; library /usr/lib/x86_64-linux-gnu/libclang-14.so.1; headers /usr/lib/llvm-14/lib
expect "Debian's library and headers, not the development package" 0

machine; headers /usr/lib/llvm-14/lib; ln -s gone.so "$root/usr/lib/llvm-14/lib/libclang.so"
expect "a dangling link" 1 "missing: libclang-dev"

machine; headers /usr/lib/llvm-14/lib; echo 'INPUT(-lclang)' >"$root/usr/lib/llvm-14/lib/libclang.so"
expect "a linker script" 1 "missing: libclang-dev"

machine; library /usr/lib64/libclang.so.20.1; headers /usr/lib
expect "Fedora" 0

machine; library /usr/lib64/llvm18/lib64/libclang.so.18.1; headers /usr/lib64/llvm18/lib
expect "Fedora, an older clang beside" 0

machine; library /opt/clang/lib/libclang.so; headers /opt/clang/lib; program llvm-config 'echo /opt/clang'
expect "where llvm-config says" 0

machine; library /opt/clang/lib/libclang.so; headers /opt/clang/lib
environment=(LIBCLANG_PATH="$root/opt/clang/lib")
expect "LIBCLANG_PATH, a folder" 0
environment=(LIBCLANG_PATH="$root/opt/clang/lib/libclang.so")
expect "LIBCLANG_PATH, a file" 0
library /usr/lib/llvm-14/lib/libclang.so; headers /usr/lib/llvm-14/lib
environment=(LIBCLANG_PATH=/nowhere/at/all)
expect "LIBCLANG_PATH, wrong" 1 "LIBCLANG_PATH is '/nowhere/at/all'"
environment=(LIBCLANG_PATH=)
expect "LIBCLANG_PATH, empty" 1 "LIBCLANG_PATH is ''"

machine; apt; rm "$bin/c++" "$bin/cc" "$bin/make"
expect "a bare machine" 0 "installing g++ make libclang-dev"
asked "a bare machine" "install .*g++ make libclang-dev"

machine; apt; program id 'echo 1000'
expect "apt, not root, no sudo" 1 "missing: libclang-dev" "needs root, or sudo without a password"
program sudo 'exit 1'
expect "apt, not root, sudo with a password" 1 "needs root, or sudo without a password"
program sudo 'shift; [ "$1" = true ] || exec "$@"'
expect "apt, not root, sudo" 0 "installing libclang-dev"

machine; program apt-get 'case " $* " in *" install "*) echo "E: no network" >&2; exit 100;; esac'
expect "apt fails" 1 "E: no network" "apt-get could not install libclang-dev"

machine; program apt-get :
expect "apt installs, and it is not there" 1 "cannot be found still: libclang-dev"

machine; rm "$bin/cargo"
expect "no Rust" 1 "https://rustup.rs"
program cargo 'echo "no toolchain" >&2; exit 1'
expect "a Rust that does not run" 1 "no toolchain" "cargo does not run"
program cargo 'echo "cargo 1.70.0 (abc 2023-01-01)"'
expect "an old Rust" 1 "Rust 1.70.0 is too old" "rustup update"

[[ $failed -eq 0 ]]
