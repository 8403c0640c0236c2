#!/usr/bin/env bash
# Builds an image of programs that are built already, and runs the chart's pods with it. As root.
#   scripts/pods/test.sh PROGRAMS
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=../packages.sh
source "$here/../packages.sh"
need_packages runc iproute2 openssl python3-yaml
tools=${ROWHOUSE_HELM_TOOLS:-$HOME/.cache/rowhouse/helm}
bash "$here/../helm/tools.sh" "$tools"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# program NAME: the newest build of a test.
program() { find "$1/deps" -maxdepth 1 -name "$2-*" -executable -type f -printf '%T@ %p\n' | sort -n | tail -n 1 | cut -d' ' -f2; }
PROGRAMS=$1 BUILD_PROFILE=dev BASES=${BASES:-local} bash "$here/../image/build.sh" "$work/image.tar"
/usr/bin/python3 "$here/test.py" "$tools/helm-4/helm" "$here/../../helm/rowhouse" "$work/image.tar" \
  "$(program "$1" conformance_sdk)" "$(program "$1" rolling)"
