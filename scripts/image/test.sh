#!/usr/bin/env bash
# Builds the image twice from programs that are built already, compares the digests, and runs the image as strictly as a
# cluster would. As root.
#   scripts/image/test.sh PROGRAMS
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=../packages.sh
source "$here/../packages.sh"
need_packages runc iproute2 python3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

build() { PROGRAMS=$1 BUILD_PROFILE=dev BASES=${BASES:-local} bash "$here/build.sh" "$2"; }
build "$1" "$work/first.tar" | tee "$work/first"
build "$1" "$work/second.tar" >"$work/second"
digest() { grep -o 'sha256:[0-9a-f]*' "$1"; }
[[ "$(digest "$work/first")" == "$(digest "$work/second")" ]] || {
  cat "$work/second" >&2
  echo "image-test: two builds of the same programs differ" >&2
  exit 1
}
rm "$work/second.tar"
echo "built twice, with the same digest"
/usr/bin/python3 "$here/test.py" "$work/first.tar"
