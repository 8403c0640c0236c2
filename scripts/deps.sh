#!/usr/bin/env bash
# What a build needs beside cargo: a C++ compiler for RocksDB, and libclang to read its headers.
# Installs the missing ones on Debian and Ubuntu when that needs no password; else says what to do.
set -euo pipefail

fail() {
  printf 'rowhouse: %s\n' "$1" >&2
  exit 1
}

command -v cargo >/dev/null || fail "cargo is missing. Install Rust from https://rustup.rs, then try again."

has_libclang() {
  [[ -n "${LIBCLANG_PATH:-}" ]] && return 0
  ldconfig -p 2>/dev/null | grep -q 'libclang[-.0-9]*\.so' && return 0
  compgen -G '/usr/lib/llvm-*/lib/libclang*.so*' >/dev/null && return 0
  compgen -G '/usr/lib64/libclang*.so*' >/dev/null
}

missing=()
command -v c++ >/dev/null || missing+=(g++)
has_libclang || missing+=(libclang-dev)
[[ ${#missing[@]} -eq 0 ]] && exit 0

as_root=()
if [[ $EUID -ne 0 ]]; then
  command -v sudo >/dev/null && sudo -n true 2>/dev/null && as_root=(sudo -n)
fi

if command -v apt-get >/dev/null && { [[ $EUID -eq 0 ]] || [[ ${#as_root[@]} -gt 0 ]]; }; then
  echo "rowhouse: installing ${missing[*]}"
  "${as_root[@]}" apt-get update -qq
  DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}"
  exit 0
fi

fail "missing: ${missing[*]}
  Debian, Ubuntu:  sudo apt-get install ${missing[*]}
  Fedora:          sudo dnf install gcc-c++ clang-devel
  anywhere:        the Python package libclang, with LIBCLANG_PATH set to its folder clang/native"
