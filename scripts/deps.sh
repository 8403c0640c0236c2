#!/usr/bin/env bash
# What a build needs beside cargo: a C++ compiler and make for RocksDB and jemalloc, and libclang to read RocksDB's
# header. Installs the missing ones on Debian and Ubuntu when that needs no password; else says what to do.
# Quiet when nothing is missing. ROWHOUSE_DEPS_ROOT: look below another root (scripts/deps-test.sh).
set -euo pipefail

root=${ROWHOUSE_DEPS_ROOT:-}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

fail() {
  printf 'rowhouse: %s\n' "$1" >&2
  exit 1
}

# ---- Rust ----

wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$here/../Cargo.toml")
command -v cargo >/dev/null || fail "cargo is missing. Install Rust from https://rustup.rs, then try again."
found=$(cargo --version | cut -d' ' -f2) || fail "cargo does not run; its reason stands above"
[[ "$(printf '%s\n' "$wanted" "$found" | sort -V | head -n 1)" == "$wanted" ]] ||
  fail "Rust $found is too old, $wanted or newer is needed. With rustup: rustup update"

# ---- libclang, as bindgen looks for it ----

# A folder's files that bindgen takes for libclang: never libclang-cpp, which is another library.
candidates() {
  compgen -G "$1/libclang.so" || true
  compgen -G "$1/libclang-*.so" || true
  compgen -G "$1/libclang.so.*" || true
  compgen -G "$1/libclang-*.so.*" || true
}

# A shared library of this machine's word size; a dangling link is none.
is_library() {
  [[ "$1" != *-cpp.* && -f "$1" && "$(head -c 5 "$1" | od -An -tx1 | tr -d ' \n')" == "7f454c46$class" ]]
}

# libclang reads <stddef.h> from a folder beside it, Debian's also from where its packages lie; bindgen asks a clang
# for it. The Python package has none.
has_headers() {
  local pattern
  [[ -z "${BINDGEN_EXTRA_CLANG_ARGS:-}" ]] && ! command -v clang >/dev/null || return 0
  for pattern in "$(dirname "$1")/../lib*/clang" "$root/usr/lib*/clang" "$root/usr/lib/llvm*/lib*/clang"; do
    [[ "$pattern" == "$root/usr/"* && "$1" != "$root/usr/"* ]] && continue
    compgen -G "$pattern/*/include/stddef.h" >/dev/null && return 0
  done
  return 1
}

usable_in() {
  local library
  while read -r library; do
    is_library "$library" && has_headers "$library" && return 0
  done < <(candidates "$1")
  return 1
}

folders() {
  local prefix path
  if prefix=$("${LLVM_CONFIG_PATH:-llvm-config}" --prefix 2>/dev/null); then
    printf '%s\n' "$root$prefix"/{bin,lib,lib64}
  fi
  for path in ${LD_LIBRARY_PATH:-} ${LIBRARY_PATH:-}; do
    tr ':' '\n' <<<"$path"
  done
  for path in '/usr/local/llvm*/lib*' '/usr/local/lib*' '/usr/lib/llvm*/lib' '/usr/lib64/llvm*/lib*' '/usr/lib*' \
    '/usr/local/lib*/*' '/usr/lib*/*' '/usr/local/lib*/*/*' '/usr/lib*/*/*'; do
    compgen -G "$root$path" || true
  done
}

has_libclang() {
  local folder
  class=$([[ "$(uname -m)" == i?86 ]] && echo 01 || echo 02)
  # Set, it is the only place bindgen looks: a folder, or the library itself.
  if [[ -v LIBCLANG_PATH ]]; then
    if [[ -d "$LIBCLANG_PATH" ]]; then usable_in "$LIBCLANG_PATH"; else
      [[ "${LIBCLANG_PATH##*/}" == libclang*.so* ]] && is_library "$LIBCLANG_PATH" && has_headers "$LIBCLANG_PATH"
    fi && return 0
    fail "LIBCLANG_PATH is '$LIBCLANG_PATH', which is neither a libclang nor a folder with one and its headers.
  Unset it to have libclang looked for, or set it to a folder such as /usr/lib/llvm-14/lib.
  The Python package brings no headers; with it, set BINDGEN_EXTRA_CLANG_ARGS=-I\$(c++ -print-file-name=include)."
  fi
  while read -r folder; do
    [[ -d "$folder" ]] && usable_in "$folder" && return 0
  done < <(folders)
  return 1
}

# ---- what is missing ----

look() {
  missing=() fedora=()
  command -v c++ >/dev/null && command -v cc >/dev/null || { missing+=(g++) && fedora+=(gcc-c++); }
  command -v make >/dev/null || { missing+=(make) && fedora+=(make); }
  has_libclang || { missing+=(libclang-dev) && fedora+=(clang-devel); }
}
look
[[ ${#missing[@]} -eq 0 ]] && exit 0

advice="missing: ${missing[*]}
  Debian, Ubuntu:  sudo apt-get install ${missing[*]}
  Fedora:          sudo dnf install ${fedora[*]}"

command -v apt-get >/dev/null || fail "$advice"
as_root=()
if [[ "$(id -u)" -ne 0 ]]; then
  if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then as_root=(sudo -n); else
    fail "$advice
  (not installed by itself: that needs root, or sudo without a password)"
  fi
fi

echo "rowhouse: installing ${missing[*]}"
as_root+=(env DEBIAN_FRONTEND=noninteractive)
"${as_root[@]}" apt-get update -qq ||
  echo "rowhouse: apt-get update failed; going on with the package lists that are there" >&2
"${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" ||
  fail "apt-get could not install ${missing[*]}; its reason stands above"
hash -r
look
[[ ${#missing[@]} -eq 0 ]] || fail "apt-get is content, but these cannot be found still: ${missing[*]}"
