#!/usr/bin/env bash
# Proves that deps.sh would install libclang on a machine without it, although this one may have it: in a mount
# namespace that hides every libclang, with an apt-get that only writes down what it is asked for.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

if [[ "${1:-}" != --inside ]]; then
  user=()
  [[ "$(id -u)" -eq 0 ]] || user=(--user --map-root-user)
  if ! why=$(unshare "${user[@]}" --mount --propagation private true 2>&1); then
    echo "SKIPPED: no mount namespace can be made here, so nothing proves what deps.sh does without libclang: $why" >&2
    exit 0
  fi
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  unshare "${user[@]}" --mount --propagation private bash "${BASH_SOURCE[0]}" --inside "$work"
  exit 0
fi

work=$2
: >"$work/empty"
mkdir "$work/bin"
printf '#!/bin/sh\necho "$*" >>"%s"\n' "$work/asked" >"$work/bin/apt-get"
chmod +x "$work/bin/apt-get"

hidden=0
for folder in /usr/lib/llvm-* /usr/lib64/llvm* /usr/local/llvm*; do
  [[ -d "$folder" ]] && mount -t tmpfs none "$folder" && ((++hidden))
done
for library in /usr/lib*/libclang*.so* /usr/lib*/*/libclang*.so* /usr/local/lib*/libclang*.so* /usr/local/lib*/*/libclang*.so*; do
  [[ -f "$library" ]] && mount --bind "$work/empty" "$(realpath "$library")" && ((++hidden))
done
echo "deps.sh where $hidden places with a libclang are hidden:"

unset LIBCLANG_PATH LLVM_CONFIG_PATH LD_LIBRARY_PATH LIBRARY_PATH
if said=$(PATH="$work/bin:$PATH" LLVM_CONFIG_PATH=/nowhere bash "$here/deps.sh" 2>&1); then
  echo "FAILED: it finds a libclang that is hidden, or installs nothing" >&2
  exit 1
fi
echo "$said"
grep -q 'install .*libclang-dev' "$work/asked" || { echo "FAILED: it did not ask apt-get for libclang-dev" >&2; exit 1; }
known=$(apt-cache policy libclang-dev 2>/dev/null || true)
[[ "$known" == *"Candidate: "[0-9]* ]] || echo "note: the package lists here do not know libclang-dev (apt-get update)"
echo "ok: it asks for libclang-dev, and says that it is still missing"
